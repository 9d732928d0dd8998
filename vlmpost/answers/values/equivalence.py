"""Says whether a written answer is the reference answer, whatever it looks like; knows nothing about where it was found.

Cheapest first: the same writing, numbers, yes and no, normal forms, times and dates, lists and intervals, and last the child
process that knows algebra. Numbers, lists and intervals that were read and differ are different; nothing is guessed.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from vlmpost.answers import symbolic
from vlmpost.answers.reference import Reference
from vlmpost.answers.spans import boxed_answer
from vlmpost.answers.values import units
from vlmpost.answers.values.latex_value import NotANumber, TooLarge, latex_value
from vlmpost.answers.values.moments import Date, Time, read_date, read_range, read_ratio, read_time, same_date, same_time
from vlmpost.answers.values.normal import latex, to_latex
from vlmpost.answers.values.numbers import Number, equal, parse_decimal_comma, parse_number
from vlmpost.answers.values.probing import compare_at_points
from vlmpost.answers.values.structures import Parts, Sameness, read_parts, same_parts
from vlmpost.answers.values.units import split_unit
from vlmpost.answers.values.wording import is_lettered, is_polar, is_wordy, polarity, same_letter, same_wording

MIN_FLOAT_DIFFERENCE: Final = 1e-5
"""Two formulas without letters whose values are this far apart are different; closer ones are left to algebra."""

_ARITHMETIC = re.compile(r"(?:[\d\s.+*/^(){}-]|\\(?:[dt]?frac|sqrt|pi|cdot|times|left|right)(?![A-Za-z]))+")
_MIXED = re.compile(r"\d\s*\\[dt]?frac|\d\s+\d|[\d})]\s*/\s*\d+\s*[\\(]|\\(?:left|right)\s*\.")
_DIGIT = re.compile(r"\d")
COMMAND = re.compile(
    r"\\[A-Za-z]+|\b(?:sin|cos|tan|cot|log|ln|exp|sqrt|frac|mod|gcd|lcm|max|min|inf|sum|pi)\b|(?:cm|mm|km|kg|ft|in|min|sec|deg)\b"
)
_LONG_WORD = re.compile(r"[A-Za-z]{3,}")
PROSE = re.compile(r"[A-Za-z]{3}|\ufffd|[-+*/=]\s*\Z")
_PERCENT_SHOWN = re.compile(r"%|\bper\s?cent", re.IGNORECASE)
_NAMED_VALUE = re.compile(r"\A\s*(?:\\q?quad(?=\s*[a-z]_))?\s*[A-Za-z](?:_\{?\w+\}?)?\s*=(?=[^=<>]*\Z)")
_IN_DOLLARS = re.compile(r"\$[^$]*\$")
_NAME = re.compile(r"[\s$]*([A-Za-z])\s*=(?!=)")
_AXIS = re.compile(r"[\s$]*[xyz]\s*=")
_SPOILED = re.compile(r"\\?[\x0c\x08]|\\\\(?=[A-Za-z]{2})")
_SYMBOLIC: dict[str, Sameness] = {"equal": "same", "different": "different", "answer_unreadable": "different"}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One answer that counts as right, read once; equal only to itself."""

    text: str
    number: Number | None
    bare: str
    """The text without the unit behind it."""
    unit: str
    form: str
    """The LaTeX normal form of `bare`."""
    parts: Parts | None
    time: Time | None
    date: Date | None
    ratio: tuple[Fraction, Fraction] | None
    range: tuple[Fraction, Fraction] | None
    polar: bool | None
    """What a yes-or-no answer says; None for any other answer."""
    letter: bool
    """Whether it is the letter of an item in brackets."""
    symbols: bool
    """Whether algebra may decide."""
    ordered: bool
    precision: int | None
    percent_shown: bool


@functools.lru_cache(maxsize=4096)
def read_target(answer: str, answer_type: str, kind: str, unit: str, precision: int | None, question: str) -> Target:
    """Returns the reference answer, taken apart as far as it can be."""
    text = _without_box(tidy(answer))
    number = parse_number(text)
    if number is None and kind in ("float", "integer"):
        number = parse_decimal_comma(text)
    if number is not None and unit and not number.unit and units.read_unit(unit) is not None:
        number = Number(number.value, number.num_decimals, number.percent, unit, number.exact)
    if number is not None and text.isdigit():
        return Target(
            text=text,
            number=number,
            bare=text,
            unit=unit,
            form=text,
            parts=None,
            time=None,
            date=None,
            ratio=None,
            range=None,
            polar=None,
            letter=False,
            symbols=True,
            ordered=kind.startswith("list"),
            precision=precision,
            percent_shown=_PERCENT_SHOWN.search(question) is not None,
        )
    bare, measure = split_unit(text)
    return Target(
        text=text.strip(),
        number=number,
        bare=bare,
        unit=measure or unit,
        form=latex(bare),
        parts=None if number is not None else read_parts(text),
        time=read_time(text),
        date=read_date(text),
        ratio=read_ratio(text.rpartition("=")[2].strip(" $")),
        range=read_range(text),
        polar=polarity(text) if is_polar(text) else None,
        letter=is_lettered(text),
        symbols=number is not None or (not is_wordy(text) and (answer_type != "text" or _has_mathematics(text))),
        ordered=kind.startswith("list"),
        precision=precision,
        percent_shown=_PERCENT_SHOWN.search(question) is not None,
    )


def targets_of(reference: Reference) -> tuple[Target, ...]:
    """Returns every answer that counts as right, the first one first."""
    return tuple(
        read_target(answer, reference.answer_type, reference.kind, reference.unit, reference.precision, reference.question)
        for answer in reference.answers
    )


def compare(target: Target, written: str) -> Sameness:
    """Returns how what is written stands to the reference answer; "unsure" where algebra could not finish.

    Raises:
        GraderError: The child process that knows algebra does not start.
    """
    quick = compare_quickly(target, written)
    return compare_by_algebra(target, written) if quick is None else quick


def compare_by_algebra(target: Target, written: str) -> Sameness:
    """Returns what `compare` returns where `compare_quickly` can say nothing.

    Raises:
        GraderError: The child process that knows algebra does not start.
    """
    if not target.symbols or not is_formula(written) or (target.number is not None and not _may_be_a_number(written)):
        return "different"
    if _is_prose(written) and not _is_prose(target.text):
        return "different"
    bare, unit = split_unit(tidy(written))
    if target.number is not None and not target.number.exact and _same_value(target, bare):
        return "same"
    if (target.unit and unit and units.ratio(target.unit, unit) != 1) or _other_case(target.bare, bare):
        return "different"
    one, other = _arithmetic(target.bare), _arithmetic(bare)
    if one is not None and other is not None and not math.isclose(one, other, rel_tol=MIN_FLOAT_DIFFERENCE, abs_tol=MIN_FLOAT_DIFFERENCE):
        return "different"
    gold = _for_algebra(target.bare if "=" in bare else _NAMED_VALUE.sub("", target.bare))
    answer = _for_algebra(bare)
    return compare_at_points(gold, answer) or _SYMBOLIC.get(symbolic.compare(gold, answer), "unsure")


def compare_quickly(target: Target, written: str) -> Sameness | None:
    """Returns what can be said without algebra; None where that is nothing."""
    written = tidy(written.strip())
    if written == target.text:
        return "same"
    if target.number is not None:
        number = parse_number(written)
        if number is not None:
            return "same" if same_number(target, number) and not _other_axis(target.text, written) else "different"
    if target.polar is not None:
        return "same" if polarity(written) is target.polar else "different"
    if _as_decimal_comma(target, written) or _same_form(target, written):
        return "same"
    if target.letter:
        return "same" if same_letter(target.text, written) else "different"
    if target.time is not None or target.date is not None:
        return "same" if _same_moment(target, written) or same_wording(target.text, written) else "different"
    if not target.symbols and same_wording(target.text, written):
        return "same"
    if target.range is not None:
        other = read_range(written)
        return None if other is None else "same" if other == target.range else "different"
    if target.ratio is not None and _same_ratio(target, written):
        return "same"
    return _compare_parts(target, written)


def same_number(target: Target, number: Number) -> bool:
    """Returns whether a number is the one of the reference answer."""
    assert target.number is not None, "asked for a target with a number"
    return equal(target.number, number, precision=target.precision, percent_shown=target.percent_shown)


def tidy(text: str) -> str:
    r"""Returns the text with LaTeX commands mended whose backslash a string literal has eaten or doubled."""
    if "\x0c" not in text and "\x08" not in text and ("\\\\" not in text or "\\begin" in text):
        return text
    keep = "\\begin" in text
    return _SPOILED.sub(lambda match: {"\x0c": "\\f", "\x08": "\\b"}.get(match.group()[-1], match.group() if keep else "\\"), text)


def is_formula(text: str) -> bool:
    """Returns whether algebra could say something about the text: it has mathematics in it and is not prose."""
    return _has_mathematics(text) or len(text.strip()) <= 3


def _has_mathematics(text: str) -> bool:
    return any(mark in text for mark in "\\^_=$+*/<>|0123456789\u221a\u03c0")


def _same_form(target: Target, written: str) -> bool:
    """Whether the LaTeX normal forms are one, units left out that do not contradict each other."""
    if not target.form or _other_name(target.text, written):
        return False
    if latex(written) == target.form:
        return True
    bare, unit = split_unit(written)
    return bool(unit) and latex(bare) == target.form and (not target.unit or units.ratio(target.unit, unit) == 1)


def _for_algebra(text: str) -> str:
    """The formula as the child process reads it."""
    text = to_latex(text.strip())
    outside = _IN_DOLLARS.sub(" ", text).strip(" .,;$")
    if (
        text.count("$") == 1
        or (outside and not outside.strip("0123456789.+*/^()=- "))
        or (text[:1] == text[-1:] == "$" and text.count("$") == 2)
    ):
        text = text.replace("$", "")
    return text.strip()


def _same_value(target: Target, written: str) -> bool:
    """Whether arithmetic without letters comes to the decimal reference answer, as pi/2 comes to 1.57."""
    try:
        value = latex_value(_for_algebra(written))
    except (NotANumber, TooLarge):
        return False
    return (isinstance(value, int) or math.isfinite(value)) and same_number(target, Number(Fraction(value), 0))


def _arithmetic(text: str) -> float | None:
    """The value of a formula without letters; None where it has some, or could be read in two ways."""
    text = _for_algebra(text)
    if _ARITHMETIC.fullmatch(text) is None or _MIXED.search(text):
        return None
    try:
        value = latex_value(text)
    except (NotANumber, TooLarge):
        return None
    return float(value) if abs(value) < 1e15 else None


def _without_box(answer: str) -> str:
    """The reference answer without the box it may stand in."""
    return (boxed_answer(answer) or answer) if "boxed" in answer else answer


def _is_prose(text: str) -> bool:
    """Whether three words or more stand outside commands and dollar signs."""
    return "$" not in text and "\\(" not in text and "\\[" not in text and len(_LONG_WORD.findall(COMMAND.sub(" ", text))) > 2


def _may_be_a_number(text: str) -> bool:
    """Whether a formula could have a plain number as its value: it has digits, is whole, and there is no prose in it."""
    return _DIGIT.search(text) is not None and text.count("{") == text.count("}") and not PROSE.search(COMMAND.sub(" ", text))


def _other_name(gold: str, written: str) -> bool:
    """Whether both give a value to a variable, but not to the same one."""
    one, other = _NAME.match(gold), _NAME.match(written)
    return one is not None and other is not None and one.group(1) != other.group(1) and "," not in gold


def _other_axis(gold: str, written: str) -> bool:
    """Whether both are lines of constant coordinate, but not of the same one: y = 2 is not x = 2."""
    return (
        "=" in gold and "=" in written and _AXIS.match(gold) is not None and _AXIS.match(written) is not None and _other_name(gold, written)
    )


def _other_case(gold: str, written: str) -> bool:
    """Whether a variable of the answer is one of the reference answer but for its case: algebra would not see it."""
    known = set(COMMAND.sub(" ", gold))
    return any(letter.isalpha() and letter not in known and letter.swapcase() in known for letter in set(COMMAND.sub(" ", written)))


def _as_decimal_comma(target: Target, written: str) -> bool:
    """Whether a comma read as a decimal point makes both one number, as in 2,74 and 2.74."""
    if "," in written and target.number is not None:
        number = parse_decimal_comma(written)
        return number is not None and same_number(target, number)
    if "," not in target.text or target.number is not None:
        return False
    gold, number = parse_decimal_comma(target.text), parse_number(written)
    return gold is not None and number is not None and equal(gold, number, precision=target.precision)


def _same_moment(target: Target, written: str) -> bool:
    if target.time is not None:
        time = read_time(written)
        return time is not None and same_time(target.time, time)
    date = read_date(written) if target.date is not None else None
    return date is not None and target.date is not None and same_date(target.date, date)


def _same_ratio(target: Target, written: str) -> bool:
    """Whether both are one ratio; a fraction of its value is one too, a time of day is not."""
    assert target.ratio is not None, "asked for a target with a ratio"
    (left, right), other = target.ratio, read_ratio(written.rpartition("=")[2].strip().strip("$"))
    if other is None:
        number = parse_number(written)
        return number is not None and right != 0 and not number.unit and number.value == left / right
    if target.time is not None:
        return (left, right) == other
    return right != 0 and other[1] != 0 and left / right == other[0] / other[1]


def _compare_parts(target: Target, written: str) -> Sameness | None:
    if target.number is not None:
        ratio = read_ratio(written) if ":" in written else None
        if ratio is not None:
            return "same" if ratio[1] and ratio[0] / ratio[1] == target.number.value and not target.number.unit else "different"
        parts = read_parts(written) if any(mark in written for mark in ",;&|<>\u2264\u2265\\") else None
        return "different" if parts is not None and _is_several(parts) else None
    if target.parts is None:
        return None
    parts = read_parts(written)
    if parts is None:
        return None if target.parts.names and target.parts.kind == "interval" else _lone(target, written)
    return same_parts(target.parts, parts, cheap=_cheap, full=_full, ordered=target.ordered)


def _is_several(parts: Parts) -> bool:
    """Whether the parts are surely several values and not one."""
    return len(parts.items) > 1 and len({latex(item) for item in parts.items}) > 1


def _lone(target: Target, written: str) -> Sameness | None:
    """A single value is not a list of several; formulas that were not taken apart are left to algebra."""
    assert target.parts is not None, "asked for a target with parts"
    if len(target.parts.items) == 1:
        return _full(target.parts.items[0], written)
    if parse_number(written) is not None or not target.symbols:
        return "different"
    numbers = all(parse_number(item) is not None for item in target.parts.items)
    return "different" if numbers and "\\begin" not in written and ("\\" not in written or _has_variables(written)) else None


def _has_variables(text: str) -> bool:
    """Whether letters other than e and i stand on every side of it, outside commands: such a formula is no list of numbers."""
    sides = COMMAND.sub(" ", text).split("=")
    return all(any(letter.isalpha() and letter not in "eiE\u03c0" for letter in side) for side in sides)


@functools.lru_cache(maxsize=4096)
def part_target(text: str) -> Target:
    """Returns one part of a list or interval as an answer of its own."""
    return read_target(text, "latex", "", "", None, "")


def _cheap(gold: str, answer: str) -> Sameness:
    return compare_quickly(part_target(gold), answer) or "different" if not same_wording(gold, answer) else "same"


def _full(gold: str, answer: str) -> Sameness:
    return "same" if same_wording(gold, answer) else compare(part_target(gold), answer)
