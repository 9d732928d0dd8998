"""Which prompts are asked next: a stream of permutations, or pools by what each prompt's last group showed.

Both give dataset indices and know nothing of what they point to.

`PromptStream` is the order of refills when the loader chooses the prompts of a step: its permutations are its own, so that a refill does
not ask what the loader is about to ask.

`PromptPools` keeps each example in one pool: unseen until its first group is told, then by its latest group useful (not flat), hard (flat
and low) or easy (flat and high). Places of a batch go to pools in turns, in proportion to their shares (smooth weighted round robin, exact
in integers): over many steps a share of 0.02 comes to 2 places in 100, though no step of 16 places has room for a third of one. A pool
without a prompt to give takes no turn, so its share goes to the others in proportion. Within a pool the prompt asked longest ago comes
first; unseen prompts come in a seeded order.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Final, Literal, Protocol

from vlmpost.errors import RunError

Pool = Literal["unseen", "useful", "hard", "easy"]
POOLS: Final[tuple[Pool, ...]] = ("unseen", "useful", "hard", "easy")


class PromptSource(Protocol):
    """What gives the prompts of a round."""

    num_examples: int

    def take(self, num_prompts: int, *, exclude: Collection[int] = ()) -> list[int]:
        """Returns the indices of the next prompts: no index twice, none of `exclude`; all that are left where they are fewer."""

    def tell(self, index: int, *, flat: bool, high: bool) -> None:
        """Notes what a sampled group of this prompt showed; `high` says how a flat group ended and means nothing for others."""

    def state_dict(self) -> dict[str, Any]:
        """Returns the state as JSON values."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state of `state_dict`.

        Raises:
            RunError: The state is of another number of examples, or of another kind of source.
        """


def prompt_source(num_examples: int, *, seed: int, pool_shares: Mapping[Pool, float] | None) -> PromptSource:
    """Returns pools where shares are given, else a stream.

    Args:
        num_examples: Size of the dataset.
        seed: Seed of the orders.
        pool_shares: Share of a batch by pool, 0 for a pool that is not named; None: no pools.
    """
    return PromptStream(num_examples, seed=seed) if pool_shares is None else PromptPools(num_examples, seed=seed, shares=pool_shares)


class PromptStream:
    """An endless row of permutations; what is told changes nothing.

    Args:
        num_examples: Size of the dataset.
        seed: Seed of the permutations.

    >>> stream = PromptStream(3, seed=0)
    >>> sorted(stream.take(2) + stream.take(1)), len(stream.take(3, exclude=[1]))
    ([0, 1, 2], 2)
    """

    def __init__(self, num_examples: int, *, seed: int) -> None:
        self.num_examples = num_examples
        self.seed = seed
        self._num_drawn = 0
        self._waiting: list[int] = []

    def take(self, num_prompts: int, *, exclude: Collection[int] = ()) -> list[int]:
        """Returns the next indices; those passed over for now come first in the next call."""
        barred = set(exclude)
        wanted = min(num_prompts, self.num_examples - len(barred))
        taken: list[int] = []
        passed: list[int] = []
        while len(taken) < wanted:
            if not self._waiting:
                self._waiting = self._permutation()
            index = self._waiting.pop(0)
            if index in barred:
                passed.append(index)
            else:
                barred.add(index)
                taken.append(index)
        self._waiting = passed + self._waiting
        return taken

    def _permutation(self) -> list[int]:
        order = _shuffled(self.num_examples, f"refills/{self.seed}/{self._num_drawn}")
        self._num_drawn += 1
        return order

    def tell(self, index: int, *, flat: bool, high: bool) -> None:
        """Changes nothing: a stream asks every prompt equally often."""

    def state_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Returns the permutations drawn so far, by their number, and what is left of the last."""
        return {"kind": "stream", "num_examples": self.num_examples, "num_drawn": self._num_drawn, "waiting": list(self._waiting)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: JSON values
        """Goes on from a state."""
        _check(state, kind="stream", num_examples=self.num_examples)
        self._num_drawn = state["num_drawn"]
        self._waiting = list(state["waiting"])


class PromptPools:
    """Prompts in pools by what their last group showed, asked in given shares.

    Args:
        num_examples: Size of the dataset.
        seed: Seed of the order of unseen prompts.
        shares: Share of a batch by pool, 0 for a pool that is not named; a pool of share 0 is asked only when no other has a prompt left.

    >>> pools = PromptPools(4, seed=0, shares={"unseen": 0.5, "useful": 0.5})
    >>> first, second = pools.take(2)
    >>> pools.tell(first, flat=False, high=False)
    >>> pools.tell(second, flat=True, high=True)
    >>> pools.sizes()
    {'unseen': 2, 'useful': 1, 'hard': 0, 'easy': 1}
    >>> first in pools.take(2)
    True
    """

    def __init__(self, num_examples: int, *, seed: int, shares: Mapping[Pool, float]) -> None:
        self.num_examples = num_examples
        self.weights = integer_weights([shares.get(pool, 0.0) for pool in POOLS])
        self._turns = dict.fromkeys(POOLS, 0)
        # A dict is a queue here: asked longest ago first, and an index leaves in constant time.
        self._members: dict[Pool, dict[int, None]] = {pool: {} for pool in POOLS}
        self._members["unseen"] = dict.fromkeys(_shuffled(num_examples, f"pools/{seed}"))
        self._pool_of: list[Pool] = ["unseen"] * num_examples

    def sizes(self) -> dict[Pool, int]:
        """Returns how many prompts each pool holds."""
        return {pool: len(self._members[pool]) for pool in POOLS}

    def take(self, num_prompts: int, *, exclude: Collection[int] = ()) -> list[int]:
        """Returns the next indices; each goes to the end of its pool until it is told of."""
        barred = set(exclude)
        queues = {pool: (index for index in members if index not in barred) for pool, members in self._members.items()}
        num_left = {pool: len(members) for pool, members in self._members.items()}
        for index in barred:
            num_left[self._pool_of[index]] -= 1
        taken = []
        for _ in range(min(num_prompts, self.num_examples - len(barred))):
            pool = self._next_pool([pool for pool in POOLS if num_left[pool]])
            num_left[pool] -= 1
            taken.append(next(queues[pool]))
        for index in taken:
            self._to_end(index, self._pool_of[index])
        return taken

    def _next_pool(self, able: list[Pool]) -> Pool:
        """One turn of the round robin among the pools that can give a prompt: the largest credit wins and pays for all."""
        gains = {pool: weight for pool, weight in zip(POOLS, self.weights, strict=True) if pool in able and weight}
        if not gains:
            return able[0]
        for pool, weight in gains.items():
            self._turns[pool] += weight
        chosen = max(gains, key=lambda pool: self._turns[pool])
        self._turns[chosen] -= sum(gains.values())
        return chosen

    def tell(self, index: int, *, flat: bool, high: bool) -> None:
        """Puts the prompt at the end of the pool that its group says."""
        self._to_end(index, "useful" if not flat else "easy" if high else "hard")

    def _to_end(self, index: int, pool: Pool) -> None:
        del self._members[self._pool_of[index]][index]
        self._members[pool][index] = None
        self._pool_of[index] = pool

    def state_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Returns the pools in their order and the credits of the turns."""
        pools = {pool: list(members) for pool, members in self._members.items()}
        return {"kind": "pools", "num_examples": self.num_examples, "turns": dict(self._turns), "pools": pools}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: JSON values
        """Goes on from a state."""
        _check(state, kind="pools", num_examples=self.num_examples)
        self._turns = {pool: state["turns"][pool] for pool in POOLS}
        self._members = {pool: dict.fromkeys(state["pools"][pool]) for pool in POOLS}
        for pool, members in self._members.items():
            for index in members:
                self._pool_of[index] = pool


def integer_weights(shares: list[float]) -> list[int]:
    """Returns the smallest integers in the proportions of the shares as written, so that turns are exact and the same everywhere.

    >>> integer_weights([0.5, 0.4, 0.08, 0.02]), integer_weights([0.0, 0.3])
    ([25, 20, 4, 1], [0, 1])
    """
    exact = [Fraction(repr(float(share))) for share in shares]
    scaled = [int(share * lcm(*(share.denominator for share in exact))) for share in exact]
    largest = gcd(*scaled) or 1
    return [weight // largest for weight in scaled]


def _shuffled(num_examples: int, seed: str) -> list[int]:
    order = list(range(num_examples))
    random.Random(seed).shuffle(order)
    return order


def _check(state: Mapping[str, Any], *, kind: str, num_examples: int) -> None:  # Any: JSON values
    if state["kind"] != kind:
        raise RunError(
            f"The checkpoint's order of prompts is a {state['kind']}, the recipe asks for {kind} (signal.prompt_pools). "
            "Resume with the recipe that began the run, or begin another run."
        )
    if state["num_examples"] != num_examples:
        raise RunError(
            f"The checkpoint's order of prompts is of {state['num_examples']} examples, the data has {num_examples}. "
            "Resume with the data that began the run, or begin another run."
        )
