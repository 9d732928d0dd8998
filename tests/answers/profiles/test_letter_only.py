"""VLMEvalKit's option rule: a lone letter near the end, "answer is X", one option's text; else no opinion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles.letter_only import letter_only
from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError

COLORS = ("red", "green", "blue", "dark blue")
QUESTION = Reference("B", "choice", COLORS)

CASES = [
    ("B", "B", "lone_letter"),
    ("(B)", "B", "lone_letter"),
    ("**B**", "B", "lone_letter"),
    ("\\boxed{B}", "B", "lone_letter"),
    ("$B$", None, "no_option"),
    ("<answer>B</answer>", None, "no_option"),
    ("B is right, as can be seen", None, "no_option"),  # not among the last four words
    ("The answer is B since it is seen there", "B", "answer_is"),
    ("the ANSWER is **c** as is seen here", "C", "answer_is"),
    ("The answer is about five metres, I say", "A", "answer_is"),  # any word that begins with A to D
    ("A cat", "A", "lone_letter"),
    ("Between A and B it is B", None, "no_option"),  # two letters
    ("green", "B", "option_text"),
    ("it is GREEN", "B", "option_text"),
    ("dark blue", None, "no_option"),  # "blue" is in it as well
    ("It is green, as everyone can see at a glance", None, "no_option"),  # 44 characters, more than 2 * (3 + 5 + 4 + 9) = 42
    ("Failed to obtain answer via API", None, "no_option"),
    ("", None, "no_option"),
]


@pytest.mark.parametrize(("text", "letter", "rule"), CASES)
def test_a_text_is_read_as_the_toolkit_reads_it(text: str, letter: str | None, rule: str) -> None:
    verdict = letter_only(text, QUESTION)
    assert (verdict.extracted, verdict.rule) == (letter, rule)
    assert verdict.outcome == ("unparsed" if letter is None else "correct" if letter == "B" else "wrong")
    if verdict.span and rule != "option_text":
        assert text[slice(*verdict.span)].upper() == letter


@pytest.mark.parametrize("text", ["Z", "It is (Z).", "Cannot determine the answer: B", "I can't process this file. B"])
def test_a_refusal_is_told_from_a_wrong_answer(text: str) -> None:
    assert letter_only(text, QUESTION).outcome == "refusal"


def test_a_reference_that_cannot_be_used_is_an_error() -> None:
    with pytest.raises(GraderError, match="need the option texts"):
        letter_only("B", Reference("B", "choice"))
    with pytest.raises(GraderError, match="more than there are letters"):
        letter_only("B", Reference("B", "choice", tuple(str(n) for n in range(27))))


@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"), st.sampled_from(["{}", "({})", "{}.", "I choose {}", "[{}]", "{}: it is so"]))
def test_every_plain_writing_of_a_letter_is_read(letter: str, gold: str, writing: str) -> None:
    verdict = letter_only(writing.format(letter), Reference(gold, "choice", COLORS))
    assert verdict.extracted == letter
    assert verdict.correct == (letter == gold)


@given(st.text(alphabet="ABZ .(){}answer is*green\n", max_size=60))
def test_the_span_holds_what_was_read(text: str) -> None:
    verdict = letter_only(text, QUESTION)
    if verdict.span:
        shown = text[slice(*verdict.span)]
        assert shown.upper() == verdict.extracted or (verdict.rule == "option_text" and shown.lower() in COLORS)
