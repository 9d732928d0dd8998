"""Reads English number words exactly: seven - twenty-one - two hundred and five - three quarters - two and a half - a dozen."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES: Final = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
"""Powers of ten by name."""
_UNITS = {word: value for value, word in enumerate(_SMALL)} | {word: 10 * (index + 2) for index, word in enumerate(_TENS)} | {"fourty": 40}
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "twelfth": 12, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_PART_FORMS = {**_PARTS, **{f"{word}s": value for word, value in _PARTS.items()}, "halves": 2}
_MAX_WORDS = 24

_WORD = "|".join(sorted((*_UNITS, *SCALES, "dozen"), key=len, reverse=True))
_PART = "|".join(sorted(_PART_FORMS, key=len, reverse=True))
WORDS_IN_TEXT: Final = re.compile(
    rf"\b(?:(?:an?|negative|minus)[ ](?=half\b|quarter\b|third\b|hundred\b|thousand\b|million\b|billion\b|dozen\b|(?:{_WORD})\b))?"
    rf"(?:{_WORD}|(?<=\ba )(?:{_PART}))(?:(?:[ ]and[ ](?:a[ ])?|[ ]*-[ ]*|[ ])(?:{_WORD}|{_PART}))*\b(?!-)",
    re.IGNORECASE,
)
"""Number words in running text; ordinals count only behind a numerator ("two thirds")."""


def read_words(text: str) -> Fraction | None:
    """Returns the number that the whole text is in words, or None.

    >>> read_words("Two hundred and twenty-one")
    Fraction(221, 1)
    """
    words = text.lower().replace("-", " ").replace(",", " ").split()
    if not words or len(words) > _MAX_WORDS or not opens_number(words[0]):
        return None
    sign = 1
    if words[0] in ("minus", "negative"):
        sign, words = -1, words[1:]
    value = _with_part(words)
    return None if value is None else sign * value


def opens_number(word: str) -> bool:
    """Returns whether a number in words may begin with the lower-case word."""
    return word in _UNITS or word in SCALES or word in _PART_FORMS or word in ("a", "an", "minus", "negative", "dozen")


def _with_part(words: list[str]) -> Fraction | None:
    """A cardinal, a fraction, or a cardinal and a fraction."""
    if not words:
        return None
    if words == ["half"]:
        return Fraction(1, 2)
    if words[-1] not in _PART_FORMS:
        return _cardinal(words)
    size = Fraction(1, _PART_FORMS[words[-1]])
    if "and" in words:
        cut = len(words) - 1 - words[::-1].index("and")
        whole, top = _cardinal(words[:cut]), _cardinal(words[cut + 1 : -1]) if words[cut + 1] not in ("a", "an") else Fraction(1)
        return None if whole is None or top is None or top * size >= 1 else whole + top * size
    top = Fraction(1) if words[:-1] in (["a"], ["an"]) else _cardinal(words[:-1])
    return None if top is None else top * size


def _cardinal(words: list[str]) -> Fraction | None:
    if words and words[0] in ("a", "an") and len(words) > 1 and (words[1] in SCALES or words[1] == "dozen"):
        words = ["one", *words[1:]]
    total = current = 0
    seen_unit, last_scale = False, 99
    for place, word in enumerate(words):
        if word == "and":
            if place in (0, len(words) - 1) or words[place - 1] not in SCALES:
                return None
        elif word in _UNITS:
            value = _UNITS[word]
            if seen_unit and not (current % 100 >= 20 and current % 10 == 0 and 0 < value < 10):
                return None
            current, seen_unit = current + value, True
        elif word == "dozen":
            if place != len(words) - 1 or total:
                return None
            return Fraction(12 * (current or 1))
        elif word == "hundred":
            if current >= 100 or (place and not seen_unit):
                return None
            current, seen_unit = (current or 1) * 100, False
        elif word in SCALES:
            if SCALES[word] >= last_scale or (place and not current):
                return None
            last_scale = SCALES[word]
            total, current, seen_unit = total + (current or 1) * 10**last_scale, 0, False
        else:
            return None
    return Fraction(total + current) if words else None
