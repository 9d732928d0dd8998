"""Pass rates are exact, count what they are told and nothing else, and refuse rows that cannot be."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost import jsonl
from vlmpost.errors import DataError
from vlmpost.training.guidance.pass_rates import PassRates

groups = st.tuples(st.sampled_from("abc"), st.integers(0, 16), st.integers(0, 16)).map(lambda row: (row[0], min(row[1:]), max(row[1:])))


@given(st.lists(groups, max_size=20))
def test_a_rate_is_the_exact_share_of_all_that_was_told(told: list[tuple[str, int, int]]) -> None:
    rates = PassRates()
    for example_id, num_right, num_tried in told:
        rates.add(example_id, num_right=num_right, num_tried=num_tried)
    for example_id in "abc":
        right = sum(row[1] for row in told if row[0] == example_id)
        tried = sum(row[2] for row in told if row[0] == example_id)
        assert rates.counts(example_id) == (right, tried)
        assert rates.rate(example_id) == (Fraction(right, tried) if tried else None)


@given(st.lists(groups, max_size=20))
def test_the_state_comes_back_from_json_and_goes_on_alike(told: list[tuple[str, int, int]]) -> None:
    rates, restored = PassRates(), PassRates()
    restored.add("left over", num_right=1, num_tried=1)
    for example_id, num_right, num_tried in told:
        rates.add(example_id, num_right=num_right, num_tried=num_tried)
    restored.load_state_dict(json.loads(json.dumps(rates.state_dict())))
    for one in (rates, restored):
        one.add("a", num_right=1, num_tried=3)
    assert restored.rows() == rates.rows()


def test_nothing_tried_is_unknown_and_not_zero() -> None:
    rates = PassRates()
    rates.add("seen", num_right=0, num_tried=0)
    rates.add("failed", num_right=0, num_tried=8)
    assert (rates.rate("seen"), rates.rate("never told"), rates.rate("failed")) == (None, None, Fraction(0))


def test_a_file_reads_back_as_it_was_written_and_its_other_keys_are_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "rates.jsonl"
    jsonl.append(path, [{"id": "a", "num_right": 1, "num_tried": 3, "level": 5}, {"id": 7, "num_right": 0, "num_tried": 8}])
    rates = PassRates.read(path)
    assert rates.rate("a") == Fraction(1, 3) and rates.rate("7") == 0 and len(rates) == 2
    jsonl.append(tmp_path / "again.jsonl", rates.rows())
    assert PassRates.read(tmp_path / "again.jsonl").rows() == rates.rows()


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"id": "b", "num_right": 3, "num_tried": 2}, "num_right is 3, above num_tried 2"),
        ({"id": "b", "num_right": True, "num_tried": 2}, "num_right is True"),
        ({"id": "b", "num_right": 0, "num_tried": -1}, "num_tried is -1"),
        ({"id": "b", "num_right": 0.5, "num_tried": 1}, "num_right is 0.5"),
        ({"id": "b", "num_right": 0}, "num_tried is None"),
        ({"num_right": 0, "num_tried": 1}, "expected an `id`, got None"),
        ({"id": False, "num_right": 0, "num_tried": 1}, "expected an `id`, got False"),
        ({"id": "a", "num_right": 0, "num_tried": 1}, "id 'a' has a row before this one"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, row: dict[str, object], fault: str) -> None:
    path = tmp_path / "rates.jsonl"
    jsonl.append(path, [{"id": "a", "num_right": 1, "num_tried": 8}, row])
    with pytest.raises(DataError, match=f"rates.jsonl:2: .*{fault}"):
        PassRates.read(path)
