"""A run goes on only with the recipe it was started with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmpost.config.schema import CheckpointConfig, DataConfig, LoggingConfig, SftConfig, SftTrainingConfig, SourceConfig
from vlmpost.errors import RunError
from vlmpost.runs.directory import RunDirectory, create
from vlmpost.runs.manifest import read_manifest
from vlmpost.runs.resume import changed_keys, open_for_resume, pin

SOURCE = SourceConfig(task="counting", num_examples=5)
CONFIG = SftConfig(data=DataConfig(train=[SOURCE]))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = create(tmp_path, "one", recipe_text="", config=CONFIG, manifest={"kind": "sft"})
    made.unlock()
    return made


def test_the_same_recipe_goes_on_as_the_next_attempt(run: RunDirectory) -> None:
    second = open_for_resume(run.path, CONFIG, kind="sft")
    assert second.attempt == 2
    assert second.log_path.name == "attempt_2.log"
    second.unlock()
    assert open_for_resume(run.path, CONFIG).attempt == 3


def test_every_changed_key_is_named_with_old_and_new(run: RunDirectory) -> None:
    changed = SftConfig(
        data=DataConfig(train=[SOURCE, SOURCE]),
        training=SftTrainingConfig(learning_rate=2e-5, max_steps=7),
        logging=LoggingConfig(logging_steps=5),
    )
    with pytest.raises(RunError) as raised:
        open_for_resume(run.path, changed)
    said = str(raised.value)
    assert "training.learning_rate: 1e-05 then, 2e-05 now" in said
    assert "training.max_steps: null then, 7 now" in said
    assert "data.train.1: nothing then, {" in said
    assert "logging" not in said
    assert "start another run with --run-name NAME" in said


def test_a_refused_resume_leaves_the_run_as_it_was(run: RunDirectory) -> None:
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.raises(RunError):
        open_for_resume(run.path, SftConfig(data=CONFIG.data, training=SftTrainingConfig(seed=1)))
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path.name != ".lock"} == before


def test_what_changes_no_number_may_change_and_is_stored(run: RunDirectory) -> None:
    changed = SftConfig(
        data=DataConfig(train=[SOURCE], num_workers=2), checkpoints=CheckpointConfig(save_steps=3), logging=LoggingConfig(doctor="warn")
    )
    open_for_resume(run.path, changed)
    assert json.loads(run.config_path.read_text())["checkpoints"]["save_steps"] == 3


def test_another_command_is_refused(run: RunDirectory) -> None:
    with pytest.raises(RunError, match="started with `vlmpost sft`, so it cannot go on with `vlmpost rl`"):
        open_for_resume(run.path, CONFIG, kind="rl")


def test_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        open_for_resume(tmp_path / "none", CONFIG)


def test_a_damaged_config_is_said_so(run: RunDirectory) -> None:
    run.config_path.write_text("{")
    with pytest.raises(RunError, match="not JSON"):
        open_for_resume(run.path, CONFIG)


def test_a_run_that_is_being_written_is_refused(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmpost.runs.resume._LOCK_WAIT_SECONDS", 0.0)
    run.lock()
    with pytest.raises(RunError, match="another process is writing this run"):
        open_for_resume(run.path, CONFIG)


def test_half_a_line_and_half_a_checkpoint_of_a_killed_process_go_away(run: RunDirectory) -> None:
    run.metrics_path.write_text('{"step": 1}\n{"step": 2, "lo')
    run.temporary_checkpoint_path(2).mkdir()
    open_for_resume(run.path, CONFIG)
    assert run.metrics_path.read_text() == '{"step": 1}\n'
    assert list(run.checkpoints_dir.iterdir()) == []


def test_a_number_written_as_another_type_is_no_change() -> None:
    assert changed_keys({"a": 1}, {"a": 1.0}) == {}
    assert changed_keys({"a": 1}, {"a": True}) == {"a": (1, True)}
    assert changed_keys({"a": {"b": None}}, {"a": {}}) == {"a.b": (None, "nothing")}


def test_data_or_weights_that_changed_are_not_resumed_with(run: RunDirectory) -> None:
    pin(run, {"model_hash": "a", "data_hashes": {"train": "x"}})
    assert read_manifest(run)["model_hash"] == "a"
    pin(run, {"model_hash": "a", "data_hashes": {"train": "x"}})
    with pytest.raises(RunError, match=r'data_hashes\.train: "x" then, "y" now\n  model_hash: "a" then, "b" now'):
        pin(run, {"model_hash": "b", "data_hashes": {"train": "y"}})
    assert read_manifest(run)["model_hash"] == "a"
