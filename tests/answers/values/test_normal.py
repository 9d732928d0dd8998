"""Normal forms of text and LaTeX, and what is read from words, times and structures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.values.moments import read_date, read_range, read_ratio, read_time, same_date, same_time
from vlmpost.answers.values.normal import latex, plain_text, to_latex
from vlmpost.answers.values.structures import read_parts
from vlmpost.answers.values.units import split_unit
from vlmpost.answers.values.wording import polarity, same_letter, same_wording

LATEX = [
    (r"\dfrac12", r"\frac{1}{2}"),
    (r"x = 5", "5"),
    ("5 = x", "5"),
    (r"\left( 1, 2 \right)", "(1,2)"),
    (r"\text{Red}", "Red"),
    (r"90^\circ", "90"),
    (r"10{,}000", "10,000"),
    (r"x \le 3", r"x\leq3"),
    ("2\u221a3", r"2\sqrt{3}"),
    (r"\sqrt 3", r"\sqrt{3}"),
    ("x\u00b2", "x^2"),
    ("(C)", "C"),
    ("2\u03c0", r"2\pi"),
]


@pytest.mark.parametrize(("text", "form"), LATEX)
def test_latex_form(text: str, form: str) -> None:
    assert latex(text) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("sqrt(sqrt(2))", r"\sqrt{\sqrt{2}}"),
        ("\u221a(x+1)", r"\sqrt{x+1}"),
        ("2*pi", r"2*\pi "),
        ("x**2", "x^2"),
        ("sqrt(2", r"\sqrt(2"),
        (r"\sqrt[3]{2}", r"\sqrt[3]{2}"),
    ],
)
def test_signs_that_are_no_latex_become_latex(text: str, form: str) -> None:
    assert to_latex(text) == form


def test_plain_text_drops_markup_articles_and_punctuation() -> None:
    assert plain_text(r" **The  \text{Red}** `Cat`. ") == "red cat"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Caf\u00e9", "cafe"),
        ("U.S.A.", "USA"),
        ("x-ray", "X ray"),
        ("in New York", "New York"),
        ("Step b", "B"),
        ("No solution.", r"\emptyset"),
    ],
)
def test_phrases_that_are_one(one: str, other: str) -> None:
    assert same_wording(one, other)
    assert same_wording(other, one)


@pytest.mark.parametrize(
    ("gold", "written"), [("red", "not red"), ("red", "red car"), ("Paris", "Paris, France"), ("1.5", "15"), ("a", ""), ("", "")]
)
def test_phrases_that_are_not_one(gold: str, written: str) -> None:
    assert not same_wording(gold, written)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes, because it is not red", True),
        ("No, it is not", False),
        ("It is not true", False),
        ("The statement is false.", False),
        ("Incorrect", False),
        ("It isn't true", False),
        ("The answer is no", False),
        ("yes or no", None),
        ("False/True", None),
        ("Therefore, it does", None),
        ("", None),
        ("No, that is true", False),
        ("It is true and false", None),
    ],
)
def test_yes_and_no(text: str, said: bool | None) -> None:
    assert polarity(text) is said


def test_the_letter_of_an_item_counts_where_no_other_letter_stands_beside_it() -> None:
    assert same_letter("(a)", "(A) increasing")
    assert same_letter("(b)", "b")
    assert not same_letter("(a)", "(a) and (b)")
    assert not same_letter("(a)", "a cat")


def test_times_dates_ratios_and_ranges() -> None:
    afternoon, night, either = read_time("3:15 p.m."), read_time("03:15 am"), read_time("3:15")
    assert afternoon is not None and night is not None and either is not None
    assert same_time(afternoon, read_time("15:15") or (0, True))
    assert not same_time(afternoon, night)
    assert same_time(afternoon, either) and same_time(night, either)
    assert [read_time(text) for text in ("3", "25:00", "3:75", "13 pm", "apples")] == [None] * 5
    assert read_date("5th of March 2020") == read_date("March 5, 2020") == read_date("2020-03-05") == (2020, 3, 5)
    assert same_date((2020, 3, 5), (None, 3, 5)) and not same_date((2020, 3, 5), (2021, 3, 5))
    assert [read_date(text) for text in ("3/4/2020", "42 apples", "March", "5 minutes")] == [None] * 4
    assert read_ratio("1 : 2") == read_ratio("1 to 2") == (1, 2)
    assert read_range("between 10 and 20") == read_range("10-20") == (10, 20)
    assert read_range("20-10") is None


@pytest.mark.parametrize(
    ("text", "kind", "items"),
    [
        ("[0, 9)", "interval", ("0", "9")),
        ("]0, 9[", "interval", ("0", "9")),
        (r"\left(0, 9\right)", "tuple", ("0", "9")),
        ("[0, 9]", "square", ("0", "9")),
        ("1, 2 and 3", "list", ("1", "2", "3")),
        (r"\{1, 2, 2\}", "set", ("1", "2")),
        ("x = 5 or x = 15", "list", ("x = 5", "x = 15")),
        (r"\pm 2", "list", ("+ 2", "- 2")),
        ("1,234, 5,678", "list", ("1234", "5678")),
        ("$5$;$10$", "list", ("5", "10")),
        ("x > 5", "interval", ("5", r"\infty")),
        (r"-2 \le x < 7", "interval", ("-2", "7")),
        (r"\{x \mid 0 < x < 1\}", "interval", ("0", "1")),
        ("[[1,2],[3,4]]", "matrix", ("1", "2", "3", "4")),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "matrix", ("1", "2")),
        ("all real numbers", "interval", (r"-\infty", r"\infty")),
        ("(1,2),(3,4)", "list", ("(1,2)", "(3,4)")),
    ],
)
def test_structures(text: str, kind: str, items: tuple[str, ...]) -> None:
    parts = read_parts(text)
    assert parts is not None
    assert (parts.kind, parts.items) == (kind, items)


@pytest.mark.parametrize(
    "text", ["5", "x^2 + y = 3", "f(x) = x^2", "-x > -1", "0 < x < y < 1", "(1", "1)", "[" * 500 + "]" * 500, "(1," * 300 + ")" * 300]
)
def test_single_values_and_nonsense_are_not_taken_apart(text: str) -> None:
    assert read_parts(text) is None


@pytest.mark.parametrize(
    ("text", "bare", "unit"),
    [
        (r"2\sqrt{3} square meters", r"2\sqrt{3}", "square meters"),
        (r"8\sqrt{3}{squareinches}", r"8\sqrt{3}", "square inches"),
        (r"4\sqrt{2}\text{ m}", r"4\sqrt{2}", "m"),
        ("3x + y", "3x + y", ""),
        ("red cat", "red cat", ""),
        (r"\text{C}", r"\text{C}", ""),
        (r"12\pi \text{ units}", r"12\pi", "units"),
    ],
)
def test_the_unit_behind_a_formula(text: str, bare: str, unit: str) -> None:
    assert split_unit(text) == (bare, unit)


@given(st.text(max_size=200))
def test_normal_forms_are_stable(text: str) -> None:
    assert plain_text(plain_text(text)) == plain_text(plain_text(plain_text(text)))
    assert isinstance(latex(text), str)
    read_parts(text)
    split_unit(text)
