"""One task in its variants, in distribution, by another rule and by other looks: which it has, their questions, their figures.

The variants are the task's own (`Task.shifts`), and so out of distribution by construction. Source: arXiv 2501.17161, section 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from vlmpost.config.schema import DataConfig, SourceConfig
from vlmpost.data import build
from vlmpost.errors import ConfigError
from vlmpost.evaluation.results import EvalResult
from vlmpost.evaluation.statistics import Count, Difference, Estimate, paired_difference, paired_ratio
from vlmpost.records import Example
from vlmpost.tasks.task import Shift, Task

ALL = "all"
Measure = Literal["success", "per_step", "recognition"]
MEASURES: Final[tuple[Measure, ...]] = ("success", "per_step", "recognition")


def shifts_of(task: Task, asked: Sequence[str]) -> tuple[Shift, ...]:
    """Returns the variants that are asked for, in the task's order; "all" stands for those it has.

    Raises:
        ConfigError: The task has no such variant.
    """
    unknown = sorted(set(asked) - {*task.shifts, ALL})
    if unknown:
        raise ConfigError(
            f"Task {task.name!r} has no shift {', '.join(unknown)}. It has: {', '.join(task.shifts)}; {ALL} for each of them."
        )
    return tuple(shift for shift in task.shifts if shift in asked or ALL in asked)


def draw_shifts(source: SourceConfig, shifts: Sequence[Shift]) -> dict[Shift, list[Example]]:
    """Returns the questions of each variant.

    Args:
        source: A drawn task; its own `shift` is replaced.
        shifts: From `shifts_of`.

    Raises:
        ConfigError: An option is wrong, or there is no number of questions.
    """
    drawn: dict[Shift, list[Example]] = {}
    for shift in shifts:
        shifted = source.model_copy(update={"shift": shift})
        drawn[shift], _ = build([shifted], data=DataConfig(train=[shifted]), base_dir=None)
    return drawn


def estimate_of(result: EvalResult, measure: Measure) -> Estimate | None:
    """Returns one of the measures of a result; None where nothing was counted for it."""
    if measure == "success":
        return result.accuracy
    if result.episodes is None:
        return None
    return result.episodes.per_step if measure == "per_step" else result.episodes.recognition


def paired(first: EvalResult, second: EvalResult, *, measure: Measure = "success") -> Difference | None:
    """Returns how much better `second` is than `first` on the same questions; None where nothing was counted for the measure.

    Raises:
        DataError: The questions differ, or there are fewer than two.
    """
    if estimate_of(first, measure) is None or estimate_of(second, measure) is None:
        return None
    if measure == "success":
        return paired_difference(first.counts, second.counts)
    return paired_ratio(_reply_counts(first, measure), _reply_counts(second, measure))


def figures_row(result: EvalResult) -> dict[str, object]:
    """Returns the measures of a result with their intervals as one flat row of numbers."""
    row: dict[str, object] = {"num_questions": result.num_questions, "num_samples": result.num_samples}
    for measure in MEASURES:
        estimate = estimate_of(result, measure)
        row[measure] = None if estimate is None else estimate.mean
        row[f"{measure}_low"] = None if estimate is None else estimate.low
        row[f"{measure}_high"] = None if estimate is None else estimate.high
    row |= {"mean_tokens": result.mean_tokens, "truncated_share": result.truncated_share}
    if result.episodes is not None:
        row["mean_replies"] = result.episodes.mean_replies
        row["outcome_shares"] = dict(result.episodes.outcome_shares)
    return row


def _reply_counts(result: EvalResult, measure: Measure) -> Mapping[str, Count]:
    assert result.episodes is not None, f"{result.name} has no {measure}"
    return result.episodes.step_counts if measure == "per_step" else result.episodes.recognition_counts
