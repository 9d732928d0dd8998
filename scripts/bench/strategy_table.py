"""Prints what several models do on the same questions, by the base's levels, beside it: the table of the Synergy Dilemma study.

    python scripts/bench/strategy_table.py --levels levels.jsonl --model base=answers/base --model SFT=answers/sft --model RL=answers/rl

A model is a name and the folder that `vlmpost eval --out` wrote; the first is the base, and `levels.jsonl` is what its `--write-levels`
wrote. Rows named as the study's (SFT, RL, two-stage, ...) are held against the study's. `--demo FOLDER` takes all of a finished
`scripts/demo --all`; `--markdown` is for README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vlmpost.cli.demo_plan import METHODS
from vlmpost.errors import VlmpostError
from vlmpost.evaluation import read_levels
from vlmpost.reports import study
from vlmpost.reports.demo import WIDTH, linear_sweep
from vlmpost.reports.strategies import build_table, headings, read_level_counts, read_measured, rich_table, rows
from vlmpost.reports.tables import render


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=Path)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="the first is the base")
    parser.add_argument("--demo", type=Path, metavar="FOLDER", help="in place of --levels and --model")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    if given.demo is None and (given.levels is None or not given.model):
        parser.error("give --levels and --model, or --demo")
    levels = given.levels if given.demo is None else given.demo / "levels.jsonl"
    models = of_demo(given.demo) if given.demo is not None else [tuple(text.split("=", 1)) for text in given.model]
    try:
        known = read_levels(levels)
        measured = [read_measured(Path(folder), name=name, levels=known) for name, folder in models]
        table = build_table(measured, level_counts=read_level_counts(levels))
    except VlmpostError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if given.markdown:
        print_markdown(headings(table), rows(table))
    else:
        print(
            render(
                rich_table("gains over the base in points; * where the 95 % interval excludes 0", headings(table), rows(table)), width=WIDTH
            )
        )
    for sentence in study.sentences(table, sweep=[] if given.demo is None else linear_sweep(given.demo / "merging" / "stages")):
        print(f"- {sentence}")
    return 0


def of_demo(folder: Path) -> list[tuple[str, Path]]:
    """The models that a demo has measured."""
    found = [("base", folder / "eval_base"), *((method.name, folder / f"eval_{method.key}") for method in METHODS)]
    return [(name, path) for name, path in found if path.exists()]


def print_markdown(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Prints a table in Markdown."""
    print("| " + " | ".join(column.replace("\n", ", ") for column in columns) + " |")
    print("|---" + "|--:" * (len(columns) - 1) + "|")
    for row in cells:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    raise SystemExit(main())
