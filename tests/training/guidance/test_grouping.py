"""Advantages of guided groups, by hand; where nothing is guided they are those of the plain algorithm, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from vlmpost.config.guidance import GroupingConfig
from vlmpost.config.schema import AlgorithmConfig
from vlmpost.errors import ConfigError
from vlmpost.training.credit.baselines import group_advantages
from vlmpost.training.guidance.grouping import Advantages, guided_advantages

NAN = float("nan")
UNSCALED = AlgorithmConfig(scale_rewards="none")


def found_for(
    rewards: Sequence[float],
    *,
    kind: str,
    groups: Sequence[int] | None = None,
    hinted: Sequence[int] = (),
    traces: Sequence[int] = (),
    correct: Sequence[int] = (),
    entropies: Sequence[float] | None = None,
    algorithm: AlgorithmConfig = UNSCALED,
    **keys: Any,  # Any: the keys of GroupingConfig
) -> Advantages:
    """`hinted`, `traces` and `correct` are places."""
    num_rows = len(rewards)

    def at(places: Sequence[int]) -> torch.Tensor:
        return torch.tensor([row in places for row in range(num_rows)])

    return guided_advantages(
        torch.tensor(rewards, dtype=torch.float32).reshape(num_rows, 1),
        [1.0],
        groups_B=torch.tensor(groups or [0] * num_rows),
        hinted_B=at(hinted),
        is_trace_B=at(traces),
        correct_B=at(correct),
        entropies_B=None if entropies is None else torch.tensor(entropies),
        config=GroupingConfig(kind=kind, **keys),
        algorithm=algorithm,
    )


def close(tensor: torch.Tensor, numbers: Sequence[float]) -> bool:
    return torch.allclose(tensor, torch.tensor(numbers), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["rollouts", "with_trace", "plain_baseline"])
@pytest.mark.parametrize("scale", ["group", "none"])
def test_without_guidance_the_advantages_are_the_plain_ones_bit_for_bit(kind: str, scale: str) -> None:
    generator = torch.Generator().manual_seed(0)
    rewards_BM = torch.rand(48, 3, generator=generator)
    rewards_BM[torch.rand(48, 3, generator=generator) < 0.2] = NAN
    rewards_BM[:8] = 0.3
    weights = [1.0, 0.5, 0.1]
    none_B = torch.zeros(48, dtype=torch.bool)
    algorithm = AlgorithmConfig(num_generations=8, scale_rewards=scale)
    found = guided_advantages(
        rewards_BM,
        weights,
        groups_B=torch.arange(6).repeat_interleave(8),
        hinted_B=none_B,
        is_trace_B=none_B,
        correct_B=none_B,
        entropies_B=None,
        config=GroupingConfig(kind=kind),
        algorithm=algorithm,
    )
    plain = group_advantages(rewards_BM, weights, 8, scale_rewards=scale)
    assert torch.equal(found.advantages_B, plain.advantages_B) and torch.equal(found.hint_advantages_B, plain.advantages_B)
    assert torch.equal(found.flat_B, plain.flat_groups_P.repeat_interleave(8))
    assert found.advantages_B.dtype == torch.float32 and bool(found.flat_B[:8].all()) and not found.advantages_B[:8].any()


@pytest.mark.parametrize("estimator", ["rloo", "reinforce_plus_plus_baseline"])
def test_other_estimators_and_batch_scaling_pass_through(estimator: str) -> None:
    rewards = [0.0, 1.0, 1.0, 0.0, 0.0, 3.0]
    expected = group_advantages(torch.tensor(rewards).reshape(6, 1), [1.0], 3, estimator=estimator).advantages_B
    algorithm = AlgorithmConfig(advantage_estimator=estimator, num_generations=3)
    assert torch.equal(found_for(rewards, kind="rollouts", groups=[0, 0, 0, 1, 1, 1], algorithm=algorithm).advantages_B, expected)


def test_rows_of_a_question_need_not_stand_together() -> None:
    # question 4: 0, 1 -> mean 0.5; question 9: 2, 6 -> mean 4
    found = found_for([0.0, 2.0, 1.0, 6.0], kind="rollouts", groups=[4, 9, 4, 9])
    assert close(found.advantages_B, [-0.5, -2.0, 0.5, 2.0])


def test_rollouts_are_compared_with_those_hinted_alike() -> None:
    # plain 0, 0, 1: mean 1/3; hinted 1, 0: mean 1/2; the trace is compared with nothing
    found = found_for([0.0, 0.0, 1.0, 1.0, 0.0, 5.0], kind="rollouts", hinted=[3, 4], traces=[5])
    assert close(found.advantages_B, [-1 / 3, -1 / 3, 2 / 3, 0.5, -0.5, 0.0])
    assert close(found.hint_advantages_B, [-1 / 3, -1 / 3, 2 / 3, 0.5, -0.5, 0.0])
    assert not found.flat_B.any()


def test_groups_of_different_sizes_have_their_own_mean_and_deviation() -> None:
    # 0, 1: mean 0.5, deviation sqrt(0.5) = 0.70711 -> 0.5 / 0.70721 = 0.70700; 0, 0, 3: mean 1, deviation sqrt(3) = 1.73205
    # -> 1 / 1.73215 = 0.57732, 2 / 1.73215 = 1.15463; one alone is flat
    found = found_for([0.0, 1.0, 0.0, 0.0, 3.0, 7.0], kind="rollouts", groups=[0, 0, 1, 1, 1, 2], algorithm=AlgorithmConfig())
    assert found.advantages_B.tolist() == pytest.approx([-0.70700, 0.70700, -0.57732, -0.57732, 1.15463, 0.0], abs=1e-5)
    assert found.flat_B.tolist() == [False, False, False, False, False, True]


def test_luffy_compares_seven_rollouts_and_their_trace() -> None:
    # 7 rollouts, one right, and the trace's 1: mean 2/8; unscaled
    found = found_for([1.0, 0, 0, 0, 0, 0, 0, 1.0], kind="with_trace", traces=[7])
    assert close(found.advantages_B, [0.75, -0.25, -0.25, -0.25, -0.25, -0.25, -0.25, 0.75])


def test_prefix_rft_centres_the_hinted_rollout_on_the_plain_ones() -> None:
    # plain 1, 0, 0, 0, 1, 0, 0: mean 2/7; hinted, right: 1 - 2/7 = 5/7 for hint and continuation
    found = found_for([1.0, 0, 0, 0, 1.0, 0, 0, 1.0], kind="plain_baseline", hinted=[7])
    plain = [5 / 7, -2 / 7, -2 / 7, -2 / 7, 5 / 7, -2 / 7, -2 / 7]
    assert close(found.advantages_B, [*plain, 5 / 7]) and close(found.hint_advantages_B, [*plain, 5 / 7])
    assert not found.flat_B.any()


def test_prefix_rfts_own_continuation_has_the_bare_reward() -> None:
    found = found_for([1.0, 0, 0, 0, 1.0, 0, 0, 1.0], kind="plain_baseline", hinted=[7], continuation="raw")
    assert found.advantages_B[7].item() == 1.0 and found.hint_advantages_B[7].item() == pytest.approx(5 / 7)


def test_a_hinted_rollout_stands_out_where_all_plain_ones_fail() -> None:
    # plain ones are flat; hinted: 1 - 0. Scaled: deviation of 0, 0, 0, 1 is sqrt(0.75 / 3) = 0.5 -> 1 / 0.5001 = 1.99960
    rewards = [0.0, 0.0, 0.0, 1.0]
    found = found_for(rewards, kind="plain_baseline", hinted=[3])
    assert close(found.advantages_B, [0, 0, 0, 1.0]) and found.flat_B.tolist() == [True, True, True, False]
    scaled = found_for(rewards, kind="plain_baseline", hinted=[3], algorithm=AlgorithmConfig())
    assert scaled.advantages_B.tolist() == pytest.approx([0, 0, 0, 1.99960], abs=1e-5)


def test_equal_rewards_are_equal_though_their_mean_is_rounded() -> None:
    # in float64 the mean of ten times the float32 0.1 may differ from it in the last bit
    found = found_for([0.1] * 11, kind="plain_baseline", hinted=[10])
    assert not found.advantages_B.any() and not found.hint_advantages_B.any() and bool(found.flat_B.all())


def test_a_rollout_without_a_reward_has_no_advantage_and_moves_no_mean() -> None:
    # plain 1, NaN, 0: mean 0.5; hinted NaN: nothing
    for continuation in ("centred", "raw"):
        found = found_for([1.0, NAN, 0.0, NAN], kind="plain_baseline", hinted=[3], continuation=continuation)
        assert close(found.advantages_B, [0.5, 0.0, -0.5, 0.0]) and close(found.hint_advantages_B, [0.5, 0.0, -0.5, 0.0])
    assert close(found_for([1.0, NAN, 0.0], kind="with_trace", traces=[2]).advantages_B, [0.5, 0.0, -0.5])
    signed = found_for([1.0, NAN], kind="signed", correct=[0], entropies=[0.0, 0.0])
    assert close(signed.advantages_B, [0.1, 0.0])


def test_plain_baseline_needs_a_plain_rollout_of_each_hinted_question() -> None:
    with pytest.raises(ConfigError, match=r"guidance.hint.rollouts"):
        found_for([1.0, 0.0, 1.0, 0.0], kind="plain_baseline", groups=[0, 0, 1, 1], hinted=[1, 2, 3])


@pytest.mark.parametrize("keys", [{"scale_rewards": "batch"}, {"advantage_estimator": "rloo"}])
def test_plain_baseline_refuses_comparisons_that_it_does_not_know(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"guidance.grouping.kind is plain_baseline"):
        found_for([1.0, 0.0], kind="plain_baseline", algorithm=AlgorithmConfig(**keys))


def test_srft_weighs_right_rollouts_by_their_entropy_and_takes_one_from_wrong_ones() -> None:
    # right: 0.1 e^ln 3 = 0.3 and 0.1 e^0 = 0.1; wrong: -1; the trace as in a group of all: 1 - (1 + 1 + 0 + 1) / 4 = 1/4
    found = found_for([1.0, 1.0, 0.0, 1.0], kind="signed", correct=[0, 1, 3], entropies=[math.log(3), 0.0, 2.0, 0.0], traces=[3])
    assert close(found.advantages_B, [0.3, 0.1, -1.0, 0.25])
    assert not found.flat_B.any()


def test_right_is_what_was_judged_and_not_what_was_rewarded() -> None:
    found = found_for([0.1, 0.1], kind="signed", correct=[1], entropies=[0.0, 0.0], right_weight=0.5)
    assert close(found.advantages_B, [-1.0, 0.5])


def test_terms_are_weighed_as_they_are_without_guidance() -> None:
    # totals 0.9 x 1 + 0.1 x 1 = 1, 0.1; mean 0.55
    found = guided_advantages(
        torch.tensor([[1.0, 1.0], [0.0, 1.0]]),
        [0.9, 0.1],
        groups_B=torch.tensor([0, 0]),
        hinted_B=torch.tensor([False, True]),
        is_trace_B=torch.tensor([False, False]),
        correct_B=torch.tensor([True, False]),
        entropies_B=None,
        config=GroupingConfig(kind="plain_baseline"),
        algorithm=UNSCALED,
    )
    assert close(found.advantages_B, [0.0, -0.9])  # one plain rollout has none to be compared with; hinted: 0.1 - 1


@pytest.mark.parametrize("kind", ["rollouts", "plain_baseline"])
def test_traces_alone_are_compared_with_nothing(kind: str) -> None:
    found = found_for([1.0, 0.0], kind=kind, traces=[0, 1])
    assert close(found.advantages_B, [0.0, 0.0]) and not found.flat_B.any()
