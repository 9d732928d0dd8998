"""What is learnt from stored traces: losses on tokens of hints and of traces, beside the policy loss on generated ones.

A row of a guided batch is a rollout (perhaps begun by a hint) or a trace; `roles` says of what role each of its tokens is. With p the
probability of a token and A the advantage of its row, the loss of a token is

| loss | of a token | detached |
|---|---|---|
| cross_entropy | -log p | |
| dft | -p log p | the first p |
| chord_phi | -p (1 - p) log p | p (1 - p) |
| shaped | -A p / (p + gamma) | A |

less entropy_coef times the entropy of its distribution. `per` and `count` of a term say what the sum over an optimizer step is divided by:

| per | a sequence of n tokens weighs | divided by |
|---|---|---|
| sequence | 1 / n for each token | `count` |
| length | 1 / max_completion_length for each token | `count` |
| token | 1 for each token | tokens of the role |

with count the sequences of the role (own), the questions behind the step (questions), or its rows (rows). A hint that several rollouts
share is one sequence: each of its rows weighs `row_weights`, in the sum and in the divisor. The divisors are those of the whole step over
all processes (`GuidedTotals`), so that micro-batches and processes change no number; a step without tokens of a role has none of its loss.

Source: dft, arXiv 2508.05629; chord_phi, arXiv 2508.11408; shaped, LUFFY (arXiv 2504.14945), `compute_token_on_off_policy_loss` of
ElliottYan/LUFFY with `p_div_p_0.1`. Legend: B rows, C tokens of the longest one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from vlmpost.config.guidance import GuidanceConfig, LossTermConfig, Role
from vlmpost.config.schedules import Weight, value_at
from vlmpost.training.update.experience import Experience

ROLE_CODES: Final[Mapping[Role, int]] = {"hint": 1, "generated": 2, "trace": 3}
"""How `roles` tells them apart; 0 is padding, or a token of an environment."""
IMITATED: Final[tuple[Role, ...]] = ("hint", "trace")
"""Roles that the policy did not write."""


@dataclass(frozen=True, slots=True)
class RoleTotals:
    """How much of a role a step holds, rows by their weights."""

    num_sequences: float
    num_tokens: float


@dataclass(frozen=True, slots=True)
class GuidedTotals:
    """What the imitation losses of a step are divided by. Of this process, or of all processes divided by their number."""

    by_role: Mapping[Role, RoleTotals]
    num_questions: float
    """Questions with a row in the step."""
    num_rows: float
    """Rows in any loss of the step: rollouts, hints with nothing to generate, traces."""
    num_generated_tokens: float
    """Of the rollouts."""

    @classmethod
    def of(cls, counts: Sequence[float]) -> GuidedTotals:
        """The totals from sequences and tokens of hints, those of traces, questions, rows, generated tokens."""
        hints, hint_tokens, traces, trace_tokens, questions, rows, generated = counts
        return cls({"hint": RoleTotals(hints, hint_tokens), "trace": RoleTotals(traces, trace_tokens)}, questions, rows, generated)

    def figures(self, *, num_processes: int) -> dict[str, float]:
        """Tokens of each role in the step, all processes together; a hint's count once, however many rollouts go on from it."""
        tokens = {f"{role}_tokens": totals.num_tokens for role, totals in self.by_role.items()}
        return {name: num_processes * number for name, number in {**tokens, "generated_tokens": self.num_generated_tokens}.items()}


def guided_counts(experience: Experience) -> list[float]:
    """Returns the seven numbers that `GuidedTotals.of` takes, of one process."""
    known = experience.tensors
    weights_B, in_loss_B = known["row_weights"].double(), known["rollout_rows"]
    generated = (known["roles"] == ROLE_CODES["generated"])[in_loss_B].sum()
    imitated: list[torch.Tensor] = []
    for role in IMITATED:
        tokens_B = (known["roles"] == ROLE_CODES[role]).sum(1)
        imitated += [(weights_B * (tokens_B > 0)).sum(), (weights_B * tokens_B).sum()]
        in_loss_B = in_loss_B | (weights_B * tokens_B > 0)
    num_questions = known["groups"][known["roles"].any(1)].unique().numel()
    return [*(float(number) for number in imitated), float(num_questions), float(in_loss_B.sum()), float(generated)]


@dataclass(frozen=True, slots=True)
class Imitation:
    """The losses of a guided step other than the policy's, and the weight of that one.

    Args:
        terms: Those on hints and traces.
        policy_weight: Of the policy loss, with its KL term and its entropy bonus.
        max_completion_length: What `per: length` divides by.
    """

    terms: tuple[LossTermConfig, ...]
    policy_weight: Weight
    max_completion_length: int

    @classmethod
    def of(cls, config: GuidanceConfig, *, max_completion_length: int) -> Imitation:
        """The losses that a recipe names; without one on generated tokens the policy loss weighs nothing."""
        terms = tuple(term for term in config.losses if term.loss != "policy")
        policy_weight = next((term.weight for term in config.losses if term.role == "generated"), 0.0)
        return cls(terms, policy_weight, max_completion_length)

    def moving_rows(self, experience: Experience) -> torch.Tensor:
        """Returns bool [B]: rows with a token that one of the terms is about."""
        known = experience.tensors
        moving_B = torch.zeros_like(known["rollout_rows"])
        for term in self.terms:
            has_token_B = (known["roles"] == ROLE_CODES[term.role]).any(1) & (known["row_weights"] > 0)
            moving_B = moving_B | (has_token_B & self._pulls(term, known["advantages"]))
        return moving_B

    def __call__(
        self,
        experience: Experience,
        *,
        logps_BC: torch.Tensor,
        entropies_BC: torch.Tensor,
        totals: GuidedTotals,
        step: int,
        num_steps: int,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Returns the share of these rows in the loss of their step, and figures as (sum, count) over tokens of a role.

        The figures are each term's loss of a token before its weight (`trace_dft_loss`) and probabilities (`trace_token_prob`).

        Args:
            experience: With `roles`, `row_weights`, `advantages`.
            logps_BC: Log-probabilities of the tokens.
            entropies_BC: Of their distributions, in nats.
            totals: Of all rows of the step.
            step: Optimizer steps done.
            num_steps: Of the whole run.
        """
        loss = logps_BC.new_zeros(())
        figures: dict[str, torch.Tensor] = {}
        for term in self.terms:
            share, more = self._term(term, experience.tensors, logps_BC, entropies_BC, totals)
            loss = loss + value_at(term.weight, step=step, num_steps=num_steps) * share
            figures |= more
        return loss, figures

    def _term(
        self,
        term: LossTermConfig,
        known: Mapping[str, torch.Tensor],
        logps_BC: torch.Tensor,
        entropies_BC: torch.Tensor,
        totals: GuidedTotals,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The share of these rows in one term, before its weight."""
        mask_BC = known["roles"] == ROLE_CODES[term.role]
        weights_B1 = known["row_weights"][:, None]
        losses_BC = token_losses(term, logps_BC, known["advantages"])
        if term.sequence_weight == "exp_minus_entropy":
            losses_BC = losses_BC * (-row_means(entropies_BC.detach(), mask_BC)).exp()[:, None]
        if term.entropy_coef:
            losses_BC = losses_BC - term.entropy_coef * entropies_BC
        per_token_BC = losses_BC.masked_fill(~mask_BC, 0.0) * weights_B1
        share = self._summed(term, per_token_BC, mask_BC) / divisor(term, totals)
        tokens = (mask_BC * weights_B1).sum()
        name = f"{term.role}_{term.loss}_loss"
        probs_BC = logps_BC.detach().exp()
        return share, {
            name: torch.stack([per_token_BC.detach().sum(), tokens]),
            f"{term.role}_token_prob": torch.stack([(probs_BC.masked_fill(~mask_BC, 0.0) * weights_B1).sum(), tokens]),
        }

    def _summed(self, term: LossTermConfig, per_token_BC: torch.Tensor, mask_BC: torch.Tensor) -> torch.Tensor:
        """The sum that is divided."""
        if term.per == "sequence":
            return (per_token_BC.sum(1) / mask_BC.sum(1).clamp(min=1)).sum()
        return per_token_BC.sum() / (self.max_completion_length if term.per == "length" else 1)

    @staticmethod
    def _pulls(term: LossTermConfig, advantages_BC: torch.Tensor) -> torch.Tensor:
        """Bool [B]: rows whose tokens this term can move."""
        moved_B = (advantages_BC != 0).any(1) if advantages_BC.dim() > 1 else advantages_BC != 0
        return moved_B if term.loss == "shaped" and not term.entropy_coef else torch.ones_like(moved_B)


def token_losses(term: LossTermConfig, logps_BC: torch.Tensor, advantages_BC: torch.Tensor) -> torch.Tensor:
    """Returns the loss of each token, [B, C], whatever its role.

    Args:
        term: Which loss.
        logps_BC: Log-probabilities, in nats.
        advantages_BC: Or [B]; only shaped looks at them.

    >>> from vlmpost.config.guidance import LossTermConfig
    >>> half, no_advantage = torch.tensor([[0.5]]).log(), torch.zeros(1)
    >>> losses = ("cross_entropy", "dft", "chord_phi")
    >>> [round(token_losses(LossTermConfig(role="trace", loss=loss), half, no_advantage).item(), 4) for loss in losses]
    [0.6931, 0.3466, 0.1733]
    """
    if term.loss == "shaped":
        advantages_BX = advantages_BC[:, None] if advantages_BC.dim() == 1 else advantages_BC
        probs_BC = logps_BC.exp()
        return -advantages_BX * probs_BC / (probs_BC + term.gamma)
    probs_BC = logps_BC.detach().exp()
    factors = {"cross_entropy": 1.0, "dft": probs_BC, "chord_phi": probs_BC * (1 - probs_BC)}
    return -factors[term.loss] * logps_BC


def divisor(term: LossTermConfig, totals: GuidedTotals) -> float:
    """Returns what the sum of a term over an optimizer step is divided by; 1 where there is nothing to divide."""
    of_role = totals.by_role[term.role]
    if term.per == "token":
        return of_role.num_tokens or 1.0
    counted = {"own": of_role.num_sequences, "questions": totals.num_questions, "rows": totals.num_rows}
    return counted[term.count] or 1.0


def row_means(figures_BC: torch.Tensor, mask_BC: torch.Tensor) -> torch.Tensor:
    """Returns the mean of each row under the mask, [B]; 0 where there is none.

    >>> row_means(torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[True, True, False]])).tolist()
    [1.5]
    """
    return figures_BC.masked_fill(~mask_BC, 0.0).sum(1) / mask_BC.sum(1).clamp(min=1)
