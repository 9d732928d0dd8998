"""One forward pass over an `Experience`: log-probability, entropy and value of each of its tokens.

Two ways to the same numbers: packed, where each prompt and its images are read once for all its completions
(`models.shared_prompt`), and plain, where every completion brings its prompt, padded.

Legend: B completions, C tokens of the longest one, T tokens of the packed row, P of the longest prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from vlmpost.models import shared_prompt
from vlmpost.models.prompts import collate
from vlmpost.training.update.experience import Experience, completion_mask, padded

Forward = Callable[..., Any]
"""A model with TRL's fused head, bare or wrapped; Any: its output."""
IGNORED = -100
"""Label of a place that is not scored."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What a pass says of each token, float32 or the model's type, 0 after the end of a completion; all [B, C]."""

    logps_BC: torch.Tensor
    """In nats, under the temperature of sampling."""
    entropies_BC: torch.Tensor | None
    """Of the distributions, in nats; None: not asked for, as of a reference model."""
    values_BC: torch.Tensor | None = None
    """None: the model has no critic."""

    @staticmethod
    def joined(parts: list[TokenScores], order: list[list[int]]) -> TokenScores:
        """The scores of parts of a batch put back in the batch's order; `order` holds the rows of each part."""
        rows = [row for part in order for row in part]
        width = max(part.logps_BC.shape[1] for part in parts)
        back = torch.tensor(rows).argsort()
        fields = [[getattr(part, name) for part in parts] for name in ("logps_BC", "entropies_BC", "values_BC")]
        return TokenScores(*(None if column[0] is None else _stacked(column, width)[back] for column in fields))


@dataclass(frozen=True, slots=True)
class Scorer:
    """Runs the passes.

    Args:
        shared: Read each prompt once.
        pad_token_id: Fills plain batches up.
        device: Of the model.
    """

    shared: bool
    pad_token_id: int
    device: torch.device

    def __call__(self, forward: Forward, model: PreTrainedModel, experience: Experience) -> TokenScores:
        """Returns the scores; with gradients where they are on.

        Args:
            forward: What to call, e.g. the wrapped model.
            model: The model inside it.
            experience: At least one completion.
        """
        return self._packed(forward, model, experience) if self.shared else self._plain(forward, model, experience)

    def _packed(self, forward: Forward, model: PreTrainedModel, experience: Experience) -> TokenScores:
        packed = shared_prompt.pack(
            model, experience.prompts, experience.owners, experience.completions, device=self.device, dtype=model.dtype
        )
        output = forward(**packed.inputs, fused_lm_head=True)
        return TokenScores(*(None if values_1T is None else packed.padded(values_1T) for values_1T in _per_token(output)))

    def _plain(self, forward: Forward, model: PreTrainedModel, experience: Experience) -> TokenScores:
        prompts = [experience.prompts[owner] for owner in experience.owners]
        inputs = collate(prompts, pad_token_id=self.pad_token_id)
        num_rows, width_P = inputs["input_ids"].shape
        mask_BC = completion_mask(experience.completions)
        completions_BC = padded(experience.completions, dtype=torch.int64)
        filled_BC = completions_BC.masked_fill(~mask_BC, self.pad_token_id)
        tails = {"input_ids": filled_BC, "attention_mask": mask_BC.long()}
        for name in ("input_ids", "attention_mask", *prompts[0].token_types):
            inputs[name] = torch.cat([inputs[name], tails.get(name, torch.zeros_like(completions_BC))], dim=1)
        labels_BC = completions_BC.masked_fill(~mask_BC, IGNORED)
        labels = torch.cat([labels_BC.new_full((num_rows, width_P), IGNORED), labels_BC], dim=1)
        inputs = inputs.to(self.device, dtype=model.dtype)
        output = forward(**inputs, labels=labels.to(self.device), fused_lm_head=True)
        width_C = completions_BC.shape[1]
        return TokenScores(*(None if values is None else values[:, -width_C:] for values in _per_token(output)))


def _per_token(output: Any) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """What TRL's fused head, and the critic behind it, say of each place that has a label."""
    return output.log_probs, output.entropy, getattr(output, "state_values", None)


def _stacked(parts: list[torch.Tensor], width: int) -> torch.Tensor:
    """The rows of all parts, each filled up with 0 to `width`."""
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])
