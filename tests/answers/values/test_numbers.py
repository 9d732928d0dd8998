"""Numbers as they are written: values worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.values import units
from vlmpost.answers.values.number_words import WORDS_IN_TEXT, read_words
from vlmpost.answers.values.numbers import NUMBER_IN_TEXT, canonical, equal, parse_decimal_comma, parse_number

VALUES = [
    ("1,234", 1234),
    ("1{,}234", 1234),
    (r"1\,234", 1234),
    ("1 234 567", 1234567),
    ("1'234'567", 1234567),
    ("12,34,567", 1234567),
    ("3/4", Fraction(3, 4)),
    ("1 1/2", Fraction(3, 2)),
    (r"1\frac{1}{2}", Fraction(3, 2)),
    (r"\frac34", Fraction(3, 4)),
    (r"-\frac{3}{4}", Fraction(-3, 4)),
    (r"\frac{-1}{2}", Fraction(-1, 2)),
    ("\u00bd", Fraction(1, 2)),
    ("3\u00bd", Fraction(7, 2)),
    ("10\u00b3", 1000),
    ("1.2\u00d710\u207b\u00b3", Fraction(12, 10000)),
    (r"1.5 \times 10^{4}", 15000),
    ("1e5", 100000),
    ("2*10^3", 2000),
    ("10^{-3}", Fraction(1, 1000)),
    ("\u22125", -5),
    ("- 5", -5),
    ("+5", 5),
    ("007", 7),
    ("42.", 42),
    ("(5)", 5),
    ("\uff15", 5),
    ("x = 5", 5),
    ("5 = x", 5),
    (r"\approx 5.2", Fraction(52, 10)),
    ("about 5", 5),
    ("3rd", 3),
    ("5^{th}", 5),
    ("$5$", 5),
    ("0.333...", Fraction(1, 3)),
    (r"0.\overline{3}", Fraction(1, 3)),
    (r"0.1\overline{6}", Fraction(1, 6)),
    ("twenty-one", 21),
    ("two hundred and five", 205),
    ("half", Fraction(1, 2)),
    ("three quarters", Fraction(3, 4)),
    ("a dozen", 12),
    ("1.5 million", 1500000),
    ("two and a half", Fraction(5, 2)),
    ("minus seven", -7),
    ("nineteen hundred", 1900),
]
NOT_NUMBERS = [
    "",
    "7x",
    "24\u03c0",
    "5 and 6",
    "5 is",
    "1,2,3",
    "1234,567",
    "1.2.3",
    "5-6",
    "1/0",
    "3:15",
    "one two",
    "twenty twenty",
    "a",
    "the",
    "5 to 6",
    "x",
    r"\sqrt{2}",
    "2^3",
    "third",
    "0,5",
    "1,22",
    "five or six",
    "inf",
    "nan",
    "5!",
]
QUANTITIES = [
    ("5 cm", 5, "cm"),
    (r"5\,\mathrm{cm}", 5, "cm"),
    (r"5 \frac{\text{m}}{\text{s}}", 5, "m / s"),
    ("12 square meters", 12, "square meters"),
    ("5 (apples)", 5, "apples"),
    ("39\u00b0", 39, "\u00b0"),
    (r"39^\circ", 39, "\u00b0"),
    ("$5.50", Fraction(11, 2), "dollars"),
    ("-$5", -5, "dollars"),
    ("\u20ac5", 5, "euros"),
    ("five apples", 5, "apples"),
    (r"\$32,348", 32348, "dollars"),
    ("5 ft 3 in", Fraction(21, 4), "ft"),
    ("2 hours 30 minutes", Fraction(5, 2), "hours"),
    ("1 h 15 min", Fraction(5, 4), "h"),
    ("69{degrees}", 69, "degrees"),
]
RATIOS = [
    ("m", "cm", Fraction(1, 100)),
    ("km/h", "m/s", Fraction(18, 5)),
    ("m^2", "cm^2", Fraction(1, 10_000)),
    ("square meters", "m^2", Fraction(1)),
    ("N/m", "J/m^2", Fraction(1)),
    ("mph", "miles per hour", Fraction(1)),
    ("L", "mL", Fraction(1, 1000)),
    ("cm3", "mL", Fraction(1)),
    ("m s^{-1}", "m/s", Fraction(1)),
    ("oz", "lb", Fraction(16)),
    ("dollars", "cents", Fraction(1, 100)),
    ("years", "months", Fraction(1, 12)),
    ("apples", "red apple", Fraction(1)),
    ("cm squared", "m^2", Fraction(10_000)),
    ("", "cm", Fraction(1)),
]
OTHER_KINDS = [("m", "s"), ("m", "m^2"), ("apples", "oranges"), ("cm", "apples"), ("dollars", "euros"), ("m", "m/s"), ("\u00b0C", "K")]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_value(text: str, value: Fraction) -> None:
    number = parse_number(text)
    assert number is not None
    assert (number.value, number.unit, number.percent) == (value, "", False)


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_is_no_number_is_not_read_as_one(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(("text", "value", "unit"), QUANTITIES)
def test_quantity(text: str, value: Fraction, unit: str) -> None:
    number = parse_number(text)
    assert number is not None
    assert (number.value, number.unit) == (value, unit)


@pytest.mark.parametrize(("gold", "answer", "ratio"), RATIOS)
def test_units_of_one_kind_are_converted(gold: str, answer: str, ratio: Fraction) -> None:
    assert units.ratio(gold, answer) == ratio


@pytest.mark.parametrize(("gold", "answer"), OTHER_KINDS)
def test_units_of_two_kinds_have_no_ratio(gold: str, answer: str) -> None:
    assert units.ratio(gold, answer) is None
    assert units.ratio(answer, gold) is None


def test_tables_have_the_entries_they_had() -> None:
    assert (len(VALUES), len(NOT_NUMBERS), len(QUANTITIES), len(RATIOS), len(OTHER_KINDS)) == (46, 26, 16, 15, 7)


@pytest.mark.parametrize("text", ["25%", r"25\%", "25 %", "25 percent", "25 per cent", "25 pct", "25 percentage points"])
def test_percent(text: str) -> None:
    number = parse_number(text)
    assert number is not None
    assert (number.value, number.percent, number.unit) == (25, True, "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2,74", "2.74"),
        ("1000,99", "1000.99"),
        ("1.000,99", "1000.99"),
        ("0,111", "0.111"),
        ("2,74 \u20ac", "2.74"),
        ("1,234", None),
        ("5", None),
    ],
)
def test_a_comma_is_a_decimal_point_only_where_it_can_be_no_thousand(text: str, value: str | None) -> None:
    number = parse_decimal_comma(text)
    assert (None if number is None else number.value) == (None if value is None else Fraction(value))


def test_number_words_in_a_sentence() -> None:
    text = "The third of two hundred and five cats ate twenty-one mice and a half fish, not one and two thirds."
    assert [match.group() for match in WORDS_IN_TEXT.finditer(text)] == [
        "two hundred and five",
        "twenty-one",
        "a half",
        "one and two thirds",
    ]
    assert read_words("one and two thirds") == Fraction(5, 3)


def test_numbers_in_a_sentence_leave_parts_of_words_and_ratios_alone() -> None:
    text = "x2 is 3:15 or A4; paid $1,234.50, then 3/4, 1 1/2, 2,74 and 50% of -7."
    assert [match.group().strip() for match in NUMBER_IN_TEXT.finditer(text)] == ["$1,234.50", "3/4", "1 1/2", "2,74", "50%", "-7"]


def test_rounding_to_the_printed_decimals_must_stay_close() -> None:
    def same(gold: str, answer: str) -> bool:
        one, other = parse_number(gold), parse_number(answer)
        assert one is not None and other is not None
        return equal(one, other)

    assert same("0.9", "0.94")  # 0.04 of 0.9 is 4.4 %
    assert not same("0.5", "0.46")  # 0.04 of 0.5 is 8 %
    assert same("35.8", "35.7946")
    assert not same("3.14", "3.1")
    assert same("1/3", "0.3333333")
    assert not same("1/3", "0.33333")
    assert not same("30", "30.2")


def test_long_numbers_are_not_computed() -> None:
    assert parse_number("9" * 401) is None
    assert parse_number("1e999") is None
    assert parse_number("1" * 2000) is None


@given(st.fractions(), st.booleans())
def test_canonical_form_is_the_exact_value(value: Fraction, percent: bool) -> None:
    number = parse_number(f"{value}{'%' if percent else ''}")
    if number is not None:  # beyond the limit of digits otherwise
        assert canonical(number) == f"{value}{'%' if percent else ''}"
