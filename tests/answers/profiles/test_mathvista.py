"""MathVista's two profiles, worked by hand from evaluation/calculate_score.py; all texts are made up here."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles import find
from vlmpost.answers.profiles.mathvista import mathvista, mathvista_official
from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError

BIRDS = Reference("heron", "choice", ("gull", "heron", "wren"), kind="text")
COUNT = Reference("7", "number", kind="integer", precision=None)
LENGTH = Reference("1.2", "number", kind="float", precision=1)
YEARS = Reference("[2007, 2008]", "text", kind="list")

READ = [
    (BIRDS, "B", "correct"),
    (BIRDS, "The answer is (B) heron.", "correct"),
    (BIRDS, "heron", "correct"),
    (BIRDS, "It is a heron.", "correct"),
    (BIRDS, "(A) gull", "wrong"),
    (BIRDS, "It cannot be determined. Therefore, the likeliest option is (B) heron.", "correct"),
    (BIRDS, "D) Heron, it is the only bird with long legs. The others have short ones.", "correct"),
    (BIRDS, "(D) heron\n(E) wren", "unparsed"),
    (BIRDS, "", "unparsed"),
    (COUNT, "7", "correct"),
    (COUNT, "There are seven birds.", "correct"),
    (COUNT, "7.0", "correct"),
    (COUNT, "7.4", "wrong"),
    (COUNT, "So, there are 7 birds that have exactly 2 eggs.", "correct"),
    (COUNT, "The total is **7**. In the year 2009 it was less.\n\nLast year there were 12.", "correct"),
    (COUNT, "I count 3 + 4 = 7 birds.\n\nDo you have other questions for me?", "correct"),
    (COUNT, "The text does not provide information on how many of the 7 birds fly.", "refusal"),
    (COUNT, "1. Gulls: 3\n2. Herons: 5\n3. Wrens: 7", "unparsed"),
    (LENGTH, "The length is 1.2 m.", "correct"),
    (LENGTH, "The length is 1.21 m.", "correct"),
    (LENGTH, "The length is 1.26 m.", "wrong"),
    (LENGTH, "1", "wrong"),
    (Reference("0.8", "number", kind="float", precision=1), "So the share is three of four, or 75%.", "correct"),
    (Reference("0.12", "number", kind="float", precision=2), "0.125", "correct"),
    (Reference("0.14", "number", kind="float", precision=2), "0.135", "correct"),
    (YEARS, "The list is [2007, 2008].", "correct"),
    (YEARS, "It rose most between 2007 and 2008.", "correct"),
    (YEARS, "[2008, 2007]", "wrong"),
    (YEARS, "[2007.0, 2008.0]", "correct"),
    (YEARS, "No list.", "unparsed"),
]

OFFICIAL = [
    (BIRDS, "B", "correct", "heron"),
    (BIRDS, "(b) heron", "correct", "heron"),
    (BIRDS, "b", "wrong", "gull"),
    (BIRDS, "herons", "correct", "heron"),
    (BIRDS, "", "wrong", "gull"),
    (BIRDS, "(Z)", "wrong", "gull"),
    (BIRDS, 'The answer is "heron".', "correct", "heron"),
    (COUNT, "7", "correct", "7"),
    (COUNT, " 7.9 ", "correct", "7"),
    (COUNT, "7 birds", "wrong", None),
    (COUNT, "inf", "wrong", None),
    (COUNT, "nan", "wrong", None),
    (Reference("-1", "number", kind="integer"), "-1.9", "correct", "-1"),
    (LENGTH, "1.24", "correct", "1.2"),
    (LENGTH, "1.26", "wrong", "1.3"),
    (Reference("10.0", "number", kind="float", precision=1), "10", "correct", "10.0"),
    (YEARS, "[2007, 2008]", "correct", "[2007, 2008]"),
    (YEARS, "[2007,2008]", "wrong", "[2007,2008]"),
]


@pytest.mark.parametrize(("reference", "text", "outcome"), READ)
def test_responses_are_read_by_rules_and_compared_strictly(reference: Reference, text: str, outcome: str) -> None:
    assert mathvista(text, reference).outcome == outcome


@pytest.mark.parametrize(("reference", "text", "outcome", "prediction"), OFFICIAL)
def test_extractions_are_normalised_and_compared_as_the_script_does(
    reference: Reference, text: str, outcome: str, prediction: str | None
) -> None:
    verdict = mathvista_official(text, reference)
    assert (verdict.outcome, verdict.normalised) == (outcome, prediction)


def test_the_answer_may_be_the_letter_or_the_text_of_an_option() -> None:
    by_letter = Reference("B", "choice", BIRDS.choices)
    for profile in (mathvista, mathvista_official):
        assert profile("B", by_letter).correct
        assert not profile("A", by_letter).correct


def test_an_answer_that_is_an_option_text_and_a_letter_is_the_text() -> None:
    reference = Reference("A", "choice", ("C", "A", "B"))
    assert mathvista_official("B", reference).correct
    assert mathvista(r"\boxed{B}", reference).correct


def test_equal_options_are_equally_right() -> None:
    reference = Reference("5", "choice", ("4", "5", "5", "6"))
    for letter in "BC":
        assert mathvista(f"The answer is ({letter}).", reference).correct
        assert mathvista_official(letter, reference).correct


def test_an_answer_that_is_no_option_is_an_error() -> None:
    with pytest.raises(GraderError, match="robin"):
        mathvista("A", Reference("robin", "choice", BIRDS.choices))


def test_a_refusal_is_credited_by_distance_only_by_the_official_script() -> None:
    text = "There is no answer provided."
    reference = Reference("A", "choice", ("A", "B"))
    assert mathvista_official(text, reference).correct
    assert not mathvista(text, reference).correct


def test_a_long_response_is_no_extraction_and_is_read_by_rules() -> None:
    thought = "The bird stands in the water and looks for fish. " * 30
    assert mathvista_official(f"{thought}\n\nThe answer is (B) heron.", BIRDS).correct
    assert mathvista_official(f"{thought}\n\nI like it.", BIRDS).outcome == "unparsed"
    assert mathvista_official(f"{thought}\n\nThere are 7 of them.", COUNT).correct


def test_a_missing_kind_and_precision_are_read_off_the_answer() -> None:
    assert mathvista("2.54", Reference("2.5", "number")).correct
    assert mathvista_official("2.54", Reference("2.5", "number")).correct
    assert mathvista_official("3.9", Reference("3", "number")).correct
    assert mathvista("[1, 2]", Reference("[1, 2]")).correct


def test_a_number_in_a_long_response_is_cut_off_like_an_extraction() -> None:
    thought = "The bird stands in the water and looks for fish. " * 30
    assert mathvista_official(f"{thought}\n\nThe answer is 7.9 birds.", COUNT).correct
    assert mathvista_official(f"{thought}\n\nThe answer is -0.4 m.", Reference("-0.4", "number", kind="float", precision=1)).correct
    assert mathvista_official(f"{thought}\n\nThe years are [2007, 2008].", YEARS).correct


def test_the_normalised_form_is_the_same_for_equal_answers() -> None:
    assert mathvista("(B)", BIRDS).normalised == mathvista("It is a heron.", BIRDS).normalised == "B"
    assert mathvista("7.0", COUNT).normalised == mathvista("seven", COUNT).normalised == "7"
    assert mathvista("1.21 m", LENGTH).normalised == mathvista("1.2", LENGTH).normalised == "1.2"


@pytest.mark.parametrize(
    "text",
    ["[" * 10**6, 'The answer is "' * 10**5, "between 1 and " * 10**5, "1. x\n" * 10**5, "is **1" * 10**5, "(A) " * 10**5, "1," * 10**6],
    ids=["brackets", "quotes", "between", "items", "bold", "letters", "numbers"],
)
def test_long_texts_take_time_in_proportion_to_their_length(text: str) -> None:
    started = time.process_time()
    for reference in (BIRDS, COUNT, YEARS):
        mathvista(text, reference)
        mathvista_official(text, reference)
    assert time.process_time() - started < 10


@pytest.mark.parametrize("name", ["mathvista", "mathvista_official"])
def test_the_profiles_are_found_by_name_and_say_whose_rules_they_follow(name: str) -> None:
    assert "MathVista" in find(name).meaning


@given(st.text(max_size=100))
def test_any_text_gives_a_verdict_with_a_span_inside_it(text: str) -> None:
    for reference in (BIRDS, COUNT, LENGTH, YEARS):
        for profile in (mathvista, mathvista_official):
            span = profile(text, reference).span
            assert span is None or 0 <= span[0] <= span[1] <= len(text)
