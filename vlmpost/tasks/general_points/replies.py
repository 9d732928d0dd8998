"""Replies to a hand, as a script writes them: right ones to imitate, and plausible wrong ones to learn revision from.

A right reply holds the true labels, the true numbers and the simplest formula with "=target"; a reasoned one first reads the labels, turns
them into numbers, rejects a combination that misses, and reckons the one that does not. Under `paper` every right reply verifies as
CORRECT_SOLUTION, and under `repo` in text mode, with one exception that is the released code's: it has no right reply to (3, 3, 8, 8), as
it reckons in floating point. In vision mode it takes no valid JSON for right.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from vlmpost.answers.formulas import FormulaError, evaluate, find_solution, solution_strings, tokens_of
from vlmpost.answers.formulas.tokens import OPERATORS
from vlmpost.answers.formulas.values import OPERATIONS, fold
from vlmpost.rewards.general_points import Hand
from vlmpost.tasks.general_points.hands import LABELS

_MAX_TRIES: Final = 20


def answer(hand: Hand) -> str | None:
    """Returns the bare right reply; None where the hand has no solution."""
    formula = find_solution(hand.values, hand.target)
    return None if formula is None else _reply(hand, f"{formula}={hand.target}")


def reasoned(hand: Hand) -> str | None:
    """Returns the right reply after a short search between think tags; None where the hand has no solution."""
    formula = find_solution(hand.values, hand.target)
    if formula is None:
        return None
    thoughts = _terse_thoughts(hand, formula) if hand.reply_style == "formula" else _thoughts(hand, formula)
    return f"<think>{thoughts}</think>\n{_reply(hand, f'{formula}={hand.target}')}"


def wrong(hand: Hand, rng: random.Random) -> str:
    """Returns a reply in the right form that is not right: a misread card, another number, a card left over, another value, a bad sign."""
    kinds: list[Callable[[Hand, random.Random], str]] = [_misses, _misses, _substitutes, _leaves_over, _writes_otherwise, _stops_early]
    if hand.mode == "vision" and hand.reply_style == "json":
        kinds += [_misreads, _misreads]
    return rng.choice(kinds)(hand, rng)


def _thoughts(hand: Hand, formula: str) -> str:
    tried = _rejected(hand)
    search = "" if tried is None else f"Try {tried}: {_reckoned(tried)}, not {hand.target}. "
    return (
        f"The cards are {', '.join(hand.labels)}, so the numbers are {', '.join(map(str, hand.values))}. "
        f"{search}Try {formula}: {_reckoned(formula)}. That is {hand.target}."
    )


def _terse_thoughts(hand: Hand, formula: str) -> str:
    """The same in few tokens, for tiny models."""
    tries = [tried for tried in (_rejected(hand), formula) if tried is not None]
    return f"{' '.join(hand.labels)}: {' '.join(map(str, hand.values))}. {'. '.join(f'{tried}: {_reckoned(tried)}' for tried in tries)}"


def _reply(hand: Hand, equation: str) -> str:
    if hand.reply_style == "formula":
        return equation
    return json.dumps({"cards": list(hand.labels), "number": list(hand.values), "formula": equation})


def _reckoned(formula: str) -> str:
    """The steps of a formula.

    >>> _reckoned("8/(3-8/3)")
    '8/3=(8/3), 3-(8/3)=(1/3), 8/(1/3)=24'
    """
    steps: list[str] = []

    def combine(symbol: str, left: Fraction, right: Fraction) -> Fraction:
        made = OPERATIONS[symbol](left, right)
        steps.append(f"{_said(left)}{symbol}{_said(right)}={_said(made)}")
        return made

    fold(_tokens(formula), leaf=Fraction, combine=combine)
    return ", ".join(steps)


def _said(value: Fraction) -> str:
    return str(value) if value >= 0 and value.denominator == 1 else f"({value})"


def _tokens(formula: str) -> tuple[str, ...]:
    tokens = tokens_of(formula)
    assert tokens is not None, formula
    return tokens


def _rejected(hand: Hand) -> str | None:
    """The numbers in their order with +, - and * between them, as near to the target as they come without making it."""
    tried: list[tuple[Fraction, int, str]] = []
    for symbols in itertools.product("+-*", repeat=len(hand.values) - 1):
        formula = _chain(hand.values, symbols)
        distance = abs(evaluate(formula) - hand.target)
        if distance:
            tried.append((distance, len(tried), formula))
    return min(tried)[2] if tried else None


def _chain(numbers: Sequence[int], symbols: Sequence[str]) -> str:
    return "".join(f"{number}{symbol}" for number, symbol in itertools.zip_longest(numbers, symbols, fillvalue=""))


def _anyhow(numbers: Sequence[int], rng: random.Random) -> str:
    """The numbers in any order with any operators."""
    return _chain(rng.sample(numbers, len(numbers)), rng.choices(OPERATORS, k=len(numbers) - 1))


def _misses(hand: Hand, rng: random.Random) -> str:
    """The right numbers, and another value."""
    for _ in range(_MAX_TRIES):
        formula = _anyhow(hand.values, rng)
        with contextlib.suppress(FormulaError):
            if evaluate(formula) != hand.target:
                return _reply(hand, f"{formula}={hand.target}")
    return _leaves_over(hand, rng)


def _substitutes(hand: Hand, rng: random.Random) -> str:
    """One number is another."""
    numbers = list(hand.values)
    place = rng.randrange(len(numbers))
    numbers[place] = rng.choice([number for number in range(1, 14) if number != numbers[place]])
    return _reply(hand, f"{find_solution(numbers, hand.target) or _anyhow(numbers, rng)}={hand.target}")


def _leaves_over(hand: Hand, rng: random.Random) -> str:
    """One card is not used."""
    numbers = rng.sample(hand.values, len(hand.values) - 1)
    return _reply(hand, f"{find_solution(numbers, hand.target) or _anyhow(numbers, rng)}={hand.target}")


def _writes_otherwise(hand: Hand, rng: random.Random) -> str:
    """An operator is written with a sign that may not be used."""
    symbols = rng.choices(OPERATORS, k=len(hand.values) - 1)
    symbols[rng.randrange(len(symbols))] = rng.choice(("x", ":", "^", " + "))
    return _reply(hand, f"{_chain(rng.sample(hand.values, len(hand.values)), symbols)}={hand.target}")


def _stops_early(hand: Hand, rng: random.Random) -> str:
    """The last bracket of a solution stays open."""
    closed = [formula for formula in solution_strings(hand.values, hand.target) if formula.endswith(")")]
    return _reply(hand, f"{rng.choice(closed)[:-1]}={hand.target}") if closed else _misses(hand, rng)


def _misreads(hand: Hand, rng: random.Random) -> str:
    """One card is taken for another."""
    labels, numbers = list(hand.labels), list(hand.values)
    place = rng.randrange(len(labels))
    rank = rng.choice([rank for rank in range(1, 11) if LABELS[rank - 1] != labels[place]])
    labels[place], numbers[place] = LABELS[rank - 1], rank
    formula = find_solution(numbers, hand.target) or _anyhow(numbers, rng)
    return _reply(replace(hand, labels=tuple(labels), values=tuple(numbers)), f"{formula}={hand.target}")
