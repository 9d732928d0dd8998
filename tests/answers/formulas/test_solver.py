"""The exact solver: known counts, known hard hands, and formulas that keep their promise."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction
from math import factorial, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost.answers.formulas import evaluate, find_solution, is_solvable, num_solvable, tokens_of, value_of

RANKS = list(itertools.combinations_with_replacement(range(1, 14), 4))


def as_ten(hand: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(rank, 10) for rank in hand)


def num_orders(hand: tuple[int, ...]) -> int:
    return factorial(len(hand)) // prod(factorial(count) for count in Counter(hand).values())


def test_solvable_multisets_are_as_many_as_in_the_study() -> None:
    assert len(RANKS) == 1820
    assert num_solvable([as_ten(hand) for hand in RANKS], 24) == 1236
    assert num_solvable(RANKS, 24) == 1362
    with_face = [hand for hand in RANKS if max(hand) >= 11]
    assert len(with_face) == 1105
    assert num_solvable(with_face, 24) == 796


def test_solvable_shares_of_raw_deals_are_those_of_the_study() -> None:
    assert sum(map(num_orders, RANKS)) == 13**4 == 28_561
    assert sum(num_orders(hand) for hand in RANKS if is_solvable(as_ten(hand), 24)) == 20_876  # 73.1 %
    assert sum(num_orders(hand) for hand in RANKS if is_solvable(hand, 24)) == 22_615  # 79.2 %


def test_solvable_share_of_deals_with_a_forced_face_is_that_of_the_study() -> None:
    # Three free ranks and one of J, Q, K: 13**3 * 3 equally likely deals.
    deals = [(*free, face) for free in itertools.product(range(1, 14), repeat=3) for face in (11, 12, 13)]
    assert round(num_solvable(deals, 24) / len(deals), 3) == 0.731


@pytest.mark.parametrize(
    ("numbers", "solvable"),
    [
        ((3, 3, 8, 8), True),  # 8/(3-8/3)
        ((1, 4, 5, 6), True),  # 6/(5/4-1)
        ((3, 7, 9, 13), True),  # 7*9-3*13
        ((1, 3, 4, 6), True),  # 6/(1-3/4)
        ((3, 3, 7, 7), True),  # (3+3/7)*7
        ((1, 5, 5, 5), True),  # (5-1/5)*5
        ((10, 10, 4, 4), True),  # (10*10-4)/4
        ((1, 1, 1, 1), False),
        ((1, 1, 1, 10), False),
        ((13, 13, 13, 13), False),
        ((9, 9, 9, 9), False),
    ],
)
def test_hands_that_are_known(numbers: tuple[int, ...], solvable: bool) -> None:
    assert is_solvable(numbers, 24) is solvable
    formula = find_solution(numbers, 24)
    assert (formula is not None) is solvable
    assert formula is None or evaluate(formula) == 24


def test_every_solution_uses_each_number_once_and_makes_24_in_floats_but_for_one_hand() -> None:
    missed = []
    for hand in RANKS:
        formula = find_solution(hand, 24)
        if formula is None:
            continue
        tokens = tokens_of(formula)
        assert tokens is not None and evaluate(formula) == 24
        assert sorted(int(token) for token in tokens if token.isdigit()) == list(hand)
        if value_of(tokens, arithmetic="float") != 24:
            missed.append(hand)
    assert missed == [(3, 3, 8, 8)]


def test_solutions_do_not_divide_where_they_need_not() -> None:
    assert all("/" not in (find_solution(hand, 24) or "/") for hand in [(2, 3, 4, 10), (1, 2, 3, 4), (6, 6, 6, 6), (3, 8, 8, 8)])
    assert find_solution((6, 4), 24) == "4*6"
    assert find_solution((24,), 24) == "24"


def test_order_of_the_numbers_does_not_matter() -> None:
    assert {find_solution(order, 24) for order in itertools.permutations((2, 5, 7, 8))} == {find_solution((2, 5, 7, 8), 24)}


def brute(numbers: tuple[int, ...], target: int) -> bool:
    """Whether a pair and the rest make the target, by trying everything."""

    def tries(values: list[Fraction]) -> bool:
        if len(values) == 1:
            return values[0] == target
        for one, other in itertools.permutations(range(len(values)), 2):
            rest = [value for place, value in enumerate(values) if place not in (one, other)]
            made = [values[one] + values[other], values[one] - values[other], values[one] * values[other]]
            made += [values[one] / values[other]] if values[other] else []
            if any(tries([*rest, value]) for value in made):
                return True
        return False

    return tries([Fraction(number) for number in numbers])


@given(st.lists(st.integers(1, 13), min_size=2, max_size=3), st.integers(1, 60))
def test_solvable_is_what_trying_everything_finds(numbers: list[int], target: int) -> None:
    assert is_solvable(numbers, target) == brute(tuple(numbers), target)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=4, max_size=4), st.sampled_from([10, 24, 36, 100]))
def test_four_numbers_are_solvable_where_trying_everything_finds_it(numbers: list[int], target: int) -> None:
    if is_solvable(numbers, target):
        assert evaluate(find_solution(numbers, target) or "") == target
    else:
        assert not brute(tuple(numbers), target)


def test_five_numbers_have_solutions_too() -> None:
    # ((1+2)*3-4)*5 = 25
    formula = find_solution((1, 2, 3, 4, 5), 25)
    assert formula is not None and evaluate(formula) == 25
