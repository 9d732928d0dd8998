"""The end of the demo: its evaluations as the study's table, each row held against the study, on screen and in report.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlmpost import jsonl
from vlmpost.errors import DataError
from vlmpost.evaluation import read_levels
from vlmpost.reports import study
from vlmpost.reports.html import write_report
from vlmpost.reports.strategies import (
    Table,
    build_table,
    headings,
    read_level_counts,
    read_measured,
    rich_table,
    rows,
    seed_headings,
    seed_row,
)
from vlmpost.reports.strategy_section import section
from vlmpost.reports.tables import render
from vlmpost.runs.directory import RunDirectory, open_existing

LEVEL_NOTE = "Levels L1 (easy) to L5 (hard) are the base model's pass rates over 16 other answers to the same questions."
TABLE_TITLE = """\
accuracy, and gains over the base in points, with 95 % intervals (* excludes 0); under each level its number of questions
null gain: what an unchanged base would seem to gain, had the answers that gave the levels measured it too"""
WIDTH = 150


def write_demo_report(
    folder: Path, *, evaluations: Mapping[str, Path], levels: Path, by_seed: Mapping[str, Sequence[Path]] | None = None
) -> tuple[str, Path]:
    """Returns the table, and a sentence for each row, as text, and the path of the report.

    Args:
        folder: The demo's; every run in it is shown, and report.html is written here.
        evaluations: Name of a model -> folder of its evaluation; the first is the base.
        levels: The questions' levels.
        by_seed: Name of a method -> folders of the evaluations of its seeds. None: one seed each.

    Raises:
        DataError: An evaluation cannot be read, or they do not have the same questions.
        RunError: The disk refuses.
    """
    known = read_levels(levels)
    measured = [read_measured(path, name=name, levels=known) for name, path in evaluations.items()]
    table = build_table(measured, level_counts=read_level_counts(levels))
    seeds = [
        seed_row(table, name, [read_measured(path, name=name, levels=known) for path in paths]) for name, paths in (by_seed or {}).items()
    ]
    said = study.sentences(table, sweep=linear_sweep(folder / "merging" / "stages"))
    opening = section(table, note=LEVEL_NOTE, seed_rows=seeds, sentences=said)
    report = write_report(folder / "report.html", title=f"vlmpost demo: {folder.name}", runs=list(_runs(folder)), opening=opening)
    return _text(table, seeds, said), report


def _text(table: Table, seeds: Sequence[Sequence[str]], said: Sequence[str]) -> str:
    tables = [rich_table(TABLE_TITLE, headings(table), rows(table))]
    if seeds:
        tables.append(rich_table("over training seeds: the mean, and the smallest..largest", seed_headings(), seeds))
    head = "against The Synergy Dilemma of Long-CoT SFT and RL (arXiv 2507.07562), means of its five benchmarks:"
    return "\n".join([render(*tables, width=WIDTH), head, *(f"  {sentence}" for sentence in said), ""])


def linear_sweep(stages: Path) -> list[study.Merge]:
    """Returns the linear merges of a merging run, measured on validation questions; [] where there is none.

    Raises:
        DataError: The sweep's file is not one.
        RunError: It cannot be read.
    """
    found = sorted(stages.glob("*/merges/sweep.json"))
    if not found:
        return []
    points = jsonl.read_json(found[0]).get("points")
    try:
        linear = [(point["ratio"], point["result"]["accuracy"]) for point in _rows(points) if point["method"] == "linear"]
        return [(ratio, accuracy["mean"], accuracy["standard_error"] or 0.0) for ratio, accuracy in linear]
    except (KeyError, TypeError) as error:
        raise DataError(f"{found[0]}: not the file of a sweep ({error!r}).") from None


def _rows(points: object) -> list[Any]:  # Any: JSON
    if not isinstance(points, list):
        raise TypeError("points is no list")
    return points


def _runs(folder: Path) -> Iterator[RunDirectory]:
    """The trainings: runs of one, and stages of those that combine several; further seeds are left to the table."""
    for path in sorted([*folder.glob("*/metrics.jsonl"), *folder.glob("*/stages/*/metrics.jsonl")]):
        if "_seed" not in path.relative_to(folder).parts[0]:
            yield open_existing(path.parent)
