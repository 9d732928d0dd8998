"""The keys of PPO: which go together, and what is said where they do not."""

from __future__ import annotations

import pytest

from vlmpost.config.checks import cross_faults
from vlmpost.config.schema import PPO_KEYS, AlgorithmConfig

GIVEN = {
    "cliprange_value": 0.1,
    "critic": "separate",
    "lam": 0.5,
    "num_value_warmup_steps": 3,
    "turn_lam": 0.9,
    "value_at": "reply",
    "value_head": "mlp",
    "value_head_sizes": [8],
    "value_learning_rate": 0.1,
    "vf_coef": 0.5,
    "whiten_advantages": False,
}
"""Every key of PPO with a value that is not its default."""


def _faults(**algorithm):
    return {fault.key: fault.message for fault in cross_faults("rl", {"algorithm": algorithm})}


def test_every_key_of_ppo_is_known_and_has_another_default():
    assert set(GIVEN) == set(PPO_KEYS)
    assert len(PPO_KEYS) == 11
    defaults = AlgorithmConfig()
    assert all(getattr(defaults, key) != value for key, value in GIVEN.items())


def test_ppo_takes_all_its_keys():
    assert _faults(kind="ppo", beta=0.01, **GIVEN) == {}
    assert _faults(kind="ppo") == {}


@pytest.mark.parametrize("key", PPO_KEYS)
def test_a_key_of_the_critic_needs_a_critic(key):
    found = _faults(**{key: GIVEN[key]})
    assert list(found) == [("algorithm", key)]
    assert "is for kind: ppo" in found["algorithm", key]


@pytest.mark.parametrize("changes", [{"scale_rewards": "batch"}, {"multi_objective_aggregation": "normalize_then_sum"}])
def test_what_only_groups_know_is_refused_with_a_critic(changes):
    (key,) = changes
    assert "not from groups" in _faults(kind="ppo", **changes)["algorithm", key]
    assert _faults(**changes) == {}


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo", "bnpo"])
def test_clipped_losses_go_with_ppo(loss_type):
    assert _faults(kind="ppo", loss_type=loss_type) == {}


@pytest.mark.parametrize("loss_type", ["cispo", "sapo", "vespo"])
def test_other_losses_do_not(loss_type):
    assert "choose one of bnpo, dapo, dr_grpo, grpo" in _faults(kind="ppo", loss_type=loss_type)["algorithm", "loss_type"]


def test_sizes_are_for_the_mlp_and_a_kl_reward_needs_beta():
    assert _faults(kind="ppo", value_head_sizes=[4])["algorithm", "value_head_sizes"].startswith("is for value_head: mlp")
    empty = _faults(kind="ppo", value_head="mlp", value_head_sizes=[8, 0])
    assert "needs numbers from 1, got [8, 0]" in empty["algorithm", "value_head_sizes"]
    assert "beta is 0" in _faults(kind="ppo", kl_in="reward")["algorithm", "kl_in"]
