"""Checkpoints that are whole or absent, and a resume that gives the numbers an uninterrupted run gives.

A checkpoint is written into a scratch folder beside its place, sealed with the size and digest of every file, and renamed. What
`Trainer` forgets (the loss summed since the last log, pending figures, token counters) is kept per process in the checkpoint.

Departures from `transformers.Trainer`: 1. weights load strictly; 2. folders are named `step_000100`; 3. the newest checkpoint that
passes its seal is taken, and each one passed over is named in the log.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vlmpost import jsonl
from vlmpost.errors import RunError
from vlmpost.runs.directory import TEMPORARY_PREFIX, RunDirectory

logger = logging.getLogger(__name__)

SEAL_NAME = "checkpoint.json"
STATE_NAME = "loop_state_{rank}.json"
_WHOLE_DIGEST_BYTES = 64 * 2**20
"""Files up to this size are digested whole, larger ones at both ends: a checkpoint of a large model must not take minutes more."""
_END_BYTES = 2**20


def scratch_path(run: RunDirectory, step: int) -> Path:
    """Where `Trainer` writes the checkpoint of `step`, file by file; the same path on every process."""
    return run.checkpoints_dir / f"{TEMPORARY_PREFIX}writing-step_{step:06d}"


def seal(folder: Path, *, step: int, world_size: int) -> None:
    """Writes the sizes and digests of all files of a finished checkpoint and flushes them to disk.

    Raises:
        OSError: The disk refuses.
    """
    files = {}
    for path in _files(folder):
        files[path.relative_to(folder).as_posix()] = {"num_bytes": path.stat().st_size, "digest": _digest(path)}
        _flush(path)
    text = json.dumps({"step": step, "world_size": world_size, "files": files}, indent=1)
    target = folder / SEAL_NAME
    target.write_text(text + "\n", encoding="utf-8")
    _flush(target)


def fault(folder: Path) -> str | None:
    """Why a checkpoint cannot be trusted, in a few words; None when it is sound."""
    try:
        sealed = json.loads((folder / SEAL_NAME).read_text(encoding="utf-8"))
        expected = dict(sealed["files"])
    except FileNotFoundError:
        return f"{SEAL_NAME} is missing"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{SEAL_NAME} cannot be read"
    for name, facts in sorted(expected.items()):
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != facts["num_bytes"]:
            return f"{name} has {path.stat().st_size} bytes, expected {facts['num_bytes']}"
        if _digest(path) != facts["digest"]:
            return f"{name} is damaged"
    return None


def latest_sound(run: RunDirectory) -> Path | None:
    """The newest checkpoint whose files are what was written; None when there is none. Damaged ones are named in the log."""
    for folder in reversed(run.checkpoints()):
        found = fault(folder)
        if found is None:
            return folder
        logger.info("%s is left out of the resume: %s. Falling back to the checkpoint before it.", folder, found)
    return None


def world_size_of(folder: Path) -> int:
    """How many processes wrote a sound checkpoint."""
    return int(json.loads((folder / SEAL_NAME).read_text(encoding="utf-8"))["world_size"])


def rotate(run: RunDirectory, *, save_total_limit: int | None) -> None:
    """Removes the oldest checkpoints beyond `save_total_limit`; None keeps all. Each loses its name before its files.

    Raises:
        OSError: The disk refuses.
    """
    if save_total_limit is None:
        return
    for folder in run.checkpoints()[:-save_total_limit]:
        doomed = folder.with_name(f"{TEMPORARY_PREFIX}gone-{folder.name}")
        os.rename(folder, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


@contextmanager
def disk_errors(run: RunDirectory, step: int) -> Iterator[None]:
    """Turns a refusal of the disk while a checkpoint is written into a sentence; checkpoints before it are untouched.

    Raises:
        RunError: The disk refused.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise _not_written(run, step, error) from None
    except RuntimeError as error:  # torch.save: its zip writer knows no OSError
        if not any(sign in str(error) for sign in ("PytorchStreamWriter", "unexpected pos", "No space left")):
            raise
        raise _not_written(run, step, error) from None


def _not_written(run: RunDirectory, step: int, error: Exception) -> RunError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
    if "unexpected pos" in reason:  # torch.save's words for it
        reason = "the disk took a part of a file only"
    kept = run.latest_checkpoint()
    before = f"The checkpoint before it, {kept.name}, is whole" if kept else "No checkpoint was written before it"
    folder = run.checkpoint_path(step)
    return RunError(f"{folder}: the checkpoint could not be written ({reason}). {before}. Free space, then go on with --resume.")


def keep_rows_up_to(path: Path, step: int) -> int:
    """Removes the rows of a JSONL file that a resume from `step` will write again; returns how many went.

    Rows without a whole number under `step` stay. A torn last line goes.
    """
    if not path.is_file():
        return 0
    rows = [row for _, row in jsonl.read(path, torn_tail=True)]
    kept = [row for row in rows if not (isinstance(row.get("step"), int) and int(str(row["step"])) > step)]
    text = "".join(jsonl.dump(row) for row in kept)
    if text != path.read_text(encoding="utf-8"):
        jsonl.replace_text(path, text)
    return len(rows) - len(kept)


def aligned_save_steps(save_steps: int, *, cycle_steps: int) -> int:
    """`save_steps` rounded up to whole generation cycles: rollouts in use are not saved, so a checkpoint stands between cycles.

    Args:
        save_steps: Optimizer steps between checkpoints, as asked.
        cycle_steps: Optimizer steps that share one batch of rollouts.

    >>> aligned_save_steps(100, cycle_steps=8)
    104
    """
    return -(-save_steps // cycle_steps) * cycle_steps


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL_NAME)


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    size = path.stat().st_size
    with open(path, "rb") as file:
        if size <= _WHOLE_DIGEST_BYTES:
            while chunk := file.read(2**20):
                digest.update(chunk)
        else:
            digest.update(file.read(_END_BYTES))
            file.seek(-_END_BYTES, os.SEEK_END)
            digest.update(file.read(_END_BYTES))
    return digest.hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
