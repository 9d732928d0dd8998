"""Faults between keys, each found whether or not the rest of the recipe is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost.config.load import load
from vlmpost.errors import ConfigError

RL = "data: {train: [{task: counting, num_examples: 10}]}\nrewards: [{name: accuracy}]\n"


def faults(tmp_path: Path, text: str) -> str:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load("rl", path)
    return str(raised.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("model: {load_in_4bit: true}", "r.yaml:3: model.load_in_4bit: 4-bit weights cannot be trained themselves; add use_peft: true"),
        ("model: {load_in_4bit: true, use_peft: true, device: cpu}", "model.load_in_4bit: needs a GPU"),
        ("model: {lora_r: 8}", "model.lora_r: has no effect without use_peft: true"),
        ("model: {image_min_pixels: 9, image_max_pixels: 4}", "model.image_min_pixels: is above image_max_pixels (9 > 4)"),
        ("algorithm: {loss_type: luspo}", "algorithm.loss_type: loss_type luspo needs importance_sampling_level: sequence."),
        (
            "algorithm: {loss_type: vespo, importance_sampling_level: sequence}",
            "algorithm.importance_sampling_level: loss_type vespo needs importance_sampling_level: token.",
        ),
        ("algorithm: {epsilon_high: 0.1}", "algorithm.epsilon_high: is below epsilon (0.1 < 0.2)"),
        ("algorithm: {delta: 1.1}", "algorithm.delta: must be above 1 + epsilon (1.2), got 1.1."),
        (
            "training: {prompts_per_step: 6, num_mini_batches: 4}",
            "training.num_mini_batches: prompts_per_step (6) is not a multiple of it; got 4, choose one of 1, 2, 3, 6.",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_named(tmp_path: Path, line: str, said: str) -> None:
    assert said in faults(tmp_path, RL + line + "\n")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{}", "data.train.0: give `task` (a drawn task), `path` (stored data), or both (a task on stored pictures); got neither."),
        ("{task: counting}", "data.train.0: a drawn task has no end: add num_examples."),
        ("{task: counting, num_examples: 5, split: dev}", "data.train.0.split: a drawn task has test, train, validation; got 'dev'."),
        ("{task: counting, num_examples: 5, difficulties: [0]}", "data.train.0.difficulties: needs numbers from 1 to 5, got [0]."),
        ("{task: counting, num_examples: 5, difficulties: []}", "data.train.0.difficulties: needs numbers from 1 to 5, got []."),
        ("{task: counting, num_examples: 5, columns: {a: b}}", "data.train.0.columns: is for stored data only"),
        ("{path: a/b, difficulties: [1]}", "data.train.0.difficulties: is for drawn tasks only"),
    ],
)
def test_a_source_is_one_thing(tmp_path: Path, source: str, said: str) -> None:
    assert said in faults(tmp_path, RL.replace("{task: counting, num_examples: 10}", source))


def test_a_task_on_stored_pictures_is_a_source_that_ends_by_itself_and_may_rename_columns(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    source = "{task: image_jigsaw, path: photos, split: dev, columns: {image: photo}}"
    (tmp_path / "r.yaml").write_text(RL.replace("{task: counting, num_examples: 10}", source))
    (loaded,) = load("rl", tmp_path / "r.yaml").config.data.train
    assert (loaded.task, Path(str(loaded.path)).name, loaded.num_examples) == ("image_jigsaw", "photos", None)


def test_rewards_that_all_weigh_nothing_are_refused(tmp_path: Path) -> None:
    said = faults(tmp_path, RL.replace("{name: accuracy}", "{name: accuracy, weight: 0}, {name: format, weight: 0.0}"))
    assert "rewards: every weight is 0" in said


def test_max_length_is_no_key_of_rl(tmp_path: Path) -> None:
    assert "data.max_length: is for SFT" in faults(tmp_path, RL.replace("}]}", "}], max_length: 9}"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trl: {bf16: true}", "r.yaml:3: trl.bf16: set by vlmpost; use `model.dtype`."),
        ("trl: {learning_rate: 1.0}", "trl.learning_rate: set by vlmpost; use `training.learning_rate`."),
        ("trl: {temperature: 1.0}", "trl.temperature: set by vlmpost; use `generation.temperature`."),
        (
            "trl: {gradient_accumulation_steps: 2}",
            "trl.gradient_accumulation_steps: set by vlmpost; it follows from `training.prompts_per_step`.",
        ),
        ("trl: {hub_token: abc}", "keep secrets in the environment"),
        ("trl: {vllm_mod: colocate}", "trl.vllm_mod: not an argument of TRL's GRPOConfig; did you mean vllm_mode?"),
        ("trl: {packing: true}", "trl.packing: not an argument of TRL's GRPOConfig"),
        ("trl: {cutoff_len: 5, n: 4}", "trl.n: not an argument of TRL's GRPOConfig; `n` is `algorithm.num_generations` here."),
    ],
)
def test_the_trl_block_holds_only_what_vlmpost_does_not_set(tmp_path: Path, line: str, said: str) -> None:
    assert said in faults(tmp_path, RL + line + "\n")


def test_the_trl_block_passes_other_arguments_through(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(RL + "trl: {adam_epsilon: 1e-9, vespo_k_pos: 2.0, ddp_timeout: 60}\n")
    assert load("rl", path).config.trl == {"adam_epsilon": 1e-9, "vespo_k_pos": 2.0, "ddp_timeout": 60}


def test_the_verifiers_reward_needs_episodes(tmp_path: Path) -> None:
    recipe = RL.replace("accuracy", "verifier")
    assert "r.yaml:2: rewards.0.name: needs a section `episode:`" in faults(tmp_path, recipe)
    path = tmp_path / "r.yaml"
    path.write_text(recipe + "episode: {verify_iterations: 3}\n")
    assert load("rl", path).config.episode.verify_iterations == 3
