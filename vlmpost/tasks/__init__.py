"""Tasks: problems that draw their own pictures and verify the replies to them.

Every example is a pure function of (task, split, index, seed, difficulty, options). The three splits cannot share a problem: each
problem has a key, the key's hash belongs to one split, and a draw that falls to another split is drawn again.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from vlmpost.errors import ConfigError
from vlmpost.records import Example
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import SHIFTS, SPLITS, Shift, Task, TaskOptions
from vlmpost.tasks.users import find_class

__all__ = [
    "DIFFICULTIES",
    "SHIFTS",
    "SPLITS",
    "Problem",
    "Task",
    "TaskOptions",
    "find",
    "make",
    "names",
    "stream",
]

DIFFICULTIES = (1, 2, 3, 4, 5)

_ROOMS: Mapping[str, str] = MappingProxyType(
    {
        "card_sums": "pictures",
        "charts": "pictures",
        "comparing": "pictures",
        "counting": "pictures",
        "depth_jigsaw": "jigsaw",
        "flipped_patch": "puzzles",
        "general_points": "general_points",
        "geometry": "geometry",
        "image_jigsaw": "jigsaw",
        "navigation": "navigation",
        "patch_fit": "puzzles",
        "patch_pair": "puzzles",
        "patch_position": "puzzles",
        "rotation": "puzzles",
        "video_jigsaw": "jigsaw",
    }
)
"""Name of a task -> the room that has it in its `TASKS`; a room is imported when one of its tasks is asked for."""


def names() -> tuple[str, ...]:
    """Return the names of the tasks that come with vlmpost, sorted."""
    return tuple(_ROOMS)


def find(name: str) -> Task:
    """Return the task of a name, or a user's by `package.module:Class` or `file.py:Class`.

    Raises:
        ConfigError: There is no such task, file, module or class, or the user's module fails to import.
    """
    if name in _ROOMS:
        room = importlib.import_module(f"vlmpost.tasks.{_ROOMS[name]}")
        found: Task = room.TASKS[name]
        return found
    if ":" in name:
        return find_class(name)
    near = difflib.get_close_matches(name, _ROOMS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"There is no task {name!r}.{hint} The tasks are: {', '.join(names())}; yours: package.module:Class or path/to/file.py:Class."
    )


def make(
    task: str,
    *,
    split: str,
    index: int,
    seed: int = 0,
    difficulty: int | None = None,
    options: Mapping[str, object] | None = None,
    shift: Shift = "none",
) -> Example:
    """Return one example; the same arguments always give the same one.

    Args:
        task: One of `names()`, or a user's.
        split: One of `SPLITS`.
        index: Number of the example in its stream, from 0.
        seed: Chooses the stream.
        difficulty: 1 (easy) to 5 (hard), where the task has difficulties. None: it has none.
        options: The task's own options, as a recipe gives them.
        shift: The variant: in distribution, by rule or by looks.

    Raises:
        ConfigError: The task, split, index, difficulty, shift or an option does not exist.
    """
    found = find(task)
    _check(found, split=split, index=index, difficulty=difficulty)
    chosen = found.options_of(options or {}, shift=shift)
    return found.make(split=split, index=index, seed=seed, difficulty=difficulty, options=chosen, shift=shift)


def stream(
    task: str,
    *,
    split: str,
    seed: int = 0,
    num_examples: int,
    difficulties: Sequence[int] | None = None,
    options: Mapping[str, object] | None = None,
    shift: Shift = "none",
) -> Iterator[Example]:
    """Yield `num_examples` examples whose difficulties take turns in the given order; None: all that the task has.

    Raises:
        ConfigError: As `make`, or `difficulties` is empty.
    """
    found = find(task)
    if difficulties is not None and not difficulties:
        raise ConfigError(f"Task {task!r} got an empty list of difficulties: give some of 1 to 5.")
    turns: Sequence[int | None] = (difficulties if difficulties is not None else found.difficulties) or (None,)
    chosen = found.options_of(options or {}, shift=shift)
    for index in range(num_examples):
        difficulty = turns[index % len(turns)]
        _check(found, split=split, index=index, difficulty=difficulty)
        yield found.make(split=split, index=index, seed=seed, difficulty=difficulty, options=chosen, shift=shift)


def _check(task: Task, *, split: str, index: int, difficulty: int | None) -> None:
    if split not in SPLITS:
        raise ConfigError(f"Task {task.name!r} has no split {split!r}: use one of {', '.join(sorted(SPLITS))}.")
    if task.difficulties and difficulty not in task.difficulties:
        known = f"{task.difficulties[0]} to {task.difficulties[-1]}"
        raise ConfigError(f"Task {task.name!r} got difficulty {difficulty!r}: use {known}.")
    if not task.difficulties and difficulty is not None:
        raise ConfigError(f"Task {task.name!r} has no difficulties, got {difficulty!r}.")
    if index < 0:
        raise ConfigError(f"Task {task.name!r} got index {index}: use 0 or more.")
