"""The critic of PPO: values from a head on the policy's backbone or on one of its own, and what is made of them and learned from them.

Knows TRL's output of a forward pass and no trainer; `estimators.py` and `policy.py` wire it.

Settings of SFT Memorizes, RL Generalizes (arXiv 2501.17161): value_head mlp with sizes [1024, 512], value_at reply, gamma and lam 1,
turn_gamma 0.9, turn_lam 0.95, vf_coef 0.5, importance_sampling_level reply, epsilon and cliprange_value 0.1, num_iterations 4, beta 0.
Departures from it: 1. all tokens of a reply count alike in its ratio, where it halves the log-probabilities before the answer's key;
2. an episode that ends without success ends its returns, where values of the next episode leak in; 3. advantages are whitened over all
processes, not in each.

Settings of Demystifying Long CoT (arXiv 2502.03373): critic separate with value_learning_rate 9e-6, lam 1, kl_in reward with beta 0.01,
reward_clip 10, cliprange_value 0.2, loss_type grpo, whose value loss too is a mean over completions of means over their tokens.
Departure: 1. rewards are clipped by type, where it sums the types before if they share one discount.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

from vlmpost.config.schema import AlgorithmConfig
from vlmpost.models.value_head import ValueHead
from vlmpost.models.value_model import ValueModel
from vlmpost.records import Rollout, Score
from vlmpost.rewards import RewardSet
from vlmpost.rewards.returns import token_rewards
from vlmpost.training.credit import advantages

NAME = "critic"
"""Of the part of the policy's module that gives the values."""
VALUE_HEAD_SIZES = (1024, 512)


@dataclass
class ValuedOutput(FusedCausalLMOutput):
    """TRL's output with a value for each place that has a label; a part of the output, so that DDP sees the critic at work."""

    state_values: torch.Tensor | None = None
    """Float32, of the shape of `log_probs`: what is expected before the label's token is there; 0 where there is no label."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the critic makes of a batch. Legend as in `advantages.py`; all [B, C]."""

    advantages_BC: torch.Tensor
    """Not whitened, 0 where there is no value."""
    returns_BC: torch.Tensor
    """What the values are to learn."""
    valued_BC: torch.Tensor
    """Bool: the places that have a value, in completions that have a reward: sampled tokens, or the first ones of replies."""
    owners_BC: torch.Tensor
    """Int64: the place whose value a token goes by; its own where there is none."""

    def for_tokens(self, advantages_BC: torch.Tensor) -> torch.Tensor:
        """Returns for each token the advantage of the place that it goes by, 0 where there is none; the last step, after whitening."""
        return advantages_BC.gather(1, self.owners_BC)


class Critic:
    """The values of a policy.

    Args:
        model: The policy, with TRL's fused head already on it; the critic becomes a part of it that is never saved with it.
        settings: The algorithm of the recipe.
        seed: Seed of the head's first weights.
        copies_frozen: See `ValueModel`.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, settings: AlgorithmConfig, *, seed: int, copies_frozen: bool = False) -> None:
        self.settings = settings
        self.head_alone = False
        """Whether only the critic learns from the values, not the policy's backbone; one of its own always learns."""
        self.rests = False
        """Whether passes give no values."""
        self.base = model.get_base_model() if isinstance(model, PeftModel) else model
        self.network = ValueModel(
            self.base, sizes=_sizes(settings), separate=settings.critic == "separate", seed=seed, copies_frozen=copies_frozen
        )
        self._put_on()
        _give_values(self.base, self)

    @property
    def head(self) -> ValueHead:
        """The last layers of the critic."""
        return self.network.head

    def _put_on(self) -> None:
        setattr(self.base, NAME, self.network)

    @contextmanager
    def taken_off(self) -> Iterator[None]:
        """Inside the block the model is without its critic, as its own files are; adapters may be merged and weights sent elsewhere."""
        delattr(self.base, NAME)
        try:
            yield
        finally:
            self._put_on()

    def save(self, folder: Path, *, writes: bool = True) -> None:
        """Writes the critic beside the weights of a checkpoint; see `ValueModel.save`."""
        self.network.save(folder, writes=writes)

    def load(self, folder: Path) -> None:
        """Puts back what `save` wrote; see `ValueModel.load`."""
        self.network.load(folder)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Inside the block passes give no values, and cost what they cost without a critic: the reference's."""
        self.rests = True
        try:
            yield
        finally:
            self.rests = False

    def own_group(self, optimizer: torch.optim.Optimizer, *, learning_rate: float) -> None:
        """Gives the critic a learning rate of its own: takes its weights out of each group into one that differs by the rate alone."""
        own = {id(parameter) for parameter in self.network.parameters()}
        for group in list(optimizer.param_groups):
            taken = [parameter for parameter in group["params"] if id(parameter) in own]
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in own]
            if taken:
                optimizer.add_param_group({**group, "params": taken, "lr": learning_rate})

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

        With value_at reply a reply is one step: its tokens' rewards are one reward, and the factors between the steps are those that
        stand at the ends of replies.

        Args:
            rewards_BMC: What each token earns, by reward term.
            values_BC: What the critic said before the update.
            ends_BC: Bool; the last tokens of replies.
            valued_BC: Bool; the sampled tokens of completions that have a reward.
            discounts: Of the reward terms; gamma multiplies them.
        """
        settings = self.settings
        places_BC = owners_BC = torch.arange(valued_BC.size(1), device=valued_BC.device).expand(valued_BC.shape)
        if settings.value_at == "reply":
            owners_BC = advantages.reply_starts(ends_BC, valued_BC).where(valued_BC, places_BC)
            rewards_BMC = advantages.gathered_at(rewards_BMC, owners_BC)
            valued_BC, ends_BC = valued_BC & (owners_BC == places_BC), torch.ones_like(ends_BC)
        gammas = [advantages.per_place(settings.gamma * discount, settings.turn_gamma, ends_BC) for discount in discounts]
        lam_BC = advantages.per_place(settings.lam, settings.turn_lam, ends_BC)
        estimated_BC = advantages.advantages_of_types(rewards_BMC, values_BC, valued_BC, gammas_MBC=gammas, lam_BC=lam_BC)
        return Estimate(estimated_BC, (estimated_BC + values_BC) * valued_BC, valued_BC, owners_BC)


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


def value_loss(losses_BC: torch.Tensor, mask_BC: torch.Tensor, *, num_rows: float, num_tokens: float, per_sequence: bool) -> torch.Tensor:
    """Returns a micro-batch's part of the value loss of an optimizer step, a scalar; the parts add up to the whole.

    Args:
        losses_BC: Of each value, as `value_losses` gives them.
        mask_BC: Bool; the values that are to learn.
        num_rows: Completions of the whole step.
        num_tokens: Values of the whole step.
        per_sequence: The mean over completions of the means over their values (loss_type grpo), a completion without any counting as
            0; otherwise the mean over all values.

    Source: per sequence: repository eddycmu/demystify-long-cot at e90cf9b.

    >>> losses, mask = torch.tensor([[2.0, 4.0], [6.0, 9.0]]), torch.tensor([[True, True], [True, False]])
    >>> value_loss(losses, mask, num_rows=2, num_tokens=3, per_sequence=True).item()
    4.5
    >>> value_loss(losses, mask, num_rows=2, num_tokens=3, per_sequence=False).item()
    4.0
    """
    sums_B = (losses_BC * mask_BC).sum(1)
    if per_sequence:
        return (sums_B / mask_BC.sum(1).clamp(min=1)).sum() / max(num_rows, 1.0)
    return sums_B.sum() / max(num_tokens, 1.0)


def rewards_per_token(
    rollouts: Sequence[Rollout], scores: Sequence[Score], rewards: RewardSet, *, sampled_BC: torch.Tensor, clip: float | None = None
) -> torch.Tensor:
    """Returns what each token earns by reward term, weighted, float32 [B, M, C]: a value for the whole completion on its last token.

    Args:
        rollouts: The completions.
        scores: Theirs.
        rewards: The set they were scored by.
        sampled_BC: Bool.
        clip: Bound of each number, both ways; a KL reward comes on top of it. None: no bound.
    """
    by_rollout = [token_rewards(score, rewards, num_tokens=len(one.token_ids)) for one, score in zip(rollouts, scores, strict=True)]
    by_term = [advantages.at_sampled([rows[term] for rows in by_rollout], sampled_BC) for term in range(len(rewards.terms))]
    rewards_BMC = torch.stack(by_term, dim=1)
    return rewards_BMC if clip is None else rewards_BMC.clamp(-clip, clip)


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


def _give_values(model: PreTrainedModel, critic: Critic) -> None:
    """Wraps TRL's fused forward pass so that it returns values too.

    Both forms of labels are known: `labels`, which stand under their tokens, and `shift_labels`, under the states that predict them.
    All else that the pass gets, a backbone of the critic's own gets too. See `add_fused_lm_head` in `seams.SEAMS`.
    """
    fused = model.forward

    @functools.wraps(type(model).forward)  # `generate` checks its arguments against this signature
    def forward(self: PreTrainedModel, *args: Any, **kwargs: Any) -> Any:  # Any: as the model's own
        if critic.rests or not kwargs.get("fused_lm_head"):
            return fused(*args, **kwargs)
        with _last_hidden_states(self.base_model) as caught:
            output = fused(*args, **kwargs)
        network: ValueModel = getattr(self, NAME)
        if network.backbone is None:
            hidden = caught[0].detach() if critic.head_alone else caught[0]
        else:
            inputs = {name: value for name, value in kwargs.items() if name not in _FUSED_KEYS}
            hidden = network.backbone(*args, **inputs, use_cache=False).last_hidden_state
        if kwargs.get("shift_labels") is None:
            hidden = hidden[:, :-1]
        mask = output.label_mask
        values = network.head(hidden.to(mask.device)[mask])
        return ValuedOutput(**output, state_values=values.new_zeros(mask.shape).masked_scatter(mask, values))

    model.forward = types.MethodType(forward, model)


_FUSED_KEYS = frozenset({"fused_lm_head", "labels", "shift_labels", "num_items_in_batch", "use_cache"})
"""What TRL's fused pass keeps from the backbone."""


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
