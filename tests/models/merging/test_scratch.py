"""Folders that appear whole or not at all, and what a killed process left beside them."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vlmpost.models.merging.scratch import made_whole, remove_left, remove_whole

LEAVING = """
import sys, time
from pathlib import Path
from vlmpost.models.merging.scratch import made_whole
with made_whole(Path(sys.argv[1])) as scratch:
    (scratch / "half").write_text("x")
    print("ready", flush=True)
    time.sleep(60)
"""


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".tmp")]


def test_a_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    with made_whole(tmp_path / "deep" / "out") as scratch:
        (scratch / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert [path.name for path in (tmp_path / "deep" / "out").iterdir()] == ["file"]
    assert hidden(tmp_path / "deep") == []


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), made_whole(tmp_path / "out"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", LEAVING, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    remove_left(tmp_path / "out")
    assert hidden(tmp_path) == [f".tmp-out-{process.pid}"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert hidden(tmp_path) == [f".tmp-out-{process.pid}"]
    with made_whole(tmp_path / "out"):
        pass
    assert hidden(tmp_path) == []
    assert (tmp_path / "out").is_dir()


def test_only_scratch_folders_of_this_very_folder_are_removed(tmp_path: Path) -> None:
    for name in (".tmp-out-mine", ".tmp-output-12", ".tmp-out-2-12"):
        (tmp_path / name).mkdir()
    (tmp_path / ".tmp-out-34").write_text("a file")
    remove_left(tmp_path / "out")
    assert sorted(hidden(tmp_path)) == [".tmp-out-2-12", ".tmp-out-34", ".tmp-out-mine", ".tmp-output-12"]


def test_a_held_folder_stays(tmp_path: Path) -> None:
    (tmp_path / ".tmp-out-12").mkdir()
    handle = os.open(tmp_path / ".tmp-out-12", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    remove_left(tmp_path / "out")
    assert hidden(tmp_path) == [".tmp-out-12"]
    os.close(handle)
    remove_left(tmp_path / "out")
    assert hidden(tmp_path) == []


def test_a_removed_folder_is_gone_under_its_name_first(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("x")
    remove_whole(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
