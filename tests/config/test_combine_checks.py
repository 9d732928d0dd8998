"""Faults between the sections of a combine recipe, and what its stages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost.config.combine import READS, STRATEGIES, CombineConfig, filled
from vlmpost.config.load import load
from vlmpost.errors import ConfigError

DATA = "  data: {train: [{task: counting, num_examples: 9}]}\n"
SFT = f"sft:\n{DATA}"
RL = f"rl:\n{DATA}  rewards: [{{name: accuracy}}]\n"
SELECT = "select: {data: [{task: counting, split: validation, num_examples: 4}]}\n"


def faults(tmp_path: Path, text: str) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load("combine", path)
    return str(raised.value)


def loaded(tmp_path: Path, text: str) -> CombineConfig:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return load("combine", path).config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strategy: two_stage\n" + RL, "sft: required, and missing: two_stage has a stage of it."),
        ("strategy: two_stage\n" + SFT, "rl: required, and missing"),
        ("strategy: hpt\n", "rl: required, and missing: hpt has a stage of it."),
        ("strategy: hpt\n" + RL + SFT, "c.yaml:5: sft: strategy hpt does not use it; leave it out. It uses rl, pass_rates."),
        ("strategy: hpt\n" + RL + "merge: {vision: keep}\n", "merge: strategy hpt does not use it"),
        ("strategy: merge\n" + SFT + RL, "select: required, and missing: the best merge is chosen on its questions."),
        ("strategy: two_stage\n" + SFT + RL + SELECT, "select: has no effect with two_stage.start final"),
        ("strategy: two_stage\n" + SFT + RL + "two_stage: {start: best}\n", "select: required, and missing: two_stage.start best"),
        ("strategy: two_stage\n" + SFT + RL + "two_stage: {start: []}\n", "two_stage.start: names no step"),
        ("strategy: two_stage\n" + SFT + RL + "two_stage: {sft_model: nano}\n", "sft: two_stage.sft_model is trained already"),
        (
            "strategy: two_stage\n" + SFT + RL + "two_stage: {reference: base}\n",
            "two_stage.reference: has no effect while rl.algorithm.beta is 0",
        ),
        ("strategy: two_stage\n" + SFT + RL + "  model: {path: nano}\nmodel: {path: a/b}\n", "rl.model.path: RL starts from the SFT model"),
        (
            "strategy: data_mix\n" + RL + "data_mix: {sft_model: nano}\n",
            "sft: required, and missing: data_mix takes the settings of its last",
        ),
        ("strategy: merge\n" + SFT + RL + SELECT + "merge: {ratios: [1.5]}\n", "merge.ratios.0: expected number <= 1, got 1.5."),
        (
            "strategy: merge\n" + SFT + RL + SELECT + "merge: {methods: [linear], densities: [0.5]}\n",
            "merge.densities: none of merge.methods has a density",
        ),
        (
            "strategy: hpt\n" + RL + "evaluation: {data: [{task: charts, num_examples: 2}, {task: counting, num_examples: 2}]}\n",
            "evaluation.data.1: holds questions of rl.data.train.0, which no model here may know; give another split.",
        ),
        (
            "strategy: merge\n" + SFT + RL + SELECT + "evaluation: {data: [{task: counting, split: validation, num_examples: 2}]}\n",
            "evaluation.data.0: holds questions of select.data.0",
        ),
        ("strategy: merge\n" + SFT + RL + SELECT + "merge: {methods: [linaer]}\n", "did you mean linear?"),
        ("strategy: progressive\n" + RL, "pass_rates: required, and missing: guidance reads stored pass rates"),
        ("strategy: hpt\n" + RL + "pass_rates: {num_samples: 4}\n", "pass_rates: nothing reads stored pass rates"),
        ("strategy: luffy\n" + RL + "  guidance: {preset: hpt}\n", "rl.guidance.preset: is hpt, and strategy is luffy"),
        (
            "strategy: hpt\n" + RL.replace("9}]", "9}], eval: [{task: counting, num_examples: 2}]"),
            "rl.data.eval: is measured by `vlmpost sft`",
        ),
        (
            "strategy: hpt\n" + RL + "evaluation: {data: [{task: counting, num_examples: 2}], seed: 0}\n",
            "evaluation.levels.seed: is evaluation.seed",
        ),
        ("strategy: hpt\n" + RL + "evaluation: {data: [{task: counting}]}\n", "evaluation.data.0: a drawn task has no end"),
        ("strategy: hpt\n" + RL + "  training: {learning_rat: 1}\n", "rl.training.learning_rat: unknown key; did you mean learning_rate?"),
        ("strategy: two_stage\n" + RL + SFT + "  trl: {learning_rate: 1}\n", "sft.trl.learning_rate: set by vlmpost"),
        (
            "strategy: two_stage\n" + SFT + RL + "two_stage: {sft_modle: nano}\n",
            "two_stage.sft_modle: unknown key; did you mean sft_model?",
        ),
        ("strategy: two_stage\n" + SFT + RL + "model: {dtype: int8}\n", "c.yaml:7: model.dtype: got 'int8'"),
        ("strategy: threestage\n" + SFT + RL, "strategy: got 'threestage'; choose one of bread, chord_mu"),
        (
            "strategy: merge\n" + SELECT + "merge: {sft_model: no/such/folder, rl_model: nano}\n",
            "merge.sft_model: no such folder: no/such/folder",
        ),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in faults(tmp_path, text)


def test_all_faults_come_at_once_and_each_once(tmp_path: Path) -> None:
    said = faults(tmp_path, "strategy: hpt\n" + RL + "  algorithm: {kind: ppo}\n" + SFT + "model: {dtype: int8}\nfoo: 1\n")
    assert said.startswith(f"{tmp_path / 'c.yaml'} has 4 faults:")
    assert [part in said for part in ("rl.algorithm.kind", "sft: strategy hpt", "model.dtype", "foo: unknown key")] == [True] * 4


def test_the_shared_model_fills_what_a_stage_leaves_open(tmp_path: Path) -> None:
    text = "strategy: two_stage\nmodel: {device: cpu, image_max_pixels: 99}\n" + SFT + "  model: {image_max_pixels: 50}\n" + RL
    config = loaded(tmp_path, text)
    assert config.sft is not None
    assert config.rl is not None
    assert (config.sft.model.device, config.sft.model.image_max_pixels) == ("cpu", 50)
    assert (config.rl.model.device, config.rl.model.image_max_pixels) == ("cpu", 99)


def test_paths_of_every_section_start_at_the_recipe(tmp_path: Path) -> None:
    for name in ("sft", "rl"):
        (tmp_path / name).mkdir()
    for name in ("rows.jsonl", "others.jsonl"):
        (tmp_path / name).touch()
    text = (
        "strategy: merge\nmerge: {sft_model: sft, rl_model: rl, base: nano}\n"
        "select: {data: [{path: rows.jsonl}]}\nevaluation: {data: [{path: others.jsonl}]}\n"
    )
    config = loaded(tmp_path, text)
    assert (config.merge.sft_model, config.merge.rl_model, config.merge.base) == (str(tmp_path / "sft"), str(tmp_path / "rl"), "nano")
    assert config.select is not None
    assert config.evaluation is not None
    found = (config.select.data[0].path, config.evaluation.data[0].path)
    assert found == (str(tmp_path / "rows.jsonl"), str(tmp_path / "others.jsonl"))


def test_paths_inside_stages_start_at_the_recipe(tmp_path: Path) -> None:
    for name in ("rows.jsonl", "traces.jsonl", "rates.jsonl"):
        (tmp_path / name).touch()
    guidance = "  guidance: {traces: {path: traces.jsonl}, pass_rate: {path: rates.jsonl}}\n"
    config = loaded(tmp_path, "strategy: progressive\n" + RL.replace("{task: counting, num_examples: 9}", "{path: rows.jsonl}") + guidance)
    assert config.rl is not None
    assert config.rl.guidance is not None
    found = [config.rl.data.train[0].path, config.rl.guidance.traces.path, config.rl.guidance.pass_rate.path]
    assert found == [str(tmp_path / name) for name in ("rows.jsonl", "traces.jsonl", "rates.jsonl")]


def test_a_stage_that_is_no_mapping_is_left_to_the_schema() -> None:
    assert filled({"strategy": "hpt", "rl": 3, "sft": None, "model": {"path": "x"}})["rl"] == 3


def test_every_strategy_has_its_sections() -> None:
    assert set(READS) == set(STRATEGIES)
    assert len(STRATEGIES) == 23
