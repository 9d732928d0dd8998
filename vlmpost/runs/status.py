"""How a run stands: one small file, replaced whole, that a reader may open at any moment."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from vlmpost import jsonl
from vlmpost.errors import RunError
from vlmpost.runs.directory import RunDirectory

State = Literal["running", "finished", "stopped", "failed"]
"""stopped: ended itself with everything saved (a signal, the doctor); failed: an error."""


def write_status(
    run: RunDirectory,
    *,
    state: State,
    phase: str,
    step: int,
    num_steps: int | None = None,
    message: str | None = None,
    extra: Mapping[str, object] | None = None,
) -> None:
    """Replaces the status; does nothing in a process that does not write the run.

    Args:
        run: The run.
        state: How it stands.
        phase: What it is doing, e.g. "data", "generate", "update", "save", "done".
        step: Optimizer steps done.
        num_steps: Optimizer steps the run will have; None: not known yet.
        message: Why it stopped or failed, for people.
        extra: Anything else, as JSON values.

    Raises:
        RunError: The disk refuses.
    """
    if not run.writes:
        return
    jsonl.replace_json(
        run.status_path,
        {
            "state": state,
            "phase": phase,
            "step": step,
            "num_steps": num_steps,
            "message": message,
            "attempt": run.attempt,
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
            "process": os.getpid(),
            "host": socket.gethostname(),
            **(extra or {}),
        },
    )


def read_status(run: RunDirectory) -> dict[str, object] | None:
    """The status of a run; None when it has none yet.

    Raises:
        RunError: It cannot be read.
    """
    try:
        value = json.loads(run.status_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{run.status_path}: cannot be read ({error.strerror}).") from None
    except json.JSONDecodeError as error:
        raise RunError(f"{run.status_path}: not JSON ({error.msg}).") from None
    if not isinstance(value, dict):
        raise RunError(f"{run.status_path}: not a mapping.")
    return value
