"""Statements that repeat a yes-or-no question, worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles.mathvista import mathvista
from vlmpost.answers.profiles.mathvista_polar import polar_options, restated
from vlmpost.answers.reference import Reference

LARGER = "Is the number of red cars larger than the number of blue trucks?"


@pytest.mark.parametrize(
    ("question", "sentence", "said"),
    [
        (LARGER, "The number of red cars is larger than the number of blue trucks", True),
        (LARGER, "The number of red cars is smaller than the number of blue trucks", False),
        (LARGER, "The number of red cars is not larger than the number of blue trucks", False),
        (LARGER, "The number of red cars is not smaller than the number of blue trucks", True),
        (LARGER, "Based on the image, the number of red cars is larger than the number of blue trucks", True),
        (LARGER, "The number of blue trucks is larger than the number of red cars", None),
        (LARGER, "The number of red cars is larger", None),
        (LARGER, "If the number of red cars is larger than the number of blue trucks, it is so", None),
        (LARGER, "Is the number of red cars larger than the number of blue trucks?", None),
        (LARGER, "I do not know", None),
        (LARGER, "", None),
        ("Are there fewer cats than dogs?", "There are more cats than dogs in the picture", False),
        ("Is this an odd function?", "def is_odd_function(f):", None),
        ("Hint: answer.\nQuestion: Is Aqua the roughest?\nChoices:\n(A) yes\n(B) no", "Aqua is the roughest", True),
        ("", "Aqua is the roughest", None),
    ],
)
def test_a_statement_answers_the_question_that_it_repeats(question: str, sentence: str, said: bool | None) -> None:
    assert restated(question, sentence) is said


@pytest.mark.parametrize(
    ("choices", "options"),
    [(("Yes", "No"), (True, False)), (("false", "true"), (False, True)), (("yes", "maybe"), ()), (("A", "B"), ()), ((), ())],
)
def test_options_are_polar_only_where_all_say_yes_or_no(choices: tuple[str, ...], options: tuple[bool, ...]) -> None:
    assert polar_options(choices) == options


def test_the_profile_uses_it_where_nothing_else_was_read() -> None:
    reference = Reference("No", "choice", ("Yes", "No"), question=LARGER)
    assert mathvista("The number of red cars is smaller than the number of blue trucks.", reference).outcome == "correct"
    assert mathvista("The number of red cars is larger than the number of blue trucks.", reference).outcome == "wrong"
    assert mathvista("The number of red cars is larger than the number of blue trucks?", reference).outcome == "unparsed"
    assert mathvista("The number of red cars is larger than the number of blue trucks. No.", reference).rule != "restated_question"


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_question_and_sentence_give_yes_no_or_nothing(question: str, sentence: str) -> None:
    assert restated(question, sentence) in (True, False, None)
