"""Routes and rails given by hand, played through."""

from __future__ import annotations

import json

import pytest

from vlmpost.errors import DataError
from vlmpost.records import Example
from vlmpost.tasks import find
from vlmpost.tasks.episode import Episode

TASK = find("navigation")
ACTIONS = ["turn_direction(north)", "forward()", "turn_direction(east)", "stop()"]


def actions(row: dict[str, object]) -> list[str]:
    return [point["action"] for point in TASK.from_row(row).meta["rail"]]


def said(action: str, observation: str = "x") -> str:
    return json.dumps({"current observation": observation, "current instruction": "y", "action": action})


def played(row: dict[str, object], replies: list[str], *, verify_iterations: int = 2, rewards: str = "paper") -> list[tuple[str, float]]:
    episode = Episode(TASK, TASK.from_row(row), verify_iterations=verify_iterations, rewards=rewards)
    return [(step.outcome, step.reward) for step in map(episode.step, replies)]


def test_rail_of_actions() -> None:
    assert actions({"rail": ACTIONS}) == ACTIONS
    assert actions({"route": ACTIONS}) == ACTIONS
    assert actions({"route": {"rail": ACTIONS}, "action_space": "absolute"}) == ACTIONS
    assert actions({"rail": {"points": [{"action": action} for action in ACTIONS]}}) == ACTIONS


def test_rail_in_the_words_of_the_released_code() -> None:
    rail = [
        {"gt_action": "turn_direction(north)", "observation": "No landmarks nearby", "intersection_observation": "", "instruction_idx": 1},
        {
            "gt_action": "stop()",
            "observation": "Heron Cafe is on your left",
            "intersection_observation": "You observe an intersection",
            "instruction_idx": 2,
        },
    ]
    example = TASK.from_row({"rail": rail, "instructions": ["Turn.", "Go."]})
    assert example.meta["rail"][1] == {
        "action": "stop()", "heading": 0, "instruction": 1, "landmark": "Heron Cafe is on your left", "intersection": True
    }  # fmt: skip


def test_observation_may_hold_landmark_and_intersection() -> None:
    rail = [
        {"action": "forward()", "observation": "Heron Cafe is on your left; You observe an intersection"},
        {"action": "stop()", "observation": "No landmarks nearby; "},
    ]
    first, last = TASK.from_row({"rail": rail}).meta["rail"]
    assert first["landmark"] == "Heron Cafe is on your left" and first["intersection"] is True
    assert "landmark" not in last and "intersection" not in last


def test_action_space_follows_from_the_actions() -> None:
    assert TASK.from_row({"rail": ["turn_direction(slightly left)", "stop()"]}).meta["action_space"] == "relative"
    assert TASK.from_row({"rail": ["forward()", "stop()"]}).meta["action_space"] == "absolute"


def test_relative_actions_are_taken_where_both_are_given() -> None:
    rail = [
        {"gt_action": "turn_direction(west)", "relative_action": "turn_direction(left)"},
        {"gt_action": "stop()", "relative_action": "stop()"},
    ]
    assert actions({"rail": rail, "action_space": "relative"}) == ["turn_direction(left)", "stop()"]
    assert actions({"rail": rail, "absolute_action": False}) == ["turn_direction(left)", "stop()"]
    assert actions({"rail": rail}) == ["turn_direction(west)", "stop()"]


def test_actions_follow_from_headings() -> None:
    rail = [{"heading": 350}, {"heading": 10}, {"heading": "10 (north)", "intersection": True}, {"heading": 10}, {"heading": "east"}]
    # A turn at the start, forward on the road, a turn straight on at the crossing, a turn where the heading changes, a stop.
    assert actions({"rail": rail, "action_space": "relative"}) == [
        "turn_direction(slightly right)", "forward()", "turn_direction(slightly left)", "turn_direction(right)", "stop()"
    ]  # fmt: skip
    assert actions({"rail": rail})[0] == "turn_direction(north)"


BLOCKS = """{
    "landmarks": "Heron Cafe is on your left",
    "distance": "20 meters",
    "to_next_intersection_heading": "10 (north)",
}

{
    "landmarks": "No landmark nearby",
    "distance": "5 meters",
    "to_next_intersection_heading": "90 (east)",
}"""
LANDMARK = "Heron Cafe is on your left"
FORMS: list[dict[str, object]] = [
    {
        "init_heading": 350,
        "legs": [{"heading": 10, "distance": 20, "landmark": LANDMARK}, {"heading": "90 (east)", "distance": "5 meters"}],
    },
    {
        "initial_heading": "350 (north)",
        "milestones": [
            {"heading": "10", "metres": 20.0, "landmark": "Heron Cafe", "side": "left"},
            {"direction": "east", "length": 5, "landmark": "No landmarks nearby"},
        ],
    },
    {
        "start": {"heading": 350},
        "legs": [
            {"heading": 10, "distance": "20 m", "landmark": {"name": "Heron Cafe", "relation": "left"}},
            {"heading": 90, "distance": "0.005 km", "landmark": None},
        ],
    },
    {"init_heading": 350, "milestone_info": BLOCKS},
]


@pytest.mark.parametrize("route", FORMS)
def test_routes_in_many_forms_are_one_route(route: dict[str, object]) -> None:
    for row in ({"route": route, "action_space": "relative"}, {**route, "action_space": "relative"}):
        example = TASK.from_row(row)
        # 20 m: 4 and 8 are not farther than 8 m from the start, nor 12 and 16 from the end: no road points. 5 m has none.
        assert actions(row) == ["turn_direction(slightly right)", "turn_direction(right)", "stop()"]
        assert example.meta["instructions"][1] == "Move forward until the next intersection where Heron Cafe is on your left."
        assert example.meta["rail"][1]["landmark"] == LANDMARK


def test_route_of_a_row_is_known_as_nothing_is_dropped_unless_it_says_so() -> None:
    legs = {"init_heading": 0, "legs": [{"heading": 0, "distance": 100}]}
    # 20, 40, 60, 80; 100 is the end.
    assert actions({"route": legs}).count("forward()") == 4
    assert actions({"route": legs, "straight_line_length": 2}).count("forward()") == 1
    assert actions({"route": legs, "relocation": False}).count("forward()") == 5
    assert actions({"route": legs, "drop_rate": 1.0}).count("forward()") == 0
    assert actions({"route": legs, "drop_rate": 0.5, "seed": 3}) == actions({"route": legs, "drop_rate": 0.5, "seed": 3})


def test_turn_labels_of_a_row() -> None:
    row = {"route": {"init_heading": 350, "legs": [{"heading": 10, "distance": 20}]}, "action_space": "relative"}
    assert actions(row)[0] == "turn_direction(slightly right)"
    assert actions({**row, "turn_labels": "official"})[0] == "turn_direction(left)"


def test_attempts_are_refilled_at_each_point() -> None:
    wrong, right = said("turn_direction(south)"), [said(action) for action in ACTIONS]
    replies = [wrong, right[0], wrong, right[1], wrong, right[2], wrong, right[3]]
    assert [reward for _, reward in played({"rail": ACTIONS}, replies)] == [-1, 1, -1, 1, -1, 1, -1, 1]


@pytest.mark.parametrize("rewards", ["paper", "repo"])
def test_reply_after_the_last_attempt_is_not_graded(rewards: str) -> None:
    wrong = said("turn_direction(south)")
    replies = [said(ACTIONS[0]), wrong, wrong, said(ACTIONS[1])]
    outcomes = [outcome for outcome, _ in played({"rail": ACTIONS}, replies, rewards=rewards)]
    assert outcomes == ["CORRECT_ACTION", "INCORRECT_ACTION", "INCORRECT_ACTION", "STEP_LIMIT"]


def test_intersections_of_a_bare_rail_are_its_turns_but_the_first() -> None:
    crossings = [point.get("intersection", False) for point in TASK.from_row({"rail": ACTIONS}).meta["rail"]]
    assert crossings == [False, False, True, False]
    at_crossing = {"rail": ACTIONS, "point": 2}
    for rewards, outcome in (("paper", "INCORRECT_ACTION"), ("repo", "INCORRECT_OBS")):
        seen = [said("stop()", "Any Cafe is on your left; You observe an intersection")]
        assert [outcome for outcome, _ in played(at_crossing, seen, rewards=rewards)] == [outcome]
        assert [reward for _, reward in played({"rail": ACTIONS}, seen, rewards=rewards)] == [-1.5]


def test_stop_at_the_destination_ends_the_episode() -> None:
    episode = Episode(TASK, TASK.from_row({"rail": ACTIONS}), verify_iterations=2)
    steps = [episode.step(said(action)) for action in ACTIONS]
    assert [step.terminated for step in steps] == [False, False, False, True] and episode.succeeded
    assert [step.state for step in steps] == [0, 1, 2, 3]


def test_meta_of_an_example_is_a_row() -> None:
    example = TASK.make(split="train", index=5)
    again = TASK.from_row(json.loads(json.dumps(dict(example.meta))))
    assert again.prompt == example.prompt and again.solution == example.solution


def test_row_may_begin_at_any_point() -> None:
    example = TASK.from_row({"rail": ACTIONS, "point": 2})
    assert example.prompt[0].text.count("\nA_") == 3 and "A_2: forward()\nO_3" in example.prompt[0].text


@pytest.mark.parametrize("row", [{"rail": ACTIONS}, {"route": {"legs": [{"heading": 90, "landmark": "Heron Cafe is on your left"}]}}])
def test_rows_can_be_drawn(row: dict[str, object]) -> None:
    example: Example | None = TASK.from_row({**row, "mode": "vision", "tile_pixels": 28})
    pictures = set()
    while example is not None:
        pictures.add(example.images[0].data)
        example = TASK.following(example)
    assert len(pictures) >= 4


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({}, "rail"),
        ({"rail": []}, "rail"),
        ({"rail": "forward()"}, "rail"),
        ({"rail": [7]}, r"rail\[0\]"),
        ({"rail": ["forward()", "jump()"]}, r"rail\[1\]\.action"),
        ({"rail": ["forward()", "turn_direction(left)"], "action_space": "absolute"}, r"rail\[1\]\.action"),
        ({"rail": ["stop()", "forward()"]}, r"rail\[0\]\.action"),
        ({"rail": [{"action": "forward()"}, {}]}, r"rail\[1\]\.action"),
        ({"rail": [{"landmark": "x"}, {}]}, r"rail\[0\].*heading"),
        ({"rail": [{"action": "stop()", "landmark": 3}]}, r"rail\[0\]\.landmark"),
        ({"rail": [{"action": "stop()", "instruction": 4}], "instructions": ["a"]}, r"rail\[0\]\.instruction"),
        ({"rail": ["stop()"], "point": 1}, "point 1"),
        ({"rail": ["stop()"], "action_space": "sideways"}, "action_space"),
        ({"rail": ["stop()"] * 2000}, "1000"),
        ({"route": {"legs": []}}, r"route\.legs"),
        ({"route": {"legs": [{}]}}, r"route\.legs\[0\]\.heading"),
        ({"route": {"legs": [{"heading": "upwards"}]}}, r"route\.legs\[0\]\.heading"),
        ({"route": {"legs": [{"heading": float("nan")}]}}, r"route\.legs\[0\]\.heading"),
        ({"route": {"legs": [{"heading": 90, "distance": "far"}]}}, r"route\.legs\[0\]\.distance"),
        ({"route": {"legs": [{"heading": 90, "landmark": "Cafe", "side": "above"}]}}, "side"),
        ({"route": {"legs": [{"heading": 90}]}, "action_space": "relative"}, "init_heading"),
        ({"route": {"milestone_info": "{"}}, "milestone_info"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_named(row: dict[str, object], named: str) -> None:
    with pytest.raises(DataError, match=named):
        TASK.from_row(row)


def test_rail_of_pairs_and_of_lists_side_by_side() -> None:
    observations = ["No landmarks nearby", "No landmarks nearby", f"{LANDMARK}; You observe an intersection", "Mill is on your right"]
    rows: list[dict[str, object]] = [
        {"rail": [list(pair) for pair in zip(ACTIONS, observations, strict=True)]},
        {"rail": ACTIONS, "observations": observations},
        {"expert_actions": ACTIONS, "observations": observations},
        {"route": {"actions": ACTIONS, "observations": observations}},
    ]
    for row in rows:
        rail = TASK.from_row(row).meta["rail"]
        assert [point["action"] for point in rail] == ACTIONS
        assert (rail[2]["landmark"], rail[2]["intersection"]) == (LANDMARK, True)
        assert rail[3]["landmark"] == "Mill is on your right" and "landmark" not in rail[0]


def test_route_of_lists_side_by_side() -> None:
    route = {"init_heading": 350, "headings": [10, 90], "distances": [20, "5 meters"], "landmarks": [LANDMARK, None]}
    assert TASK.from_row({"route": route}).meta == TASK.from_row({"route": FORMS[0]}).meta


def test_lists_side_by_side_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="one item for each of its 4 points, got 1"):
        TASK.from_row({"rail": ACTIONS, "observations": ["No landmarks nearby"]})
    with pytest.raises(DataError, match="'headings': 2, 'distances': 1"):
        TASK.from_row({"route": {"headings": [0, 90], "distances": [60]}})


@pytest.mark.parametrize("key", ["distance_m", "distance_meters", "length_m", "length_metres"])
def test_length_of_a_leg_may_carry_its_unit_in_its_name(key: str) -> None:
    # 5 m has no road points; 60 m, which a leg without a length gets, has four.
    assert actions({"route": {"init_heading": 0, "legs": [{"heading": 0, key: 5}]}}) == ["turn_direction(north)", "stop()"]


def test_relation_beside_the_name_of_a_landmark_is_its_side() -> None:
    point = {"action": "stop()", "landmark": "Heron Cafe", "relation": "left"}
    assert TASK.from_row({"rail": [point]}).meta["rail"][0]["landmark"] == LANDMARK
