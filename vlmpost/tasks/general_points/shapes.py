"""Outlines that a card is made of: strokes for ranks, polygons for suits. No font and no art from elsewhere.

Ranks are strokes in a box of 100 x 140, y downwards; suits are polygons about the origin, inside -1 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

Point = tuple[float, float]
Line = tuple[Point, ...]

GLYPH_WIDTH: Final = 100.0
GLYPH_HEIGHT: Final = 140.0
STROKE: Final = 19.0
"""Thickness of a rank's strokes in the units of its box."""
_ARC_STEP_DEGREES: Final = 6.0


def arc(centre: Point, radii: Point, start_degrees: float, end_degrees: float) -> Line:
    """Returns the points of an arc of an ellipse, clockwise on the picture; 0 is to the right, 90 is down."""
    num_steps = max(2, math.ceil((end_degrees - start_degrees) / _ARC_STEP_DEGREES))
    angles = (math.radians(start_degrees + (end_degrees - start_degrees) * step / num_steps) for step in range(num_steps + 1))
    return tuple((centre[0] + radii[0] * math.cos(angle), centre[1] + radii[1] * math.sin(angle)) for angle in angles)


def _half_turned(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(tuple((GLYPH_WIDTH - x, GLYPH_HEIGHT - y) for x, y in line) for line in lines)


_SIX: Final = (arc((50, 94), (41, 42), 0, 360), arc((92, 92), (83, 88), 180, 262))

RANKS: Final[Mapping[str, tuple[Line, ...]]] = MappingProxyType(
    {
        "A": (((4, 140), (50, 2), (96, 140)), ((22, 92), (78, 92))),
        "2": ((*arc((50, 44), (41, 42), 190, 395), (8, 136), (94, 136)),),
        "3": (arc((46, 37), (38, 35), 205, 450), arc((46, 104), (43, 33), 270, 515)),
        "4": (((72, 140), (72, 4), (4, 98), (98, 98)),),
        "5": (((88, 4), (20, 4), (15, 64), *arc((46, 92), (44, 43), 225, 510)),),
        "6": _SIX,
        "7": (((5, 4), (95, 4), (40, 140)),),
        "8": (arc((50, 36), (35, 33), 0, 360), arc((50, 103), (43, 34), 0, 360)),
        "9": _half_turned(_SIX),
        "10": (((0, 24), (14, 4), (14, 138)), arc((70, 70), (31, 67), 0, 360)),
        "J": (((34, 4), (92, 4)), ((70, 4), (70, 98), *arc((39, 98), (31, 38), 0, 165))),
        "Q": (arc((48, 68), (43, 65), 0, 360), ((56, 98), (96, 142))),
        "K": (((12, 2), (12, 138)), ((92, 2), (12, 84)), ((38, 58), (96, 138))),
    }
)
"""Label -> its strokes."""


def _heart() -> Line:
    """The well-known curve of sines and cosines, with its tip down."""
    angles = [math.radians(degrees) for degrees in range(0, 360, 5)]
    return tuple(
        (
            math.sin(angle) ** 3,
            (-13 * math.cos(angle) + 5 * math.cos(2 * angle) + 2 * math.cos(3 * angle) + math.cos(4 * angle)) / 16.5 - 0.06,
        )
        for angle in angles
    )


_STEM: Final[Line] = ((0.0, 0.1), (0.12, 0.62), (0.42, 1.0), (-0.42, 1.0), (-0.12, 0.62))

SUITS: Final[Mapping[str, tuple[Line, ...]]] = MappingProxyType(
    {
        "H": (_heart(),),
        "D": (((0, -1), (0.36, -0.46), (0.74, 0), (0.36, 0.46), (0, 1), (-0.36, 0.46), (-0.74, 0), (-0.36, -0.46)),),
        "S": (tuple((x * 0.94, -y * 0.84 - 0.14) for x, y in _heart()), _STEM),
        "C": (
            arc((0, -0.54), (0.45, 0.45), 0, 360),
            arc((-0.5, 0.16), (0.45, 0.45), 0, 360),
            arc((0.5, 0.16), (0.45, 0.45), 0, 360),
            arc((0, -0.05), (0.25, 0.25), 0, 360),
            _STEM,
        ),
    }
)
"""Letter -> its polygons, which together are the suit."""

CROWNS: Final[Mapping[str, Line]] = MappingProxyType(
    {
        "J": ((-0.8, 0.5), (-0.95, -0.2), (-0.3, -0.6), (0.9, -0.45), (0.8, 0.5)),
        "Q": ((-0.8, 0.5), (-1.0, -0.4), (-0.42, 0.1), (0, -0.7), (0.42, 0.1), (1.0, -0.4), (0.8, 0.5)),
        "K": (
            (-0.8, 0.5), (-1.0, -0.6), (-0.62, 0.0), (-0.46, -0.7), (-0.18, 0.0), (0, -0.8),
            (0.18, 0.0), (0.46, -0.7), (0.62, 0.0), (1.0, -0.6), (0.8, 0.5),
        ),
    }
)  # fmt: skip
"""Court letter -> what it wears."""

_COLUMNS: Final = (0.31, 0.50, 0.69)
_CORNERS: Final = ((0, 0.17), (2, 0.17), (0, 0.83), (2, 0.83))
_MIDDLES: Final = ((0, 0.5), (2, 0.5))
_FOUR_ROWS: Final = (*_CORNERS, (0, 0.39), (2, 0.39), (0, 0.61), (2, 0.61))
_PIP_PLACES: Final[Mapping[str, tuple[tuple[int, float], ...]]] = MappingProxyType(
    {
        "2": ((1, 0.17), (1, 0.83)),
        "3": ((1, 0.17), (1, 0.5), (1, 0.83)),
        "4": _CORNERS,
        "5": (*_CORNERS, (1, 0.5)),
        "6": (*_CORNERS, *_MIDDLES),
        "7": (*_CORNERS, *_MIDDLES, (1, 0.335)),
        "8": (*_CORNERS, *_MIDDLES, (1, 0.335), (1, 0.665)),
        "9": (*_FOUR_ROWS, (1, 0.5)),
        "10": (*_FOUR_ROWS, (1, 0.28), (1, 0.72)),
    }
)
PIPS: Final[Mapping[str, tuple[Point, ...]]] = MappingProxyType(
    {label: tuple((_COLUMNS[column], row) for column, row in places) for label, places in _PIP_PLACES.items()}
)
"""Label -> where its pips are, as shares of the card's width and height. The ace has one large pip, J, Q and K a letter."""
