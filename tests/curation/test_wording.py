"""The words of a question: the same for copies, whatever their type, case, blanks and order of options."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.curation import filters, image_hash, language, wording
from vlmpost.curation.wording import ngrams, wording_of, words
from vlmpost.records import IMAGE, Example, Message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is 3x + 5?", "what is 3 x 5"),
        ("WHAT  IS\n3 x+5", "what is 3 x 5"),
        (r"Find $\dfrac{1}{2}\cdot\sqrt{3}$.", "find 1 2 3"),
        ("Find 1/2 * \u221a3.", "find 1 2 3"),
        (r"\(\alpha = 90^\circ\)", "alpha 90"),
        ("\u03b1 = 90\u00b0", "alpha 90"),
        (r"$\mathrm{cm}^{2}$ \text{of it}", "cm 2 of it"),
        ("1,000 and 1{,}000 and 1000", "1000 and 1000 and 1000"),
        ("(1,2) and 3.5", "1 2 and 3 5"),
        ("<image1>\nLook <image> here <|image_pad|>", "look here"),
        ("Janet\u2019s caf\u00e9", "janet s cafe"),
        (r"x \leq y, \leftarrow \log x", "x y log x"),  # \left is no part of \leftarrow
        ("\u7b54\u6848 is \u56db", "\u7b54 \u6848 is \u56db"),
        ("_____", ""),
    ],
)
def test_words_are_what_a_reader_sees(text: str, expected: str) -> None:
    assert " ".join(words(text)) == expected


def question(text: str, choices: tuple[str, ...] = (), *, answer: str | None = None) -> Example:
    return Example("q", "t", (Message("user", (IMAGE, text)),), answer=answer, answer_type="choice" if choices else "text", choices=choices)


def test_options_are_kept_apart_whatever_their_labels_and_order() -> None:
    first = wording_of(question("How many?\n(A) two\n(B) 3 dogs", ("two", "3 dogs"), answer="B"))
    second = wording_of(question("How many?\nOptions:\nA. 3 dogs\nB: two", ("3 dogs", "two"), answer="A"))
    assert first == second
    assert (first.question, first.choices, first.answer) == (("how", "many"), ("3 dogs", "two"), "3 dogs")


def test_lines_that_only_look_like_options_stay() -> None:
    assert wording_of(question("A. Einstein was born\n(B) when?", ("1879", "1900"))).question == (
        "a",
        "einstein",
        "was",
        "born",
        "b",
        "when",
    )


def test_only_the_user_is_heard() -> None:
    prompt = (Message("system", ("Be brief.",)), Message("user", ("One?",)), Message("assistant", ("No.",)), Message("user", ("Two?",)))
    assert wording_of(Example("q", "t", prompt)).question == ("one", "two")


def test_an_unknown_answer_is_none_and_a_letter_without_options_is_itself() -> None:
    assert wording_of(question("Which?")).answer is None
    assert wording_of(question("Which?", answer="C")).answer == "c"


@given(st.text())
def test_words_of_words_are_the_same_words(text: str) -> None:
    once = words(text)
    assert words(" ".join(once)) == once


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_case_and_blanks_do_not_count(text: str) -> None:
    assert words(text.upper().replace(" ", " \n ")) == words(text.lower())


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 6))
def test_runs_are_as_many_as_fit(some: list[str], size: int) -> None:
    assert len(list(ngrams(some, size))) == max(0, len(some) - size + 1)


def test_examples_in_docstrings_are_right() -> None:
    results = [doctest.testmod(module) for module in (filters, image_hash, language, wording)]
    assert [result.failed for result in results] == [0, 0, 0, 0]
    assert sum(result.attempted for result in results) >= 5
