"""A recipe is read whole or refused with every fault, its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.config.describe import Kind
from vlmpost.config.load import Loaded, load
from vlmpost.config.schema import RlConfig, SftConfig
from vlmpost.errors import ConfigError

RL = """\
model: {path: nano}
data:
  train:
    - {task: counting, num_examples: 10}
rewards:
  - {name: accuracy}
"""
SFT = """\
data:
  train:
    - {task: counting, num_examples: 10}
"""


def loaded(tmp_path: Path, text: str, *overrides: str, kind: Kind = "rl") -> Loaded:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text, encoding="utf-8")
    return load(kind, recipe, overrides)


def message(tmp_path: Path, text: str, *overrides: str, kind: Kind = "rl") -> str:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text, *overrides, kind=kind)
    return str(raised.value).replace(str(tmp_path) + "/", "")


def test_a_short_recipe_gets_every_default(tmp_path: Path) -> None:
    result = loaded(tmp_path, RL)
    assert isinstance(result.config, RlConfig)
    assert result.config.training.prompts_per_step == 16
    assert result.config.algorithm.loss_type == "dapo"
    assert result.text == RL


def test_overrides_reach_sections_lists_and_new_sections(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        RL,
        "training.learning_rate=1e-4",
        "rewards.0.weight=2",
        "rewards.1.name=format",
        "rewards.1.params.mode=lenient",
        "data.train.0.difficulties=[1, 2]",
        "logging.doctor=off",
    ).config
    assert isinstance(config, RlConfig)
    assert config.training.learning_rate == 1e-4
    assert [term.weight for term in config.rewards] == [2, 1]
    assert config.rewards[1].params == {"mode": "lenient"}
    assert config.data.train[0].difficulties == [1, 2]
    assert config.logging.doctor == "off"


def test_a_later_override_wins_and_null_restores_nothing_set(tmp_path: Path) -> None:
    config = loaded(tmp_path, SFT + "training: {max_steps: 9}\n", "training.max_steps=5", "training.max_steps=null", kind="sft").config
    assert isinstance(config, SftConfig)
    assert config.training.max_steps is None


def test_all_faults_come_in_one_message_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
model:
  freeze_vit: true
data:
  train:
    - {task: counting, cutoff_len: 5}
rewards: []
training:
  lerning_rate: 1e-5
  max_steps: "5"
algorithm: {loss_type: gapo}
"""
    lines = message(tmp_path, text).split("\n  ")
    assert lines[0] == "recipe.yaml has 7 faults:"
    assert lines[1:] == [
        "recipe.yaml:2: model.freeze_vit: unknown key; `freeze_vit` is `model.freeze_vision_tower` here.",
        "recipe.yaml:5: data.train.0: a drawn task has no end: add num_examples.",
        "recipe.yaml:5: data.train.0.cutoff_len: unknown key; `cutoff_len` is `data.max_length` here.",
        "recipe.yaml:6: rewards: needs at least one entry, and has none.",
        "recipe.yaml:8: training.lerning_rate: unknown key; did you mean learning_rate?",
        "recipe.yaml:9: training.max_steps: expected whole number > 0, or null, got '5' (text).",
        "recipe.yaml:10: algorithm.loss_type: got 'gapo'; choose one of bnpo, cispo, dapo, dr_grpo, grpo, luspo, sapo, vespo; "
        "did you mean sapo?",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("training: {max_steps: 2.5}", "training.max_steps: expected whole number > 0, or null, got 2.5."),
        ("training: {max_steps: true}", "training.max_steps: expected whole number > 0, or null, got true (true or false)."),
        ("training: {learning_rate: fast}", "training.learning_rate: expected number > 0, got 'fast' (text)."),
        ("training: {learning_rate: .nan}", "training.learning_rate: expected number > 0, got nan."),
        ("training: {seed: -1}", "training.seed: expected whole number >= 0, got -1."),
        ("training: 5", "training: expected a mapping of keys, got 5."),
        ("training:", "training: expected a mapping of keys, got nothing (null)."),
        ("generation: {top_p: 1.5}", "generation.top_p: expected number > 0 and <= 1, got 1.5."),
        ("algorithm: {num_generations: 0}", "algorithm.num_generations: expected whole number >= 1, got 0."),
        ("algorithm: {scale_rewards: null}", "algorithm.scale_rewards: expected group | batch | none, got nothing (null)."),
        ("model2: {path: 5}", "model2: unknown key; did you mean model?"),
        ("checkpoints: {save_steps: [1]}", "checkpoints.save_steps: expected whole number > 0, got a list."),
        ("logging: {report_to: wandb}", "logging.report_to: expected list of tensorboard | wandb | trackio, got 'wandb' (text)."),
        ("logging: {report_to: [wand]}", "logging.report_to.0: got 'wand'; choose one of tensorboard, trackio, wandb; did you mean wandb?"),
        ("trl: [1]", "trl: expected mapping, got a list."),
        ("num_generations: 4", "num_generations: unknown key; `num_generations` belongs under algorithm:."),
        (
            "training: {examples_per_step: 4}",
            "`examples_per_step` is a key of `vlmpost sft` recipes (under training:); did you mean prompts_per_step?",
        ),
        (
            "training: {adam_epsilon: 1.0e-9}",
            "training.adam_epsilon: unknown key; `adam_epsilon` is an argument of TRL: put it under trl:.",
        ),
        ("training: {zzz: 4}", "training.zzz: unknown key. Keys here: adam_beta1, "),
    ],
)
def test_a_wrong_value_says_what_was_expected_and_what_came(tmp_path: Path, line: str, said: str) -> None:
    assert f"recipe.yaml:7: {said}" in message(tmp_path, RL + line + "\n") or said in message(tmp_path, RL + line + "\n")


def test_a_number_where_text_belongs_is_named(tmp_path: Path) -> None:
    assert message(tmp_path, RL.replace("{path: nano}", "{revision: 12}")) == (
        "recipe.yaml:1: model.revision: expected text, or null, got 12."
    )


def test_a_union_is_one_fault(tmp_path: Path) -> None:
    text = RL.replace("{path: nano}", "{use_peft: true, lora_target_modules: 5}")
    assert message(tmp_path, text) == "recipe.yaml:1: model.lora_target_modules: expected text, or list of text, got 5."


def test_missing_sections_are_named_with_their_meaning(tmp_path: Path) -> None:
    said = message(tmp_path, "model: {path: nano}\n")
    assert "recipe.yaml: data: required, and missing (The questions)." in said
    assert "recipe.yaml: rewards: required, and missing (The terms of the reward; their weighted values are summed)." in said


def test_a_missing_key_is_named_at_its_section(tmp_path: Path) -> None:
    assert message(tmp_path, RL.replace("name: accuracy", "weight: 2")).startswith("recipe.yaml:6: rewards.0.name: required, and missing")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("max_steps", "--set max_steps: write it as key.sub=value."),
        ("=5", "--set =5: write it as key.sub=value."),
        ("a..b=5", "--set a..b=5: write it as key.sub=value."),
        ("training.max_steps=[1", "the value is not YAML"),
        ("rewards.3.weight=1", "rewards is a list of 1 entry: give a number from 0 to 1, got '3'."),
        ("rewards.first.weight=1", "rewards is a list of 1 entry: give a number from 0 to 1, got 'first'."),
        ("model.path.x=1", "model.path is 'nano', not a section, so it has no `x`."),
        ("training.max_step=1", "--set training.max_step=1: training.max_step: unknown key; did you mean max_steps?"),
        ("training.max_steps=x", "--set training.max_steps=x: training.max_steps: expected whole number > 0, or null, got 'x' (text)."),
    ],
)
def test_a_wrong_override_is_named_as_it_was_typed(tmp_path: Path, override: str, said: str) -> None:
    assert said in message(tmp_path, RL, override)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "recipe.yaml: the recipe is empty."),
        ("# only a comment\n", "recipe.yaml: the recipe is empty."),
        ("- 1\n", "recipe.yaml: a recipe is a mapping of sections (model:, data:, ...), got a list."),
        ("hello\n", "recipe.yaml: a recipe is a mapping of sections (model:, data:, ...), got only 'hello'."),
        ("model:\n\tpath: nano\n", "recipe.yaml:2: not YAML"),
        ("a: b: c\n", "recipe.yaml:1: not YAML, at column 5: a second colon in one line; put the text in quotes."),
        ("a: [1\n", "recipe.yaml:2: not YAML"),
        ("a: 1\n---\nb: 2\n", "recipe.yaml:2: not YAML"),
    ],
)
def test_what_is_no_recipe_is_said_so(tmp_path: Path, text: str, said: str) -> None:
    assert message(tmp_path, text).startswith(said)


def test_a_file_that_is_missing_a_folder_or_not_text_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such recipe"):
        load("rl", tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="a folder, not a recipe"):
        load("rl", tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load("rl", tmp_path / "bytes.yaml")


def test_a_repeated_key_is_a_fault_and_not_the_last_one(tmp_path: Path) -> None:
    said = message(tmp_path, RL + "training:\n  seed: 1\n  seed: 2\n")
    assert said == "recipe.yaml:9: training.seed: written twice (first on line 8); keep one."


def test_data_paths_are_relative_to_the_recipe_and_overrides_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "rows.jsonl").touch()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "other.jsonl").touch()
    monkeypatch.chdir(tmp_path / "here")
    recipe = tmp_path / "recipes" / "r.yaml"
    recipe.write_text("data:\n  train:\n    - {path: rows.jsonl}\n")
    assert load("sft", recipe).config.data.train[0].path == str(tmp_path / "recipes" / "rows.jsonl")
    overridden = load("sft", recipe, ["data.train.0.path=other.jsonl"])
    assert overridden.config.data.train[0].path == str(tmp_path / "here" / "other.jsonl")
    with pytest.raises(ConfigError, match=r"no such file or folder: rows\.jsonl"):
        load("sft", recipe, ["data.train.0.path=rows.jsonl"])


def test_a_missing_data_file_has_its_line_and_where_it_was_looked_for(tmp_path: Path) -> None:
    text = "data:\n  train:\n    - path: rows.jsonl\n      image_root: pics\n"
    said = message(tmp_path, text, kind="sft")
    assert f"recipe.yaml:3: data.train.0.path: no such file or folder: rows.jsonl (looked in {tmp_path})." in said
    assert "recipe.yaml:4: data.train.0.image_root: no such file or folder: pics" in said


def test_an_owner_and_name_is_a_hub_id_but_a_data_file_is_not(tmp_path: Path) -> None:
    text = "data:\n  train:\n    - path: owner/rows\n"
    assert loaded(tmp_path, text, kind="sft").config.data.train[0].path == "owner/rows"
    assert "no such file" in message(tmp_path, text.replace("owner/rows", "owner/rows.jsonl"), kind="sft")


def test_a_model_folder_is_found_beside_the_recipe_or_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "runs" / "sft" / "final").mkdir(parents=True)
    (tmp_path / "my_model").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert loaded(tmp_path, SFT + "model: {path: my_model}\n", kind="sft").config.model.path == str(tmp_path / "my_model")
    found = loaded(tmp_path, SFT + "model: {path: runs/sft/final}\n", kind="sft").config.model.path
    assert found == str(tmp_path / "work" / "runs" / "sft" / "final")
    assert loaded(tmp_path, SFT + "model: {path: Qwen/Qwen2.5-VL-3B}\n", kind="sft").config.model.path == "Qwen/Qwen2.5-VL-3B"
    said = message(tmp_path, SFT + "model: {path: runs/none/final}\n", kind="sft")
    assert said.startswith("recipe.yaml:4: model.path: no such folder: runs/none/final (looked in ")


def test_a_reward_file_is_relative_to_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def good(rollout): return 1.0\n")
    config = loaded(tmp_path, RL.replace("accuracy", "mine.py:good")).config
    assert isinstance(config, RlConfig)
    assert config.rewards[0].name == f"{tmp_path / 'mine.py'}:good"
    assert "rewards.0.name: no such file: other.py" in message(tmp_path, RL.replace("accuracy", "other.py:good"))


@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(ConfigError):
        load("rl", path)


KEYS = st.sampled_from(["model", "data", "train", "training", "n", "trl", "0", "rewards", "cutoff_len", "path", "weight", "zzz"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda v: st.lists(v) | st.dictionaries(KEYS, v)
)


@given(st.dictionaries(KEYS, VALUES, min_size=1), st.sampled_from(["sft", "rl"]))
def test_any_mapping_is_a_recipe_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, data: dict[str, object], kind: Kind) -> None:
    import yaml

    path = tmp_path_factory.getbasetemp() / "mapping.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    try:
        load(kind, path)
    except ConfigError as error:
        assert "mapping.yaml" in str(error)


@given(st.text(max_size=30))
def test_any_override_is_taken_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, override: str) -> None:
    path = tmp_path_factory.getbasetemp() / "good.yaml"
    path.write_text(SFT, encoding="utf-8")
    try:
        load("sft", path, [override])
    except ConfigError as error:
        assert "--set" in str(error)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("combine", "data: {}\ntraining: {}\n", "a recipe of `vlmpost sft`, not of `vlmpost combine`; run: vlmpost sft "),
        ("combine", "data: {}\nrewards: []\n", "a recipe of `vlmpost rl`, not of `vlmpost combine`"),
        ("combine", "data: []\nkeep: {}\n", "a recipe of `vlmpost curate`, not of `vlmpost combine`"),
        ("rl", "strategy: hpt\nrl: {}\n", "a recipe of `vlmpost combine`, not of `vlmpost rl`"),
        ("sft", "data: []\nkeep: {}\n", "a recipe of `vlmpost curate`, not of `vlmpost sft`"),
    ],
)
def test_a_recipe_of_another_command_is_one_sentence(tmp_path: Path, kind: Kind, text: str, said: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(kind, path)  # type: ignore[call-overload]
    assert str(raised.value).startswith(f"{path}: {said}")
    assert "\n" not in str(raised.value)
