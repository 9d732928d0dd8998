r"""What a completion's reward is compared with: its group, the batch, or nothing. Pure functions of the rewards of a whole batch.

Legend: B completions of all processes, those of a prompt behind each other; M reward terms; P prompts, G completions of each;
C places of the padded completions. A reward of NaN does not apply. With $r$ the weighted sum of a completion's terms:

| estimator | advantage | arXiv |
|---|---|---|
| group, scale_rewards group | (r - mean of the group) / (std of the group + 1e-4) | 2402.03300, GRPO |
| group, scale_rewards batch | (r - mean of the group) / (std of the batch + 1e-4) | 2508.08221 |
| group, scale_rewards none | r - mean of the group | 2503.20783, Dr.GRPO |
| group, normalize_then_sum | each term by its group as in the first line, weighted, summed, and that by the batch | 2601.05242, GDPO |
| rloo | r - mean of the others of the group | 2402.14740 |
| reinforce_plus_plus_baseline | r - mean of the group, and that by the batch | 2501.03262 |
| reinforce_plus_plus | the tokens' discounted returns, whitened over the batch's tokens | 2501.03262 |

`scale_rewards` and `multi_objective_aggregation` belong to the estimator `group`; the others have one form each.

A group is flat if all its rewards are equal: it has nothing to tell, and its advantages are exactly 0. Sums are made in float64 in the
order of the terms and compared as float32, so that equal terms are equal, 0.1 + 0.2 equals 0.3, and anything that a reward can mean
differs. A group with fewer than two rewards is flat too. With normalize_then_sum terms do not stand for each other: it is flat if
each of them is.

Departures from TRL 1.16: 1. it finds flat groups by a standard deviation near 0 in float32, where the rounding of a mean leaves a flat
group with advantages up to 1e-3, and finds none with scale_rewards batch. From the code of REINFORCE++ (OpenRLHF): 2. the baseline form
weighs completions alike in the moments of the batch, as in the paper, not each by its tokens, so that a flat group stays at 0; 3. the KL
term of the baseline form is k3 (`losses.py`), not k2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from vlmpost.errors import ConfigError
from vlmpost.training.credit.advantages import VARIANCE_FLOOR

Estimator = Literal["group", "rloo", "reinforce_plus_plus", "reinforce_plus_plus_baseline"]
Scale = Literal["group", "batch", "none"]
Aggregation = Literal["sum_then_normalize", "normalize_then_sum"]

STD_FLOOR = 1e-4
"""TRL's, added to standard deviations."""


@dataclass(frozen=True, slots=True)
class GroupAdvantages:
    """What the rewards of a batch come to."""

    advantages_B: torch.Tensor
    """Float32; 0 for completions without a reward."""
    rewards_B: torch.Tensor
    """Float32, the weighted sums; NaN for completions without a reward."""
    flat_groups_P: torch.Tensor
    """Bool."""


def group_advantages(
    rewards_BM: torch.Tensor,
    weights_M: Sequence[float],
    num_generations: int,
    *,
    scale_rewards: Scale = "group",
    aggregation: Aggregation = "sum_then_normalize",
    estimator: Estimator = "group",
) -> GroupAdvantages:
    """Returns the advantages of a batch by comparison.

    Args:
        rewards_BM: As the terms gave them, before weighting; NaN: does not apply.
        weights_M: Of the terms.
        num_generations: G.
        estimator: Not reinforce_plus_plus, which compares nothing: `advantages.discounted_returns`.

    Raises:
        ConfigError: A group of one has nobody to be compared with.

    >>> group_advantages(torch.tensor([[0.0], [1.0], [5.0]]), [1.0], 3, estimator="rloo").advantages_B.tolist()
    [-3.0, -1.5, 4.5]
    """
    assert estimator != "reinforce_plus_plus", "its advantages are those of tokens"
    if num_generations < 2:
        raise ConfigError(
            f"algorithm.num_generations is {num_generations}, but advantage_estimator {estimator} compares the completions of a prompt "
            "with each other; give 2 or more, or take reinforce_plus_plus."
        )
    parts_PGM = rewards_BM.double().reshape(-1, num_generations, rewards_BM.shape[1])
    weights = torch.tensor(list(weights_M), dtype=torch.float64, device=rewards_BM.device)
    totals_PG = total_rewards(parts_PGM, weights)
    by_term = estimator == "group" and aggregation == "normalize_then_sum"
    flat_P = flat_groups(parts_PGM).all(-1) if by_term else flat_groups(totals_PG[..., None]).squeeze(-1)
    if by_term:
        advantages_PG = _decoupled(parts_PGM, weights)
    elif estimator == "rloo":
        advantages_PG = _against_the_others(totals_PG)
    elif estimator == "reinforce_plus_plus_baseline":
        advantages_PG = _whitened(_centred(totals_PG))
    else:
        advantages_PG = _centred(totals_PG) / _scale(totals_PG, scale_rewards)
    advantages_PG = advantages_PG.nan_to_num(nan=0.0).masked_fill(flat_P[:, None], 0.0)
    return GroupAdvantages(advantages_PG.flatten().float(), totals_PG.flatten().float(), flat_P)


def total_rewards(parts_BM: torch.Tensor, weights_M: torch.Tensor) -> torch.Tensor:
    """Returns the weighted sums over the last axis, terms that do not apply left out; NaN where none applies.

    >>> total_rewards(torch.tensor([[1.0, float("nan")], [1.0, 2.0]]), torch.tensor([1.0, 0.5])).tolist()
    [1.0, 2.0]
    """
    return (parts_BM * weights_M).nansum(-1).masked_fill(parts_BM.isnan().all(-1), float("nan"))


def flat_groups(rewards_PGM: torch.Tensor) -> torch.Tensor:
    """Returns bool [P, M]: the groups that have fewer than two different rewards, those that do not apply left out.

    >>> flat_groups(torch.tensor([[[0.1 + 0.2], [0.3]], [[0.0], [1.0]], [[1.0], [float("nan")]]], dtype=torch.float64)).tolist()
    [[True], [False], [True]]
    """
    rewards_PGM = rewards_PGM.float()
    lowest_PM = rewards_PGM.nan_to_num(nan=float("inf")).amin(1)
    highest_PM = rewards_PGM.nan_to_num(nan=-float("inf")).amax(1)
    return lowest_PM >= highest_PM


def nanstd(numbers: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """Returns the sample standard deviation of the numbers that are not NaN, dimensions kept; NaN for fewer than two.

    >>> nanstd(torch.tensor([[1.0, 3.0, float("nan")]]), dim=1).item()
    1.4142135381698608
    """
    count = (~numbers.isnan()).sum(dim, keepdim=True)
    squares = (numbers - numbers.nanmean(dim, keepdim=True)).square().nansum(dim, keepdim=True)
    return (squares / (count - 1).clamp(min=1)).sqrt().masked_fill(count < 2, float("nan"))


def _centred(totals_PG: torch.Tensor) -> torch.Tensor:
    return totals_PG - totals_PG.nanmean(1, keepdim=True)


def _scale(totals_PG: torch.Tensor, scale_rewards: Scale) -> torch.Tensor:
    if scale_rewards == "none":
        return torch.ones_like(totals_PG)
    return nanstd(totals_PG, dim=1 if scale_rewards == "group" else None) + STD_FLOOR


def _against_the_others(totals_PG: torch.Tensor) -> torch.Tensor:
    """r - mean of the n - 1 others = (r - mean of all n) n / (n - 1)."""
    count_P1 = (~totals_PG.isnan()).sum(1, keepdim=True)
    return _centred(totals_PG) * count_P1 / (count_P1 - 1)


def _whitened(advantages_PG: torch.Tensor) -> torch.Tensor:
    """Mean 0 and standard deviation 1 over the batch; the variance is the population's, with the floor of REINFORCE++'s code."""
    centred_PG = advantages_PG - advantages_PG.nanmean()
    return centred_PG / centred_PG.square().nanmean().clamp(min=VARIANCE_FLOOR).sqrt()


def _decoupled(parts_PGM: torch.Tensor, weights_M: torch.Tensor) -> torch.Tensor:
    """Each term normalized in its group, then the weighted sums in the batch."""
    normal_PGM = (parts_PGM - parts_PGM.nanmean(1, keepdim=True)) / (nanstd(parts_PGM, dim=1) + STD_FLOOR)
    summed_PG = (normal_PGM * weights_M).nansum(-1).masked_fill(parts_PGM.isnan().all(-1), float("nan"))
    return (summed_PG - summed_PG.nanmean()) / (nanstd(summed_PG) + STD_FLOOR)
