"""Evaluations side by side, on screen."""

from __future__ import annotations

import pytest

from vlmpost.errors import DataError
from vlmpost.evaluation.results import EvalResult, summarize
from vlmpost.reports.tables import accuracy_table, compare, difference_table, render


def result(name: str, right: set[int], *, num: int = 80) -> EvalResult:
    rows = [
        {
            "id": str(index),
            "level": 1 if index < num // 2 else 5 if index < num - 5 else 3,
            "sample": sample,
            "outcome": "correct" if index in right and sample == 0 else "unparsed",
            "stop_reason": "stop",
            "num_tokens": 3,
        }
        for index in range(num)
        for sample in range(2)
    ]
    return summarize(rows, name=name, settings={})


def test_rows_columns_and_differences_by_hand() -> None:
    comparison = compare([result("base", set(range(10))), result("SFT", set(range(30)))])
    assert comparison.rows == ("all", "L1", "L3", "L5")
    assert comparison.num_questions == {"all": 80, "L1": 40, "L3": 5, "L5": 35}
    assert comparison.accuracies["all", "base"].mean == 10 / 80 / 2
    assert comparison.accuracies["L1", "SFT"].mean == 30 / 40 / 2
    assert comparison.accuracies["L3", "SFT"].low is None
    pair = ("base", "SFT")
    assert comparison.differences["all", pair].mean == pytest.approx(20 / 80 / 2)
    assert comparison.differences["L1", pair].mean == pytest.approx(20 / 40 / 2)
    assert comparison.differences["L1", pair].excludes_zero
    assert ("L3", pair) not in comparison.differences
    text = render(accuracy_table(comparison), difference_table(comparison))
    for part in ("SFT - base", "+25.0 [", "]*", "(few)", "18.8 [", "unparsed %", "93.8"):
        assert part in text, part


def test_levels_of_the_first_are_used_for_all() -> None:
    base, other = result("base", {1}), result("SFT", {1})
    shifted = summarize(
        [{"id": key, "level": 2, "sample": 0, "outcome": "wrong", "stop_reason": "stop", "num_tokens": 1} for key in other.counts],
        name="SFT",
        settings={},
    )
    assert compare([base, shifted]).rows == ("all", "L1", "L3", "L5")


def test_evaluations_of_other_questions_are_not_compared() -> None:
    with pytest.raises(DataError, match="cannot be paired"):
        compare([result("base", set()), result("SFT", set(), num=82)])
