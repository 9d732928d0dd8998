"""Tasks that can be posed on stored pictures, videos or depth maps as well as on what they draw themselves.

A `MaterialTask` says what it takes and poses a problem on one item. The problem's key is the hash of the item's content, so that one
picture is never in two splits. Finding the items in folders and datasets is `data/material.py`'s part.
"""

from __future__ import annotations

import hashlib
import random
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from vlmpost.errors import DataError
from vlmpost.records import Example, ImageRef
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import Shift, Task, TaskOptions

Kind = Literal["images", "videos", "rgbd"]
_CHUNK_BYTES = 1 << 20


class Unsuitable(DataError):
    """An item that a task cannot be posed on; the reason is a fixed phrase, the detail says what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}."


@dataclass(frozen=True, slots=True)
class Item:
    """One stored thing that a problem can be posed on."""

    where: str
    """Its place, for messages: a file, or a file and a row."""
    images: tuple[ImageRef, ...] = ()
    """The picture; of a video given as pictures, its frames in order of time."""
    video: str | None = None
    """A video file. None: the item is none."""
    depth: str | None = None
    """The depth map of the picture. None: there is none."""
    points: tuple[tuple[int, int], ...] = ()
    """[row, column] of marked points from near to far, where the row brings its own."""

    def digest(self) -> str:
        """Returns the hash of the pictures' or the video's bytes: what decides the split.

        Raises:
            DataError: A file cannot be read.
        """
        content = hashlib.blake2b(digest_size=16)
        for chunk in self._chunks():
            content.update(chunk)
        return content.hexdigest()

    def _chunks(self) -> Iterator[bytes]:
        files = [ref.path for ref in self.images if ref.path is not None] + ([self.video] if self.video is not None else [])
        yield from (ref.data for ref in self.images if ref.data is not None)
        for path in files:
            try:
                with Path(path).open("rb") as file:
                    while chunk := file.read(_CHUNK_BYTES):
                        yield chunk
            except OSError as error:
                raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


class MaterialTask(Task):
    """A task that takes stored items.

    Class attributes:
        material: What an item has to be.
    """

    material: ClassVar[Kind]

    @abstractmethod
    def pose_on(self, rng: random.Random, item: Item, *, options: Any) -> Problem:
        """Returns a problem on a stored item; everything random comes from `rng`.

        Args:
            rng: A generator of this draw's own.
            item: Of the kind `material`.
            options: An instance of `options_type`.  (Any: a subclass narrows it.)

        Raises:
            DataError: The item cannot be opened; `Unsuitable`: it can, and does not do for this task.
        """

    def make_on(
        self, item: Item, *, digest: str, split: str, index: int, seed: int, options: TaskOptions, shift: Shift = "none"
    ) -> Example:
        """Returns the example on an item; the same arguments always give the same one.

        Args:
            item: Of the kind `material`.
            digest: The item's hash.
            split: Named in the id; whether the item belongs to it is the caller's to say.
            index: Number of the example in its stream, from 0.
            seed: Chooses the stream.
            options: From `options_of`.
            shift: Which variant; only its name is used.

        Raises:
            DataError: As `pose_on`.
        """
        rng = random.Random(f"{self.name}|{split}|{seed}|{index}|{digest}")
        problem = replace(self.pose_on(rng, item, options=options), key=digest)
        facts: dict[str, object] = {"split": split, "seed": seed, "index": index} | ({} if shift == "none" else {"shift": shift})
        example_id = f"{self._id(facts, options=options)}-{digest[:8]}"
        return self.example_of(problem, id=example_id, facts=facts | {"row": item.where, "content_hash": digest})
