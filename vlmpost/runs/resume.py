"""Going on with a run: only with the recipe it was started with, and by one process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from vlmpost import jsonl
from vlmpost.errors import RunError
from vlmpost.runs.directory import RunDirectory, disk, is_main_process, num_attempts, open_existing
from vlmpost.runs.manifest import read_manifest, update_manifest

MAY_CHANGE: Final = ("logging.", "checkpoints.", "data.num_workers")
"""Keys that say how a run is shown or kept and change no number of it; prefixes."""

_LOCK_WAIT_SECONDS = 10.0


def open_for_resume(path: Path | str, config: BaseModel, *, kind: str | None = None) -> RunDirectory:
    """The run at `path`, held by this process, to go on with; its log is a new attempt.

    Keys that only say how a run is shown or kept may differ from the first start (see `MAY_CHANGE`); they are stored.

    Raises:
        RunError: There is no run, it belongs to another command, another process writes it, or the recipe differs.
    """
    try:
        existing = open_existing(path)
    except RunError as error:
        raise RunError(f"{error} Leave --resume out to start a run.") from None
    run = RunDirectory(existing.path, writes=is_main_process(), attempt=num_attempts(existing.path) + 1)
    run.lock(wait_seconds=_LOCK_WAIT_SECONDS)
    check_unchanged(run, config, kind=kind)
    if run.writes:
        jsonl.replace_json(run.config_path, config.model_dump(mode="json"))
        run.remove_incomplete()
        for file in (run.metrics_path, run.rollouts_path):
            with disk(file):
                _cut_torn_tail(file)
        with disk(run.log_path):
            run.logs_dir.mkdir(exist_ok=True)
            run.log_path.touch()
    return run


def check_unchanged(run: RunDirectory, config: BaseModel, *, kind: str | None) -> None:
    """Refuses a config that would train something else than the run was started with.

    Raises:
        RunError: The run belongs to another command, its config cannot be read, or keys differ; all are named.
    """
    started = read_manifest(run).get("kind")
    if kind is not None and started is not None and started != kind:
        raise RunError(
            f"{run.path}: started with `vlmpost {started}`, so it cannot go on with `vlmpost {kind}`. Choose another --run-name."
        )
    stored = stored_config(run)
    differences = changed_keys(stored, config.model_dump(mode="json"))
    refused = [f"{key}: {_short(old)} then, {_short(new)} now" for key, (old, new) in differences.items() if not key.startswith(MAY_CHANGE)]
    if refused:
        raise RunError(
            "\n  ".join([f"{run.path}: the recipe has changed since this run was started:", *refused])
            + "\n  Put the old values back to resume, or start another run with --run-name NAME."
        )


def pin(run: RunDirectory, facts: Mapping[str, object]) -> None:
    """Writes what went into the run to its manifest the first time, and refuses to go on with something else later.

    Args:
        run: The run; does nothing in a process that does not write it.
        facts: Manifest keys whose values are hashes or settings, e.g. `model_hash`.

    Raises:
        RunError: A fact differs from the one stored; all are named.
    """
    if not run.writes:
        return
    stored = read_manifest(run)
    known = {name: stored[name] for name in facts if stored.get(name) is not None}
    differences = changed_keys(known, {name: facts[name] for name in known})
    if differences:
        told = [f"{key}: {_short(old)} then, {_short(new)} now" for key, (old, new) in differences.items()]
        raise RunError(
            "\n  ".join([f"{run.path}: what the run was started with has changed:", *told])
            + "\n  Put the old files back to resume, or start another run with --run-name NAME."
        )
    update_manifest(run, **facts)


def stored_config(run: RunDirectory) -> Mapping[str, object]:
    """The resolved config that the run was started with.

    Raises:
        RunError: It cannot be read.
    """
    return jsonl.read_json(run.config_path)


_ABSENT: Final = object()


def changed_keys(old: object, new: object, *, prefix: str = "") -> dict[str, tuple[object, object]]:
    """The dotted keys whose values differ, each with (old, new), sorted.

    >>> changed_keys({"a": {"b": 1, "c": [1, 2]}}, {"a": {"b": 2, "c": [1]}})
    {'a.b': (1, 2), 'a.c.1': (2, 'nothing')}
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = {str(key): (old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in {*old, *new}}
    elif isinstance(old, list) and isinstance(new, list):
        longest = max(len(old), len(new))
        pairs = {str(index): ((*old, *[_ABSENT] * longest)[index], (*new, *[_ABSENT] * longest)[index]) for index in range(longest)}
    else:
        same = (old == new and type(old) is type(new)) or (_number(old) and _number(new) and old == new)
        return {} if same else {prefix: ("nothing" if old is _ABSENT else old, "nothing" if new is _ABSENT else new)}
    result: dict[str, tuple[object, object]] = {}
    for key, (before, after) in sorted(pairs.items()):
        result |= changed_keys(before, after, prefix=f"{prefix}.{key}" if prefix else key)
    return result


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    text = value if value == "nothing" else json.dumps(value)
    text = str(text)
    return text if len(text) <= 80 else text[:77] + "..."


def _cut_torn_tail(path: Path) -> None:
    """Removes the half line that a killed process left at the end, so that the next row stands alone."""
    if not path.exists():
        return
    with open(path, "rb+") as file:
        data = file.read()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            file.truncate(end)
