"""Intervals, differences and levels against numbers worked out by hand or by scipy and statsmodels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.errors import DataError
from vlmpost.evaluation.statistics import accuracy, accuracy_by, level_of, paired_difference, student_quantile, wilson

# Least number correct of k runs for levels 1, 2, 3, 4, as ceil(k * 12/16, 8/16, 5/16, 2/16); level 3 is out of reach at k = 4.
LEAST = {4: (3, 2, 2, 1), 5: (4, 3, 2, 1), 8: (6, 4, 3, 1), 10: (8, 5, 4, 2), 16: (12, 8, 5, 2), 32: (24, 16, 10, 4), 64: (48, 32, 20, 8)}


@pytest.mark.parametrize(
    ("correct", "runs", "low", "high"),
    [(0, 30, 0.0, 0.1135133931739688), (30, 30, 0.8864866068260311, 1.0), (15, 30, 0.3315412564053376, 0.6684587435946624)],
)
def test_wilson_equals_statsmodels(correct: int, runs: int, low: float, high: float) -> None:
    assert wilson(correct, runs) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.706204736), (2, 4.302652730), (10, 2.228138852), (99, 1.984216952), (3039, 1.9607449)]
)
def test_student_quantile_equals_the_tables(degrees: int, quantile: float) -> None:
    assert student_quantile(degrees) == pytest.approx(quantile, abs=1e-6)


def test_accuracy_interval_is_over_question_means() -> None:
    # Means 1, 0.5, 0, 0.5: mean 0.5; variance ((.5)^2 + 0 + (.5)^2 + 0) / 3 = 1/6; error sqrt(1/6 / 4) = 0.204124; t(3) = 3.182446.
    estimate = accuracy([(2, 2), (1, 2), (0, 2), (1, 2)])
    assert estimate is not None
    assert estimate.mean == 0.5
    assert estimate.standard_error == pytest.approx(math.sqrt(1 / 24))
    assert (estimate.low, estimate.high) == pytest.approx((0.0, 1.0)), "0.5 +- 0.65 clipped"
    assert (estimate.num_questions, estimate.num_runs) == (4, 8)


def test_more_runs_of_the_same_questions_do_not_shrink_the_interval() -> None:
    few = accuracy([(1, 2), (2, 2), (0, 2), (1, 2)] * 10)
    many = accuracy([(8, 16), (16, 16), (0, 16), (8, 16)] * 10)
    assert few is not None
    assert many is not None
    assert (few.low, few.high) == pytest.approx((many.low, many.high))


def test_one_run_per_question_gets_wilson() -> None:
    estimate = accuracy([(1, 1)] * 15 + [(0, 1)] * 15)
    assert estimate is not None
    assert (estimate.low, estimate.high) == pytest.approx((0.3315412564053376, 0.6684587435946624))


def test_all_right_in_all_runs_is_no_certainty() -> None:
    estimate = accuracy([(4, 4)] * 30)
    assert estimate is not None
    assert estimate.low == pytest.approx(0.8864866068260311)


def test_no_questions_have_no_accuracy_and_one_has_no_interval() -> None:
    assert accuracy([]) is None
    alone = accuracy([(3, 4)])
    assert alone is not None
    assert (alone.mean, alone.low, alone.high) == (0.75, None, None)


def test_paired_difference_by_hand() -> None:
    # Differences 1, 0, 0.5, 0.5: mean 0.5, variance (.25 + .25) / 3 = 1/6, error sqrt(1/24) = 0.204124; half 3.182446 * 0.204124.
    first = {"a": (0, 2), "b": (2, 2), "c": (1, 2), "d": (0, 2)}
    second = {"a": (2, 2), "b": (4, 4), "c": (2, 2), "d": (1, 2)}
    difference = paired_difference(first, second)
    assert (difference.mean, difference.num_questions) == (0.5, 4)
    assert (difference.low, difference.high) == pytest.approx((0.5 - 0.649613, 0.5 + 0.649613), abs=1e-5)
    assert not difference.excludes_zero
    back = paired_difference(second, first)
    assert (back.mean, back.low) == (-0.5, -difference.high)


def test_pairing_is_tighter_than_two_independent_intervals() -> None:
    first = {str(index): (index % 5, 4 if index % 5 < 5 else 5) for index in range(100)}
    second = {key: (min(correct + (int(key) % 10 == 0), 4), 4) for key, (correct, _) in first.items()}
    difference, alone = paired_difference(first, second), accuracy(first.values())
    assert alone is not None
    assert alone.standard_error is not None
    assert difference.standard_error < alone.standard_error / 2


def test_different_questions_are_not_paired() -> None:
    with pytest.raises(DataError, match="1 only in the first \\(b\\); 1 only in the second \\(c\\)"):
        paired_difference({"a": (1, 1), "b": (1, 1)}, {"a": (1, 1), "c": (1, 1)})


def test_levels_of_every_count_up_to_64_runs() -> None:
    assert len(LEAST) == 7
    for runs, least in LEAST.items():
        for correct in range(runs + 1):
            expected = next((level for level, bound in enumerate(least, start=1) if correct >= bound), 5)
            assert level_of(correct, runs) == expected, (correct, runs)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=60))
def test_the_whole_is_the_weighted_sum_of_its_levels(pairs: list[tuple[int, int]]) -> None:
    counts = {str(index): (correct, 4) for index, (correct, _) in enumerate(pairs)}
    groups = {str(index): level for index, (_, level) in enumerate(pairs)}
    whole = accuracy(counts.values())
    parts = accuracy_by(counts, groups)
    assert whole is not None
    assert sum(part.num_questions for part in parts.values()) == len(pairs)
    assert whole.mean == pytest.approx(sum(part.mean * part.num_questions for part in parts.values()) / len(pairs))
    assert all((part.low is None) == (part.num_questions < 30) for part in parts.values())
