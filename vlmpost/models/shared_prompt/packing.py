"""Prompts with their completions as one row without padding: the inputs of one forward pass, and the way back to one row per completion.

Legend: T tokens of the packed row, N completions, C tokens of the longest, R rows of positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from vlmpost.models.prompts import EncodedPrompt, joined_images
from vlmpost.models.shared_prompt.attention import KEYWORD
from vlmpost.models.shared_prompt.layout import TEXT, Spans, lay_out, spans
from vlmpost.models.shared_prompt.positions import completion_positions, has_grid, prompt_positions
from vlmpost.models.shared_prompt.support import known_model, sees_whole_images

NO_LABEL = -100
"""What transformers and TRL take for a token that is not scored."""


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """One packed row."""

    # Any: keyword arguments of a model's forward.
    inputs: dict[str, object]
    """Keyword arguments of the model's forward: `input_ids` [1, T], positions, images, `shift_labels` [1, T] and the layout."""
    places_M: torch.Tensor
    """int64, the place in the row of each of the M scored tokens, completions one after another."""
    targets_M: torch.Tensor
    """int64, where each of them stands in a flattened [N, C]."""
    num_completions: int
    longest: int
    """C."""

    def padded(self, per_token_1T: torch.Tensor) -> torch.Tensor:
        """Returns values of the row's places as [N, C], one row per completion in the order given, 0 behind its end; differentiable."""
        flat_NC = per_token_1T.new_zeros(self.num_completions * self.longest)
        return flat_NC.index_copy(0, self.targets_M, per_token_1T[0].index_select(0, self.places_M)).view(-1, self.longest)


def pack(
    model: nn.Module,
    prompts: Sequence[EncodedPrompt],
    owners: Sequence[int],
    completions: Sequence[Sequence[int]],
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> PackedBatch:
    """Returns prompts and completions as one row for `model`, which must be called inside `sharing`.

    Args:
        model: A model that `unsupported` has nothing against, or a wrapper around one.
        prompts: Each once; one without completions takes no place in the row.
        owners: Index into `prompts` of each completion.
        completions: Token ids, at least one each. All are read and scored.
        device: Of the row.
        dtype: Of the images' floating-point tensors.
    """
    assert len(owners) == len(completions) > 0, f"{len(owners)} owners, {len(completions)} completions"
    inner = known_model(model)
    used = sorted(set(owners))
    read = [prompts[index] for index in used]
    owners = [used.index(owner) for owner in owners]
    prompt_lengths = [len(prompt.token_ids) - 1 for prompt in read]
    lengths = [len(completion) for completion in completions]
    assert min(prompt_lengths) > 0 and min(lengths) > 0, "A prompt needs two tokens, a completion one"
    where = spans(prompt_lengths, owners, lengths)
    image_numbers = [_image_numbers(prompt) for prompt in read] if sees_whole_images(inner) else None
    layout = lay_out(prompt_lengths, owners, lengths, image_numbers=image_numbers)
    row = _Row.filled(inner, read, owners, completions, where)
    places_M, targets_M = _scored_places(where, lengths)
    images = {name: tensor.to(device, dtype if tensor.is_floating_point() else None) for name, tensor in joined_images(read).items()}
    return PackedBatch(
        inputs={
            "input_ids": row.token_ids_1T.to(device),
            "position_ids": row.positions.to(device),
            "shift_labels": row.labels_1T.to(device),
            # Four dimensions: transformers takes it as a finished mask and makes none. Ours does not look at it.
            "attention_mask": torch.zeros(1, 1, 1, 1, device=device),
            "use_cache": False,
            KEYWORD: layout.to(device),
            **images,
        },
        places_M=places_M.to(device),
        targets_M=targets_M.to(device),
        num_completions=len(completions),
        longest=max(lengths),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    token_ids_1T: torch.Tensor
    labels_1T: torch.Tensor
    positions: torch.Tensor
    """[1, T], or [3, 1, T] on a grid."""

    @classmethod
    def filled(
        cls,
        model: PreTrainedModel,
        prompts: Sequence[EncodedPrompt],
        owners: Sequence[int],
        completions: Sequence[Sequence[int]],
        where: Spans,
    ) -> _Row:
        of_prompts = [prompt_positions(model, prompt) for prompt in prompts]
        ids_T = torch.empty(where.num_tokens, dtype=torch.int64)
        labels_T = torch.full_like(ids_T, NO_LABEL)
        positions_RT = ids_T.new_empty(len(of_prompts[0]), where.num_tokens)
        for prompt, own_RP, start in zip(prompts, of_prompts, where.prompt_starts, strict=True):
            tokens = slice(start, start + len(prompt.token_ids) - 1)
            ids_T[tokens] = torch.tensor(prompt.token_ids[:-1])
            positions_RT[:, tokens] = own_RP[:, :-1]
        for owner, completion, start in zip(owners, completions, where.completion_starts, strict=True):
            tokens = slice(start, start + len(completion))
            ids_T[tokens] = torch.tensor([prompts[owner].token_ids[-1], *completion[:-1]])
            labels_T[tokens] = torch.tensor(completion)
            positions_RT[:, tokens] = completion_positions(of_prompts[owner], len(completion))
        return cls(ids_T[None], labels_T[None], positions_RT[:, None] if has_grid(model) else positions_RT)


def _scored_places(where: Spans, lengths: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(lengths)
    places = [torch.arange(start, start + length) for start, length in zip(where.completion_starts, lengths, strict=True)]
    targets = [torch.arange(row * longest, row * longest + length) for row, length in enumerate(lengths)]
    return torch.cat(places), torch.cat(targets)


def _image_numbers(prompt: EncodedPrompt) -> torch.Tensor:
    """Which image each token belongs to, last token left out: runs of image tokens, counted from 0; TEXT for text."""
    is_image_T = prompt.token_types["token_type_ids"][:-1] == 1
    opens_T = is_image_T & ~functional.pad(is_image_T, (1, 0))[:-1]
    return torch.where(is_image_T, opens_T.cumsum(0) - 1, TEXT)
