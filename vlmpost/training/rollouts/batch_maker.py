"""Which groups make up a batch of rollouts: those of the loader as they come, or chosen so that they teach (`signal`).

Knows datasets and processes and no loss. Every process asks the same things in the same order and comes to the same choice; a group is
sampled whole on one process and may be trained on another, which then encodes its prompt anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from vlmpost.config.schema import RlConfig
from vlmpost.errors import ConfigError
from vlmpost.models.prompts import EncodedPrompt
from vlmpost.records import Rollout, Score, Verdict
from vlmpost.rewards import RewardSet
from vlmpost.training.credit.baselines import flat_groups, group_advantages, total_rewards
from vlmpost.training.credit.estimators import reward_matrix
from vlmpost.training.dataset import ExampleDataset
from vlmpost.training.processes import Processes
from vlmpost.training.rollouts.batch import RolloutBatch, without_images
from vlmpost.training.rollouts.collector import Collected, Collector, Row
from vlmpost.training.signal.flat import GroupReport, signal_figures
from vlmpost.training.signal.refill import Refill
from vlmpost.training.signal.replay import KeptGroup
from vlmpost.training.signal.state import SignalState
from vlmpost.training.update.experience import Experience


@dataclass(frozen=True, slots=True)
class Group:
    """The completions of one prompt, light enough to go to another process."""

    index: int
    """The prompt's index in the dataset."""
    completions: tuple[tuple[int, ...], ...]
    masks: tuple[tuple[int, ...], ...]
    logps: tuple[tuple[float, ...], ...] | None
    rollouts: tuple[Rollout, ...]
    """Without their images."""
    scores: tuple[Score, ...]
    verdicts: tuple[Verdict | None, ...]
    report: GroupReport


@dataclass(frozen=True, slots=True)
class Batch:
    """What one process trains on, and what was seen on the way."""

    trained: tuple[Group, ...]
    """Sampled for this batch."""
    surplus: tuple[Group, ...]
    """Useful groups without a place in the batch; for the replay."""
    replayed: tuple[KeptGroup, ...]
    everywhere: tuple[Group, ...]
    """The groups that all processes together train on, in the order that gives this process's `trained` from `first`."""
    first: int
    """Where `trained` starts among them."""
    sampled: tuple[Collected, ...]
    """Every round of this process, for the figures."""
    figures: dict[str, float]
    """Of the signal; the same on every process."""


class BatchMaker:
    """Makes batches whose groups are chosen.

    Args:
        config: The recipe.
        rewards: Say what is flat.
        collector: Samples and scores rows.
        dataset: Where further prompts come from.
        processes: Each trains an equal part of a batch.

    Raises:
        ConfigError: The prompts of a batch do not divide among the processes.
    """

    def __init__(
        self,
        config: RlConfig,
        *,
        rewards: RewardSet,
        collector: Collector,
        dataset: ExampleDataset,
        processes: Processes,
    ) -> None:
        num_groups, num_processes = config.training.prompts_per_step, processes.count
        if num_groups % num_processes:
            raise ConfigError(
                f"signal: {num_groups} prompts (training.prompts_per_step) do not divide among {num_processes} processes, and choosing "
                "groups needs whole ones on each; give a multiple of them."
            )
        self.state = SignalState(config.signal, num_examples=len(dataset), seed=config.training.seed)
        self._config = config
        self._rewards = rewards
        self._collector = collector
        self._dataset = dataset
        self._processes = processes
        self._encoded: dict[int, EncodedPrompt] = {}
        self._refill = Refill.of(config.signal, num_groups=num_groups, num_processes=num_processes)

    def make(self, rows: Sequence[Row], *, step: int) -> Batch:
        """Returns the batch of one step.

        Args:
            rows: The loader's for this process; with prompt pools they are left aside.
            step: Optimizer steps done.
        """
        num_groups = self._refill.num_groups
        asked: list[int] = []
        sampled: list[Collected] = []
        groups: list[Group] = []
        pools = self._config.signal.prompt_pools
        wanted: list[int] | None = self.state.source.take(num_groups) if pools else None
        num_rounds = 0
        self._encoded = {}
        while True:
            own = list(rows) if wanted is None else self._own_rows(wanted)
            samples = [place % self._config.algorithm.num_generations for place in range(len(own))]
            collected = self._collector.collect(own, samples=samples, step=step)
            self._encoded |= {index: collected.prompts[owner] for index, owner in zip(collected.indices, collected.owners, strict=True)}
            sampled.append(collected)
            found = self._processes.gather_objects(self._groups(collected))
            groups += found
            asked += [group.index for group in found]
            num_rounds += 1
            useful = [not group.report.flat for group in groups]
            num_more = self._refill.num_more(useful, num_rounds=num_rounds, num_left=len(self._dataset) - len(asked))
            if not num_more:
                break
            wanted = self.state.source.take(num_more, exclude=asked)
        return self._chosen(groups, sampled, num_rounds=num_rounds, step=step)

    def _chosen(self, groups: list[Group], sampled: list[Collected], *, num_rounds: int, step: int) -> Batch:
        choice = self._refill.choose([not group.report.flat for group in groups])
        used = [groups[place].index for place in (*choice.useful, *choice.flat)]
        replayed = self.state.replay.choose(len(choice.flat), step=step, seed=self._config.training.seed, exclude=used)
        trained = [groups[place] for place in choice.batch(len(replayed))]
        reports = [group.report for group in groups]
        high = self.state.note(reports)
        each = self._refill.num_groups // self._processes.count
        mine = range(self._processes.index * each, (self._processes.index + 1) * each)
        return Batch(
            trained=tuple(trained[place] for place in mine if place < len(trained)),
            surplus=tuple(groups[place] for place in choice.surplus[self._processes.index :: self._processes.count]),
            replayed=tuple(replayed[place - len(trained)] for place in mine if place >= len(trained)),
            everywhere=tuple(trained),
            first=min(mine.start, len(trained)),
            sampled=tuple(sampled),
            figures=signal_figures(reports, high, num_rounds=num_rounds, num_replayed=len(replayed), num_surplus=len(choice.surplus)),
        )

    def _own_rows(self, indices: Sequence[int]) -> list[Row]:
        """This process's part of a round of prompts, each as often as it has completions."""
        each = len(indices) // self._processes.count
        own = indices[self._processes.index * each : (self._processes.index + 1) * each]
        return [row for index in own for row in [self._dataset[index]] * self._config.algorithm.num_generations]

    def _groups(self, collected: Collected) -> list[Group]:
        """The rows of a round as groups; its figures say whether they are flat."""
        size = self._config.algorithm.num_generations
        parts_BM = reward_matrix(collected.batch, self._rewards).double()
        totals_B = total_rewards(parts_BM, parts_BM.new_tensor(self._rewards.weights))
        by_term = self._config.algorithm.multi_objective_aggregation == "normalize_then_sum"
        compared_BX = parts_BM if by_term else totals_B[:, None]
        flat = flat_groups(compared_BX.reshape(-1, size, compared_BX.shape[1])).all(-1).tolist()
        return [
            self._group(collected, slice(first, first + size), flat[first // size], totals_B) for first in range(0, len(collected), size)
        ]

    def _group(self, collected: Collected, rows: slice, flat: bool, totals_B: torch.Tensor) -> Group:
        verdicts = tuple(collected.batch.verdicts[rows])
        rollouts = tuple(without_images(rollout) for rollout in collected.batch.rollouts[rows])
        known = [verdict.correct for verdict in verdicts if verdict is not None]
        own_totals = totals_B[rows]
        report = GroupReport(
            index=collected.indices[rows.start],
            flat=flat,
            reward=float(own_totals.nanmean()) if not own_totals.isnan().all() else 0.0,
            correct=all(known) if len(known) == len(verdicts) else None,
            num_tokens=sum(len(rollout.token_ids) for rollout in rollouts),
        )
        return Group(
            index=report.index,
            completions=collected.completions[rows],
            masks=collected.masks[rows],
            logps=None if collected.logps is None else collected.logps[rows],
            rollouts=rollouts,
            scores=tuple(collected.batch.scores[rows]),
            verdicts=verdicts,
            report=report,
        )

    def as_rollouts(self, groups: Sequence[Group]) -> RolloutBatch:
        """The groups as a batch of rollouts, with their images again."""
        examples = self._dataset.examples
        return RolloutBatch(
            [replace(rollout, example=examples[group.index]) for group in groups for rollout in group.rollouts],
            [score for group in groups for score in group.scores],
            [verdict for group in groups for verdict in group.verdicts],
        )

    def prompts_of(self, groups: Sequence[Group | KeptGroup]) -> list[EncodedPrompt]:
        """The prompts of groups; encoded anew where they were sampled elsewhere or long ago."""
        missing = [group.index for group in groups if group.index not in self._encoded]
        new = dict(zip(missing, self._collector.encode([self._dataset[index] for index in missing]), strict=True))
        known = self._encoded | new
        return [known[group.index] for group in groups]

    def advantages(self, batch: Batch) -> list[float]:
        """Returns the advantage of each completion of `trained` and `surplus`; surplus groups are compared within themselves."""
        algorithm = self._config.algorithm

        def compared(groups: Sequence[Group]) -> list[float]:
            if not groups:
                return []
            found = group_advantages(
                reward_matrix(self.as_rollouts(groups), self._rewards),
                self._rewards.weights,
                algorithm.num_generations,
                scale_rewards=algorithm.scale_rewards,
                aggregation=algorithm.multi_objective_aggregation,
                estimator=algorithm.advantage_estimator,
            )
            values: list[float] = found.advantages_B.tolist()
            return values

        first = batch.first * algorithm.num_generations
        own = compared(batch.everywhere)[first : first + len(batch.trained) * algorithm.num_generations]
        return own + compared(batch.surplus)

    @staticmethod
    def flat_rows(groups: Sequence[Group]) -> list[bool]:
        """Whether each completion is of a flat group."""
        return [group.report.flat for group in groups for _ in group.completions]

    def keep(self, batch: Batch, experience: Experience | None = None, *, step: int) -> None:
        """Gives the useful groups of all processes to the replay.

        Args:
            batch: This process's part.
            experience: The completions of `trained` and `surplus`, with `old_logps` and `advantages`; None where there are none.
            step: Optimizer steps done.
        """
        if not self._config.signal.replay_size:
            return
        kept: list[KeptGroup] = []
        size = self._config.algorithm.num_generations
        for place, group in enumerate((*batch.trained, *batch.surplus)):
            if experience is not None and not group.report.flat:
                kept.append(_kept(group, experience, range(place * size, (place + 1) * size), step=step))
        self.state.keep(self._processes.gather_objects(kept))


def _kept(group: Group, experience: Experience, rows: range, *, step: int) -> KeptGroup:
    logps, sampled = experience.tensors["old_logps"][rows.start : rows.stop], experience.tensors["sampled"][rows.start : rows.stop]
    lengths = [len(ids) for ids in group.completions]
    return KeptGroup(
        index=group.index,
        step=step,
        completions=group.completions,
        masks=tuple(tuple(map(int, row[:length])) for row, length in zip(sampled.tolist(), lengths, strict=True)),
        logps=tuple(tuple(row[:length]) for row, length in zip(logps.tolist(), lengths, strict=True)),
        rewards=tuple(math.nan if score.total is None else score.total for score in group.scores),
        advantages=tuple(experience.tensors["advantages"][rows.start : rows.stop].tolist()),
    )
