"""Lists the formulas of a hand in the forms that the released solver writes, for partial answers and for feedback.

A form is an order of the numbers, operators between them, and no brackets, one pair around two or more terms but not around all, or two
pairs side by side. For four numbers that is the released solver's list exactly, e.g. 56 formulas for (4, 10, 2, 5). Every solvable hand of
four has a formula in it, but `((1+2)+3)*4` is not in it: the second bracket is not needed.

Source: LeslieTrue/SFTvsRL at 5a6ea55, gym_cards/envs/general_points_oneline.py (after Rosetta Code, "24 game/Solve").
Departures:
1. The list is sorted, where the released one is in random order; formulas stand once.
2. Hands of five have two nested pairs as well, as some of them need these.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from vlmpost.answers.formulas.tokens import OPERATORS
from vlmpost.answers.formulas.values import evaluate, fold

MAX_NUMBER: Final = 100
"""Numbers up to this one, and targets up to `MAX_TARGET`, can be told apart in floating point before they are reckoned exactly."""
MAX_TARGET: Final = 1_000_000
_FLOAT_MARGIN: Final = 1e-6
_NESTED_FROM: Final = 5

Pair = tuple[int, int]
"""A pair of brackets: the first term inside and the one after the last."""


class Program(NamedTuple):
    """How to reckon every tree over n numbers in a fixed order, sharing what the trees share."""

    steps: tuple[tuple[str, int, int], ...]
    """(operator, place of the left value, place of the right value); the n numbers are at the places 0 to n - 1."""
    forms: tuple[tuple[int, tuple[str, ...]], ...]
    """(place of a whole tree's value, the forms that are read as that tree)."""


def solution_strings(numbers: Iterable[int], target: int) -> tuple[str, ...]:
    """Returns the formulas that make the target, sorted; no blanks and no "=".

    >>> len(solution_strings((4, 10, 2, 5), 24))
    56
    """
    return _listed(tuple(sorted(numbers)), target)


def is_start_of_solution(text: str, numbers: Iterable[int], target: int) -> bool:
    """Returns whether some formula of the list begins with the text.

    >>> is_start_of_solution("8/(3-", (3, 3, 8, 8), 24)
    True
    """
    solutions = solution_strings(numbers, target)
    place = bisect.bisect_left(solutions, text)
    return place < len(solutions) and solutions[place].startswith(text)


@functools.lru_cache(maxsize=4_096)
def _listed(numbers: tuple[int, ...], target: int) -> tuple[str, ...]:
    program = _program(len(numbers))
    found: set[str] = set()
    for order in sorted(set(itertools.permutations(numbers))):
        values = _reckoned(program, order)
        for place, forms in program.forms:
            if abs(values[place] - target) < _FLOAT_MARGIN and evaluate(forms[0].format(*order)) == target:
                found.update(form.format(*order) for form in forms)
    return tuple(sorted(found))


def _reckoned(program: Program, numbers: tuple[int, ...]) -> list[float]:
    """The values of all steps in floating point; NaN where something is divided by zero."""
    values: list[float] = list(numbers)
    for symbol, left, right in program.steps:
        one, other = values[left], values[right]
        if symbol == "+":
            values.append(one + other)
        elif symbol == "-":
            values.append(one - other)
        elif symbol == "*":
            values.append(one * other)
        else:
            values.append(one / other if abs(other) > _FLOAT_MARGIN else math.nan)
    return values


@functools.cache
def _program(num_numbers: int) -> Program:
    steps: list[tuple[str, int, int]] = []
    place_of: dict[tuple[str, int, int], int] = {}
    forms: dict[int, list[str]] = {}

    def placed(symbol: str, left: int, right: int) -> int:
        step = (symbol, left, right)
        if step not in place_of:
            place_of[step] = num_numbers + len(steps)
            steps.append(step)
        return place_of[step]

    for tokens in _token_forms(num_numbers):
        form = "".join(f"{{{token}}}" if token.isdigit() else token for token in tokens)
        forms.setdefault(fold(tokens, leaf=int, combine=placed), []).append(form)
    return Program(tuple(steps), tuple((place, tuple(texts)) for place, texts in forms.items()))


def _token_forms(num_numbers: int) -> Iterator[tuple[str, ...]]:
    """Every form, with the numbers' places for the numbers."""
    for symbols in itertools.product(OPERATORS, repeat=num_numbers - 1):
        for pairs in _bracketings(num_numbers):
            tokens: list[str] = []
            for place in range(num_numbers):
                tokens += "(" * sum(start == place for start, _ in pairs)
                tokens.append(str(place))
                tokens += ")" * sum(end == place + 1 for _, end in pairs)
                tokens += symbols[place : place + 1]
            yield tuple(tokens)


def _bracketings(num_numbers: int) -> Iterator[tuple[Pair, ...]]:
    single = [(start, end) for start in range(num_numbers) for end in range(start + 2, num_numbers + 1) if (start, end) != (0, num_numbers)]
    yield ()
    yield from ((pair,) for pair in single)
    for one, other in itertools.combinations(single, 2):
        nested = (one[0] <= other[0] and other[1] <= one[1]) or (other[0] <= one[0] and one[1] <= other[1])
        if one[1] <= other[0] or (nested and num_numbers >= _NESTED_FROM):
            yield one, other
