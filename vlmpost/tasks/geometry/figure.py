"""One question about one figure, before it is a `Problem`; and the places that several kinds of figures need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlmpost.records import AnswerType
from vlmpost.tasks.geometry.marks import Label, Line, Mark, Place


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its question."""

    question: str
    answer: str
    reasoning: str
    content: Mapping[str, object]
    """The numbers of the figure, as JSON values."""
    marks: Sequence[Mark]
    answer_type: AnswerType = "number"


def fitted(points: Sequence[Place], *, low: float = 0.2, high: float = 0.8) -> list[Place]:
    """Returns the points moved and scaled so that they fill the square from `low` to `high`, kept in the middle; y is turned downwards.

    >>> fitted([(0, 0), (2, 0), (2, 1)], low=0.0, high=1.0)
    [(0.0, 0.75), (1.0, 0.75), (1.0, 0.25)]
    """
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    bottom, top = min(y for _, y in points), max(y for _, y in points)
    scale = (high - low) / max(right - left, top - bottom)
    middle = (low + high) / 2
    return [(middle + (x - (left + right) / 2) * scale, middle - (y - (bottom + top) / 2) * scale) for x, y in points]


def turned(points: Sequence[Place], degrees: float) -> list[Place]:
    """Returns the points turned around the origin, counter-clockwise where y points up."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in points]


def triangle_of(first: int, second: int) -> list[Place]:
    """Returns the corners of a triangle with these angles, in degrees, at its first and second corner, counter-clockwise, y upwards."""
    third = 180 - first - second
    side = math.sin(math.radians(second)) / math.sin(math.radians(third))
    return [(0.0, 0.0), (1.0, 0.0), (side * math.cos(math.radians(first)), side * math.sin(math.radians(first)))]


def beside(start: Place, end: Place, *, away_from: Place, distance: float) -> Place:
    """Returns the place beside the middle of a side, on the other side of it than `away_from`."""
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    length = math.dist(start, end)
    normal = ((end[1] - start[1]) / length, (start[0] - end[0]) / length)
    inwards = (away_from[0] - middle[0]) * normal[0] + (away_from[1] - middle[1]) * normal[1]
    sign = -1 if inwards > 0 else 1
    return (middle[0] + sign * distance * normal[0], middle[1] + sign * distance * normal[1])


def within(corner: Place, others: Sequence[Place], *, degrees: float) -> Place:
    """Returns the place for an angle's label inside a corner, further in the narrower the angle is."""
    distance = min(0.28, 0.07 / math.sin(math.radians(degrees / 2)) + 0.02)
    units = [((x - corner[0]) / math.dist(corner, (x, y)), (y - corner[1]) / math.dist(corner, (x, y))) for x, y in others]
    middle = (units[0][0] + units[1][0], units[0][1] + units[1][1])
    length = math.hypot(*middle)
    return (corner[0] + distance * middle[0] / length, corner[1] + distance * middle[1] / length)


@dataclass(frozen=True, slots=True)
class Grid:
    """Squared paper with two axes, both from `low` to `high`."""

    low: int
    high: int

    def place(self, x: float, y: float) -> Place:
        """Returns where a point of these coordinates is drawn."""
        step = 0.88 / (self.high - self.low)
        return (0.06 + (x - self.low) * step, 0.94 - (y - self.low) * step)

    def marks(self) -> list[Mark]:
        """Returns the lines, the axes, and a number at every second line."""
        ends = (self.low, self.high)
        lines: list[Mark] = []
        for at in range(self.low, self.high + 1):
            lines.append(Line((self.place(at, ends[0]), self.place(at, ends[1])), thin=True))
            lines.append(Line((self.place(ends[0], at), self.place(ends[1], at)), thin=True))
        lines.append(Line((self.place(0, ends[0]), self.place(0, ends[1]))))
        lines.append(Line((self.place(ends[0], 0), self.place(ends[1], 0))))
        numbers: list[Mark] = []
        for at in range(self.low + self.low % 2, self.high, 2):
            if at:
                numbers += [Label(str(at), self.place(at, -0.38)), Label(str(at), self.place(-0.38 - 0.12 * (at < 0), at))]
        return [*lines, *numbers, Label("x", self.place(self.high + 0.35, 0)), Label("y", self.place(0, self.high + 0.35))]
