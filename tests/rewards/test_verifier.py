"""Rewards of played episodes."""

from __future__ import annotations

import pytest

from vlmpost import rewards
from vlmpost.config.schema import RewardTermConfig
from vlmpost.errors import ConfigError, GraderError
from vlmpost.records import Example, Message, Rollout, Step
from vlmpost.rewards.verifier import verifier, verifier_per_turn

EXAMPLE = Example(id="hand", task="general_points", prompt=(Message("user", ("Make 24.",)),))


def played(*values: float) -> Rollout:
    """An episode of replies with these rewards, 5 being right; reply i has i + 1 tokens."""
    steps = tuple(Step("reply", "X", value, correct=value == 5) for value in values)
    lengths = tuple(range(1, len(values) + 1))
    return Rollout(EXAMPLE, "reply", tuple(range(sum(lengths))), "stop", steps=steps, reply_lengths=lengths)


def test_the_sum_is_discounted_by_attempt() -> None:
    assert verifier(played(-1, -3, 5), gamma=0.9) == pytest.approx(-1 - 0.9 * 3 + 0.81 * 5)
    assert verifier(played(-1, -3, 5)) == 1.0


def test_the_outcome_is_the_last_reply_and_success_is_whether_it_was_right() -> None:
    assert verifier(played(-1, -3, 5), aggregate="last") == 5.0
    assert verifier(played(-1, -3), aggregate="last") == -3.0
    assert verifier(played(-1, 5), aggregate="success") == 1.0
    assert verifier(played(-1, -1), aggregate="success", scale=2.0) == 0.0


def test_per_turn_values_stand_at_the_last_token_of_each_reply() -> None:
    # replies of 1, 2 and 3 tokens
    assert verifier_per_turn(played(-1, -3, 5), scale=0.5) == (-0.5, 0.0, -1.5, 0.0, 0.0, 2.5)


def test_an_example_that_was_not_played_is_an_error_not_a_zero() -> None:
    with pytest.raises(GraderError, match="was not played"):
        verifier(Rollout(EXAMPLE, "reply", (1,), "stop"))


def test_the_preset_of_the_study_is_the_discounted_sum() -> None:
    built = rewards.build([RewardTermConfig(name="verifier", params={"preset": "sft_vs_rl"})], max_completion_length=8)
    assert built.score(played(-1, 5)).total == pytest.approx(-1 + 0.9 * 5)


def test_a_gamma_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gamma 1\.5"):
        rewards.build([RewardTermConfig(name="verifier", params={"gamma": 1.5})], max_completion_length=8)
