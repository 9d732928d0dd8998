"""Latitude and longitude: distances, and the place on a globe that a drawn city has in files.

Distances are those of a sphere of the earth's mean radius, right to about half a per cent; the released code uses an ellipsoid.
"""

from __future__ import annotations

import math
from typing import Final

from vlmpost.tasks.navigation.route import Place

_RADIUS_METRES: Final = 6_371_008.8
METRES_PER_DEGREE: Final = math.pi * _RADIUS_METRES / 180


def globe_metres(start: Place, end: Place) -> float:
    """Returns the metres between two (latitude, longitude).

    >>> round(globe_metres((0.0, 0.0), (0.0, 1.0)))
    111195
    """
    south, north = math.radians(start[0]), math.radians(end[0])
    across = math.radians(end[1] - start[1])
    half = math.sin((north - south) / 2) ** 2 + math.cos(south) * math.cos(north) * math.sin(across / 2) ** 2
    return 2 * _RADIUS_METRES * math.asin(min(1.0, math.sqrt(half)))


def on_globe(place: Place) -> Place:
    """Returns the (latitude, longitude) of metres east and north of where the equator meets the first meridian."""
    return place[1] / METRES_PER_DEGREE, place[0] / METRES_PER_DEGREE
