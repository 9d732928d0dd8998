"""One reply of a navigator: outcome, reward, what is read, under both tables."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.errors import GraderError
from vlmpost.records import Example, Message, Rollout
from vlmpost.rewards import table
from vlmpost.rewards.navigation import PointTruth, grade, navigation, point_truth

ROAD = PointTruth("forward()")
CROSSING = PointTruth("turn_direction(east)", landmark="Heron Cafe is on your right", intersection=True)
ODD_NAME = PointTruth("stop()", landmark="The old intersection Bar is on your left")


def reply(action: object, observation: object = "No landmarks nearby") -> str:
    return json.dumps({"current observation": observation, "current instruction": "any", "action": action})


@pytest.mark.parametrize("rewards", ["paper", "repo"])
@pytest.mark.parametrize(
    "text",
    [
        reply("forward()"),
        reply("forward()", "a false observation at an intersection"),
        '{\n  "current observation": "x",\n  "action": "forward()",\n}',
        'Sure: {"action": "forward()"} is my answer',
        '```json\n{"action": "forward()"}\n```',
        '{"action": "stop()", "action": "forward()"}',
        '{"action": "forward\\u0028)"}',
    ],
    ids=["json", "wrong observation", "trailing comma", "prose", "fence", "duplicate in JSON: the last", "escape in JSON"],
)
def test_expert_action_earns_one_whatever_stands_beside_it(text: str, rewards: str) -> None:
    found = grade(text, ROAD, table=rewards)
    assert (found.outcome, found.reward, found.extracted, found.feedback) == ("CORRECT_ACTION", 1.0, "forward()", None)


@pytest.mark.parametrize("rewards", ["paper", "repo"])
@pytest.mark.parametrize(
    "text",
    [
        reply("stop()"),
        reply("Forward()"),
        reply("forward() "),
        reply("forward"),
        reply("'forward()'"),
        reply(None),
        reply(["forward()"]),
        reply({"forward()": 1}),
        reply(7),
        "forward()",
        "",
        "{'action': 'forward()'}",
        '{"action": forward()}',
        '"action": "stop()" then "action": "forward()"',
        "[1, 2]",
        "null",
    ],
)
def test_anything_else_than_the_exact_action_costs_one(text: str, rewards: str) -> None:
    found = grade(text, ROAD, table=rewards)
    assert (found.outcome, found.reward) == ("INCORRECT_ACTION", -1.0)


def test_compact_text_that_is_no_json_is_read_by_paper_only() -> None:
    text = '{"current observation":"x","action":"forward()",}'
    assert grade(text, ROAD, table="paper").outcome == "CORRECT_ACTION"
    # The released pattern wants exactly one blank after the colon, so that the action is the text None.
    assert grade(text, ROAD, table="repo").outcome == "INCORRECT_ACTION"


def test_thoughts_are_not_taken_for_the_answer_by_paper_only() -> None:
    text = '<think>maybe "action": "stop()"</think>{"action": "forward()"}'
    assert grade(text, ROAD, table="paper").outcome == "CORRECT_ACTION"
    assert grade(text, ROAD, table="repo").extracted == "stop()"


# (truth, observation of a reply whose action is wrong, outcome under paper, outcome under repo)
OBSERVATIONS = [
    (ROAD, "No landmarks nearby", "INCORRECT_ACTION", "INCORRECT_ACTION"),
    (ROAD, "You observe an image of 4 views; ", "INCORRECT_ACTION", "INCORRECT_ACTION"),
    (ROAD, "You observe an intersection", "INCORRECT_OBS", "INCORRECT_OBS"),
    (ROAD, "Intersection ahead", "INCORRECT_OBS", "INCORRECT_ACTION"),  # the released check knows small letters only
    (ROAD, "no intersection here", "INCORRECT_ACTION", "INCORRECT_OBS"),  # a denial mentions it all the same
    (ROAD, "Heron Cafe is on your right", "INCORRECT_OBS", "INCORRECT_ACTION"),
    (CROSSING, "Heron Cafe is on your right; You observe an intersection", "INCORRECT_ACTION", "INCORRECT_OBS"),
    (CROSSING, "heron  cafe is on your RIGHT. There is an intersection.", "INCORRECT_ACTION", "INCORRECT_OBS"),
    (CROSSING, "Heron Cafe is on your right", "INCORRECT_OBS", "INCORRECT_ACTION"),
    (CROSSING, "Heron Cafe is on your right front; You observe an intersection", "INCORRECT_OBS", "INCORRECT_OBS"),
    (CROSSING, "Heron Cafe is on your left; You observe an intersection", "INCORRECT_OBS", "INCORRECT_OBS"),
    (CROSSING, "Blue Heron Cafeteria is on your right; You observe an intersection", "INCORRECT_OBS", "INCORRECT_OBS"),
    (CROSSING, "No landmarks nearby; You observe an intersection", "INCORRECT_OBS", "INCORRECT_OBS"),
    (
        CROSSING,
        "Heron Cafe is on your right; Opal Inn is on your left; You observe an intersection",
        "INCORRECT_OBS",
        "INCORRECT_OBS",
    ),
    (ODD_NAME, "The old intersection Bar is on your left", "INCORRECT_ACTION", "INCORRECT_ACTION"),
    (ODD_NAME, "No landmarks nearby", "INCORRECT_OBS", "INCORRECT_OBS"),
    (ODD_NAME, "", "INCORRECT_OBS", "INCORRECT_OBS"),
    (ROAD, ["intersection"], "INCORRECT_ACTION", "INCORRECT_OBS"),  # Python's `in` looks into a list as well
    (ROAD, 7, "INCORRECT_ACTION", "INCORRECT_ACTION"),  # where the released code fails
    (ODD_NAME, None, "INCORRECT_ACTION", "INCORRECT_OBS"),
]


@pytest.mark.parametrize(("truth", "observation", "paper", "repo"), OBSERVATIONS)
def test_observation_of_a_wrong_reply(truth: PointTruth, observation: object, paper: str, repo: str) -> None:
    text = reply("turn_direction(north)", observation)
    worth = {"INCORRECT_ACTION": -1.0, "INCORRECT_OBS": -1.5}
    for rewards, outcome in (("paper", paper), ("repo", repo)):
        found = grade(text, truth, table=rewards)
        assert (found.outcome, found.reward) == (outcome, worth[outcome]), rewards


def test_reply_without_an_observation_is_charged_for_its_action() -> None:
    text = '{"action": "stop()"}'
    assert grade(text, CROSSING, table="paper").outcome == "INCORRECT_ACTION"
    assert grade(text, CROSSING, table="repo").outcome == "INCORRECT_ACTION"
    # The released code reads the observation as the text None, in which a landmark called "intersection" is missed.
    assert grade('{"action": "forward()"}', ODD_NAME, table="repo").outcome == "INCORRECT_OBS"


def test_check_of_the_example_stands_above_the_table() -> None:
    text = reply("stop()", "Intersection ahead")
    assert grade(text, PointTruth("forward()", check="official"), table="paper").outcome == "INCORRECT_ACTION"
    assert grade(text, PointTruth("forward()", check="fixed"), table="repo").outcome == "INCORRECT_OBS"


def test_what_a_rail_does_not_tell_is_not_held_against_a_reply() -> None:
    untold = ("landmark", "intersection")
    road, turn = PointTruth("forward()", untold=untold), PointTruth("turn_direction(east)", intersection=True, untold=untold)
    crossing = "Heron Cafe is on your right; You observe an intersection"
    assert grade(reply("stop()", "Heron Cafe is on your right"), road).outcome == "INCORRECT_ACTION"
    assert grade(reply("stop()", crossing), road).outcome == "INCORRECT_OBS"  # by the rules there is none on the road
    assert grade(reply("stop()", crossing), turn).outcome == "INCORRECT_ACTION"
    assert grade(reply("stop()", "x"), turn).outcome == "INCORRECT_ACTION"


def test_recognition_is_counted_in_pictures_apart_from_the_action() -> None:
    seen = PointTruth("forward()", landmark="Heron Cafe is on your right", pictured=True)
    assert grade(reply("forward()", "Heron Cafe is on your right"), seen).recognised is True
    assert grade(reply("forward()", "No landmarks nearby"), seen).recognised is False
    assert grade('{"action": "forward()"}', seen).recognised is False
    assert grade(reply("forward()", "No landmarks nearby"), ROAD).recognised is None


def test_compact_prompt_takes_the_bare_action() -> None:
    bare = PointTruth("forward()", bare=True, landmark="Heron Cafe is on your right")
    assert grade(" forward()\n", bare).outcome == "CORRECT_ACTION"
    assert grade("<think>on the road</think> forward()", bare, table="repo").outcome == "CORRECT_ACTION"
    assert grade("go forward()", bare).outcome == "INCORRECT_ACTION"
    assert grade("stop() at the intersection", bare, table="repo").outcome == "INCORRECT_ACTION"


def test_feedback_says_what_failed_and_never_the_right_action() -> None:
    for truth, observation, _, _ in OBSERVATIONS:
        for rewards in ("paper", "repo"):
            told = grade(reply("turn_direction(north)", observation), truth, table=rewards).feedback
            assert told is not None and truth.action not in told and "Heron" not in told
    assert "no intersection here" in (grade(reply("stop()", "an intersection"), ROAD).feedback or "")
    assert "not the right one" in (grade(reply("stop()"), ROAD).feedback or "")
    assert '"action"' in (grade(reply("stop()"), ROAD).feedback or "")


HOSTILE = {
    "megabyte": "x" * 2_000_000,
    "brackets": "[" * 100_000,
    "braces": '{"action":' * 20_000,
    "huge integer": '{"action": 1' + "0" * 200_000 + "}",
    "keys": '"action": "' * 100_000,
    "colons": '"current observation"' + " " * 500_000,
    "backslashes": '"action": "' + "\\" * 1_000_001,
    "claims": json.dumps({"current observation": "Heron Cafe is on your right " * 40_000, "action": "x"}),
    "denials": json.dumps({"current observation": "not at any " * 80_000, "action": "x"}),
    "surrogate": '{"action": "\ud800"}',
    "control": "\x00\x1b[2J\r\n",
    "code": "{\"action\": \"__import__('os').system('true')\"}",
    "infinity": '{"action": Infinity, "current observation": NaN}',
}


@pytest.mark.parametrize("rewards", ["paper", "repo"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_replies_are_wrong_in_bounded_time(name: str, rewards: str) -> None:
    start = time.process_time()
    assert grade(HOSTILE[name], CROSSING, table=rewards).reward < 0
    assert time.process_time() - start < 2.0


@given(text=st.text(max_size=200), rewards=st.sampled_from(["paper", "repo"]))
def test_any_text_is_graded(text: str, rewards: str) -> None:
    assert grade(text, CROSSING, table=rewards).outcome in {"INCORRECT_ACTION", "INCORRECT_OBS"}


# --- as a reward ---


def rollout(text: str, meta: dict[str, object]) -> Rollout:
    example = Example(id="e", task="navigation", prompt=(Message("user", ("?",)),), meta=meta)
    return Rollout(example=example, text=text, token_ids=(1,), stop_reason="stop")


RAIL = [{"action": "turn_direction(east)"}, {"action": "forward()", "landmark": "Heron Cafe is on your right", "intersection": True}]


def test_reward_reads_the_point_of_the_rail() -> None:
    assert navigation(rollout(reply("forward()"), {"rail": RAIL, "point": 1})) == 1.0
    assert navigation(rollout(reply("forward()"), {"rail": RAIL, "point": 0})) == -1.0
    assert navigation(rollout(reply("stop()"), {"rail": RAIL, "point": 1})) == -1.5
    assert navigation(rollout(reply("stop()"), {"rail": RAIL, "point": 1}), table="repo") == -1.0


def test_reward_does_not_apply_without_a_rail() -> None:
    assert navigation(rollout(reply("forward()"), {"order": [1, 2]})) is None


@pytest.mark.parametrize(
    "meta", [{"rail": RAIL, "point": 2}, {"rail": RAIL, "point": True}, {"rail": [{}], "point": 0}, {"rail": 3, "point": 0}]
)
def test_broken_rail_is_an_error_and_no_zero(meta: dict[str, object]) -> None:
    with pytest.raises(GraderError, match="meta"):
        point_truth(meta, where="e")


def test_reward_is_in_the_table_with_both_presets() -> None:
    assert set(table.find("navigation").presets) == {"paper", "repo"}
