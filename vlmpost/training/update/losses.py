r"""The policy losses of the GRPO family, as pure functions of tensors: ratio, clip, KL term, masks, and what the sum is divided by.

Legend: B completions, C places of the padded completions, X is C or 1: what a ratio is of. A mask marks the tokens that are trained.
All per-token numbers are float32; log-probabilities and entropies carry gradients.

With $w = \pi / \pi_{old}$ of a token (level `token`), the geometric mean over the completion (`sequence`) or the product over it
(`reply`), $A$ the advantage and $l = \log \pi$: the loss of a token, and what the sum over an optimizer step is divided by.

| loss_type | loss of a token | clip | divided by | arXiv |
|---|---|---|---|---|
| grpo | -min(w A, clip(w) A) | 1 - epsilon .. 1 + epsilon_high | own length, then completions | 2402.03300 |
| dr_grpo | the same | the same | completions x max_completion_length | 2503.20783 |
| dapo | the same | the same, epsilon_high 0.28 | tokens of the batch of rollouts / its steps | 2503.14476 |
| bnpo | the same | the same | tokens of the step | none; TRL |
| luspo | the same, level sequence | the same | completions | 2602.05261 |
| cispo | -min(w, epsilon_high) A l, weight detached | above only | as dapo | 2506.13585 |
| sapo | -(4 / t) sigmoid(t (w - 1)) A, t by the sign of A | soft | as grpo | 2511.20347 |
| vespo | -phi(w) A l, w of the reply, phi detached | soft: w^k e^(c (1 - w)) | as dapo | 2602.10693 |

GSPO (2507.18071) is grpo at level sequence. `delta` bounds w from above where A < 0 (two-sided clipping, 2505.07291); with delta 10 at
level reply that is the rule of 2501.17161, "over a ratio of 10 only the clipped term": no gradient there, as with theirs.
`off_policy_mask_threshold` drops completions with A < 0 that drifted too far and `use_bias_correction_kl` weighs the KL term
$e^d - d - 1$, $d = \log \pi_{ref} - l$ (k3), by w: both DeepSeek-V3.2, 2512.02556. `top_entropy_quantile` keeps the most uncertain tokens
(2506.01939). What these masks drop leaves the sum and not the divisor; rows that `policy_mask_B` drops leave both, but for KL and entropy.

Departures from TRL 1.16: 1. divisors are those of the whole optimizer step (`StepTotals`), so that its forward passes add up to one loss
however it is cut, where TRL averages over passes, and bnpo, grpo and the like then depend on their sizes; with one pass to a step, on one
process, the numbers are TRL's; 2. so does the entropy bonus, each pass weighed by its tokens; 3. level `reply`; 4. `policy_mask_B`;
5. what the sampler's ratios are at padding does not count in vespo; 6. the balancing loss of a mixture of experts is left to the trainer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

LossType = Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"]
Level = Literal["token", "sequence", "reply"]
CLIPPED: tuple[LossType, ...] = ("grpo", "dr_grpo", "dapo", "bnpo", "luspo")

LOG_FLOOR = math.log(1e-8)
LOG_CEILING = 20.0
"""Bounds of vespo's log-weights, as in its authors' code and TRL's."""


@dataclass(frozen=True, slots=True)
class StepTotals:
    """What the sums of one optimizer step are divided by. Of this process, or of all processes divided by their number."""

    num_rows: float
    """Completions, also those without a token to train."""
    num_tokens: float
    """Tokens under the mask."""
    num_items: float
    """For dapo, cispo and vespo: tokens of the batch of rollouts, all processes, / processes / optimizer steps that share it."""

    @classmethod
    def of(cls, mask_BC: torch.Tensor, *, num_items: float | None = None) -> StepTotals:
        """The totals of the rows of one optimizer step; without `num_items`, its tokens are the items."""
        num_tokens = float(mask_BC.sum())
        return cls(float(mask_BC.shape[0]), num_tokens, num_tokens if num_items is None else num_items)


@dataclass(frozen=True, slots=True)
class LossParts:
    """The loss of one forward pass and, detached, what can be said of it. Parts of the passes of an optimizer step add up."""

    loss: torch.Tensor
    policy_loss: torch.Tensor
    """The loss without the entropy bonus; TRL's metric of this name."""
    bonus_entropy: torch.Tensor
    """(sum, count) of the entropies that the bonus acts on: their mean over the step is for `EntropyCoefficient.update`."""
    sums: Mapping[str, torch.Tensor]
    """Metrics by TRL's names, each as (sum, count): over passes and processes both add up, and the mean is their quotient."""
    smallest: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Metrics of which the least over passes and processes counts; infinite where no completion has a token."""
    largest: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Metrics of which the greatest counts."""


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """A loss of the family: its settings, and the loss of a forward pass. Names, meanings and defaults are those of TRL's `GRPOConfig`."""

    loss_type: LossType = "dapo"
    importance_sampling_level: Level = "token"
    epsilon: float = 0.2
    epsilon_high: float = 0.2
    delta: float | None = None
    beta: float = 0.0
    use_bias_correction_kl: bool = True
    top_entropy_quantile: float = 1.0
    off_policy_mask_threshold: float | None = None
    has_entropy_bonus: bool = False
    """Whether a coefficient other than 0 may come, now or later."""
    sapo_temperature_pos: float = 1.0
    sapo_temperature_neg: float = 1.05
    vespo_k_pos: float = 2.0
    vespo_lambda_pos: float = 3.0
    vespo_k_neg: float = 3.0
    vespo_lambda_neg: float = 2.0
    max_completion_length: int = 512
    """What dr_grpo divides by."""

    @classmethod
    def from_arguments(cls, args: Any, *, importance_sampling_level: Level | None = None) -> PolicyLoss:  # Any: TRL's GRPOConfig
        """The loss that TRL's `GRPOConfig` describes; the level may be one that TRL does not know."""
        computed = {"epsilon_high", "has_entropy_bonus", "importance_sampling_level"}
        same = {name: getattr(args, name) for name in cls.__dataclass_fields__ if name not in computed}
        return cls(
            **same,
            epsilon_high=args.epsilon if args.epsilon_high is None else args.epsilon_high,
            has_entropy_bonus=args.entropy_coef != 0 or args.use_adaptive_entropy,
            importance_sampling_level=importance_sampling_level or args.importance_sampling_level,
        )

    def __call__(
        self,
        *,
        logps_BC: torch.Tensor,
        entropies_BC: torch.Tensor,
        mask_BC: torch.Tensor,
        advantages_BC: torch.Tensor,
        totals: StepTotals,
        old_logps_BC: torch.Tensor | None = None,
        ref_logps_BC: torch.Tensor | None = None,
        policy_mask_B: torch.Tensor | None = None,
        policy_totals: StepTotals | None = None,
        entropy_threshold: torch.Tensor | None = None,
        entropy_coef: float = 0.0,
        sampling_logps_BC: torch.Tensor | None = None,
        sampling_ratio_BX: torch.Tensor | None = None,
        reply_starts_BC: torch.Tensor | None = None,
    ) -> LossParts:
        """Returns the share of these rows in the loss of their optimizer step.

        Args:
            logps_BC: Log-probabilities of the tokens, at the temperature they were sampled with.
            entropies_BC: Of the distributions they were sampled from, in nats.
            mask_BC: Bool; the tokens that are trained.
            advantages_BC: Or [B]: one for the whole completion.
            totals: Of all rows of the optimizer step.
            old_logps_BC: Under the weights that sampled; None: these weights, ratios are 1.
            ref_logps_BC: Under the reference; only with beta.
            policy_mask_B: Bool; the rows whose policy term counts. None: all.
            policy_totals: Of the rows of the step under `policy_mask_B`. None: `totals`.
            entropy_threshold: From `entropy_threshold`; only with top_entropy_quantile < 1.
            entropy_coef: Weight of the entropy bonus, `EntropyCoefficient.current`.
            sampling_logps_BC: As the sampler gave them, for the off-policy mask; NaN where it gave none. None: `old_logps_BC`.
            sampling_ratio_BX: Ratio of old to sampling probabilities, bounded: the correction for a sampler with its own kernels.
            reply_starts_BC: Int64; for each trained token the place of its reply's first one, where a completion has several replies and
                the level is reply. None: a completion is one reply.
        """
        assert (ref_logps_BC is None) == (self.beta == 0), "the reference goes with beta"
        assert (entropy_threshold is None) == (self.top_entropy_quantile == 1), "the threshold goes with top_entropy_quantile"
        trained_BC = mask_BC.float()
        advantages_BX = advantages_BC[:, None] if advantages_BC.dim() == 1 else advantages_BC
        old_logps_BC = logps_BC.detach() if old_logps_BC is None else old_logps_BC
        log_ratio_BC = (logps_BC - old_logps_BC).masked_fill(trained_BC == 0, 0.0)
        level = self.importance_sampling_level
        ratio_BX = log_importance(log_ratio_BC, trained_BC, level=level, reply_starts_BC=reply_starts_BC).exp()
        sums = {"entropy": _sum_and_count(entropies_BC, trained_BC)}

        losses_BX, weights = self._policy_term(ratio_BX, log_ratio_BC, advantages_BX, logps_BC, trained_BC, sampling_ratio_BX)
        uncertain_BC = trained_BC if entropy_threshold is None else trained_BC * (entropies_BC >= entropy_threshold)
        counted_BC = uncertain_BC if policy_mask_B is None else uncertain_BC * policy_mask_B[:, None]
        if self.off_policy_mask_threshold is not None:
            drift_B1 = mean_drift(logps_BC, old_logps_BC if sampling_logps_BC is None else sampling_logps_BC, trained_BC)
            counted_BC = counted_BC * ((advantages_BX >= 0) | (drift_B1 <= self.off_policy_mask_threshold))
        # The KL term joins before the sum: where the two all but cancel, two sums would round differently from TRL's one.
        losses_BC = losses_BX * counted_BC * (self._divisor(totals) / self._divisor(policy_totals or totals))
        if ref_logps_BC is not None:
            kl_BC = kl_to_reference(logps_BC, ref_logps_BC) * (ratio_BX if self.use_bias_correction_kl else 1.0)
            losses_BC = losses_BC + self.beta * kl_BC * trained_BC
            sums["kl"] = _sum_and_count(kl_BC, trained_BC)
        loss = self._summed(losses_BC, trained_BC) / self._divisor(totals)

        policy_loss = loss.detach()
        bonus_entropy = torch.stack([(entropies_BC * uncertain_BC).sum(), uncertain_BC.sum()])
        if entropy_coef:
            share = trained_BC.sum() / (totals.num_tokens or 1.0)
            loss = loss - entropy_coef * share * bonus_entropy[0] / bonus_entropy[1].clamp(min=1.0)
        clips, smallest, largest = self._clip_figures(ratio_BX.detach(), advantages_BX, trained_BC)
        return LossParts(loss, policy_loss, bonus_entropy.detach(), sums | weights | clips, smallest, largest)

    def has_no_gradient(
        self, advantages_BC: torch.Tensor, mask_BC: torch.Tensor, *, policy_mask_B: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Returns bool [B]: the rows that may miss the forward pass without changing the loss of the step or its gradient.

        Those whose policy term is 0 at any ratio, for every loss type (each multiplies the advantage), where there is neither a KL
        term nor an entropy bonus. Their share stays in `StepTotals`. They are then missing from the means of entropy and clipping.
        Not for a critic, which learns from them. With top_entropy_quantile < 1 no row may miss: all entropies make the threshold.
        """
        if self.beta or self.has_entropy_bonus or self.top_entropy_quantile < 1:
            return torch.zeros(mask_BC.shape[0], dtype=torch.bool, device=mask_BC.device)
        advantages_BX = advantages_BC[:, None] if advantages_BC.dim() == 1 else advantages_BC
        silent_B = ((advantages_BX == 0) | ~mask_BC.bool()).all(dim=1)
        return silent_B if policy_mask_B is None else silent_B | ~policy_mask_B

    def _policy_term(
        self,
        ratio_BX: torch.Tensor,
        log_ratio_BC: torch.Tensor,
        advantages_BX: torch.Tensor,
        logps_BC: torch.Tensor,
        trained_BC: torch.Tensor,
        sampling_ratio_BX: torch.Tensor | None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The policy loss of each token, or of each completion, before any mask; and vespo's metric."""
        if self.loss_type == "vespo":
            phi_BX = self._gamma_weights(log_ratio_BC.detach(), advantages_BX, trained_BC, sampling_ratio_BX)
            return -phi_BX * advantages_BX * logps_BC, {"vespo/phi_seq_mean": _sum_and_count(phi_BX, trained_BC)}
        if self.loss_type == "cispo":
            losses_BX = -ratio_BX.clamp(max=self.epsilon_high).detach() * advantages_BX * logps_BC
        elif self.loss_type == "sapo":
            temperature_BX = torch.where(advantages_BX > 0, self.sapo_temperature_pos, self.sapo_temperature_neg)
            losses_BX = -torch.sigmoid(temperature_BX * (ratio_BX - 1)) * 4 / temperature_BX * advantages_BX
        else:
            held_BX = ratio_BX.clamp(1 - self.epsilon, 1 + self.epsilon_high)
            losses_BX = -torch.minimum(self._bounded(ratio_BX) * advantages_BX, held_BX * advantages_BX)
        return (losses_BX if sampling_ratio_BX is None else losses_BX * sampling_ratio_BX), {}

    def _bounded(self, ratio_BX: torch.Tensor) -> torch.Tensor:
        """The ratio under the second, upper clip."""
        return ratio_BX if self.delta is None else ratio_BX.clamp(max=self.delta)

    def _gamma_weights(
        self, log_ratio_BC: torch.Tensor, advantages_BX: torch.Tensor, trained_BC: torch.Tensor, sampling_ratio_BX: torch.Tensor | None
    ) -> torch.Tensor:
        """vespo's phi(w) = e^c w^k e^(-c w) with w of the whole reply, by the sign of the advantage; [B, 1] or as the advantages."""
        log_weight_B1 = (log_ratio_BC.clamp(-LOG_CEILING, LOG_CEILING) * trained_BC).sum(1, keepdim=True)
        if sampling_ratio_BX is not None:
            log_sampling_BX = sampling_ratio_BX.log().clamp(LOG_FLOOR, LOG_CEILING)
            per_token = sampling_ratio_BX.shape == trained_BC.shape
            log_weight_B1 = log_weight_B1 + (log_sampling_BX * trained_BC if per_token else log_sampling_BX).sum(1, keepdim=True)
        log_weight_B1 = log_weight_B1.clamp(LOG_FLOOR, LOG_CEILING)
        power_BX = torch.where(advantages_BX >= 0, self.vespo_k_pos, self.vespo_k_neg)
        decay_BX = torch.where(advantages_BX >= 0, self.vespo_lambda_pos, self.vespo_lambda_neg).clamp(min=1e-4)
        log_phi_BX = decay_BX + power_BX * log_weight_B1 - decay_BX * log_weight_B1.exp()
        return log_phi_BX.exp().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    def _summed(self, losses_BC: torch.Tensor, trained_BC: torch.Tensor) -> torch.Tensor:
        """The sum of masked losses, of tokens or of completions' own means."""
        if self.loss_type in ("grpo", "sapo"):
            return (losses_BC.sum(1) / trained_BC.sum(1).clamp(min=1.0)).sum()
        return losses_BC.sum(1).sum() if self.loss_type == "luspo" else losses_BC.sum()

    def _divisor(self, totals: StepTotals) -> float:
        """What this loss type divides the sum of an optimizer step by."""
        divisors = {
            "grpo": totals.num_rows,
            "sapo": totals.num_rows,
            "luspo": totals.num_rows,
            "dr_grpo": totals.num_rows * self.max_completion_length,
            "bnpo": totals.num_tokens,
        }
        return divisors.get(self.loss_type, totals.num_items) or 1.0  # of several processes it may be less than 1

    def _clip_figures(
        self, ratio_BX: torch.Tensor, advantages_BX: torch.Tensor, trained_BC: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """How many ratios are clipped, as (sums, smallest, largest) of `LossParts`."""
        if self.loss_type == "cispo":
            return {"cispo_clip_ratio": _sum_and_count((ratio_BX > self.epsilon_high) & (advantages_BX > 0), trained_BC)}, {}, {}
        if self.loss_type not in CLIPPED:
            return {}, {}, {}
        free_BX = self._bounded(ratio_BX)
        low_BX = (free_BX < 1 - self.epsilon) & (advantages_BX < 0)
        high_BX = (free_BX > 1 + self.epsilon_high) & (advantages_BX > 0)
        shares = {"low": low_BX, "high": high_BX, "region": low_BX | high_BX}
        sums = {f"clip_ratio/{name}_mean": _sum_and_count(clipped_BX, trained_BC) for name, clipped_BX in shares.items()}
        smallest = {"clip_ratio/low_min": _row_means(low_BX, trained_BC).nan_to_num(nan=math.inf).amin()}
        largest = {"clip_ratio/high_max": _row_means(high_BX, trained_BC).nan_to_num(nan=-math.inf).amax()}
        return sums, smallest, largest


def log_importance(
    log_ratio_BC: torch.Tensor, trained_BC: torch.Tensor, *, level: Level, reply_starts_BC: torch.Tensor | None = None
) -> torch.Tensor:
    """Returns the logarithms of the ratios that a level speaks of: [B, C] of the tokens, or of their replies, or [B, 1] of the completions.

    >>> ratios, trained = torch.tensor([[0.5, 0.25, 9.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    >>> log_importance(ratios, trained, level="sequence").item(), log_importance(ratios, trained, level="reply").item()
    (0.375, 0.75)
    """
    if level == "token":
        return log_ratio_BC
    if level == "reply" and reply_starts_BC is not None:
        starts_BC = reply_starts_BC.clamp(max=log_ratio_BC.shape[1] - 1)
        sums_BC = torch.zeros_like(log_ratio_BC).scatter_add(1, starts_BC, log_ratio_BC * trained_BC)
        return sums_BC.gather(1, starts_BC)
    of_reply_B1 = (log_ratio_BC * trained_BC).sum(1, keepdim=True)
    return of_reply_B1 if level == "reply" else of_reply_B1 / trained_BC.sum(1, keepdim=True).clamp(min=1.0)


def kl_to_reference(logps_BC: torch.Tensor, ref_logps_BC: torch.Tensor) -> torch.Tensor:
    """Returns the k3 estimate of each token's KL divergence to the reference, e^d - d - 1 with d the reference's log-ratio.

    Source: http://joschu.net/blog/kl-approx.html; DeepSeekMath (arXiv 2402.03300), equation 4.
    """
    difference_BC = ref_logps_BC - logps_BC
    return difference_BC.exp() - difference_BC - 1


def mean_drift(logps_BC: torch.Tensor, sampled_BC: torch.Tensor, trained_BC: torch.Tensor) -> torch.Tensor:
    """Returns how far a completion's tokens went from where they were sampled, the mean of log(sampled / now), [B, 1].

    A token the sampler could not score (NaN) says nothing.
    """
    drift_BC = torch.nan_to_num(sampled_BC - logps_BC.detach(), nan=0.0)
    return (drift_BC * trained_BC).sum(1, keepdim=True) / trained_BC.sum(1, keepdim=True).clamp(min=1.0)


def _sum_and_count(figures_BX: torch.Tensor, trained_BC: torch.Tensor) -> torch.Tensor:
    """(sum, count) over the trained tokens, or over the completions for one figure each."""
    figures_BX = figures_BX.detach().to(trained_BC.dtype)
    if figures_BX.shape != trained_BC.shape:
        return torch.stack([figures_BX.sum(), torch.full_like(figures_BX.sum(), figures_BX.shape[0])])
    return torch.stack([(figures_BX * trained_BC).sum(), trained_BC.sum()])


def _row_means(figures_BX: torch.Tensor, trained_BC: torch.Tensor) -> torch.Tensor:
    """The mean of each completion, [B]; NaN where it has no trained token."""
    if figures_BX.shape != trained_BC.shape:
        return figures_BX.squeeze(1).to(trained_BC.dtype)
    return (figures_BX * trained_BC).sum(1) / trained_BC.sum(1)
