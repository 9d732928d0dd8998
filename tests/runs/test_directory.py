"""A run directory is created once, written by one process, and knows whole checkpoints from half ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vlmpost.config.schema import DataConfig, SftConfig, SourceConfig
from vlmpost.errors import RunError
from vlmpost.runs.directory import RunDirectory, create, open_existing

CONFIG = SftConfig(data=DataConfig(train=[SourceConfig(task="counting", num_examples=5)]))


def new_run(root: Path, name: str = "one") -> RunDirectory:
    return create(root, name, recipe_text="data: {}\n", config=CONFIG, manifest={"kind": "sft"})


def test_a_new_run_holds_recipe_config_and_manifest(tmp_path: Path) -> None:
    run = new_run(tmp_path / "runs")
    assert run.path == tmp_path / "runs" / "one"
    assert run.recipe_path.read_text() == "data: {}\n"
    assert json.loads(run.config_path.read_text())["training"]["examples_per_step"] == 32
    assert json.loads(run.manifest_path.read_text()) == {"kind": "sft"}
    assert run.log_path == run.path / "logs" / "attempt_1.log"
    assert run.latest_checkpoint() is None


def test_an_existing_run_is_refused_with_the_ways_on(tmp_path: Path) -> None:
    new_run(tmp_path)
    with pytest.raises(RunError, match=r"this run exists\. Go on with it with --resume, or start another with --run-name NAME"):
        new_run(tmp_path)


def test_a_folder_of_something_else_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(RunError, match="exists and is not empty"):
        new_run(tmp_path, "thesis")
    assert [entry.name for entry in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="a file with this name exists"):
        new_run(tmp_path, "file")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    assert new_run(tmp_path).manifest_path.is_file()


@pytest.mark.parametrize("name", ["", " ", "..", "a/b", "a\0b", "a\nb"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="not the name of one folder"):
        new_run(tmp_path, name)


def test_a_disk_that_refuses_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot be written \(Not a directory\)"):
        new_run(tmp_path / "file")


def test_a_folder_that_is_no_run_is_refused_and_runs_beside_it_are_named(tmp_path: Path) -> None:
    new_run(tmp_path, "good")
    with pytest.raises(RunError, match=r"no such folder\. Runs in .*: good\."):
        open_existing(tmp_path / "god")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="not a run"):
        open_existing(tmp_path / "empty")


def test_half_written_checkpoints_are_not_seen(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for step in (100, 9, 1_000_000):
        run.temporary_checkpoint_path(step).mkdir()
        (run.temporary_checkpoint_path(step) / "weights").write_text(str(step))
        assert run.publish_checkpoint(step) == run.checkpoint_path(step)
    run.temporary_checkpoint_path(2_000_000).mkdir()
    (run.checkpoints_dir / "step_x").mkdir()
    assert [run.checkpoint_step(path) for path in run.checkpoints()] == [9, 100, 1_000_000]
    assert run.latest_checkpoint() == run.path / "checkpoints" / "step_1000000"


def test_a_checkpoint_of_the_same_step_is_replaced_whole(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for content in ("old", "new"):
        run.temporary_checkpoint_path(5).mkdir()
        (run.temporary_checkpoint_path(5) / "weights").write_text(content)
        run.publish_checkpoint(5)
    assert (run.checkpoint_path(5) / "weights").read_text() == "new"
    assert [entry.name for entry in run.checkpoints_dir.iterdir()] == ["step_000005"]


def test_cleaning_up_removes_half_checkpoints_and_restores_one_set_aside(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.temporary_checkpoint_path(7).mkdir()
    set_aside = run.checkpoints_dir / ".tmp-old-step_000005"  # killed between the two renames of a replacement
    set_aside.mkdir()
    assert run.remove_incomplete() == [run.temporary_checkpoint_path(7)]
    assert [path.name for path in run.checkpoints()] == ["step_000005"]


def test_a_looker_never_cleans_up(tmp_path: Path) -> None:
    new_run(tmp_path).temporary_checkpoint_path(7).mkdir()
    looker = open_existing(tmp_path / "one")
    assert looker.remove_incomplete() == []
    assert looker.temporary_checkpoint_path(7).is_dir()


def test_two_writers_are_refused_and_the_first_is_named(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    second = RunDirectory(run.path, writes=True, attempt=2)
    with pytest.raises(RunError, match=rf"another process is writing this run \(process {os.getpid()} on "):
        second.lock()
    run.unlock()
    second.lock()


def test_a_writer_that_ended_without_a_word_holds_nothing(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.unlock()
    program = (
        "import os, sys; from vlmpost.runs.directory import RunDirectory; "
        "RunDirectory(sys.argv[1], writes=True, attempt=1).lock(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, str(run.path)], check=False, timeout=60)
    run.lock()


def test_other_ranks_wait_for_rank_0_and_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmpost.runs.directory._OTHER_RANK_WAIT_SECONDS", 0.2)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(RunError, match="rank 0 did not create the run"):
        new_run(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("RANK", "0")
    new_run(tmp_path)
    monkeypatch.setenv("RANK", "1")
    assert not new_run(tmp_path).writes
