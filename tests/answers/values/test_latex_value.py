"""Values of LaTeX arithmetic, worked by hand from the grammar of latex2sympy2 (PS.g4) and Python's arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.values.latex_value import NotANumber, TooLarge, latex_value

VALUES = [
    ("7", 7),
    ("-3", -3),
    ("--3", 3),
    ("1,234", 1234),
    ("0.5", 0.5),
    ("2.0", 2),
    (r"50\%", 0.5),
    (r"\frac{1}{2}", 0.5),
    (r"\dfrac{4}{2}", 2.0),
    (r"3\frac{1}{2}", 1.5),
    ("1/60", 1 / 60),
    ("3:4", 0.75),
    ("2^3^2", 64),
    ("2^{-1}", 0.5),
    ("-2^2", -4),
    ("2^12", 4096),
    (r"\sqrt{16}", 4.0),
    (r"\sqrt[3]{8}", 2.0),
    (r"6\pi", 6 * math.pi),
    (r"1/2\pi", 1 / (2 * math.pi)),
    ("2(3)", 6),
    ("6/2(3)", 1.0),
    (r"\left(1+2\right)\cdot 4", 12),
    ("{4}", 4),
    (r"\{4\}", 4),
    ("5!", 120),
    (r"\binom{5}{2}", 10),
    (r"{5 \choose 2}", 10),
    (r"\log_{2}8", 3.0),
    (r"\log{100}", 2.0),
    (r"\sin(\pi/2)", 1.0),
    (r"\sin^{-1}(1)", math.pi / 2),
    (r"\lfloor 3.7 \rfloor", 3),
    ("e^2", math.exp(2)),
    ("x=2", 2),
    (r"a_1 = b = 2", 2),
    ("3<5", 1),
    (r"$\sqrt{2}: 1$", math.sqrt(2)),
    (r"\frac{3^{1008}-1}{3^{1009}}", 1 / 3),
]

NOT_NUMBERS = [
    "",
    "x",
    "5{cm}",
    "1,2",
    "5,",
    "1;2",
    "(1,2)",
    "1/0",
    "e",
    "2+",
    r"\frac12",
    r"\sqrt3",
    "10^-2",
    r"45^\circ",
    "5%",
    r"\sqrt{-1}",
    "(-8)^{1/3}",
    r"\ln 2",
    r"\cot 1",
    "|3|",
    r"\infty",
    "2x=4",
    "3=3",
    "9**9",
    "(5",
    "2.5!",
    "__import__('os')",
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_formulas_have_the_value_of_their_printed_form(text: str, value: float) -> None:
    assert latex_value(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("text", "kind"), [("4", int), ("2.0", int), ("4/2", float), (r"\sqrt{4}", float), ("2^3", int)])
def test_whole_numbers_stay_whole_where_python_keeps_them(text: str, kind: type) -> None:
    assert type(latex_value(text)) is kind


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_has_no_value_as_printed_is_no_number(text: str) -> None:
    with pytest.raises(NotANumber):
        latex_value(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5.so,even", 5), (r"2\sqrt{4}}.so,theansweris\fbox{a", 4.0), ("5trees", 5), ("5)", 5), ("5_2", 5), ("4&5", 4), (r"7\\8", 7)],
)
def test_the_longest_beginning_that_is_a_formula_counts(text: str, value: float) -> None:
    assert latex_value(text) == value


def test_one_token_past_the_formula_must_be_readable() -> None:
    with pytest.raises(NotANumber):
        latex_value("5@")
    assert latex_value("5.@") == 5


@pytest.mark.parametrize(
    "text",
    ["9^{9^{9^{9}}}", "10000!", "(" * 1000 + "1" + ")" * 1000, "1" * 5000, "-" * 100 + "1", "1+" * 2000 + "1", r"\frac{1}{" * 5000 + "1"],
)
def test_what_is_beyond_the_limits_is_said(text: str) -> None:
    with pytest.raises(TooLarge):
        latex_value(text)


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_fractions_have_their_quotient(top: int, bottom: int) -> None:
    assert latex_value(rf"\frac{{{top}}}{{{bottom}}}") == top / bottom
    assert latex_value(f"({top})/{bottom}") == top / bottom


@given(st.text(alphabet="0123456789+-*/^(){}[].,!=<:;$ \\abefrcsqtpi\x00\u0661", max_size=60))
def test_any_text_gives_a_finite_value_or_one_of_two_errors(text: str) -> None:
    try:
        value = latex_value(text)
    except (NotANumber, TooLarge):
        return
    assert isinstance(value, int) or math.isfinite(value)
