"""Prompts read once: one forward pass over several of them, images included, that leaves keys, values and what follows each.

Rows are left-padded; positions are given to the model, each prompt's own. Left to itself, a Qwen model would keep those of its last
prompt, which a later training step would meet.

Legend: B prompts, X rows of positions (3 on a grid, 1 else), T tokens, H width of the model, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import DynamicCache, PreTrainedModel

from vlmpost.models.prompts import EncodedPrompt, collate
from vlmpost.models.shared_prompt.positions import prompt_positions

MAX_TOKENS = 16384
"""Prompt tokens, padding included, that one forward pass reads; a longer prompt is read alone."""


@dataclass(frozen=True, slots=True)
class ReadPrompts:
    """Prompts that were read in one pass."""

    layers: Sequence[tuple[torch.Tensor, torch.Tensor]]
    """Keys and values [B, key-value heads, T, size of a head] of each layer; the first columns of shorter prompts are padding."""
    lengths: Sequence[int]
    """Tokens of each prompt."""
    logits_BV: torch.Tensor
    """Of the token that follows each prompt."""
    next_positions: Sequence[int]
    """Position of that token."""


def read(model: PreTrainedModel, prompts: Sequence[EncodedPrompt], *, pad_token_id: int) -> ReadPrompts:
    """Reads prompts in one forward pass.

    Args:
        model: Not wrapped, in eval mode, under no_grad.
        prompts: One batch from `batches`.
        pad_token_id: Fills the rows up.
    """
    inputs = collate(prompts, pad_token_id=pad_token_id).to(model.device, dtype=model.dtype)
    positions = [prompt_positions(model, prompt) for prompt in prompts]
    cache = DynamicCache()
    hidden_BTH = model.base_model(
        **inputs, position_ids=_padded(positions).to(model.device), past_key_values=cache, use_cache=True
    ).last_hidden_state
    return ReadPrompts(
        layers=[(layer.keys, layer.values) for layer in cache.layers],
        lengths=[len(prompt.token_ids) for prompt in prompts],
        logits_BV=model.get_output_embeddings()(hidden_BTH[:, -1]),
        next_positions=[int(positions_XT.max()) + 1 for positions_XT in positions],
    )


def batches(lengths: Sequence[int]) -> Iterator[slice]:
    """Yields which prompts are read together, so that a pass has at most `MAX_TOKENS` tokens.

    Args:
        lengths: Tokens of each prompt, descending.

    Example:
        >>> list(batches([9000, 8000, 8000, 100]))
        [slice(0, 1, None), slice(1, 3, None), slice(3, 4, None)]
    """
    start = 0
    for index, _ in enumerate(lengths):
        if index > start and lengths[start] * (index + 1 - start) > MAX_TOKENS:
            yield slice(start, index)
            start = index
    if lengths:
        yield slice(start, len(lengths))


def _padded(positions: Sequence[torch.Tensor]) -> torch.Tensor:
    """Positions [X, T] of each prompt as a model takes them, left-padded: [X, B, T] on a grid, [B, T] else."""
    longest = max(positions_XT.shape[1] for positions_XT in positions)
    padded_XBT = torch.stack([functional.pad(positions_XT, (longest - positions_XT.shape[1], 0)) for positions_XT in positions], dim=1)
    return padded_XBT if len(padded_XBT) > 1 else padded_XBT[0]
