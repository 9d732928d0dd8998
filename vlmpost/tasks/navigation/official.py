"""Reads and writes routes in the form of the study: `route_infos.json`, a JSON list [routes, count].

Of a route are used: `start_place.relocated_geocode`, `init_heading`, `milestone_info` and `route_results.geocode_list`. The third is one
string of brace blocks with quoted fields and trailing commas, which is no JSON: it is read by a small parser, never evaluated. Block k
describes leg k: `to_next_intersection_heading` such as "90 (east)", and `landmarks`, what is seen at the leg's end. A route of ours may
also have `milestones`, the same blocks as JSON.

Departures from LeslieTrue/SFTvsRL at 5a6ea55:
1. A route without `geocode_list` is read if its milestones have `distance` ("60 meters"): the text mode needs no more.
2. `init_heading` 0 stands for "not set" in these files, and a heading from 0 to 359 is drawn, as there; our own files never hold 0.
3. Another number of points than of milestones, a missing heading or an unknown compass word is an error; there it fails later, or not.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vlmpost.errors import DataError
from vlmpost.rewards.navigation import NO_LANDMARK
from vlmpost.tasks.navigation.compass import COMPASS, compass_word
from vlmpost.tasks.navigation.geography import globe_metres, on_globe
from vlmpost.tasks.navigation.route import Leg, Place, Route

MAX_FILE_BYTES: Final = 256 * 1024**2
MAX_MILESTONE_CHARACTERS: Final = 200_000
MAX_LEGS: Final = 200
NO_LANDMARK_FORMS: Final = frozenset({"", "none", "no landmark", "no landmarks", "no landmark nearby", "no landmarks nearby"})
_HEADING: Final = re.compile(r"\s*(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)?\s*(?:\(?\s*([A-Za-z]{1,9})\s*\)?)?\s*")
_METRES: Final = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(k?)m?(?:et(?:er|re)s?|ilomet(?:er|re)s?)?\s*", re.IGNORECASE)
_ENTRY: Final = re.compile(r'\s*"([^"\n]{1,100})"[ \t]*:[ \t]*"([^\n]*?)"[ \t]*(?:,|(?=\s*\})|(?=\r?\n))')


def read_routes(path: str) -> Sequence[Mapping[str, object]]:
    """Returns the routes of a file, as they stand there; a file that was read is not read again until it changes.

    Raises:
        DataError: It cannot be read, is too large, or holds no routes.
    """
    try:
        facts = os.stat(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Give the path of a route_infos.json.") from None
    return _read(path, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read(path: str, num_bytes: int, _changed: int) -> Sequence[Mapping[str, object]]:
    if num_bytes > MAX_FILE_BYTES:
        raise DataError(f"{path}: {num_bytes} bytes are more than the {MAX_FILE_BYTES} that are read. Split the file.")
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file ({type(error).__name__}). Expected a list [routes, count].") from None
    routes = value[0] if isinstance(value, list) and value and isinstance(value[0], list) else value
    if not isinstance(routes, list) or not routes or not all(isinstance(route, dict) for route in routes):
        raise DataError(f"{path}: holds no routes. Expected a JSON list [routes, count], routes being a list of objects.")
    return tuple(routes)


def route_of(entry: Mapping[str, object], *, where: str, rng: random.Random | None) -> Route:
    """Returns the route of one entry.

    Args:
        entry: As it stands in the file.
        where: What messages call it.
        rng: Draws the initial heading where it is not set. None: 0 is north.

    Raises:
        DataError: Something is missing or cannot be.
    """
    milestones = _milestones_of(entry, where)
    ends = _ends(entry, len(milestones), where)
    start = _start(entry, where)
    if ends and start is None:
        raise DataError(f"{where}: start_place.relocated_geocode is missing, though route_results.geocode_list is there. Give both.")
    places: list[Place | None] = [start, *ends] if ends else [None] * (len(milestones) + 1)
    legs = [
        _leg(milestone, before, end, where=f"{where}: milestone {number}")
        for number, (milestone, (before, end)) in enumerate(zip(milestones, itertools.pairwise(places), strict=True), start=1)
    ]
    facing, _ = heading_of(entry.get("init_heading", 0), where=f"{where}: init_heading")
    if facing == 0 and rng is not None:
        facing = rng.randint(0, 359)
    return Route(facing, tuple(legs), start if ends else None)


def _milestones_of(entry: Mapping[str, object], where: str) -> list[Mapping[str, object]]:
    given = entry.get("milestones", entry.get("milestone_info"))
    if isinstance(given, str):
        given = parse_milestones(given, where=f"{where}: milestone_info")
    if not isinstance(given, list) or not given or not all(isinstance(milestone, Mapping) for milestone in given):
        raise DataError(f"{where}: milestone_info must be a string of brace blocks, got {given!r:.80}.")
    if len(given) > MAX_LEGS:
        raise DataError(f"{where}: {len(given)} milestones are more than {MAX_LEGS}.")
    return given


def parse_milestones(text: str, *, where: str) -> list[dict[str, str]]:
    """Returns the fields of each brace block: quoted names and values on lines of their own or not, trailing commas or not.

    Raises:
        DataError: The text is too long, or something else stands where a block or a field has to.
    """
    if len(text) > MAX_MILESTONE_CHARACTERS:
        raise DataError(f"{where}: {len(text)} characters are more than the {MAX_MILESTONE_CHARACTERS} that are read.")
    blocks: list[dict[str, str]] = []
    at = _skip(text, 0, " \t\r\n,")
    while at < len(text):
        if text[at] != "{":
            raise DataError(f"{where}: expected '{{' at character {at}, got {text[at : at + 40]!r}.")
        fields: dict[str, str] = {}
        at += 1
        while found := _ENTRY.match(text, at):
            fields[found.group(1)] = found.group(2)
            at = found.end()
        at = _skip(text, at, " \t\r\n")
        if at >= len(text) or text[at] != "}":
            raise DataError(f'{where}: expected "name": "value" or \'}}\' at character {at}, got {text[at : at + 40]!r}.')
        blocks.append(fields)
        at = _skip(text, at + 1, " \t\r\n,")
    return blocks


def _skip(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _start(entry: Mapping[str, object], where: str) -> Place | None:
    place = entry.get("start_place")
    geocode = place.get("relocated_geocode", place.get("geocode")) if isinstance(place, Mapping) else None
    return None if geocode is None else _geocode(geocode, f"{where}: start_place.relocated_geocode")


def _ends(entry: Mapping[str, object], number: int, where: str) -> list[Place]:
    results = entry.get("route_results")
    given = results.get("geocode_list") if isinstance(results, Mapping) else None
    if given is None:
        return []
    if not isinstance(given, list) or len(given) != number:
        got = f"{len(given)} points" if isinstance(given, list) else type(given).__name__
        raise DataError(f"{where}: route_results.geocode_list must have one point for each of the {number} milestones, got {got}.")
    return [_geocode(point, f"{where}: route_results.geocode_list") for point in given]


def _geocode(value: object, where: str) -> Place:
    numbers = value if isinstance(value, list | tuple) and len(value) == 2 else []
    if not numbers or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise DataError(f"{where} must be [latitude, longitude], got {value!r:.80}.")
    latitude, longitude = float(numbers[0]), float(numbers[1])
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise DataError(f"{where} must be [latitude, longitude] in degrees, got {value!r:.80}.")
    return latitude, longitude


def _leg(milestone: Mapping[str, object], start: Place | None, end: Place | None, *, where: str) -> Leg:
    heading, compass = heading_of(milestone.get("to_next_intersection_heading"), where=f"{where}: to_next_intersection_heading")
    if start is not None and end is not None:
        metres = globe_metres(start, end)
    else:
        metres = metres_of(milestone.get("distance"), where=f"{where}: distance")
    return Leg(heading, compass, metres, landmark_text(milestone.get("landmarks"), where=f"{where}: landmarks"), end)


def heading_of(value: object, *, where: str) -> tuple[float, str]:
    """Returns a heading in degrees and its compass word; given as a number, a word, or both as in "90 (east)".

    Raises:
        DataError: It is none of these.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6:
        return _whole(value), compass_word(value)
    found = _HEADING.fullmatch(value) if isinstance(value, str) and len(value) < 60 else None
    if found is None or found.groups() == (None, None):
        raise DataError(f'{where} must be a heading such as 90 or "90 (east)", got {value!r:.80}.')
    digits, word = found.groups()
    word = word and word.lower()
    if word and word not in COMPASS:
        raise DataError(f"{where} names {word!r}, which is none of {', '.join(COMPASS)}.")
    degrees = _whole(float(digits)) if digits else 45 * COMPASS.index(word)
    return degrees, word or compass_word(degrees)


def _whole(degrees: float) -> float:
    return int(degrees) if float(degrees).is_integer() else float(degrees)


def metres_of(value: object, *, where: str) -> float:
    """Returns a length in metres; given as a number, or as in "60 meters" and "1.2 km".

    Raises:
        DataError: It is none of these.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return float(value)
    found = _METRES.fullmatch(value) if isinstance(value, str) and len(value) < 60 else None
    if found is None:
        raise DataError(f'{where} must be a length such as 60 or "60 meters", got {value!r:.80}.')
    return float(found.group(1)) * (1000 if found.group(2) else 1)


def landmark_text(value: object, *, where: str) -> str | None:
    """Returns what is said of a landmark; None where it is said that there is none.

    Raises:
        DataError: It is no text.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(f'{where} must be a text such as "Heron Cafe is on your left", got {value!r:.80}.')
    text = " ".join(value.split())
    return None if text.casefold().rstrip(".") in NO_LANDMARK_FORMS else text


# --- writing ---


def entry_of(route: Route) -> dict[str, object]:
    """Returns a route of a drawn city in the form of the file, with its milestones as JSON beside the brace blocks."""
    assert route.start is not None
    before = route.init_heading
    milestones = []
    for number, leg in enumerate(route.legs):
        milestones.append(
            {
                "intersection_idx": str(number),
                "landmarks": leg.landmark or NO_LANDMARK,
                "distance": f"{leg.metres:g} meters",
                "human_heading": f"{before:g} ({compass_word(before)})",
                "to_next_intersection_heading": f"{leg.heading:g} ({leg.compass})",
            }
        )
        before = leg.heading
    ends = [list(on_globe(leg.end)) for leg in route.legs if leg.end is not None]
    return {
        "start_place": {"relocated_geocode": list(on_globe(route.start))},
        "dest_place": {"name": (route.legs[-1].landmark or "").partition(" is on your ")[0], "geocode": ends[-1]},
        "init_heading": route.init_heading,
        "milestone_info": "\n\n".join(_block(milestone) for milestone in milestones),
        "milestones": milestones,
        "route_results": {"geocode_list": ends, "landmark_list": [None] * len(ends)},
    }


def _block(fields: Mapping[str, str]) -> str:
    lines = "".join(f'    "{name}": "{value}",\n' for name, value in fields.items())
    return f"{{\n{lines}}}"
