r"""The methods of merging, their numbers and their defaults; the arithmetic is in `arithmetic`, its order over a tensor in `blocks`.

With $\theta_0$ the base, $\theta_i$ the models, $w_i$ their weights, $\delta_i = \theta_i - \theta_0$ and $\lambda$ a scale:

    linear           sum_i w_i theta_i / sum_i w_i                                                      arXiv 2203.05482
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
and adds up, by weight, the entries that have it. `normalize` divides by the sum of the weights that were added: of all models, or where
signs are elected of those that agree. It is on for linear, ties and della and off for task_arithmetic, dare_linear and dare_ties, as in
mergekit 0.1.5; the arcs know shares only.

Departures from the papers:
1. Trimming and ranking look at one tensor at a time, not at all parameters together, so that a merge needs little memory.
   mergekit and PEFT do so too. At least one entry of a tensor is kept.
2. Models have weights in TIES, DARE and DELLA, as in mergekit; equal weights are the papers' formulas, up to the scale of dare_linear
   and dare_ties.
3. Where the weighted sum is 0 the elected sign is plus; the authors of TIES take the sign most entries of the whole model have.
4. The rank of DELLA is divided by one less than the length of the row, so that the mean probability is `density` itself.
5. SLERP takes a tensor as one vector. The angle is between the vectors, what is mixed is not normalised (as in mergekit). Vectors of
   almost the same or opposite direction, |cos| > 0.9995, and zero vectors are mixed linearly: the arc is not defined there, or is
   the line.

Differences from mergekit 0.1.5, where results otherwise agree to rounding:
1. What DARE and DELLA keep is divided by its probability, as in the papers; mergekit scales it to the sum of magnitudes it had.
2. mergekit's epsilon of DELLA is half the width of the band, ours the whole, as in the paper.
3. With a zero vector, mergekit's SLERP takes a right angle. It sums whole tensors in float32 to find the angle, so that on large ones
   it is farther from the exact arc than we are (`scripts/bench/RESULTS.md`).
4. Of equal magnitudes at the cut of TIES mergekit keeps arbitrary ones, we the first.

A model of weight 0 takes no part, and a merge that leaves one model or the base alone is that tensor itself, bit for bit (`only_one`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


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
    normalizes: bool = False
    """Whether it divides by the sum of the weights where nothing else is said; arcs always go by shares."""


METHODS: Final = {
    method.name: method
    for method in (
        Method("dare_linear", on_task_vectors=True, sparsify="drop"),
        Method("dare_ties", on_task_vectors=True, sparsify="drop", elects_signs=True),
        Method("della", on_task_vectors=True, sparsify="magnitude_drop", elects_signs=True, normalizes=True),
        Method("linear", normalizes=True),
        Method("slerp", on_arc=True),
        Method("slerp_task", on_task_vectors=True, on_arc=True),
        Method("task_arithmetic", on_task_vectors=True),
        Method("ties", on_task_vectors=True, sparsify="trim", elects_signs=True, normalizes=True),
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
    normalize: bool = False
    """Whether to divide by the sum of the weights that were added."""

    def only_one(self) -> int | None:
        """Index of the model that the merge is bit for bit; -1 for the base; None where there is something to compute.

        >>> Formula(METHODS["linear"], weights=(0.0, 3.0), normalize=True).only_one()
        1
        >>> Formula(METHODS["ties"], weights=(0.0, 0.0)).only_one()
        -1
        """
        parts = [index for index, weight in enumerate(self.weights) if weight != 0]
        if self.method.on_task_vectors and (not parts or self.lam == 0):
            return -1
        if len(parts) != 1:
            return None
        divides = self.method.on_arc or self.normalize
        scale = self.lam * (1 if divides else self.weights[parts[0]])
        return parts[0] if scale == 1 and self.density == 1 else None
