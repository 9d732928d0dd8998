"""The figures of a batch of rollouts under TRL's names."""

from __future__ import annotations

import math

import pytest
import torch

from vlmpost.rewards.sets import RewardSet, Term
from vlmpost.training.rollouts.figures import length_figures, reward_figures


def test_lengths_tell_completions_that_ended_from_those_that_were_cut():
    found = length_figures(torch.tensor([2, 4, 9, 9]), torch.tensor([False, False, True, True]))
    assert found == {
        "completions/mean_length": 6.0,  # 24 / 4
        "completions/min_length": 2.0,
        "completions/max_length": 9.0,
        "completions/mean_terminated_length": 3.0,  # (2 + 4) / 2
        "completions/clipped_ratio": 0.5,
    }


def test_where_every_completion_was_cut_none_ended():
    found = length_figures(torch.tensor([9, 9]), torch.tensor([True, True]))
    assert found["completions/mean_terminated_length"] == 0.0 and found["completions/clipped_ratio"] == 1.0


def _set():
    return RewardSet([Term(name, name, weight, {}, lambda rollout: None, 1.0) for name, weight in (("a", 1.0), ("b", 0.5))])


def test_terms_are_averaged_where_they_apply_and_their_sum_is_weighted():
    # a: 1 and 3, mean 2, deviation sqrt(2) of a sample. b: 2 alone. Sums: 1 + 0.5 * 2 = 2, and 3: mean 2.5, deviation sqrt(0.5).
    found = reward_figures(torch.tensor([[1.0, 2.0], [3.0, math.nan]]), _set())
    assert list(found) == ["rewards/a/mean", "rewards/a/std", "rewards/b/mean", "rewards/b/std", "reward_std", "reward"]
    assert (found["rewards/a/mean"], found["rewards/b/mean"], found["reward"]) == (2.0, 2.0, 2.5)
    assert (found["rewards/a/std"], found["reward_std"]) == pytest.approx((2**0.5, 0.5**0.5))
    assert math.isnan(found["rewards/b/std"])


def test_a_completion_that_no_term_applies_to_is_no_zero():
    found = reward_figures(torch.tensor([[math.nan, math.nan], [4.0, 0.0]]), _set())
    assert found["reward"] == 4.0 and found["rewards/a/mean"] == 4.0


def test_a_term_that_never_applies_has_no_mean():
    found = reward_figures(torch.tensor([[1.0, math.nan], [2.0, math.nan]]), _set())
    assert math.isnan(found["rewards/b/mean"])
