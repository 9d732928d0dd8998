"""Writes the rows whose questions were not answered right every time: `data.train` of rl_without_easiest.yaml.

    python scripts/reproduce/without_easiest.py rows.jsonl runs/base_answers/pass_rates.jsonl --out rows_without_easiest

`pass_rates.jsonl` is what `vlmpost curate` wrote for the same rows. Rows are read and written as vlmpost's own, images beside them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vlmpost import jsonl
from vlmpost.config.schema import DataConfig, SourceConfig
from vlmpost.data import build
from vlmpost.data.write import write
from vlmpost.errors import DataError, VlmpostError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", help="stored rows, or a hub id")
    parser.add_argument("pass_rates", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        num_kept, num_all = write_others(given.rows, given.pass_rates, given.out)
    except VlmpostError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{num_kept} of {num_all} rows in {given.out}", file=sys.stderr)
    return 0


def write_others(rows: str, pass_rates: Path, out: Path) -> tuple[int, int]:
    """Writes the rows that were not always right and returns their number and that of all.

    Raises:
        DataError: The rows cannot be read, or one has no pass rate.
        RunError: The folder exists, or the disk refuses.
    """
    source = SourceConfig(path=rows)
    examples, _ = build([source], data=DataConfig(train=[source]), base_dir=None)
    always = {str(row["id"]): row["num_right"] == row["num_tried"] for _, row in jsonl.read(pass_rates)}
    missing = [example.id for example in examples if example.id not in always]
    if missing:
        raise DataError(f"{pass_rates}: {len(missing)} of {len(examples)} questions are not in it, first {', '.join(missing[:3])}.")
    kept = [example for example in examples if not always[example.id]]
    write(kept, out, layout="jsonl", split="train")
    return len(kept), len(examples)


if __name__ == "__main__":
    raise SystemExit(main())
