"""Formulas split into tokens: what may stand in them, the limits, and what stands in a wrong place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.formulas.tokens import MAX_CHARACTERS, MAX_DEPTH, MAX_DIGITS, Misplacement, misplacements, tokens_of


def test_tokens_are_numbers_operators_and_brackets() -> None:
    assert tokens_of("(10+2)*13/4-1") == ("(", "10", "+", "2", ")", "*", "13", "/", "4", "-", "1")
    assert tokens_of("") == ()


@pytest.mark.parametrize(
    "formula", ["1 + 2", "1x2", "1\u00d72", "2^3", "1.5", "[1]+2", "1=1", "K+1", "1+2\n", "\uff11+2", "\u0664", "\x00", "\ud800"]
)
def test_anything_else_is_not_read(formula: str) -> None:
    assert tokens_of(formula) is None


def test_digits_of_other_scripts_are_read_only_where_asked_for() -> None:
    assert tokens_of("\u0664+\uff11", digits="unicode") == ("\u0664", "+", "\uff11")
    assert tokens_of("\u00b2+1", digits="unicode") is None  # a superscript is no decimal digit


def test_limits_hold_at_their_edge() -> None:
    assert tokens_of("9" * MAX_DIGITS) is not None
    assert tokens_of("9" * (MAX_DIGITS + 1)) is None
    assert tokens_of("(" * MAX_DEPTH + "1") is not None
    assert tokens_of("(" * (MAX_DEPTH + 1) + "1") is None
    assert tokens_of("+" * MAX_CHARACTERS) is not None
    assert tokens_of("+" * (MAX_CHARACTERS + 1)) is None


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("1+2*(3-4)", []),
        ("(1)", []),
        ("((1))+2", []),
        ("-1+2", ["OPERATOR"]),
        ("1**2", ["OPERATOR"]),
        ("1//2", ["OPERATOR"]),
        ("1+-2", ["OPERATOR"]),
        ("1*(+2)", ["OPERATOR"]),
        ("(1)2", ["NUMBER"]),
        ("2(3+4)", ["OPENING", "UNOPENED"]),  # the bracket was not opened, so its partner closes nothing
        ("(1)(2)", ["OPENING", "UNOPENED"]),
        ("()", ["CLOSING"]),
        ("(1+)", ["CLOSING"]),
        ("1)", ["UNOPENED"]),
        (")1", ["CLOSING", "NUMBER"]),
        ("1+2+", []),  # what is missing at the end is not looked at
        ("(1+2", []),
    ],
)
def test_misplacements_are_found_in_order(formula: str, expected: list[str]) -> None:
    tokens = tokens_of(formula)
    assert tokens is not None
    assert [fault.name for fault in misplacements(tokens)] == expected


def test_every_kind_of_misplacement_has_words_of_its_own() -> None:
    assert len({fault.value for fault in Misplacement}) == 5


@given(st.text(alphabet="0123456789+-*/() x=", max_size=40))
def test_tokens_put_together_are_the_formula(formula: str) -> None:
    tokens = tokens_of(formula)
    assert tokens is None or "".join(tokens) == formula
    if " " in formula or "x" in formula or "=" in formula:
        assert tokens is None
