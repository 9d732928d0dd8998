"""How much of a trace helps, found by trying: groups are sampled at one level after the other until one will do.

A `Search` says which level to try next and, when it has no more to try, which level's group is learnt from. It is a value: a result
makes a new one. Level 0, no hint, is always tried first.

ascending: the first of the shares at which a rollout is right (stop_on correct: GHPO) or has a reward above 0 (stop_on reward:
Hint-GRPO) is chosen. Where none will do, Hint-GRPO learns from the group without a hint, GHPO from the most hinted one.

binary (BREAD): where no rollout is right without a hint, the numbers of segments are searched by halves for the shortest at which
the share of right rollouts lies in the band: too many right, fewer segments; too few, more. Where none tried lies in the band, the
shortest at which any rollout was right is chosen, else the longest tried.

Source: Hint-GRPO, hqhQAQ/Hint-GRPO at 1ad557f, open_r1/trainer/vllm_grpo_trainer.py, `find_first_positive`; BREAD, arXiv 2506.17211;
GHPO, arXiv 2507.10628. Departures: 1. Hint-GRPO samples all levels and asks for a group whose rewards add up to more than 0, which is
the same where none is negative; 2. what BREAD does where no length lies in the band is chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from vlmpost.config.guidance import HintConfig
from vlmpost.errors import ConfigError
from vlmpost.training.guidance.gate import as_written

Level = float | int
"""Law ascending: a share of the trace. Law binary: a number of segments. 0: no hint."""


@dataclass(frozen=True, slots=True)
class Try:
    """What a group sampled at a level showed."""

    level: Level
    num_right: int
    num_tried: int
    """Judged rollouts."""
    best_reward: float | None
    """None: no reward applied."""

    @property
    def right_share(self) -> Fraction:
        """Share of right rollouts; 0 where none was judged."""
        return Fraction(self.num_right, self.num_tried) if self.num_tried else Fraction(0)


@dataclass(frozen=True, slots=True)
class Search:
    """The state of one question's search; `start` makes one."""

    law: Literal["ascending", "binary"]
    levels: tuple[Level, ...]
    """All that may be tried, 0 first, smallest first."""
    band: tuple[Fraction, Fraction]
    """binary: lowest and highest share of right rollouts that will do."""
    stop_on: Literal["correct", "reward"]
    """ascending: what makes a level do."""
    tried: tuple[Try, ...] = ()
    """In the order of trying."""

    @staticmethod
    def start(config: HintConfig, *, num_tokens: int) -> Search:
        """Returns a search that has tried nothing.

        Args:
            config: Its law is ascending or binary.
            num_tokens: Of the question's trace; it has no more segments than tokens.

        Raises:
            ConfigError: Law binary without a number of segments.
        """
        assert config.law in ("ascending", "binary"), f"the law {config.law} tries nothing"
        levels: tuple[Level, ...]
        if config.law == "ascending":
            levels = (0.0, *sorted({level for level in config.levels if level > 0}))
        elif config.num_segments is None:
            raise ConfigError("guidance.hint.law is binary, which searches numbers of segments. Give guidance.hint.num_segments.")
        else:
            levels = tuple(range(min(config.num_segments, num_tokens) + 1))
        lowest, highest = config.band
        law: Literal["ascending", "binary"] = "ascending" if config.law == "ascending" else "binary"
        return Search(law, levels, (as_written(lowest), as_written(highest)), config.stop_on)

    def level_to_try(self) -> Level | None:
        """Returns the level to sample next. None: the search is over."""
        if not self.tried:
            return self.levels[0]
        if self.law == "binary":
            return self._halved()
        if self._does(self.tried[-1]) or len(self.tried) == len(self.levels):
            return None
        return self.levels[len(self.tried)]

    def with_result(self, *, num_right: int, num_tried: int, best_reward: float | None) -> Search:
        """Returns the search with what a group at `level_to_try` showed.

        Args:
            num_right: Rollouts judged right.
            num_tried: Rollouts that were judged.
            best_reward: The highest reward. None: none applied.
        """
        level = self.level_to_try()
        assert level is not None, "the search is over"
        return replace(self, tried=(*self.tried, Try(level, num_right, num_tried, best_reward)))

    def chosen(self) -> Level:
        """Returns the level whose group is learnt from."""
        assert self.tried, "nothing was tried"
        good = [one.level for one in self.tried if self._does(one)]
        if good:
            return min(good)
        if self.law == "ascending":
            return self.tried[0 if self.stop_on == "reward" else -1].level
        helped = [one.level for one in self.tried if one.num_right]
        return min(helped) if helped else max(one.level for one in self.tried)

    def _does(self, one: Try) -> bool:
        if self.law == "ascending" and self.stop_on == "reward":
            return one.best_reward is not None and one.best_reward > 0
        if self.law == "ascending" or one.level == 0:
            return one.num_right > 0
        return self.band[0] <= one.right_share <= self.band[1]

    def _halved(self) -> Level | None:
        """The middle of what may still hold the shortest number of segments that will do."""
        unhinted, *hinted = self.tried
        lowest, highest = 1, len(self.levels) - 1
        for one in hinted:
            if one.right_share < self.band[0]:
                lowest = int(one.level) + 1
            else:
                highest = int(one.level) - 1
        return None if self._does(unhinted) or lowest > highest else (lowest + highest) // 2
