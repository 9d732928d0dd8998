"""GSM8K's rule: the number after the first "####" (or "A: "), compared by value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles.gsm8k import gsm8k
from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError

CASES = [
    ("2+16=18\n#### 18", "18", "correct"),
    ("2+16=18\nA: 18", "18", "correct"),
    ("#### 18 eggs", "18", "correct"),
    ("#### 18\n\nQ: next one?\n#### 5", "18", "correct"),  # the first one
    ("A: 5\n#### 18", "18", "correct"),  # "####" beats "A:"
    ("At Job A: 5 hours\nA: 18", "18", "correct"),  # "A:" opens its line
    ("#### 1,800", "1800", "correct"),
    ("#### $18", "18", "correct"),
    ("#### 18.00", "18", "correct"),
    ("#### 18.", "18", "correct"),
    ("#### 018", "18", "correct"),
    ("#### -18", "-18", "correct"),
    ("#### -$18", "-18", "correct"),
    ("#### -0", "0", "correct"),
    ("#### 0.5", ".5", "correct"),
    ("#### 18.5", "18", "wrong"),
    ("#### -18", "18", "wrong"),
    ("#### 1.8.0", "18", "wrong"),
    ("####18", "18", "unparsed"),  # a blank belongs to it
    ("#### none", "18", "unparsed"),
    ("#### ...", "18", "unparsed"),
    ("The answer is 18", "18", "unparsed"),
    ("", "18", "unparsed"),
]


@pytest.mark.parametrize(("text", "gold", "outcome"), CASES)
def test_the_number_after_the_mark_decides(text: str, gold: str, outcome: str) -> None:
    verdict = gsm8k(text, Reference(gold, "number"))
    assert verdict.outcome == outcome
    if verdict.span:
        assert text[slice(*verdict.span)] == verdict.extracted


def test_the_gold_may_be_the_whole_solution_of_the_data_set() -> None:
    assert gsm8k("#### 18", Reference("He sells 9.\n9 * 2 = <<9*2=18>>18\n#### 18")).correct


def test_a_gold_without_a_number_is_an_error() -> None:
    with pytest.raises(GraderError, match="is not a number"):
        gsm8k("#### 18", Reference("eighteen"))


@given(st.integers(-(10**12), 10**12))
def test_every_writing_of_an_integer_is_the_same_number_and_the_next_one_is_not(number: int) -> None:
    for written in (f"{number}", f"{number:,}", f"{number}.0"):
        assert gsm8k(f"so\n#### {written}\n", Reference(str(number), "number")).correct
        assert gsm8k(f"so\n#### {written}", Reference(str(number + 1), "number")).outcome == "wrong"


def test_a_number_of_a_million_digits_is_compared_and_breaks_nothing() -> None:
    digits = "7" * 10**6
    assert gsm8k(f"#### {digits}", Reference(digits)).correct
    assert gsm8k(f"#### {digits}8", Reference(digits)).outcome == "wrong"
