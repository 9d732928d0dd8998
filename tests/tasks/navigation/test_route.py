"""Instructions and rails of hand-made routes, worked out by the rules."""

from __future__ import annotations

import random

import pytest

from vlmpost.tasks.navigation.route import Leg, Route, Ruling, actions_of, instructions, rail

# Facing 350, a slight turn over north, a right turn, a short leg, straight on to the destination.
ROUTE = Route(
    350,
    (
        Leg(10, "north", 60.0, "Heron Cafe is on your right"),
        Leg(100, "east", 40.0),
        Leg(60, "northeast", 5.0, "Opal Inn is on your left behind"),
        Leg(60, "northeast", 30.0, "Ruby Bank is on your front"),
    ),
)
SENTENCES = (
    "First, turn slightly right to face north.",
    "Move forward until the next intersection where Heron Cafe is on your right.",
    "Turn right to face east.",
    "Move forward until the next intersection.",
    "Turn slightly left to face northeast.",
    "Move forward until the next intersection where Opal Inn is on your left behind.",
    "Turn slightly left to face northeast.",
    "Move forward until the destination where Ruby Bank is on your front.",
)


def summary(ruling: Ruling, route: Route = ROUTE) -> list[tuple[str, int]]:
    return [(point.action, point.instruction) for point in rail(route, ruling, random.Random(0))]


def test_two_sentences_for_each_leg() -> None:
    assert instructions(ROUTE) == SENTENCES


def test_official_labels_do_not_wrap_at_north() -> None:
    # 10 - 350 = -340 is below -45: "left".
    assert instructions(ROUTE, "official")[0] == "First, turn left to face north."


def test_route_of_one_leg_has_no_first() -> None:
    assert instructions(Route(0, (Leg(90, "east", 30.0, None),))) == ("Turn right to face east.", "Move forward until the destination.")


def test_rail_with_every_road_point_8_metres_from_the_ends() -> None:
    # 60 m: points at 12, 24, 36, 48 (60 is the end). 40 m: 8 is not farther than 8, 16, 24, and 32 is 8 from the end.
    # 5 m: no road points. 30 m: 6 is too close, 12, 18, and 24 is 6 from the end.
    assert summary(Ruling(drop_rate=0.0)) == [
        ("turn_direction(north)", 0),
        ("forward()", 1), ("forward()", 1), ("forward()", 1), ("forward()", 1),
        ("turn_direction(east)", 2),
        ("forward()", 3), ("forward()", 3),
        ("turn_direction(northeast)", 4),
        ("turn_direction(northeast)", 6),
        ("forward()", 7), ("forward()", 7),
        ("stop()", 7),
    ]  # fmt: skip


def test_rail_without_relocation_has_all_shares_the_end_included() -> None:
    actions = [action for action, _ in summary(Ruling(drop_rate=0.0, relocation=False))]
    # 5 points on each of the three longer legs, none on the one of 5 m; a start and 4 ends.
    assert actions.count("forward()") == 15 and len(actions) == 20


def test_everything_dropped_leaves_the_turns() -> None:
    assert [action for action, _ in summary(Ruling(drop_rate=1.0))] == [
        "turn_direction(north)", "turn_direction(east)", "turn_direction(northeast)", "turn_direction(northeast)", "stop()"
    ]  # fmt: skip


def test_half_of_the_road_points_are_dropped() -> None:
    route = Route(0, (Leg(0, "north", 1000.0),))
    ruling = Ruling(straight_line_length=5, relocation=False)
    rng = random.Random(1)
    kept = sum(len(rail(route, ruling, rng)) - 2 for _ in range(2000))
    # 10,000 draws of one half: 5,000 with a standard deviation of 50.
    assert 4750 < kept < 5250


def test_relative_actions_are_the_turns_of_the_instructions() -> None:
    turns = [action for action, _ in summary(Ruling(action_space="relative", drop_rate=1.0))]
    words = ("slightly right", "right", "slightly left", "slightly left")
    assert turns == [*(f"turn_direction({word})" for word in words), "stop()"]
    official = summary(Ruling(action_space="relative", drop_rate=1.0, turn_labels="official"))
    assert official[0][0] == "turn_direction(left)"


def test_short_leg_shifts_later_sentences_in_official_only() -> None:
    # The leg of 5 m does not count its own "Move forward ...": its end and all after it are one sentence back.
    assert [number for _, number in summary(Ruling(drop_rate=1.0, short_legs="official"))] == [0, 2, 4, 5, 6]
    assert [number for _, number in summary(Ruling(drop_rate=1.0))] == [0, 2, 4, 6, 7]


def test_facing_landmark_and_intersection_of_each_point() -> None:
    points = rail(ROUTE, Ruling(drop_rate=1.0), random.Random(0))
    assert [point.heading for point in points] == [350, 10, 100, 60, 60]
    assert [point.intersection for point in points] == [False, True, True, True, False]
    assert [point.landmark and point.landmark.split()[0] for point in points] == [None, "Heron", None, "Opal", "Ruby"]


def test_road_points_stand_on_the_leg() -> None:
    route = Route(0, (Leg(90, "east", 50.0, None, (50.0, 0.0)),), (0.0, 0.0))
    points = rail(route, Ruling(drop_rate=0.0), random.Random(0))
    assert [point.place for point in points] == [(0.0, 0.0), (10.0, 0.0), (20.0, 0.0), (30.0, 0.0), (40.0, 0.0), (50.0, 0.0)]


@pytest.mark.parametrize(("space", "count"), [("absolute", 10), ("relative", 6)])
def test_action_spaces(space: str, count: int) -> None:
    actions = actions_of(space)
    assert len(set(actions)) == count and {"forward()", "stop()"} < set(actions)
