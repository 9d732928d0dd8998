"""The run directory: its layout, who may write it, which checkpoints are complete.

Only this room knows the names. A run is written by one process (rank 0 of a launch) at a time; the others only look. A checkpoint is
written under a name that starts with `.tmp-` and renamed when it is whole, so a killed process leaves nothing that looks like one.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from vlmpost import jsonl
from vlmpost.errors import RunError

logger = logging.getLogger(__name__)

TEMPORARY_PREFIX: Final = ".tmp-"
_CHECKPOINT = re.compile(r"step_(\d+)")
_ATTEMPT = re.compile(r"attempt_(\d+)\.log")
_OTHER_RANK_WAIT_SECONDS = 120.0


class RunDirectory:
    """The folder of one run. Make one with `create`, `open_existing` or `resume.open_for_resume`."""

    def __init__(self, path: Path | str, *, writes: bool, attempt: int) -> None:
        self.path: Final = Path(path).absolute()
        """The folder."""
        self.writes: Final = writes
        """Whether this process writes the run's files: rank 0 of a launch that trains."""
        self.attempt: Final = attempt
        """Which start of this run the process belongs to, from 1."""
        self._lock: int | None = None

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r}, attempt={self.attempt})"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def manifest_path(self) -> Path:
        """Where the run came from."""
        return self.path / "manifest.json"

    @property
    def recipe_path(self) -> Path:
        """The recipe as given."""
        return self.path / "recipe.yaml"

    @property
    def config_path(self) -> Path:
        """The recipe resolved: every key, `--set` applied."""
        return self.path / "config.json"

    @property
    def status_path(self) -> Path:
        """How the run stands."""
        return self.path / "status.json"

    @property
    def metrics_path(self) -> Path:
        """One row of numbers per logged step."""
        return self.path / "metrics.jsonl"

    @property
    def rollouts_path(self) -> Path:
        """Logged rollouts, with image references."""
        return self.path / "rollouts.jsonl"

    @property
    def shifts_path(self) -> Path:
        """What the model did on a task in its variants while it trained, and the compute up to there."""
        return self.path / "shifts.jsonl"

    @property
    def images_dir(self) -> Path:
        """The images that rollouts refer to."""
        return self.path / "rollout_images"

    @property
    def ledger_path(self) -> Path:
        """Which rows of the data were kept and dropped."""
        return self.path / "ledger.json"

    @property
    def evaluations_dir(self) -> Path:
        """Per-sample records and results of evaluations."""
        return self.path / "evaluations"

    @property
    def stages_dir(self) -> Path:
        """One folder per stage of a run that has stages."""
        return self.path / "stages"

    def stage_path(self, name: str) -> Path:
        """The folder of one stage, a run directory of its own."""
        return self.stages_dir / name

    @property
    def plan_path(self) -> Path:
        """The stages of a run that has stages."""
        return self.path / "plan.json"

    @property
    def results_path(self) -> Path:
        """What the models of a run that has stages come to."""
        return self.path / "results.json"

    @property
    def checkpoints_dir(self) -> Path:
        """Checkpoints, each a loadable Hugging Face folder."""
        return self.path / "checkpoints"

    @property
    def final_dir(self) -> Path:
        """The model at the end."""
        return self.path / "final"

    @property
    def logs_dir(self) -> Path:
        """One log per attempt."""
        return self.path / "logs"

    @property
    def log_path(self) -> Path:
        """The log of this attempt."""
        return self.logs_dir / f"attempt_{self.attempt}.log"

    @property
    def report_path(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def checkpoint_path(self, step: int) -> Path:
        """Where the checkpoint of `step` stands once it is whole."""
        return self.checkpoints_dir / f"step_{step:06d}"

    def temporary_checkpoint_path(self, step: int) -> Path:
        """Where the checkpoint of `step` is written before `publish_checkpoint`."""
        return self.checkpoints_dir / f"{TEMPORARY_PREFIX}step_{step:06d}"

    def publish_checkpoint(self, step: int) -> Path:
        """Gives a whole checkpoint its name, in one rename; an older one of the same step goes away.

        Raises:
            RunError: The disk refuses.
        """
        target = self.checkpoint_path(step)
        source = self.temporary_checkpoint_path(step)
        old = self.checkpoints_dir / f"{TEMPORARY_PREFIX}old-step_{step:06d}"
        with disk(target):
            if target.exists():
                target.rename(old)
            source.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        return target

    def checkpoints(self) -> list[Path]:
        """The whole checkpoints, oldest step first."""
        if not self.checkpoints_dir.is_dir():
            return []
        found = [(int(match[1]), path) for path in self.checkpoints_dir.iterdir() if (match := _CHECKPOINT.fullmatch(path.name))]
        return [path for _, path in sorted(found)]

    def latest_checkpoint(self) -> Path | None:
        """The whole checkpoint of the highest step; None when there is none."""
        checkpoints = self.checkpoints()
        return checkpoints[-1] if checkpoints else None

    def checkpoint_step(self, checkpoint: Path) -> int:
        """The step of one of `checkpoints()`."""
        match = _CHECKPOINT.fullmatch(checkpoint.name)
        assert match is not None, checkpoint
        return int(match[1])

    def remove_incomplete(self) -> list[Path]:
        """Removes what a killed process left half-written, and returns it; only the writing process does.

        A folder that `publish_checkpoint` had set aside without putting the new one in its place gets its name back.
        """
        if not self.writes or not self.checkpoints_dir.is_dir():
            return []
        removed = []
        for path in sorted(self.checkpoints_dir.glob(f"{TEMPORARY_PREFIX}*")):
            match = re.fullmatch(r"old-(step_\d+)", path.name.removeprefix(TEMPORARY_PREFIX))
            if match and not (self.checkpoints_dir / match[1]).exists():
                path.rename(self.checkpoints_dir / match[1])
                continue
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
        return removed

    def lock(self, *, wait_seconds: float = 0.0, otherwise: str = "choose another --run-name") -> None:
        """Makes this process the only one that writes the run, until it ends.

        Args:
            wait_seconds: How long another process is waited for.
            otherwise: What a user may do in place of waiting.

        Raises:
            RunError: Another process holds the run for longer than `wait_seconds`.
        """
        if not self.writes or self._lock is not None:
            return
        path = self.path / ".lock"
        with disk(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(handle):
            if time.monotonic() >= deadline:
                owner = os.pread(handle, 200, 0).decode(errors="replace").strip() or "unknown"
                os.close(handle)
                raise RunError(f"{self.path}: another process is writing this run ({owner}). Wait for it, or {otherwise}.")
            time.sleep(0.1)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        self._lock = handle

    def unlock(self) -> None:
        """Lets other processes write the run; closing the process does the same."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def is_main_process() -> bool:
    """Whether this process is the one of its launch that writes: rank 0, or not launched as one of many."""
    return os.environ.get("RANK", "0") == "0"


def world_size() -> int:
    """Processes of this launch, as torchrun and accelerate say it; 1 without them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def create(root: Path | str, name: str, *, recipe_text: str, config: BaseModel, manifest: Mapping[str, object]) -> RunDirectory:
    """A new run directory `root/name` with its recipe, config and manifest, held by this process.

    In a launch of several processes rank 0 creates it and the others wait for it.

    Raises:
        RunError: The directory exists and is not empty, the name is not a file name, or the disk refuses.
    """
    check_name(name)
    run = RunDirectory(Path(root) / name, writes=is_main_process(), attempt=1)
    if not run.writes:
        _wait_for(run)
        return run
    _refuse_existing(run)
    for folder in (run.path, run.checkpoints_dir, run.logs_dir):
        with disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
    run.lock()
    with disk(run.log_path):
        run.log_path.touch()
    jsonl.replace_text(run.recipe_path, recipe_text)
    jsonl.replace_json(run.config_path, config.model_dump(mode="json"))
    jsonl.replace_json(run.manifest_path, manifest)
    return run


def check_name(name: str) -> None:
    """Refuses a name that cannot be the name of one folder.

    Raises:
        RunError: It is empty, a path, or holds a character that no file name has.
    """
    if not name.strip() or name in (".", "..") or "/" in name or not name.isprintable():
        raise RunError(f"--run-name {name!r}: not the name of one folder; use letters, digits, - and _, or give a path with --run-dir.")


def open_existing(path: Path | str) -> RunDirectory:
    """The run at `path`, to look at.

    Raises:
        RunError: There is no run.
    """
    run = RunDirectory(path, writes=False, attempt=max(1, num_attempts(Path(path))))
    if not run.manifest_path.is_file():
        what = "no such folder" if not run.path.exists() else "not a run (it has no manifest.json)"
        raise RunError(f"{path}: {what}.{_near_runs(run.path)}")
    return run


def _refuse_existing(run: RunDirectory) -> None:
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"{run.path}: a file with this name exists. Choose another --run-name.")
    if run.manifest_path.exists():
        raise RunError(f"{run.path}: this run exists. Go on with it with --resume, or start another with --run-name NAME.")
    if run.path.is_dir() and any(entry.name != ".lock" for entry in run.path.iterdir()):
        raise RunError(f"{run.path}: the folder exists and is not empty. Choose another one with --run-dir or --run-name.")


def _wait_for(run: RunDirectory) -> None:
    """Blocks a process that is not rank 0 until rank 0 has made the run."""
    deadline = time.monotonic() + _OTHER_RANK_WAIT_SECONDS
    while not run.manifest_path.is_file():
        if time.monotonic() >= deadline:
            raise RunError(
                f"{run.path}: rank 0 did not create the run in {_OTHER_RANK_WAIT_SECONDS:.0f} s. Is the folder shared by all machines?"
            )
        time.sleep(0.1)


def _near_runs(path: Path) -> str:
    """Runs beside `path`, as a sentence; empty when there are none."""
    if not path.parent.is_dir():
        return ""
    runs = sorted(entry.name for entry in path.parent.iterdir() if (entry / "manifest.json").is_file())
    return f" Runs in {path.parent}: {', '.join(runs)}." if runs else ""


def num_attempts(path: Path) -> int:
    """The highest attempt that has a log."""
    logs = path / "logs"
    if not logs.is_dir():
        return 0
    return max((int(match[1]) for entry in logs.iterdir() if (match := _ATTEMPT.fullmatch(entry.name))), default=0)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        logger.warning("the file system cannot lock files (%s): do not start two processes on this run", error.strerror)
    return True


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Makes a refusal of the disk inside the block a RunError about `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}). Free space or choose another folder (--run-dir, --out).") from None
