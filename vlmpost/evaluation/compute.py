"""What training costs in floating point operations, by the measure of arXiv 2501.17161, section 5.1 (after Snell et al. 2024).

A token that is trained on costs 6 N operations, a token that is only read or generated 2 N, with N all parameters of the model, frozen
ones too: a step passes through all of them. Two forms:

- `sft_flop` and `rl_flop`, the paper's: rollout tokens are not counted but taken as a multiple of the trained ones.
- `Tokens.flop`, measured: tokens that were in fact trained on and in fact sampled, as a run counts them.

What neither counts, as the paper does not: attention's quadratic part, the vision tower's own tokens (an image counts by its tokens in
the language model), and forward passes of a reference model or for old log-probabilities. Reading a token and generating one cost the
same; in an episode of several replies the chat is read again for each, and counts again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

TRAIN_FLOP = 6
"""Operations per parameter and token of a forward and a backward pass."""
INFERENCE_FLOP = 2
"""Operations per parameter and token of a forward pass."""
BUFFER_RATIOS: Final[Mapping[str, float]] = MappingProxyType({"general_points": 6.0, "navigation": 5.1})
"""Tokens of the rollout buffer per token trained on in RL: the paper's lambda, by task."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that a run has worked through, prompts, images and padding-free completions together."""

    trained: int
    """Each as often as it was trained on."""
    sampled: int = 0
    """Tokens of rollouts, read and generated."""

    def flop(self, num_parameters: int) -> int:
        """Returns the operations: 6 N per trained token and 2 N per sampled one.

        Example:
            >>> Tokens(trained=10, sampled=100).flop(1000)
            260000
        """
        return num_parameters * (TRAIN_FLOP * self.trained + INFERENCE_FLOP * self.sampled)


def sft_flop(*, num_parameters: int, initial_tokens: float, sft_tokens: float) -> float:
    """Returns X_SFT = 6 N (D_init + D_SFT).

    Args:
        num_parameters: N, all of them.
        initial_tokens: D_init, trained on to make the model that SFT and RL both start from.
        sft_tokens: D_SFT, trained on since.

    Source: arXiv 2501.17161, section 5.1.

    Example:
        >>> sft_flop(num_parameters=10, initial_tokens=1, sft_tokens=2)
        180
    """
    return TRAIN_FLOP * num_parameters * (initial_tokens + sft_tokens)


def rl_flop(*, num_parameters: int, initial_tokens: float, rl_tokens: float, buffer_ratio: float) -> float:
    """Returns X_RL = 6 N (D_init + D_RL) + 2 N D_buffer, with D_buffer = lambda D_RL.

    Args:
        num_parameters: N, all of them.
        initial_tokens: D_init, trained on to make the model that SFT and RL both start from.
        rl_tokens: D_RL, trained on in RL.
        buffer_ratio: lambda, see `BUFFER_RATIOS`.

    Source: arXiv 2501.17161, section 5.1.

    Example:
        >>> rl_flop(num_parameters=10, initial_tokens=1, rl_tokens=2, buffer_ratio=6.0)
        420.0
    """
    trained = TRAIN_FLOP * num_parameters * (initial_tokens + rl_tokens)
    return trained + INFERENCE_FLOP * num_parameters * buffer_ratio * rl_tokens
