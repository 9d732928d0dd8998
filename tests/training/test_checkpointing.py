from __future__ import annotations

import errno
import json
import os

import pytest

from vlmpost import jsonl
from vlmpost.errors import RunError
from vlmpost.runs.directory import RunDirectory
from vlmpost.training import checkpointing


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run", writes=True, attempt=1)
    for step in (2, 4):
        _write(run, step)
    return run


def _write(run, step):
    folder = run.temporary_checkpoint_path(step)
    (folder / "sub").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes([step]) * 100)
    (folder / "sub" / "more").write_bytes(b"x")
    checkpointing.seal(folder, step=step, world_size=1)
    run.publish_checkpoint(step)


def test_a_sealed_checkpoint_is_sound_and_the_newest_is_taken(run):
    assert checkpointing.fault(run.checkpoint_path(4)) is None
    assert checkpointing.latest_sound(run) == run.checkpoint_path(4)
    assert checkpointing.world_size_of(run.checkpoint_path(4)) == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "weights").write_bytes(b"4" * 99), "weights has 99 bytes, expected 100"),
        (lambda folder: (folder / "weights").write_bytes(bytes([5]) * 100), "weights is damaged"),
        (lambda folder: (folder / "sub" / "more").unlink(), "sub/more is missing"),
        (lambda folder: (folder / "checkpoint.json").unlink(), "checkpoint.json is missing"),
        (lambda folder: (folder / "checkpoint.json").write_text("{"), "checkpoint.json cannot be read"),
        (lambda folder: (folder / "checkpoint.json").write_text("[1]"), "checkpoint.json cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_and_the_reason_is_logged(run, damage, said, caplog):
    damage(run.checkpoint_path(4))
    assert checkpointing.fault(run.checkpoint_path(4)) == said
    with caplog.at_level("INFO"):
        assert checkpointing.latest_sound(run) == run.checkpoint_path(2)
    assert said in caplog.text


def test_a_large_file_is_digested_at_both_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpointing, "_WHOLE_DIGEST_BYTES", 10)
    monkeypatch.setattr(checkpointing, "_END_BYTES", 4)
    (tmp_path / "big").write_bytes(b"head" + b"-" * 20 + b"tail")
    checkpointing.seal(tmp_path, step=1, world_size=1)
    assert checkpointing.fault(tmp_path) is None
    (tmp_path / "big").write_bytes(b"head" + b"-" * 20 + b"tale")
    assert checkpointing.fault(tmp_path) == "big is damaged"


def test_rotation_keeps_the_newest_and_none_keeps_all(run):
    _write(run, 6)
    checkpointing.rotate(run, save_total_limit=None)
    assert [run.checkpoint_step(path) for path in run.checkpoints()] == [2, 4, 6]
    checkpointing.rotate(run, save_total_limit=1)
    assert [run.checkpoint_step(path) for path in run.checkpoints()] == [6]
    assert os.listdir(run.checkpoints_dir) == ["step_000006"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:626] . unexpected pos 64 vs 0"),
        RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"),
    ],
)
def test_a_full_disk_ends_in_one_sentence_that_names_the_checkpoint_before(run, error):
    said = r"step_000006: the checkpoint could not be written .*step_000004, is whole.*--resume"
    with pytest.raises(RunError, match=said), checkpointing.disk_errors(run, 6):
        raise error


def test_other_runtime_errors_are_not_called_a_full_disk(run):
    with pytest.raises(RuntimeError, match="shape"), checkpointing.disk_errors(run, 6):
        raise RuntimeError("shape mismatch")


def test_rows_after_the_checkpoint_go_and_a_torn_line_with_them(tmp_path):
    path = tmp_path / "metrics.jsonl"
    jsonl.append(path, [{"step": 1, "loss": 0.5}, {"note": "x"}, {"step": 2, "loss": 0.25}, {"step": 3, "loss": 0.125}])
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"step": 4, "lo')
    assert checkpointing.keep_rows_up_to(path, 2) == 1
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "loss": 0.5},
        {"note": "x"},
        {"step": 2, "loss": 0.25},
    ]
    assert checkpointing.keep_rows_up_to(tmp_path / "none.jsonl", 2) == 0


def test_save_steps_are_rounded_up_to_whole_cycles():
    assert checkpointing.aligned_save_steps(3, cycle_steps=2) == 4
    assert checkpointing.aligned_save_steps(4, cycle_steps=2) == 4
    assert checkpointing.aligned_save_steps(1, cycle_steps=6) == 6
