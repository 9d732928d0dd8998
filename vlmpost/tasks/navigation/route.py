"""From a route to its instruction list and its rail, the hidden path of points with the expert's action at each.

A route is a first heading and legs; a leg has a heading, a length and what is seen at its end. The rail: the start, where the walker
turns to the first leg; on each leg road points, where he goes forward; at the end of each leg a turn to the next, which moves on as
well; at the end of the last one he stops. Road points stand at the shares 1/N to N/N of a leg of more than 5 m, each is dropped by
chance, and (relocation) none is closer than 8 m to an end of its leg, which takes away the one that coincides with it.

Departures from LeslieTrue/SFTvsRL at 5a6ea55, gym_virl/envs/navigation_environment.py:
1. There a leg of 5 m or less, which has no road points, skips its sentence "Move forward ..." in the count and shifts all later ones;
   with `short_legs: official` so do we, with `fixed`, the default, every point has the sentence that it carries out.
2. Relocation there snaps each point to the nearest panorama. So do we where panoramas are given; without them only the 8 m hold.
3. There the destination's sentence names a landmark even where the route has none ("No landmark nearby"); ours ends before it.
4. There an absent landmark is "No landmark nearby" at crossings and "No landmarks nearby" on roads; ours is the latter.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from vlmpost.tasks.navigation.compass import COMPASS, TURNS, TurnLabels, turn_word

ActionSpace = Literal["absolute", "relative"]
ShortLegs = Literal["fixed", "official"]
Place = tuple[float, float]
"""Where a point is: metres east and north in a drawn city, latitude and longitude on a real map."""
FORWARD: Final = "forward()"
STOP: Final = "stop()"
SHORT_METRES: Final = 5.0
"""Legs up to this have no road points."""
CLEARANCE_METRES: Final = 8.0
"""Road points are farther than this from both ends of their leg."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A straight part of a route and what is seen at its end."""

    heading: float
    """Degrees clockwise from north."""
    compass: str
    """The compass word that names the heading."""
    metres: float
    landmark: str | None = None
    """Such as "Heron Cafe is on your left". None: no landmark nearby."""
    end: Place | None = None
    """None: not known, the route is only told."""


@dataclass(frozen=True, slots=True)
class Route:
    """A way from a start to a destination; at least one leg."""

    init_heading: float
    """Where the walker faces at the start."""
    legs: tuple[Leg, ...]
    start: Place | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a rail."""

    action: str
    """The expert's action."""
    heading: float
    """Where the walker faces on arrival: the heading of the leg just walked."""
    instruction: int
    """Number of the sentence that is carried out here, from 0."""
    landmark: str | None = None
    """What is said of the landmark here. None: no landmark nearby."""
    intersection: bool = False
    """Whether an intersection is to be observed: at the inner ends of legs."""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """How a route becomes a rail."""

    action_space: ActionSpace = "absolute"
    turn_labels: TurnLabels = "wrapped"
    straight_line_length: int = 5
    """Most road points of a leg."""
    drop_rate: float = 0.5
    """Chance of each road point to be left out."""
    relocation: bool = True
    """Keep road points away from the ends of their leg."""
    short_legs: ShortLegs = "fixed"


Relocate = Callable[[Place, Place, float], Place | None]
"""(start and end of a leg, share of it that is walked) -> where a road point comes to stand, or None for nowhere."""


def actions_of(action_space: ActionSpace) -> tuple[str, ...]:
    """Returns every action of an action space."""
    words = COMPASS if action_space == "absolute" else TURNS
    return (FORWARD, *(turn_action(word) for word in words), STOP)


def turn_action(word: str) -> str:
    """Returns the action of turning to a compass word or a side."""
    return f"turn_direction({word})"


def turns_of(route: Route, labels: TurnLabels) -> list[str]:
    """Returns how the walker turns to each leg, in the words of the relative action space."""
    headings = [route.init_heading, *(leg.heading for leg in route.legs)]
    return [turn_word(old, new, labels) for old, new in itertools.pairwise(headings)]


def instructions(route: Route, labels: TurnLabels = "wrapped") -> tuple[str, ...]:
    """Returns the two sentences of each leg: the turn to it, and how far to go forward."""
    sentences: list[str] = []
    last = len(route.legs) - 1
    for number, (leg, turn) in enumerate(zip(route.legs, turns_of(route, labels), strict=True)):
        opening = "First, turn" if number == 0 < last else "Turn"
        target = "the destination" if number == last else "the next intersection"
        where = f" where {leg.landmark}" if leg.landmark else ""
        sentences += [f"{opening} {turn} to face {leg.compass}.", f"Move forward until {target}{where}."]
    return tuple(sentences)


def rail(route: Route, ruling: Ruling, rng: random.Random, relocate: Relocate | None = None) -> tuple[Point, ...]:
    """Returns the points of a route in order, the start first and the destination last.

    Args:
        route: What is walked.
        ruling: How it becomes a rail.
        rng: Chooses the road points that are dropped.
        relocate: Where road points come to stand; None: where they are, away from the ends if the ruling says so.
    """
    turns = _turn_actions(route, ruling)
    points = [Point(turns[0], route.init_heading, instruction=0, place=route.start)]
    sentence, before = 1, route.start
    for number, leg in enumerate(route.legs):
        last = number == len(route.legs) - 1
        for place in _road_places(leg, before, ruling, rng, relocate):
            points.append(Point(FORWARD, leg.heading, instruction=sentence, place=place))
        if leg.metres > SHORT_METRES or ruling.short_legs == "fixed":
            sentence += 1
        sentence -= last
        action = STOP if last else turns[number + 1]
        points.append(Point(action, leg.heading, sentence, leg.landmark, intersection=not last, place=leg.end))
        sentence, before = sentence + 1, leg.end
    return tuple(points)


def _turn_actions(route: Route, ruling: Ruling) -> list[str]:
    if ruling.action_space == "absolute":
        return [turn_action(leg.compass) for leg in route.legs]
    return [turn_action(turn) for turn in turns_of(route, ruling.turn_labels)]


def _road_places(leg: Leg, before: Place | None, ruling: Ruling, rng: random.Random, relocate: Relocate | None) -> Iterator[Place | None]:
    if leg.metres <= SHORT_METRES:
        return
    for number in range(1, ruling.straight_line_length + 1):
        share = number / ruling.straight_line_length
        if rng.random() < ruling.drop_rate:
            continue
        if relocate is not None and before is not None and leg.end is not None:
            place = relocate(before, leg.end, share)
            if place is not None:
                yield place
        elif not ruling.relocation or min(share, 1 - share) * leg.metres > CLEARANCE_METRES:
            yield None if before is None or leg.end is None else between(before, leg.end, share)


def between(start: Place, end: Place, share: float) -> Place:
    """Returns the point at a share of the straight line between two places, to the seventh decimal."""
    return round(start[0] * (1 - share) + end[0] * share, 7), round(start[1] * (1 - share) + end[1] * share, 7)
