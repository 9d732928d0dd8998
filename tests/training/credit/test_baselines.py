"""Advantages by comparison: by hand, and against TRL's formula in float32."""

from __future__ import annotations

import math

import pytest
import torch
from trl.trainer.utils import nanstd as trl_nanstd

from vlmpost.errors import ConfigError
from vlmpost.training.credit.baselines import GroupAdvantages, flat_groups, group_advantages, nanstd, total_rewards

NAN = math.nan
ONE_GROUP = [0.0, 1.0, 1.0, 0.0]
TWO_GROUPS = torch.tensor([[0.0], [1.0], [1.0], [0.0], [1.0], [1.0], [1.0], [4.0]])


def advantages_of(rewards: list[float] | torch.Tensor, *, group: int = 4, **settings: object) -> list[float]:
    """Of one term with weight 1."""
    matrix = rewards if isinstance(rewards, torch.Tensor) else torch.tensor(rewards)[:, None]
    return group_advantages(matrix, [1.0] * matrix.shape[1], group, **settings).advantages_B.tolist()


def test_a_group_is_centred_and_scaled_by_its_own_deviation() -> None:
    """Mean 0.5, sample deviation sqrt(4 * 0.25 / 3) = 0.57735: 0.5 / (0.57735 + 0.0001) = 0.865875."""
    expected = 0.5 / (math.sqrt(1 / 3) + 1e-4)
    assert advantages_of(ONE_GROUP) == pytest.approx([-expected, expected, expected, -expected], rel=1e-6)


def test_scaling_by_the_batch_and_none() -> None:
    """Groups (0, 1, 1, 0) and (1, 1, 1, 4): means 0.5 and 1.75; batch mean 9 / 8, squares 21 - 81 / 8 = 10.875, over 7: 1.553571."""
    centred = [-0.5, 0.5, 0.5, -0.5, -0.75, -0.75, -0.75, 2.25]
    assert advantages_of(TWO_GROUPS, scale_rewards="none") == pytest.approx(centred, rel=1e-6)
    std = math.sqrt(10.875 / 7) + 1e-4
    assert advantages_of(TWO_GROUPS, scale_rewards="batch") == pytest.approx([value / std for value in centred], rel=1e-6)


def test_rloo_compares_with_the_mean_of_the_others() -> None:
    """1 against (1 + 1 + 4) / 3 = 2; 4 against 1. One of a group is missing: 0 against (1 + 1) / 2."""
    assert advantages_of(TWO_GROUPS, estimator="rloo")[4:] == pytest.approx([-1, -1, -1, 3])
    assert advantages_of([0.0, 1.0, NAN, 1.0], estimator="rloo") == pytest.approx([-1, 0.5, 0, 0.5])


def test_reinforce_plus_plus_baseline_centres_the_group_and_whitens_the_batch() -> None:
    """Centred as above; mean 0, squares 4 * 0.25 + 3 * 0.5625 + 5.0625 = 7.75, over 8 completions: deviation 0.984251."""
    std = math.sqrt(7.75 / 8)
    expected = [value / std for value in (-0.5, 0.5, 0.5, -0.5, -0.75, -0.75, -0.75, 2.25)]
    assert advantages_of(TWO_GROUPS, estimator="reinforce_plus_plus_baseline") == pytest.approx(expected, rel=1e-6)


def test_gdpo_lets_terms_of_different_size_count_alike() -> None:
    """Terms (0, 1) and (0, 10) of a group of two, and (1, 0) with (0, 0): each scaled to about -+0.7071 before they are summed."""
    parts = torch.tensor([[0.0, 0.0], [1.0, 10.0], [1.0, 0.0], [0.0, 0.0]])
    small, large = 0.5 / (math.sqrt(0.5) + 1e-4), 5 / (math.sqrt(50) + 1e-4)
    summed = [-small - large, small + large, small, -small]
    std = math.sqrt(sum(value * value for value in summed) / 3) + 1e-4
    found = group_advantages(parts, [1.0, 1.0], 2, aggregation="normalize_then_sum")
    assert found.advantages_B.tolist() == pytest.approx([value / std for value in summed], rel=1e-6)
    assert found.rewards_B.tolist() == [0, 11, 1, 0]


def test_what_has_no_reward_is_left_out_and_gets_no_advantage() -> None:
    """(0, none, 1): mean 0.5 of two, deviation sqrt(0.5). A group with a single reward has nobody to be compared with."""
    expected = 0.5 / (math.sqrt(0.5) + 1e-4)
    assert advantages_of([0.0, NAN, 1.0], group=3) == pytest.approx([-expected, 0, expected], rel=1e-6)
    for estimator in ("group", "rloo", "reinforce_plus_plus_baseline"):
        for aggregation in ("sum_then_normalize", "normalize_then_sum"):
            lonely = group_advantages(torch.tensor([[NAN], [5.0]]), [1.0], 2, estimator=estimator, aggregation=aggregation)
            assert lonely.advantages_B.tolist() == [0, 0]
            assert lonely.flat_groups_P.tolist() == [True]
            assert math.isnan(lonely.rewards_B[0])


def test_a_term_that_does_not_apply_leaves_the_others() -> None:
    """(1, none) is 1, (none, none) is nothing."""
    found = total_rewards(torch.tensor([[1.0, NAN], [NAN, NAN], [1.0, 3.0]]), torch.tensor([1.0, 0.5]))
    assert found.tolist() == pytest.approx([1.0, NAN, 2.5], nan_ok=True)


def test_equal_rewards_are_flat_and_worth_exactly_nothing() -> None:
    """0.7 six times: its mean in float32 is not 0.7, and TRL's advantages are not 0. A group whose mean is 0 need not be flat."""
    for settings in ({}, {"scale_rewards": "batch"}, {"scale_rewards": "none"}, {"estimator": "rloo"}):
        rewards = torch.tensor([[0.7]] * 6 + [[-1.0], [1.0]] * 3)
        found = group_advantages(rewards, [1.0], 6, **settings)
        assert found.flat_groups_P.tolist() == [True, False]
        assert found.advantages_B[:6].tolist() == [0.0] * 6
        assert found.advantages_B[6:].abs().min() > 0.5


def test_rounding_does_not_make_a_difference_and_a_small_difference_does() -> None:
    """0.1 + 0.2 is 0.3 whether the parts come as float32 or float64; 0.3 and 0.3001 are two rewards."""
    for kind in (torch.float32, torch.float64):
        parts = torch.tensor([[0.1, 0.2], [0.3, 0.0], [0.0, 0.3]], dtype=kind)
        assert group_advantages(parts, [1.0, 1.0], 3).flat_groups_P.tolist() == [True]
        assert group_advantages(parts / 3, [3.0, 3.0], 3).advantages_B.tolist() == [0, 0, 0]
    assert not flat_groups(torch.tensor([[[0.3], [0.3001]]])).any()


def test_with_normalize_then_sum_a_group_is_flat_only_if_every_term_is() -> None:
    """(1, 0) and (0, 1) have one sum, and with weights 2 and 1 different ones; the terms differ either way."""
    parts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]])
    flat = {
        way: group_advantages(parts, [1.0, 1.0], 2, aggregation=way).flat_groups_P.tolist()
        for way in ("sum_then_normalize", "normalize_then_sum")
    }
    assert flat == {"sum_then_normalize": [True, True], "normalize_then_sum": [False, True]}


def test_a_group_of_one_is_refused() -> None:
    """It could only ever get 0."""
    with pytest.raises(ConfigError, match="num_generations is 1"):
        group_advantages(torch.tensor([[1.0]]), [1.0], 1)


def trl_advantages(rewards_BM: torch.Tensor, weights: torch.Tensor, group: int, *, scale: str, aggregation: str) -> torch.Tensor:
    """TRL 1.16's formula, in float32 as there, with its own deviation."""
    unscorable = rewards_BM.isnan().all(dim=1)
    if aggregation == "sum_then_normalize":
        rewards = (rewards_BM * weights).nansum(dim=1)
        rewards[unscorable] = NAN
        grouped = rewards.view(-1, group)
        centred = (grouped - grouped.nanmean(dim=1, keepdim=True)).flatten()
        std = trl_nanstd(grouped, dim=1).repeat_interleave(group) if scale == "group" else trl_nanstd(rewards)
        return (centred if scale == "none" else centred / (std + 1e-4)).nan_to_num(nan=0.0)
    grouped = rewards_BM.view(-1, group, rewards_BM.shape[1])
    scaled = (grouped - grouped.nanmean(dim=1, keepdim=True)) / (trl_nanstd(grouped, dim=1, keepdim=True) + 1e-4)
    rewards = (scaled.view(rewards_BM.shape) * weights).nansum(dim=1)
    rewards[unscorable] = NAN
    return ((rewards - rewards.nanmean()) / (trl_nanstd(rewards) + 1e-4)).nan_to_num(nan=0.0)


@pytest.mark.parametrize("aggregation", ["sum_then_normalize", "normalize_then_sum"])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_the_group_estimator_is_trls(scale: str, aggregation: str) -> None:
    """Random rewards of three terms, some not applying, one completion without any, one group with a single reward."""
    torch.manual_seed(0)
    rewards = torch.rand(24, 3).round(decimals=2)
    rewards[torch.rand(24, 3) < 0.15] = NAN
    rewards[5] = NAN
    rewards[8:11] = NAN
    weights = [1.0, 0.5, 2.0]
    found = group_advantages(rewards, weights, 4, scale_rewards=scale, aggregation=aggregation)
    expected = trl_advantages(rewards, torch.tensor(weights), 4, scale=scale, aggregation=aggregation)
    assert isinstance(found, GroupAdvantages)
    assert torch.allclose(found.advantages_B, expected, rtol=1e-6, atol=1e-6)


def test_nanstd_is_trls() -> None:
    """Over one dimension and over all."""
    numbers = torch.tensor([[1.0, 2.0, NAN], [NAN, 3.0, NAN]])
    assert torch.allclose(nanstd(numbers, 1), trl_nanstd(numbers, dim=1, keepdim=True), equal_nan=True)
    assert nanstd(numbers).item() == pytest.approx(trl_nanstd(numbers).item())
