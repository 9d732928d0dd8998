"""Permutations and answers: one undoes the other."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.tasks.jigsaw.shuffling import shown_order, shuffle, true_labels, unshuffle


def test_the_answer_says_where_each_thing_is_shown() -> None:
    # Slot 1 shows the third thing, slot 2 the first, slot 3 the second: the first thing is in slot 2, the second in 3, the third in 1.
    assert true_labels([2, 0, 1], [0, 1, 2]) == [2, 3, 1]
    assert true_labels([2, 0, 1], [2, 1, 0]) == [1, 3, 2]  # asked for in reverse
    assert true_labels([1, 0, 3, 2], [0, 2, 1, 3]) == [2, 4, 1, 3]  # a 2 x 2 grid asked for by columns


@given(st.permutations(list(range(9))), st.permutations(list(range(9))))
def test_an_answer_puts_back_what_a_permutation_shuffled(shown: list[int], asked: list[int]) -> None:
    things = "abcdefghi"
    assert unshuffle(shuffle(things, shown), true_labels(shown, asked)) == [things[thing] for thing in asked]


def test_permutations_are_a_function_of_the_generator_and_all_as_likely() -> None:
    assert shown_order(random.Random("x"), range(9)) == shown_order(random.Random("x"), range(9))
    rng = random.Random(0)
    counts = Counter(tuple(shown_order(rng, range(3))) for _ in range(6000))
    assert len(counts) == 6  # 3!, the identity among them
    assert all(abs(number - 1000) < 150 for number in counts.values())  # 5 standard deviations: sqrt(6000 * 5/36) = 29


@pytest.mark.parametrize("asked", [[0, 1], [1, 0], [0, 2, 1]])
def test_the_identity_can_be_excluded(asked: list[int]) -> None:
    rng = random.Random(0)
    drawn = [shown_order(rng, asked, exclude_identity=True) for _ in range(200)]
    assert asked not in drawn
    assert all(true_labels(shown, asked) != sorted(true_labels(shown, asked)) for shown in drawn)
