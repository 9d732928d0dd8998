"""A status is whole at any moment, and written by the writer only."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost.errors import RunError
from vlmpost.runs.directory import RunDirectory
from vlmpost.runs.status import read_status, write_status


def test_a_status_says_state_phase_and_step(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, writes=True, attempt=2)
    assert read_status(run) is None
    write_status(run, state="running", phase="update", step=3, num_steps=9, extra={"eta_seconds": 5.0})
    status = read_status(run)
    assert status is not None
    assert (status["state"], status["phase"], status["step"], status["num_steps"]) == ("running", "update", 3, 9)
    assert (status["attempt"], status["eta_seconds"]) == (2, 5.0)


def test_a_process_that_does_not_write_the_run_writes_no_status(tmp_path: Path) -> None:
    write_status(RunDirectory(tmp_path, writes=False, attempt=1), state="running", phase="x", step=0)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_status_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("[1]")
    with pytest.raises(RunError, match="not a mapping"):
        read_status(RunDirectory(tmp_path, writes=False, attempt=1))


def test_a_full_disk_is_a_run_error_and_the_old_status_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path, writes=True, attempt=1)
    write_status(run, state="running", phase="update", step=1)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*Free space"):
        write_status(run, state="running", phase="update", step=2)
    status = read_status(run)
    assert status is not None
    assert status["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
