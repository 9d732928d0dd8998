"""Difficulty levels L1..L5 of questions from the runs of one model, kept as counts, and joined to examples by id.

Levels are the property of a model and a judge, and noisy: a level from 16 runs is the true one about three times in four. So
accuracy by level must come from other runs than the levels did (another seed), for the base model too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vlmpost import jsonl
from vlmpost.errors import ConfigError, DataError
from vlmpost.evaluation.results import EvalResult
from vlmpost.evaluation.statistics import level_of
from vlmpost.records import Example

MIN_RUNS = 5
"""Fewest runs with which all five levels can be told apart."""
REFERENCE_RUNS = 16

_log = logging.getLogger(__name__)


def assign_levels(result: EvalResult) -> list[dict[str, object]]:
    """Returns one row per judged question: id, num_correct, num_runs, level, and where the runs came from.

    A question with fewer than 12 of 16 of the runs that the others have gets level None, never 5.

    Raises:
        ConfigError: There are fewer than 5 runs per question.
    """
    most = max((runs for _, runs in result.counts.values()), default=0)
    if most < MIN_RUNS:
        raise ConfigError(f"Levels need at least {MIN_RUNS} samples per question, got {most}. Use --num-samples {REFERENCE_RUNS}.")
    if most < REFERENCE_RUNS:
        _log.warning("levels from %d runs per question are coarse; %d is the reference", most, REFERENCE_RUNS)
    return [
        {
            "id": question,
            "num_correct": correct,
            "num_runs": runs,
            "level": level_of(correct, runs) if 16 * runs >= 12 * most else None,
            "model_hash": result.settings.get("model_hash"),
            "seed": result.settings.get("seed"),
        }
        for question, (correct, runs) in sorted(result.counts.items())
    ]


def write_levels(path: Path | str, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes a levels file, replacing an old one whole.

    Raises:
        RunError: The disk refuses.
    """
    jsonl.replace_text(path, "".join(jsonl.dump(row) for row in rows))


def join_levels(examples: Sequence[Example], path: Path | str) -> list[Example]:
    """Returns the examples with the levels of a levels file.

    Raises:
        DataError: The file is not a levels file, or an example is not in it.
    """
    levels = read_levels(path)
    missing = [example.id for example in examples if example.id not in levels]
    if missing:
        raise DataError(f"{path}: {len(missing)} of {len(examples)} questions have no level there, first {', '.join(missing[:3])}.")
    return [replace(example, level=levels[example.id]) for example in examples]


def read_levels(path: Path | str) -> dict[str, int | None]:
    """Returns question id -> level of a levels file; None where a question had too few runs.

    Raises:
        DataError: The file is not a levels file.
    """
    levels: dict[str, int | None] = {}
    for number, row in jsonl.read(path):
        level = row.get("level", "missing")
        if "id" not in row or not (level is None or level in (1, 2, 3, 4, 5)):
            raise DataError(f"{path}:{number}: expected id and a level from 1 to 5 or null, got {jsonl.dump(row).strip()[:80]}.")
        levels[str(row["id"])] = level if isinstance(level, int) else None
    return levels


def same_runs(path: Path | str, *, settings: Mapping[str, object]) -> bool:
    """Whether a levels file was made from the very runs that `settings` describes, so that accuracy by level is circular."""
    first = next((row for _, row in jsonl.read(path)), {})
    return all(first.get(key) is not None and first.get(key) == settings.get(key) for key in ("model_hash", "seed"))
