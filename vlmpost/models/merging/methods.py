r"""The formulas of merging, as pure functions of one tensor from each model; knows no files and no architectures.

With $\theta_0$ the base, $\theta_i$ the models, $w_i$ their weights, $\delta_i = \theta_i - \theta_0$ and $\lambda$ a scale:

    linear           sum_i w_i theta_i / sum_i w_i
    slerp            the arc from theta_1 to theta_2 at t = w_2 / (w_1 + w_2)
    task_arithmetic  theta_0 + lambda sum_i w_i delta_i                                                arXiv 2212.04089
    slerp_task       theta_0 + lambda slerp(delta_1, delta_2)
    ties             theta_0 + lambda consensus_i(w_i trim(delta_i))                                    arXiv 2306.01708
    dare_linear      theta_0 + lambda sum_i w_i drop(delta_i)                                           arXiv 2311.03099
    dare_ties        theta_0 + lambda consensus_i(w_i drop(delta_i))                                    arXiv 2311.03099
    della            theta_0 + lambda consensus_i(w_i magnitude_drop(delta_i))                          arXiv 2406.11617

`trim` keeps the share `density` of entries of largest magnitude. `drop` keeps each entry with probability `density` and divides it by
that. `magnitude_drop` ranks the entries of a row by magnitude and keeps them with probabilities that rise evenly with the rank from
density - epsilon / 2 to density + epsilon / 2, each divided by its own. `consensus` elects for each entry the sign of the weighted sum
and averages, by weight, the entries that have it.

Departures from the papers:
1. Trimming and ranking look at one tensor at a time, not at all parameters together, so that a merge needs memory for one tensor.
   mergekit and PEFT do so too. At least one entry of a tensor is kept.
2. Models have weights in TIES, DARE and DELLA; equal weights are the papers' formulas, up to the scale of dare_linear. mergekit has
   weights too; it leaves out the division of `consensus` for dare_ties, and scales what is left after dropping to the norm it had.
3. Where the weighted sum is 0 the elected sign is plus; the authors of TIES take the sign most entries of the whole model have.
4. The rank of DELLA is divided by one less than the length of the row, so that the mean probability is `density` itself.
5. SLERP takes a tensor as one vector. The angle is between the vectors, what is mixed is not normalised (as in mergekit). Vectors of
   almost the same or opposite direction, |cos| > 0.9995, and zero vectors are mixed linearly: the arc is not defined there, or is
   the line.

A model of weight 0 takes no part, and a merge that leaves one model or the base alone is that tensor itself, bit for bit (`only_one`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

PARALLEL_COSINE: Final = 0.9995
"""Cosine above which SLERP is linear; mergekit's value."""
BLOCK_SIZE: Final = 2**24
"""Entries that sums in float64 and rankings take at a time, so that they need little memory."""


@dataclass(frozen=True)
class Method:
    """What a method needs and does."""

    name: str
    on_task_vectors: bool = False
    """Whether it works on differences from a base."""
    sparsify: str = ""
    """What is dropped from a task vector: "trim", "drop", "magnitude_drop", or nothing."""
    elects_signs: bool = False
    on_arc: bool = False
    """Whether it goes along the arc between exactly two."""


METHODS: Final = {
    method.name: method
    for method in (
        Method("dare_linear", on_task_vectors=True, sparsify="drop"),
        Method("dare_ties", on_task_vectors=True, sparsify="drop", elects_signs=True),
        Method("della", on_task_vectors=True, sparsify="magnitude_drop", elects_signs=True),
        Method("linear"),
        Method("slerp", on_arc=True),
        Method("slerp_task", on_task_vectors=True, on_arc=True),
        Method("task_arithmetic", on_task_vectors=True),
        Method("ties", on_task_vectors=True, sparsify="trim", elects_signs=True),
    )
}


@dataclass(frozen=True)
class Formula:
    """A method with its numbers, checked by `vlmpost.models.merge`."""

    method: Method
    weights: tuple[float, ...]
    """One per model."""
    density: float = 1.0
    """Share of a task vector that is kept, above 0 and at most 1; 1 keeps all of it."""
    epsilon: float = 0.1
    """DELLA: width of the band of keep-probabilities around `density`."""
    lam: float = 1.0
    """Scale of the merged task vector."""
    seed: int = 0

    def only_one(self) -> int | None:
        """Index of the model that the merge is bit for bit; -1 for the base; None where there is something to compute.

        >>> Formula(METHODS["linear"], weights=(0.0, 3.0)).only_one()
        1
        >>> Formula(METHODS["ties"], weights=(0.0, 0.0)).only_one()
        -1
        """
        parts = [index for index, weight in enumerate(self.weights) if weight != 0]
        if self.method.on_task_vectors and (not parts or self.lam == 0):
            return -1
        if len(parts) != 1:
            return None
        if not self.method.on_task_vectors:
            return parts[0]
        divides = self.method.elects_signs or self.method.on_arc
        scale = self.lam * (1 if divides else self.weights[parts[0]])
        return parts[0] if scale == 1 and self.density == 1 else None


def merged(formula: Formula, tensors: Sequence[torch.Tensor], base: torch.Tensor | None, *, name: str) -> torch.Tensor:
    """Returns the merged tensor, float32, of the shape that all of them have.

    Args:
        formula: Method and numbers.
        tensors: One from each model, of any floating type.
        base: The base's, for methods on task vectors.
        name: Its name, which with the seed decides what is dropped at random.

    >>> merged(Formula(METHODS["linear"], weights=(1.0, 3.0)), [torch.tensor([0.0]), torch.tensor([4.0])], None, name="w").tolist()
    [3.0]
    """
    chosen = [(index, weight, tensor) for index, (weight, tensor) in enumerate(zip(formula.weights, tensors, strict=True)) if weight != 0]
    if not formula.method.on_task_vectors:
        return _mixed(formula, [tensor for _, _, tensor in chosen], [weight for _, weight, _ in chosen], divide=True)
    assert base is not None, formula.method.name
    deltas = [_sparse(formula, _difference(tensor, base), index=index, name=name) for index, _, tensor in chosen]
    delta = _mixed(formula, deltas, [weight for _, weight, _ in chosen], divide=formula.method.on_arc)
    return delta.mul_(formula.lam).add_(base)


def slerp(first: torch.Tensor, second: torch.Tensor, *, share: float) -> torch.Tensor:
    """Returns the point at `share` (0 to 1) of the arc from `first` to `second`, float32; on the line where there is no arc.

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), share=0.5).tolist()
    [0.7071067690849304, 0.7071067690849304]
    """
    lengths = math.sqrt(_dot(first, first)) * math.sqrt(_dot(second, second))
    cosine = _dot(first, second) / lengths if lengths > 0 else 1.0
    if abs(cosine) > PARALLEL_COSINE:
        return weighted_sum([first, second], [1 - share, share])
    angle = math.acos(cosine)
    parts = [math.sin((1 - share) * angle) / math.sin(angle), math.sin(share * angle) / math.sin(angle)]
    return weighted_sum([first, second], parts)


def weighted_sum(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Returns the sum of the tensors times their weights, float32."""
    total = tensors[0].float() * weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total.add_(tensor, alpha=weight)
    return total


def consensus(deltas: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Returns the mean by weight of those entries that have the sign of their weighted sum; 0 where there are none.

    Args:
        deltas: Float32, of one shape.
        weights: Above 0, one for each.

    >>> consensus([torch.tensor([3.0, 1.0, 0.0]), torch.tensor([1.0, -2.0, 4.0])], [0.5, 0.5]).tolist()
    [2.0, -2.0, 4.0]
    """
    is_plus = weighted_sum(deltas, weights) >= 0
    total, divisor = torch.zeros_like(deltas[0]), torch.zeros_like(deltas[0])
    for delta, weight in zip(deltas, weights, strict=True):
        agrees = torch.where(is_plus, delta > 0, delta < 0)
        total.add_(delta * agrees, alpha=weight)
        divisor.add_(agrees, alpha=weight)
    return total.div_(divisor.masked_fill_(divisor == 0, 1.0))


def trim(delta: torch.Tensor, *, density: float) -> torch.Tensor:
    """Returns the delta with the share `density` of entries of largest magnitude kept and the rest 0; of equal ones the first are kept.

    >>> trim(torch.tensor([1.0, -4.0, 2.0, 2.0]), density=0.5).tolist()
    [0.0, -4.0, 2.0, 0.0]
    """
    num_kept = max(1, int(density * delta.numel()))
    if density == 1 or delta.numel() == 0:
        return delta
    magnitudes = delta.abs().flatten()
    place = delta.numel() - num_kept
    limit = float(np.partition(magnitudes.numpy(), place)[place])  # torch's kthvalue also makes int64 indices, and is slower
    kept = magnitudes > limit
    if limit > 0:
        kept[(magnitudes == limit).nonzero().flatten()[: num_kept - int(kept.sum())]] = True
    return delta * kept.view_as(delta)


def drop(delta: torch.Tensor, *, density: float, generator: torch.Generator) -> torch.Tensor:
    """Returns the delta with each entry kept with probability `density` and divided by it, the rest 0."""
    if density == 1:
        return delta
    kept = torch.rand(delta.shape, generator=generator) < density
    return (delta * kept).div_(density)


def magnitude_drop(delta: torch.Tensor, *, density: float, epsilon: float, generator: torch.Generator) -> torch.Tensor:
    """Returns the delta with each entry kept with a probability that rises with its rank in its row, and divided by it; the rest 0.

    A row is what belongs to one output, `delta[i]`; a vector is one row. Equal magnitudes rank in their order.
    """
    if density == 1 or delta.numel() == 0:
        return delta
    rows = delta.reshape(1 if delta.dim() < 2 else delta.shape[0], -1)
    blocks = rows.split(max(1, BLOCK_SIZE // rows.shape[1]))
    return torch.cat([_dropped_by_rank(block, density, epsilon, generator) for block in blocks]).view_as(delta)


def generator_of(name: str, *, index: int, seed: int) -> torch.Generator:
    """Returns the stream of random numbers for one tensor of one model: the same wherever and whenever the tensor is merged."""
    digest = hashlib.sha256(f"{seed}\0{index}\0{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def _mixed(formula: Formula, vectors: Sequence[torch.Tensor], weights: Sequence[float], *, divide: bool) -> torch.Tensor:
    """The vectors put together as the method does; `divide` by the sum of the weights where signs are not elected."""
    if formula.method.elects_signs:
        return consensus(vectors, weights)
    if formula.method.on_arc and len(vectors) == 2:
        return slerp(vectors[0], vectors[1], share=weights[1] / (weights[0] + weights[1]))
    total = math.fsum(weights) if divide else 1.0
    return weighted_sum(vectors, [weight / total for weight in weights])


def _difference(tensor: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    return tensor.float() - base.float()


def _sparse(formula: Formula, delta: torch.Tensor, *, index: int, name: str) -> torch.Tensor:
    if not formula.method.sparsify:
        return delta
    generator = generator_of(name, index=index, seed=formula.seed)
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "trim": lambda: trim(delta, density=formula.density),
        "drop": lambda: drop(delta, density=formula.density, generator=generator),
        "magnitude_drop": lambda: magnitude_drop(delta, density=formula.density, epsilon=formula.epsilon, generator=generator),
    }
    return ways[formula.method.sparsify]()


def _dropped_by_rank(rows: torch.Tensor, density: float, epsilon: float, generator: torch.Generator) -> torch.Tensor:
    ranks = rows.abs().argsort(dim=1, stable=True).argsort(dim=1).float()
    last = rows.shape[1] - 1
    keep_probs = density - epsilon / 2 + epsilon * ranks / last if last else torch.full_like(rows, density)
    kept = torch.rand(rows.shape, generator=generator) < keep_probs
    return torch.where(kept, rows / keep_probs, 0.0)


def _dot(first: torch.Tensor, second: torch.Tensor) -> float:
    """In float64 and in blocks: in float32 the sum over a large tensor depends on its order."""
    pairs = zip(first.flatten().split(BLOCK_SIZE), second.flatten().split(BLOCK_SIZE), strict=True)
    return math.fsum(float(torch.dot(one.double(), other.double())) for one, other in pairs)
