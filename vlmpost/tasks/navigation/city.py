"""Drawn cities: a street graph without end on a jittered grid, and the routes through it.

Crossings stand where the lines of a grid meet, each line and each crossing moved a little; streets of 30 to 120 m join neighbours, some
are missing, some cells have a diagonal. So every street runs within 20 degrees of one of the eight compass directions, and slight turns
occur. Three in five crossings have a landmark, at one of the eight compass bearings, which is why its side is never in doubt. Whatever
stands at a crossing is drawn from (city, column, row) alone: no map is ever made or stored.
"""

from __future__ import annotations

import functools
import hashlib
import math
import random
import struct
from dataclasses import dataclass
from typing import Final

from vlmpost.tasks.navigation.compass import compass_word, side_word, wrapped
from vlmpost.tasks.navigation.route import Leg, Place, Route

Crossing = tuple[int, int]
"""Column and row in the grid."""
SPACING_METRES: Final = 57.0
_LINE_JITTER_METRES: Final = 8.5
_CROSSING_JITTER_METRES: Final = 5.0
_STREET_PROB: Final = 0.92
_DIAGONAL_PROB: Final = 0.4
_LANDMARK_PROB: Final = 0.6
_MAX_OFF_COMPASS_DEGREES: Final = 20.0
_MAX_TURN_DEGREES: Final = 150.0
"""Sharper turns are not taken."""
_NUM_LINES: Final = 1000
"""Routes start at one of as many columns and rows."""
_NAMES: Final = (
    "Acorn Alder Amber Anchor Apollo Badger Beacon Birch Bishop Bramble Canyon Castle Cedar Cobalt Comet Coral Crane Crown Delta Dragon "
    "Eagle Echo Ember Falcon Fern Finch Forge Garnet Granite Harbor Hazel Heron Indigo Iris Ivory Jasper Juniper Kestrel Lantern Laurel "
    "Linden Lotus Magnet Maple Marble Meadow Nectar Noble Oasis Olive Onyx Orchid Otter Pearl Pepper Pine Quartz Raven Robin Ruby Saffron "
    "Scarlet Silver Spruce Summit Tulip Union Velvet Violet Walnut Willow Zephyr"
).split()
_KINDS: Final = (
    "Arcade Bakery Bank Books Cafe Chapel Cinema Clinic Deli Diner Florist Garage Gallery Grill Hotel Inn Laundry Library Market Museum "
    "Pharmacy Pizza School Station Studio Tavern Theater Toys"
).split()


@dataclass(frozen=True, slots=True)
class Landmark:
    """What stands at a crossing."""

    name: str
    bearing: int
    """From the middle of the crossing, degrees clockwise from north."""
    tint: int
    """Which of the style's signs it has, counted round."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """All that chance decides at a crossing and in the cell to its north-east."""

    place: Place
    landmark: Landmark | None
    street_north: bool
    street_east: bool
    diagonal: str
    """"rising" from this crossing, "falling" to the one east of it, or neither."""


def place_of(city: str, crossing: Crossing) -> Place:
    """Returns where a crossing is: metres east and north, to a tenth."""
    return _ground(city, *crossing).place


def landmark_of(city: str, crossing: Crossing) -> Landmark | None:
    """Returns what stands at a crossing."""
    return _ground(city, *crossing).landmark


def diagonal_of(city: str, cell: Crossing) -> str:
    """Returns how a street crosses the cell north-east of a crossing: "rising", "falling" or ""."""
    diagonal = _ground(city, *cell).diagonal
    if not diagonal:
        return ""
    column, row = cell
    ends = ((column, row), (column + 1, row + 1)) if diagonal == "rising" else ((column, row + 1), (column + 1, row))
    heading, _ = course(place_of(city, ends[0]), place_of(city, ends[1]))
    off = abs(wrapped(heading - (45 if diagonal == "rising" else 135)))
    return diagonal if off <= _MAX_OFF_COMPASS_DEGREES else ""


def neighbours(city: str, crossing: Crossing) -> list[Crossing]:
    """Returns the crossings that streets lead to, clockwise from north."""
    column, row = crossing
    here, west, south = (_ground(city, *at) for at in (crossing, (column - 1, row), (column, row - 1)))
    steps = (
        (0, 1, here.street_north),
        (1, 1, diagonal_of(city, (column, row)) == "rising"),
        (1, 0, here.street_east),
        (1, -1, diagonal_of(city, (column, row - 1)) == "falling"),
        (0, -1, south.street_north),
        (-1, -1, diagonal_of(city, (column - 1, row - 1)) == "rising"),
        (-1, 0, west.street_east),
        (-1, 1, diagonal_of(city, (column - 1, row)) == "falling"),
    )
    return [(column + east, row + north) for east, north, there in steps if there]


def course(start: Place, end: Place) -> tuple[int, float]:
    """Returns the heading, in whole degrees from 0 to 359, and the metres from one place to another."""
    east, north = end[0] - start[0], end[1] - start[1]
    return round(math.degrees(math.atan2(east, north))) % 360, math.hypot(east, north)


def draw_route(city: str, rng: random.Random, *, num_legs: int) -> Route:
    """Returns a route of so many legs, which passes no crossing twice, knows no two landmarks of one name, and ends at one."""
    while True:
        walk = _walk(city, rng, num_legs)
        if walk is not None:
            return _route(city, rng, walk)


def _walk(city: str, rng: random.Random, num_legs: int) -> list[Crossing] | None:
    """A path drawn street by street; None where it runs into a dead end."""
    walk = [(rng.randrange(_NUM_LINES), rng.randrange(_NUM_LINES))]
    if landmark_of(city, walk[0]) is not None:
        return None
    named: set[str] = set()
    for number in range(num_legs):
        ways = neighbours(city, walk[-1])
        rng.shuffle(ways)
        way = next((way for way in ways if way not in walk and _is_open(city, walk, way, named, last=number == num_legs - 1)), None)
        if way is None:
            return None
        walk.append(way)
        landmark = landmark_of(city, way)
        named |= {landmark.name} if landmark else set()
    return walk


def _is_open(city: str, walk: list[Crossing], way: Crossing, named: set[str], *, last: bool) -> bool:
    landmark = landmark_of(city, way)
    if last if landmark is None else landmark.name in named:
        return False
    if len(walk) == 1:
        return True
    before, here, there = (place_of(city, crossing) for crossing in (*walk[-2:], way))
    return abs(wrapped(course(here, there)[0] - course(before, here)[0])) <= _MAX_TURN_DEGREES


def _route(city: str, rng: random.Random, walk: list[Crossing]) -> Route:
    places = [place_of(city, crossing) for crossing in walk]
    legs = []
    for start, end, crossing in zip(places, places[1:], walk[1:], strict=False):
        heading, metres = course(start, end)
        landmark = landmark_of(city, crossing)
        told = f"{landmark.name} is on your {side_word(heading, landmark.bearing)}" if landmark else None
        legs.append(Leg(heading, compass_word(heading), round(metres, 1), told, end))
    facing, _ = course(places[0], place_of(city, rng.choice(neighbours(city, walk[0]))))
    # In official files an initial heading of 0 means that there is none.
    return Route(facing or 1, tuple(legs), places[0])


@functools.lru_cache(maxsize=1 << 14)
def _ground(city: str, column: int, row: int) -> _Ground:
    jitter_east, jitter_north, *shares = _chances(f"{city}|{column}|{row}")
    has_diagonal, rises, has_north, has_east, has_landmark, *landmark = shares
    east = SPACING_METRES * column + _line_jitter(city, "column", column) + (2 * jitter_east - 1) * _CROSSING_JITTER_METRES
    north = SPACING_METRES * row + _line_jitter(city, "row", row) + (2 * jitter_north - 1) * _CROSSING_JITTER_METRES
    return _Ground(
        place=(round(east, 1), round(north, 1)),
        street_north=has_north < _STREET_PROB,
        street_east=has_east < _STREET_PROB,
        diagonal="" if has_diagonal >= _DIAGONAL_PROB else "rising" if rises < 0.5 else "falling",
        landmark=_landmark(*landmark[:4]) if has_landmark < _LANDMARK_PROB else None,
    )


def _landmark(name: float, kind: float, bearing: float, tint: float) -> Landmark:
    called = f"{_NAMES[int(name * len(_NAMES))]} {_KINDS[int(kind * len(_KINDS))]}"
    return Landmark(called, bearing=45 * int(bearing * 8), tint=int(tint * 12))


@functools.lru_cache(maxsize=1 << 12)
def _line_jitter(city: str, axis: str, number: int) -> float:
    return (2 * _chances(f"{city}|{axis}|{number}")[0] - 1) * _LINE_JITTER_METRES


def _chances(key: str) -> list[float]:
    """Sixteen numbers of [0, 1) that depend on the key alone; a generator of one's own for each would take five times as long."""
    return [number / 65536 for number in struct.unpack("<16H", hashlib.blake2b(key.encode(), digest_size=32).digest())]
