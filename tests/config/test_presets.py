"""Presets hold what their sources say, fill only the keys that are not given, and are named where there is none of that name."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost.config.checks import cross_faults
from vlmpost.config.load import load
from vlmpost.config.presets import PRESETS, filled
from vlmpost.config.schema import AlgorithmConfig, RlConfig
from vlmpost.errors import ConfigError

RECIPE = "data: {train: [{task: counting, num_examples: 10}]}\nrewards: [{name: accuracy}]\n"


def algorithm_of(tmp_path: Path, text: str, *overrides: str) -> AlgorithmConfig:
    (tmp_path / "r.yaml").write_text(RECIPE + text, encoding="utf-8")
    config = load("rl", tmp_path / "r.yaml", overrides).config
    assert isinstance(config, RlConfig)
    return config.algorithm


def test_every_preset_is_a_valid_algorithm_by_itself() -> None:
    assert len(PRESETS) == 17
    for name, preset in PRESETS.items():
        algorithm = AlgorithmConfig.model_validate({"preset": name}, strict=True)
        assert {key: getattr(algorithm, key) for key in preset.settings} == dict(preset.settings)
        assert cross_faults("rl", {"algorithm": {"preset": name}}) == []
        # The settings as a recipe of its own are no fault either, so that they may be copied out.
        assert cross_faults("rl", {"algorithm": dict(preset.settings)}) == []


def test_ppo_of_sft_memorizes_has_the_numbers_of_its_code() -> None:
    # LeslieTrue/SFTvsRL 5a6ea55: clip 0.1 (policy and value), value coefficient 0.5, gamma 0.9 and lambda 0.95 per reply, 4 PPO epochs,
    # value head 4096-1024-512-1 at the last prompt token, ratio of the reply, beyond 10 the clipped term only, no KL term.
    algorithm = AlgorithmConfig(preset="sft_vs_rl")
    assert (algorithm.kind, algorithm.epsilon, algorithm.cliprange_value, algorithm.vf_coef) == ("ppo", 0.1, 0.1, 0.5)
    assert (algorithm.turn_gamma, algorithm.turn_lam, algorithm.num_iterations) == (0.9, 0.95, 4)
    assert (algorithm.value_head, algorithm.value_at, algorithm.critic) == ("mlp", "reply", "shared")
    assert (algorithm.importance_sampling_level, algorithm.delta, algorithm.beta) == ("reply", 10.0, 0.0)


def test_ppo_of_demystify_has_the_numbers_of_its_scripts() -> None:
    # eddycmu/demystify-long-cot e90cf9b: lambda 1, gamma 1, KL 0.01 (k1) in the reward, clips 0.2, rewards clipped to +-10, critic 9e-6,
    # loss as a mean over sequences of token means; section 7.3: REINFORCE++ with clip 0.1.
    algorithm = AlgorithmConfig(preset="demystify")
    assert (algorithm.kind, algorithm.lam, algorithm.gamma) == ("ppo", 1.0, 1.0)
    assert (algorithm.beta, algorithm.kl_in, algorithm.reward_clip) == (0.01, "reward", 10.0)
    assert (algorithm.epsilon, algorithm.cliprange_value, algorithm.loss_type) == (0.2, 0.2, "grpo")
    assert (algorithm.critic, algorithm.value_learning_rate) == ("separate", 9e-6)
    reinforce = AlgorithmConfig(preset="demystify_reinforce")
    assert (reinforce.kind, reinforce.advantage_estimator, reinforce.epsilon) == ("grpo", "reinforce_plus_plus", 0.1)


def test_grpo_of_the_studies_has_their_groups_and_kl_weights() -> None:
    # 2507.07562: 8 rollouts, KL 0.005. 2511.06722: 8, 0.001. 2509.25190: 16, none, dual clip 3, mean over tokens.
    found = {name: AlgorithmConfig(preset=name) for name in ("synergy", "difficulty", "visual_jigsaw")}
    assert [(one.num_generations, one.beta, one.loss_type) for one in found.values()] == [
        (8, 0.005, "grpo"),
        (8, 0.001, "grpo"),
        (16, 0.0, "dapo"),
    ]
    assert found["visual_jigsaw"].delta == 3.0


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("grpo", "loss_type", "grpo"),
        ("dr_grpo", "scale_rewards", "none"),
        ("dapo", "epsilon_high", 0.28),
        ("bnpo", "loss_type", "bnpo"),
        ("cispo", "loss_type", "cispo"),
        ("gspo", "importance_sampling_level", "sequence"),
        ("sapo", "loss_type", "sapo"),
        ("rloo", "advantage_estimator", "rloo"),
        ("reinforce_plus_plus", "advantage_estimator", "reinforce_plus_plus"),
        ("reinforce_plus_plus_baseline", "advantage_estimator", "reinforce_plus_plus_baseline"),
        ("gdpo", "multi_objective_aggregation", "normalize_then_sum"),
    ],
)
def test_a_method_of_the_family_is_what_makes_it(name: str, key: str, value: object) -> None:
    assert getattr(AlgorithmConfig(preset=name), key) == value


def test_given_keys_win_and_the_rest_is_filled(tmp_path: Path) -> None:
    algorithm = algorithm_of(tmp_path, "algorithm: {preset: demystify, lam: 0.95, num_generations: 4}\n")
    assert (algorithm.lam, algorithm.num_generations, algorithm.beta) == (0.95, 4, 0.01)
    # Also where the value given is the schema's own default.
    assert algorithm_of(tmp_path, "algorithm: {preset: demystify, vf_coef: 0.1}\n").vf_coef == 0.1
    assert filled({"kind": "ppo"}) == {"kind": "ppo"}


def test_a_preset_can_be_set_and_unset_on_the_command_line(tmp_path: Path) -> None:
    algorithm = algorithm_of(tmp_path, "", "algorithm.preset=gspo", "algorithm.epsilon_high=0.001")
    assert (algorithm.epsilon, algorithm.epsilon_high) == (3e-4, 0.001)
    assert algorithm_of(tmp_path, "algorithm: {preset: gspo}\n", "algorithm.preset=null").epsilon == 0.2


def test_the_resolved_recipe_shows_what_was_filled() -> None:
    shown = AlgorithmConfig(preset="synergy").model_dump()
    assert (shown["preset"], shown["beta"]) == ("synergy", 0.005)
    assert AlgorithmConfig.model_validate(shown, strict=True) == AlgorithmConfig(preset="synergy")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("algorithm: {preset: sft_vs_lr}", "r.yaml:3: algorithm.preset: got 'sft_vs_lr'; choose one of bnpo, cispo, dapo, demystify, "),
        ("algorithm: {preset: sft_vs_lr}", "did you mean sft_vs_rl?"),
        ("algorithm: {preset: 5}", "r.yaml:3: algorithm.preset: expected text, or null, got 5."),
        ("algorithm: {preset: [grpo]}", "r.yaml:3: algorithm.preset: expected text, or null, got a list."),
        ("algorithm: {preset: grpo, bta: 0.1}", "r.yaml:3: algorithm.bta: unknown key; did you mean beta?"),
        ("algorithm: grpo", "r.yaml:3: algorithm: expected a mapping of keys, got 'grpo' (text)."),
    ],
)
def test_a_wrong_preset_is_named_with_the_nearest(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        algorithm_of(tmp_path, line + "\n")
    assert said in str(raised.value)
