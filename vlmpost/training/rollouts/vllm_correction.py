"""The weight of a completion that another engine sampled: the trainer's probability of it over the sampler's, bounded.

Two engines with the same weights do not give a token the same probability, so what vLLM samples is slightly off-policy. The loss of a
token is multiplied by the ratio, which is what importance sampling asks for, and the ratio is bounded, which keeps its variance in check.

Legend: B completions, C places of the padded completions.

Source: TRL 1.16, `GRPOTrainer._generate_and_score_completions`; truncation: Yao et al., "Your Efficient RL Framework Secretly Brings You
Off-Policy RL Training" (2025); masking: Liu et al., "When Speed Kills Stability" (2025). No departures.
"""

from __future__ import annotations

import math
from typing import Literal

import torch

CorrectionMode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]


def importance_ratio(
    trainer_logps_BC: torch.Tensor,
    sampler_logps_BC: torch.Tensor,
    mask_BC: torch.Tensor,
    *,
    mode: CorrectionMode,
    clip_min: float | None,
    clip_max: float | None,
) -> torch.Tensor:
    """Returns the factor of each token's loss, [B, C] for the token modes and [B, 1] for those of whole completions.

    Args:
        trainer_logps_BC: Log-probabilities of the sampled tokens by the trainer, before the update.
        sampler_logps_BC: The sampler's; a NaN is unknown and counts as equal to the trainer's, so that it changes nothing.
        mask_BC: Sampled tokens, bool or 0 / 1; other places have the ratio 1.
        mode: What a ratio is of, and whether one outside the bounds is moved to the bound (truncate) or becomes 0 (mask).
        clip_min: Lower bound; None: none.
        clip_max: Upper bound; None: none.

    >>> trainer, sampler = torch.tensor([[-1.0, -1.0]]), torch.tensor([[-1.0, -3.0]])
    >>> importance_ratio(trainer, sampler, torch.ones(1, 2), mode="token_truncate", clip_min=None, clip_max=3.0).tolist()
    [[1.0, 3.0]]
    """
    differences_BC = torch.nan_to_num((trainer_logps_BC - sampler_logps_BC) * mask_BC, nan=0.0)
    of_tokens = mode in {"token_truncate", "token_mask"}
    ratio = (differences_BC if of_tokens else differences_BC.sum(dim=1, keepdim=True)).exp()
    low = -math.inf if clip_min is None else clip_min
    high = math.inf if clip_max is None else clip_max
    if mode in {"token_truncate", "sequence_truncate"}:
        return ratio.clamp(low, high)
    return ratio.masked_fill((ratio < low) | (ratio > high), 0.0)


def correction_figures(ratio: torch.Tensor, mask_BC: torch.Tensor) -> dict[str, tuple[float, float]]:
    """Returns (sum, count) of the ratio and of its zeros over tokens, or over completions where it is of those.

    Args:
        ratio: From `importance_ratio`.
        mask_BC: Sampled tokens.
    """
    counted = ratio[mask_BC.bool()] if ratio.shape == mask_BC.shape else ratio.flatten()
    count = float(counted.numel())
    return {
        "sampler_ratio": (counted.double().sum().item(), count),
        "sampler_masked_share": ((counted == 0).double().sum().item(), count),
    }
