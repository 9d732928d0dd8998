r"""Which rollouts an advantage compares, when some of a question begin with a hint or stand beside its trace. Pure functions of tensors.

Legend: B rows of all processes, in any order; M reward terms; P sets of rows that are compared; S places of the largest set.
A row is a rollout, plain or hinted, or a trace. With $r$ the weighted sum of a row's rewards and $H$ the mean entropy of its tokens:

| kind | compared | advantage |
|---|---|---|
| rollouts | a question's rollouts that are hinted alike | the algorithm's (`baselines`) |
| with_trace | a question's rollouts and its trace | the algorithm's |
| plain_baseline | a question's plain rollouts | the algorithm's; hinted ones r - mean of the plain ones |
| signed | none | right: right_weight e^H, wrong: -1; a trace as in with_trace |

Groups may differ in size: a smaller one is filled up with rewards that do not apply (NaN), which `baselines` leaves out. Where nothing
is guided, all kinds but `signed` are `baselines.group_advantages` of the batch as it is, bit for bit.

plain_baseline with scale_rewards group divides a hinted rollout's difference by the standard deviation of all rollouts of its question:
plain ones that all fail have none of their own. With `continuation: raw` the generated tokens of a hinted rollout have its bare reward,
its hint the difference.

Source: with_trace: LUFFY, ElliottYan/LUFFY at 01f4ae0, `compute_grpo_outcome_advantage` with the trace under its question's uid;
plain_baseline: Prefix-RFT, ZeroYuHuang/prefix_rft at 5f5d2a1, `compute_dr_grpo_prefix_outcome_advantage`, continuation raw; signed:
SRFT as in TsinghuaC3I/Unify-Post-Training at ae332f5, `compute_token_on_off_policy_srft_loss`.

Departures: 1. SRFT reads $H$ anew in each forward pass; here it is that of the sampling. 2. Prefix-RFT compares a group of one with 0
where it has no second rollout; here one rollout alone has advantage 0, but for `continuation: raw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vlmpost.config.guidance import GroupingConfig
from vlmpost.config.schema import AlgorithmConfig
from vlmpost.errors import ConfigError
from vlmpost.training.credit.baselines import STD_FLOOR, group_advantages, nanstd, total_rewards


@dataclass(frozen=True, slots=True)
class Advantages:
    """What the rewards of a guided batch come to; all [B]."""

    advantages_B: torch.Tensor
    """Float32, for generated tokens, and for a trace's; 0 for rows without a reward and for traces that nothing compares."""
    hint_advantages_B: torch.Tensor
    """Float32, for hint tokens."""
    flat_B: torch.Tensor
    """Bool: the row was compared, and those it was compared with earned the same, or there were none."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a batch, as `guided_advantages` got them."""

    rewards_BM: torch.Tensor
    weights_M: Sequence[float]
    groups_B: torch.Tensor
    hinted_B: torch.Tensor
    is_trace_B: torch.Tensor
    algorithm: AlgorithmConfig

    @property
    def totals_B(self) -> torch.Tensor:
        """Float64, NaN for a row without a reward."""
        weights_M = torch.tensor(list(self.weights_M), dtype=torch.float64, device=self.rewards_BM.device)
        return total_rewards(self.rewards_BM.double(), weights_M)


def guided_advantages(
    rewards_BM: torch.Tensor,
    weights_M: Sequence[float],
    *,
    groups_B: torch.Tensor,
    hinted_B: torch.Tensor,
    is_trace_B: torch.Tensor,
    correct_B: torch.Tensor,
    entropies_B: torch.Tensor | None,
    config: GroupingConfig,
    algorithm: AlgorithmConfig,
) -> Advantages:
    """Returns the advantages of a guided batch.

    Args:
        rewards_BM: As the terms gave them, before weighting; NaN: does not apply.
        weights_M: Of the terms.
        groups_B: Int64; rows of one question share a number.
        hinted_B: Bool; rollouts that begin with a hint.
        is_trace_B: Bool; traces.
        correct_B: Bool; judged right; read by `signed` alone.
        entropies_B: Mean entropy in nats of each rollout's generated tokens; None where nothing is `signed`.
        config: The kind.
        algorithm: How rewards are compared.

    Raises:
        ConfigError: plain_baseline with an estimator that it does not know, or a question whose rollouts are all hinted.
    """
    rows = _Rows(rewards_BM, weights_M, groups_B, hinted_B, is_trace_B, algorithm)
    if config.kind == "plain_baseline":
        return _against_plain(rows, raw=config.continuation == "raw")
    if config.kind == "signed":
        assert entropies_B is not None, "signed advantages need entropies"
        return _signed(rows, correct_B, entropies_B, right_weight=config.right_weight)
    if config.kind == "with_trace":
        advantages_B, flat_B = _compared(rows, groups_B, torch.ones_like(is_trace_B))
    else:
        advantages_B, flat_B = _compared(rows, 2 * groups_B + hinted_B.long(), ~is_trace_B)
    return Advantages(advantages_B, advantages_B, flat_B)


def _compared(rows: _Rows, labels_B: torch.Tensor, members_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages [B] of the members among those of their label, 0 elsewhere, and which of them are flat."""
    settings = rows.algorithm
    indices_PS = _laid_out(labels_B, members_B)
    there_PS = indices_PS >= 0
    num_places = indices_PS.size(1)
    rewards_PSM = rows.rewards_BM[indices_PS.clamp(min=0)].masked_fill(~there_PS[..., None], float("nan"))
    found = group_advantages(
        rewards_PSM.flatten(0, 1),
        rows.weights_M,
        num_places,
        scale_rewards=settings.scale_rewards,
        aggregation=settings.multi_objective_aggregation,
        estimator=settings.advantage_estimator,
    )
    advantages_B = torch.zeros(labels_B.shape, dtype=torch.float32, device=labels_B.device)
    flat_B = torch.zeros_like(members_B)
    advantages_B[indices_PS[there_PS]] = found.advantages_B[there_PS.flatten()]
    flat_B[indices_PS[there_PS]] = found.flat_groups_P.repeat_interleave(num_places)[there_PS.flatten()]
    return advantages_B, flat_B


def _laid_out(labels_B: torch.Tensor, members_B: torch.Tensor) -> torch.Tensor:
    """Int64 [P, S]: the rows of each label in order, -1 in the places that a smaller set leaves; never fewer than two places."""
    by_label: dict[int, list[int]] = {}
    for row, (label, member) in enumerate(zip(labels_B.tolist(), members_B.tolist(), strict=True)):
        if member:
            by_label.setdefault(label, []).append(row)
    num_places = max([2, *map(len, by_label.values())])
    padded = [[*rows, *[-1] * (num_places - len(rows))] for rows in by_label.values()]
    return torch.tensor(padded, dtype=torch.int64, device=labels_B.device).reshape(-1, num_places)


def _against_plain(rows: _Rows, *, raw: bool) -> Advantages:
    settings = rows.algorithm
    known = settings.advantage_estimator == "group" and settings.multi_objective_aggregation == "sum_then_normalize"
    if not known or settings.scale_rewards == "batch":
        raise ConfigError(
            "guidance.grouping.kind is plain_baseline, which compares rewards by algorithm: {advantage_estimator: group, "
            f"multi_objective_aggregation: sum_then_normalize, scale_rewards: group or none}}, and got {settings.advantage_estimator}, "
            f"{settings.multi_objective_aggregation}, {settings.scale_rewards}. Change those, or grouping.kind."
        )
    rollouts_B = ~rows.is_trace_B
    hinted_B = rows.hinted_B & rollouts_B
    plain_B = rollouts_B & ~rows.hinted_B
    if not set(rows.groups_B[hinted_B].tolist()) <= set(rows.groups_B[plain_B].tolist()):
        raise ConfigError(
            "guidance.grouping.kind is plain_baseline, and all rollouts of a question begin with a hint: there is no plain one to "
            "compare them with. Give guidance.hint.rollouts below algorithm.num_generations."
        )
    advantages_B, flat_B = _compared(rows, rows.groups_B, plain_B)
    totals_B = rows.totals_B
    means_B, _ = _moments(totals_B, rows.groups_B, plain_B)
    _, stds_B = _moments(totals_B, rows.groups_B, rollouts_B)
    same_B = (totals_B.float() == means_B.float()) | totals_B.isnan() | means_B.isnan()
    scale_B = 1.0 if settings.scale_rewards == "none" else stds_B + STD_FLOOR
    differences_B = ((totals_B - means_B) / scale_B).masked_fill(same_B, 0.0).float()
    hint_advantages_B = torch.where(hinted_B, differences_B, advantages_B)
    continued_B = totals_B.nan_to_num(nan=0.0).float() if raw else differences_B
    return Advantages(torch.where(hinted_B, continued_B, advantages_B), hint_advantages_B, torch.where(hinted_B, same_B, flat_B))


def _moments(totals_B: torch.Tensor, groups_B: torch.Tensor, members_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation [B] over the members of each row's question; NaN where it has too few with a reward."""
    means_B, stds_B = torch.full_like(totals_B, float("nan")), torch.full_like(totals_B, float("nan"))
    for group in groups_B.unique().tolist():
        own_B = groups_B == group
        members = totals_B[own_B & members_B]
        means_B[own_B], stds_B[own_B] = members.nanmean(), nanstd(members).squeeze()
    return means_B, stds_B


def _signed(rows: _Rows, correct_B: torch.Tensor, entropies_B: torch.Tensor, *, right_weight: float) -> Advantages:
    signs_B = torch.where(correct_B, right_weight * entropies_B.float().exp(), -1.0)
    signs_B = signs_B.masked_fill(rows.totals_B.isnan(), 0.0)
    compared_B, flat_B = _compared(rows, rows.groups_B, torch.ones_like(rows.is_trace_B))
    advantages_B = torch.where(rows.is_trace_B, compared_B, signs_B)
    return Advantages(advantages_B, advantages_B, flat_B & rows.is_trace_B)
