"""From rewards to advantages, one estimator per way: by comparing completions, by a critic, by returns alone.

An estimator looks at a batch of rollouts with its scores and gives the tensors that the loss reads. What it needs of other processes
it gets through `Processes`; it knows no trainer.

Legend: B completions of this process, C tokens of the longest one, M reward terms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from vlmpost.config.schema import AlgorithmConfig
from vlmpost.rewards import RewardSet
from vlmpost.training.credit import advantages
from vlmpost.training.credit.baselines import group_advantages
from vlmpost.training.credit.critic import Critic, reply_ends, rewards_per_token
from vlmpost.training.processes import Processes
from vlmpost.training.rollouts.batch import RolloutBatch, Sums
from vlmpost.training.update.experience import Experience


@dataclass(frozen=True, slots=True)
class Estimated:
    """Advantages and what else the loss reads, each [B] or [B, C], with the figures of the batch."""

    tensors: dict[str, torch.Tensor]
    figures: dict[str, float] = field(default_factory=dict)
    """The same on every process."""
    sums: Sums = field(default_factory=dict)
    """This process's part of others."""


class Estimator(Protocol):
    """One way from rewards to advantages."""

    def __call__(self, batch: RolloutBatch, experience: Experience) -> Estimated:
        """Returns the advantages of a batch."""


@dataclass(frozen=True, slots=True)
class GroupEstimator:
    """Compares the completions of a prompt, or of the batch; one advantage per completion.

    Args:
        algorithm: Of the recipe.
        rewards: Its terms.
        processes: Groups may lie across processes.
    """

    algorithm: AlgorithmConfig
    rewards: RewardSet
    processes: Processes

    def __call__(self, batch: RolloutBatch, experience: Experience) -> Estimated:
        local_BM = reward_matrix(batch, self.rewards)
        rewards_BM = self.processes.gather(local_BM.to(experience.tensors["sampled"].device))
        found = group_advantages(
            rewards_BM,
            self.rewards.weights,
            self.algorithm.num_generations,
            scale_rewards=self.algorithm.scale_rewards,
            aggregation=self.algorithm.multi_objective_aggregation,
            estimator=self.algorithm.advantage_estimator,
        )
        first = self.processes.index * len(experience)
        own = slice(first, first + len(experience))
        flat_B = found.flat_groups_P.repeat_interleave(self.algorithm.num_generations)
        return Estimated({"advantages": found.advantages_B[own], "flat": flat_B[own]})


@dataclass(frozen=True, slots=True)
class ReturnEstimator:
    """REINFORCE++ (arXiv 2501.03262): the discounted return of each token, whitened over all tokens of the batch; no critic, no group.

    Also the REINFORCE of Demystifying Long CoT (arXiv 2502.03373), with a discount for each reward term.

    Args:
        algorithm: Of the recipe.
        rewards: Its terms.
        processes: Advantages are whitened over all processes.
    """

    algorithm: AlgorithmConfig
    rewards: RewardSet
    processes: Processes

    def __call__(self, batch: RolloutBatch, experience: Experience) -> Estimated:
        sampled_BC = experience.tensors["sampled"]
        rewards_BMC, kl_sums = token_rewards_of(batch, experience, self.rewards, self.algorithm)
        gammas_MBC = discounts_of(batch, experience, self.rewards, self.algorithm)
        returns_BC = advantages.discounted_returns(rewards_BMC, sampled_BC, gammas_MBC=gammas_MBC)
        counted_BC = sampled_BC & scored_rows(batch, sampled_BC).unsqueeze(1)
        mean, variance = advantages.mean_and_variance(self.processes.sum(advantages.moments(returns_BC, counted_BC)))
        whitened_BC = advantages.whitened(returns_BC, counted_BC, mean=mean, variance=variance)
        return Estimated({"advantages": whitened_BC}, {"advantage_std": math.sqrt(variance), "return": mean}, kl_sums)


@dataclass(frozen=True, slots=True)
class CriticEstimator:
    """PPO: generalized advantage estimation with the values that the critic gave before the update.

    Args:
        algorithm: Of the recipe.
        rewards: Its terms.
        critic: Knows the discounts.
        processes: Advantages are whitened over all processes.
    """

    algorithm: AlgorithmConfig
    rewards: RewardSet
    critic: Critic
    processes: Processes

    def __call__(self, batch: RolloutBatch, experience: Experience) -> Estimated:
        sampled_BC, values_BC = experience.tensors["sampled"], experience.tensors["old_values"]
        rewards_BMC, kl_sums = token_rewards_of(batch, experience, self.rewards, self.algorithm)
        estimate = self.critic.estimate(
            rewards_BMC,
            values_BC,
            ends_BC=reply_ends(batch.rollouts, sampled_BC),
            valued_BC=sampled_BC & scored_rows(batch, sampled_BC).unsqueeze(1),
            discounts=self.rewards.discounts,
        )
        valued_BC, returns_BC = estimate.valued_BC, estimate.returns_BC
        looked_at = (estimate.advantages_BC, returns_BC, values_BC, returns_BC - values_BC)
        sums = torch.cat([advantages.moments(numbers, valued_BC) for numbers in looked_at])
        everywhere = self.processes.sum(sums).view(len(looked_at), 3)
        (mean, variance), (return_mean, return_variance), (value_mean, _), (_, error_variance) = map(
            advantages.mean_and_variance, everywhere
        )
        figures = {"advantage_std": math.sqrt(variance), "return": return_mean, "value": value_mean}
        if return_variance > advantages.VARIANCE_FLOOR:
            figures["explained_variance"] = 1 - error_variance / return_variance
        chosen_BC = estimate.advantages_BC
        if self.algorithm.whiten_advantages:
            size = advantages.size_of(return_mean, return_variance)
            chosen_BC = advantages.whitened(chosen_BC, valued_BC, mean=mean, variance=variance, magnitude=size)
        return Estimated({"advantages": estimate.for_tokens(chosen_BC), "returns": returns_BC, "valued": valued_BC}, figures, kl_sums)


def reward_matrix(batch: RolloutBatch, rewards: RewardSet) -> torch.Tensor:
    """Returns float32 [B, M]: the value of each term, NaN where it does not apply."""
    rows = [[math.nan if score.parts[name] is None else score.parts[name] for name in rewards.names] for score in batch.scores]
    return torch.tensor(rows, dtype=torch.float32)


def scored_rows(batch: RolloutBatch, like: torch.Tensor) -> torch.Tensor:
    """Returns bool [B]: the completions that some reward applies to."""
    return torch.tensor([score.total is not None for score in batch.scores], device=like.device)


def token_rewards_of(
    batch: RolloutBatch, experience: Experience, rewards: RewardSet, algorithm: AlgorithmConfig
) -> tuple[torch.Tensor, Sums]:
    """Returns what each token earns by term, [B, M, C], clipped and with the KL taken off where the recipe says so, and its sums."""
    sampled_BC = experience.tensors["sampled"]
    rewards_BMC = rewards_per_token(batch.rollouts, batch.scores, rewards, sampled_BC=sampled_BC, clip=algorithm.reward_clip)
    if algorithm.kl_in != "reward" or not algorithm.beta:
        return rewards_BMC, {}
    kl_BC = (experience.tensors["old_logps"] - experience.tensors["ref_logps"]) * sampled_BC
    sums = {"kl_reward": (float(-algorithm.beta * kl_BC.sum()), float(len(experience)))}
    return rewards_BMC - algorithm.beta * kl_BC.unsqueeze(1) / rewards_BMC.shape[1], sums


def discounts_of(batch: RolloutBatch, experience: Experience, rewards: RewardSet, algorithm: AlgorithmConfig) -> Sequence[torch.Tensor]:
    """Returns the discount of each term after each token, M tensors [B, C]."""
    ends_BC = reply_ends(batch.rollouts, experience.tensors["sampled"])
    return [advantages.per_place(algorithm.gamma * discount, algorithm.turn_gamma, ends_BC) for discount in rewards.discounts]


def make_estimator(algorithm: AlgorithmConfig, rewards: RewardSet, processes: Processes, critic: Critic | None) -> Estimator:
    """Returns the estimator that a recipe asks for."""
    if critic is not None:
        return CriticEstimator(algorithm, rewards, critic, processes)
    if algorithm.advantage_estimator == "reinforce_plus_plus":
        return ReturnEstimator(algorithm, rewards, processes)
    return GroupEstimator(algorithm, rewards, processes)
