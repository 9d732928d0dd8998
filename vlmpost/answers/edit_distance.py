"""Edit distance of two texts, and the nearest of several; knows nothing about answers.

Time is the length of the text times the length of the pattern over the word size of Python's integers.
"""

from __future__ import annotations

from collections.abc import Sequence


def nearest(text: str, choices: Sequence[str]) -> str:
    """Returns the choice with the least edit distance to `text`, the first of several."""
    return min(choices, key=lambda choice: edit_distance(choice, text))


def edit_distance(pattern: str, text: str) -> int:
    """Returns how many insertions, deletions and replacements of characters turn one text into the other.

    Source: Myers, A fast bit-vector algorithm for approximate string matching, J. ACM 46 (1999), with Hyyro's correction
    for distance.

    >>> edit_distance("quarter", "quarter past"), edit_distance("A", "")
    (5, 1)
    """
    if not pattern:
        return len(text)
    places: dict[str, int] = {}
    for place, character in enumerate(pattern):
        places[character] = places.get(character, 0) | 1 << place
    mask, last = (1 << len(pattern)) - 1, 1 << (len(pattern) - 1)
    rising, falling, distance = mask, 0, len(pattern)
    for character in text:
        same = places.get(character, 0)
        vertical = same | falling
        horizontal = (((same & rising) + rising) ^ rising) | same
        up = falling | ~(horizontal | rising) & mask
        down = rising & horizontal
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & mask, down << 1 & mask
        rising, falling = down | ~(vertical | up) & mask, up & vertical
    return distance
