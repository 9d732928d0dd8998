"""The loss of an optimizer step, forward pass by forward pass: the policy's, with a critic the values', with stored traces theirs.

Knows tensors and models and no trainer. Legend: B completions, C tokens of the longest one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from vlmpost.config.schedules import value_at
from vlmpost.config.schema import AlgorithmConfig
from vlmpost.training.credit.critic import Critic, value_loss, value_losses
from vlmpost.training.update.entropy import EntropyCoefficient, entropy_threshold
from vlmpost.training.update.experience import Experience
from vlmpost.training.update.imitation import Imitation
from vlmpost.training.update.losses import PolicyLoss
from vlmpost.training.update.mini_batch import MiniBatch, Noted, policy_mask, rollout_rows
from vlmpost.training.update.scorer import Forward, Scorer, TokenScores


@dataclass(frozen=True, slots=True)
class StepLoss:
    """What the forward passes of a step are asked for.

    Args:
        algorithm: Of the recipe.
        policy_loss: Of the policy.
        entropy_coefficient: Of the bonus.
        critic: None: no values.
        scorer: Runs a pass.
        gather: The entropies of all processes, each with any number of them.
        imitation: Of hints and traces, and how much the policy's loss weighs beside it. None: rollouts alone.
    """

    algorithm: AlgorithmConfig
    policy_loss: PolicyLoss
    entropy_coefficient: EntropyCoefficient
    critic: Critic | None
    scorer: Scorer
    gather: Callable[[torch.Tensor], torch.Tensor]
    imitation: Imitation | None = None

    @property
    def needs_all_processes(self) -> bool:
        """Whether a pass is one of all processes together."""
        return self.policy_loss.top_entropy_quantile < 1

    def moving_rows(self, experience: Experience) -> list[int]:
        """The rows that can move the weights; the first one where none can, so that there is something to run."""
        everything = list(range(len(experience)))
        if self.critic is not None:
            return everything
        known = experience.tensors
        still = self.policy_loss.has_no_gradient(known["advantages"], policy_mask(experience), policy_mask_B=known.get("policy_rows"))
        moving = ~still & rollout_rows(experience)
        if self.imitation is not None:
            moving = moving | self.imitation.moving_rows(experience)
        return [row for row in everything if moving[row]] or [0]

    def __call__(
        self, forward: Forward, model: PreTrainedModel, part: Experience, batch: MiniBatch, noted: Noted, *, step: int, num_steps: int
    ) -> torch.Tensor:
        """Returns the share of one forward pass in the loss of its step.

        Args:
            forward: What to call.
            model: The model inside it.
            part: Completions of this pass.
            batch: All completions of the step, for its totals.
            noted: Takes the figures of the pass.
            step: Optimizer steps done.
            num_steps: Of the whole run.
        """
        warming_up = step < self.algorithm.num_value_warmup_steps
        if self.critic is not None:
            self.critic.head_alone = warming_up
        scores = self.scorer(forward, model, part)
        policy_loss = self._policy(scores, part, batch, noted)
        if self.imitation is not None:
            weight = value_at(self.imitation.policy_weight, step=step, num_steps=num_steps)
            policy_loss = weight * policy_loss + self._imitated(self.imitation, scores, part, batch, noted, step=step, num_steps=num_steps)
        if self.critic is None:
            return policy_loss
        return (0.0 if warming_up else 1.0) * policy_loss + self.algorithm.vf_coef * self._values(scores, part, batch, noted)

    def _policy(self, scores: TokenScores, part: Experience, batch: MiniBatch, noted: Noted) -> torch.Tensor:
        assert scores.entropies_BC is not None, "a policy's head gives entropies"
        known, mask_BC = part.tensors, policy_mask(part)
        found = self.policy_loss(
            logps_BC=scores.logps_BC,
            entropies_BC=scores.entropies_BC,
            mask_BC=mask_BC,
            advantages_BC=known["advantages"],
            totals=batch.totals,
            old_logps_BC=known.get("old_logps"),
            ref_logps_BC=known["ref_logps"] if self.policy_loss.beta else None,
            policy_mask_B=known.get("policy_rows"),
            policy_totals=batch.policy_totals,
            entropy_threshold=self._threshold(scores.entropies_BC, mask_BC),
            entropy_coef=self.entropy_coefficient.current,
            sampling_logps_BC=known.get("sampling_logps"),
            sampling_ratio_BX=known.get("sampling_ratio"),
            reply_starts_BC=known.get("reply_starts"),
        )
        noted.add(found.sums)
        noted.policy_loss += found.policy_loss.item()
        if self.policy_loss.has_entropy_bonus:
            noted.add({"bonus_entropy": found.bonus_entropy.tolist()})
        return found.loss

    def _imitated(
        self, imitation: Imitation, scores: TokenScores, part: Experience, batch: MiniBatch, noted: Noted, *, step: int, num_steps: int
    ) -> torch.Tensor:
        assert scores.entropies_BC is not None and batch.guided is not None, "the step was counted with its roles"
        loss, figures = imitation(
            part, logps_BC=scores.logps_BC, entropies_BC=scores.entropies_BC, totals=batch.guided, step=step, num_steps=num_steps
        )
        noted.add(figures)
        return loss

    def _values(self, scores: TokenScores, part: Experience, batch: MiniBatch, noted: Noted) -> torch.Tensor:
        assert scores.values_BC is not None, "the model has a critic"
        known = part.tensors
        losses_BC, clipped_BC = value_losses(
            scores.values_BC, known["old_values"], known["returns"], cliprange=self.algorithm.cliprange_value
        )
        valued_BC = known["valued"]
        count = float(valued_BC.sum())
        noted.add({"value_loss": ((losses_BC * valued_BC).sum().item(), count)})
        noted.add({"value_clipped_share": (float((clipped_BC & valued_BC).sum()), count)})
        return value_loss(
            losses_BC,
            valued_BC,
            num_rows=batch.totals.num_rows,
            num_tokens=batch.num_values,
            per_sequence=self.policy_loss.loss_type == "grpo",
        )

    def _threshold(self, entropies_BC: torch.Tensor, sampled_BC: torch.Tensor) -> torch.Tensor | None:
        """The entropy that a token of this pass needs to carry loss, over all processes; None: any will do."""
        share = self.policy_loss.top_entropy_quantile
        return None if share == 1 else entropy_threshold(self.gather(entropies_BC.detach()[sampled_BC].float()), share=share)
