"""The reward of a recipe: its terms bound and checked, and the score of a rollout under them."""

from __future__ import annotations

import math
import numbers
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vlmpost.errors import ConfigError, GraderError, VlmpostError
from vlmpost.records import Rollout, Score
from vlmpost.rewards.binding import Schema, bind, schema_of
from vlmpost.rewards.table import RewardFunction, find

if TYPE_CHECKING:
    from vlmpost.config.schema import RewardTermConfig

MAX_MAGNITUDE = 1e18
"""The largest weighted part: advantages divide by a standard deviation in 32 bits, whose squares end at 3.4e38."""


@dataclass(frozen=True, slots=True)
class Term:
    """One reward function with its arguments and weight."""

    name: str
    """What its part is called in a `Score`: unique in its set."""
    source: str
    """The name it was found by."""
    weight: float
    arguments: Mapping[str, object]
    function: RewardFunction = field(repr=False)

    def value(self, rollout: Rollout) -> float | None:
        """Returns what the term gives for a rollout, unweighted; None where it does not apply.

        Raises:
            GraderError: The function fails, or returns what is not a finite number or None.
        """
        where = f"Reward {self.source!r} on example {rollout.example.id!r}, sample {rollout.sample}"
        try:
            value = self.function(rollout, **self.arguments)
        except VlmpostError as error:
            raise GraderError(f"{where}: {error}") from error
        except Exception as error:  # a user's function may raise anything; it is told with its cause, never made a 0
            line = traceback.extract_tb(error.__traceback__)[-1]
            raise GraderError(f"{where} failed: {type(error).__name__}: {error} ({line.filename}:{line.lineno}).") from error
        return _number(value, where)


class RewardSet:
    """The terms of a recipe's reward, ready to score."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = tuple(terms)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts, in order."""
        return tuple(term.name for term in self.terms)

    @property
    def weights(self) -> tuple[float, ...]:
        """The factors of the parts, in order."""
        return tuple(term.weight for term in self.terms)

    def score(self, rollout: Rollout) -> Score:
        """Returns every part and the weighted sum of those that apply; the total is None when none applies.

        Raises:
            GraderError: A term fails or returns what is not a finite number or None, or a weight makes it too large.
        """
        parts = {term.name: term.value(rollout) for term in self.terms}
        weighted = [term.weight * value for term in self.terms if (value := parts[term.name]) is not None]
        return Score(_total(weighted, rollout), parts)


def build(terms: Sequence[RewardTermConfig], *, max_completion_length: int | None = None) -> RewardSet:
    """Returns the reward of a recipe, every function found and every parameter checked.

    Args:
        terms: The terms of the recipe; the order is kept.
        max_completion_length: Token budget of a completion, for the rewards that depend on it. None: not known.

    Raises:
        ConfigError: A reward is unknown, cannot be imported or is not a reward; a parameter is unknown, missing or of a
            wrong type. All faults in one message.
    """
    bound, faults = [], []
    taken: dict[str, int] = {}
    for number, term in enumerate(terms):
        try:
            function = find(term.name)
        except ConfigError as error:
            faults.append(f"rewards[{number}]: {error}")
            continue
        schema = schema_of(function)
        if not isinstance(schema, Schema):
            faults.append(f"rewards[{number}]: {term.name!r} cannot be a reward: {schema}.")
            continue
        arguments, wrong = bind(schema, term.params, max_completion_length=max_completion_length)
        faults += [f"rewards[{number}] ({term.name}): {fault}." for fault in wrong]
        bound.append(Term(_part_name(term.name, taken), term.name, term.weight, arguments, function))
    if faults:
        raise ConfigError("\n".join(faults))
    return RewardSet(bound)


def _part_name(source: str, taken: dict[str, int]) -> str:
    """The function's own name; the second term of a name is called name_2."""
    name = source.rpartition(":")[2]
    taken[name] = taken.get(name, 0) + 1
    return name if taken[name] == 1 else _part_name(f"{name}_{taken[name]}", taken)


def _total(weighted: Sequence[float], rollout: Rollout) -> float | None:
    """The sum of the weighted parts, None without any; one that training cannot count with is refused."""
    if not weighted:
        return None
    if max(abs(value) for value in weighted) > MAX_MAGNITUDE:
        raise GraderError(
            f"The weighted reward of example {rollout.example.id!r}, sample {rollout.sample} is {sum(weighted):g}; "
            f"beyond {MAX_MAGNITUDE:g} its square overflows in training. Lower the weights of the rewards."
        )
    return sum(weighted)


def _number(value: object, where: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, numbers.Real) and getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, numbers.Real):
        raise GraderError(
            f"{where} returned {type(value).__name__}; it must return a number or None (values per token are not supported yet)."
        )
    number = float(value)
    if not math.isfinite(number):
        raise GraderError(f"{where} returned {number}; it must return a finite number or None.")
    return number
