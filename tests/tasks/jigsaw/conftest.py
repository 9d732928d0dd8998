"""Examples of the jigsaws, and their pictures decoded."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy
import pytest
from PIL import Image

from vlmpost.records import Example
from vlmpost.tasks.jigsaw import TASKS


def decoded(example: Example) -> list[Image.Image]:
    return [Image.open(io.BytesIO(ref.data or b"")).convert("RGB") for ref in example.images]


@pytest.fixture
def pictures() -> Callable[[Example], list[Image.Image]]:
    """`pictures(example)`: its pictures, RGB."""
    return decoded


@pytest.fixture
def arrays() -> Callable[[Example], list[numpy.ndarray]]:
    """`arrays(example)`: its pictures as arrays of floats, height x width x 3."""
    return lambda example: [numpy.asarray(image, dtype=float) for image in decoded(example)]


@pytest.fixture
def make() -> Callable[..., Example]:
    """`make(task, index, shift=..., split=..., **options)`: an example."""

    def made(task: str, index: int = 0, *, shift: str = "none", split: str = "train", seed: int = 0, **options: object) -> Example:
        found = TASKS[task]
        chosen = found.options_of(options, shift=shift)  # type: ignore[arg-type]
        return found.make(split=split, index=index, seed=seed, options=chosen, shift=shift)  # type: ignore[arg-type]

    return made
