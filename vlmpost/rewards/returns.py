r"""Returns per token of several rewards, each with its own discount, as PPO needs them.

Source: Demystifying Long CoT, arXiv 2502.03373, section 4.6; repository eddycmu/demystify-long-cot at e90cf9b: each reward type
$m$ has $G_m(t) = r_m(t) + \gamma_m G_m(t+1)$, and $G = \sum_m G_m$; a value for the whole completion sits on its last token.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlmpost.records import Score
from vlmpost.rewards.sets import RewardSet


def token_rewards(score: Score, rewards: RewardSet, *, num_tokens: int) -> NDArray[np.float64]:
    """Returns the weighted rewards by term and token, shape [M, T], in the order of the set's terms.

    A term that does not apply is a row of zeros.

    Args:
        score: What the completion got.
        rewards: The set it was scored by.
        num_tokens: Length T of the completion in tokens, at least 1.
    """
    values = np.zeros((len(rewards.terms), num_tokens))
    for row, term in zip(values, rewards.terms, strict=True):
        part = score.parts[term.name]
        if term.name in score.token_parts:
            row[:] = score.token_parts[term.name]
        elif part is not None:
            row[-1] = part
        row *= term.weight
    return values


def discounted(rewards: NDArray[np.float64], discounts: Sequence[float]) -> NDArray[np.float64]:
    """Returns the sum over reward types of their discounted returns, shape [T].

    Args:
        rewards: Rewards by type and token, shape [M, T].
        discounts: Gamma of each type, length M.

    Raises:
        ValueError: There are not as many discounts as types.

    >>> discounted(np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]), [1.0, 0.5]).tolist()
    [0.5, 0.0, 1.0]
    """
    if len(discounts) != len(rewards):
        raise ValueError(f"{len(rewards)} types of rewards, {len(discounts)} discounts")
    gammas = np.asarray(discounts, dtype=np.float64)
    by_type = np.zeros(len(rewards))
    total = np.empty(rewards.shape[1])
    for place in range(rewards.shape[1] - 1, -1, -1):
        by_type = rewards[:, place] + gammas * by_type
        total[place] = by_type.sum()
    return total
