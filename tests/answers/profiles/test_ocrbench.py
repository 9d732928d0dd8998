"""OCRBench's substring rule, worked by hand from OCRBench/example.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles import find
from vlmpost.answers.profiles.ocrbench import ocrbench
from vlmpost.answers.reference import Reference

CASES = [
    ("CENTRE", "", "The text reads: centre.", "correct"),
    ("CENTRE", "", "cent re", "wrong"),
    ("12", "", "3126", "correct"),
    ("Main Street", "", "MAIN\nSTREET 5", "correct"),
    ("Main\nStreet", "", "main street", "correct"),
    ("Main Street", "", "main  street", "wrong"),
    (" 7 ", "", "7", "correct"),
    (r"\frac { 1 } { 2 }", "HME100k", r"\frac{1}{2}", "correct"),
    (r"x ^ { 2 }", "HME100k", r"$x^{2} + 1$", "correct"),
    (r"X ^ { 2 }", "HME100k", r"x^{2}", "wrong"),
    (r"x ^ { 2 }", "", r"x^{2}", "wrong"),
    ("CENTRE", "", "  \n", "unparsed"),
]


@pytest.mark.parametrize(("gold", "dataset", "text", "outcome"), CASES)
def test_an_answer_is_right_when_it_is_part_of_the_text(gold: str, dataset: str, text: str, outcome: str) -> None:
    assert ocrbench(text, Reference(gold, dataset=dataset)).outcome == outcome


def test_any_accepted_answer_counts() -> None:
    reference = Reference("$5.00", accepted=("5.00", "5 dollars"))
    assert ocrbench("It costs 5 Dollars", reference).correct
    assert not ocrbench("It costs 5 euros", reference).correct


def test_an_empty_accepted_answer_is_not_found_in_every_text() -> None:
    assert not ocrbench("anything", Reference("cat", accepted=(" ",))).correct


def test_the_kind_of_question_may_say_that_blanks_do_not_count() -> None:
    reference = Reference("a + b", kind="Handwritten Mathematical Expression Recognition")
    assert ocrbench("a+b", reference).correct


def test_the_span_marks_the_answer_in_the_text_as_given() -> None:
    text = "It says\nMAIN\nSTREET."
    verdict = ocrbench(text, Reference("Main Street"))
    assert verdict.span == (8, 19)
    assert verdict.extracted == "MAIN\nSTREET"
    spaced = ocrbench("so x ^ {2} is it", Reference("x^{2}", dataset="HME100k"))
    assert spaced.extracted == "x ^ {2}"


def test_the_profile_is_found_by_name_and_says_whose_rules_it_follows() -> None:
    assert "OCRBench" in find("ocrbench").meaning


@given(st.text(max_size=60), st.text(min_size=1, max_size=8), st.text(max_size=60), st.sampled_from(["", "HME100k"]))
def test_a_text_around_an_answer_keeps_it_right_and_the_span_is_inside_the_text(before: str, answer: str, after: str, dataset: str) -> None:
    lower = answer.lower()
    verdict = ocrbench(f"{before}|{lower}|{after}", Reference(f"|{lower}|", dataset=dataset))
    assert verdict.correct
    assert verdict.span is not None
    assert verdict.extracted == f"{before}|{lower}|{after}"[slice(*verdict.span)]
