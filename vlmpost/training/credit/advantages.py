r"""Advantages and returns per token, from rewards and values: what a critic is for. Pure functions of tensors; knows no trainer.

Legend: B completions, M types of reward, C places of the padded completions. A place is a sampled token, a token of the environment
(the verifier's turn between two replies) or padding; `sampled_BC` marks the first kind, and the others are stepped over: the value
that follows the last token of a reply is that of the first token of the next one.

With $\delta_t = r_t + \gamma_t V_{t+} - V_t$ the advantage is $A_t = \delta_t + \gamma_t \lambda_t A_{t+}$, where $t+$ is the next
sampled token and $V$, $A$ are 0 after the last one. $\gamma_t$ and $\lambda_t$ may differ at the end of a reply, so that turns can be
discounted and tokens not.

Source: Schulman et al., arXiv 1506.02438; several types of reward, each with its own discount: Demystifying Long CoT, arXiv 2502.03373,
section 4.6, $A_t = \sum_l \sum_m \gamma_m^l r_m(t+l) - V_t$, with $\lambda = 1$; one value for a reply: SFT Memorizes, RL Generalizes,
arXiv 2501.17161; whitening with a floor under the variance: repository eddycmu/demystify-long-cot at e90cf9b, as TRL's former PPO.

Departure from them: 1. advantages that differ by no more than float32 can tell apart whiten to 0, where the floor alone lets
rounding of returns in the hundreds through as advantages of size 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

VARIANCE_FLOOR = 1e-8
ROUNDING = 1e-5
"""Share of their size below which differences are rounding: returns are sums of float32 over up to ten thousands of tokens."""


def at_sampled(rows: Sequence[Sequence[float]], sampled_BC: torch.Tensor) -> torch.Tensor:
    """Returns float32 [B, C]: the numbers of each row at the sampled places of its completion, in order, and 0 elsewhere.

    Args:
        rows: One number per sampled token of each completion; a completion without sampled places may have any.
        sampled_BC: Bool [B, C].

    >>> at_sampled([[1.0, 2.0], [3.0]], torch.tensor([[True, False, True], [False, True, False]])).tolist()
    [[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]
    """
    placed_BC = torch.zeros(sampled_BC.shape, dtype=torch.float32)
    for placed_C, row, sampled_C in zip(placed_BC, rows, sampled_BC.cpu(), strict=True):
        if sampled_C.any():
            placed_C[sampled_C] = torch.as_tensor(row, dtype=torch.float32)
    return placed_BC.to(sampled_BC.device)


def per_place(within: float, at_end: float, ends_BC: torch.Tensor) -> torch.Tensor:
    """Returns float32 [B, C]: `within`, and at the ends of replies `within` times `at_end`."""
    return within * torch.where(ends_BC, at_end, 1.0)


def generalized_advantages(
    rewards_BC: torch.Tensor, values_BC: torch.Tensor, sampled_BC: torch.Tensor, *, gamma_BC: torch.Tensor, lam_BC: torch.Tensor
) -> torch.Tensor:
    """Returns the advantages A, [B, C], 0 where nothing was sampled.

    Args:
        rewards_BC: What each sampled token earns.
        values_BC: The return expected before each token is sampled.
        sampled_BC: Bool; other places are stepped over.
        gamma_BC: Discount between a token and the next sampled one.
        lam_BC: Decay of what later tokens tell of this one.

    >>> one, sampled = torch.ones(1, 3), torch.ones(1, 3, dtype=torch.bool)
    >>> generalized_advantages(torch.tensor([[0.0, 0.0, 1.0]]), 0.5 * one, sampled, gamma_BC=one, lam_BC=0.5 * one).tolist()
    [[0.125, 0.25, 0.5]]
    """
    advantages_BC = torch.zeros_like(values_BC)
    value_B = torch.zeros_like(values_BC[:, 0])
    advantage_B = torch.zeros_like(value_B)
    for place in range(values_BC.shape[1] - 1, -1, -1):
        here_B, gamma_B = sampled_BC[:, place], gamma_BC[:, place]
        error_B = rewards_BC[:, place] + gamma_B * value_B - values_BC[:, place]
        advantage_B = torch.where(here_B, error_B + gamma_B * lam_BC[:, place] * advantage_B, advantage_B)
        value_B = torch.where(here_B, values_BC[:, place], value_B)
        advantages_BC[:, place] = advantage_B * here_B
    return advantages_BC


def advantages_of_types(
    rewards_BMC: torch.Tensor,
    values_BC: torch.Tensor,
    sampled_BC: torch.Tensor,
    *,
    gammas_MBC: Sequence[torch.Tensor],
    lam_BC: torch.Tensor,
) -> torch.Tensor:
    """Returns the advantages of several types of reward together, [B, C].

    Types that share their discounts are one reward. Otherwise the returns of the types are summed and compared with the value, which
    is the advantage for lam = 1.

    Args:
        rewards_BMC: What each token earns, by type.
        values_BC: The sum of all returns expected before each token.
        sampled_BC: Bool.
        gammas_MBC: Discounts of each type.
        lam_BC: Decay; 1 where the discounts differ.
    """
    first_BC = gammas_MBC[0]
    if all(torch.equal(gamma_BC, first_BC) for gamma_BC in gammas_MBC):
        return generalized_advantages(rewards_BMC.sum(1), values_BC, sampled_BC, gamma_BC=first_BC, lam_BC=lam_BC)
    assert bool((lam_BC == 1).all()), "different discounts need lam = 1"
    return (discounted_returns(rewards_BMC, sampled_BC, gammas_MBC=gammas_MBC) - values_BC) * sampled_BC


def discounted_returns(rewards_BMC: torch.Tensor, sampled_BC: torch.Tensor, *, gammas_MBC: Sequence[torch.Tensor]) -> torch.Tensor:
    r"""Returns what each token and those after it earn, [B, C]: the sum over the types of their discounted returns; 0 where not sampled.

    It is the advantage without a critic (REINFORCE++).

    Args:
        rewards_BMC: What each token earns, by type.
        sampled_BC: Bool; other places are stepped over.
        gammas_MBC: Discounts of each type, as in `generalized_advantages`.

    Source: arXiv 2502.03373, $G_m(t) = r_m(t) + \gamma_m G_m(t+1)$, $G = \sum_m G_m$.

    >>> one, sampled = torch.ones(1, 3), torch.ones(1, 3, dtype=torch.bool)
    >>> rewards = torch.tensor([[[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]])
    >>> discounted_returns(rewards, sampled, gammas_MBC=[one, 0.5 * one]).tolist()
    [[0.5, 0.0, 1.0]]
    """
    nothing_BC = torch.zeros_like(rewards_BMC[:, 0])
    returns_BC = nothing_BC.clone()
    for rewards_BC, gamma_BC in zip(rewards_BMC.unbind(1), gammas_MBC, strict=True):
        lam_BC = torch.ones_like(nothing_BC)
        returns_BC += generalized_advantages(rewards_BC, nothing_BC, sampled_BC, gamma_BC=gamma_BC, lam_BC=lam_BC)
    return returns_BC


def reply_starts(ends_BC: torch.Tensor, sampled_BC: torch.Tensor) -> torch.Tensor:
    """Returns int64 [B, C]: for each sampled place the place of its reply's first token; elsewhere any place of the row.

    Args:
        ends_BC: Bool; the last tokens of replies.
        sampled_BC: Bool.

    >>> sampled = torch.tensor([[True, True, False, True, True]])
    >>> reply_starts(torch.tensor([[False, True, False, False, True]]), sampled)[sampled].tolist()
    [0, 0, 3, 3]
    """
    num_places = ends_BC.size(1)
    replies_BC = ends_BC.cumsum(1) - ends_BC.long()
    places_BC = torch.arange(num_places, device=ends_BC.device).where(sampled_BC, num_places - 1)
    firsts_BC = torch.full_like(replies_BC, num_places - 1).scatter_reduce(1, replies_BC, places_BC, "amin")
    return firsts_BC.gather(1, replies_BC)


def gathered_at(numbers_BMC: torch.Tensor, places_BC: torch.Tensor) -> torch.Tensor:
    """Returns the numbers, [B, M, C], moved to the places of their row that `places_BC`, int64 [B, C], names, and summed there."""
    return torch.zeros_like(numbers_BMC).scatter_add(2, places_BC.unsqueeze(1).expand_as(numbers_BMC), numbers_BMC)


def moments(numbers_BC: torch.Tensor, mask_BC: torch.Tensor) -> torch.Tensor:
    """Returns (count, sum, sum of squares) of the numbers under the mask, float64 [3]; those of several processes add up."""
    chosen = numbers_BC[mask_BC].double()
    return torch.stack(
        [torch.tensor(float(chosen.numel()), dtype=torch.float64, device=chosen.device), chosen.sum(), chosen.square().sum()]
    )


def mean_and_variance(sums: torch.Tensor) -> tuple[float, float]:
    """Returns the mean and the variance behind the sums of `moments`; (0, 0) of nothing.

    >>> mean_and_variance(torch.tensor([2.0, 6.0, 20.0]))
    (3.0, 1.0)
    """
    count, total, squares = sums.tolist()
    if not count:
        return 0.0, 0.0
    mean = total / count
    return mean, max(0.0, squares / count - mean * mean)


def whitened(advantages_BC: torch.Tensor, mask_BC: torch.Tensor, *, mean: float, variance: float, magnitude: float = 0.0) -> torch.Tensor:
    """Returns the advantages with mean 0 and standard deviation 1 under the mask, 0 elsewhere; all 0 if they differ by rounding alone.

    Args:
        advantages_BC: As estimated.
        mask_BC: Bool.
        mean: Of the advantages under the mask, of all processes.
        variance: Theirs too.
        magnitude: Size of the returns and values that the advantages are differences of (`size_of`), where those are larger.

    >>> whitened(torch.tensor([[1.0, 3.0]]), torch.tensor([[True, True]]), mean=2.0, variance=1.0).tolist()
    [[-1.0, 1.0]]
    """
    if variance**0.5 <= ROUNDING * max(magnitude, abs(mean)):
        return torch.zeros_like(advantages_BC)
    return (advantages_BC - mean) / max(variance, VARIANCE_FLOOR) ** 0.5 * mask_BC


def size_of(mean: float, variance: float) -> float:
    """Returns the root mean square of numbers with this mean and variance.

    >>> size_of(3.0, 16.0)
    5.0
    """
    return (mean * mean + variance) ** 0.5
