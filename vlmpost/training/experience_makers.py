"""From the loader's rows to an `Experience`: rollouts with advantages, ready for the loss. One maker per way, one shape of result.

`PlainMaker` takes the groups as they come, `ChosenMaker` those that teach (`signal`), `guidance.maker.GuidedMaker` adds stored traces.
A maker knows the parts, and of the trainer only what stands in `Tools`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from vlmpost.config.schema import RlConfig
from vlmpost.models.prompts import EncodedPrompt
from vlmpost.rewards import RewardSet
from vlmpost.training.credit.advantages import reply_starts
from vlmpost.training.credit.critic import reply_ends
from vlmpost.training.credit.estimators import Estimator
from vlmpost.training.processes import Processes
from vlmpost.training.rollouts.batch import RolloutBatch, Sums
from vlmpost.training.rollouts.batch_maker import BatchMaker, Group
from vlmpost.training.rollouts.collector import Collected, Collector, Row
from vlmpost.training.signal.flat import figures_of_rows
from vlmpost.training.signal.replay import KeptGroup
from vlmpost.training.update.experience import Experience, joined, padded

SamplerLogps = Sequence[Sequence[float]] | None
"""Log-probabilities by the sampler, one row per completion; None where it tells none."""
State = dict[str, Any]  # Any: JSON values


class Scored(Protocol):
    """What the models say of completions."""

    def __call__(self, experience: Experience, sampler_logps: SamplerLogps) -> Experience:
        """Returns the experience with log-probabilities and values under the weights that sampled, and the reference's."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What makers have of the trainer."""

    config: RlConfig
    rewards: RewardSet
    collector: Collector
    estimator: Estimator
    processes: Processes
    device: torch.device
    scored: Scored
    with_reference: Callable[[Experience], Experience]
    samples: Callable[[int], list[int]]
    """Which completion of its prompt each of so many rows is."""

    def ready(
        self,
        prompts: Sequence[EncodedPrompt],
        owners: Sequence[int],
        completions: Sequence[tuple[int, ...]],
        masks: Sequence[Sequence[int]],
        batch: RolloutBatch,
    ) -> Experience:
        """Returns the completions, with which of their tokens may carry loss."""
        sampled = padded(masks, dtype=torch.bool)
        if self.config.algorithm.mask_truncated_completions:
            sampled &= ~torch.tensor([rollout.stop_reason == "length" for rollout in batch.rollouts]).unsqueeze(1)
        known = {"sampled": sampled}
        if self.config.episode is not None and self.config.algorithm.importance_sampling_level == "reply":
            known["reply_starts"] = reply_starts(reply_ends(batch.rollouts, sampled), sampled)
        on_device = {name: value.to(self.device) for name, value in known.items()}
        return Experience(tuple(prompts), tuple(owners), tuple(completions), on_device)


@dataclass(frozen=True, slots=True)
class Made:
    """One process's part of a batch."""

    experience: Experience
    """With advantages."""
    batch: RolloutBatch
    """What of it is worth showing, with advantages."""
    sampled: tuple[Collected, ...]
    """Every round of rollouts, for the figures."""
    figures: dict[str, float] = field(default_factory=dict)
    """The same on every process."""
    sums: Sums = field(default_factory=dict)
    """This process's part of others."""


class ExperienceMaker(Protocol):
    """One way to make a batch."""

    def make(self, rows: list[Row], *, step: int) -> Made:
        """Returns the batch of one step from the loader's rows of this process; all processes call it together."""

    def state_dict(self) -> State:
        """What a resumed run has to know."""

    def load_state_dict(self, state: State) -> None:
        """Takes up where `state_dict` left off."""


@dataclass(frozen=True, slots=True)
class PlainMaker:
    """The loader's groups."""

    tools: Tools

    def make(self, rows: list[Row], *, step: int) -> Made:
        """Returns the rows' rollouts."""
        tools = self.tools
        collected = tools.collector.collect(rows, samples=tools.samples(len(rows)), step=step)
        ready = tools.ready(collected.prompts, collected.owners, collected.completions, collected.masks, collected.batch)
        experience = tools.scored(ready, collected.logps)
        estimated = tools.estimator(collected.batch, experience)
        experience = experience.with_tensors(**estimated.tensors)
        figures = estimated.figures | (self._of_groups(collected.batch, estimated.tensors["flat"]) if "flat" in estimated.tensors else {})
        return Made(experience, collected.batch.with_advantages(row_means(experience)), (collected,), figures, estimated.sums)

    def _of_groups(self, batch: RolloutBatch, flat_B: torch.Tensor) -> dict[str, float]:
        """What the groups of all processes show."""
        rows = [
            (flat, _or_nan(score.total), _or_nan(None if verdict is None else float(verdict.correct)), len(rollout.token_ids))
            for flat, score, verdict, rollout in zip(flat_B.tolist(), batch.scores, batch.verdicts, batch.rollouts, strict=True)
        ]
        everywhere = self.tools.processes.gather(torch.tensor(rows, dtype=torch.float64, device=self.tools.device))
        size = self.tools.config.algorithm.num_generations
        known = figures_of_rows(everywhere.tolist(), num_generations=size) if size > 1 else {}
        return {"frac_reward_zero_std": everywhere[:, 0].mean().item(), **known}

    def state_dict(self) -> State:
        """Nothing is remembered."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing is remembered."""


@dataclass(frozen=True, slots=True)
class ChosenMaker:
    """Groups that teach, as far as the recipe's budget gives them."""

    tools: Tools
    batch_maker: BatchMaker

    def make(self, rows: list[Row], *, step: int) -> Made:
        """Returns the rollouts of the chosen groups."""
        maker = self.batch_maker
        batch = maker.make(rows, step=step)
        flat_share = sum(group.report.flat for group in batch.everywhere) / max(1, len(batch.everywhere))
        advantages_B = maker.advantages(batch)
        rollouts = maker.as_rollouts(batch.trained)
        num_trained = len(rollouts.rollouts)
        own = [*batch.trained, *batch.surplus]
        fresh = [self._of_groups(own, advantages_B)] if own else []
        maker.keep(batch, *fresh, step=step)
        parts = [experience.take(range(num_trained)) for experience in fresh if num_trained]
        parts += [self._replayed(batch.replayed)] if batch.replayed else []
        return Made(
            functools.reduce(joined, parts),
            rollouts.with_advantages(advantages_B[:num_trained]),
            batch.sampled,
            {**batch.figures, "frac_reward_zero_std": flat_share},
        )

    def state_dict(self) -> State:
        """Pools and replay."""
        return self.batch_maker.state.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Puts them back."""
        self.batch_maker.state.load_state_dict(state)

    def _of_groups(self, groups: Sequence[Group], advantages_B: list[float]) -> Experience:
        """The completions of groups that were sampled for this batch."""
        maker, device = self.batch_maker, self.tools.device
        ready = self.tools.ready(
            maker.prompts_of(groups),
            [place for place, group in enumerate(groups) for _ in group.completions],
            [ids for group in groups for ids in group.completions],
            [mask for group in groups for mask in group.masks],
            maker.as_rollouts(groups),
        )
        known = [row for group in groups if group.logps is not None for row in group.logps]
        return self.tools.scored(ready, known or None).with_tensors(
            advantages=torch.tensor(advantages_B, device=device), flat=torch.tensor(maker.flat_rows(groups), device=device)
        )

    def _replayed(self, groups: Sequence[KeptGroup]) -> Experience:
        """Used groups, with the log-probabilities they were sampled with."""
        rows = {name: [row for group in groups for row in getattr(group, name)] for name in ("completions", "masks", "logps", "advantages")}
        owners = [place for place, group in enumerate(groups) for _ in group.completions]
        device = self.tools.device
        experience = Experience(tuple(self.batch_maker.prompts_of(groups)), tuple(owners), tuple(rows["completions"])).with_tensors(
            sampled=padded(rows["masks"], dtype=torch.bool).to(device),
            old_logps=padded(rows["logps"], dtype=torch.float32).to(device),
            advantages=torch.tensor(rows["advantages"], device=device),
            flat=torch.zeros(len(owners), dtype=torch.bool, device=device),
        )
        return self.tools.with_reference(experience)


def row_means(experience: Experience) -> list[float]:
    """Returns the mean advantage of each completion's tokens."""
    advantages, sampled = experience.tensors["advantages"], experience.tensors["sampled"]
    if advantages.ndim > 1:
        advantages = (advantages * sampled).sum(1) / sampled.sum(1).clamp(min=1)
    means: list[float] = advantages.tolist()
    return means


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
