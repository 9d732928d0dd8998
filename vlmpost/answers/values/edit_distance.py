"""Edit distances of two sequences, and the nearest of several texts; knows nothing about answers.

Time is the length of one sequence times that of the other over the word size of Python's integers.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def nearest(text: str, choices: Sequence[str]) -> str:
    """Returns the choice with the least edit distance to `text`, the first of several."""
    return min(choices, key=lambda choice: edit_distance(choice, text))


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Returns the least number of insertions, deletions and replacements that make one sequence the other.

    Source: Myers, A fast bit-vector algorithm for approximate string matching, J. ACM 46 (1999), with Hyyro's correction
    for distance.

    >>> edit_distance("kitten", "sitting")
    3
    """
    short, long = _trimmed(one, other)
    if not short:
        return len(long)
    size = len(short)
    places = _places(short)
    full, top = (1 << size) - 1, 1 << (size - 1)
    plus, minus, distance = full, 0, size
    for symbol in long:
        equal = places.get(symbol, 0)
        diagonal = ((((equal & plus) + plus) ^ plus) | equal | minus) & full
        across_plus, across_minus = minus | (full ^ ((diagonal | plus) & full)), diagonal & plus
        distance += bool(across_plus & top) - bool(across_minus & top)
        across_plus = ((across_plus << 1) | 1) & full
        plus = ((across_minus << 1) & full) | (full ^ (diagonal | across_plus))
        minus = across_plus & diagonal
    return distance


def indel_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Returns the least number of insertions and deletions that make one sequence the other.

    >>> indel_distance("kitten", "sitting")
    5
    """
    short, long = _trimmed(one, other)
    if not short:
        return len(long)
    places = _places(short)
    full = (1 << len(short)) - 1
    state = full
    for symbol in long:
        hit = state & places.get(symbol, 0)
        state = ((state + hit) | (state - hit)) & full
    common = len(short) - state.bit_count()
    return len(short) + len(long) - 2 * common


def _trimmed(one: Sequence[Hashable], other: Sequence[Hashable]) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
    """The sequences without their common start and end, the shorter one first."""
    short, long = sorted((one, other), key=len)
    start = 0
    while start < len(short) and short[start] == long[start]:
        start += 1
    end = 0
    while end < len(short) - start and short[-1 - end] == long[-1 - end]:
        end += 1
    return short[start : len(short) - end], long[start : len(long) - end]


def _places(symbols: Sequence[Hashable]) -> dict[Hashable, int]:
    """Where each symbol stands, as the bits of an integer."""
    places: dict[Hashable, int] = {}
    for place, symbol in enumerate(symbols):
        places[symbol] = places.get(symbol, 0) | 1 << place
    return places
