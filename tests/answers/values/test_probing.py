"""Formulas and equations told apart by their values at a few points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers import judge
from vlmpost.answers.values.probing import compare_at_points


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("(x+1)^2", "x^2+2x+1", "same"),
        (r"\frac{x+2}{7}", r"\frac{x}{7}+\frac{2}{7}", "same"),
        ("x_1 + x_2", "x_2+x_1", "same"),
        ("-x^2", "(-x)^2", "different"),
        ("x+2n+1", "x+1", "different"),
        (r"\frac{5\sqrt{42}}{27}", r"\frac{10\sqrt{10.5}}{27}", "same"),
        (r"\sqrt{x^2}", "x", None),  # not for negative x
        (r"\frac{1}{3}", r"\frac{3^{30}-1}{3^{31}}", None),  # too large an exponent to trust the digits
        (r"\sqrt[3]{-8}", "-2", None),  # the principal root is not -2
        ("2x+4y-3=0", r"y=-\frac{1}{2}x+\frac{3}{4}", "same"),
        ("xy=1", r"x=\frac{1}{y}", None),  # not a constant factor: left to algebra
        ("x=3", "x=4", None),
        ("a/2b", "a/(2b)", None),
        (r"3\frac{1}{2}", "x", None),
        ("x2", "2x", None),
        ("f(x)", "x", None),
        ("e^2", "7", None),
        ("", "x", None),
    ],
)
def test_values_decide_only_where_they_can(gold: str, answer: str, expected: str | None) -> None:
    assert compare_at_points(gold, answer) == expected


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=4), st.integers(-3, 3))
def test_a_polynomial_is_itself_in_any_order_and_no_other(coefficients: list[int], change: int) -> None:
    def written(values: list[int], order: list[int]) -> str:
        return "+".join(f"({values[power]})x^{power}" for power in order)

    powers = list(range(len(coefficients)))
    changed = [coefficients[0] + change, *coefficients[1:]]
    expected = "same" if change == 0 else "different"
    assert compare_at_points(written(coefficients, powers), written(changed, powers[::-1])) == expected


@given(st.text(alphabet="x12+-*/^(){}\\frac sqrt=y", max_size=40), st.text(alphabet="x12+-*/^(){}\\frac sqrt=y", max_size=40))
def test_any_text_is_compared_without_an_error(one: str, other: str) -> None:
    assert compare_at_points(one, other) in ("same", "different", None)


@pytest.mark.parametrize(
    ("text", "answer", "answer_type", "outcome"),
    [
        ("There are 3 red and 4 blue, so 7 in total", "7", "number", "correct"),
        ("Therefore, to make 2 cakes, she will need 4 cups.", "2", "number", "wrong"),
        ("I don't know", "5", "number", "refusal"),
        ("I don't know whether this is elegant, but the answer is 5.", "5", "number", "correct"),
        (
            r"$\begin{pmatrix}1 & 0\\0 & 1\end{pmatrix} \begin{pmatrix}1 & 0\\0 & 1\end{pmatrix}$",
            r"\begin{pmatrix}1&0\\0&1\end{pmatrix}",
            "latex",
            "correct",
        ),
        (r"$\mathbf{n} = (6t+2)i + 5t^2j$", "[0.8, 0.0, 0.6]", "latex", "wrong"),
        (r"\boxed{-5f(1)}", "8", "number", "wrong"),
        (r"\boxed{\sin^2 x + 3 + \cos^2 x}", "4", "number", "correct"),
        (r"\boxed{x - x + 3}", "3", "number", "correct"),
        (r"\boxed{x=\pm 3}", "3, -3", "latex", "correct"),
    ],
)
def test_verdicts_on_formulas_beside_numbers_and_lists(text: str, answer: str, answer_type: str, outcome: str) -> None:
    assert judge(text, answer=answer, answer_type=answer_type).outcome == outcome  # type: ignore[arg-type]  # an AnswerType
