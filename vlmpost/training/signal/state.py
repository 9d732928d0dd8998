"""All that signal remembers from batch to batch, with one state for the checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vlmpost.config.schema import SignalConfig
from vlmpost.training.signal.flat import GroupReport, is_high
from vlmpost.training.signal.prompts import prompt_source
from vlmpost.training.signal.replay import KeptGroup, ReplayBuffer


class SignalState:
    """The source of prompts, the replay and the mean reward of the run.

    Args:
        config: Which of them are on.
        num_examples: Size of the dataset.
        seed: The run's seed.
    """

    def __init__(self, config: SignalConfig, *, num_examples: int, seed: int) -> None:
        self.source = prompt_source(num_examples, seed=seed, pool_shares=config.pool_shares if config.prompt_pools else None)
        self.replay = ReplayBuffer(config.replay_size, max_age=config.replay_max_age)
        self._reward_sum = 0.0
        self._num_groups = 0

    def note(self, reports: Sequence[GroupReport]) -> list[bool]:
        """Tells the source what every group sampled for a batch showed, and returns which are high.

        Args:
            reports: In the order in which their prompts were asked.
        """
        for report in reports:
            self._reward_sum += report.reward
            self._num_groups += 1
        high = [is_high(report, mean_reward=self._reward_sum / self._num_groups) for report in reports]
        for report, flag in zip(reports, high, strict=True):
            self.source.tell(report.index, flat=report.flat, high=flag)
        return high

    def keep(self, groups: Iterable[KeptGroup]) -> None:
        """Gives the useful groups of a batch to the replay, in an order that does not tell which process had which."""
        self.replay.add(sorted(groups, key=lambda group: group.index))

    def state_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Returns all of it."""
        return {
            "source": self.source.state_dict(),
            "replay": self.replay.state_dict(),
            "reward_sum": self._reward_sum,
            "num_groups": self._num_groups,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: JSON values
        """Goes on from a state of `state_dict`.

        Raises:
            RunError: The state is of other data or of another recipe.
        """
        self.source.load_state_dict(state["source"])
        self.replay.load_state_dict(state["replay"])
        self._reward_sum, self._num_groups = state["reward_sum"], state["num_groups"]
