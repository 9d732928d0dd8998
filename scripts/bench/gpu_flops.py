"""Floating-point operations that a step of a Qwen2.5-VL shape needs, and the matrix ceiling of the device that they are held against.

A multiplication and an addition are two operations. Per token a weight that is multiplied costs 2 forward and 4 backward: 6 N D. To that
come attention, 4 x heads x head size for each pair of a token and one that it sees, and the vision tower with its own weights and pairs.
What a side computes more than it must (activations recomputed under gradient checkpointing, padding) is not counted; what the shared
prompt saves is not counted either: its side's FLOPs are those of each prompt once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from gpu_shapes import Shape

PATCHES_PER_TOKEN = 4
PATCH_VALUES = 3 * 2 * 14 * 14
"""Numbers in one patch: three colours, two frames, 14 x 14 pixels."""
WINDOW_PATCHES = 64
BACKWARD = 2
"""A backward pass costs two forward ones, where weights train."""


@dataclass(frozen=True)
class Group:
    """A prompt and the sequences that follow it."""

    num_image_tokens: int
    num_text_tokens: int
    """Of the prompt."""
    num_completions: int
    num_completion_tokens: int
    """Of each."""

    @property
    def num_prompt_tokens(self) -> int:
        """Image and text."""
        return self.num_image_tokens + self.num_text_tokens

    @property
    def num_tokens(self) -> int:
        """Of all sequences, each with its whole prompt."""
        return self.num_completions * (self.num_prompt_tokens + self.num_completion_tokens)


def layer_weights(shape: Shape) -> int:
    """Weights that a token meets in the decoder's layers: attention's four matrices and the three of the feed-forward part.

    >>> from gpu_shapes import SHAPES
    >>> layer_weights(SHAPES["7b"])  # 28 x (3584 x (3584 + 2 x 512 + 3584) + 3 x 3584 x 18944)
    6525288448
    """
    width = shape.heads * shape.head_size
    attention = shape.hidden * (2 * width + 2 * shape.kv_heads * shape.head_size)
    return shape.layers * (attention + 3 * shape.hidden * shape.intermediate)


def decoder_flops(shape: Shape, group: Group, *, shared: bool) -> float:
    """A forward pass of the decoder over a group, the prompt read once or with each completion; logits of the completions alone."""
    prompt, completion, num = group.num_prompt_tokens, group.num_completion_tokens, group.num_completions
    times = 1 if shared else num
    tokens = times * prompt + num * completion
    pairs = times * prompt**2 / 2 + num * (completion * prompt + completion**2 / 2)
    head = 2 * shape.vocabulary * shape.hidden * num * completion
    return 2 * layer_weights(shape) * tokens + head + 4 * shape.layers * shape.heads * shape.head_size * pairs


def vision_flops(shape: Shape, num_image_tokens: int) -> float:
    """A forward pass of the vision tower and its projector over one image."""
    patches = PATCHES_PER_TOKEN * num_image_tokens
    hidden, merged = shape.vision_hidden, PATCHES_PER_TOKEN * shape.vision_hidden
    weights = PATCH_VALUES * hidden + shape.vision_layers * (4 * hidden**2 + 3 * hidden * shape.vision_intermediate)
    projector = merged**2 + merged * shape.hidden
    num_full = len(shape.full_attention_layers)
    seen = num_full * patches + (shape.vision_layers - num_full) * min(WINDOW_PATCHES, patches)
    return 2 * weights * patches + 2 * projector * num_image_tokens + 4 * hidden * patches * seen


def update_flops(shape: Shape, group: Group, *, shared: bool, train_vision: bool) -> float:
    """Forward and backward pass over a group."""
    passes = 1 if shared else group.num_completions
    vision = passes * vision_flops(shape, group.num_image_tokens) * (1 + BACKWARD * train_vision)
    return decoder_flops(shape, group, shared=shared) * (1 + BACKWARD) + vision


def matrix_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """The most operations per second that a large matrix product reaches here, of several sizes."""
    sizes = (4096, 8192, 16384) if device.type == "cuda" else (512, 1024)
    return max(_product_rate(size, device, dtype) for size in sizes)


def _product_rate(size: int, device: torch.device, dtype: torch.dtype, *, num_products: int = 20, num_warmup: int = 5) -> float:
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    seconds = 0.0
    for count in (num_warmup, num_products):
        _wait(device)
        start = time.perf_counter()
        for _ in range(count):
            torch.mm(left, right, out=out)
        _wait(device)
        seconds = time.perf_counter() - start
    return num_products * 2 * size**3 / seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
