"""Attention over a packed row: prompt tokens see their prompt, completion tokens their prompt and their own earlier tokens.

Ours stands in transformers' table of attention functions, under one name for each implementation that it takes the place of. With a
`Layout` in the call it splits queries, keys and values into the layout's blocks and runs torch's kernel on each; no mask of T x T is
ever made. Without one it does what the model did before, so that a model can be used in both ways inside one `sharing` block.

The layout comes as a keyword of the model's forward, which hands it down to each layer: gradient checkpointing runs layers a second
time, during backward, and needs it again.

Legend: T tokens of the row, S slots (see `layout`), B prompts or completions of a block, L their padded length, K keys, H heads,
J key heads, D size of a head.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from vlmpost.models.shared_prompt.layout import CompletionBlock, Layout, PromptBlock
from vlmpost.models.shared_prompt.masks import block_mask, is_plainly_causal, prompt_mask

PREFIX = "shared_prompt_over_"
ORIGINALS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3")
"""Implementations that a model may have had before; ours stands for each under a name of its own."""
KEYWORD = "shared_prompt"
"""Keyword argument of a model's forward that carries the layout."""

MAX_MASK_ENTRIES = 2**24
"""A mask has at most so many: queries are taken in parts where it would have more."""

Mask = Callable[[slice], torch.Tensor]
"""Says for some queries of a block what each sees, bool [B or 1, L, K]; keys that none of them sees may be left out at the end."""
AttentionOutput = tuple[torch.Tensor, torch.Tensor | None]


def name_over(original: str) -> str:
    """Returns the name under which ours stands in place of an implementation."""
    return PREFIX + original


def register() -> None:
    """Puts our attention into transformers' tables, over each implementation that it can stand for; may be called again."""
    for original in ORIGINALS:
        AttentionInterface.register(name_over(original), _attention_over(original))
        AttentionMaskInterface.register(name_over(original), ALL_MASK_ATTENTION_FUNCTIONS[original])


def _attention_over(original: str) -> Callable[..., AttentionOutput]:
    # Any: keyword arguments that transformers hands from a model's forward to its attention.
    def attend(
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **kwargs: Any,
    ) -> AttentionOutput:
        layout = kwargs.pop(KEYWORD, None)
        if layout is None:
            return _plain_attention(original, module, query, key, value, attention_mask, **kwargs)
        settings = {name: kwargs[name] for name in ("dropout", "scaling", "sliding_window") if name in kwargs}
        return packed_attention(query, key, value, layout, **settings), None

    return attend


def _plain_attention(original: str, module: nn.Module, *states: torch.Tensor | None, **kwargs: Any) -> AttentionOutput:
    """What the model does outside `sharing`. Flash attention reads its own name in the configuration, so the name is put back."""
    config: Any = module.config
    ours = config._attn_implementation
    default = sys.modules[type(module).__module__].eager_attention_forward
    config._attn_implementation = original
    try:
        return ALL_ATTENTION_FUNCTIONS.get_interface(original, default)(module, *states, **kwargs)
    finally:
        config._attn_implementation = ours


def packed_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
) -> torch.Tensor:
    """Returns the attention output of a packed row, [1, T, H, D].

    Args:
        query: [1, H, T, D], positions rotated in.
        key: [1, J, T, D] with H a multiple of J.
        value: [1, J, T, D].
        layout: Of this row, on its device.
        dropout: Probability.
        scaling: Factor of the scores; None for 1 / sqrt(D).
        sliding_window: A token sees so many tokens, itself included; None for all.
    """
    settings = _Settings(layout, dropout, scaling, sliding_window)
    queries, keys, values = (_block_parts(states, layout) for states in (query, key, value))
    num_prompt_blocks = len(layout.prompt_blocks)
    outputs = [
        _prompt_attention(index, block, queries[index], keys[index], values[index], settings)
        for index, block in enumerate(layout.prompt_blocks)
    ]
    for index, block in enumerate(layout.completion_blocks, start=num_prompt_blocks):
        all_keys = _with_prompts(block, keys[block.prompt_block], keys[index])
        all_values = _with_prompts(block, values[block.prompt_block], values[index])
        outputs.append(_completion_attention(index, block, queries[index], all_keys, all_values, settings))
    slots_SHD = torch.cat([output_BLHD.flatten(0, 1) for output_BLHD in outputs])
    return _Restored.apply(slots_SHD, layout.slots_S, layout.places_T, layout.fills_S).unsqueeze(0)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What all blocks of one call share."""

    layout: Layout
    dropout: float
    scaling: float | None
    window: int | None


def _block_parts(states_1HTD: torch.Tensor, layout: Layout) -> list[torch.Tensor]:
    """Queries, keys or values of each block, [B, L, H, D]."""
    slots_SHD = _Arranged.apply(states_1HTD[0].transpose(0, 1), layout.slots_S, layout.places_T)
    shapes = [(block.num_prompts, block.length) for block in layout.prompt_blocks]
    shapes += [(block.num_completions, block.length) for block in layout.completion_blocks]
    parts = slots_SHD.split([num_rows * length for num_rows, length in shapes])
    return [part.unflatten(0, shape) for part, shape in zip(parts, shapes, strict=True)]


def _with_prompts(block: CompletionBlock, prompts_BPJD: torch.Tensor, own_NCJD: torch.Tensor) -> torch.Tensor:
    """Keys or values of completions behind those of their prompts, [N, P + C, J, D]."""
    if block.per_prompt is None:
        return torch.cat([prompts_BPJD.index_select(0, block.owners_N), own_NCJD], dim=1)
    repeated = prompts_BPJD.unsqueeze(1).expand(-1, block.per_prompt, -1, -1, -1)
    return torch.cat([repeated, own_NCJD.unflatten(0, repeated.shape[:2])], dim=2).flatten(0, 1)


def _prompt_attention(
    index: int, block: PromptBlock, q_BLHD: torch.Tensor, k_BLJD: torch.Tensor, v_BLJD: torch.Tensor, settings: _Settings
) -> torch.Tensor:
    if not is_plainly_causal(block, settings.window):
        mask = functools.partial(prompt_mask, block, settings.window)
        return _masked_attention(index, q_BLHD, k_BLJD, v_BLJD, mask, settings)
    output_BHLD = functional.scaled_dot_product_attention(
        *(states.transpose(1, 2) for states in (q_BLHD, k_BLJD, v_BLJD)),
        dropout_p=settings.dropout,
        is_causal=True,
        scale=settings.scaling,
        enable_gqa=q_BLHD.shape[2] != k_BLJD.shape[2],
    )
    return output_BHLD.transpose(1, 2)


def _completion_attention(
    index: int, block: CompletionBlock, q_BLHD: torch.Tensor, k_BKJD: torch.Tensor, v_BKJD: torch.Tensor, settings: _Settings
) -> torch.Tensor:
    prompt_length = k_BKJD.shape[1] - block.length
    mask = functools.partial(block_mask, block, prompt_length, settings.window)
    return _masked_attention(index, q_BLHD, k_BKJD, v_BKJD, mask, settings)


def _masked_attention(
    index: int, q_BLHD: torch.Tensor, k_BKJD: torch.Tensor, v_BKJD: torch.Tensor, mask: Mask, settings: _Settings
) -> torch.Tensor:
    """Attention of a block under a mask: at once with a mask that serves all layers, or in parts that make theirs anew in backward."""
    name = (index, settings.window, q_BLHD.dtype)
    masks = settings.layout.masks
    num_queries, num_heads = q_BLHD.shape[1:3]
    if name not in masks:
        entries_per_query = mask(slice(num_queries - 1, num_queries)).numel() * num_heads // k_BKJD.shape[2]
        step = max(1, MAX_MASK_ENTRIES // entries_per_query)
        if step < num_queries:
            return _attention_in_parts(step, q_BLHD, k_BKJD, v_BKJD, mask, settings)
        masks[name] = _bias(mask, slice(0, num_queries), q_BLHD, k_BKJD)
    return _biased_attention(q_BLHD, k_BKJD, v_BKJD, masks[name], settings)


def _attention_in_parts(
    step: int, q_BLHD: torch.Tensor, k_BKJD: torch.Tensor, v_BKJD: torch.Tensor, mask: Mask, settings: _Settings
) -> torch.Tensor:
    def part(q_BLHD: torch.Tensor, k_BKJD: torch.Tensor, v_BKJD: torch.Tensor, queries: slice) -> torch.Tensor:
        bias = _bias(mask, queries, q_BLHD, k_BKJD)
        num_keys = bias.shape[-1]
        return _biased_attention(q_BLHD, k_BKJD[:, :num_keys], v_BKJD[:, :num_keys], bias, settings)

    run = functools.partial(checkpoint, part, use_reentrant=False, preserve_rng_state=settings.dropout > 0)
    starts = range(0, q_BLHD.shape[1], step)
    slices = [slice(start, min(start + step, q_BLHD.shape[1])) for start in starts]
    return torch.cat([run(q_BLHD[:, queries], k_BKJD, v_BKJD, queries) for queries in slices], dim=1)


def _bias(mask: Mask, queries: slice, q_BLHD: torch.Tensor, k_BKJD: torch.Tensor) -> torch.Tensor:
    """A mask as a term of the scores, [B or 1, 1, heads per key head * L, K]."""
    heads_per_key = q_BLHD.shape[2] // k_BKJD.shape[2]
    bias_BLK = torch.zeros((), dtype=q_BLHD.dtype, device=q_BLHD.device).where(mask(queries), -torch.inf)
    return bias_BLK.repeat(1, heads_per_key, 1).unsqueeze(1)


def _biased_attention(
    q_BLHD: torch.Tensor, k_BKJD: torch.Tensor, v_BKJD: torch.Tensor, bias: torch.Tensor, settings: _Settings
) -> torch.Tensor:
    """Attention [B, L, H, D]; heads that share a key head stand as further queries, so that keys are not copied for each of them."""
    heads_per_key = q_BLHD.shape[2] // k_BKJD.shape[2]
    q_BJLD = q_BLHD.unflatten(2, (-1, heads_per_key)).permute(0, 2, 3, 1, 4).flatten(2, 3)
    output_BJLD = functional.scaled_dot_product_attention(
        q_BJLD,
        k_BKJD.transpose(1, 2),
        v_BKJD.transpose(1, 2),
        attn_mask=bias,
        dropout_p=settings.dropout,
        scale=settings.scaling,
    )
    return output_BJLD.unflatten(2, (heads_per_key, -1)).permute(0, 3, 1, 2, 4).flatten(2, 3)


class _Arranged(torch.autograd.Function):
    """Tokens into slots. Every token has one slot, so that the gradient is a plain selection too, and no slow sum."""

    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, slots_S: torch.Tensor, places_T: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(places_T)
        return tokens.index_select(0, slots_S)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (places_T,) = ctx.saved_tensors
        return gradients[0].index_select(0, places_T), None, None


class _Restored(torch.autograd.Function):
    """Slots back into tokens; what came out of slots that only fill up is left behind, and gets no gradient."""

    @staticmethod
    def forward(ctx: Any, slots: torch.Tensor, slots_S: torch.Tensor, places_T: torch.Tensor, fills_S: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(slots_S, fills_S)
        return slots.index_select(0, places_T)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        slots_S, fills_S = ctx.saved_tensors
        gradient = gradients[0].index_select(0, slots_S)
        if fills_S is not None:
            gradient.masked_fill_(fills_S[:, None, None], 0)
        return gradient, None, None, None
