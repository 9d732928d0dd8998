"""Which points of a picture with depth are marked: far enough apart in the picture and in depth to be told apart.

Source: arXiv 2509.25190, section 4.3: depths from 0.1 m to 10 m, 40 pixels and 0.2 m between any two of six points. The sampler is not
published; ours draws pixels until enough of them fit. Departures:
1. A marker lies wholly inside the picture.
2. Around a point depth is steady (`flat_pixels`): a marker hides its own centre, and at an edge the reader could not say which side is
   meant. With 0 the published rule alone holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy

from vlmpost.tasks.material import Unsuitable

Depths = Callable[[numpy.ndarray, numpy.ndarray], numpy.ndarray]
"""(rows, columns) of pixels to their depths in metres, 0 where it is unknown."""
Point = tuple[int, int]
"""[row, column] of a pixel."""
_CANDIDATES_PER_POINT: Final = 12
_TRIES: Final = 50
_AROUND: Final = numpy.array([(0, 0), (-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)])
_STEADY_SHARE: Final = 0.5
"""Around a point depth varies by less than this share of the least depth between points."""


@dataclass(frozen=True, slots=True)
class PointRule:
    """What marked points have to keep."""

    num_points: int
    min_metres: float
    max_metres: float
    min_pixels_apart: float
    min_metres_apart: float
    margin_pixels: int
    """Least distance from the picture's edges."""
    flat_pixels: int
    """How far around a point depth has to be steady; 0: it need not."""


def sample_points(rng: random.Random, size: tuple[int, int], depths: Depths, rule: PointRule) -> list[tuple[Point, float]]:
    """Returns points with their depths in metres, from near to far.

    Args:
        rng: Where the points come from.
        size: Width and height of the picture.
        depths: Of its pixels.
        rule: What the points have to keep.

    Raises:
        Unsuitable: No such points were found in `_TRIES` times `_CANDIDATES_PER_POINT` draws per point.
    """
    margin = max(rule.margin_pixels, rule.flat_pixels)
    width, height = size
    if width <= 2 * margin or height <= 2 * margin:
        raise Unsuitable("picture too small for its markers", f"{width} x {height}, markers need {margin} pixels on each side")
    most = 0
    for _ in range(_TRIES):
        num_drawn = _CANDIDATES_PER_POINT * rule.num_points
        drawn = [(rng.randrange(margin, height - margin), rng.randrange(margin, width - margin)) for _ in range(num_drawn)]
        kept: list[tuple[Point, float]] = []
        for point, depth in zip(drawn, _valid_depths(drawn, depths, rule), strict=True):
            if depth > 0 and all(_apart(point, depth, other, rule) for other in kept):
                kept.append((point, depth))
            if len(kept) == rule.num_points:
                return sorted(kept, key=lambda found: found[1])
        most = max(most, len(kept))
    raise Unsuitable(
        "too few points far enough apart",
        f"{most} of {rule.num_points}, {rule.min_pixels_apart:g} pixels and {rule.min_metres_apart:g} m apart, "
        f"at {rule.min_metres:g} to {rule.max_metres:g} m",
    )


def _valid_depths(drawn: list[Point], depths: Depths, rule: PointRule) -> list[float]:
    """The depth of each drawn point; 0 where it cannot be marked."""
    rows, cols = numpy.array(drawn).T
    around = rule.flat_pixels * (_AROUND if rule.flat_pixels else _AROUND[:1])
    beside = depths(rows + around[:, :1], cols + around[:, 1:]).astype(float)
    found = beside[0]
    valid = (found >= rule.min_metres) & (found <= rule.max_metres)
    if rule.flat_pixels:
        valid &= ((beside > 0) & (numpy.abs(beside - found) < _STEADY_SHARE * rule.min_metres_apart)).all(axis=0)
    return [float(depth) for depth in numpy.where(valid, found, 0.0)]


def _apart(point: Point, depth: float, other: tuple[Point, float], rule: PointRule) -> bool:
    (row, col), far = other
    pixels = ((point[0] - row) ** 2 + (point[1] - col) ** 2) ** 0.5
    return pixels >= rule.min_pixels_apart and abs(depth - far) > rule.min_metres_apart
