"""MMLU-Pro's three patterns, in their order, without the random letter."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles.mmlu_pro import mmlu_pro
from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError

TEN = tuple(f"option text {number}" for number in range(10))
QUESTION = Reference("H", "choice", TEN, id="70")

CASES = [
    ("The answer is (H).", "H", "answer_is"),
    ("The answer is H", "H", "answer_is"),
    ("The answer is (A).The answer is (H).", "A", "answer_is"),  # the first one
    ("answer is: H", "H", "last_letter"),
    ("The Answer is (H)", "H", "last_letter"),  # case counts in "answer is"
    ("Answer: H. Answer: B\nAnswer: C", "B", "answer_colon"),  # the last one of the first line that has one
    ("Answer:\n\nH", "H", "answer_colon"),
    ("answer: answer: B", "B", "answer_colon"),
    ("Answer: Answer: B", "B", "answer_colon"),  # the A of the second word is not the letter
    ("Answer: Both", "B", "answer_colon"),  # no boundary after the letter
    ("So H, then J.", "J", "last_letter"),
    ("H is it. I am sure", "I", "last_letter"),  # the pronoun is a letter
    ("H2O or HCl", None, "no_option"),
    ("\\boxed{H}", "H", "last_letter"),
    ("h", None, "no_option"),
    ("", None, "no_option"),
]


@pytest.mark.parametrize(("text", "letter", "rule"), CASES)
def test_the_patterns_apply_in_their_order(text: str, letter: str | None, rule: str) -> None:
    verdict = mmlu_pro(text, QUESTION)
    assert (verdict.extracted, verdict.rule) == (letter, rule)
    assert verdict.outcome == ("unparsed" if letter is None else "correct" if letter == "H" else "wrong")
    if verdict.span:
        assert text[slice(*verdict.span)] == letter


def test_option_texts_are_not_needed() -> None:
    assert mmlu_pro("The answer is (J).", Reference("J", "choice")).correct


def test_a_letter_beyond_the_options_is_wrong_and_not_an_error() -> None:
    assert mmlu_pro("The answer is (J).", Reference("A", "choice", ("yes", "no"))).outcome == "wrong"


def test_a_random_letter_is_one_of_the_options() -> None:
    drawn = {mmlu_pro("?", Reference("A", "choice", ("x", "y", "z"), id=str(n)), unparsed="random").extracted for n in range(60)}
    assert drawn == {"A", "B", "C"}
    assert len({mmlu_pro("?", Reference("A", "choice", id=str(n)), unparsed="random").extracted for n in range(200)}) == 10
    with pytest.raises(GraderError, match="set `id`"):
        mmlu_pro("?", Reference("A", "choice"), unparsed="random")


@given(st.text(alphabet="ABCJanswer is:()\n x1", max_size=50), st.integers(0, 9000))
def test_the_last_letter_is_found_behind_any_length_of_text_without_one(text: str, length: int) -> None:
    found = mmlu_pro(text, QUESTION)
    if found.rule == "last_letter":
        longer = mmlu_pro(f"{text} {'-' * length}", QUESTION)
        assert (longer.extracted, longer.span) == (found.extracted, found.span)


@pytest.mark.parametrize("text", ["Answer: " * 125_000, "Answer:" + " " * 10**6, "A " * 500_000, "x" * 10**6, "answer is " * 100_000])
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    begin = time.process_time()
    mmlu_pro(text, QUESTION)
    assert time.process_time() - begin < 5
