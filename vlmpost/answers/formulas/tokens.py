"""Splits a formula into numbers, operators and brackets, and says which of them stand where they cannot.

Two checks with a gap between them, as in the released verifier of arXiv 2501.17161: what passes both can still be incomplete (an open
bracket, an operator at the end) or hold a number with leading zeros; `values.py` finds these.

Source: LeslieTrue/SFTvsRL at 5a6ea55, utils_rl.py.
Departures:
1. Limits: a formula of more than `MAX_CHARACTERS`, with brackets deeper than `MAX_DEPTH` or a number of more than `MAX_DIGITS` digits is
   not read.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Final, Literal

MAX_CHARACTERS: Final = 1_000
MAX_DEPTH: Final = 100
MAX_DIGITS: Final = 10
OPERATORS: Final = "+-*/"
_TOKEN: Final = re.compile(r"\d+|[+\-*/()]")

Digits = Literal["ascii", "unicode"]


class Misplacement(enum.Enum):
    """What stands where it cannot; the value says so in a sentence's end."""

    NUMBER = "a number follows a number or a closing bracket"
    OPERATOR = "an operator does not follow a number or a closing bracket"
    OPENING = "an opening bracket follows a number or a closing bracket"
    CLOSING = "a closing bracket does not follow a number or a closing bracket"
    UNOPENED = "a closing bracket was never opened"


def tokens_of(formula: str, *, digits: Digits = "ascii") -> tuple[str, ...] | None:
    """Returns the tokens of a formula; None where it holds anything else, or goes beyond a limit.

    Args:
        formula: Any text.
        digits: "unicode" takes the digits of every script for digits, as Python's regular expressions do.

    >>> tokens_of("8/(3-8/3)")
    ('8', '/', '(', '3', '-', '8', '/', '3', ')')
    >>> tokens_of("2 + 2") is None
    True
    """
    if len(formula) > MAX_CHARACTERS or (digits == "ascii" and not formula.isascii()):
        return None
    tokens = tuple(_TOKEN.findall(formula))
    if "".join(tokens) != formula or any(len(token) > MAX_DIGITS for token in tokens):
        return None
    return tokens if _depth(tokens) <= MAX_DEPTH else None


def is_number(token: str) -> bool:
    """Whether a token of `tokens_of` is a number."""
    return token not in "+-*/()"


def misplacements(tokens: Sequence[str]) -> tuple[Misplacement, ...]:
    """Returns what stands in a wrong place, in order; empty: nothing does.

    A bracket in a wrong place neither opens nor closes, so that its partner may stand wrong as well. What is still missing at the end
    is not looked at.

    >>> [fault.name for fault in misplacements(("2", "(", "3", "+", "4", ")"))]
    ['OPENING', 'UNOPENED']
    """
    found: list[Misplacement] = []
    num_open = 0
    follows_value = False
    for token in tokens:
        if is_number(token):
            if follows_value:
                found.append(Misplacement.NUMBER)
        elif token in OPERATORS:
            if not follows_value:
                found.append(Misplacement.OPERATOR)
        elif token == "(":
            if follows_value:
                found.append(Misplacement.OPENING)
            else:
                num_open += 1
        elif not follows_value:
            found.append(Misplacement.CLOSING)
        elif num_open:
            num_open -= 1
        else:
            found.append(Misplacement.UNOPENED)
        follows_value = token == ")" or is_number(token)
    return tuple(found)


def _depth(tokens: Sequence[str]) -> int:
    """The most brackets that are open at once, whether or not they may stand where they do."""
    depth = deepest = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        deepest = max(deepest, depth)
    return deepest
