"""Useful groups kept for another use in the places of flat ones.

A kept group holds what its loss needs and its prompt's index: the prompt and its images are encoded anew. Its log-probabilities are
those of the weights that sampled it, so the ratio of the policy loss knows how far the weights have moved since.

A group is drawn with a probability in proportion to the spread of its rewards (their standard deviation; normalised advantages all have
the same) times its recency, which falls evenly from 1 to 0 over `max_age` steps; no two of one prompt together, none that rested less
than `rest_steps` since its last use.

Departures from VL-Rethinker (arXiv 2504.08837, section 3.1) and TRL's GRPO with a replay buffer (huggingface/trl pull request 4060):
1. both draw by absolute advantages, TRL times their spread, of groups of any age; 2. TRL keeps the groups of highest score for good, which
off-policy come to be the oldest; here the newest are kept, and age ends them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from statistics import pstdev
from typing import Any

REST_STEPS = 5
SPREAD_FLOOR = 1e-6
"""Spread of a group whose rewards differ in their parts and not in their sum, which normalised objectives can tell apart."""


@dataclass(frozen=True, slots=True)
class KeptGroup:
    """The completions of one prompt as they were sampled, one entry per completion."""

    index: int
    """The prompt's index in the dataset."""
    step: int
    """Optimizer step of the weights that sampled it."""
    completions: tuple[tuple[int, ...], ...]
    """Token ids, the environment's between replies included."""
    masks: tuple[tuple[int, ...], ...]
    """1 where the policy sampled the token and it carries loss."""
    logps: tuple[tuple[float, ...], ...]
    """Log-probability of each token under the weights that sampled it; float32 values come back from JSON bit for bit."""
    rewards: tuple[float, ...]
    """NaN where no reward applied."""
    advantages: tuple[float, ...]

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> KeptGroup:  # Any: JSON values
        """The group that `asdict` and JSON made of one."""
        return KeptGroup(**{field.name: _tuples(values[field.name]) for field in fields(KeptGroup)})


@dataclass(slots=True)
class _Entry:
    group: KeptGroup
    used: int | None = None
    """Step of its last use."""


class ReplayBuffer:
    """The newest useful groups.

    Args:
        size: Groups kept.
        max_age: Optimizer steps after which a group is forgotten.
        rest_steps: Optimizer steps that a used group rests.
    """

    def __init__(self, size: int, *, max_age: int, rest_steps: int = REST_STEPS) -> None:
        self.size = size
        self.max_age = max_age
        self.rest_steps = rest_steps
        self._entries: list[_Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, groups: Iterable[KeptGroup]) -> None:
        """Keeps these groups, newer than those kept before; the oldest beyond the size go."""
        self._entries += [_Entry(group) for group in groups]
        self._entries = self._entries[max(0, len(self._entries) - self.size) :]

    def choose(self, num_groups: int, *, step: int, seed: int, exclude: Collection[int] = ()) -> list[KeptGroup]:
        """Returns up to `num_groups` groups of steps before this one, and forgets those past their age.

        Args:
            num_groups: How many at most.
            step: Optimizer step that is about to use them.
            seed: The run's seed; with the step it fixes the draw.
            exclude: Prompts that are in the batch already.
        """
        self._entries = [entry for entry in self._entries if step - entry.group.step <= self.max_age]
        source = random.Random(f"replay/{seed}/{step}")
        # The largest of log(u) / weight are a draw without replacement in proportion to the weights (Efraimidis and Spirakis, 2006).
        drawn = [
            (math.log(1.0 - source.random()) / self._weight(entry.group, step), entry)
            for entry in self._entries
            if self._rested(entry, step)
        ]
        chosen: list[KeptGroup] = []
        barred = set(exclude)
        for _, entry in sorted(drawn, key=lambda pair: -pair[0]):
            if len(chosen) < num_groups and entry.group.index not in barred:
                barred.add(entry.group.index)
                entry.used = step
                chosen.append(entry.group)
        return chosen

    def _rested(self, entry: _Entry, step: int) -> bool:
        return entry.group.step < step and (entry.used is None or step - entry.used > self.rest_steps)

    def _weight(self, group: KeptGroup, step: int) -> float:
        spread = pstdev([reward for reward in group.rewards if math.isfinite(reward)])
        return max(spread, SPREAD_FLOOR) * (self.max_age + 1 - (step - group.step)) / (self.max_age + 1)

    def state_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Returns the groups, oldest first, and when each was used."""
        return {"groups": [{**asdict(entry.group), "used": entry.used} for entry in self._entries]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: JSON values
        """Goes on from a state of `state_dict`; of more groups than the size the newest are kept."""
        self._entries = [_Entry(KeptGroup.from_json(values), values["used"]) for values in state["groups"]]
        self.add(())


def _tuples(value: Any) -> Any:  # Any: JSON lists in lists, or a number
    """Lists as tuples, to any depth."""
    return tuple(_tuples(part) for part in value) if isinstance(value, list | tuple) else value
