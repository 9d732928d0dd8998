r"""Writes s1K or s1K-1.1 as rows that `vlmpost sft` reads: question, and the trace in think tags with the boxed attempt after it.

    python scripts/reproduce/s1_rows.py simplescaling/s1K --out s1.jsonl
    python scripts/reproduce/s1_rows.py simplescaling/s1K-1.1 --out s1_1.jsonl

The first takes Gemini's traces, the second DeepSeek-R1's. How the study joins trace and answer is not told: here
<think>TRACE</think> ATTEMPT, as its format asks; attempts without \boxed{} are kept and counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

Row = Mapping[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a hub id, or a local .parquet or .jsonl file")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = [converted(row, number) for number, row in enumerate(read(given.source))]
    with open(given.out, "x", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    num_boxed = sum("\\boxed" in str(row["solution"]) for row in rows)
    print(f"{len(rows)} rows in {given.out}, {num_boxed} with a boxed answer", file=sys.stderr)


def read(source: str) -> list[Row]:
    """The rows of a hub data set or of a file."""
    import datasets

    if source.endswith((".parquet", ".jsonl", ".json")):
        kind = "parquet" if source.endswith(".parquet") else "json"
        return list(datasets.load_dataset(kind, data_files=source, split="train"))
    return list(datasets.load_dataset(source, split="train"))


def converted(row: Row, number: int) -> dict[str, object]:
    """A row of either data set as one of ours; a row without a trace ends the program, with its number."""
    trace, attempt = row.get("deepseek_thinking_trajectory"), row.get("deepseek_attempt")
    if trace is None:
        traces = row.get("thinking_trajectories")
        trace, attempt = traces[0] if isinstance(traces, list) and traces else None, row.get("attempt")
    if not isinstance(trace, str) or not isinstance(attempt, str) or not trace.strip() or not attempt.strip():
        raise SystemExit(f"row {number}: has no trace and attempt; its columns: {', '.join(sorted(map(str, row)))}.")
    solution = f"<think>\n{trace.strip()}\n</think>\n\n{attempt.strip()}"
    return {"id": f"s1-{number:04d}", "prompt": str(row["question"]), "answer": str(row["solution"]), "solution": solution}


if __name__ == "__main__":
    main()
