"""Answers get their kind, letters their options."""

from __future__ import annotations

import pytest

from vlmpost.data import gold
from vlmpost.data.ledger import RowFault


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("60", "number"),
        ("-3.5", "number"),
        ("1,024", "number"),
        ("025", "number"),
        ("1e-3", "number"),
        (".5", "number"),
        ("3/4", "latex"),
        ("$5$", "latex"),
        (r"\frac{1}{2}", "latex"),
        ("x=5", "latex"),
        ("(2,4)", "latex"),
        ("1+2i", "latex"),
        ("15x - 80", "latex"),
        ("blue", "text"),
        ("True", "text"),
        ("5 cm", "text"),
        ("12:30", "text"),
        ("A", "text"),
        (".", "text"),
        ("e5", "latex"),
        ("5-20-98", "text"),
        ("(410) 955-9253", "text"),
        ("J-062", "text"),
        ("(c)", "text"),
        ("[1, 2]", "latex"),
        ("p - q", "latex"),
        ("3, 5, 7", "latex"),
    ],
)
def test_free_answers_have_the_kind_of_their_signs(answer: str, kind: str) -> None:
    assert gold.gold(answer, choices=(), question="?").answer_type == kind


@pytest.mark.parametrize("value", [["1", "5"], "['1', '5']", '["1", "5"]', {"A": "1", "B": "5"}, ("1", "5"), [1, 5.0]])
def test_options_in_every_form_are_the_same_texts(value: object) -> None:
    assert gold.options(value) == ("1", "5")


@pytest.mark.parametrize("value", [None, [], "", "[]", {}, {"A": "", "B": None}])
def test_no_options_are_no_options(value: object) -> None:
    assert gold.options(value) == ()


def test_options_named_none_and_na_are_options() -> None:
    assert gold.options({"A": "None", "B": "NA", "C": "null"}) == ("None", "NA", "null")


def test_a_gap_between_letters_is_a_fault() -> None:
    with pytest.raises(RowFault, match="options have a gap: A, C"):
        gold.options({"A": "x", "B": "", "C": "z"})


def test_text_that_is_no_list_is_a_fault_and_never_evaluated() -> None:
    with pytest.raises(RowFault, match="options are not a list"):
        gold.options("[__import__('os').getcwd()]")


@pytest.mark.parametrize("answer", ["B", "(B)", "B.", "(B).", "5"])
def test_a_letter_and_an_options_text_mean_the_letter(answer: str) -> None:
    found = gold.gold(answer, choices=("1", "5"), question="?")
    assert (found.answer, found.answer_type) == ("B", "choice")


@pytest.mark.parametrize("answer", ["C", "9", "b"])
def test_an_answer_that_is_no_option_is_a_fault(answer: str) -> None:
    with pytest.raises(RowFault, match="answer without an option"):
        gold.gold(answer, choices=("1", "5"), question="?")


def test_an_answer_that_names_two_options_is_a_fault() -> None:
    with pytest.raises(RowFault, match="letter of option A and the text of option B"):
        gold.gold("A", choices=("B", "A"), question="?")


def test_equal_options_are_noted_and_a_letter_decides_between_them() -> None:
    assert gold.gold("x", choices=("y", "x", "x"), question="?").answer == "B"
    assert gold.gold("x", choices=("y", "x", "x"), question="?").notes == (gold.NOTE_EQUAL_OPTIONS,)


def test_options_printed_in_the_figure_are_their_own_letters() -> None:
    assert gold.gold("D", choices=tuple("ABCDE"), question="?").answer == "D"
    assert gold.option_lines(tuple("ABCDE"), question="Which?") == ""


def test_a_letter_without_options_is_a_choice_if_the_question_prints_labels() -> None:
    assert gold.gold("B", choices=(), question="Angle?\nChoices:\nA:40\nB:50").answer_type == "choice"
    assert gold.gold("B", choices=(), question="Which side?").answer_type == "text"
    assert gold.gold("B", choices=(), question="Which?", kind="multi-choice").answer_type == "choice"


def test_a_row_without_an_answer_has_none() -> None:
    assert gold.gold(None, choices=("1", "5"), question="?") == gold.Gold(None, "choice")
    assert gold.gold("  ", choices=(), question="?") == gold.Gold(None, "text")


def test_of_several_accepted_answers_the_first_is_the_reference() -> None:
    for value in (["42", "forty-two"], "['42', 'forty-two']"):
        found = gold.gold(value, choices=(), question="?")
        assert (found.answer, found.answer_type, found.accepted) == ("42", "number", ("42", "forty-two"))
        assert found.notes == (gold.NOTE_ACCEPTED,)


def test_options_are_written_under_a_question_that_lacks_them() -> None:
    assert gold.option_lines(("red", "blue"), question="Colour?") == "\n(A) red\n(B) blue"
    assert gold.option_lines(("red", "blue"), question="Colour?\n(A) red (B) blue") == ""
    assert gold.option_lines(("red", "blue"), question="Colour? A. red B. blue") == ""


def test_points_named_like_options_do_not_hide_the_options() -> None:
    assert gold.option_lines(("3 m", "4 m"), question="Go from A. Stop at B. How far?") == "\n(A) 3 m\n(B) 4 m"


def test_numbers_and_blanks_around_answers_are_plain() -> None:
    assert gold.gold(60, choices=(), question="?").answer == "60"
    assert gold.gold(3.0, choices=(), question="?").answer == "3"
    assert gold.gold("11 ", choices=(), question="?").answer == "11"
    assert gold.gold("\x0c7", choices=(), question="?").answer == "7"
    assert gold.gold(True, choices=(), question="?").answer == "True"
