"""The completions behind one optimizer step, with the totals that their loss is divided by, and what is noted while it is computed.

Legend: B completions, C tokens of the longest one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from vlmpost.training.update.experience import Experience
from vlmpost.training.update.imitation import GuidedTotals, guided_counts
from vlmpost.training.update.losses import StepTotals

SILENCED = ("sampled", "valued", "roles", "rollout_rows")
"""What of a row says that it weighs anything."""


@dataclass(frozen=True, slots=True)
class MiniBatch:
    """One process's completions of an optimizer step."""

    experience: Experience
    totals: StepTotals
    """Of all processes, divided by their number."""
    policy_totals: StepTotals
    """Of the rows whose policy term counts."""
    num_values: float
    """Values that the critic learns, of all processes, divided by their number."""
    guided: GuidedTotals | None = None
    """Of the rows that stored traces guide; None: there are none in this run."""


def chosen(experience: Experience, rows: Sequence[int]) -> Experience:
    """Some rows of a batch; a process without any goes along with its first row, at no weight."""
    if rows:
        return experience.take(rows)
    first = experience.take([0])
    silenced = {name: torch.zeros_like(first.tensors[name]) for name in SILENCED if name in first.tensors}
    return first.with_tensors(**silenced, idle=torch.ones(1, dtype=torch.bool))


def counts(experience: Experience) -> torch.Tensor:
    """Returns float64 [5]: rows and trained tokens, of all rollouts and of those whose policy term counts, and values to learn.

    With stored traces [12], `guided_counts` behind them, and only rows under `rollout_rows` are rollouts.
    """
    sampled, rollouts = policy_mask(experience), rollout_rows(experience)
    policy = rollouts & experience.tensors.get("policy_rows", rollouts)
    weight = 0.0 if "idle" in experience.tensors else 1.0
    tokens = sampled.sum(1)
    values = experience.tensors["valued"].sum() if "valued" in experience.tensors else torch.zeros(())
    found = [weight * rollouts.sum(), tokens.sum(), weight * policy.sum(), (tokens * policy).sum(), values]
    guided = guided_counts(experience) if "roles" in experience.tensors else []
    return torch.tensor([*(float(number) for number in found), *guided], dtype=torch.float64, device=sampled.device)


def rollout_rows(experience: Experience) -> torch.Tensor:
    """Returns bool [B]: the rows that are rollouts in the loss; all of them where there are no stored traces."""
    sampled = experience.tensors["sampled"]
    return experience.tensors.get("rollout_rows", torch.ones(len(experience), dtype=torch.bool, device=sampled.device))


def policy_mask(experience: Experience) -> torch.Tensor:
    """Returns bool [B, C]: the tokens of the policy loss, with its KL term and its entropy."""
    sampled = experience.tensors["sampled"]
    return sampled & experience.tensors["rollout_rows"][:, None] if "rollout_rows" in experience.tensors else sampled


def mini_batches(parts: Sequence[Experience], totals: torch.Tensor, *, num_rollout_steps: int | None = None) -> list[MiniBatch]:
    """Returns the mini-batches of one batch of rollouts.

    Args:
        parts: Their completions.
        totals: float64 [len(parts), numbers]: `counts` of each, over all processes, divided by their number.
        num_rollout_steps: How many of the parts, the first ones, share the rollouts; the others hold traces alone. None: all.
    """
    items, policy_items = totals[:num_rollout_steps, 1].mean().item(), totals[:num_rollout_steps, 3].mean().item()
    return [
        MiniBatch(
            part,
            StepTotals(rows, tokens, items),
            StepTotals(policy_rows, policy_tokens, policy_items),
            values,
            GuidedTotals.of(guided) if guided else None,
        )
        for part, (rows, tokens, policy_rows, policy_tokens, values, *guided) in zip(parts, totals.tolist(), strict=True)
    ]


@dataclass(slots=True)
class Noted:
    """Figures of an optimizer step as (sum, count), added up over its forward passes."""

    sums: dict[str, tuple[float, float]] = field(default_factory=lambda: defaultdict(lambda: (0.0, 0.0)))
    policy_loss: float = 0.0
    """The losses of the passes add up to the step's."""

    def add(self, more: Mapping[str, Iterable[float]]) -> None:
        """Adds the figures of one forward pass."""
        for name, pair in more.items():
            value, count = map(float, pair)
            self.sums[name] = (self.sums[name][0] + value, self.sums[name][1] + count)
