"""Which tokens a block's queries may see, where a causal kernel does not say it: padded prompts, sliding windows, images.

Pure functions of a block; True means that the query sees the key. Every query sees at least itself, so that no softmax is empty.

Legend: B prompts or completions of a block, L queries, P padded length of its prompts, C of its completions, K keys.
"""

from __future__ import annotations

import torch

from vlmpost.models.shared_prompt.layout import TEXT, CompletionBlock, PromptBlock


def is_plainly_causal(block: PromptBlock, window: int | None) -> bool:
    """Whether a prompt block needs no mask beside the causal one: what fills prompts up stands behind all real tokens."""
    return block.image_numbers_BP is None and (window is None or window >= block.length)


def prompt_mask(block: PromptBlock, window: int | None, queries: slice) -> torch.Tensor:
    """Returns what queries of a prompt block see, bool [B or 1, L, P].

    Args:
        block: The prompts.
        window: A token sees so many tokens, itself included; None for all.
        queries: Places in the prompts, as a part of `range(P)`.

    Source: transformers 5.23, `gemma3.create_masks_for_vision_model`: AND(window, OR(causal, same image)); the window is
    `kv_idx > q_idx - window`, so an image sees all of itself ahead.
    """
    places_P = torch.arange(block.length, device=block.lengths_B.device)
    ahead_LP = places_P - places_P[queries, None]
    seen_BLP = (ahead_LP <= 0)[None]
    if block.image_numbers_BP is not None:
        numbers_BP = block.image_numbers_BP
        same_BLP = numbers_BP[:, queries, None] == numbers_BP[:, None, :]
        seen_BLP = seen_BLP | (same_BLP & (numbers_BP != TEXT)[:, None, :])
    return seen_BLP if window is None else seen_BLP & (ahead_LP > -window)


def block_mask(block: CompletionBlock, prompt_length: int, window: int | None, queries: slice) -> torch.Tensor:
    """Returns what queries of a completion block see of prompt and own tokens, bool [B or 1, L, P + last query].

    Args:
        block: The completions.
        prompt_length: P.
        window: As for `prompt_mask`.
        queries: Places in the completions, as a part of `range(C)`.
    """
    device = block.owners_N.device
    prompt_P = torch.arange(prompt_length, device=device)
    own_K = torch.arange(queries.stop, device=device)
    step_L1 = own_K[queries, None]
    lengths_B1 = torch.tensor([[prompt_length]], device=device) if block.has_equal_prompts else block.prompt_lengths_N1
    prompt_seen_BLP = (prompt_P < lengths_B1)[:, None, :].expand(-1, len(step_L1), -1)
    own_seen_LK = own_K <= step_L1
    if window is not None:
        prompt_seen_BLP = prompt_seen_BLP & (lengths_B1[:, :, None] + step_L1 - prompt_P < window)
        own_seen_LK = own_seen_LK & (step_L1 - own_K < window)
    return torch.cat([prompt_seen_BLP, own_seen_LK.expand(len(lengths_B1), -1, -1)], dim=-1)
