"""Permutations: what is shown in which place, and the answer that puts it back.

Things are counted from 0 and labels from 1: `shown[place]` is the thing in a place, the label of that thing is `place + 1`.

Source: arXiv 2509.25190, section 3.1; penghao-wu/visual_jigsaw at b3224c6, verl/utils/dataset/rl_dataset.py. There the permutation is
drawn at every access from unseeded `random`; here it is a pure function of seed and index. All K! of them are as likely, the
identity included, unless it is excluded.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Thing = TypeVar("Thing")


def shown_order(rng: random.Random, asked: Sequence[int], *, exclude_identity: bool = False) -> list[int]:
    """Returns a permutation of the things: which one stands in each place.

    Args:
        rng: Where the permutation comes from.
        asked: The things in the order that is asked for, at least two.
        exclude_identity: Draw again where things stand as asked for, which makes the answer 1, 2, ..., K.
    """
    assert len(asked) >= 2, asked
    while True:
        shown = rng.sample(range(len(asked)), len(asked))
        if not exclude_identity or shown != list(asked):
            return shown


def true_labels(shown: Sequence[int], asked: Sequence[int]) -> list[int]:
    """Returns the answer: the label of each thing, in the order that is asked for.

    >>> true_labels([2, 0, 1], asked=[0, 1, 2])
    [2, 3, 1]
    """
    return [shown.index(thing) + 1 for thing in asked]


def shuffle(things: Sequence[Thing], shown: Sequence[int]) -> list[Thing]:
    """Returns the things in the places where they are shown.

    >>> shuffle("abc", [2, 0, 1])
    ['c', 'a', 'b']
    """
    assert len(things) == len(shown), (len(things), len(shown))
    return [things[thing] for thing in shown]


def unshuffle(places: Sequence[Thing], labels: Sequence[int]) -> list[Thing]:
    """Returns what stands in the places in the order that an answer says.

    >>> unshuffle("cab", [2, 3, 1])
    ['a', 'b', 'c']
    """
    assert len(places) == len(labels), (len(places), len(labels))
    return [places[label - 1] for label in labels]
