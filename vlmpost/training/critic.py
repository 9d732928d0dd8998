"""The critic of PPO: a value head on the policy's own backbone, what it makes of a batch of rollouts, and what it learns from it.

Knows TRL's output of a forward pass and no trainer; `ppo.py` wires it.

Settings of SFT Memorizes, RL Generalizes (arXiv 2501.17161): value_head mlp with sizes [1024, 512], turn_gamma 0.9, turn_lam 0.95, lam 1,
vf_coef 0.5, epsilon and cliprange_value 0.1, num_iterations 4, beta 0. Departures from it: 1. each token has a value, not only the last
one of the prompt; 2. the ratio is per token unless importance_sampling_level is sequence, and then a mean, not a sum; 3. all tokens of
a reply count alike, where it halves the log-probabilities before the answer; 4. an episode that ends without success ends
its returns, where it lets values of the next episode in; 5. advantages are whitened over all processes, not in each.

Settings of Demystifying Long CoT (arXiv 2502.03373): lam 1, kl_in reward with beta 0.01, cliprange_value 0.2, value_learning_rate 9e-6,
loss_type grpo. Departures: 1. its critic is a model of its own; 2. it clips rewards to [-10, 10]; 3. the value loss is a mean over
the tokens of the step, not of means over completions.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

from vlmpost.config.schema import AlgorithmConfig
from vlmpost.models.value_head import ValueHead
from vlmpost.records import Rollout, Score
from vlmpost.rewards import RewardSet
from vlmpost.rewards.returns import token_rewards
from vlmpost.training import advantages

HEAD_NAME = "value_head"
VALUE_HEAD_SIZES = (1024, 512)


@dataclass
class ValuedOutput(FusedCausalLMOutput):
    """TRL's output with a value for each place that has a label; a part of the output, so that DDP sees the head at work."""

    state_values: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the critic makes of a batch. Legend as in `advantages.py`; all [B, C]."""

    advantages_BC: torch.Tensor
    returns_BC: torch.Tensor
    """What the values are to learn."""
    valued_BC: torch.Tensor
    """Bool: the sampled tokens of completions that have a reward."""


class Critic:
    """The value head of a policy.

    Args:
        model: The policy, with TRL's fused head already on it; the value head becomes a part of it that is never saved with it.
        settings: The algorithm of the recipe.
        seed: Seed of the head's first weights.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, settings: AlgorithmConfig, *, seed: int) -> None:
        self.settings = settings
        self.passes: list[torch.Tensor] = []
        """Values [B, C] of each pass over a batch since the list was last emptied."""
        self.head_alone = False
        """Whether only the head learns from the values, not the backbone."""
        self.base = model.get_base_model() if isinstance(model, PeftModel) else model
        hidden_size = self.base.config.get_text_config().hidden_size
        self.head = ValueHead(hidden_size, sizes=_sizes(settings), seed=seed).to(self.base.device)
        self._put_on()
        _leave_out_of_saves(self.base, self.head)
        _give_values(self.base, lambda: self.head_alone)

    def _put_on(self) -> None:
        setattr(self.base, HEAD_NAME, self.head)

    @contextmanager
    def taken_off(self) -> Iterator[None]:
        """Inside the block the model is without its value head, as its own files are."""
        delattr(self.base, HEAD_NAME)
        try:
            yield
        finally:
            self._put_on()

    @contextmanager
    def listening(self, model: Callable[..., Any]) -> Iterator[Callable[..., Any]]:  # Any: a forward pass
        """Gives the forward pass `model` such that the values of all calls in the block are kept, as one pass."""
        chunks: list[torch.Tensor] = []

        def forward(**inputs: Any) -> Any:
            outputs = model(**inputs)
            chunks.append(outputs.state_values)
            return outputs

        yield forward
        self.passes.append(torch.cat(chunks))

    def own_group(self, optimizer: torch.optim.Optimizer, *, learning_rate: float) -> None:
        """Gives the head a learning rate of its own."""
        own = {id(parameter) for parameter in self.head.parameters()}
        for group in optimizer.param_groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in own]
        optimizer.add_param_group({"params": list(self.head.parameters()), "lr": learning_rate, "weight_decay": 0.0})

    def estimate(
        self,
        rewards_BMC: torch.Tensor,
        values_BC: torch.Tensor,
        *,
        ends_BC: torch.Tensor,
        valued_BC: torch.Tensor,
        discounts: Sequence[float],
    ) -> Estimate:
        """Returns advantages, not whitened, and returns of a batch.

        Args:
            rewards_BMC: What each token earns, by reward term.
            values_BC: What the head said before the update.
            ends_BC: Bool; the last tokens of replies.
            valued_BC: Bool; see `Estimate`.
            discounts: Of the reward terms; gamma multiplies them.
        """
        settings = self.settings
        gammas = [advantages.per_place(settings.gamma * discount, settings.turn_gamma, ends_BC) for discount in discounts]
        lam_BC = advantages.per_place(settings.lam, settings.turn_lam, ends_BC)
        estimated_BC = advantages.advantages_of_types(rewards_BMC, values_BC, valued_BC, gammas_MBC=gammas, lam_BC=lam_BC)
        return Estimate(estimated_BC, (estimated_BC + values_BC) * valued_BC, valued_BC)


def value_losses(
    values_BC: torch.Tensor, old_values_BC: torch.Tensor, returns_BC: torch.Tensor, *, cliprange: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns half the squared error of each value, [B, C], and where the clipped error is the one that counts, bool [B, C].

    A value that moved further than `cliprange` from the old one is also looked at as if it had stopped there, and the worse of the two
    errors counts: it has no gradient to move further. None: no clipping.

    >>> losses, clipped = value_losses(torch.tensor([[1.0]]), torch.tensor([[0.0]]), torch.tensor([[2.0]]), cliprange=0.5)
    >>> losses.item(), clipped.item()
    (1.125, True)
    """
    errors_BC = (values_BC - returns_BC).square()
    if cliprange is None:
        return errors_BC / 2, torch.zeros_like(errors_BC, dtype=torch.bool)
    held_BC = old_values_BC + (values_BC - old_values_BC).clamp(-cliprange, cliprange)
    held_errors_BC = (held_BC - returns_BC).square()
    return torch.maximum(errors_BC, held_errors_BC) / 2, held_errors_BC > errors_BC


def rewards_per_token(
    rollouts: Sequence[Rollout], scores: Sequence[Score], rewards: RewardSet, *, sampled_BC: torch.Tensor
) -> torch.Tensor:
    """Returns what each token earns by reward term, weighted, float32 [B, M, C]: a value for the whole completion on its last token."""
    by_rollout = [token_rewards(score, rewards, num_tokens=len(one.token_ids)) for one, score in zip(rollouts, scores, strict=True)]
    by_term = [advantages.at_sampled([rows[term] for rows in by_rollout], sampled_BC) for term in range(len(rewards.terms))]
    return torch.stack(by_term, dim=1)


def reply_ends(rollouts: Sequence[Rollout], sampled_BC: torch.Tensor) -> torch.Tensor:
    """Returns bool [B, C]: the last token of each reply."""
    rows = []
    for rollout in rollouts:
        row = [0.0] * len(rollout.token_ids)
        end = 0
        for length in rollout.reply_lengths or (len(row),):
            end += length
            row[end - 1] = 1.0
        rows.append(row)
    return advantages.at_sampled(rows, sampled_BC) > 0


def _sizes(settings: AlgorithmConfig) -> Sequence[int]:
    return () if settings.value_head == "linear" else settings.value_head_sizes or VALUE_HEAD_SIZES


def _leave_out_of_saves(model: PreTrainedModel, head: ValueHead) -> None:
    """Makes `save_pretrained` write the model without its head, whoever calls it. See `save_pretrained` in `seams.SEAMS`."""
    names = {f"{HEAD_NAME}.{name}" for name in head.state_dict()}
    model._keys_to_ignore_on_save = set(model._keys_to_ignore_on_save or ()) | names


def _give_values(model: PreTrainedModel, head_alone: Callable[[], bool]) -> None:
    """Wraps TRL's fused forward pass so that it returns values too. See `add_fused_lm_head` in `seams.SEAMS`."""
    fused = model.forward

    @functools.wraps(type(model).forward)  # `generate` checks its arguments against this signature
    def forward(self: PreTrainedModel, *args: Any, **kwargs: Any) -> Any:  # Any: as the model's own
        if not kwargs.get("fused_lm_head"):
            return fused(*args, **kwargs)
        with _last_hidden_states(self.base_model) as caught:
            output = fused(*args, **kwargs)
        (hidden,) = caught
        mask = output.label_mask
        chosen = hidden[:, :-1][mask]
        values = getattr(self, HEAD_NAME)(chosen.detach() if head_alone() else chosen)
        return ValuedOutput(**output, state_values=values.new_zeros(mask.shape).masked_scatter(mask, values))

    model.forward = types.MethodType(forward, model)


@contextmanager
def _last_hidden_states(backbone: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Gives a list that gets the last hidden states of each call of `backbone` in the block."""
    caught: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Any) -> None:  # Any: the backbone's own kind of output
        caught.append(output.last_hidden_state)

    hook = backbone.register_forward_hook(keep)
    try:
        yield caught
    finally:
        hook.remove()
