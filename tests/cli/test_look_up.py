"""The commands that only look things up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vlmpost.cli.evaluation import model_path, source_of
from vlmpost.cli.recipes import question_of, shipped
from vlmpost.cli.rollouts import lines_of, select
from vlmpost.config.load import load
from vlmpost.errors import ConfigError

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_config_lists_every_key_as_json(cli: Cli) -> None:
    keys = json.loads(cli("config", "rl", "--json").stdout)
    named = {key["key"]: key for key in keys}
    assert named["training.prompts_per_step"] == {
        "key": "training.prompts_per_step",
        "type": "whole number > 0",
        "default": "16",
        "meaning": "Prompts rolled out together, all processes together; each gets num_generations completions.",
    }


def test_config_of_one_section_holds_only_it(cli: Cli) -> None:
    lines = cli("config", "sft", "checkpoints").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["checkpoints", "checkpoints.save_steps", "checkpoints.save_total_limit"]
    said = cli("config", "sft", "checkpoint_")
    assert said.returncode == 2
    assert "did you mean checkpoints?" in said.stderr


def test_every_shipped_recipe_is_valid_and_opens_with_its_question() -> None:
    recipes = shipped()
    assert len(recipes) >= 2
    for name, path in recipes.items():
        text = path.read_text()
        sections = yaml.safe_load(text)
        if "strategy" in sections:
            load("combine", path)
        elif isinstance(sections["data"], list):
            load("curate", path)
        else:
            load("rl" if "rewards" in sections else "sft", path)
        assert question_of(path).endswith("?"), name
        for word in ("hardware:", "time:", "expected:", "measured:"):
            assert f"# {word}" in text, (name, word)


def test_recipes_are_listed_shown_and_copied_once(cli: Cli, tmp_path: Path) -> None:
    listed = [line.split("\t")[0] for line in cli("recipes", "ls").stdout.splitlines()]
    assert "demo/sft" in listed
    assert cli("recipes", "show", "demo/sft").stdout == shipped()["demo/sft"].read_text()
    assert cli("recipes", "cp", "demo/sft").returncode == 0
    assert (tmp_path / "sft.yaml").read_text() == shipped()["demo/sft"].read_text()
    again = cli("recipes", "cp", "demo/sft")
    assert again.returncode == 2
    assert "sft.yaml: exists" in again.stderr
    assert "did you mean demo/sft?" in cli("recipes", "show", "demo/sf").stderr


def test_env_gives_a_verdict_for_each_package(cli: Cli) -> None:
    told = json.loads(cli("env", "--json").stdout)
    verdicts = {row["package"]: row["verdict"] for row in told["packages"]}
    assert verdicts["trl"] == "ok"
    assert verdicts["python"] == "ok"
    assert told["cores"] >= 1
    assert "OMP_NUM_THREADS" in cli("env", OMP_NUM_THREADS="").stdout or told["gpu"] != "none"


def test_rewards_are_listed_and_tried(cli: Cli) -> None:
    assert "accuracy" in {row["name"] for row in json.loads(cli("reward", "ls", "--json").stdout)}
    arguments = ("reward", "explain", "--text", r"<think>3 + 4</think> \boxed{7}", "--reward", "accuracy", "--json")
    tried = json.loads(cli(*arguments, "--gold", "7").stdout)
    assert (tried["parts"], tried["verdict"], tried["extracted"]) == ({"accuracy": 1.0}, "correct", "7")
    assert json.loads(cli(*arguments, "--gold", "8").stdout)["parts"] == {"accuracy": 0.0}
    untold = json.loads(cli(*arguments).stdout)
    assert (untold["parts"], untold["verdict"]) == ({"accuracy": None}, None)


ROWS: list[dict[str, object]] = [
    {"step": 1, "id": "a", "outcome": "correct", "parts": {"accuracy": 1.0, "format": None}, "reward": 1.0, "text": "7"},
    {"step": 2, "id": "a", "outcome": "wrong", "parts": {"accuracy": 0.0}, "reward": 0.0, "text": "8", "images": ["x.png"]},
    {"step": 2, "id": "b", "outcome": "correct", "parts": {"accuracy": 1.0}, "reward": 1.0, "text": "9"},
]


def test_the_newest_rollouts_come_unless_others_are_asked_for() -> None:
    nothing = {"step": None, "every_step": False, "outcome": None, "example": None}
    assert select(ROWS, **nothing) == ROWS[1:]  # type: ignore[arg-type]
    assert select(ROWS, **{**nothing, "step": 1}) == ROWS[:1]  # type: ignore[arg-type]
    assert select(ROWS, **{**nothing, "every_step": True, "example": "a"}) == ROWS[:2]  # type: ignore[arg-type]
    assert select(ROWS, **{**nothing, "outcome": "correct"}) == ROWS[2:]  # type: ignore[arg-type]


def test_a_rollout_shows_its_images_and_each_part_of_its_reward() -> None:
    assert "reward   1 (accuracy 1, format -)  advantage -" in list(lines_of(ROWS[0]))
    assert "image    x.png" in list(lines_of(ROWS[1]))


def test_rollouts_of_what_is_no_run_are_refused(cli: Cli, tmp_path: Path) -> None:
    said = cli("rollouts", "nowhere")
    assert said.returncode == 2
    assert "nowhere: no such folder." in said.stderr
    (tmp_path / "manifest.json").write_text("{}")
    assert "no rollouts were logged" in cli("rollouts", ".").stderr


def test_an_evaluation_source_is_a_task_or_stored_data(tmp_path: Path) -> None:
    assert source_of("counting", split="test", num_examples=5, seed=1).task == "counting"
    assert source_of(str(tmp_path), split="test", num_examples=None, seed=1).path == str(tmp_path)
    with pytest.raises(ConfigError, match="add --num-examples"):
        source_of("counting", split="test", num_examples=None, seed=1)
    with pytest.raises(ConfigError, match="did you mean counting"):
        source_of("countin", split="test", num_examples=5, seed=1)


def test_a_run_folder_stands_for_its_final_model(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    assert model_path(str(tmp_path)) == str(tmp_path)
    (tmp_path / "manifest.json").touch()
    assert model_path(str(tmp_path)) == str(tmp_path / "final")


def test_an_episode_is_shown_reply_by_reply_with_the_verifiers_words() -> None:
    steps = [
        {"text": "9", "outcome": "WRONG", "reward": 0.0, "feedback": "Try again."},
        {"text": "7", "outcome": "CORRECT", "reward": 1.0, "feedback": None},
    ]
    lines = list(lines_of({"step": 1, "id": "a", "sample": 0, "text": "7", "steps": steps}))
    assert lines[1:6] == [
        "model    reply 1: 9",
        "           WRONG 0",
        "           Try again.",
        "         reply 2: 7",
        "           CORRECT 1",
    ]
