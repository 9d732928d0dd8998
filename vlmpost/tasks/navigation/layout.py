"""Gives places to routes and rails that are only told, so that they can be drawn: metres east and north of the start."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from vlmpost.tasks.navigation.compass import COMPASS
from vlmpost.tasks.navigation.route import Place, Point, Route

STEP_METRES: Final = 15.0
"""From one point of a rail to the next where nothing else is known."""
_TURN_DEGREES: Final = {"left": -90, "right": 90, "slightly left": -45, "slightly right": 45}


def laid_out(route: Route) -> Route:
    """Returns the route with places that follow from its headings and lengths."""
    here = (0.0, 0.0)
    legs = []
    for leg in route.legs:
        here = ahead(here, leg.heading, leg.metres)
        legs.append(replace(leg, end=here))
    return replace(route, legs=tuple(legs), start=(0.0, 0.0))


def walked(rail: Iterable[Point]) -> tuple[Point, ...]:
    """Returns the points of a rail with places that follow from their headings, a step from one to the next."""
    placed: list[Point] = []
    for point in rail:
        place = ahead(placed[-1].place or (0.0, 0.0), point.heading, STEP_METRES) if placed else (0.0, 0.0)
        placed.append(replace(point, place=place))
    return tuple(placed)


def heading_after(heading: float, action: str) -> float:
    """Returns where the walker faces after an action: turns by words are of 90 or 45 degrees.

    >>> heading_after(350, "turn_direction(slightly right)")
    35
    """
    word = action.partition("(")[2].rstrip(")")
    if word in COMPASS:
        return 45 * COMPASS.index(word)
    return (heading + _TURN_DEGREES.get(word, 0)) % 360


def ahead(place: Place, heading: float, metres: float) -> Place:
    """Returns the place so many metres from another along a heading, to a tenth of a metre."""
    radians = math.radians(heading)
    return round(place[0] + metres * math.sin(radians), 1), round(place[1] + metres * math.cos(radians), 1)
