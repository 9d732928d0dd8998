"""Values of formulas, exact and in floating point."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.formulas.tokens import tokens_of
from vlmpost.answers.formulas.values import FormulaError, evaluate, fold, value_of


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("7", Fraction(7)),
        ("2+3*4", Fraction(14)),
        ("(2+3)*4", Fraction(20)),
        ("10-4-3", Fraction(3)),  # from the left
        ("10-(4-3)", Fraction(9)),
        ("12/4/3", Fraction(1)),
        ("12/(4/3)", Fraction(9)),
        ("2*3-4/8", Fraction(11, 2)),
        ("8/(3-8/3)", Fraction(24)),  # 3 - 8/3 = 1/3
        ("6/(5/4-1)", Fraction(24)),  # 5/4 - 1 = 1/4
        ("13*(9+7)/3", Fraction(208, 3)),
        ("((((5))))", Fraction(5)),
        ("00", Fraction(0)),
    ],
)
def test_value_is_exact(formula: str, value: Fraction) -> None:
    assert evaluate(formula) == value


@pytest.mark.parametrize("formula", ["", "1+", "(1+2", "((1)", "1/(2-2)", "05+1", "1 + 1", "-1", "2(3)", "+", "(", "__import__('os')"])
def test_what_has_no_value_is_refused(formula: str) -> None:
    with pytest.raises(FormulaError):
        evaluate(formula)


def test_floats_are_reckoned_as_python_reckons_them() -> None:
    tokens = tokens_of("8/(3-8/3)")
    assert tokens is not None
    assert value_of(tokens, arithmetic="float") == 8 / (3 - 8 / 3)
    assert value_of(tokens, arithmetic="float") != 24
    assert value_of(("10", "*", "3"), arithmetic="float") == 30


def test_a_quotient_beyond_the_floats_is_an_error_and_no_crash() -> None:
    tokens = tokens_of("*".join(["9999999999"] * 40) + "/3")  # 10**400 / 3
    assert tokens is not None
    with pytest.raises(FormulaError):
        value_of(tokens, arithmetic="float")
    assert value_of(tokens) == Fraction(9999999999**40, 3)


def test_digits_that_are_not_ascii_have_no_value() -> None:
    with pytest.raises(FormulaError):
        value_of(("\u0664", "+", "1"))


def test_steps_are_folded_in_the_order_of_reckoning() -> None:
    steps = []
    fold(("1", "+", "2", "*", "(", "3", "-", "4", ")"), leaf=str, combine=lambda symbol, left, right: steps.append(symbol) or "x")
    assert steps == ["-", "*", "+"]


EXPRESSIONS = st.recursive(
    st.integers(1, 13).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({parts[0]}{parts[1]}{parts[2]})"),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_value_agrees_with_sums_and_products_of_python(formula: str) -> None:
    # Python's own parser is the witness; the text is ours: digits, + - * and brackets only.
    expected = eval(compile(formula, "formula", "eval"), {"__builtins__": {}})  # noqa: S307
    assert evaluate(formula) == expected
