"""Reads a route or its rail given explicitly, in any of the forms that people write them, into a state.

`rail`: the points in order, each an action, or an object with `action` (or `gt_action`) and, where known, `landmark`, `intersection`,
`heading`, `instruction`; `observation` is a landmark's text with or without "; You observe an intersection". Where no actions are given
they follow from the headings: a turn at the start, at intersections and where the heading changes, `stop()` at the end, else
`forward()`. Where no intersections are given they are taken to be at the turns, but not at the start. A point may also be a pair of
action and observation, and what is said of the points may stand in lists side by side: `actions`, `observations`, `landmarks`, ...

`route`: an entry of the official file, or `init_heading` with `legs` (or `milestones`), each with `heading`, `distance` and `landmark`;
or these in lists side by side, `headings`, `distances` and `landmarks`.
Headings are numbers, compass words, or both ("90 (east)"); lengths are metres or "60 meters"; a landmark is a text such as "Heron Cafe
is on your left", or an object with `name` and `side`. A route may also stand in the row itself.

Beside it: `action_space` (or `absolute_action`), `mode`, `point` (where to begin, from 0), `turn_labels`, `obs_check`, `prompt_style`,
`instructions`, `style`, `grid`, `tile_pixels`, and how a route becomes a rail: `straight_line_length`, `drop_rate` (0 where the row does
not say, so that the rail of a row is known), `relocation`, `short_legs`, `seed`. Other keys of a row are not read.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pydantic import Field

from vlmpost.config.section import Section
from vlmpost.errors import ConfigError, DataError
from vlmpost.rewards.navigation import ObservationCheck
from vlmpost.tasks.navigation.columns import beside, columns_of, point_values
from vlmpost.tasks.navigation.compass import SIDES, TurnLabels, turn_word
from vlmpost.tasks.navigation.layout import heading_after, laid_out, walked
from vlmpost.tasks.navigation.official import MAX_LEGS, heading_of, landmark_text, metres_of, route_of
from vlmpost.tasks.navigation.pictures import View, view_from_json
from vlmpost.tasks.navigation.route import (
    FORWARD,
    STOP,
    ActionSpace,
    Leg,
    Point,
    Route,
    Ruling,
    ShortLegs,
    actions_of,
    instructions,
    rail,
    turn_action,
)
from vlmpost.tasks.navigation.states import State
from vlmpost.tasks.navigation.styles import StyleName
from vlmpost.tasks.navigation.views import Grid
from vlmpost.tasks.navigation.wording import Mode, PromptStyle
from vlmpost.tasks.options import checked_options

MAX_POINTS: Final = 1000
UNTOLD_METRES: Final = 60.0
"""Length of a leg that does not say it."""
_LEGS = ("legs", "milestones", "segments")
_POINTS = ("rail", "points", "waypoints", "steps")
_INIT_HEADING = ("init_heading", "initial_heading", "start_heading", "heading", "facing")
_LEG_HEADING = ("to_next_intersection_heading", "heading", "direction", "compass")
_LENGTHS = ("distance", "length")
_DISTANCE = (*_LENGTHS, "metres", "meters", *(f"{name}_{unit}" for name in _LENGTHS for unit in ("m", "metres", "meters")))
_LANDMARK = ("landmark", "landmarks", "landmark_observation")
_SIDE = ("side", "relation", "spatial", "landmark_side", "landmark_relation")
_ACTION = ("action", "gt_action", "expert_action", "expert")
_INTERSECTION = ("intersection", "at_intersection", "is_intersection", "intersection_observation")
_OBSERVATION = ("observation", "obs", "oracle_observation")
_CROSSING = re.compile(r"(?<!no )(?<!not at an )\bintersection\b", re.IGNORECASE)


class RowOptions(Section):
    """What a row may say beside its route."""

    action_space: ActionSpace | None = None
    mode: Mode = "text"
    point: int = Field(0, ge=0)
    turn_labels: TurnLabels = "wrapped"
    obs_check: ObservationCheck | None = None
    prompt_style: PromptStyle = "paper"
    straight_line_length: int = Field(5, ge=1, le=100)
    drop_rate: float = Field(0.0, ge=0, le=1)
    relocation: bool = True
    short_legs: ShortLegs = "fixed"
    seed: int = 0
    style: StyleName = "ashford"
    grid: Grid = "labelled"
    tile_pixels: int = Field(336, ge=14, le=4096)


def state_of(row: Mapping[str, object]) -> State:
    """Returns the state that a row describes.

    Raises:
        DataError: There is no route or rail, or something in it cannot be understood; the message names it.
    """
    options = _options(row)
    points, values = _parts(row)
    if points is not None:
        state = _state_of_rail(points, values, options)
    else:
        state = _state_of_route(_route(values, options), options)
    if options.point >= len(state.rail):
        raise DataError(f"point {options.point} is not on the rail, which has the points 0 to {len(state.rail) - 1}.")
    return replace(state, point=options.point, prompt_style=options.prompt_style, obs_check=options.obs_check)


def _options(row: Mapping[str, object]) -> RowOptions:
    given = {key: value for key, value in row.items() if key in RowOptions.model_fields and value is not None}
    if isinstance(row.get("absolute_action"), bool):
        given = {"action_space": "absolute" if row["absolute_action"] else "relative"} | given
    try:
        return checked_options("navigation", RowOptions, given)
    except ConfigError as error:
        raise DataError(str(error)) from None


def _parts(row: Mapping[str, object]) -> tuple[Sequence[object] | None, Mapping[str, object]]:
    """The points of the rail, or None where there are legs; and the row with what its route says laid over it."""
    route = row.get("route", row)
    if isinstance(route, list):
        actions = any(isinstance(item, str) or (isinstance(item, Mapping) and _first(item, _ACTION) is not None) for item in route)
        route = {"rail" if actions else "legs": route}
    if not isinstance(route, Mapping):
        raise DataError(f"route must be an object or a list, got {route!r:.80}.")
    values = {**row, **route}
    points = _first(values, _POINTS)
    if isinstance(points, Mapping):
        values |= points
        points = _first(points, tuple(reversed(_POINTS)))
    legs_told = bool({*_LEGS, "milestone_info"} & values.keys())
    columns = [] if points is None and legs_told else columns_of(values)
    if points is None and any("action" in column for column in columns):
        points = columns
    if isinstance(points, list) and 1 <= len(points) <= MAX_POINTS:
        return beside(points, columns), values
    if points is not None:
        raise DataError(f"rail must be a list of 1 to {MAX_POINTS} points, got {points!r:.80}.")
    if columns:
        return None, values | {"legs": columns}
    if not legs_told:
        raise DataError(f"expected rail, a list of points, or route, an object with legs or milestone_info; found {_names(row)}.")
    return None, values


def _names(row: Mapping[str, object]) -> str:
    return ", ".join(sorted(str(key)[:40] for key in row)[:20]) or "nothing"


def _first(values: Mapping[str, object], keys: Sequence[str]) -> object:
    """The first of several keys that is there and not null; None: none is."""
    return next((values[key] for key in keys if values.get(key) is not None), None)


# --- a route ---


def _state_of_route(route: Route, options: RowOptions) -> State:
    if options.mode == "vision":
        route = laid_out(route)
    ruling = Ruling(
        action_space=options.action_space or "absolute",
        turn_labels=options.turn_labels,
        straight_line_length=options.straight_line_length,
        drop_rate=options.drop_rate,
        relocation=options.relocation,
        short_legs=options.short_legs,
    )
    points = rail(route, ruling, random.Random(f"row|{options.seed}"))
    if options.mode == "text":
        points = tuple(replace(point, place=None) for point in points)
    return State(
        instructions=instructions(route, options.turn_labels),
        rail=points,
        action_space=ruling.action_space,
        view=_view(options, None) if options.mode == "vision" else None,
    )


def _route(values: Mapping[str, object], options: RowOptions) -> Route:
    if "milestone_info" in values or "route_results" in values:
        return route_of(values, where="route", rng=None)
    legs = _first(values, _LEGS)
    if not isinstance(legs, list) or not 1 <= len(legs) <= MAX_LEGS:
        raise DataError(f"route.legs must be a list of 1 to {MAX_LEGS} legs, got {legs!r:.80}.")
    facing = _first(values, _INIT_HEADING)
    start = values.get("start")
    if facing is None and isinstance(start, Mapping):
        facing = _first(start, _INIT_HEADING)
    if facing is None and options.action_space == "relative":
        raise DataError("route.init_heading is missing: the first turn of the relative action space depends on it.")
    return Route(
        init_heading=heading_of(0 if facing is None else facing, where="route.init_heading")[0],
        legs=tuple(_leg(leg, f"route.legs[{number}]") for number, leg in enumerate(legs)),
    )


def _leg(values: object, where: str) -> Leg:
    if isinstance(values, int | float | str):
        values = {"heading": values}
    if not isinstance(values, Mapping):
        raise DataError(f"{where} must be an object with a heading, got {values!r:.80}.")
    heading, compass = heading_of(_first(values, _LEG_HEADING), where=f"{where}.heading")
    metres = _first(values, _DISTANCE)
    return Leg(
        heading=heading,
        compass=compass,
        metres=UNTOLD_METRES if metres is None else metres_of(metres, where=f"{where}.distance"),
        landmark=_landmark(values, where),
    )


def _landmark(values: Mapping[str, object], where: str) -> str | None:
    """What is said of a landmark; the side may stand beside its name."""
    given = _first(values, _LANDMARK)
    side = _first(values, _SIDE)
    if isinstance(given, Mapping):
        side, given = _first(given, _SIDE), given.get("name")
    told = landmark_text(given, where=f"{where}.landmark")
    if told is None or side is None or " is on your " in told:
        return told
    if side not in SIDES:
        raise DataError(f"{where}.landmark: side must be one of {', '.join(SIDES)}, got {side!r:.80}.")
    return f"{told} is on your {side}"


# --- a rail ---


def _state_of_rail(given: Sequence[object], row: Mapping[str, object], options: RowOptions) -> State:
    points = [point_values(values, f"rail[{number}]") for number, values in enumerate(given)]
    actions, space = _actions(points, options)
    sentences, numbers = _sentences(points, row)
    untold = _untold(points, row)
    rail_points: list[Point] = []
    for number, (values, action) in enumerate(zip(points, actions, strict=True)):
        where = f"rail[{number}]"
        before = rail_points[-1] if rail_points else None
        heading = _heading(values, where, 0.0 if before is None else heading_after(before.heading, before.action))
        landmark, crossing = _observed(values, where)
        if "intersection" in untold:
            crossing = crossing or (number > 0 and action not in (FORWARD, STOP))
        rail_points.append(Point(action, heading, numbers[number], landmark, crossing, _place(values, where)))
    pictured = options.mode == "vision"
    if pictured and any(point.place is None for point in rail_points):
        rail_points = list(walked(rail_points))
    return State(
        instructions=sentences,
        rail=tuple(rail_points) if pictured else tuple(replace(point, place=None) for point in rail_points),
        action_space=space,
        view=_view(options, row.get("view")) if pictured else None,
        untold=untold,
    )


def _untold(points: Sequence[Mapping[str, object]], row: Mapping[str, object]) -> tuple[str, ...]:
    """What no point of the rail says of what is to be observed."""
    given = row.get("untold")
    if isinstance(given, list):
        return tuple(str(name) for name in given)
    told = {key for values in points for key in values}
    crossings = any(_observed(values, f"rail[{number}]")[1] for number, values in enumerate(points))
    landmarks = told & {*_LANDMARK, *_OBSERVATION}
    return (*(() if landmarks else ("landmark",)), *(() if crossings or told & {*_INTERSECTION} else ("intersection",)))


def _actions(points: Sequence[Mapping[str, object]], options: RowOptions) -> tuple[list[str], ActionSpace]:
    """The expert's action at each point, and the action space that they are of."""
    keys = ("relative_action", *_ACTION) if options.action_space == "relative" else _ACTION
    given = [_first(values, keys) for values in points]
    if all(action is None for action in given):
        space = options.action_space or "absolute"
        return _actions_by_heading(points, space, options.turn_labels), space
    spaces: tuple[ActionSpace, ...] = (options.action_space,) if options.action_space else ("absolute", "relative")
    for space in spaces:
        if all(action in actions_of(space) for action in given):
            break
    else:
        number = next(number for number, action in enumerate(given) if action not in actions_of(spaces[0]))
        raise DataError(
            f"rail[{number}].action is {given[number]!r:.80}, no action of the {spaces[0]} space: {', '.join(actions_of(spaces[0]))}."
        )
    actions = [str(action) for action in given]
    if STOP in actions[:-1]:
        raise DataError(f"rail[{actions.index(STOP)}].action is {STOP}, but the rail goes on. Only its last point is the destination.")
    return actions, space


def _actions_by_heading(points: Sequence[Mapping[str, object]], space: ActionSpace, labels: TurnLabels) -> list[str]:
    headings = [
        heading_of(values.get("heading"), where=f"rail[{number}]: without an action, heading") for number, values in enumerate(points)
    ]
    actions = []
    for number, ((facing, _), (after, word)) in enumerate(itertools.pairwise(headings)):
        if number == 0 or after != facing or _observed(points[number], f"rail[{number}]")[1]:
            actions.append(turn_action(word if space == "absolute" else turn_word(facing, after, labels)))
        else:
            actions.append(FORWARD)
    return [*actions, STOP]


def _observed(values: Mapping[str, object], where: str) -> tuple[str | None, bool]:
    """What is said of the landmark at a point, and whether an intersection is to be observed."""
    landmark = _landmark(values, where)
    given = _first(values, _INTERSECTION)
    if not isinstance(given, bool | str | None):
        raise DataError(f"{where}.intersection must be true, false or a text, got {given!r:.80}.")
    intersection = "intersection" in given if isinstance(given, str) else bool(given)
    told = _first(values, _OBSERVATION)
    if told is not None and not isinstance(told, str):
        raise DataError(f"{where}.observation must be a text, got {told!r:.80}.")
    if isinstance(told, str):
        parts = [part.strip() for part in told.split(";")]
        crossings = [part for part in parts if _CROSSING.search(part) and " is on your " not in part]
        intersection = intersection or bool(crossings)
        rest = "; ".join(part for part in parts if part and part not in crossings)
        landmark = landmark or landmark_text(rest, where=f"{where}.observation")
    return landmark, intersection


def _heading(values: Mapping[str, object], where: str, usual: float) -> float:
    given = _first(values, ("heading", "facing"))
    return usual if given is None else heading_of(given, where=f"{where}.heading")[0]


def _place(values: Mapping[str, object], where: str) -> tuple[float, float] | None:
    given = values.get("place")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != 2 or not all(type(number) in (int, float) for number in given):
        raise DataError(f"{where}.place must be two numbers, metres east and north, got {given!r:.80}.")
    return given[0], given[1]


def _sentences(points: Sequence[Mapping[str, object]], row: Mapping[str, object]) -> tuple[tuple[str, ...], list[int]]:
    """The sentences of the route, and the number of the one that is carried out at each point."""
    given = row.get("instructions", [])
    if not isinstance(given, list) or not all(isinstance(sentence, str) for sentence in given):
        raise DataError(f"instructions must be a list of sentences, got {given!r:.80}.")
    sentences = list(given)
    numbers = []
    for place, values in enumerate(points):
        told = values.get("instruction")
        if isinstance(told, str) and told not in sentences:
            sentences.append(told)
        count = values.get("instruction_idx")
        number = sentences.index(told) if isinstance(told, str) else told if told is not None else count
        first = 1 if told is None else 0
        if number is None or not sentences:
            numbers.append(0)
        elif type(number) is int and first <= number < len(sentences) + first:
            numbers.append(number - first)
        else:
            raise DataError(f"rail[{place}].instruction must be a sentence or the number of one of {len(sentences)}, got {number!r:.80}.")
    return tuple(sentences), numbers


def _view(options: RowOptions, given: object) -> View:
    if isinstance(given, Mapping):
        try:
            return view_from_json(given)
        except (KeyError, TypeError) as error:
            raise DataError(f"view says no view of a task's example ({type(error).__name__}: {error}). Leave it out.") from None
    return View(tile_pixels=options.tile_pixels, grid=options.grid, style=options.style)
