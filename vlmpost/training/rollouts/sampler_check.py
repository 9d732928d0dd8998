"""What the trainer makes of its sampler: do its log-probabilities agree, and how is the rest of a difference corrected.

The decoder of this process is checked once, on its first batch: prompts read once and prompts read anew must give the same numbers. A
sampler that is another program is checked there too, and measured and corrected in every batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from vlmpost.config.schema import RlConfig
from vlmpost.training.processes import Processes
from vlmpost.training.rollouts import parity
from vlmpost.training.rollouts.vllm_correction import correction_figures, importance_ratio
from vlmpost.training.rollouts.vllm_install import narrowing_settings
from vlmpost.training.update.experience import Experience, padded


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    """For the loss."""
    figures: dict[str, float] = field(default_factory=dict)


class SamplerCheck:
    """Compares the log-probabilities of the sampler with the trainer's own.

    Args:
        config: The recipe.
        args: TRL's GRPOConfig; its vllm_importance_sampling_* keys.
        dtype: Of the model.
        processes: Their figures are put together.
    """

    def __init__(self, config: RlConfig, args: Any, dtype: torch.dtype, processes: Processes) -> None:
        self._args = args
        self._bounds = parity.bounds(torch.bfloat16 if args.bf16 else dtype)
        self._comparable = not narrowing_settings(config.generation)
        self._processes = processes
        self.is_due = self._comparable
        """Whether the first batch is still to be checked."""

    def verify(self, experience: Experience, sampler_logps: Sequence[Sequence[float]], *, generator: str) -> None:
        """Passes if the first batch that has tokens to compare agrees.

        Args:
            experience: With `sampled` and `old_logps`.
            sampler_logps: Of each token, NaN where the sampler knows none.
            generator: Its name, for the message.

        Raises:
            ConfigError: It does not.
        """
        old_BC, sampled_BC = experience.tensors["old_logps"], experience.tensors["sampled"]
        sampler_BC = padded(sampler_logps, dtype=torch.float32).to(old_BC.device)
        parity.check_logps(sampler_BC, old_BC, sampled_BC, generator=generator, **self._bounds)
        self.is_due = not self._processes.anywhere(bool(sampled_BC.any()))

    def corrected(self, experience: Experience, sampler_logps: Sequence[Sequence[float]]) -> Checked:
        """Returns the tensors of the correction for vLLM and the figures of the difference; arguments as `verify`."""
        old_BC, sampled_BC = experience.tensors["old_logps"], experience.tensors["sampled"]
        sampler_BC = padded(sampler_logps, dtype=torch.float32).to(old_BC.device)
        tensors, figures = {"sampling_logps": sampler_BC}, {}
        if self._comparable:
            figures = parity.logp_gap(sampler_BC, old_BC, sampled_BC).figures()
        if self._args.vllm_importance_sampling_correction:
            ratio = importance_ratio(
                old_BC,
                sampler_BC,
                sampled_BC,
                mode=self._args.vllm_importance_sampling_mode,
                clip_min=self._args.vllm_importance_sampling_clip_min,
                clip_max=self._args.vllm_importance_sampling_clip_max,
            )
            tensors["sampling_ratio"] = ratio
            figures |= self._processes.means(correction_figures(ratio, sampled_BC))
        return Checked(tensors, figures)
