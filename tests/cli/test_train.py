"""What `vlmpost sft` and `vlmpost rl` do before and around training."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmpost.cli.train import Attempt, run_folder
from vlmpost.errors import ConfigError, DataError, RunError, TrainingStopped
from vlmpost.runs.directory import RunDirectory
from vlmpost.runs.status import read_status, write_status

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_a_dry_run_prints_the_arithmetic_and_starts_nothing(cli: Cli, recipe: Path, tmp_path: Path) -> None:
    said = cli("rl", "r.yaml", "--dry-run", "--set", "training.prompts_per_step=4")
    assert said.returncode == 0, said.stderr
    assert "completions sampled together  32 = 4 prompts x 8 completions" in said.stdout
    assert "1 x accuracy" in said.stdout
    assert "steps     10 over 40 examples" in said.stdout  # 40 // 4
    assert "nothing was started" in said.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.yaml"]


def test_a_dry_run_says_when_there_are_too_few_prompts(cli: Cli, recipe: Path) -> None:
    said = cli("rl", "r.yaml", "--dry-run", "--set", "training.prompts_per_step=64")
    assert "too few: one step needs 64 prompts" in said.stdout


def test_all_faults_of_keys_tasks_rewards_and_arithmetic_exit_with_2(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "data:\n  train:\n    - {task: countin, num_examples: 40}\nrewards:\n  - {name: acuracy}\n"
        "training: {per_device_train_batch_size: 3}\n"
    )
    said = cli("rl", "r.yaml")
    assert said.returncode == 2
    assert said.stdout == ""
    assert "Traceback" not in said.stderr
    assert "error: r.yaml has 3 faults:" in said.stderr
    assert "r.yaml:3: data.train.0.task: There is no task 'countin'. Did you mean 'counting'? The tasks are:" in said.stderr
    assert "r.yaml:5: rewards.0: There is no reward 'acuracy'. Did you mean 'accuracy'?" in said.stderr
    assert "r.yaml:6: training.per_device_train_batch_size: 128 completions" in said.stderr


def test_wrong_options_shifts_and_reward_tables_of_a_task_are_said_before_anything_heavy(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "data:\n  train:\n    - {task: counting, num_examples: 40, options: {cards: 3}}\n"
        "rewards:\n  - {name: verifier}\nepisode:\n  rewards: repo\n"
    )
    said = cli("rl", "r.yaml")
    assert said.returncode == 2
    assert "error: r.yaml has 2 faults:" in said.stderr
    assert "r.yaml:3: data.train.0.options: Options of task 'counting': there is no option cards" in said.stderr
    assert "r.yaml:7: episode.rewards: task counting has no reward table 'repo'; it has: paper." in said.stderr


def test_the_processes_of_a_launch_count_in_the_arithmetic(cli: Cli, recipe: Path) -> None:
    said = cli("rl", "r.yaml", "--dry-run", WORLD_SIZE="2", RANK="0")
    assert "128 = 64 in one forward pass x 1 accumulated x 2 processes" in said.stdout
    assert "do not divide among 3 processes" in cli("rl", "r.yaml", "--dry-run", WORLD_SIZE="3", RANK="0").stderr


def test_an_existing_run_is_refused_before_anything_heavy(cli: Cli, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "r").mkdir(parents=True)
    (tmp_path / "runs" / "r" / "manifest.json").write_text("{}")
    said = cli("rl", "r.yaml")
    assert said.returncode == 2
    assert "this run exists. Go on with it with --resume, or start another with --run-name NAME." in said.stderr


def test_resuming_what_is_not_there_is_said_so(cli: Cli, recipe: Path) -> None:
    said = cli("rl", "r.yaml", "--resume")
    assert said.returncode == 2
    assert "runs/r: no such folder." in said.stderr


def test_the_run_folder_follows_the_recipe_and_the_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = Path("some/where/sft.yaml")
    assert run_folder(recipe, run_dir=None, run_name=None) == tmp_path / "runs" / "sft"
    assert run_folder(recipe, run_dir=None, run_name="a") == tmp_path / "runs" / "sft-a"
    assert run_folder(recipe, run_dir=Path("x/y"), run_name=None) == tmp_path / "x" / "y"
    with pytest.raises(ConfigError, match="give one of them"):
        run_folder(recipe, run_dir=Path("x"), run_name="a")
    with pytest.raises(RunError, match="--run-name 'a/b': not the name of one folder"):
        run_folder(recipe, run_dir=None, run_name="a/b")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    (tmp_path / "logs").mkdir()
    made = RunDirectory(tmp_path, writes=True, attempt=1)
    write_status(made, state="running", phase="update", step=4, num_steps=9)
    return made


@pytest.mark.parametrize(("error", "state"), [(DataError("bad row"), "failed"), (TrainingStopped("signal"), "stopped")])
def test_an_error_becomes_the_status_and_a_line_of_the_log(run: RunDirectory, error: Exception, state: str) -> None:
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(type(error)), Attempt(run):
        logging.getLogger("vlmpost.x").warning("something odd")
        raise error
    status = read_status(run)
    assert status is not None
    assert (status["state"], status["step"], status["message"]) == (state, 4, str(error))
    log = run.log_path.read_text()
    assert "something odd" in log
    assert str(error) in log
    assert logging.getLogger().handlers == handlers


def test_a_status_that_the_trainer_wrote_is_left_alone(run: RunDirectory) -> None:
    with pytest.raises(DataError), Attempt(run):
        write_status(run, state="stopped", phase="save", step=5)
        raise DataError("later")
    status = read_status(run)
    assert status is not None
    assert (status["state"], status["step"]) == ("stopped", 5)


def test_a_finished_run_is_not_trained_again(cli: Cli, recipe: Path, tmp_path: Path) -> None:
    from vlmpost.config.load import load
    from vlmpost.runs.directory import create

    config = load("rl", recipe).config
    made = create(tmp_path / "runs", "r", recipe_text="", config=config, manifest={"kind": "rl"})
    write_status(made, state="finished", phase="done", step=9)
    made.unlock()
    said = cli("rl", "r.yaml", "--resume")
    assert said.returncode == 0, said.stderr
    assert "this run is finished" in said.stdout


def test_a_changed_recipe_is_not_resumed(cli: Cli, recipe: Path, tmp_path: Path) -> None:
    from vlmpost.config.load import load
    from vlmpost.runs.directory import create

    made = create(tmp_path / "runs", "r", recipe_text="", config=load("rl", recipe).config, manifest={"kind": "rl"})
    made.unlock()
    said = cli("rl", "r.yaml", "--resume", "--set", "algorithm.beta=0.1", "--set", "logging.logging_steps=7")
    assert said.returncode == 2
    assert "algorithm.beta: 0.0 then, 0.1 now" in said.stderr
    assert "logging_steps" not in said.stderr
    assert json.loads(made.config_path.read_text())["algorithm"]["beta"] == 0.0


@pytest.mark.train
def test_a_run_ends_with_a_model_that_was_measured_on_held_out_questions(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "data:\n  train: [{task: counting, num_examples: 8}]\n  eval: [{task: counting, num_examples: 3, split: test}]\n"
        "training: {examples_per_step: 4, max_steps: 2}\n"
    )
    said = cli("sft", "s.yaml", "--run-name", "a", OMP_NUM_THREADS="1")
    assert said.returncode == 0, said.stderr
    run = tmp_path / "runs" / "s-a"
    assert (run / "final" / "model.safetensors").is_file()
    assert json.loads((run / "status.json").read_text())["state"] == "finished"
    assert json.loads((run / "manifest.json").read_text())["model_hash"].startswith("sha256:")
    assert "final: 3 questions, 1 samples each" in said.stdout
    assert (run / "evaluations" / "final" / "predictions.jsonl").read_text().count("\n") == 3
    assert "this run exists" in cli("sft", "s.yaml", "--run-name", "a").stderr
