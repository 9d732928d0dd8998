r"""Tells two formulas with letters apart by their values at a few points, in microseconds and without a child process.

Reads sums, products, fractions, powers and roots of numbers and letters that can be read in one way only; anything else (functions,
inequalities, `e` and `i`, `a/2b`, `3\frac12`, `f(x)`) is left to algebra. Formulas whose values differ are different. Formulas
whose values agree are the same only where both are made by adding, multiplying and dividing, or have no letters; roots of letters
are left to algebra, since all points are positive and the root of x^2 is not x. Exponents and whole numbers are limited, so that
agreeing to twelve digits is no accident: 1/3 is not (3^1008-1)/3^1009.
"""

from __future__ import annotations

import cmath
import functools
import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

MAX_CHARACTERS: Final = 400
MAX_DEPTH: Final = 30
MAX_EXPONENT: Final = 12
MAX_CONSTANT: Final = 1e7
MAX_DIGITS: Final = 12
NUM_POINTS: Final = 5
MAX_ERROR: Final = 1e-12
MIN_DIFFERENCE: Final = 1e-5

_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d+)?)|(\\[dt]?frac|\\sqrt|\\pi)(?![A-Za-z])|(\\cdot|\\times)(?![A-Za-z])"
    r"|((?:\\(?:alpha|beta|gamma|delta|theta|lambda|mu|rho|sigma|tau|phi|omega)(?![A-Za-z])|[A-Za-z])(?:_(?:\w|\{\w{1,8}\}))?)|([-+*/^(){}\[\]]))"
)
_SKIPPED = re.compile(r"\\(?:left|right)(?![A-Za-z])|\\[,;! ]")
_AMBIGUOUS: Final = frozenset("eiEdfghFGHPQR")
"""Euler's number, the imaginary unit, a differential, or a function's name."""
_CLOSING: Final = {"(": ")", "{": "}", "[": "]"}

Values = Mapping[str, complex]
Node = Callable[[Values], complex]


class _UnreadableError(Exception):
    """The formula is not of the kind that is read here."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that can be given values."""

    value: Node
    letters: frozenset[str]
    rational: bool
    """Whether there are no roots and no powers but whole ones."""


def compare_at_points(gold: str, answer: str) -> Literal["same", "different"] | None:
    """Returns how two formulas or two equations stand to each other; None where their values do not say.

    >>> compare_at_points("(x+1)^2", "x^2+2x+1"), compare_at_points("2x", r"\\frac{x}{2}"), compare_at_points("f(x)", "x")
    ('same', 'different', None)
    >>> compare_at_points("2x + 4y = 3", r"y = \\frac{3}{4} - \\frac{1}{2}x")
    'same'
    """
    if "=" in gold or "=" in answer:
        return _compare_equations(gold, answer)
    one, other = read_formula(gold), read_formula(answer)
    if one is None or other is None:
        return None
    pairs = _values(one, other)
    errors = [abs(left - right) / (max(abs(left), abs(right)) or 1.0) for left, right in pairs]
    if any(error > MIN_DIFFERENCE for error in errors):
        return "different"
    sure = (one.rational and other.rational) or not one.letters | other.letters
    return "same" if sure and len(pairs) == NUM_POINTS and all(error <= MAX_ERROR for error in errors) else None


def _compare_equations(gold: str, answer: str) -> Literal["same"] | None:
    """Equations whose two sides differ by one constant factor are the same; of others nothing is said."""
    if gold.count("=") != 1 or answer.count("=") != 1:
        return None
    one, other = (read_formula("({})-({})".format(*text.split("="))) for text in (gold, answer))
    if one is None or other is None or not one.letters or not (one.rational and other.rational):
        return None
    pairs = _values(one, other)
    if len(pairs) < NUM_POINTS or any(abs(left) < MIN_DIFFERENCE or abs(right) < MIN_DIFFERENCE for left, right in pairs):
        return None
    factors = [left / right for left, right in pairs]
    return "same" if all(abs(factor - factors[0]) <= MAX_ERROR * abs(factors[0]) for factor in factors) else None


def _values(one: Formula, other: Formula) -> list[tuple[complex, complex]]:
    """The finite values of both at the points."""
    pairs = []
    for point in range(NUM_POINTS):
        values = {letter: _coordinate(letter, point) for letter in one.letters | other.letters}
        try:
            left, right = one.value(values), other.value(values)
        except (ZeroDivisionError, OverflowError):
            continue
        if cmath.isfinite(left) and cmath.isfinite(right):
            pairs.append((left, right))
    return pairs


@functools.lru_cache(maxsize=4096)
def read_formula(text: str) -> Formula | None:
    """Returns the formula, or None where it is of another kind."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        return _Reader(text).formula()
    except _UnreadableError:
        return None


@functools.lru_cache(maxsize=4096)
def _coordinate(letter: str, point: int) -> complex:
    return complex(random.Random(f"{letter}:{point}").uniform(0.6, 2.4))


class _Reader:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(_SKIPPED.sub(" ", text))
        self.place = 0
        self.depth = 0
        self.letters: set[str] = set()
        self.rational = True

    def formula(self) -> Formula:
        value = self._sum()
        if self.place < len(self.tokens):
            raise _UnreadableError
        return Formula(value, frozenset(self.letters), self.rational)

    def _next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self, token: str) -> None:
        if self._next() != token:
            raise _UnreadableError
        self.place += 1

    def _sum(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _UnreadableError
        negative = self._next() == "-"
        if self._next() in ("+", "-"):
            self.place += 1
        total = _negated(self._product()) if negative else self._product()
        while self._next() in ("+", "-"):
            minus = self._next() == "-"
            self.place += 1
            total = _added(total, _negated(self._product()) if minus else self._product())
        self.depth -= 1
        return total

    def _product(self) -> Node:
        total, divided, number_before = self._power(), False, self._ended_in_number()
        while True:
            token = self._next()
            if token in ("*", "/"):
                self.place += 1
                divided = divided or token == "/"
                total = (_divided if token == "/" else _multiplied)(total, self._power())
            elif token and token not in ("+", "-", ")", "}", "]", "^"):
                if divided or token[0].isdigit() or (number_before and token == "\\frac"):
                    raise _UnreadableError  # a/2b, x2, 3\frac12
                total = _multiplied(total, self._power())
            else:
                return total
            number_before = self._ended_in_number()

    def _ended_in_number(self) -> bool:
        return self.tokens[self.place - 1][0].isdigit()

    def _power(self) -> Node:
        base = self._atom()
        if self._next() != "^":
            return base
        self.place += 1
        token = self._next()
        if token == "{":
            before = set(self.letters)
            exponent = self._group("{")
            self._check_exponent(exponent, constant=self.letters == before)
        elif len(token) == 1 and token.isdigit():
            exponent = self._atom()
        else:
            raise _UnreadableError
        if self._next() == "^":
            raise _UnreadableError
        return _raised(base, exponent)

    def _check_exponent(self, exponent: Node, *, constant: bool) -> None:
        if not constant:
            self.rational = False
            return
        try:
            value = exponent({})
        except (KeyError, ZeroDivisionError, OverflowError):
            self.rational = False
            return
        if abs(value) > MAX_EXPONENT:
            raise _UnreadableError
        self.rational = self.rational and value.real == round(value.real)

    def _group(self, opening: str) -> Node:
        self._take(opening)
        inner = self._sum()
        self._take(_CLOSING[opening])
        return inner

    def _atom(self) -> Node:
        token = self._next()
        if token in ("(", "{"):
            return self._group(token)
        if not token or token in ("+", "-", "*", "/", "^", ")", "}", "[", "]"):
            raise _UnreadableError
        self.place += 1
        if token[0].isdigit():
            if len(token) > MAX_DIGITS or float(token) > MAX_CONSTANT:
                raise _UnreadableError
            return _constant(float(token))
        if token == "\\frac":
            top = self._argument()
            return _divided(top, self._argument())
        if token == "\\sqrt":
            self.rational = False
            degree = self._group("[") if self._next() == "[" else _constant(2.0)
            return _raised(self._argument(), _divided(_constant(1.0), degree))
        if token == "\\pi":
            return _constant(math.pi)
        if token in _AMBIGUOUS:
            raise _UnreadableError
        self.letters.add(token)
        return lambda values: values[token]

    def _argument(self) -> Node:
        """What a fraction or root stands over: a group, or one digit or letter."""
        token = self._next()
        if token == "{":
            return self._group("{")
        if len(token) != 1:
            raise _UnreadableError
        return self._atom()


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    text = text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _UnreadableError
        number, command, times, letter, sign = match.groups()
        tokens.append(number or ("\\frac" if command and command.endswith("frac") else command) or (times and "*") or letter or sign)
        place = match.end()
    return tokens


def _constant(value: float) -> Node:
    return lambda _: complex(value)


def _negated(one: Node) -> Node:
    return lambda values: -one(values)


def _added(one: Node, other: Node) -> Node:
    return lambda values: one(values) + other(values)


def _multiplied(one: Node, other: Node) -> Node:
    return lambda values: one(values) * other(values)


def _divided(one: Node, other: Node) -> Node:
    return lambda values: one(values) / other(values)


def _raised(one: Node, other: Node) -> Node:
    def value(values: Values) -> complex:
        base, exponent = one(values), other(values)
        if abs(exponent) > MAX_EXPONENT or (base.real < 0 and exponent.real != round(exponent.real)):
            raise OverflowError  # the root of a negative number: the real or the principal one?
        return base**exponent if base else (0j if exponent.real > 0 else cmath.nan)

    return value
