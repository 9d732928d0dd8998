"""The two things that entropy decides in a policy update: which tokens carry the loss, and how strong the entropy bonus is.

Source: the mask of uncertain tokens is of Beyond the 80/20 Rule (arXiv 2506.01939); the coefficient that follows a target, of
Skywork-OR1 (arXiv 2505.22312), with TRL 1.16's rule. Legend: N tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

State = dict[str, float | None]


def entropy_threshold(entropies_N: torch.Tensor, *, share: float) -> torch.Tensor:
    """Returns the entropy from which a token is among the `share` most uncertain ones, float32 0-d; infinite if there are no tokens.

    TRL gathers the entropies of one forward pass over all processes, under the mask and without padding: with one forward pass to an
    optimizer step the quantile is the step's, with several it is each pass's own. To keep to it: run the forward pass, gather
    `entropies_BC[mask_BC]` over all processes, call this, and hand the result to `PolicyLoss`.

    >>> entropy_threshold(torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]), share=0.25).item()
    3.0
    """
    if not entropies_N.numel():
        return torch.tensor(float("inf"), device=entropies_N.device)
    return torch.quantile(entropies_N.detach().float(), 1 - share)


@dataclass
class EntropyCoefficient:
    """The weight of the entropy bonus, fixed or following a target: a state machine that is the same on every process.

    An adaptive one goes up a step after an optimizer step whose entropy was at or below the target, down otherwise, and counts only
    while the last entropy was at or below it. Before the first step nothing is known and nothing counts.
    """

    value: float
    adaptive: bool = False
    lowest: float = 0.0
    highest: float = 1.0
    step: float = 0.005
    target: float = 0.2
    last_entropy: float = field(default=float("inf"))

    @classmethod
    def from_arguments(cls, args: Any) -> EntropyCoefficient:  # Any: TRL's GRPOConfig
        """The coefficient as TRL's `GRPOConfig` sets it."""
        return cls(
            value=args.entropy_coef,
            adaptive=args.use_adaptive_entropy,
            lowest=args.entropy_coef_min,
            highest=args.entropy_coef_max,
            step=args.entropy_coef_delta,
            target=args.entropy_target,
        )

    @property
    def current(self) -> float:
        """What all forward passes of the optimizer step at hand apply."""
        return self.value if not self.adaptive or self.last_entropy <= self.target else 0.0

    def update(self, entropy: float) -> None:
        """Takes in the mean entropy of the tokens of the optimizer step just done, over all processes.

        >>> coefficient = EntropyCoefficient(0.1, adaptive=True, step=0.05, target=0.2)
        >>> coefficient.update(0.2)
        >>> round(coefficient.current, 3)
        0.15
        """
        if not self.adaptive:
            return
        if entropy <= self.target:
            self.value = min(self.value + self.step, self.highest)
        else:
            self.value = max(self.value - self.step, self.lowest)
        self.last_entropy = entropy

    def state_dict(self) -> State:
        """What a resumed run has to know, as JSON values: an entropy that is not known yet is null."""
        return {"entropy_coef": self.value, "last_world_entropy": None if self.last_entropy == float("inf") else self.last_entropy}

    def load_state_dict(self, state: State) -> None:
        """Takes up where `state_dict` left off."""
        value, last = state["entropy_coef"], state["last_world_entropy"]
        assert value is not None, state
        self.value, self.last_entropy = value, float("inf") if last is None else last
