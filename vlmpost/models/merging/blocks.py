"""Merging one tensor block by block, so that memory does not grow with the tensor.

Methods that need to know something of the whole tensor read it once or twice more: SLERP its angle, TIES the magnitude of the k-th
largest entry. That is found exactly without sorting: a float32 that is not negative orders as its bits do, so counting the upper half of
the bits, and then the lower half of those at the k-th place, gives all 31 of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import torch

from vlmpost.models.merging.arithmetic import Cut, arc_weights, consensus, drop, generator_of, magnitude_drop, trim, weighted_sum
from vlmpost.models.merging.methods import Formula

BLOCK_SIZE: Final = 2**19
"""Entries of a block: 2 MiB in float32, which stays in a core's cache."""
HALF: Final = 16
"""Bits of a float32 that the second count looks at; the first looks at the 15 above them that are not the sign."""

Read = Callable[[int, int], torch.Tensor]
"""Entries from start to stop of one tensor, flat, float32, in memory of their own."""
Step = Callable[[torch.Tensor], torch.Tensor]
Mix = Callable[[list[torch.Tensor]], torch.Tensor]


def ranges(num_entries: int, *, row: int) -> Iterator[tuple[int, int]]:
    """Yields start and stop of the blocks of a tensor, each of whole rows; a longer row is a block of its own.

    >>> list(ranges(10, row=2**18))
    [(0, 10)]
    """
    size = max(1, BLOCK_SIZE // row) * row
    for start in range(0, num_entries, size):
        yield start, min(start + size, num_entries)


def merged(formula: Formula, models: Sequence[Read], base: Read | None, *, shape: Sequence[int], name: str) -> Iterator[torch.Tensor]:
    """Yields the merged tensor in blocks, flat, float32.

    Args:
        formula: Method and numbers.
        models: Reads the tensor of each model.
        base: The base's, for methods on task vectors.
        shape: Of the tensor, the same in all.
        name: Its name, which with the seed decides what is dropped at random.

    >>> from vlmpost.models.merging.methods import METHODS
    >>> models = [lambda start, stop, value=value: torch.full((stop - start,), value) for value in (0.0, 4.0)]
    >>> formula = Formula(METHODS["linear"], weights=(1.0, 3.0), normalize=True)
    >>> [block.tolist() for block in merged(formula, models, None, shape=(1, 2), name="w")]
    [[3.0, 3.0]]
    """
    chosen = [index for index, weight in enumerate(formula.weights) if weight != 0]
    weights = [formula.weights[index] for index in chosen]
    reads = [models[index] for index in chosen]
    num_entries = math.prod(shape)
    row = num_entries // shape[0] if len(shape) > 1 and num_entries else max(num_entries, 1)
    row = row if formula.method.sparsify == "magnitude_drop" else 1
    if not formula.method.on_task_vectors:
        mix = _mixer(formula, reads, weights, num_entries)
        yield from (mix([read(*block) for read in reads]) for block in ranges(num_entries, row=row))
        return
    assert base is not None, formula.method.name
    deltas = [_difference(read, base) for read in reads]
    sparse = [_sparsifier(formula, read, index, num_entries, row, name) for index, read in zip(chosen, deltas, strict=True)]
    mix = _mixer(formula, deltas, weights, num_entries)
    yield from (_added(formula, base(*block), reads, sparse, mix, block) for block in ranges(num_entries, row=row))


def cut_of(read: Read, *, num_entries: int, density: float) -> Cut:
    """Returns the cut that keeps the share `density` of a tensor's entries of largest magnitude, at least one.

    >>> cut_of(lambda start, stop: torch.tensor([1.0, -4.0, 2.0, 2.0])[start:stop], num_entries=4, density=0.5)
    Cut(magnitude=2.0, num_equal=1)
    """
    left = max(1, int(density * num_entries))
    upper, left = _place(_counts(read, num_entries, above=None), left)
    lower, left = _place(_counts(read, num_entries, above=upper), left)
    return Cut(float(torch.tensor((upper << HALF) + lower, dtype=torch.int32).view(torch.float32)), left)


def _counts(read: Read, num_entries: int, *, above: int | None) -> torch.Tensor:
    """How many entries have each upper half of bits; with `above`, each lower half among those with that upper half."""
    counts = torch.zeros(1 << HALF, dtype=torch.int64)
    for block in ranges(num_entries, row=1):
        bits = read(*block).abs().view(torch.int32)
        upper = bits >> HALF
        halves = upper if above is None else bits[upper == above].bitwise_and_((1 << HALF) - 1)
        counts += torch.bincount(halves, minlength=1 << HALF)
    return counts


def _place(counts: torch.Tensor, num_largest: int) -> tuple[int, int]:
    """The bin in which the `num_largest`-th entry from the top lies, and its number among those in the bin, 1 the first."""
    from_top = counts.flip(0).cumsum(0)
    place = int(torch.searchsorted(from_top, num_largest))
    before = int(from_top[place - 1]) if place else 0
    return len(counts) - 1 - place, num_largest - before


def _added(
    formula: Formula, base: torch.Tensor, reads: Sequence[Read], sparse: Sequence[Step], mix: Mix, block: tuple[int, int]
) -> torch.Tensor:
    """One block of the base with the merged task vector added."""
    deltas = [keep(read(*block).sub_(base)) for keep, read in zip(sparse, reads, strict=True)]
    return mix(deltas).mul_(formula.lam).add_(base)


def _difference(read: Read, base: Read) -> Read:
    return lambda start, stop: read(start, stop).sub_(base(start, stop))


def _sparsifier(formula: Formula, delta: Read, index: int, num_entries: int, row: int, name: str) -> Step:
    """What drops entries of one model's task vector, called once for each block in order."""
    if not formula.method.sparsify or formula.density == 1 or num_entries == 0:
        return lambda block: block
    if formula.method.sparsify == "trim":
        return _trimmer(cut_of(delta, num_entries=num_entries, density=formula.density))
    generator = generator_of(name, index=index, seed=formula.seed)
    if formula.method.sparsify == "drop":
        return lambda block: drop(block, density=formula.density, generator=generator)
    return lambda block: magnitude_drop(block, row=row, density=formula.density, epsilon=formula.epsilon, generator=generator)


def _trimmer(cut: Cut) -> Step:
    def keep(block: torch.Tensor) -> torch.Tensor:
        nonlocal cut
        kept, cut = trim(block, cut)
        return kept

    return keep


def _mixer(formula: Formula, vectors: Sequence[Read], weights: Sequence[float], num_entries: int) -> Mix:
    """What puts the blocks of all models together."""
    if formula.method.elects_signs:
        return lambda blocks: consensus(blocks, weights, normalize=formula.normalize)
    factors = _factors(formula, vectors, weights, num_entries)
    return lambda blocks: weighted_sum(blocks, factors)


def _factors(formula: Formula, vectors: Sequence[Read], weights: Sequence[float], num_entries: int) -> list[float]:
    total = math.fsum(weights) if formula.normalize or formula.method.on_arc else 1.0
    if formula.method.on_arc and len(vectors) == 2:
        return arc_weights(*_products(vectors[0], vectors[1], num_entries), share=weights[1] / total)
    return [weight / total for weight in weights]


def _products(first: Read, second: Read, num_entries: int) -> tuple[tuple[float, float], float]:
    """Both vectors times themselves and times each other; the blocks' sums add up exactly, so that a tensor's size costs no digits."""
    sums = [_block_products(first(*block), second(*block)) for block in ranges(num_entries, row=1)]
    squares, others, products = (math.fsum(column) for column in zip(*sums, strict=True)) if sums else (0.0, 0.0, 0.0)
    return (squares, others), products


def _block_products(one: torch.Tensor, other: torch.Tensor) -> tuple[float, float, float]:
    return float(one @ one), float(other @ other), float(one @ other)
