"""Files of the study: brace blocks, entries, and drawn routes written and read back."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from vlmpost.errors import DataError
from vlmpost.tasks import find
from vlmpost.tasks.navigation import city
from vlmpost.tasks.navigation.official import entry_of, heading_of, metres_of, parse_milestones, read_routes, route_of
from vlmpost.tasks.navigation.route import Ruling, instructions, rail

BLOCKS = """{
    "intersection_idx": "0",
    "landmarks": "Joe's "best" Pizza, Inc: bar {2} is on your left front",
    "distance": "60 meters",
    "to_next_intersection_heading": "350 (north)",
}

{ "to_next_intersection_heading": "10 (north)", "distance": "31 meters" }
"""
ENTRY = {
    "start_place": {"relocated_geocode": [40.0, -74.0]},
    "dest_place": {"name": "x", "geocode": [40.001, -74.0]},
    "init_heading": 90,
    "milestone_info": BLOCKS,
    "route_results": {"geocode_list": [[40.0005, -74.0], [40.001, -74.0]], "landmark_list": [None, None]},
}


def test_brace_blocks_are_read_with_what_stands_inside_quotes() -> None:
    first, second = parse_milestones(BLOCKS, where="m")
    assert first["landmarks"] == 'Joe\'s "best" Pizza, Inc: bar {2} is on your left front'
    assert first["distance"] == "60 meters" and first["to_next_intersection_heading"] == "350 (north)"
    assert second == {"to_next_intersection_heading": "10 (north)", "distance": "31 meters"}


@pytest.mark.parametrize("text", ['[{"a": "b"}]', '{"a": 1}', '{"a": "b"', "__import__('os')", '{"a": "b"} x', '{"a" "b"}'])
def test_anything_else_is_an_error_that_says_where(text: str) -> None:
    with pytest.raises(DataError, match="character"):
        parse_milestones(text, where="m")


def test_long_and_hostile_strings_take_bounded_time() -> None:
    start = time.process_time()
    for text in ("{" * 199_999, '{"a": "' + '" ' * 90_000, '{"a": "b", ' * 18_000, "x" * 300_000):
        with pytest.raises(DataError):
            parse_milestones(text, where="m")
    assert time.process_time() - start < 2.0


def test_entry_becomes_a_route_with_lengths_from_its_points() -> None:
    route = route_of(ENTRY, where="r", rng=None)
    assert route.init_heading == 90 and route.start == (40.0, -74.0)
    assert [(leg.heading, leg.compass) for leg in route.legs] == [(350, "north"), (10, "north")]
    # 0.0005 degrees of 111,195 m: 55.6 m; the "60 meters" of the text are not used where there are points.
    assert [round(leg.metres, 1) for leg in route.legs] == [55.6, 55.6]
    assert instructions(route)[0::2] == ("First, turn left to face north.", "Turn slightly right to face north.")


def test_word_in_brackets_names_the_direction_even_where_the_degrees_say_another() -> None:
    assert heading_of("177 (west)", where="h") == (177, "west")


def test_heading_zero_is_unset_in_files_and_north_in_rows() -> None:
    entry = {**ENTRY, "init_heading": 0}
    assert route_of(entry, where="r", rng=None).init_heading == 0
    drawn = {route_of(entry, where="r", rng=random.Random(seed)).init_heading for seed in range(20)}
    assert len(drawn) > 10 and all(0 <= heading <= 359 for heading in drawn)


def test_entry_without_points_needs_distances() -> None:
    told = {key: value for key, value in ENTRY.items() if key != "route_results"}
    assert [leg.metres for leg in route_of(told, where="r", rng=None).legs] == [60.0, 31.0]
    with pytest.raises(DataError, match="milestone 1: distance"):
        route_of({"milestone_info": '{"to_next_intersection_heading": "1 (north)"}'}, where="r", rng=None)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"milestone_info": None}, "milestone_info"),
        ({"milestone_info": ""}, "milestone_info"),
        ({"milestone_info": '{"landmarks": "x"}', "route_results": {}}, "milestone 1: to_next_intersection_heading"),
        ({"route_results": {"geocode_list": [[40, -74]]}}, "geocode_list must have one point for each of the 2"),
        ({"route_results": {"geocode_list": [[40, -74], [400, 0]]}}, "geocode_list"),
        ({"start_place": {}}, "start_place"),
        ({"init_heading": "up"}, "init_heading"),
    ],
)
def test_broken_entries_name_what_is_wrong(changed: dict[str, object], named: str) -> None:
    with pytest.raises(DataError, match=named):
        route_of({**ENTRY, **changed}, where="r", rng=None)


@pytest.mark.parametrize(("text", "metres"), [("60 meters", 60.0), ("1.2 km", 1200.0), (7, 7.0), ("80m", 80.0), ("12", 12.0)])
def test_lengths(text: object, metres: float) -> None:
    assert metres_of(text, where="d") == metres


def test_drawn_route_written_and_read_is_the_same_route() -> None:
    for seed in range(30):
        route = city.draw_route("ashford", random.Random(seed), num_legs=1 + seed % 8)
        entry = json.loads(json.dumps(entry_of(route)))
        blocks = {key: value for key, value in entry.items() if key != "milestones"}
        for form in (entry, blocks):
            again = route_of(form, where="r", rng=random.Random(0))
            assert instructions(again) == instructions(route)
            told = [
                [(point.action, point.heading, point.landmark) for point in rail(way, Ruling(), random.Random(seed))]
                for way in (route, again)
            ]
            assert told[0] == told[1]


def test_routes_of_a_file_are_walked(tmp_path: Path) -> None:
    path = tmp_path / "route_infos.json"
    path.write_text(json.dumps([[ENTRY], 1]), encoding="utf-8")
    task = find("navigation")
    options = task.options_of({"routes": str(path)})
    for split in ("train", "test"):
        example = task.make(split=split, index=0, options=options)
        assert "Pizza" in example.prompt[0].text and example.meta["rail"][0]["heading"] == 90
        assert example == task.make(split=split, index=0, options=options)
    drawn = task.make(split="train", index=0, options=task.options_of({"routes": str(path), "mode": "vision", "tile_pixels": 28}))
    assert len(drawn.images) == 1


@pytest.mark.parametrize("text", ["", "{}", "[]", "[[], 0]", "[1, 2]", "[" * 100_000, '[[{"a": 1}'])
def test_files_without_routes_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "routes.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"routes\.json"):
        read_routes(str(path))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no_such"):
        read_routes(str(tmp_path / "no_such.json"))
