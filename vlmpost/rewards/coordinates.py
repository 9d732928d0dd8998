r"""Coordinate spaces: what a number in a box stands for, and the exact map between the image and what the model saw of it.

Spaces (x to the right, y down, origin in the top left corner):

- `pixels`: of the image as it was opened. Example: 640 x 480, x from 0 to 640.
- `resized`: pixels of the image as the processor scaled it for the model; what Qwen2.5-VL answers in.
- `normalized_1`: shares of width and height, 0 to 1.
- `normalized_1000`: thousandths of width and height, 0 to 1000; what Qwen2-VL, Qwen3-VL and InternVL answer in.

A reward declares the space of the answer and that of the gold; where they differ, both are taken to pixels. Metadata keys of an
example: `image_size` [width, height] in pixels of the image that the boxes are of, and, for a processor that is not Qwen's,
`resized_size` [width, height] of what the model saw, which replaces the computed size.

The resize of Qwen: each side is rounded to a multiple of `factor` (28 = patch 14 x merge 2 for Qwen2-VL and Qwen2.5-VL, 32 = 16 x 2
for Qwen3-VL), then the image is shrunk or grown where its area leaves the pixel budget. The two sides get slightly different
scales, which is why one common factor would be off by up to half a patch.

Source: transformers 5.23, `smart_resize` of models/qwen2_vl/image_processing_qwen2_vl.py (images; videos have a rule of their own
that is not covered here).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from vlmpost.errors import GraderError
from vlmpost.records import Example

Space = Literal["pixels", "resized", "normalized_1", "normalized_1000"]
Size = tuple[int, int]
"""Width and height in pixels."""
QWEN2_VL_FACTOR: Final = 28
QWEN3_VL_FACTOR: Final = 32
MAX_ASPECT_RATIO: Final = 200
"""The processor refuses longer images."""


@dataclass(frozen=True, slots=True)
class Spaces:
    """How the coordinates of the answer and of the gold are to be read."""

    answer: Space = "pixels"
    gold: Space = "pixels"
    factor: int = QWEN2_VL_FACTOR
    """What the sides of the resized image are multiples of, in pixels."""
    min_pixels: int | None = None
    """The processor's smallest area; None: `resized_size` must stand in the example's metadata."""
    max_pixels: int | None = None
    """The processor's largest area; None as above."""

    @property
    def differ(self) -> bool:
        """Whether answers have to be mapped."""
        return self.answer != self.gold


def smart_resize(size: Size, *, factor: int = QWEN2_VL_FACTOR, min_pixels: int, max_pixels: int) -> Size:
    """Returns width and height of what the model sees of an image of `size`.

    Args:
        size: Width and height of the image in pixels.
        factor: What both sides become multiples of.
        min_pixels: Smallest area.
        max_pixels: Largest area.

    Raises:
        GraderError: A side is not positive, or one is more than 200 times the other.

    >>> smart_resize((640, 480), min_pixels=56 * 56, max_pixels=1280 * 28 * 28)
    (644, 476)
    """
    width, height = size
    if min(size) < 1 or max(size) > MAX_ASPECT_RATIO * min(size):
        raise GraderError(f"An image of {width} x {height} pixels cannot be resized: sides must be positive, their ratio up to 200.")
    seen = (round(width / factor) * factor, round(height / factor) * factor)
    if seen[0] * seen[1] > max_pixels:
        shrink = math.sqrt((height * width) / max_pixels)
        return _floored(width / shrink, factor), _floored(height / shrink, factor)
    if seen[0] * seen[1] < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        return math.ceil(width * grow / factor) * factor, math.ceil(height * grow / factor) * factor
    return seen


def to_pixels(values: Sequence[float], *, space: Space, size: Size, seen: Size | None = None) -> tuple[float, ...]:
    """Returns coordinates x, y, x, y, ... of `space` in pixels of the image.

    Args:
        values: Coordinates, x and y in turn.
        space: What they are in.
        size: Width and height of the image in pixels.
        seen: Width and height of what the model saw; needed for `resized` only.

    >>> to_pixels((322, 238), space="resized", size=(640, 480), seen=(644, 476))
    (320.0, 240.0)
    """
    extent = _extent(space, size, seen)
    return tuple(value * size[place % 2] / extent[place % 2] for place, value in enumerate(values))


def from_pixels(values: Sequence[float], *, space: Space, size: Size, seen: Size | None = None) -> tuple[float, ...]:
    """Returns coordinates in pixels of the image in `space`; the inverse of `to_pixels`."""
    extent = _extent(space, size, seen)
    return tuple(value * extent[place % 2] / size[place % 2] for place, value in enumerate(values))


def sizes_of(example: Example, spaces: Spaces) -> tuple[Size, Size | None]:
    """Returns the image's size and, where a space is `resized`, the size of what the model saw.

    Raises:
        GraderError: A size is missing from the example's metadata or is not two positive whole numbers.
    """
    size = _size(example.meta, "image_size", example.id)
    if size is None:
        raise GraderError(
            f"Example {example.id!r}: meta.image_size [width, height] is needed to map {spaces.answer} to {spaces.gold} coordinates."
        )
    if "resized" not in (spaces.answer, spaces.gold):
        return size, None
    seen = _size(example.meta, "resized_size", example.id)
    if seen is not None:
        return size, seen
    if spaces.min_pixels is None or spaces.max_pixels is None:
        raise GraderError(
            f"Example {example.id!r}: resized coordinates need meta.resized_size, or the pixel budget of the processor "
            "(image_min_pixels and image_max_pixels of the reward)."
        )
    return size, smart_resize(size, factor=spaces.factor, min_pixels=spaces.min_pixels, max_pixels=spaces.max_pixels)


def limit_of(space: Space) -> float | None:
    """Returns the largest coordinate that makes sense in a space; None where that depends on the image."""
    return {"normalized_1": 1.0, "normalized_1000": 1000.0}.get(space)


def check_spaces(arguments: Mapping[str, object]) -> list[str]:
    """Says what is wrong with the parameters that declare the spaces of a reward, one clause per fault."""
    low, high, factor = (arguments.get(key) for key in ("image_min_pixels", "image_max_pixels", "resize_factor"))
    faults = []
    if (low is None) != (high is None):
        faults.append("image_min_pixels and image_max_pixels must be given together: they are the pixel budget of the processor")
    if isinstance(low, int) and isinstance(high, int) and not 1 <= low <= high:
        faults.append(f"image_min_pixels {low} and image_max_pixels {high} must be positive, the first not above the second")
    if isinstance(factor, int) and factor < 1:
        faults.append(f"resize_factor {factor} must be positive: 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL")
    return faults


def _floored(side: float, factor: int) -> int:
    return max(factor, math.floor(side / factor) * factor)


def _extent(space: Space, size: Size, seen: Size | None) -> tuple[float, float]:
    """The coordinates of the lower right corner of the image."""
    if space == "pixels":
        return size
    if space == "resized":
        assert seen is not None, "resized coordinates need the size of what the model saw"
        return seen
    return (1.0, 1.0) if space == "normalized_1" else (1000.0, 1000.0)


def _size(meta: Mapping[str, object], key: str, owner: str) -> Size | None:
    value = meta.get(key)
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(type(side) is int and side > 0 for side in value):
        raise GraderError(f"Example {owner!r}: meta.{key} must be [width, height] in whole pixels, got {value!r}.")
    return int(value[0]), int(value[1])
