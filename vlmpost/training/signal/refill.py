"""Dynamic sampling: how many more prompts a batch asks, and which of the groups sampled for it are trained.

Other prompts are sampled in the places of flat groups, until the batch has as many useful groups as places or the budget of rounds is
spent; flat groups fill what is then missing, and their KL term still trains. A flat group that finds no place trains nothing, not even
its KL term, which holds easy prompts where they are ("The Synergy Dilemma", arXiv 2507.07562, table 3): where that anchor matters,
`signal.drop_flat_groups` alone is the milder way.

Departures from DAPO (arXiv 2503.14476, algorithm 1) and its code (verl, recipe/dapo): 1. a round asks for as many prompts as the share of
useful groups seen so far lets expect to be enough, where the code asks for a whole batch every time; 2. a batch that the budget does
not fill is trained with flat groups in it, where the code stops the run; 3. equality of the rewards says what is flat (`baselines.py`), not
a standard deviation above 0, which rounding can give to equal numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlmpost.config.schema import SignalConfig


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which groups make up a batch, by their places among all groups sampled for it."""

    useful: tuple[int, ...]
    """Useful groups that are trained, in the order sampled."""
    flat: tuple[int, ...]
    """Flat groups that fill the batch up, in the order sampled; a replayed group may stand in for one, the last first."""
    surplus: tuple[int, ...]
    """Useful groups without a place: they go to the replay, or are lost. A later step would be off their policy."""

    def batch(self, num_replayed: int = 0) -> tuple[int, ...]:
        """Returns the places of the batch in the order sampled, without the flat groups that replayed ones stand in for."""
        return tuple(sorted((*self.useful, *self.flat[: len(self.flat) - num_replayed])))


@dataclass(frozen=True, slots=True)
class Refill:
    """The budget of one batch.

    Flags and places are those of all processes together: every process asks and gets the same answer. A group lies whole on one
    process. Each process trains an equal part of the batch, so a group may be trained on another process than sampled it.
    """

    num_groups: int
    """Groups in a batch."""
    num_processes: int = 1
    """num_groups is a multiple of it, and so is the number of prompts of each round."""
    max_rounds: int = 1
    """Rounds of rollouts for one batch, the first included; 1: no refill."""

    def __post_init__(self) -> None:
        assert self.num_groups % self.num_processes == 0, f"{self.num_groups} groups on {self.num_processes} processes"

    @staticmethod
    def of(config: SignalConfig, *, num_groups: int, num_processes: int) -> Refill:
        """Returns the recipe's budget."""
        return Refill(num_groups, num_processes, config.max_sampling_rounds if config.dynamic_sampling else 1)

    def num_more(self, useful: Sequence[bool], *, num_rounds: int, num_left: int) -> int:
        """Returns how many prompts the next round asks; 0 ends the sampling.

        As many as should give the useful groups that are missing, if the share of useful groups stays what it was (one useful and one
        flat group are added to what was seen), at most a batch.

        Args:
            useful: For each group sampled so far, whether it is useful.
            num_rounds: Rounds done.
            num_left: Prompts that this batch has not asked.

        >>> Refill(num_groups=8, max_rounds=3).num_more([True] * 6 + [False] * 2, num_rounds=1, num_left=100)
        3
        """
        missing = self.num_groups - sum(useful)
        if missing <= 0 or num_rounds >= self.max_rounds:
            return 0
        expected = -(-missing * (len(useful) + 2) // (sum(useful) + 1))
        each = -(-min(expected, self.num_groups) // self.num_processes)
        return self.num_processes * min(each, num_left // self.num_processes)

    def choose(self, useful: Sequence[bool]) -> Chosen:
        """Returns the groups of the batch: useful ones first sampled first, then flat ones.

        Args:
            useful: For each group sampled, whether it is useful; at least a batch of them.

        >>> Refill(num_groups=3).choose([False, True, False, True])
        Chosen(useful=(1, 3), flat=(0,), surplus=())
        """
        assert len(useful) >= self.num_groups, f"{len(useful)} groups for a batch of {self.num_groups}"
        told = [place for place, flag in enumerate(useful) if flag]
        silent = [place for place, flag in enumerate(useful) if not flag]
        places, surplus = told[: self.num_groups], told[self.num_groups :]
        return Chosen(tuple(places), tuple(silent[: self.num_groups - len(places)]), tuple(surplus))
