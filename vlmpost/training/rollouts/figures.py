"""The figures of a batch of rollouts under TRL's names, over all processes: lengths and rewards."""

from __future__ import annotations

import torch

from vlmpost.rewards import RewardSet
from vlmpost.training.credit.baselines import total_rewards


def length_figures(lengths_B: torch.Tensor, cut_B: torch.Tensor) -> dict[str, float]:
    """Returns the lengths of completions.

    Args:
        lengths_B: Sampled tokens of each.
        cut_B: Bool; whether the budget ended it.
    """
    ended = lengths_B[~cut_B] if bool((~cut_B).any()) else lengths_B.new_zeros(1)
    return {
        "completions/mean_length": lengths_B.float().mean().item(),
        "completions/min_length": float(lengths_B.min()),
        "completions/max_length": float(lengths_B.max()),
        "completions/mean_terminated_length": ended.float().mean().item(),
        "completions/clipped_ratio": cut_B.float().mean().item(),
    }


def reward_figures(parts_BM: torch.Tensor, rewards: RewardSet) -> dict[str, float]:
    """Returns mean and standard deviation of each term, where it applies, and of the weighted sums; NaN where there is none.

    Args:
        parts_BM: The values of the terms, NaN where one does not apply.
        rewards: The terms.
    """
    parts_BM = parts_BM.double()
    columns = {f"rewards/{name}/": parts_BM[:, index] for index, name in enumerate(rewards.names)}
    columns["reward_"] = total_rewards(parts_BM, parts_BM.new_tensor(rewards.weights))
    figures = {}
    for name, column in columns.items():
        known = column[~column.isnan()]
        figures[f"{name}mean"] = known.mean().item() if len(known) else float("nan")
        figures[f"{name}std"] = known.std().item() if len(known) > 1 else float("nan")
    figures["reward"] = figures.pop("reward_mean")
    return figures
