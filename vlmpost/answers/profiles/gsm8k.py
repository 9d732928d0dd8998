"""The rule by which GSM8K answers are read: the number after the first "#### ", or after "A: " where a text has no "#### ".

Source: openai/grade-school-math @ 3101c7d5, grade_school_math/dataset.py; the model solutions published there close with "A: ".
The reference answer may be the number or the whole solution of the data set, which ends in "#### " and the number.
"""

from __future__ import annotations

import re
from typing import Final

from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError
from vlmpost.records import Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "Numbers are compared by value: the official rule compares strings, by which 18.0, 18. and 018 are not 18.",
    "A dollar sign before the number is passed over: the official pattern finds no answer in '#### $18'.",
    "An answer without a number is unparsed; the official rule calls it wrong. The score is the same.",
)
_PLACES: Final = (
    ("four_hashes", re.compile(r"#### (-?\$?-?[0-9.,]+)")),
    ("a_colon", re.compile(r"^A: (-?\$?-?[0-9.,]+)", re.MULTILINE)),
)


def gsm8k(text: str, reference: Reference) -> Verdict:
    """GSM8K's own place for answers: the number after the first "####", else after the first line's "A:", compared by value.

    Raises:
        GraderError: The reference answer is not a number.
    """
    golds = {_gold(answer) for answer in reference.answers}
    read = _read(text)
    if read is None or not any(character.isdigit() for character in read[1].group(1)):
        return Verdict("unparsed", None, "no_number")
    rule, match = read
    value = _value(match.group(1))
    return Verdict("correct" if value in golds else "wrong", match.group(1), rule, match.span(1), value)


def _gold(answer: str) -> str:
    read = _read(answer)
    value = _value(read[1].group(1) if read else answer.strip())
    if value is None:
        raise GraderError(f"The reference answer {answer[-80:]!r} is not a number.")
    return value


def _read(text: str) -> tuple[str, re.Match[str]] | None:
    for rule, pattern in _PLACES:
        match = pattern.search(text)
        if match:
            return rule, match
    return None


def _value(written: str) -> str | None:
    """The number in one writing, without a limit to its length; None where it is none."""
    bare = written.replace(",", "").replace("$", "")
    negative, bare = bare.startswith("-"), bare.removeprefix("-")
    whole, _, decimals = bare.partition(".")
    digits = f"{whole}{decimals}"
    if not digits.isascii() or not digits.isdigit():
        return None
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    value = f"{whole}.{decimals}" if decimals else whole
    return f"-{value}" if negative and value != "0" else value
