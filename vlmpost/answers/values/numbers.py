r"""Reads plain numbers exactly: 1,234 - 1{,}234 - 3/4 - 1 1/2 - \frac{3}{4} - 1.5e3 - 2 \times 10^{4} - 25% - $5 - twenty-one - 5 ft 3 in.

Values are fractions, so that comparing never rounds by accident. Anything with a letter variable is not a number here.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from vlmpost.answers.values import units
from vlmpost.answers.values.number_words import SCALES, WORDS_IN_TEXT, opens_number, read_words

MAX_DIGITS: Final = 400
"""A longer run of digits, or a larger power of ten, is not read as a number."""
MAX_SECOND_CHARACTERS: Final = 60
"""A longer text after a number is not its second part, as "3 in" is in "5 ft 3 in"."""
RELATIVE_TOLERANCE: Final = Fraction(1, 10**6)
"""A decimal answer may be this far from a fraction."""
MAX_ROUNDING_SHARE: Final = Fraction(1, 20)
"""Rounding to the decimals of the reference answer may move an answer by at most this share of it: 0.46 is not 0.5."""

_PLAIN = re.compile(r"[-+]?\d{1,40}(?:\.\d{0,40})?\Z")
_UNSIGNED = r"(?:[1-9]\d{0,2}(?:,\d{3})+(?!\d)|[1-9]\d?(?:,\d{2})+,\d{3}(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_FULL = re.compile(
    rf"(?P<sign>[-+]?)(?P<currency>[$\u20ac\u00a3\u00a5]\s*)?(?P<sign2>-?)(?:"
    rf"10\^\{{?\s*(?P<tenpower>[-+]?\d+)\s*\}}?(?!\d)|(?P<whole>\d+)?\s*\\frac\s*\{{\s*(?P<top>-?\d+)\s*\}}\s*\{{\s*(?P<bottom>\d+)\s*\}}"
    rf"|(?:(?P<mixed>\d+)[ -])?(?P<num>\d+)/(?P<den>\d+)"
    rf"|(?P<base>{_UNSIGNED})(?:\.(?!\d))?(?:[eE](?P<exp>[-+]?\d+)|\*10(?:\^|\*\*)\{{?\s*(?P<power>[-+]?\d+)\s*\}}?)?"
    rf")"
    rf"(?P<rest>.*)\Z",
    re.DOTALL,
)
NUMBER_IN_TEXT: Final = re.compile(
    rf"(?<![\w.\\])(?<!\d[,:])[-+\u2212]?[$\u20ac\u00a3\u00a5]?\s?(?:\\?[dt]?frac\{{-?\d+\}}\{{\d+\}}|(?:\d+\s)?\d+\s?/\s?\d+(?![\d/])"
    rf"|(?:\d{{1,3}}(?:(?:\{{,\}}|,?\\[,!])\d{{3}})+(?!\d)(?:\.\d+)?|\d{{1,3}}(?:\.\d{{3}})+,\d{{1,2}}(?!\d)|\d+,\d{{1,2}}(?![\d,])|{_UNSIGNED})"
    rf"(?:[eE][-+]?\d+|\s*(?:\\times|\\cdot|\u00d7|x|\*)\s*10\^?\{{?[-+]?\d+\}}?)?)(?!:\d)\s?(?:\\?%)?"
)
_DECIMAL_COMMA = re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+")
_NOT_A_COMMA = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}(?!\d)")
_NOISE = re.compile(
    r"\\(?:[,;:! ]|left(?![A-Za-z])|right(?![A-Za-z])|quad|qquad|displaystyle|approx)|[$](?!\s?\d)|\\[()\[\]]|\*\*"
    r"|[`~\u2248\u200b\u200e\u200f]"
)
_WRAPPED = re.compile(r"\\(?:text[a-z]*|math(?:rm|bf|it|sf|tt)|mbox|rm|bf|boxed|operatorname|boldsymbol|bm|underline)\s*\{([^{}]*)\}")
_ASSIGNMENT = re.compile(r"\A[\s$]*(?:\\[(\[])?\s*[A-Za-z](?:_\{?\w+\}?)?\s*(?:=|\\approx|\u2248)\s*")
_ASSIGNED = re.compile(r"(?<=[\d}%])\s*=\s*[A-Za-z](?:_\{?\w+\}?)?[\s$]*\Z")
_MATH_MARK = re.compile(r"(?<!\\)\$")
_BRACED_WORD = re.compile(r"(?<=[\d\s])\{([A-Za-z ]*)\}")
_ADVERB = re.compile(r"\A(?:approximately|approx\.?|about|around|roughly|exactly|equal to|a total of|only)\s+(?=\S)", re.IGNORECASE)
_OPENING_WORD = re.compile(r"([A-Za-z]{2,})(?=\s|\Z)")
_THOUSANDS = re.compile(r"(?<=\d)(,?)\\[,! ] ?(?=\d{3}(?!\d))")
_DEGREE = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![A-Za-z])")
_SHORT_FRAC = re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)")
_TIMES_TEN = re.compile(r"\s*(?:\\times|\\cdot|\u00d7|\u00b7|\u22c5|(?<=\d)\s?x(?=\s?10\b)|\*)\s*(?=10\b)")
_SLASH = re.compile(r"\s*/\s*")
_SIGN = re.compile(r"\A([-+])\s+(?=[\d\\$])")
_IN_BRACKETS = re.compile(r"\([-+]?[\d./]{1,40}\)")
_DIGIT_GROUP = re.compile(r"(?<=\d)[ '](?=\d{3}(?:[ ']\d{3})*(?!\d|/| ?\d))")
_REPEATING = re.compile(r"(-?)(\d*)\.(\d*)(?:\\(?:overline|bar)\s*\{?(\d+)\}?|(\d)\5{2,}\s*(?:\.\.\.|\\l?dots|\u2026))\Z")
_PERCENT = re.compile(r"\A\s*(?:%|percent(?:age)?(?: points?)?\b|per cent\b|pct\b)", re.IGNORECASE)
_ORDINAL = re.compile(r"\A(?:\^\s*\{?)?(?:st|nd|rd|th)\b\}?", re.IGNORECASE)
_OF_THE_WHOLE = re.compile(r"\A\s+of\s+(?:the|all|its|his|her|their|our|this|that|these|those)\b[\w\s'-]*\Z")
_UNIT_FRACTION = re.compile(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_SECOND_PART = re.compile(r"((?:[^\W\d]|[\s.'\"\u2032\u2033])+?)(?:,|\band\b)?\s*(\d.*)\Z", re.DOTALL)
_CURRENCY = {"$": "dollars", "\u20ac": "euros", "\u00a3": "sterling", "\u00a5": "yen"}
_VULGAR = {
    "\u00bd": "1/2", "\u2153": "1/3", "\u2154": "2/3", "\u00bc": "1/4", "\u00be": "3/4", "\u2155": "1/5", "\u2156": "2/5", "\u2157": "3/5",
    "\u2158": "4/5", "\u2159": "1/6", "\u215a": "5/6", "\u215b": "1/8", "\u215c": "3/8", "\u215d": "5/8", "\u215e": "7/8",
}  # fmt: skip
_VULGAR_IN_TEXT = re.compile(f"(\\d?)\\s?([{''.join(_VULGAR)}])")
_CHARACTERS = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\ufe63": "-", "\uff0d": "-", "\u2044": "/", "\u2215": "/", "\uff05": "%", "\uff0e": ".", "\uff0c": ","}
    | dict.fromkeys("\u00a0\u202f\u2009\u2007\u2002\u2003", " ")
    | {chr(0xFF10 + digit): str(digit) for digit in range(10)}
)
_RAISED = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a", "0123456789-+")
_RAISED_POWER = re.compile("(?<=10)[\u207b\u207a]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    value: Fraction
    num_decimals: int
    """Digits printed after the point; 0 for integers and fractions."""
    percent: bool = False
    unit: str = ""
    """What follows the number, blanks single; "" when nothing does."""
    exact: bool = True
    """False for decimals: they may stand for a rounded value."""


def parse_number(text: str) -> Number | None:
    """Returns the number that the whole text is, or None.

    >>> parse_number("1,234.50 cm")
    Number(value=Fraction(2469, 2), num_decimals=2, percent=False, unit='cm', exact=False)
    """
    text = text.strip()
    return _parse(text) if text and len(text) <= 4 * MAX_DIGITS else None


@functools.lru_cache(maxsize=4096)
def _parse(text: str) -> Number | None:
    if _PLAIN.match(text):
        if "." not in text:
            return Number(Fraction(int(text)), 0)
        decimals = len(text) - text.find(".") - 1
        return Number(Fraction(text.rstrip(".")), decimals, exact=decimals == 0)
    word = _OPENING_WORD.match(text)
    if word is not None and not opens_number(word.group(1).lower()) and not _ADVERB.match(text):
        return None
    text = clean(text)
    if text[:1].isalpha():
        return _in_words(text)
    repeating = _REPEATING.match(text)
    if repeating:
        return Number(_repeating(repeating), 0)
    match = _FULL.match(text)
    return _number(match) if match else None


def parse_decimal_comma(text: str) -> Number | None:
    """Returns the number that the whole text is when its comma is a decimal point, or None where it cannot be one.

    "2,74" may also be a list of two numbers; "1,234" is a thousand.

    >>> parse_decimal_comma("1.000,99").value
    Fraction(100099, 100)
    """
    text = clean(text)
    match = _DECIMAL_COMMA.match(text)
    if match is None or match.end() > MAX_DIGITS or _NOT_A_COMMA.fullmatch(match.group()):
        return None
    return parse_number(match.group().replace(".", "").replace(",", ".") + text[match.end() :])


def clean(text: str) -> str:
    """Returns the text without what is only there for looks: text wrappers, spacing commands, dollar signs, a leading `x =`."""
    if not text.isascii():
        text = text.translate(_CHARACTERS)
        text = _VULGAR_IN_TEXT.sub(lambda match: f"{match[1]} {_VULGAR[match[2]]}" if match[1] else _VULGAR[match[2]], text)
        text = _RAISED_POWER.sub(lambda match: "^" + match.group().translate(_RAISED), text)
    if text.count("$") - text.count("\\$") > 1:
        text = _MATH_MARK.sub(" ", text)
    if "\\" in text:
        text = _THOUSANDS.sub(r"\1", _without_wrappers(text))
    if "{" in text:
        text = _BRACED_WORD.sub(r" \1 ", text.replace("{,}", ","))
    if any(sign in text for sign in ("=", "\\approx", "\u2248")):
        text = _ASSIGNED.sub("", _ASSIGNMENT.sub("", text))
    if not text.isalnum():
        text = _NOISE.sub(" ", text).strip()
    if text[:1].isalpha():
        text = _ADVERB.sub("", text)
    if "\\" in text:
        text = _SHORT_FRAC.sub(r"\\frac{\1}{\2}", _DEGREE.sub("\u00b0", text))
    if "10" in text:
        text = _TIMES_TEN.sub("*", text)
    text = text.strip(" \t\r\n,;:'\"*_")
    text = text if text.endswith("..") else text.rstrip(". ")
    if "/" in text:
        text = _SLASH.sub("/", text)
    text = _SIGN.sub(r"\1", text)
    if text[:1] == "(" and text[-1:] == ")" and _IN_BRACKETS.fullmatch(text):
        text = text[1:-1]
    return _DIGIT_GROUP.sub("", text) if " " in text or "'" in text else text


def equal(gold: Number, answer: Number, *, precision: int | None = None, percent_shown: bool = False) -> bool:
    """Returns whether `answer` states the value of `gold`.

    Integers and fractions exactly (a decimal answer for a fraction to 1e-6 relative); a decimal gold at its printed decimals, if
    the answer prints at least as many and is within 5 %. 25% and 0.25 match only where the gold or the question shows percent.
    Units are converted; different kinds of unit never match.

    Args:
        precision: Digits after the point to which both are rounded (half even) where the gold is a decimal. None: not given.
        percent_shown: Whether the question asks for percent.
    """
    value = answer.value
    if gold.unit and answer.unit and gold.unit != answer.unit:
        ratio = units.ratio(gold.unit, answer.unit)
        if ratio is None:
            return False
        value *= ratio
    if _same(gold, value, answer, precision):
        return True
    if gold.percent and not answer.percent:
        return _same(gold, value * 100, answer, precision)
    return percent_shown and answer.percent and not gold.percent and not gold.unit and _same(gold, value / 100, answer, precision)


def canonical(number: Number) -> str:
    """Returns the value as an exact fraction, with the percent sign and the unit where it has them.

    >>> canonical(parse_number("1.50 m"))
    '3/2 m'
    """
    return f"{number.value}{'%' if number.percent else ''}{' ' if number.unit else ''}{number.unit}"


def _same(gold: Number, value: Fraction, answer: Number, precision: int | None) -> bool:
    if precision is not None and (not gold.exact or precision > 0):
        return round(value, precision) == round(gold.value, precision)
    if value == gold.value:
        return True
    if gold.exact and gold.value.denominator == 1:
        return False
    difference = abs(value - gold.value)
    if difference <= RELATIVE_TOLERANCE * abs(gold.value):
        return True
    if gold.exact:
        return False
    precise = answer.exact or answer.num_decimals >= gold.num_decimals or answer.unit != gold.unit
    return precise and difference * 2 * 10**gold.num_decimals <= 1 and difference <= MAX_ROUNDING_SHARE * abs(gold.value)


def _in_words(text: str) -> Number | None:
    """A number in words, alone or with its unit."""
    value = read_words(text)
    if value is not None:
        return Number(value, 0)
    match = WORDS_IN_TEXT.match(text)
    value = read_words(match.group()) if match else None
    return None if match is None or value is None else _with_unit(Number(value, 0), text[match.end() :], "")


def _without_wrappers(text: str) -> str:
    for _ in range(4):
        unwrapped = _WRAPPED.sub(r" \1 ", text)
        if unwrapped == text:
            break
        text = unwrapped
    text = text.replace("\\%", "%").replace("\\$", "$")
    return text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\cfrac", "\\frac")


def _repeating(match: re.Match[str]) -> Fraction:
    """0.1\\overline{6} or 0.333... as a fraction."""
    start, period = match.group(3), match.group(4) or match.group(5)
    value = Fraction(f"{match.group(2) or 0}.{start or 0}") + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(start))
    return -value if match.group(1) else value


def _number(match: re.Match[str]) -> Number | None:
    if any(len(part) > MAX_DIGITS for part in match.groups()[:-1] if part):
        return None
    found, rest = _value(match), match["rest"]
    if found is None:
        return None
    value, decimals, exact = found
    if "-" in (match["sign"], match["sign2"]):
        value = -value
    if not rest and not match["currency"]:
        return Number(value, decimals, exact=exact)
    return _with_unit(Number(value, decimals, exact=exact), rest, _CURRENCY.get((match["currency"] or "").strip(), ""))


def _with_unit(number: Number, rest: str, currency: str) -> Number | None:
    """The number with what follows it: ordinal ending, percent sign, power of ten in words, unit, second part."""
    rest = _OF_THE_WHOLE.sub("", _ORDINAL.sub("", rest))
    percent = _PERCENT.match(rest)
    rest = rest[percent.end() :] if percent else rest
    scale = 0
    first = rest.split(maxsplit=1)[:1]
    if first and first[0].lower() in SCALES:
        scale = SCALES[first[0].lower()]
        rest = f" {rest.split(maxsplit=1)[1]}" if len(rest.split(maxsplit=1)) > 1 else ""
    value = number.value * 10**scale if scale else number.value
    scaled = Number(value, max(0, number.num_decimals - scale), percent is not None, currency, number.exact)
    rest = _UNIT_FRACTION.sub(r"\1/\2", rest).replace("(", " ").replace(")", " ")
    unit = " ".join(rest.strip(" .,;").split())
    if not unit:
        return scaled
    if units.read_unit(unit, glued=not rest[:1].isspace()) is not None:
        return replace(scaled, unit=currency or unit)
    return _of_two_parts(scaled, rest)


def _of_two_parts(number: Number, rest: str) -> Number | None:
    """A length or time in two units, as in "5 ft 3 in"."""
    match = _SECOND_PART.match(rest) if len(rest) <= MAX_SECOND_CHARACTERS else None
    if match is None:
        return None
    unit, second = " ".join(match.group(1).split()), parse_number(match.group(2))
    if second is None or not second.unit or second.value < 0 or not unit:
        return None
    ratio = units.ratio(unit, second.unit)
    if ratio is None or not 0 < ratio < 1 or second.value * ratio >= 1:
        return None
    more = second.value * ratio
    return replace(number, value=number.value + (more if number.value >= 0 else -more), unit=unit)


def _value(match: re.Match[str]) -> tuple[Fraction, int, bool] | None:
    if match["bottom"] is not None:
        if int(match["bottom"]) == 0:
            return None
        return Fraction(int(match["whole"] or 0)) + Fraction(int(match["top"]), int(match["bottom"])), 0, True
    if match["den"] is not None:
        if int(match["den"]) == 0:
            return None
        return Fraction(int(match["mixed"] or 0)) + Fraction(int(match["num"]), int(match["den"])), 0, True
    exponent = int(match["exp"] or match["power"] or match["tenpower"] or 0)
    if abs(exponent) > MAX_DIGITS:
        return None
    if match["tenpower"] is not None:
        return Fraction(10) ** exponent, 0, True
    base = match["base"].replace(",", "")
    if not exponent and "." not in base:
        return Fraction(int(base)), 0, True
    decimals = len(base) - base.find(".") - 1 if "." in base else 0
    return Fraction(base) * Fraction(10) ** exponent, max(0, decimals - exponent), decimals == 0
