"""Keys of `algorithm` and `signal` that do not go together, and that a preset's own settings are not blamed on the recipe."""

from __future__ import annotations

import pytest

from vlmpost.config.checks import cross_faults


def faults(signal: dict[str, object] | None = None, **algorithm: object) -> dict[tuple[str | int, ...], str]:
    return {fault.key: fault.message for fault in cross_faults("rl", {"algorithm": algorithm, "signal": signal or {}})}


@pytest.mark.parametrize("estimator", ["group", "rloo", "reinforce_plus_plus_baseline"])
def test_a_group_of_one_has_nobody_to_be_compared_with(estimator: str) -> None:
    found = faults(num_generations=1, advantage_estimator=estimator)
    assert list(found) == [("algorithm", "num_generations")]
    assert f"leaves advantage_estimator {estimator} nothing to compare" in found["algorithm", "num_generations"]


def test_a_group_of_one_is_enough_for_a_critic_and_for_returns() -> None:
    assert faults(num_generations=1, kind="ppo") == {}
    assert faults(num_generations=1, advantage_estimator="reinforce_plus_plus") == {}


@pytest.mark.parametrize(("key", "value"), [("gamma", 0.9), ("reward_clip", 5.0), ("kl_in", "reward")])
def test_what_needs_returns_goes_with_ppo_and_reinforce_plus_plus_only(key: str, value: object) -> None:
    given = {key: value, "beta": 0.01}
    for estimator in ("group", "rloo", "reinforce_plus_plus_baseline"):
        assert list(faults(**given, advantage_estimator=estimator)) == [("algorithm", key)]
        assert "reinforce_plus_plus" in faults(**given, advantage_estimator=estimator)["algorithm", key]
    assert faults(**given, advantage_estimator="reinforce_plus_plus") == {}
    assert faults(**given, kind="ppo") == {}


def test_a_kl_reward_without_a_weight_is_refused_for_returns_too() -> None:
    assert "beta is 0" in faults(advantage_estimator="reinforce_plus_plus", kl_in="reward")["algorithm", "kl_in"]


@pytest.mark.parametrize("estimator", ["rloo", "reinforce_plus_plus", "reinforce_plus_plus_baseline"])
@pytest.mark.parametrize(("key", "value"), [("scale_rewards", "none"), ("multi_objective_aggregation", "normalize_then_sum")])
def test_settings_of_the_group_estimator_are_refused_beside_another(estimator: str, key: str, value: str) -> None:
    assert faults(**{key: value}, advantage_estimator=estimator) == {
        ("algorithm", key): f"has no effect with advantage_estimator: {estimator}; leave it out."
    }


def test_an_estimator_is_refused_beside_a_critic() -> None:
    assert "come from a critic" in faults(kind="ppo", advantage_estimator="rloo")["algorithm", "advantage_estimator"]


@pytest.mark.parametrize(("loss", "needed"), [("luspo", "sequence"), ("vespo", "token")])
def test_ratios_of_replies_do_not_go_with_losses_of_one_level(loss: str, needed: str) -> None:
    found = faults(loss_type=loss, importance_sampling_level="reply")
    assert found == {("algorithm", "importance_sampling_level"): f"loss_type {loss} needs importance_sampling_level: {needed}."}
    assert faults(importance_sampling_level="reply") == {}


@pytest.mark.parametrize(
    ("key", "value", "owner"),
    [
        ("max_sampling_rounds", 4, "dynamic_sampling: true"),
        ("pool_shares", {"unseen": 1.0, "useful": 0.0, "hard": 0.0, "easy": 0.0}, "prompt_pools: true"),
        ("replay_max_age", 5, "replay_size: 64"),
    ],
)
def test_a_key_of_the_signal_without_what_it_belongs_to_is_named(key: str, value: object, owner: str) -> None:
    assert faults({key: value}) == {("signal", key): f"has no effect without {owner}; add that, or leave it out."}
    name, _, switch = owner.partition(": ")
    assert faults({key: value, name: int(switch) if switch.isdigit() else True}) == {}


@pytest.mark.parametrize(
    ("shares", "key", "said"),
    [
        ({"easy": 0.1}, ("signal", "pool_shares"), "missing: unseen, useful, hard"),
        ({"unseen": 0.0, "useful": 0.0, "hard": 0.0, "easy": 0.0}, ("signal", "pool_shares"), "every share is 0"),
        ({"unseen": 1.5, "useful": 0.5, "hard": 0.0, "easy": 0.0}, ("signal", "pool_shares", "unseen"), "from 0 to 1, got 1.5"),
        ({"unseen": 0.5, "useful": -0.5, "hard": 0.0, "easy": 0.0}, ("signal", "pool_shares", "useful"), "from 0 to 1, got -0.5"),
    ],
)
def test_shares_of_the_pools_are_shares_of_all_pools(shares: dict[str, float], key: tuple[str, ...], said: str) -> None:
    found = faults({"prompt_pools": True, "pool_shares": shares})
    assert list(found) == [key]
    assert said in found[key]


@pytest.mark.parametrize("signal", [{"dynamic_sampling": True}, {"drop_flat_groups": True}, {"prompt_pools": True}, {"replay_size": 4}])
def test_flat_groups_are_not_looked_for_where_completions_are_not_compared(signal: dict[str, object]) -> None:
    (name,) = signal
    for algorithm in ({"kind": "ppo"}, {"advantage_estimator": "reinforce_plus_plus"}):
        found = faults(signal, **algorithm)
        assert list(found) == [("signal", name)]
        assert "completions are not compared" in found["signal", name]
    assert faults(signal, advantage_estimator="rloo") == {}


@pytest.mark.parametrize("preset", ["sft_vs_rl", "demystify", "demystify_reinforce", "rloo", "reinforce_plus_plus"])
def test_a_presets_own_settings_are_no_fault(preset: str) -> None:
    assert faults(preset=preset) == {}
    assert faults(preset=preset, beta=0.0) == {}


def test_another_kind_than_the_presets_is_refused() -> None:
    found = faults(preset="sft_vs_rl", kind="grpo")
    assert found["algorithm", "kind"] == "preset sft_vs_rl has ppo, got grpo; leave it out, or take another."
    assert ("algorithm", "lam") not in found
    assert ("algorithm", "advantage_estimator") in faults(preset="rloo", advantage_estimator="group")
    assert faults(preset="rloo", advantage_estimator="rloo", kind="grpo") == {}


def test_the_key_that_is_given_is_blamed_for_a_clash_with_a_preset() -> None:
    # dapo has epsilon_high 0.28, visual_jigsaw delta 3.
    assert faults(preset="dapo", epsilon=0.3) == {
        ("algorithm", "epsilon"): "is above epsilon_high (0.3 > 0.28, from preset dapo); give that too: it is the wider one."
    }
    assert faults(preset="visual_jigsaw", epsilon=2.0) == {("algorithm", "epsilon"): "delta must be above 1 + epsilon (3), got 3."}
    assert faults(preset="visual_jigsaw", delta=1.1) == {("algorithm", "delta"): "must be above 1 + epsilon (1.2), got 1.1."}
    assert list(faults(preset="reinforce_plus_plus", advantage_estimator="rloo")) == [("algorithm", "advantage_estimator")]
