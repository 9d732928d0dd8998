"""The reward of a recipe: its terms bound and checked, and the score of rollouts under them."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vlmpost.errors import ConfigError, GraderError, VlmpostError
from vlmpost.records import Rollout, Score
from vlmpost.rewards.binding import Schema, bind, schema_of
from vlmpost.rewards.sums import SUMS
from vlmpost.rewards.table import RewardFunction, find
from vlmpost.rewards.values import Value, checked

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
    discount: float = 1.0
    """Gamma of this term's return (`returns.py`)."""
    per_group: bool = False
    """Whether it values all completions of a prompt together."""

    def values(self, group: Sequence[Rollout]) -> list[Value]:
        """Returns what the term gives for the completions of one prompt, unweighted; None where it does not apply.

        Raises:
            GraderError: The function fails, or returns what is not a finite number, None, or one number per token.
        """
        if not self.per_group:
            return [self._checked(self._call(rollout, rollout), rollout) for rollout in group]
        found = self._call(group, group[0])
        if not hasattr(found, "__len__") or len(found) != len(group):
            raise GraderError(
                f"{self._where(group[0])} returned {found!r:.80} for {len(group)} completions; a group reward gives a value for each."
            )
        return [self._checked(value, rollout) for value, rollout in zip(found, group, strict=True)]

    def _call(self, argument: object, rollout: Rollout) -> Any:  # Any: what it returns is checked by `checked`
        try:
            return self.function(argument, **self.arguments)
        except VlmpostError as error:
            raise GraderError(f"{self._where(rollout)}: {error}") from error
        except Exception as error:  # a user's function may raise anything; it is told with its cause, never made a 0
            line = traceback.extract_tb(error.__traceback__)[-1]
            message = f"{self._where(rollout)} failed: {type(error).__name__}: {error} ({line.filename}:{line.lineno})."
            raise GraderError(message) from error

    def _checked(self, value: object, rollout: Rollout) -> Value:
        return checked(value, num_tokens=len(rollout.token_ids), where=self._where(rollout))

    def _where(self, rollout: Rollout) -> str:
        return f"Reward {self.source!r} on example {rollout.example.id!r}, sample {rollout.sample}"


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

    @property
    def discounts(self) -> tuple[float, ...]:
        """The discounts of the parts, in order."""
        return tuple(term.discount for term in self.terms)

    def check_undiscounted(self) -> None:
        """Does nothing for a set that GRPO can train with.

        Raises:
            ConfigError: A term has a discount.
        """
        for term in self.terms:
            if term.discount != 1:
                raise ConfigError(
                    f"{term.name} has the discount {term.discount:g}; GRPO gives every token of a completion the same advantage and "
                    "takes 1 only. Discounts are for kind: ppo and advantage_estimator: reinforce_plus_plus."
                )

    @property
    def per_group(self) -> bool:
        """Whether a term needs all completions of a prompt at once."""
        return any(term.per_group for term in self.terms)

    @property
    def profile(self) -> str:
        """The rules by which the set's first accuracy term judges; "generic" where it has none."""
        return next((str(term.arguments.get("profile", "generic")) for term in self.terms if term.source == "accuracy"), "generic")

    def score(self, rollout: Rollout) -> Score:
        """Returns every part and the weighted sum of those that apply; the total is None when none applies.

        Raises:
            GraderError: A term fails or returns what is not a value, a weight makes it too large, or a term needs the
                whole group.
        """
        if self.per_group:
            name = next(term.name for term in self.terms if term.per_group)
            raise GraderError(f"Reward {name!r} values all completions of a prompt together; score them with `score_all`.")
        return self._scores([rollout])[0]

    def score_all(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """Returns the scores in the order given; completions of one example are one group wherever they stand.

        Raises:
            GraderError: As `score`, but for the last.
        """
        groups: dict[str, list[int]] = {}
        for place, rollout in enumerate(rollouts):
            groups.setdefault(rollout.example.id, []).append(place)
        scores: dict[int, Score] = {}
        for places in groups.values():
            scores.update(zip(places, self._scores([rollouts[place] for place in places]), strict=True))
        return [scores[place] for place in range(len(rollouts))]

    def _scores(self, group: Sequence[Rollout]) -> list[Score]:
        by_term = [term.values(group) for term in self.terms]
        return [self._score(rollout, values) for rollout, values in zip(group, zip(*by_term, strict=True), strict=True)]

    def _score(self, rollout: Rollout, values: Sequence[Value]) -> Score:
        parts: dict[str, float | None] = {}
        token_parts: dict[str, tuple[float, ...]] = {}
        for term, value in zip(self.terms, values, strict=True):
            if isinstance(value, tuple):
                token_parts[term.name] = value
                parts[term.name] = math.fsum(value)
            else:
                parts[term.name] = value
        weighted = [term.weight * part for term in self.terms if (part := parts[term.name]) is not None]
        return Score(_total(weighted, rollout), parts, token_parts)


def build(
    terms: Sequence[RewardTermConfig], *, max_completion_length: int | None = None, pixel_budget: tuple[int, int] | None = None
) -> RewardSet:
    """Returns the reward of a recipe, every function found and every parameter checked.

    Args:
        terms: The terms of the recipe; the order is kept. One that names a sum of `sums.py` stands for its parts.
        max_completion_length: Token budget of a completion, for the rewards that depend on it. None: not known.
        pixel_budget: Smallest and largest area of an image after resizing, for rewards over boxes. None: not known.

    Raises:
        ConfigError: A reward is unknown, cannot be imported or is not a reward; a parameter is unknown, missing or of a
            wrong type, or does not fit the others or the token budget. All faults in one message.
    """
    bound, faults = [], []
    taken: dict[str, int] = {}
    for number, term in enumerate(terms):
        if term.name in SUMS and (term.params or term.discount != 1):
            faults.append(f"rewards[{number}] ({term.name}): a sum takes no params and no discount; write its parts to change them.")
            continue
        for part in _parts(term):
            try:
                reward = find(part.name)
            except ConfigError as error:
                faults.append(f"rewards[{number}]: {error}")
                continue
            schema = schema_of(reward.function)
            if not isinstance(schema, Schema):
                faults.append(f"rewards[{number}]: {part.name!r} cannot be a reward: {schema}.")
                continue
            arguments, wrong = bind(reward, schema, part.params, max_completion_length=max_completion_length, pixel_budget=pixel_budget)
            faults += [f"rewards[{number}] ({part.name}): {fault}." for fault in wrong]
            name = _part_name(part.name, taken)
            bound.append(Term(name, part.name, part.weight, arguments, reward.function, part.discount, schema.per_group))
    if faults:
        raise ConfigError("\n".join(faults))
    return RewardSet(bound)


def _parts(term: RewardTermConfig) -> Iterator[RewardTermConfig]:
    """The term itself, or the terms its sum stands for."""
    if term.name not in SUMS:
        yield term
        return
    for part in SUMS[term.name].parts:
        changed = {"name": part.name, "weight": term.weight * part.weight, "params": dict(part.params), "discount": part.discount}
        yield term.model_copy(update=changed)


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
