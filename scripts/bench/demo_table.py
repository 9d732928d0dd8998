"""Prints the tables of a finished demo as Markdown, for README.md: `python scripts/bench/demo_table.py runs/demo-1`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from vlmpost.cli.demo import MODELS, evaluation_name
from vlmpost.evaluation import read_levels, read_result
from vlmpost.reports.demo import pairs_of
from vlmpost.reports.tables import Comparison, cell, compare, difference_cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    levels = read_levels(folder / "levels.jsonl")
    results = [read_result(folder / evaluation_name(name), name=name, levels=levels) for name in MODELS]
    pairs = pairs_of(tuple(MODELS))
    comparison = compare(results, pairs=pairs)
    print_rows("accuracy, %", comparison.names, comparison.rows, lambda row, name: cell(comparison.accuracies.get((row, name))), comparison)
    print()
    names = tuple(f"{after} - {before}" for before, after in pairs)
    by_name = dict(zip(names, pairs, strict=True))
    print_rows(
        "difference, points",
        names,
        comparison.rows[:1],
        lambda row, name: difference_cell(comparison.differences.get((row, by_name[name]))),
        comparison,
    )


def print_rows(title: str, names: Sequence[str], rows: Sequence[str], cell_of: Callable[[str, str], str], comparison: Comparison) -> None:
    """Prints one Markdown table."""
    print(f"| {title} | questions | " + " | ".join(names) + " |")
    print("|---|--:|" + "--:|" * len(names))
    for row in rows:
        print(f"| {row} | {comparison.num_questions[row]} | " + " | ".join(cell_of(row, name) for name in names) + " |")


if __name__ == "__main__":
    main()
