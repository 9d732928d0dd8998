"""The report: one HTML file that needs nothing beside it and fetches nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from vlmpost import __version__, jsonl
from vlmpost.reports import charts
from vlmpost.reports.samples import pick, read_rollouts, samples_of
from vlmpost.reports.tables import OVERALL, Comparison, cell, difference_cell
from vlmpost.reports.template import REPORT
from vlmpost.runs.directory import RunDirectory
from vlmpost.runs.manifest import read_manifest
from vlmpost.runs.metrics import read_metrics

CURVES = (
    "reward",
    "accuracy",
    "success",
    "loss",
    "length_tokens",
    "truncated_share",
    "flat_group_share",
    "useful_groups",
    "tokens_per_useful_group",
    "parse_failure_share",
    "kl",
    "entropy",
    "value_loss",
    "explained_variance",
    "grad_norm",
)
"""Figures drawn, in this order, where a run has them."""
NUM_SAMPLES = 12


def write_report(
    path: Path | str,
    *,
    title: str,
    runs: Sequence[RunDirectory] = (),
    comparison: Comparison | None = None,
    num_samples: int = NUM_SAMPLES,
    level_note: str = "",
    opening: str = "",
) -> Path:
    """Writes a report, replacing an old one whole, and returns its path.

    Args:
        path: The HTML file.
        title: Its heading.
        runs: Training runs whose summary, curves and rollouts are shown.
        comparison: Evaluations side by side. None: no accuracy table.
        num_samples: Rollouts shown of each run.
        level_note: One sentence on where the levels come from.
        opening: Markup that stands first; whoever made it has escaped the texts in it.

    Raises:
        RunError: A run cannot be read, or the disk refuses.
        DataError: Metrics or rollouts are not JSON.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    metrics = {name_of(run): read_metrics(run) for run in runs}
    text = environment.from_string(REPORT).render(
        title=title,
        subtitle=f"vlmpost {__version__}, {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        opening=_markup(opening),
        comparison=None if comparison is None else _comparison(comparison, level_note),
        curves=_curves(metrics),
        curve_runs=[
            {"name": name, "color": charts.COLORS[index % len(charts.COLORS)]}
            for index, name in enumerate(n for n in metrics if metrics[n])
        ],
        runs=[
            {
                "name": name_of(run),
                "facts": list(_facts(run)),
                "samples": samples_of(run.path, pick(read_rollouts(run.rollouts_path), limit=num_samples)),
            }
            for run in runs
        ],
    )
    jsonl.replace_text(path, text)
    return Path(path)


def write_run_report(run: RunDirectory) -> Path:
    """Writes the report of one training run into its folder and returns the file.

    Raises:
        RunError: The run cannot be read, or the disk refuses.
        DataError: Metrics or rollouts are not JSON.
    """
    return write_report(run.report_path, title=run.name, runs=[run])


def name_of(run: RunDirectory) -> str:
    """What a run is called: its folder's name, after that of the strategy where it is a stage of one."""
    parent = run.path.parent
    return f"{parent.parent.name}/{run.name}" if parent.name == "stages" else run.name


def _comparison(comparison: Comparison, level_note: str) -> dict[str, object]:
    rows = []
    for row in comparison.rows:
        estimates = [comparison.accuracies.get((row, name)) for name in comparison.names]
        cells = [
            {
                "text": cell(estimate),
                "bar": "" if estimate is None else _markup(charts.interval_bar(estimate.mean, estimate.low, estimate.high, color=color)),
            }
            for estimate, color in zip(estimates, _colors(len(estimates)), strict=True)
        ]
        rows.append(
            {
                "name": row,
                "first": row == OVERALL,
                "num_questions": comparison.num_questions[row],
                "cells": cells,
                "differences": [difference_cell(comparison.differences.get((row, pair))) for pair in comparison.pairs],
            }
        )
    results = comparison.results
    facts = [
        {"name": "unparsed", "columns": [f"{result.outcome_shares.get('unparsed', 0.0):.1%}" for result in results]},
        {"name": "truncated", "columns": [f"{result.truncated_share:.1%}" for result in results]},
        {"name": "mean tokens", "columns": [f"{result.mean_tokens:.1f}" for result in results]},
        {"name": "samples per question", "columns": [str(result.num_samples) for result in results]},
    ]
    pairs = [f"{after} - {before}" for before, after in comparison.pairs]
    return {"names": comparison.names, "rows": rows, "facts": facts, "pairs": pairs, "level_note": level_note}


def _curves(metrics: Mapping[str, Sequence[Mapping[str, object]]]) -> list[dict[str, object]]:
    drawn = []
    for key in CURVES:
        series = [(name, list(_points(rows, key))) for name, rows in metrics.items() if rows]
        svg = charts.curve(series, title=key)
        if svg:
            drawn.append({"name": key, "svg": _markup(svg)})
    return drawn


def _points(rows: Iterable[Mapping[str, object]], key: str) -> Iterable[charts.Point]:
    for row in rows:
        step, value = row.get("step"), row.get(key)
        if isinstance(step, int | float) and key in row:
            # null stands for a number that was not finite
            yield float(step), float(value) if isinstance(value, int | float) else math.nan


def _facts(run: RunDirectory) -> Iterable[tuple[str, str]]:
    """What the manifest and the status say, for people."""
    manifest = read_manifest(run)
    for key in ("kind", "code_revision", "model_hash", "config_hash", "parent_runs"):
        if manifest.get(key):
            yield key.replace("_", " "), _text(manifest[key])
    command = manifest.get("argv")
    if isinstance(command, list):
        yield "command", " ".join(str(word) for word in command)
    for key in ("seeds", "packages", "hardware"):
        if isinstance(manifest.get(key), Mapping):
            yield key, ", ".join(f"{name} {_text(value)}" for name, value in dict(manifest[key]).items() if value is not None)  # type: ignore[call-overload]
    if run.status_path.exists():
        status = json.loads(run.status_path.read_text(encoding="utf-8"))
        yield "status", ", ".join(str(status[key]) for key in ("state", "phase", "step", "message") if status.get(key) is not None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _markup(text: str) -> object:
    """Lets markup through unescaped: what `opening` holds, and charts, which charts.py makes of numbers and escaped names."""
    import markupsafe

    return markupsafe.Markup(text)


def _colors(count: int) -> list[str]:
    return [charts.COLORS[index % len(charts.COLORS)] for index in range(count)]
