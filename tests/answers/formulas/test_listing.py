"""The list of a hand's formulas in the released solver's forms."""

from __future__ import annotations

import itertools

import pytest

from vlmpost.answers.formulas import evaluate, is_start_of_solution, solution_strings, tokens_of, value_of


def test_the_list_of_a_known_hand_has_56_formulas() -> None:
    found = solution_strings((4, 10, 2, 5), 24)
    assert len(found) == 56
    assert list(found) == sorted(set(found))


def test_only_one_formula_makes_24_of_3_3_8_8() -> None:
    assert solution_strings((3, 3, 8, 8), 24) == ("8/(3-8/3)",)


def test_forms_are_no_brackets_one_pair_or_two_side_by_side() -> None:
    found = solution_strings((1, 2, 3, 4), 24)
    assert {"1*2*3*4", "(1+2+3)*4", "(1+3)*(2+4)", "4*(1+2+3)", "1*(2*3*4)", "2*3*4/1"} <= set(found)
    assert "((1+2)+3)*4" not in found
    assert "(1*2*3*4)" not in found  # not around all
    assert "(1)*2*3*4" not in found  # two terms at least


@pytest.mark.parametrize(
    ("text", "starts"),
    [("8", True), ("8/(", True), ("8/(3-8/3)", True), ("8/(3-8/3)=", False), ("3", False), ("(8", False), ("", True)],
)
def test_start_of_a_solution(text: str, starts: bool) -> None:
    assert is_start_of_solution(text, (3, 3, 8, 8), 24) is starts


def test_nothing_is_the_start_where_there_is_no_solution() -> None:
    assert solution_strings((1, 1, 1, 1), 24) == ()
    assert not is_start_of_solution("", (1, 1, 1, 1), 24)


def test_two_numbers_are_listed_by_hand() -> None:
    assert solution_strings((4, 6), 24) == ("4*6", "6*4")
    assert solution_strings((2, 12), 6) == ("12/2",)


def test_five_numbers_have_nested_brackets() -> None:
    found = solution_strings((1, 2, 3, 4, 5), 25)
    assert "((1+2)*3-4)*5" in found
    assert all(evaluate(formula) == 25 for formula in found[::50])


@pytest.mark.slow
def test_all_formulas_of_all_hands_are_as_many_as_the_released_solver_writes() -> None:
    hands = itertools.combinations_with_replacement(range(1, 14), 4)
    formulas = [formula for hand in hands for formula in solution_strings(hand, 24)]
    assert len(formulas) == 72_287
    missed = [formula for formula in formulas if value_of(tokens_of(formula) or (), arithmetic="float") != 24]
    assert len(missed) == 113
