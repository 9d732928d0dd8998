"""What stands around a place: streets, fronts of houses and signs, in metres, before anyone looks at it.

A block is the land between streets: a cell of the city's grid, or one of its two halves where a diagonal street crosses it. Its fronts
stand back from the streets around it, so none of them is ever on a road. A route without a city runs through open country: streets
along its legs and a sign at the end of each.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vlmpost.tasks.navigation.city import SPACING_METRES, Crossing, diagonal_of, landmark_of, neighbours, place_of
from vlmpost.tasks.navigation.compass import SIDES
from vlmpost.tasks.navigation.route import STOP, Place, Point, between

SIGN_METRES: Final = 9.0
"""From the middle of a crossing to its sign."""
NEAR_METRES: Final = 1.0
"""A sign can be read from the middle of its crossing, within this; from elsewhere it is a blank board."""
_SIGHT_CELLS: Final = 3
_SETBACK_METRES: Final = 9.0
"""From the middle of a street to the fronts along it."""
_FRONT_METRES: Final = 12.0
"""About the width of a front."""
_SHORTEST_SIDE_METRES: Final = 4.0


@dataclass(frozen=True, slots=True)
class Front:
    """The front of a house."""

    left: Place
    right: Place
    tallness: float
    """0 to 1: where its height is between the lowest and the highest of the style."""
    tint: int
    """Which of the style's walls it has, counted round."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A board above the street that faces whoever looks at it."""

    place: Place
    name: str
    tint: int
    legible: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """What is around a place."""

    streets: tuple[tuple[Place, Place], ...]
    fronts: tuple[Front, ...]
    signs: tuple[Sign, ...]


def city_scene(city: str, place: Place) -> Scene:
    """Returns what is around a place in a city, as far as one sees."""
    column, row = (round(metres / SPACING_METRES) for metres in place)
    return Scene(
        streets=_streets(city, (column, row)),
        fronts=_fronts(city, (column, row)),
        signs=tuple(_signs(city, (column, row), place)),
    )


def country_scene(rail: Sequence[Point], at: int) -> Scene:
    """Returns what is around a point of a route that runs through open country."""
    ends = [point for number, point in enumerate(rail) if number == 0 or point.intersection or point.action == STOP]
    places = [point.place for point in ends if point.place is not None]
    here = rail[at].place
    signs = []
    for number, point in enumerate(ends):
        name, _, side = (point.landmark or "").rpartition(" is on your ")
        if name and side in SIDES and point.place is not None and here is not None:
            legible = math.dist(here, point.place) <= NEAR_METRES
            signs.append(Sign(_ahead(point.place, point.heading + 45 * SIDES.index(side)), name, number, legible))
    return Scene(tuple(itertools.pairwise(places)), (), tuple(signs))


def _ahead(place: Place, bearing: float) -> Place:
    radians = math.radians(bearing)
    return place[0] + SIGN_METRES * math.sin(radians), place[1] + SIGN_METRES * math.cos(radians)


# --- of a city, by the nearest crossing ---


def _around(crossing: Crossing, reach: int) -> Iterator[Crossing]:
    column, row = crossing
    for north in range(-reach, reach + 1):
        for east in range(-reach, reach + 1):
            yield column + east, row + north


@functools.lru_cache(maxsize=256)
def _streets(city: str, crossing: Crossing) -> tuple[tuple[Place, Place], ...]:
    """Each street once, from the crossing that comes first."""
    return tuple(
        (place_of(city, here), place_of(city, there))
        for here in _around(crossing, _SIGHT_CELLS)
        for there in neighbours(city, here)
        if here < there
    )


def _signs(city: str, crossing: Crossing, viewer: Place) -> Iterator[Sign]:
    for here in _around(crossing, _SIGHT_CELLS - 1):
        landmark = landmark_of(city, here)
        if landmark is not None:
            middle = place_of(city, here)
            legible = math.dist(middle, viewer) <= NEAR_METRES
            yield Sign(_ahead(middle, landmark.bearing), landmark.name, landmark.tint, legible)


@functools.lru_cache(maxsize=256)
def _fronts(city: str, crossing: Crossing) -> tuple[Front, ...]:
    column, row = crossing
    cells = [(column + east, row + north) for north in range(-_SIGHT_CELLS, _SIGHT_CELLS) for east in range(-_SIGHT_CELLS, _SIGHT_CELLS)]
    return tuple(front for cell in cells for front in _cell_fronts(city, cell))


@functools.lru_cache(maxsize=1 << 12)
def _cell_fronts(city: str, cell: Crossing) -> tuple[Front, ...]:
    rng = random.Random(f"{city}|fronts|{cell[0]}|{cell[1]}")
    return tuple(front for block in _blocks(city, cell) for front in _block_fronts(block, rng))


def _blocks(city: str, cell: Crossing) -> list[list[Place]]:
    """The land of a cell, counter-clockwise: whole, or the halves beside a diagonal street."""
    column, row = cell
    corners = [place_of(city, at) for at in (cell, (column + 1, row), (column + 1, row + 1), (column, row + 1))]
    diagonal = diagonal_of(city, cell)
    if not diagonal:
        return [corners]
    first, second, third, fourth = corners
    if diagonal == "rising":
        return [[first, second, third], [first, third, fourth]]
    return [[first, second, fourth], [second, third, fourth]]


def _block_fronts(block: list[Place], rng: random.Random) -> Iterator[Front]:
    corners = _set_back(block)
    for left, right in zip(corners, corners[1:] + corners[:1], strict=True):
        length = math.dist(left, right)
        if length < _SHORTEST_SIDE_METRES:
            continue
        number = max(1, round(length / _FRONT_METRES))
        cuts = [between(left, right, share / number) for share in range(number + 1)]
        for start, end in itertools.pairwise(cuts):
            yield Front(start, end, tallness=rng.random(), tint=rng.randrange(60))


def _set_back(block: list[Place]) -> list[Place]:
    """The corners of a block moved away from its sides; none where nothing is left of it."""
    lines = []
    for start, end in zip(block, block[1:] + block[:1], strict=True):
        length = math.dist(start, end)
        along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
        lines.append(((start[0] - along[1] * _SETBACK_METRES, start[1] + along[0] * _SETBACK_METRES), along))
    corners = [_meeting(before, after) for before, after in zip(lines[-1:] + lines[:-1], lines, strict=True)]
    for (_, along), start, end in zip(lines, corners, corners[1:] + corners[:1], strict=True):
        if (end[0] - start[0]) * along[0] + (end[1] - start[1]) * along[1] <= 0:
            return []
    return corners


def _meeting(first: tuple[Place, Place], second: tuple[Place, Place]) -> Place:
    """Where two lines meet, each a place and a direction; they are never parallel, being sides of a block at a corner."""
    (start, along), (other, across) = first, second
    turn = along[0] * across[1] - along[1] * across[0]
    share = ((other[0] - start[0]) * across[1] - (other[1] - start[1]) * across[0]) / turn
    return start[0] + share * along[0], start[1] + share * along[1]
