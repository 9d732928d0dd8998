"""PPO on the policy trainer: a critic's advantages per token in place of a group's, and its value loss beside the policy's.

The clipped policy loss, the passes over a batch and its mini-batches are TRL's, which takes an advantage for each token.

Departures from TRL's former PPOTrainer: 1. the head sits on the policy's own backbone, and both learn from both losses; 2. values come
from the pass that gives the log-probabilities; 3. a completion that was cut has no value after its end, as one that ended by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from vlmpost.config.schema import AlgorithmConfig
from vlmpost.errors import ConfigError
from vlmpost.models import value_head
from vlmpost.training import advantages, seams
from vlmpost.training.critic import Critic, Estimate, reply_ends, rewards_per_token, value_losses
from vlmpost.training.policy import PolicyTrainer

_FLAT_GROUPS = "frac_reward_zero_std"
"""TRL's share of groups with one reward throughout; with a critic they teach as much as others, and the doctor need not know."""


class PpoTrainer(PolicyTrainer):
    """`PolicyTrainer` with a critic.

    Args:
        algorithm: The recipe's.

    Raises:
        ConfigError: The model is sharded over processes.
    """

    def __init__(self, *, algorithm: AlgorithmConfig, **kwargs: Any) -> None:  # Any: the arguments of PolicyTrainer
        super().__init__(**kwargs)
        kind = seams.sharding_kind(self)
        if kind not in {"none", "ddp"}:
            raise ConfigError(f"algorithm.kind: ppo trains on one process or with ddp, not under {kind}; use ddp, or algorithm.kind: grpo.")
        self.algorithm = algorithm
        self.critic = Critic(self.model, algorithm, seed=self.args.seed)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:  # Any: as Trainer
        """The optimizer, with a group for the value head where it has its own learning rate."""
        made_before = self.optimizer is not None
        optimizer = super().create_optimizer(model)
        if self.algorithm.value_learning_rate is not None and not made_before:
            self.critic.own_group(optimizer, learning_rate=self.algorithm.value_learning_rate)
        return optimizer

    # --- rollouts ---

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:  # Any: tensors and lists
        self.critic.passes.clear()
        output = super()._generate_and_score_completions(inputs)
        with self.clock.phase("values"), torch.no_grad():
            old_logps, values = self._before_update(output)
            estimate = self._estimate(output, old_logps, values)
            advantages_BC = self._whitened(estimate, values)
        output |= {
            "advantages": advantages_BC,
            "old_values": values,
            "returns": estimate.returns_BC,
            "valued": estimate.valued_BC,
        }
        assert self.last_batch is not None, "rewards are calculated inside"
        self.last_batch = self.last_batch.with_advantages(_row_means(advantages_BC, estimate.valued_BC))
        self._metrics["train"].pop(_FLAT_GROUPS)
        return output

    def _before_update(self, output: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities and values under the weights that sampled, [B, C] each; from TRL's own pass where it made one."""
        if "old_per_token_logps" in output:
            return output["old_per_token_logps"], self.critic.passes[0]
        logps, _, _ = self._get_per_token_logps_and_entropies(
            self.model,
            torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
            torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1),
            output["completion_ids"].size(1),
            batch_size=self.args.per_device_train_batch_size,
            **{key: output[key] for key in seams.MODEL_FIELDS if key in output},
        )
        return logps, self.critic.passes[-1]

    def _estimate(self, output: dict[str, Any], old_logps: torch.Tensor, values: torch.Tensor) -> Estimate:
        assert self.last_batch is not None, "rewards are calculated inside"
        rollouts, scores = self.last_batch.rollouts, self.last_batch.scores
        sampled = _sampled(output)
        rewards = rewards_per_token(rollouts, scores, self.rewards, sampled_BC=sampled)
        if self._kl_is_reward:
            kl = (old_logps - output["ref_per_token_logps"]) * sampled
            rewards = rewards - self.algorithm.beta * kl.unsqueeze(1) / rewards.size(1)
            self._add_figures({"kl_reward": (float(-self.algorithm.beta * kl.sum()), float(len(rollouts)))})
        scored = torch.tensor([score.total is not None for score in scores], device=sampled.device)
        return self.critic.estimate(
            rewards,
            values,
            ends_BC=reply_ends(rollouts, sampled),
            valued_BC=sampled & scored.unsqueeze(1),
            discounts=self.rewards.discounts,
        )

    def _whitened(self, estimate: Estimate, values: torch.Tensor) -> torch.Tensor:
        """The advantages as the loss takes them; the moments of all processes are noted on the way."""
        valued = estimate.valued_BC
        looked_at = (estimate.advantages_BC, estimate.returns_BC, values, estimate.returns_BC - values)
        sums = torch.cat([advantages.moments(numbers, valued) for numbers in looked_at])
        everywhere = self.accelerator.reduce(sums, reduction="sum").view(len(looked_at), 3)
        (mean, variance), (return_mean, return_variance), (value_mean, _), (_, error_variance) = map(
            advantages.mean_and_variance, everywhere
        )
        figures = {"advantage_std": variance**0.5, "return": return_mean, "value": value_mean}
        if return_variance > advantages.VARIANCE_FLOOR:
            figures["explained_variance"] = 1 - error_variance / return_variance
        for name, figure in figures.items():
            self._metrics["train"][name].append(figure)
        if not self.algorithm.whiten_advantages:
            return estimate.advantages_BC
        return advantages.whitened(estimate.advantages_BC, valued, mean=mean, variance=variance)

    # --- the update ---

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
        if model is self.ref_model:
            return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        with self.critic.listening(model) as forward:
            found = super()._get_per_token_logps_and_entropies(forward, *args, **kwargs)
        self.critic.passes[-1] = self.critic.passes[-1][:, -found[0].size(1) :]
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        warming_up = self.state.global_step < self.algorithm.num_value_warmup_steps
        self.critic.passes.clear()
        self.critic.head_alone = warming_up
        with self._without_kl() if self._kl_is_reward else nullcontext():
            policy_loss = super()._compute_loss(model, inputs)
        value_loss = self._value_loss(self.critic.passes.pop(), inputs)
        return (0.0 if warming_up else 1.0) * policy_loss + self.algorithm.vf_coef * value_loss

    def _value_loss(self, values: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
        """The mean over the tokens of the optimizer step, all processes together; its micro-batches add up to it."""
        losses, clipped = value_losses(values, inputs["old_values"], inputs["returns"], cliprange=self.algorithm.cliprange_value)
        valued = inputs["valued"]
        total = (losses * valued).sum()
        count = float(valued.sum())
        self._add_figures({"value_loss": (total.item(), count), "value_clipped_share": (float((clipped & valued).sum()), count)})
        steps_share = self.current_gradient_accumulation_steps / self.args.steps_per_generation
        tokens = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes * steps_share
        return total / tokens

    @property
    def _kl_is_reward(self) -> bool:
        return self.algorithm.beta != 0 and self.algorithm.kl_in == "reward"

    @contextmanager
    def _without_kl(self) -> Iterator[None]:
        """Inside the block TRL's loss has no KL term."""
        self.beta = 0.0
        try:
            yield
        finally:
            self.beta = self.algorithm.beta

    # --- checkpoints ---

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:  # every process comes here, and one makes the folder
            value_head.save(self.critic.head, Path(output_dir or self.args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        with self.critic.taken_off():
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        value_head.load(self.critic.head, Path(resume_from_checkpoint))


def _sampled(output: dict[str, Any]) -> torch.Tensor:
    """Bool [B, C]: tokens of the policy, not of the environment, in completions that are not left out of the loss."""
    mask = output["completion_mask"] * output["tool_mask"] if "tool_mask" in output else output["completion_mask"]
    return mask.bool()


def _row_means(numbers_BC: torch.Tensor, mask_BC: torch.Tensor) -> list[float]:
    means: list[float] = ((numbers_BC * mask_BC).sum(1) / mask_BC.sum(1).clamp(min=1)).tolist()
    return means
