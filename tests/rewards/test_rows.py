"""Stored answers read as rollouts."""

from __future__ import annotations

import pytest

from vlmpost.errors import DataError
from vlmpost.rewards.rows import rollout_of


def test_a_logged_rollout_and_a_row_of_output_and_gold_are_read() -> None:
    logged = rollout_of({"id": "a", "sample": 2, "text": "7", "answer": "7", "num_tokens": 3, "stop_reason": "length"}, where="x:1")
    assert (logged.example.id, logged.sample, len(logged.token_ids), logged.stop_reason) == ("a", 2, 3, "length")
    assert logged.example.answer_type == "number"
    given = rollout_of({"output": "(B)", "gold": "B", "choices": {"A": "red", "B": "blue"}}, where="x:2")
    assert (given.example.id, given.example.answer_type, given.example.choices) == ("x:2", "choice", ("red", "blue"))


@pytest.mark.parametrize(
    ("answer", "kind"), [("7", "number"), ("1/2", "number"), (r"\sqrt{2}", "latex"), ("red cat", "text"), (12, "number")]
)
def test_the_kind_of_answer_is_read_off_the_answer(answer: object, kind: str) -> None:
    assert rollout_of({"text": "", "answer": answer}, where="x:1").example.answer_type == kind


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answer": "7"}, "no text to score"),
        ({"text": "7", "answer": "7", "answer_type": "numbr"}, "choose from bool, choice, "),
        ({"text": "7", "answer": "A", "choices": {"A": "x", "C": "y"}}, "without a gap"),
        ({"text": "7", "answer": "A", "choices": "red"}, "a list or letter to text"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_with_its_place(row: dict, message: str) -> None:
    with pytest.raises(DataError, match=f"x:4: .*{message}"):
        rollout_of(row, where="x:4")
