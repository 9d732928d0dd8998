"""Accuracy, differences and levels from counts of correct answers, with intervals that respect the question as the unit.

Runs of one question are not independent: all intervals are over question means (the same as clustering by question with the
C/(C-1) factor), with Student's t. One run per question is a plain share and gets Wilson's interval.

Source: Miller 2024 (arXiv 2411.00640), sections 2.2 and 4.2; Wilson 1927; levels: arXiv 2507.07562, section 3.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlmpost.errors import DataError

CONFIDENCE = 0.95
MIN_QUESTIONS_FOR_INTERVAL = 30
"""Groups with fewer questions are shown without an interval."""
LEVEL_SIXTEENTHS = ((1, 12), (2, 8), (3, 5), (4, 2))
"""Level and least pass rate in sixteenths; below all of them is level 5."""
NORMAL_QUANTILE = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

Count = tuple[int, int]
"""Correct runs and usable runs of one question."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions, 0 to 1, with its 95 % interval."""

    mean: float
    low: float | None
    """None where there are too few questions for an interval."""
    high: float | None
    standard_error: float | None
    """None for Wilson's interval and for one question."""
    num_questions: int
    num_runs: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of second minus first over the same questions, -1 to 1, with its 95 % interval."""

    mean: float
    low: float
    high: float
    standard_error: float
    num_questions: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def accuracy(counts: Iterable[Count]) -> Estimate | None:
    """Returns the mean over questions of correct / runs; None when there are no questions.

    Args:
        counts: One (correct, runs) per question, runs at least 1.

    Example:
        >>> accuracy([(1, 2), (2, 2)]).mean
        0.75
    """
    pairs = list(counts)
    if not pairs:
        return None
    means = np.array([correct / runs for correct, runs in pairs])
    num_questions, num_runs = len(pairs), sum(runs for _, runs in pairs)
    mean = float(means.mean())
    if num_runs == num_questions:
        low, high = wilson(sum(correct for correct, _ in pairs), num_questions)
        return Estimate(mean, low, high, None, num_questions, num_runs)
    if num_questions == 1:
        return Estimate(mean, None, None, None, 1, num_runs)
    error = float(means.std(ddof=1)) / math.sqrt(num_questions)
    if error == 0.0 and mean in (0.0, 1.0):
        # All right or all wrong says nothing about the spread: as careful as one run per question.
        low, high = wilson(round(mean * num_questions), num_questions)
        return Estimate(mean, low, high, 0.0, num_questions, num_runs)
    half = student_quantile(num_questions - 1) * error
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), error, num_questions, num_runs)


def accuracy_by(counts: Mapping[str, Count], groups: Mapping[str, object]) -> dict[object, Estimate]:
    """Returns the accuracy within each group, sorted by group; questions without a group are left out.

    Groups of fewer than 30 questions have no interval.
    """
    members: dict[object, list[Count]] = {}
    for question, count in counts.items():
        group = groups.get(question)
        if group is not None:
            members.setdefault(group, []).append(count)
    result = {}
    for group in sorted(members, key=str):
        estimate = accuracy(members[group])
        assert estimate is not None, f"group {group} has members"
        if estimate.num_questions < MIN_QUESTIONS_FOR_INTERVAL:
            estimate = Estimate(estimate.mean, None, None, estimate.standard_error, estimate.num_questions, estimate.num_runs)
        result[group] = estimate
    return result


def paired_difference(first: Mapping[str, Count], second: Mapping[str, Count]) -> Difference:
    """Returns how much better `second` is than `first` on the same questions.

    Args:
        first: Question id -> (correct, runs).
        second: The same questions, asked of the other model; runs may differ.

    Raises:
        DataError: The questions differ, or there are fewer than two.

    Example:
        >>> paired_difference({"a": (0, 2), "b": (1, 2)}, {"a": (2, 2), "b": (1, 2)}).mean
        0.5
    """
    _check_pairs(first, second)
    differences = np.array([second[key][0] / second[key][1] - first[key][0] / first[key][1] for key in first])
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    half = student_quantile(len(differences) - 1) * error
    return Difference(mean, mean - half, mean + half, error, len(differences))


def ratio(counts: Iterable[Count]) -> Estimate | None:
    """Returns the share of all runs that are correct, where questions have different numbers of runs; None of no runs.

    All runs count the same, not all questions. The interval is that of a ratio of two means over questions (linearised, with
    Student's t), so that it respects the question as the unit; with one run each it is Wilson's.

    Args:
        counts: One (correct, runs) per question; questions without runs are left out.

    Example:
        >>> ratio([(1, 1), (1, 3)]).mean
        0.5
    """
    pairs = [count for count in counts if count[1]]
    if not pairs:
        return None
    num_correct, num_runs = _totals(pairs)
    mean = num_correct / num_runs
    if num_runs == len(pairs):
        low, high = wilson(num_correct, num_runs)
        return Estimate(mean, low, high, None, len(pairs), num_runs)
    if len(pairs) == 1:
        return Estimate(mean, None, None, None, 1, num_runs)
    if mean in (0.0, 1.0):
        # As careful as one run per question, see `accuracy`.
        low, high = wilson(round(mean * len(pairs)), len(pairs))
        return Estimate(mean, low, high, 0.0, len(pairs), num_runs)
    error = float(_influences(pairs).std(ddof=1)) / math.sqrt(len(pairs))
    half = student_quantile(len(pairs) - 1) * error
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), error, len(pairs), num_runs)


def paired_ratio(first: Mapping[str, Count], second: Mapping[str, Count]) -> Difference:
    """Returns how much higher `ratio` is for `second` than for `first` on the same questions.

    With one number of runs for all questions it is `paired_difference`.

    Args:
        first: Question id -> (correct, runs); runs may be 0.
        second: The same questions, asked of the other model.

    Raises:
        DataError: The questions differ, there are fewer than two, or one side has no runs at all.

    Example:
        >>> paired_ratio({"a": (0, 3), "b": (1, 1)}, {"a": (1, 1), "b": (1, 1)}).mean
        0.75
    """
    _check_pairs(first, second)
    sides = [[side[key] for key in first] for side in (first, second)]
    totals = [_totals(pairs) for pairs in sides]
    if any(num_runs == 0 for _, num_runs in totals):
        raise DataError("The two evaluations cannot be paired: one of them has nothing that was counted.")
    before, after = (correct / runs for correct, runs in totals)
    error = float((_influences(sides[1]) - _influences(sides[0])).std(ddof=1)) / math.sqrt(len(first))
    half = student_quantile(len(first) - 1) * error
    return Difference(after - before, after - before - half, after - before + half, error, len(first))


def wilson(num_correct: int, num_runs: int) -> tuple[float, float]:
    """Returns Wilson's 95 % interval of a plain share.

    Example:
        >>> [round(edge, 4) for edge in wilson(15, 30)]
        [0.3315, 0.6685]
    """
    assert 0 <= num_correct <= num_runs, f"{num_correct} of {num_runs}"
    assert num_runs > 0, "an interval of no runs"
    square = NORMAL_QUANTILE**2
    share = num_correct / num_runs
    centre = (share + square / (2 * num_runs)) / (1 + square / num_runs)
    half = NORMAL_QUANTILE / (1 + square / num_runs) * math.sqrt(share * (1 - share) / num_runs + square / (4 * num_runs**2))
    low = 0.0 if num_correct == 0 else max(0.0, centre - half)
    high = 1.0 if num_correct == num_runs else min(1.0, centre + half)
    return low, high


def level_of(num_correct: int, num_runs: int) -> int:
    """Returns the difficulty level 1 (easy) to 5 (hard) of a question, by exact integer comparison.

    Example:
        >>> [level_of(correct, 16) for correct in (12, 11, 8, 7, 5, 4, 2, 1)]
        [1, 2, 2, 3, 3, 4, 4, 5]
    """
    assert 0 <= num_correct <= num_runs, f"{num_correct} of {num_runs}"
    assert num_runs > 0, "a level of no runs"
    return next((level for level, least in LEVEL_SIXTEENTHS if 16 * num_correct >= least * num_runs), 5)


@functools.lru_cache(maxsize=1024)
def student_quantile(degrees: int, confidence: float = CONFIDENCE) -> float:
    """Returns the two-sided quantile of Student's t: the middle `confidence` lies within plus or minus it.

    Example:
        >>> round(student_quantile(1), 3), round(student_quantile(10), 3)
        (12.706, 2.228)
    """
    outside, low, high = 1.0 - confidence, 0.0, 1000.0
    for _ in range(200):
        middle = (low + high) / 2
        # P(|T| > t) = I_x(degrees / 2, 1 / 2) with x = degrees / (degrees + t^2)
        if _incomplete_beta(degrees / (degrees + middle * middle), degrees / 2, 0.5) > outside:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by Lentz's continued fraction (Abramowitz and Stegun 26.5.8)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _incomplete_beta(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1) or tiny)
    fraction = d
    for m in range(1, 1000):
        for term in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d = 1.0 / (1.0 + term * d or tiny)
            c = 1.0 + term / c or tiny
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * fraction


def mean_of(values: Sequence[float]) -> float | None:
    """Returns the mean; None of nothing."""
    return float(np.mean(values)) if values else None


def _totals(pairs: Sequence[Count]) -> tuple[int, int]:
    return sum(correct for correct, _ in pairs), sum(runs for _, runs in pairs)


def _influences(pairs: Sequence[Count]) -> NDArray[np.float64]:
    """How far each question moves the ratio: (correct - ratio x runs) / mean runs. They sum to 0."""
    num_correct, num_runs = _totals(pairs)
    moved = np.array([correct - num_correct / num_runs * runs for correct, runs in pairs])
    return moved * (len(pairs) / num_runs)


def _check_pairs(first: Mapping[str, Count], second: Mapping[str, Count]) -> None:
    only_first, only_second = sorted(first.keys() - second.keys()), sorted(second.keys() - first.keys())
    if only_first or only_second:
        parts = [
            f"{len(ids)} only in the {which} ({', '.join(ids[:3])})"
            for ids, which in ((only_first, "first"), (only_second, "second"))
            if ids
        ]
        raise DataError(
            f"The two evaluations cannot be paired, their questions differ: {'; '.join(parts)}. Evaluate both on the same data."
        )
    if len(first) < 2:
        raise DataError(f"A paired difference needs at least two questions, got {len(first)}.")
