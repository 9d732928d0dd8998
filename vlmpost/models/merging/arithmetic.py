"""The arithmetic of merging on one block: a stretch of one tensor, flat and float32. Knows no files and no whole tensors.

What needs a whole tensor first, the cut of `trim` and the angle of an arc, comes in as numbers (`blocks`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

PARALLEL_COSINE: Final = 0.9995
"""Cosine above which SLERP is linear; mergekit's value."""


@dataclass(frozen=True)
class Cut:
    """Which entries of a task vector stay: those above a magnitude, and the first of those that have it."""

    magnitude: float
    num_equal: int


def weighted_sum(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Returns the sum of the tensors times their weights, float32.

    >>> weighted_sum([torch.tensor([1.0]), torch.tensor([2.0])], [3.0, 0.5]).tolist()
    [4.0]
    """
    total = tensors[0] * weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total.add_(tensor, alpha=weight)
    return total


def consensus(deltas: Sequence[torch.Tensor], weights: Sequence[float], *, normalize: bool) -> torch.Tensor:
    """Returns the sum by weight of those entries that have the sign of the weighted sum; 0 where there are none.

    Args:
        deltas: Float32, of one shape.
        weights: Above 0, one for each.
        normalize: Divide by the sum of the weights of those entries.

    >>> consensus([torch.tensor([3.0, 1.0, 0.0]), torch.tensor([1.0, -2.0, 4.0])], [0.5, 0.5], normalize=True).tolist()
    [2.0, -2.0, 4.0]
    """
    is_plus = weighted_sum(deltas, weights) >= 0
    total, divisor = torch.zeros_like(deltas[0]), torch.zeros_like(deltas[0])
    for delta, weight in zip(deltas, weights, strict=True):
        agrees = (delta > 0).eq_(is_plus).logical_and_(delta != 0).float()
        total.addcmul_(delta, agrees, value=weight)
        divisor.add_(agrees, alpha=weight)
    return total.div_(divisor.masked_fill_(divisor == 0, 1.0)) if normalize else total


def trim(delta: torch.Tensor, cut: Cut) -> tuple[torch.Tensor, Cut]:
    """Returns the delta with entries below the cut set to 0, and the cut for the next block of the same tensor.

    >>> trim(torch.tensor([2.0, -4.0, 2.0, 1.0]), Cut(2.0, num_equal=1))[0].tolist()
    [2.0, -4.0, 0.0, 0.0]
    """
    magnitudes = delta.abs()
    kept = magnitudes > cut.magnitude
    equal = (magnitudes == cut.magnitude).nonzero().flatten()[: cut.num_equal]
    kept[equal] = True
    return delta * kept, Cut(cut.magnitude, cut.num_equal - len(equal))


def drop(delta: torch.Tensor, *, density: float, generator: torch.Generator) -> torch.Tensor:
    """Returns the delta with each entry kept with probability `density` and divided by it, the rest 0."""
    kept = torch.rand(delta.shape, generator=generator) < density
    return (delta * kept).div_(density)


def magnitude_drop(delta: torch.Tensor, *, row: int, density: float, epsilon: float, generator: torch.Generator) -> torch.Tensor:
    """Returns the delta with each entry kept with a probability that rises with its rank in its row, and divided by it; the rest 0.

    Args:
        delta: Whole rows, flat.
        row: Length of a row: what belongs to one output; a vector is one row. Equal magnitudes rank in their order.
        density: Mean probability.
        epsilon: How much higher the largest entry's probability is than the smallest's.
        generator: What is dropped.
    """
    rows = delta.view(-1, row)
    ranks = rows.abs().argsort(dim=1, stable=True).argsort(dim=1).float()
    keep_probs = density - epsilon / 2 + epsilon * ranks / (row - 1) if row > 1 else torch.full_like(rows, density)
    kept = torch.rand(rows.shape, generator=generator) < keep_probs
    return torch.where(kept, rows / keep_probs, 0.0).flatten()


def arc_weights(squares: tuple[float, float], product: float, *, share: float) -> list[float]:
    """Returns what two vectors are multiplied by at `share` (0 to 1) of the arc between them; of the line where there is no arc.

    Args:
        squares: Each vector times itself.
        product: One times the other.
        share: 0 is the first vector, 1 the second.

    >>> [round(weight, 4) for weight in arc_weights((1.0, 1.0), 0.0, share=0.5)]
    [0.7071, 0.7071]
    """
    lengths = math.sqrt(squares[0]) * math.sqrt(squares[1])
    cosine = product / lengths if lengths > 0 else 1.0
    if abs(cosine) > PARALLEL_COSINE:
        return [1 - share, share]
    angle = math.acos(cosine)
    return [math.sin((1 - share) * angle) / math.sin(angle), math.sin(share * angle) / math.sin(angle)]


def generator_of(name: str, *, index: int, seed: int) -> torch.Generator:
    """Returns the stream of random numbers for one tensor of one model: the same wherever and whenever the tensor is merged."""
    digest = hashlib.sha256(f"{seed}\0{index}\0{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
