"""Directions: headings in degrees clockwise from north, compass words, sides of the walker and the words for a turn.

The words for a turn follow the released code: more than 45 degrees is "left" or "right", up to 45 "slightly"; no change at all is
"slightly left".

Departure from LeslieTrue/SFTvsRL at 5a6ea55:
1. There the difference of two headings is not wrapped, so that 350 to 10, 20 degrees to the right, is "left". With turn labels
   `wrapped`, the default, the difference is brought to (-180, 180] first; `official` leaves it.
"""

from __future__ import annotations

import math
from typing import Final, Literal

TurnLabels = Literal["wrapped", "official"]
COMPASS: Final = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
SIDES: Final = ("front", "right front", "right", "right behind", "behind", "left behind", "left", "left front")
TURNS: Final = ("left", "right", "slightly left", "slightly right")
SLIGHT_DEGREES: Final = 45


def compass_word(heading: float) -> str:
    """Returns the nearest of the eight compass words; half way between two, the one that comes first from north.

    >>> compass_word(350), compass_word(68)
    ('north', 'east')
    """
    return COMPASS[_nearest_eighth(heading)]


def side_word(heading: float, bearing: float) -> str:
    """Returns on which side something at `bearing` is for a walker who faces `heading`.

    >>> side_word(90, 135)
    'right front'
    """
    return SIDES[_nearest_eighth(bearing - heading)]


def turn_word(heading: float, new_heading: float, labels: TurnLabels = "wrapped") -> str:
    """Returns how a walker turns from one heading to another.

    >>> turn_word(350, 10), turn_word(350, 10, "official")
    ('slightly right', 'left')
    """
    difference = new_heading - heading if labels == "official" else wrapped(new_heading - heading)
    slightly = "slightly " if abs(difference) <= SLIGHT_DEGREES else ""
    return slightly + ("right" if difference > 0 else "left")


def wrapped(degrees: float) -> float:
    """Returns the same angle in (-180, 180].

    >>> wrapped(-340), wrapped(-180)
    (20, 180)
    """
    return 180 - (180 - degrees) % 360


def _nearest_eighth(degrees: float) -> int:
    around = degrees % 360
    return 0 if around >= 337.5 else math.ceil((around - 22.5) / 45)
