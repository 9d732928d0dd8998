"""Advantages against sums worked out by hand."""

from __future__ import annotations

import pytest
import torch

from vlmpost.training.credit import advantages as adv

ALL3 = torch.ones(1, 3, dtype=torch.bool)


def _gae(rewards, values, sampled, *, gamma=1.0, lam=1.0):
    rewards, values = torch.tensor(rewards), torch.tensor(values)
    everywhere = torch.ones_like(values)
    return adv.generalized_advantages(rewards, values, sampled, gamma_BC=gamma * everywhere, lam_BC=lam * everywhere)


def test_three_tokens_by_hand():
    # gamma 0.9, lambda 0.5; rewards 0, 0, 1; values 0.2, 0.4, 0.6
    # delta_3 = 1 - 0.6 = 0.4                   A_3 = 0.4
    # delta_2 = 0 + 0.9 * 0.6 - 0.4 = 0.14      A_2 = 0.14 + 0.45 * 0.4 = 0.32
    # delta_1 = 0 + 0.9 * 0.4 - 0.2 = 0.16      A_1 = 0.16 + 0.45 * 0.32 = 0.304
    found = _gae([[0.0, 0.0, 1.0]], [[0.2, 0.4, 0.6]], ALL3, gamma=0.9, lam=0.5)
    assert found[0].tolist() == pytest.approx([0.304, 0.32, 0.4])


def test_with_gamma_and_lambda_one_the_advantage_is_the_return_less_the_value():
    # returns: 2 + 3 + 4 = 9, 3 + 4 = 7, 4
    found = _gae([[2.0, 3.0, 4.0]], [[0.5, 1.5, -1.0]], ALL3)
    assert found[0].tolist() == pytest.approx([8.5, 5.5, 5.0])


def test_with_lambda_zero_only_the_next_value_counts():
    # 2 + 1.5 - 0.5, 3 - 1 - 1.5, 4 - (-1)
    found = _gae([[2.0, 3.0, 4.0]], [[0.5, 1.5, -1.0]], ALL3, lam=0.0)
    assert found[0].tolist() == pytest.approx([3.0, 0.5, 5.0])


def test_tokens_of_the_environment_are_stepped_over():
    # Two turns, a b | x x | c, padding; the environment's own values (9) and rewards (7) must not be seen.
    # A_c = 5 - 0.5 = 4.5;  A_b = -1 + 0.5 - 0.4 + 4.5 = 3.6;  A_a = 0 + 0.4 - 0.1 + 3.6 = 3.9
    sampled = torch.tensor([[True, True, False, False, True, False]])
    found = _gae([[0.0, -1.0, 7.0, 7.0, 5.0, 7.0]], [[0.1, 0.4, 9.0, 9.0, 0.5, 9.0]], sampled)
    assert found[0].tolist() == pytest.approx([3.9, 3.6, 0.0, 0.0, 4.5, 0.0])


def test_the_gap_between_two_turns_changes_no_advantage():
    together = _gae([[1.0, -1.0, 5.0]], [[0.1, 0.4, 0.5]], ALL3, gamma=0.9, lam=0.8)
    apart = _gae([[1.0, -1.0, 0.0, 5.0]], [[0.1, 0.4, 3.0, 0.5]], torch.tensor([[True, True, False, True]]), gamma=0.9, lam=0.8)
    assert apart[0, [0, 1, 3]].tolist() == together[0].tolist()


def test_a_completion_left_out_of_the_loss_has_no_advantages():
    found = _gae([[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]], torch.tensor([[False, False], [True, True]]))
    assert found.tolist() == [[0.0, 0.0], [2.0, 1.0]]


def test_turns_are_discounted_where_replies_end_and_nowhere_else():
    # Replies a b | c; gamma 1 within, 0.5 between. Returns: c 4, b 0.5 * 4 = 2, a 2.
    ends = torch.tensor([[False, True, True]])
    found = adv.generalized_advantages(
        torch.tensor([[0.0, 0.0, 4.0]]),
        torch.zeros(1, 3),
        ALL3,
        gamma_BC=adv.per_place(1.0, 0.5, ends),
        lam_BC=adv.per_place(1.0, 1.0, ends),
    )
    assert found[0].tolist() == [2.0, 2.0, 4.0]


def test_types_with_their_own_discounts_sum_their_returns():
    # type 1: reward 1 at the end, discount 1: returns 1, 1, 1
    # type 2: reward -1 in the middle, discount 0.5: returns -0.5, -1, 0
    # values 0.25: advantages 0.25, -0.25, 0.75
    rewards = torch.tensor([[[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]])
    one = torch.ones(1, 3)
    found = adv.advantages_of_types(rewards, 0.25 * one, ALL3, gammas_MBC=[one, 0.5 * one], lam_BC=one)
    assert found[0].tolist() == pytest.approx([0.25, -0.25, 0.75])


def test_types_with_one_discount_are_one_reward():
    rewards = torch.tensor([[[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]])
    one = torch.ones(1, 3)
    values = torch.tensor([[0.1, 0.2, 0.3]])
    found = adv.advantages_of_types(rewards, values, ALL3, gammas_MBC=[0.9 * one, 0.9 * one], lam_BC=0.5 * one)
    assert torch.equal(found, _gae([[0.0, -1.0, 1.0]], [[0.1, 0.2, 0.3]], ALL3, gamma=0.9, lam=0.5))


def test_different_discounts_are_refused_with_lambda_below_one():
    one = torch.ones(1, 3)
    with pytest.raises(AssertionError, match="lam = 1"):
        adv.advantages_of_types(torch.zeros(1, 2, 3), one, ALL3, gammas_MBC=[one, 0.5 * one], lam_BC=0.9 * one)


def test_numbers_land_on_sampled_places_in_order():
    sampled = torch.tensor([[True, False, True, False], [False, False, False, False]])
    assert adv.at_sampled([[1.0, 2.0], [7.0, 8.0, 9.0]], sampled).tolist() == [[1.0, 0.0, 2.0, 0.0], [0.0] * 4]


def test_a_row_that_does_not_fit_its_places_is_an_error():
    with pytest.raises(RuntimeError):
        adv.at_sampled([[1.0, 2.0, 3.0]], torch.tensor([[True, False, True]]))


def test_whitened_advantages_have_mean_zero_and_deviation_one_under_the_mask():
    # chosen 1, 3, 5, 7: mean 4, variance (9 + 1 + 1 + 9) / 4 = 5
    numbers = torch.tensor([[1.0, 3.0, 100.0], [5.0, 7.0, -100.0]])
    mask = torch.tensor([[True, True, False], [True, True, False]])
    mean, variance = adv.mean_and_variance(adv.moments(numbers, mask))
    assert (mean, variance) == pytest.approx((4.0, 5.0))
    found = adv.whitened(numbers, mask, mean=mean, variance=variance)
    assert found[0].tolist() == pytest.approx([-3 / 5**0.5, -1 / 5**0.5, 0.0])
    assert found[1].tolist() == pytest.approx([1 / 5**0.5, 3 / 5**0.5, 0.0])


def test_moments_of_two_processes_add_up_to_those_of_one():
    numbers, mask = torch.tensor([[1.0, 2.0], [4.0, 8.0]]), torch.tensor([[True, True], [False, True]])
    parts = adv.moments(numbers[:1], mask[:1]) + adv.moments(numbers[1:], mask[1:])
    assert torch.equal(parts, adv.moments(numbers, mask))
    assert parts.tolist() == [3.0, 11.0, 69.0]


def test_equal_advantages_whiten_to_zero_not_to_infinity():
    numbers, mask = torch.full((1, 3), 0.5), ALL3
    mean, variance = adv.mean_and_variance(adv.moments(numbers, mask))
    assert adv.whitened(numbers, mask, mean=mean, variance=variance).tolist() == [[0.0, 0.0, 0.0]]


def test_nothing_under_the_mask_has_mean_and_variance_zero():
    assert adv.mean_and_variance(adv.moments(torch.ones(1, 3), ~ALL3)) == (0.0, 0.0)


def test_advantages_that_differ_by_rounding_alone_whiten_to_zero():
    # Values near 1000, each return 0.3 above its value: float32 keeps steps of 6e-5 there, so the advantages are 0.3 give or take 3e-5.
    values = 1000 + torch.linspace(-100, 100, 1001).unsqueeze(0)
    returns = (values.double() + 0.3).float()
    numbers, mask = returns - values, torch.ones_like(values, dtype=torch.bool)
    mean, variance = adv.mean_and_variance(adv.moments(numbers, mask))
    assert 1e-6 < variance**0.5 < 1e-4, "there is rounding to be seen"
    size = adv.size_of(*adv.mean_and_variance(adv.moments(returns, mask)))
    assert size == pytest.approx(1002.0, abs=0.1)  # mean 1000.3, variance 100 ^ 2 / 3: 1001.96
    assert adv.whitened(numbers, mask, mean=mean, variance=variance).abs().max() > 0.1, "what the floor alone makes of it"
    assert not adv.whitened(numbers, mask, mean=mean, variance=variance, magnitude=size).any()


def test_small_advantages_that_do_differ_are_whitened_as_any_others():
    # 1e-3 and 3e-3 of returns around 1: mean 2e-3, deviation 1e-3
    numbers, mask = torch.tensor([[1e-3, 3e-3]]), torch.ones(1, 2, dtype=torch.bool)
    found = adv.whitened(numbers, mask, mean=2e-3, variance=1e-6, magnitude=1.0)
    assert found[0].tolist() == pytest.approx([-1.0, 1.0])


def test_below_the_floor_the_variance_counts_as_the_floor():
    # deviation 1e-5, floor 1e-4: 1e-5 / 1e-4
    numbers, mask = torch.tensor([[-1e-5, 1e-5]]), torch.ones(1, 2, dtype=torch.bool)
    assert adv.whitened(numbers, mask, mean=0.0, variance=1e-10)[0].tolist() == pytest.approx([-0.1, 0.1])


def test_returns_of_types_are_discounted_each_by_its_own_and_step_over_the_environment():
    # a | x | b c: type 1 earns 1 at c, discount 0.9: 0.81, 0.9, 1;  type 2 earns -2 at b, discount 0.5: -1, -2, 0;  7s are not seen
    sampled = torch.tensor([[True, False, True, True], [False, False, False, False]])
    rewards = torch.tensor([[[0.0, 7.0, 0.0, 1.0], [0.0, 7.0, -2.0, 0.0]], [[7.0] * 4, [7.0] * 4]])
    one = torch.ones(2, 4)
    found = adv.discounted_returns(rewards, sampled, gammas_MBC=[0.9 * one, 0.5 * one])
    assert found[0].tolist() == pytest.approx([-0.19, 0.0, -1.1, 1.0])
    assert found[1].tolist() == [0.0] * 4


def test_each_token_knows_where_its_reply_began():
    # a b | x | c | d; the second row is empty, the third starts late
    sampled = torch.tensor([[True, True, False, True, True], [False] * 5, [False, True, True, False, False]])
    ends = torch.tensor([[False, True, False, True, True], [False] * 5, [False, False, True, False, False]])
    found = adv.reply_starts(ends, sampled)
    assert found[0, sampled[0]].tolist() == [0, 0, 3, 4]
    assert found[2, sampled[2]].tolist() == [1, 1]
    assert found.min() >= 0 and found.max() < 5


def test_numbers_are_summed_at_the_places_named():
    found = adv.gathered_at(torch.tensor([[[1.0, 2.0, 4.0], [0.5, 0.0, 0.0]]]), torch.tensor([[0, 0, 2]]))
    assert found.tolist() == [[[3.0, 0.0, 4.0], [0.5, 0.0, 0.0]]]
