"""What a batch's groups showed, as figures. Which groups are flat is said by `baselines.flat_groups`; here it is taken as told.

High tells right from wrong among flat groups. Where every completion of a group has a verdict, it means that all are right, whatever
the scale of the rewards. Where one has none (no reference answer), a flat group is high when its reward is above the mean reward of
all groups of the run so far, its own batch included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GroupReport:
    """What one sampled group showed, the same on every process."""

    index: int
    """The prompt's index in the dataset."""
    flat: bool
    """Whether all completions earned the same."""
    reward: float
    """Mean reward of its completions."""
    correct: bool | None
    """Whether all completions are right; None where a completion has no verdict."""
    num_tokens: int
    """Tokens sampled for it."""


def figures_of_rows(rows: Sequence[Sequence[float]], *, num_generations: int) -> dict[str, float]:
    """Returns the metrics of a batch that is trained as it was sampled; with no mean of the run at hand, its own mean says what is high.

    Args:
        rows: As in `grouped_reports`.
        num_generations: Completions of a group.
    """
    reports = grouped_reports(rows, num_generations=num_generations)
    mean_reward = sum(report.reward for report in reports) / len(reports)
    high = [is_high(report, mean_reward=mean_reward) for report in reports]
    return signal_figures(reports, high, num_rounds=1, num_replayed=0, num_surplus=0)


def grouped_reports(rows: Sequence[Sequence[float]], *, num_generations: int) -> list[GroupReport]:
    """Returns a report for each group of a batch whose groups may lie across processes; the index is the group's place in the batch.

    Args:
        rows: For each completion of all processes, in order: 1 where its group is flat; its reward; 1 where it is right; its sampled
            tokens. NaN: no reward, no verdict.
        num_generations: Completions of a group.

    >>> grouped_reports([(1, 0.5, 1, 7), (1, 0.5, 0, 9)], num_generations=2)
    [GroupReport(index=0, flat=True, reward=0.5, correct=False, num_tokens=16)]
    """
    groups = [rows[first : first + num_generations] for first in range(0, len(rows), num_generations)]
    return [_report(place, group) for place, group in enumerate(groups)]


def _report(index: int, rows: Sequence[Sequence[float]]) -> GroupReport:
    flat, rewards, right, tokens = zip(*rows, strict=True)
    earned = [reward for reward in rewards if not math.isnan(reward)]
    return GroupReport(
        index=index,
        flat=bool(flat[0]),
        reward=sum(earned) / len(earned) if earned else 0.0,
        correct=None if any(map(math.isnan, right)) else all(right),
        num_tokens=int(sum(tokens)),
    )


def is_high(report: GroupReport, *, mean_reward: float) -> bool:
    """Returns whether a flat group ended well.

    >>> is_high(GroupReport(index=0, flat=True, reward=0.1, correct=None, num_tokens=8), mean_reward=0.3)
    False
    """
    return report.reward > mean_reward if report.correct is None else report.correct


def signal_figures(
    reports: Sequence[GroupReport], high: Sequence[bool], *, num_rounds: int, num_replayed: int, num_surplus: int
) -> dict[str, float]:
    """Returns the metrics of one batch of rollouts.

    `tokens_per_useful_group` counts the tokens of every group sampled, refills and surplus too, over the useful groups that are trained
    where they were sampled (replayed ones cost no tokens and surplus ones teach nothing yet); it is left out where there is none.

    Args:
        reports: Every group sampled for the batch, refills included.
        high: Of each group, see above.
        num_rounds: Rounds of rollouts.
        num_replayed: Used groups in the batch.
        num_surplus: Useful groups that found no place.
    """
    num_useful = sum(not report.flat for report in reports) - num_surplus
    num_tokens = sum(report.num_tokens for report in reports)
    num_right = sum(report.flat and flag for report, flag in zip(reports, high, strict=True))
    num_flat = sum(report.flat for report in reports)
    figures = {
        "useful_groups": float(num_useful),
        "sampled_tokens": float(num_tokens),
        "flat_right_share": num_right / len(reports),
        "flat_wrong_share": (num_flat - num_right) / len(reports),
        "sampling_rounds": float(num_rounds),
        "replayed_groups": float(num_replayed),
        "surplus_groups": float(num_surplus),
    }
    return figures | ({"tokens_per_useful_group": num_tokens / num_useful} if num_useful else {})
