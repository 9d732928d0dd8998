"""Drawn cities: streets, landmarks and routes are what the docstring promises."""

from __future__ import annotations

import math
import random

from vlmpost.tasks.navigation.city import course, draw_route, landmark_of, neighbours, place_of
from vlmpost.tasks.navigation.compass import SIDES
from vlmpost.tasks.navigation.styles import STYLES

CROSSINGS = [(column, row) for column in range(40) for row in range(40)]


def test_streets_run_both_ways_are_30_to_120_metres_and_near_a_compass_direction() -> None:
    lengths, off = [], []
    for here in CROSSINGS:
        for there in neighbours("ashford", here):
            assert here in neighbours("ashford", there)
            heading, metres = course(place_of("ashford", here), place_of("ashford", there))
            lengths.append(metres)
            off.append(min(heading % 45, 45 - heading % 45))
    assert len(lengths) > 5000
    assert min(lengths) >= 29.9 and max(lengths) <= 120.0
    assert max(off) <= 20 and max(off) > 10  # slight turns occur


def test_three_in_five_crossings_have_a_landmark_on_any_side() -> None:
    landmarks = [landmark_of("copperton", crossing) for crossing in CROSSINGS]
    there = [landmark for landmark in landmarks if landmark is not None]
    # 1,600 draws of 0.6: 960 with a standard deviation of 20.
    assert 880 < len(there) < 1040
    assert {landmark.bearing for landmark in there} == {45 * eighth for eighth in range(8)}


def test_route_is_a_simple_path_that_starts_bare_and_ends_at_a_landmark() -> None:
    for seed in range(60):
        route = draw_route("brookmere", random.Random(seed), num_legs=1 + seed % 8)
        places = [route.start, *(leg.end for leg in route.legs)]
        assert len(route.legs) == 1 + seed % 8 and len(set(places)) == len(places)
        assert route.legs[-1].landmark is not None and route.init_heading != 0
        names = [leg.landmark.partition(" is on your ")[0] for leg in route.legs if leg.landmark]
        assert len(set(names)) == len(names)


def test_headings_and_lengths_are_those_of_the_map() -> None:
    route = draw_route("ashford", random.Random(7), num_legs=6)
    here = route.start
    assert here is not None
    for leg in route.legs:
        assert leg.end is not None
        east, north = leg.end[0] - here[0], leg.end[1] - here[1]
        assert abs(math.hypot(east, north) - leg.metres) <= 0.05 + 1e-9
        assert abs((math.degrees(math.atan2(east, north)) - leg.heading + 180) % 360 - 180) <= 0.5
        here = leg.end


def test_every_side_occurs() -> None:
    sides = set()
    for seed in range(80):
        for leg in draw_route("ashford", random.Random(seed), num_legs=5).legs:
            sides |= {leg.landmark.partition(" is on your ")[2]} if leg.landmark else set()
    assert sides == set(SIDES)


def test_cities_differ() -> None:
    assert len({place_of(city, (3, 4)) for city in STYLES}) == len(STYLES) >= 4
