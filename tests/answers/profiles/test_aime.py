"""AIME: an integer from 0 to 999 in the last box, after "Answer:" or between dollar signs; leading zeros mean nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles.aime import aime
from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError

CASES = [
    (r"\boxed{25}", "025", "correct", "last_box"),
    (r"\boxed{025}", "25", "correct", "last_box"),
    (r"so \boxed{24}, no, \boxed{25}", "25", "correct", "last_box"),
    (r"\fbox{25}", "25", "correct", "last_box"),
    (r"It is $\boxed 25$.", "25", "correct", "last_box"),
    (r"\boxed{x = 25}", "25", "correct", "last_box"),
    (r"\boxed{25^\circ}", "25", "correct", "last_box"),
    (r"\boxed{25 \text{ cm}^2}", "25", "correct", "last_box"),
    (r"\boxed{\textbf{25.}}", "25", "correct", "last_box"),
    (r"\boxed{1025}", "25", "wrong", "last_box"),
    (r"\boxed{-25}", "25", "wrong", "last_box"),
    (r"\boxed{25.0}", "25", "wrong", "last_box"),
    (r"\boxed{\frac{50}{2}}", "25", "wrong", "last_box"),
    (r"\boxed{}", "25", "wrong", "last_box"),
    ("Answer: 25", "25", "correct", "answer_line"),
    ("Answer: 24\n...\n**ANSWER :** 025\nbye", "25", "correct", "answer_line"),
    ("Final answer:\n\n$25$", "25", "correct", "answer_line"),
    (r"Answer: 24 but \boxed{25}", "25", "correct", "last_box"),  # a box beats a line
    ("Answer: 25 or 26", "25", "wrong", "answer_line"),
    ("so $25$", "25", "correct", "dollar_signs"),
    ("$x$ is $25$", "25", "unparsed", "dollar_signs"),  # the first to the last
    ("025", "25", "correct", "whole_text"),
    ("the answer is 25", "25", "unparsed", "whole_text"),
    (r"\boxed{25", "25", "unparsed", "whole_text"),
    ("", "25", "unparsed", "whole_text"),
]


@pytest.mark.parametrize(("text", "gold", "outcome", "rule"), CASES)
def test_the_first_place_that_is_there_decides(text: str, gold: str, outcome: str, rule: str) -> None:
    verdict = aime(text, Reference(gold, "number"))
    assert (verdict.outcome, verdict.rule) == (outcome, rule)
    if verdict.span and verdict.extracted:
        assert text[slice(*verdict.span)].strip() == verdict.extracted


@pytest.mark.parametrize("gold", ["1000", "-1", "2.5", "x", ""])
def test_a_gold_that_is_no_answer_of_aime_is_an_error(gold: str) -> None:
    with pytest.raises(GraderError, match="integer from 0 to 999"):
        aime(r"\boxed{25}", Reference(gold, "number"))


@given(st.integers(0, 999), st.integers(0, 999), st.sampled_from([r"\boxed{{{}}}", "Answer: {}", "so ${}$", r"Thus $\boxed{{ {} }}$."]))
def test_the_integer_is_equal_in_any_place_and_with_any_leading_zeros(number: int, gold: int, place: str) -> None:
    for written in (str(number), f"{number:03d}", f"00{number}"):
        verdict = aime(place.format(written), Reference(f"{gold:03d}", "number"))
        assert verdict.correct == (number == gold)
        assert verdict.normalised == str(number)
