"""Per-token returns of several rewards with their own discounts."""

from __future__ import annotations

import numpy as np
import pytest

from vlmpost.records import Example, Rollout, Score
from vlmpost.rewards import RewardSet, Term
from vlmpost.rewards.returns import discounted, token_rewards


def reward_set(*terms: tuple[str, float, float]) -> RewardSet:
    return RewardSet([Term(name, name, weight, {}, lambda rollout: None, discount) for name, weight, discount in terms])


def test_a_value_for_the_whole_completion_sits_on_its_last_token() -> None:
    rewards = reward_set(("right", 2.0, 1.0), ("repeated", 0.5, 0.99), ("skipped", 1.0, 1.0))
    score = Score(1.0, {"right": 1.0, "repeated": -0.1, "skipped": None}, {"repeated": (0.0, -0.05, -0.05)})
    assert token_rewards(score, rewards, num_tokens=3).tolist() == [[0, 0, 2.0], [0, -0.025, -0.025], [0, 0, 0]]


def test_returns_of_two_types_add_up_each_with_its_discount() -> None:
    # type 1, gamma 1: 1, 1, 1. type 2, gamma 0.5: -0.05 * (0.5 + 0.25), -0.05 * 1.5, -0.05
    got = discounted(np.array([[0, 0, 1.0], [0, -0.05, -0.05]]), [1.0, 0.5])
    np.testing.assert_allclose(got, [1 - 0.0375, 1 - 0.075, 1 - 0.05], atol=1e-12)


def test_an_endless_repeated_tail_costs_at_most_p_over_one_minus_gamma() -> None:
    got = discounted(np.full((1, 5000), -0.05), [0.99])
    assert got[0] == pytest.approx(-5.0, abs=1e-9)


def test_a_discount_for_each_type_is_needed() -> None:
    with pytest.raises(ValueError, match="2 types of rewards, 1 discounts"):
        discounted(np.zeros((2, 3)), [1.0])


def test_a_reward_per_token_keeps_its_values_beside_their_sum() -> None:
    term = Term("repeated", "repeated", 2.0, {}, lambda rollout: np.array([0.0, -0.5, -0.25]))
    score = RewardSet([term]).score(Rollout(Example("q", "t", ()), "a b c", (1, 2, 3), "stop"))
    assert (score.total, score.parts, score.token_parts) == (-1.5, {"repeated": -0.75}, {"repeated": (0.0, -0.5, -0.25)})
