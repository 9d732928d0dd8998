"""A folder that appears whole or not at all: written under another name beside it, and renamed.

What a killed process left is removed by the next one that writes the same folder. A process holds a lock on its scratch folder, which
ends with it, so a folder that still grows is never taken for one that was left.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """Gives an empty folder that becomes `folder` when the block ends, and is removed when it fails.

    Raises:
        OSError: The disk refuses, or something stands at `folder` by now.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_left(folder)
    scratch = folder.parent / f"{_prefix(folder)}{os.getpid()}"
    scratch.mkdir()
    handle = os.open(scratch, os.O_RDONLY)
    try:
        _try_lock(handle)
        yield scratch
        scratch.rename(folder)
    finally:
        os.close(handle)
        shutil.rmtree(scratch, ignore_errors=True)


def remove_whole(folder: Path) -> None:
    """Removes a folder in such a way that a kill leaves either all of it or nothing of that name."""
    remove_left(folder)
    scratch = folder.parent / f"{_prefix(folder)}{os.getpid()}"
    folder.rename(scratch)
    shutil.rmtree(scratch)


def remove_left(folder: Path) -> None:
    """Removes scratch folders of `folder` that no process holds."""
    for left in sorted(folder.parent.glob(f"{_prefix(folder)}*")):
        if not left.is_dir() or not left.name.removeprefix(_prefix(folder)).isdigit():
            continue
        handle = os.open(left, os.O_RDONLY)
        try:
            if _try_lock(handle):
                shutil.rmtree(left)
                logger.info("removed %s, left by a process that was killed", left)
        finally:
            os.close(handle)


def _prefix(folder: Path) -> str:
    return f".tmp-{folder.name}-"


def _try_lock(handle: int) -> bool:
    """Whether the folder is ours now; False where another process holds it, or where the file system knows no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
