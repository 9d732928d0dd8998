"""Reads times of day, dates and ratios that are an answer as a whole: 3:15 pm - March 5, 2020 - 2020-03-05 - 1:2."""

from __future__ import annotations

import re
from fractions import Fraction

_TIME = re.compile(
    r"(?:at\s+)?(\d{1,2})(?:\s*:\s*(\d{2})(?::(\d{2}))?|\.(\d{2})(?=\s*[apAP]\.?\s?[mM]))?\s*(?:([apAP])\.?\s?[mM]\.?|o'?\s?clock|h|hrs|hours)?"
    r"(?:\s+in the (morning|afternoon|evening)| at (night))?\.?\Z"
)
_RATIO = re.compile(r"([-+]?\d{1,15}(?:\.\d{1,15})?)\s*(?::|\bto\b|\\colon|\u2236)\s*(\d{1,15}(?:\.\d{1,15})?)\Z")
_RANGE = re.compile(
    r"(?:between\s+|from\s+)?([-+]?\d{1,15}(?:\.\d{1,15})?)\s*(?:-|\u2013|\u2014|--|\bto\b|\band\b)\s*(\d{1,15}(?:\.\d{1,15})?)(?:\s*[A-Za-z%]{1,12})?\Z",
    re.IGNORECASE,
)
_MONTHS = {
    name: number
    for number, name in enumerate("january february march april may june july august september october november december".split(), 1)
}
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?[\s-]+([A-Za-z]{3,9})\.?,?(?:[\s-]+(\d{4}))?\Z")
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?(?:,?\s+(\d{4}))?\Z")
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})\Z")
MAX_CHARACTERS = 60

Time = tuple[int, bool]
"""Seconds after midnight, and whether it is known which half of the day is meant."""
Date = tuple[int | None, int, int]
"""Year (None: not written), month, day."""


def read_time(text: str) -> Time | None:
    """Returns the time of day that the whole text is, or None; "3" is none, "3 pm" and "3:00" are.

    >>> read_time("3:15 pm")
    (54900, True)
    """
    text = text.strip()
    match = _TIME.match(text) if len(text) <= MAX_CHARACTERS else None
    if match is None or text.rstrip(".").isdigit():
        return None
    hour, minute, second = int(match.group(1)), int(match.group(2) or match.group(4) or 0), int(match.group(3) or 0)
    half = (match.group(5) or "").lower() or {"morning": "a", None: ""}.get(match.group(6) or match.group(7), "p")
    plain = match.group(2) is None and match.group(4) is None
    if hour > 23 or minute > 59 or second > 59 or (half and not 1 <= hour <= 12) or (plain and not half and "clock" not in text.lower()):
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return hour * 3600 + minute * 60 + second, bool(half) or hour > 12 or hour == 0


def same_time(gold: Time, answer: Time) -> bool:
    """Returns whether two times are one; where a half of the day is not written, either may be meant."""
    if gold[1] and answer[1]:
        return gold[0] == answer[0]
    return (gold[0] - answer[0]) % (12 * 3600) == 0


def read_date(text: str) -> Date | None:
    """Returns the date that the whole text is, or None; 3/4/2020 is none, since countries read it differently.

    >>> read_date("5 March 2020")
    (2020, 3, 5)
    """
    text = re.sub(
        r"\A(?:on\s+)?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?(?:the\s+)?", "", text.strip().rstrip("."), flags=re.IGNORECASE
    )
    if len(text) > MAX_CHARACTERS:
        return None
    iso = _ISO.match(text)
    if iso:
        return _date(int(iso.group(1)), int(iso.group(2)), int(iso.group(3)))
    match = _DAY_FIRST.match(text)
    day, month, year = match.groups() if match else (None, None, None)
    if match is None:
        match = _MONTH_FIRST.match(text)
        month, day, year = match.groups() if match else (None, None, None)
    if month is None or day is None:
        return None
    number = next((value for name, value in _MONTHS.items() if name.startswith(month.lower()[:4].rstrip("."))), None)
    if number is None or not (month.lower() in _MONTHS or len(month) in (3, 4)):
        return None
    return _date(int(year) if year else None, number, int(day))


def same_date(gold: Date, answer: Date) -> bool:
    """Returns whether two dates are one; a year counts where both write it."""
    return gold[1:] == answer[1:] and (gold[0] == answer[0] or None in (gold[0], answer[0]))


def read_ratio(text: str) -> tuple[Fraction, Fraction] | None:
    """Returns the two sides of the ratio that the whole text is, or None.

    >>> read_ratio("1:2")
    (Fraction(1, 1), Fraction(2, 1))
    """
    match = _RATIO.match(text.strip().rstrip(".")) if len(text) <= MAX_CHARACTERS else None
    return (Fraction(match.group(1)), Fraction(match.group(2))) if match else None


def read_range(text: str) -> tuple[Fraction, Fraction] | None:
    """Returns the ends of the range that the whole text is, or None.

    >>> read_range("between 10 and 20")
    (Fraction(10, 1), Fraction(20, 1))
    """
    text = text.strip().rstrip(".")
    match = _RANGE.match(text) if len(text) <= MAX_CHARACTERS else None
    if match is None or (" and " in text and not text.lower().startswith("between")):
        return None
    low, high = Fraction(match.group(1)), Fraction(match.group(2))
    return (low, high) if low < high else None


def _date(year: int | None, month: int, day: int) -> Date | None:
    return (year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 else None
