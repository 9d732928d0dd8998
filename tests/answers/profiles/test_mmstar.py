"""MMStar's rule: the letter opens the answer, or it is not read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles.mmstar import mmstar
from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError

OPENINGS = [
    ("B", "B"),
    ("b", "B"),
    (" \nB: green", "B"),
    ("(B) green", "B"),
    ("Option B", "B"),
    ("The answer is B.", "B"),
    ("the answer is\nB", "B"),  # a line end is a blank
    ("blue", "B"),  # any word that begins with a letter of the options
    ("A cat", "A"),
    ("The answer is (B)", None),
    ("option (B)", None),
    ("So the answer is B", None),
    ("**B**", None),
    ("E", None),
    ("(", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "letter"), OPENINGS)
def test_only_an_opening_letter_is_read(text: str, letter: str | None) -> None:
    verdict = mmstar(text, Reference("B", "choice"))
    assert verdict.extracted == letter
    assert verdict.outcome == ("unparsed" if letter is None else "correct" if letter == "B" else "wrong")
    if verdict.span:
        assert text[slice(*verdict.span)].upper() == letter


def test_a_gold_may_be_the_text_of_an_option() -> None:
    assert mmstar("B", Reference("green", "choice", ("red", "green"))).correct
    assert mmstar("C", Reference("green", "choice", ("red", "green"))).outcome == "unparsed"


def test_a_gold_that_is_no_option_is_an_error() -> None:
    with pytest.raises(GraderError, match="neither an option letter"):
        mmstar("B", Reference("violet", "choice", ("red", "green")))


@given(st.text(max_size=30))
def test_what_is_read_is_one_of_four_letters(text: str) -> None:
    verdict = mmstar(text, Reference("A", "choice"))
    assert verdict.extracted in (None, "A", "B", "C", "D")
    assert verdict.correct == (verdict.extracted == "A")
