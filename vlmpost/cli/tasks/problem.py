"""The problem that `vlmpost tasks show` is asked for: named by its place in a stream, or given itself; and its pictures as files."""

from __future__ import annotations

import collections
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlmpost.cli.tasks.material import posed_on_material
from vlmpost.cli.tasks.naming import options_given

if TYPE_CHECKING:
    from vlmpost.records import Example
    from vlmpost.tasks import Task
    from vlmpost.tasks.task import Shift, TaskOptions

PNG = ".png"
_OTHER_PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class ShownProblem:
    """A problem and what was said of it beside."""

    example: Example
    verify_iterations: int | None
    """Graded attempts at each state; None: each reply is an episode of its own."""
    options: TaskOptions | None = None
    """None: the problem was given, not posed."""
    replies: Sequence[str] = ()
    """The outputs of a given row."""


@dataclass(frozen=True)
class Place:
    """Where a problem stands in the streams of a task."""

    seed: int = 0
    index: int = 0
    split: str = "train"
    difficulty: int | None = None
    """None: the task's first."""
    shift: Shift = "none"
    path: str | None = None
    """Stored material that it is posed on. None: the task draws it."""


def named_problem(task: Task, place: Place, settings: Sequence[str] | None) -> ShownProblem:
    """Returns the problem at a place of a stream, drawn or posed on stored material.

    Raises:
        ConfigError: The place, the shift or an option does not exist.
        DataError: The material cannot be read, or all of it is unusable.
    """
    from vlmpost import tasks

    given = options_given(settings)
    options = task.options_of(given, shift=place.shift)
    if place.path is not None:
        return ShownProblem(_on_material(task, place, given), task.verify_iterations, options)
    first = task.difficulties[0] if task.difficulties else None
    example = tasks.make(
        task.address,
        split=place.split,
        index=place.index,
        seed=place.seed,
        difficulty=first if place.difficulty is None else place.difficulty,
        options=given,
        shift=place.shift,
    )
    return ShownProblem(example, task.verify_iterations, options)


def _on_material(task: Task, place: Place, given: dict[str, object]) -> Example:
    from vlmpost.config.schema import SourceConfig
    from vlmpost.data import Ledger

    source = SourceConfig(
        task=task.address,
        path=place.path,
        split=place.split,
        num_examples=place.index + 1,
        seed=place.seed,
        difficulties=None if place.difficulty is None else [place.difficulty],
        options=given,
        shift=place.shift,
    )
    return collections.deque(posed_on_material(source, Ledger()), maxlen=1).pop()


def given_problem(task: Task, text: str, *, besides: Sequence[str]) -> ShownProblem:
    """Returns the problem that a text of JSON gives, as a row of `vlmpost tasks verify`; its `outputs` are replies.

    Args:
        task: Whose problem it is.
        text: A JSON object.
        besides: Flags that name another problem.

    Raises:
        ConfigError: The text is no JSON object, or another problem is named as well.
        DataError: It is no problem of the task.
    """
    from vlmpost.errors import ConfigError
    from vlmpost.tasks.verifying import OUTPUTS, instance_of, replies_of, verify_iterations_of

    if besides:
        raise ConfigError(f"--row gives the problem itself; leave out {', '.join(besides)}.")
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--row: not JSON ({error}): {text[:80]!r}.") from None
    if not isinstance(row, dict):
        raise ConfigError(f"--row: expected a JSON object, got {type(row).__name__}.")
    replies = replies_of(row) if OUTPUTS in row else []
    return ShownProblem(instance_of(task, row), verify_iterations_of(task, row), replies=replies)


def save_images(example: Example, target: Path | None, *, unnamed: bool) -> list[Path]:
    """Writes the pictures of an example as they are and returns their paths.

    Args:
        example: Whose pictures they are.
        target: A .png file for the one picture, or a folder. None: the working folder.
        unnamed: The id does not name the problem; a part of the picture's hash then stands in the name of its file.

    Raises:
        ConfigError: Several pictures for one file, or a file of another format.
        RunError: A file of that name holds something else, or the disk refuses.
    """
    from vlmpost.errors import ConfigError

    folder = Path() if target is None else target
    pictures = [Path(str(ref.path)).read_bytes() if ref.data is None else ref.data for ref in example.images]
    if folder.suffix.lower() in _OTHER_PICTURES:
        raise ConfigError(f"--image-to {folder}: pictures are written as PNG; name a .png file or a folder.")
    if folder.suffix.lower() == PNG:
        if len(pictures) > 1:
            raise ConfigError(f"--image-to {folder}: the problem has {len(pictures)} pictures; name a folder.")
        paths = [folder] * len(pictures)
    else:
        stem = re.sub(r"[^\w.-]+", "_", example.id)[:80]
        marks = [f"-{hashlib.sha256(data).hexdigest()[:8]}" if unnamed else "" for data in pictures]
        paths = [folder / f"{stem}-{slot}{mark}{PNG}" for slot, mark in enumerate(marks, start=1)]
    for path, data in zip(paths, pictures, strict=True):
        _save(path, data)
    return paths


def _save(path: Path, data: bytes) -> None:
    from vlmpost.errors import RunError

    try:
        if path.exists() and path.read_bytes() != data:
            raise RunError(f"{path}: is there already and holds something else. Remove it, or choose another --image-to.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}). Choose another --image-to.") from None
