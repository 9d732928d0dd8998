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
        ({"text": "7", "answer": "7", "answer_type": 3}, "answer_type must be text"),
        ({"text": "7", "answer": {"a": 7}}, "a mapping"),
        ({"text": "7", "completion_ids": "7"}, "completion_ids must be a list"),
        ({"text": "7", "num_tokens": -1}, "num_tokens must be a whole number"),
        ({"text": "7", "prompt": [{"role": "robot"}]}, "role 'robot'"),
        ({"text": "7", "answer": "A", "choices": {"A": "x", "C": "y"}}, "without a gap"),
        ({"text": "7", "answer": "A", "choices": "red"}, "a list or letter to text"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_with_its_place(row: dict, message: str) -> None:
    with pytest.raises(DataError, match=f"x:4: .*{message}"):
        rollout_of(row, where="x:4")


def test_several_accepted_answers_are_kept_and_an_answer_given_twice_is_one() -> None:
    several = rollout_of({"output": "MgS", "gold": ["$MgS$", "MgS"]}, where="x:1").example
    assert (several.answer, several.meta["accepted_answers"]) == ("$MgS$", ["$MgS$", "MgS"])
    twice = rollout_of({"output": "2", "gold": ["[2, 3]", [2, 3]], "answer_type": "list of integer"}, where="x:1").example
    assert (twice.answer, twice.meta.get("accepted_answers"), twice.meta["kind"]) == ("[2, 3]", None, "list of integer")
    assert rollout_of({"output": "2", "gold": ["True", None], "answer_type": "bool"}, where="x:1").example.answer == "True"
    assert rollout_of({"output": "2", "gold": [2, 3]}, where="x:1").example.answer == "[2, 3]"


def test_an_option_letter_without_option_texts_is_a_choice_where_the_row_says_so() -> None:
    assert rollout_of({"output": "B", "gold": "B", "question_type": "multiple-choice"}, where="x:1").example.answer_type == "choice"
    assert rollout_of({"output": "B", "gold": "B"}, where="x:1").example.answer_type == "text"


def test_tokens_are_counted_and_a_full_budget_means_cut() -> None:
    row = {"output": "a b", "completion_ids": [5, 6, 7], "max_tokens": 3}
    assert (rollout_of(row, where="x:1").token_ids, rollout_of(row, where="x:1").stop_reason) == ((5, 6, 7), "length")
    assert rollout_of(row | {"stop_reason": "stop"}, where="x:1").stop_reason == "stop"


def test_what_nobody_reads_is_kept_for_the_rewards() -> None:
    example = rollout_of({"output": "", "image_size": [4, 3], "precision": 2, "meta": {"box": [0, 0, 1, 1]}}, where="x:1").example
    assert rollout_of({"output": "", "test_options": {"precision": 2}}, where="x:1").example.meta["precision"] == 2
    assert (example.meta["image_size"], example.meta["precision"], example.meta["box"]) == ([4, 3], 2, [0, 0, 1, 1])
