"""Finds a formula that makes a target from numbers, each used once; exact, over all trees of + - * /.

What can be made of two parts is worked out from what can be made of each; the last step only looks up the partner that a value needs.
The formulas are short: fewest divisions, then fewest brackets, then fewest characters, so that whole numbers are preferred on the way.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from vlmpost.answers.formulas.listing import solution_strings
from vlmpost.answers.formulas.tokens import tokens_of
from vlmpost.answers.formulas.values import value_of

MAX_NUMBERS: Final = 5
"""The values of five numbers can be listed in a fraction of a second; those of six cannot."""
_MAX_KEPT_NUMBERS: Final = 3
_LOOSE, _TIGHT, _NUMBER = range(3)

Ratio = tuple[int, int]
"""An exact value: a reduced fraction, its sign above. Python's own fractions take several times as long."""


class Expression(NamedTuple):
    """One way to make a value. Expressions compare by how simple they are."""

    num_divisions: int
    num_brackets: int
    length: int
    text: str
    binding: int
    """How tight its last operation binds: loose for + and -, tight for * and /."""


def find_solution(numbers: Iterable[int], target: int) -> str | None:
    """Returns the simplest formula that makes the target, floats included where any formula does; None where there is none.

    >>> find_solution((4, 3, 2, 10), 24)
    '10*3-2-4'
    >>> find_solution((3, 3, 8, 8), 24)
    '8/(3-8/3)'
    >>> find_solution((1, 1, 1, 1), 24) is None
    True
    """
    return _find(tuple(sorted(numbers)), target)


def is_solvable(numbers: Iterable[int], target: int) -> bool:
    """Returns whether some formula makes the target of the numbers."""
    return _find(tuple(sorted(numbers)), target) is not None


def num_solvable(hands: Iterable[Sequence[int]], target: int) -> int:
    """Returns how many of the hands are solvable."""
    return sum(is_solvable(hand, target) for hand in hands)


@functools.lru_cache(maxsize=20_000)
def _find(numbers: tuple[int, ...], target: int) -> str | None:
    assert 1 <= len(numbers) <= MAX_NUMBERS, numbers
    found = min(_ways(numbers, target), default=None)
    if found is None or found.num_divisions == 0 or _float_hits(found.text, target):
        return found if found is None else found.text
    return next((text for text in solution_strings(numbers, target) if _float_hits(text, target)), found.text)


def _float_hits(text: str, target: int) -> bool:
    tokens = tokens_of(text)
    assert tokens is not None, text
    return value_of(tokens, arithmetic="float") == target


def _ways(numbers: tuple[int, ...], target: int) -> Iterator[Expression]:
    """The simplest expression for the target at each way to split the numbers and each value of the smaller part."""
    if len(numbers) == 1 and numbers[0] == target:
        yield _number(target)
    for part, rest in _splits(numbers):
        partners = reachable(rest)
        for value, expression in reachable(part).items():
            for needed, symbol, is_first in _partners(value, target):
                if needed in partners:
                    other = partners[needed]
                    yield joined(expression, symbol, other) if is_first else joined(other, symbol, expression)


def _partners(value: Ratio, target: int) -> Iterator[tuple[Ratio, str, bool]]:
    """What the other part must be for the target, the operator between the two, and whether this part stands first."""
    top, bottom = value
    yield (target * bottom - top, bottom), "+", False
    yield (top - target * bottom, bottom), "-", True
    yield (top + target * bottom, bottom), "-", False
    if top:
        yield _ratio(target * bottom, top), "*", False
        yield _ratio(target * top, bottom), "/", False
        if target:
            yield _ratio(top, target * bottom), "/", True


def reachable(numbers: tuple[int, ...]) -> Mapping[Ratio, Expression]:
    """Returns every value that the sorted numbers can make, each with its simplest expression."""
    return _kept(numbers) if len(numbers) <= _MAX_KEPT_NUMBERS else _reached(numbers)


@functools.lru_cache(maxsize=2_000)
def _kept(numbers: tuple[int, ...]) -> Mapping[Ratio, Expression]:
    return _reached(numbers)


def _reached(numbers: tuple[int, ...]) -> Mapping[Ratio, Expression]:
    if len(numbers) == 1:
        return {(numbers[0], 1): _number(numbers[0])}
    found: dict[Ratio, Expression] = {}
    for part, rest in _splits(numbers):
        for (value, one), (partner, other) in itertools.product(reachable(part).items(), reachable(rest).items()):
            for made, expression in _made(value, one, partner, other):
                if made not in found or expression < found[made]:
                    found[made] = expression
    return found


def _made(value: Ratio, one: Expression, partner: Ratio, other: Expression) -> Iterator[tuple[Ratio, Expression]]:
    (top, bottom), (partner_top, partner_bottom) = value, partner
    ours, theirs, below = top * partner_bottom, partner_top * bottom, bottom * partner_bottom
    yield _ratio(theirs + ours, below), joined(other, "+", one)
    yield _ratio(top * partner_top, below), joined(other, "*", one)
    yield _ratio(theirs - ours, below), joined(other, "-", one)
    yield _ratio(ours - theirs, below), joined(one, "-", other)
    if top:
        yield _ratio(theirs, ours), joined(other, "/", one)
    if partner_top:
        yield _ratio(ours, theirs), joined(one, "/", other)


def _ratio(top: int, bottom: int) -> Ratio:
    """The reduced ratio of two numbers, the second not 0."""
    divisor = math.gcd(top, bottom) if bottom > 0 else -math.gcd(top, bottom)
    return top // divisor, bottom // divisor


@functools.lru_cache(maxsize=20_000)
def _splits(numbers: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Every way to part sorted numbers in two, the smaller part first; equal ways once."""
    places = range(len(numbers))
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], None] = {}
    for size in range(1, len(numbers) // 2 + 1):
        for chosen in itertools.combinations(places, size):
            part = tuple(numbers[place] for place in chosen)
            rest = tuple(numbers[place] for place in places if place not in chosen)
            found[part, rest] = None
    return tuple(found)


def _number(number: int) -> Expression:
    return Expression(0, 0, len(str(number)), str(number), _NUMBER)


def joined(left: Expression, symbol: str, right: Expression) -> Expression:
    """Returns two expressions joined by an operator, with the brackets that are needed."""
    binding = _TIGHT if symbol in "*/" else _LOOSE
    around_left = left.binding < binding
    around_right = right.binding < binding or (symbol in "-/" and right.binding == binding)
    first = f"({left.text})" if around_left else left.text
    second = f"({right.text})" if around_right else right.text
    text = f"{first}{symbol}{second}"
    return Expression(
        num_divisions=left.num_divisions + right.num_divisions + (symbol == "/"),
        num_brackets=left.num_brackets + right.num_brackets + around_left + around_right,
        length=len(text),
        text=text,
        binding=binding,
    )
