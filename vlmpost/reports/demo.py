"""The end of the demo: its evaluations in one table on screen, and with curves and rollouts in report.html."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vlmpost.evaluation import read_levels, read_result
from vlmpost.reports.html import write_report
from vlmpost.reports.tables import Pair, accuracy_table, compare, difference_table, render
from vlmpost.runs.directory import RunDirectory, open_existing

LEVEL_NOTE = "Levels L1 (easy) to L5 (hard) are the base model's pass rates over 16 other answers to the same questions."


def write_demo_report(folder: Path, *, evaluations: Mapping[str, Path], levels: Path) -> tuple[str, Path]:
    """Returns the table as text and the path of the report.

    Args:
        folder: The demo's; every run in it is shown, and report.html is written here.
        evaluations: Name of a model -> folder of its evaluation; the first is the base.
        levels: The questions' levels.

    Raises:
        DataError: An evaluation cannot be read, or they do not have the same questions.
        RunError: The disk refuses.
    """
    known = read_levels(levels)
    results = [read_result(path, name=name, levels=known) for name, path in evaluations.items()]
    comparison = compare(results, pairs=pairs_of(tuple(evaluations)))
    report = write_report(
        folder / "report.html", title=f"vlmpost demo: {folder.name}", runs=_runs(folder), comparison=comparison, level_note=LEVEL_NOTE
    )
    return render(accuracy_table(comparison), difference_table(comparison)), report


def pairs_of(names: tuple[str, ...]) -> list[Pair]:
    """Returns each model against the first, and each that is built on another ("SFT+RL") against the one it is built on.

    Example:
        >>> pairs_of(("base", "SFT", "RL", "SFT+RL"))
        [('base', 'SFT'), ('base', 'RL'), ('base', 'SFT+RL'), ('SFT', 'SFT+RL')]
    """
    built_on = [(name.rpartition("+")[0], name) for name in names if name.rpartition("+")[0] in names]
    return [(names[0], name) for name in names[1:]] + [pair for pair in built_on if pair[0] != names[0]]


def _runs(folder: Path) -> list[RunDirectory]:
    return [open_existing(path.parent) for path in sorted(folder.glob("*/manifest.json"))]
