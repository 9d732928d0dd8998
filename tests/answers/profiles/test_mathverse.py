"""MathVerse by rules: what its judge is told to accept (evaluation/prompts.py), worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles import find
from vlmpost.answers.profiles.mathverse import mathverse, parse_choices
from vlmpost.answers.reference import Reference
from vlmpost.records import AnswerType

QUESTION = "As shown in the figure, find x.\nChoices:\nA:30\u00b0\nB:45\u00b0\nC:60\u00b0\nD:70\u00b0"
AREA = r"Area $=113.1 \mathrm{~cm}^{2}$"

FREE = [
    ("675 m", "The distance is 675 metres.", "correct"),
    ("675 m", "0.675 km", "correct"),
    ("675 m", "675 km", "wrong"),
    ("675 m", "676", "wrong"),
    ("0.5 m", "50 cm", "correct"),
    (AREA, r"\boxed{113.1 \text{ cm}^2}", "correct"),
    (AREA, "The area is 113.097 cm^2.", "correct"),
    (AREA, "The area is 112 cm^2.", "wrong"),
    ("11.8", "11.79", "correct"),
    ("11.8", "11.9", "wrong"),
    ("14", "15", "wrong"),
    ("$5=s$", "s = 5", "correct"),
    (r"62^\circ ", "62 degrees", "correct"),
    ("35\u63b3", "35\u00b0", "correct"),
    ("35\u63b3", r"\boxed{35}", "correct"),
    (r"S 23.5 ^\circ W", "The bearing is S 23.5\u00b0 W.", "correct"),
    (r"S 23.5 ^\circ W", r"\boxed{S23.5^\circ W}", "correct"),
    (r"S 23.5 ^\circ W", "N 23.5\u00b0 W", "wrong"),
    ("118\u63b3T", "The true bearing is 118\u00b0.", "correct"),
    ("118\u63b3T", "118\u00b0T", "correct"),
    ("090\u00b0T", "90\u00b0 T", "correct"),
    ("118\u63b3T", "181\u00b0T", "wrong"),
    ("N 34\u00b0 W", "326\u00b0 T", "correct"),
    ("(0,0)", "(0, 0)", "correct"),
    ("(-2,1]", "(-2,1)", "wrong"),
    ("y=-2 x+5", "The equation is $y = 5 - 2x$.", "correct"),
    ("Bugs Bunny", "Bugs Bunny", "correct"),
    ("even", "The function is odd.", "uncertain"),
    ("N 34\u00b0 W", "", "unparsed"),
    ("7", "I cannot see the figure.", "refusal"),
]

CHOICES = [
    ("C", "C", "correct"),
    ("(C)", "The answer is C.", "correct"),
    ("C", "C:60\u00b0", "correct"),
    ("C", r"\boxed{60^\circ}", "correct"),
    ("C", "B", "wrong"),
    ("C", "So the angle is 45\u00b0", "wrong"),
    ("C\nD", "C and D", "correct"),
    ("C\nD", "D, C", "correct"),
    ("C\nD", "C", "wrong"),
]


@pytest.mark.parametrize(("gold", "text", "outcome"), FREE)
def test_free_answers_are_compared_by_meaning(gold: str, text: str, outcome: str) -> None:
    assert mathverse(text, Reference(gold, "latex", kind="free-form")).outcome == outcome


@pytest.mark.parametrize(("gold", "text", "outcome"), CHOICES)
@pytest.mark.parametrize(("answer_type", "kind"), [("choice", ""), ("text", "multi-choice")])
def test_options_are_read_out_of_the_question(gold: str, text: str, outcome: str, answer_type: AnswerType, kind: str) -> None:
    assert mathverse(text, Reference(gold, answer_type, kind=kind, question=QUESTION)).outcome == outcome


def test_an_option_named_by_its_text_is_its_letter() -> None:
    reference = Reference("False", kind="multi-choice", question="True or false?\nChoice:\nA. True\nB. False")
    assert mathverse("B", reference).correct
    assert not mathverse("A", reference).correct


def test_a_letter_counts_where_the_question_shows_no_options() -> None:
    reference = Reference("B", "choice", question="Look at the picture.")
    assert mathverse(r"\boxed{B}", reference).correct
    assert mathverse(r"\boxed{C}", reference).outcome == "wrong"


@pytest.mark.parametrize(
    ("question", "choices"),
    [
        (QUESTION, ("30\u00b0", "45\u00b0", "60\u00b0", "70\u00b0")),
        ("How many?\nChoices:\nA.Ten\nB.Nine\nC.Eight", ("Ten", "Nine", "Eight")),
        ("Pick: (A) 1 (B) 2 (C) 3", ("1", "2", "3")),
        ("Choose 1 answer:\nChoices:\nA:Point A: left\nB:Point B: right", ("Point A: left", "Point B: right")),
        ("Find angle A: it is in triangle ABC.", ()),
        ("", ()),
    ],
)
def test_choices_are_parsed_in_order(question: str, choices: tuple[str, ...]) -> None:
    assert parse_choices(question) == choices


def test_the_profile_is_found_by_name_and_says_whose_rules_it_follows() -> None:
    assert "MathVerse" in find("mathverse").meaning


@given(st.integers(1, 10**5), st.integers(1, 99))
def test_decimals_are_right_to_the_printed_digits_or_a_thousandth(whole: int, hundredths: int) -> None:
    gold = f"{whole}.{hundredths:02d}"
    assert mathverse(f"The length is {gold} cm.", Reference(f"{gold} cm", "latex")).correct
    assert not mathverse(f"The length is {2 * whole + 1}.{hundredths:02d} cm.", Reference(f"{gold} cm", "latex")).correct


@given(st.text(max_size=120))
def test_any_text_gives_a_verdict_with_a_span_inside_it(text: str) -> None:
    for reference in (Reference("S 23.5 W"), Reference("C", "choice", question=QUESTION), Reference("4.6 m")):
        verdict = mathverse(text, reference)
        if verdict.span is not None:
            assert 0 <= verdict.span[0] <= verdict.span[1] <= len(text)
