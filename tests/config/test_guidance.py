"""Presets of guidance hold what their sources say, load by themselves, and fill only the keys that a recipe leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from vlmpost.config.guidance import ROLES, GuidanceConfig
from vlmpost.config.guidance_presets import PRESETS, filled, with_algorithm
from vlmpost.config.schedules import Schedule, value_at
from vlmpost.config.schema import RlConfig

RECIPE: dict[str, Any] = {"data": {"train": [{"task": "counting", "num_examples": 10}]}, "rewards": [{"name": "accuracy"}]}

STUDY = ("interleaved", "interleaved_joint", "interleaved_buffered", "sft_on_all", "progressive")
RELATIVES = (
    *("hpt", "relift", "luffy", "srft", "chord_mu", "chord_phi", "uft", "uft_staged", "r3"),
    *("prefix_rft", "hint_grpo", "bread", "ghpo", "sasr", "dft"),
)


def rl(**sections: object) -> RlConfig:
    return RlConfig.model_validate({**RECIPE, **sections}, strict=True)


def preset(name: str) -> GuidanceConfig:
    return GuidanceConfig.model_validate({"preset": name}, strict=True)


def losses_of(name: str) -> list[tuple[str, str, object]]:
    return [(term.role, term.loss, term.weight) for term in preset(name).losses]


def given_keys(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys with dots, down to lists and values."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        inner = isinstance(value, Mapping) and key not in ("share", "weight")
        found |= given_keys(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found


def at(config: GuidanceConfig, path: str) -> Any:  # Any: the value of any key
    value: Any = config.model_dump(mode="python", exclude_unset=True)
    for part in path.split("."):
        value = value[part]
    return value


def test_every_preset_is_named_here() -> None:
    assert sorted(PRESETS) == sorted([*STUDY, *RELATIVES])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_loads_in_a_recipe_by_itself_with_all_that_it_sets(name: str) -> None:
    config = rl(guidance={"preset": name})
    assert config.guidance is not None
    expected = given_keys(PRESETS[name].settings)
    assert len(expected) >= 3
    for path, value in expected.items():
        assert at(config.guidance, path) == value, path
    for key, value in PRESETS[name].algorithm.items():
        assert getattr(config.algorithm, key) == value, key


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_can_be_copied_out_and_says_where_it_comes_from(name: str) -> None:
    one = PRESETS[name]
    assert GuidanceConfig.model_validate(dict(one.settings), strict=True) == preset(name).model_copy(update={"preset": None})
    assert one.meaning and one.source and one.formula
    assert all(role in ROLES for role, _, _ in losses_of(name))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_no_key_of_a_recipe_is_overwritten_by_a_preset(name: str) -> None:
    own: dict[str, Any] = {
        "traces": {"missing": "unguided", "max_length": 77, "rows": "none"},
        "pass_rate": {"source": "table", "path": "mine.jsonl"},
        "gate": {"questions": "at_most", "pass_rate": 0.375, "delay_steps": 3},
        "hint": {"law": "schedule", "share": 0.125, "num_segments": 3, "num_left": 2, "num_steps": 9, "rollouts": 2},
        "losses": [{"role": "generated", "loss": "policy", "weight": 0.7}],
        "grouping": {"kind": "rollouts", "right_weight": 0.9},
        "steps": {"kind": "joint", "buffer_size": 5, "num_warmup_steps": 4, "gamma": 2.5},
    }
    algorithm = {"num_generations": 5, "scale_rewards": "batch", "beta": 0.5, "loss_type": "bnpo", "epsilon": 0.3, "epsilon_high": 0.4}
    config = rl(guidance={"preset": name, **own}, algorithm=algorithm)
    assert config.guidance is not None
    for path, value in given_keys(own).items():
        assert at(config.guidance, path) == value, path
    assert {key: getattr(config.algorithm, key) for key in algorithm} == algorithm


def test_a_section_keeps_the_presets_other_keys_and_losses_are_taken_whole() -> None:
    config = GuidanceConfig(preset="progressive", hint={"num_left": 1}, losses=[{"role": "generated", "loss": "policy"}])
    assert config.hint.law == "schedule" and isinstance(config.hint.share, Schedule) and config.hint.num_left == 1
    assert [term.role for term in config.losses] == ["generated"]
    assert filled({"preset": "progressive", "hint": {"share": 0.5}})["hint"] == {"law": "schedule", "share": 0.5}


def test_a_preset_that_is_none_of_ours_is_a_fault_that_lists_them() -> None:
    with pytest.raises(ValidationError, match=r"bread, chord_mu.*uft_staged"):
        GuidanceConfig(preset="progresive")


def test_filling_does_not_change_what_it_is_given_or_the_presets() -> None:
    given = {"preset": "luffy", "traces": {"choose": "first"}}
    before = given_keys(PRESETS["luffy"].settings)
    result = filled(given)
    result["traces"]["rows"] = "none"
    assert given == {"preset": "luffy", "traces": {"choose": "first"}} and given_keys(PRESETS["luffy"].settings) == before


def test_a_recipe_without_guidance_is_left_alone() -> None:
    assert with_algorithm(RECIPE) == RECIPE
    assert rl().guidance is None
    assert rl(guidance={}).guidance == GuidanceConfig()


def test_a_preset_of_the_algorithm_goes_before_what_guidance_would_set() -> None:
    config = rl(guidance={"preset": "luffy"}, algorithm={"preset": "synergy"})
    assert (config.algorithm.num_generations, config.algorithm.beta) == (8, 0.005)


def test_without_a_preset_nothing_is_learnt_from_traces_or_hints() -> None:
    config = GuidanceConfig()
    assert [(term.role, term.loss, term.weight) for term in config.losses] == [("generated", "policy", 1.0)]
    assert (config.hint.law, config.traces.rows, config.grouping.kind, config.steps.kind) == ("none", "none", "rollouts", "joint")


def test_interleaving_learns_zero_pass_questions_from_their_traces_and_the_others_by_rl() -> None:
    # arXiv 2507.07562, section 4.2; weight 1, rates of the batch's own group (this house's choice)
    for name, kind, buffer_size in (
        ("interleaved", "alternate", 0),
        ("interleaved_joint", "joint", 0),
        ("interleaved_buffered", "alternate", 128),
    ):
        config = preset(name)
        assert (config.gate.questions, config.gate.pass_rate, config.pass_rate.source) == ("at_most", 0.0, "group")
        assert (config.traces.rows, config.hint.law) == ("in_place", "none")
        assert (config.steps.kind, config.steps.buffer_size) == (kind, buffer_size)
        assert losses_of(name) == [("generated", "policy", 1.0), ("trace", "cross_entropy", 1.0)]


def test_progressive_hints_zero_pass_questions_with_a_fifth_of_a_cross_entropy_on_the_prefix() -> None:
    # section 4.3: 0.2 x CE(prefix) + RL(generated); whole trace -> prefix -> nothing
    config = preset("progressive")
    assert (config.gate.questions, config.gate.pass_rate, config.pass_rate.source) == ("at_most", 0.0, "table")
    assert losses_of("progressive") == [("generated", "policy", 1.0), ("hint", "cross_entropy", 0.2)]
    # rho: 1 for 5 % of the run, a cosine to 0 at 70 %, then 0; in the middle, at 37.5 %, a half
    shares = [value_at(config.hint.share, step=step, num_steps=1000) for step in (0, 50, 375, 700, 999)]
    assert shares == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])


def test_hpt_gives_a_question_to_rl_or_to_its_trace() -> None:
    # Unify-Post-Training ae332f5, exp_scripts/train.sh: switch_gate 0, sft_loss_coef 1.0, grpo_use_std False, no KL, 8 rollouts
    config = rl(guidance={"preset": "hpt"})
    assert config.guidance is not None and config.guidance.gate.pass_rate == 0.0
    assert (config.algorithm.scale_rewards, config.algorithm.beta) == ("none", 0.0)
    assert losses_of("hpt") == [("generated", "policy", 1.0), ("trace", "cross_entropy", 1.0)]


def test_relift_waits_for_128_questions_and_takes_off_a_thousandth_of_the_entropy() -> None:
    config = preset("relift")
    assert (config.steps.kind, config.steps.buffer_size) == ("alternate", 128)
    assert [(term.role, term.entropy_coef) for term in config.losses] == [("generated", 0.0), ("trace", 0.001)]


def test_luffy_has_seven_rollouts_and_a_trace_with_shaped_probabilities() -> None:
    # LUFFY 01f4ae0, exp_scripts/train.sh: n 8 with n_prefix 1, p_div_p_0.1, grpo_use_std False, loss_remove_token_mean True
    # (a constant length), loss_remove_clip True, no KL, entropy 0.001
    config = rl(guidance={"preset": "luffy"})
    assert config.guidance is not None
    assert (config.algorithm.num_generations, config.algorithm.scale_rewards, config.algorithm.beta) == (7, "none", 0.0)
    assert (config.algorithm.loss_type, config.guidance.grouping.kind, config.guidance.traces.rows) == ("dr_grpo", "with_trace", "beside")
    [trace] = [term for term in config.guidance.losses if term.role == "trace"]
    assert (trace.loss, trace.gamma, trace.per) == ("shaped", 0.1, "length")
    assert config.algorithm.epsilon >= 1e4  # no ratio reaches it


def test_srft_weighs_by_entropy() -> None:
    # Unify-Post-Training ae332f5, mix_actor.py: sft_coef = 0.5 exp(-H), on_coef = 0.1 exp(H)
    config = preset("srft")
    assert (config.grouping.kind, config.grouping.right_weight) == ("signed", 0.1)
    sft, shaped = [term for term in config.losses if term.role == "trace"]
    assert (sft.loss, sft.weight, sft.sequence_weight) == ("cross_entropy", 0.5, "exp_minus_entropy")
    assert (shaped.loss, shaped.gamma) == ("shaped", 0.1)


@pytest.mark.parametrize("step", [0, 50, 100, 200, 5000])
def test_chords_two_weights_are_one_together(step: int) -> None:
    for name in ("chord_mu", "chord_phi"):
        total = sum(value_at(term.weight, step=step, num_steps=1000) for term in preset(name).losses)
        assert total == pytest.approx(1.0)


def test_chord_mu_falls_from_nine_tenths_to_a_twentieth_and_phi_stays_at_a_tenth() -> None:
    [mu] = [term.weight for term in preset("chord_mu").losses if term.role == "trace"]
    assert [value_at(mu, step=step, num_steps=1000) for step in (0, 100, 200, 900)] == pytest.approx([0.9, 0.475, 0.05, 0.05])
    [phi] = [(term.loss, term.weight) for term in preset("chord_phi").losses if term.role == "trace"]
    assert phi == ("chord_phi", 0.1)
    assert all(preset(name).traces.rows == "stream" and preset(name).traces.per_step == 64 for name in ("chord_mu", "chord_phi"))


def test_uft_draws_segments_with_its_cosine_and_a_thousandth_of_a_cross_entropy() -> None:
    # UFT ad3c8ec, run.py: LOWER_PROB 0.05, UPPER_PROB 0.95, T 500, T_hint 300, sft_loss_coef 0.001; 5 slices (rl_dataset.py)
    config = preset("uft")
    assert (config.gate.questions, config.hint.law, config.hint.num_segments, config.hint.num_steps) == ("all", "binomial", 5, 300)
    # p_t = 0.05 + 0.45 (1 + cos(pi t / 300)): t = 100: 0.05 + 0.45 x 1.5 = 0.725; t = 150: 0.5
    shares = [value_at(config.hint.share, step=step, num_steps=500) for step in (0, 100, 150)]
    assert shares == pytest.approx([0.95, 0.725, 0.5])
    assert losses_of("uft") == [("generated", "policy", 1.0), ("hint", "cross_entropy", 0.001)]
    assert losses_of("r3") == [("generated", "policy", 1.0)]  # run.py: SFT_LOSS_COEF 0.0 for r3 alone


def test_prefix_rft_hints_one_of_eight_and_learns_a_fifth_of_the_prefix() -> None:
    config = rl(guidance={"preset": "prefix_rft"})
    assert config.guidance is not None
    hint, grouping = config.guidance.hint, config.guidance.grouping
    assert (config.algorithm.num_generations, hint.rollouts, hint.upper, grouping.kind) == (8, 1, 0.95, "plain_baseline")
    assert hint.num_left >= 1 and config.algorithm.scale_rewards == "none"
    assert [(term.role, term.loss, term.top_entropy_share) for term in config.guidance.losses] == [
        ("generated", "policy", 1.0),
        ("hint", "policy", 0.2),
    ]


def test_searches_have_the_levels_of_their_papers() -> None:
    hint_grpo, bread, ghpo = (preset(name).hint for name in ("hint_grpo", "bread", "ghpo"))
    assert (hint_grpo.law, hint_grpo.stop_on) == ("ascending", "reward")
    assert hint_grpo.levels == pytest.approx([0, 1 / 3, 2 / 3])
    assert (bread.law, bread.num_segments, bread.num_left) == ("binary", 10, 1)
    assert (ghpo.law, ghpo.stop_on, ghpo.levels, ghpo.placement) == ("ascending", "correct", [0.0, 0.25, 0.5, 0.75], "prompt")
    assert preset("ghpo").gate.delay_steps == 20
    for name in ("hint_grpo", "bread", "ghpo"):
        assert losses_of(name) == [("generated", "policy", 1.0)]


def test_what_was_not_verified_is_said() -> None:
    for name in ("srft", "bread", "ghpo", "sasr"):
        assert PRESETS[name].unverified, name


@pytest.mark.parametrize(
    "wrong",
    [
        {"gate": {"pass_rate": 1.5}},
        {"gate": {"questions": "some"}},
        {"hint": {"law": "exponential"}},
        {"hint": {"num_left": -1}},
        {"losses": []},
        {"losses": [{"role": "prompt", "loss": "cross_entropy"}]},
        {"losses": [{"role": "hint", "loss": "cross_entropy", "top_entropy_share": 0.0}]},
        {"traces": {"rows": "everywhere"}},
        {"steps": {"gamma": 0.0}},
        {"pass_rates": {}},
    ],
)
def test_what_is_no_guidance_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GuidanceConfig.model_validate(wrong)
