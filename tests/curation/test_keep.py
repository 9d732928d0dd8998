from __future__ import annotations

import pytest

from vlmpost.config.curate import KeepConfig
from vlmpost.curation.keep import in_order, in_turn
from vlmpost.curation.records import Answer, Candidate
from vlmpost.records import Example, Message

QUESTION = Example("q", "task", (Message("user", ("How many?",)),))


def candidates(*lengths: int) -> list[Candidate]:
    """Answers of so many tokens, in the order of their numbers."""
    return [Candidate(QUESTION, number, Answer("", length, "stop", "t"), None, 0) for number, length in enumerate(lengths)]


def order(which: str, given: list[Candidate], *, seed: int = 0) -> list[int]:
    config = KeepConfig.model_validate({"which": which})
    return [one.sample for one in in_order(given, config, seed=seed, length_of=lambda one: one.answer.num_tokens or 0)]


@pytest.mark.parametrize(
    ("which", "expected"),
    [("all", [0, 1, 2, 3]), ("shortest", [1, 3, 0, 2]), ("longest", [0, 2, 1, 3])],
)
def test_answers_are_taken_by_length_and_then_by_number(which: str, expected: list[int]) -> None:
    given = candidates(7, 2, 7, 2)
    assert order(which, given) == expected
    assert order(which, given[::-1]) == expected


def test_a_random_order_depends_on_the_seed_alone() -> None:
    given = candidates(*range(8))
    assert order("random", given) == order("random", given[::-1])
    orders = {tuple(order("random", given, seed=seed)) for seed in range(20)}
    assert len(orders) > 15
    assert all(sorted(found) == list(range(8)) for found in orders)


def test_an_answer_keeps_its_place_in_a_random_order_whoever_else_passed() -> None:
    given = candidates(*range(8))
    fewer = [number for number in order("random", given) if number % 2]
    assert order("random", given[1::2]) == fewer


def test_rows_are_taken_question_by_question_in_turn() -> None:
    # First answers of all: 3 rows; second ones: questions 0 and 2; third: question 0.
    assert in_turn([3, 1, 2], max_rows=5) == [2, 1, 2]
    assert in_turn([3, 1, 2], max_rows=2) == [1, 1, 0]
    assert in_turn([3, 1, 2], max_rows=None) == [3, 1, 2]
    assert in_turn([0, 1], max_rows=1) == [0, 1]
    assert in_turn([], max_rows=3) == []
