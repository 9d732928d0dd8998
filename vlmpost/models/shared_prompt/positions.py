"""Rotary positions of prompts and completions in a packed row, equal to those of a plain forward pass over one prompt and answer.

Families that place image tokens on a grid (Qwen: time, height, width) say so by their own `get_rope_index`, which is asked for one
prompt at a time; all others count tokens. An answer is text: its tokens are counted on from the largest position of the prompt.

Legend: R rows of positions (3 on a grid, 1 else), T tokens.
"""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from vlmpost.models.prompts import EncodedPrompt

IMAGE_GRID = "image_grid_thw"
TOKEN_TYPES = "mm_token_type_ids"


def has_grid(model: PreTrainedModel) -> bool:
    """Whether the model places image tokens on a grid."""
    return hasattr(model.base_model, "get_rope_index")


def prompt_positions(model: PreTrainedModel, prompt: EncodedPrompt) -> torch.Tensor:
    """Returns the positions of a prompt's tokens, int64 [R, T] on the CPU."""
    num_tokens = len(prompt.token_ids)
    if not has_grid(model):
        return torch.arange(num_tokens)[None]
    if not prompt.images:
        return torch.arange(num_tokens).expand(3, -1)
    positions_31T, _ = model.base_model.get_rope_index(
        torch.tensor([prompt.token_ids]), prompt.token_types[TOKEN_TYPES][None], image_grid_thw=prompt.images[IMAGE_GRID]
    )
    return positions_31T[:, 0]


def completion_positions(prompt_RT: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """Returns the positions of the last prompt token and the tokens after it, int64 [R, num_tokens].

    Example:
        >>> completion_positions(torch.tensor([[0, 1, 1, 2], [0, 1, 2, 3]]), 3)
        tensor([[3, 4, 5],
                [3, 4, 5]])
    """
    return (prompt_RT[:, -1:].amax() + torch.arange(num_tokens)).expand(len(prompt_RT), -1)
