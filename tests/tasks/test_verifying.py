"""Rows of problems and replies: what is read from them, how they are played, what comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost import tasks
from vlmpost.errors import ConfigError, DataError
from vlmpost.tasks import Task
from vlmpost.tasks.verifying import instance_of, play, replies_of, result_of, table_of, verify_iterations_of, without_pictures

TOYS = Path(__file__).parent / "climbing.py"
CLIMBING = tasks.find(f"{TOYS}:Climbing")
STAIRS = {"step": 4, "top": 6, "id": "s"}
"""From 4 over 5 to 6: two states."""


def outcomes(task: Task, row: dict[str, Any], *, rewards: str = "paper") -> list[tuple[str, float, bool, bool, int]]:
    episodes = play(task, instance_of(task, row), replies_of(row), verify_iterations=verify_iterations_of(task, row), rewards=rewards)
    return [(step.outcome, step.reward, step.terminated, step.truncated, step.state) for episode in episodes for step in episode.steps]


def test_replies_go_through_the_states_and_the_right_one_to_the_last_ends_the_episode() -> None:
    assert outcomes(CLIMBING, {**STAIRS, "outputs": ["5", "6"]}) == [
        ("CORRECT_ACTION", 1.0, False, False, 0),
        ("CORRECT_ACTION", 1.0, True, False, 1),
    ]


def test_attempts_are_refilled_at_each_state_and_the_one_beyond_them_is_not_graded() -> None:
    # V = 2: one wrong and the right one at state 0; two wrong ones at state 1 use it up, the right reply after them is not graded.
    assert outcomes(CLIMBING, {**STAIRS, "verify_iterations": 2, "outputs": ["9", "5", "9", "9", "6"]}) == [
        ("INCORRECT_ACTION", -1.0, False, False, 0),
        ("CORRECT_ACTION", 1.0, False, False, 0),
        ("INCORRECT_ACTION", -1.0, False, False, 1),
        ("INCORRECT_ACTION", -1.0, False, False, 1),
        ("STEP_LIMIT", -1.0, False, True, 1),
    ]


def test_a_row_without_attempts_gets_those_of_the_task() -> None:
    # The task's own number is 2.
    assert [outcome for outcome, *_ in outcomes(CLIMBING, {**STAIRS, "outputs": ["7", "7", "7"]})] == [
        "INCORRECT_ACTION",
        "INCORRECT_ACTION",
        "STEP_LIMIT",
    ]
    assert verify_iterations_of(CLIMBING, {"verify_iterations": 7}) == 7


def test_where_the_task_asks_once_each_output_is_an_episode_of_its_own() -> None:
    counting = tasks.find("counting")
    example = tasks.make("counting", split="train", index=0, difficulty=1)
    row = {"id": "x", "task": "counting", "prompt": "?", "answer": example.answer, "answer_type": "number", "meta": dict(example.meta)}
    right, wrong = rf"\boxed{{{example.answer}}}", r"\boxed{90}"
    assert verify_iterations_of(counting, row) is None
    assert outcomes(counting, {**row, "outputs": [wrong, wrong, right, right]}) == [
        ("WRONG", 0.0, False, False, 0),
        ("WRONG", 0.0, False, False, 0),
        ("CORRECT", 1.0, True, False, 0),
        ("CORRECT", 1.0, True, False, 0),
    ]
    assert [outcome for outcome, *_ in outcomes(counting, {**row, "verify_iterations": 1, "outputs": [wrong, right]})] == [
        "WRONG",
        "STEP_LIMIT",
    ]


def test_violations_come_back_as_a_list_one_for_each_offence() -> None:
    # Two characters that are no digits: -3 each.
    [episode] = play(CLIMBING, instance_of(CLIMBING, STAIRS), ["a5b"], verify_iterations=2, rewards="paper")
    assert result_of(episode.steps[0]) == {
        "outcome": "ILLEGAL",
        "reward": -6.0,
        "violations": ["ILLEGAL", "ILLEGAL"],
        "terminated": False,
        "truncated": False,
        "correct": False,
        "recognised": None,
        "extracted": "a5b",
        "feedback": "Not a5b.",
        "state": 0,
    }


def test_the_table_is_the_one_asked_for_or_the_first() -> None:
    assert (table_of(CLIMBING, None), table_of(CLIMBING, "repo")) == ("paper", "repo")
    assert outcomes(CLIMBING, {**STAIRS, "outputs": ["9"]}, rewards="repo")[0][:2] == ("INCORRECT_ACTION", -2.0)
    with pytest.raises(ConfigError, match=r"no reward table .official.\. It has: paper, repo"):
        table_of(CLIMBING, "official")


@pytest.mark.parametrize("layout", ["jsonl", "llava", "trl"])
def test_a_stored_example_of_any_layout_is_verified_by_its_meta(layout: Any) -> None:
    from vlmpost.data.write import row_of

    example = next(tasks.stream(CLIMBING.address, split="test", num_examples=1))
    row = json.loads(json.dumps(row_of(example, [], layout=layout)))
    step = row["meta"]["step"]
    found = outcomes(CLIMBING, {**row, "outputs": [str(step + 1), str(step + 2), str(step + 3)]})
    assert [(outcome, terminated) for outcome, _, terminated, _, _ in found] == [
        ("CORRECT_ACTION", False),
        ("CORRECT_ACTION", False),
        ("CORRECT_ACTION", True),
    ]


def test_a_stored_example_of_another_task_is_refused() -> None:
    with pytest.raises(DataError, match="of task 'counting', not of"):
        instance_of(CLIMBING, {"prompt": "?", "task": "counting", "meta": {"step": 1, "top": 2, "first": 1}})


def test_nothing_is_drawn_to_verify_a_reply() -> None:
    undrawable = tasks.find(f"{TOYS}:Undrawable")
    with pytest.raises(ZeroDivisionError):
        instance_of(undrawable, STAIRS)
    blind = without_pictures(undrawable)
    assert outcomes(blind, {**STAIRS, "outputs": ["5", "6"]})[-1][:3] == ("CORRECT_ACTION", 1.0, True)
    with pytest.raises(ZeroDivisionError):
        instance_of(undrawable, STAIRS)


def test_a_task_that_takes_no_instances_says_so() -> None:
    with pytest.raises(ConfigError, match="cannot be given an instance"):
        instance_of(tasks.find("counting"), {"cards": ["4"]})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"output": "5"}, "expected outputs, a list of replies, found output"),
        ({}, "found nothing"),
        ({"outputs": "5"}, "got str"),
        ({"outputs": None}, "got NoneType"),
    ],
)
def test_a_row_without_a_list_of_outputs_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replies_of(row)


def test_an_output_that_is_no_text_stands_as_its_json() -> None:
    assert replies_of({"outputs": ["a", {"formula": 24}, None, 1.5]}) == ["a", '{"formula": 24}', "null", "1.5"]


@pytest.mark.parametrize("given", [0, -1, True, "2", 1.0, [1]])
def test_attempts_that_are_no_positive_whole_number_are_refused(given: object) -> None:
    with pytest.raises(DataError, match="verify_iterations must be a whole number of 1 or more"):
        verify_iterations_of(CLIMBING, {"verify_iterations": given})


@given(st.lists(st.text(), max_size=12), st.one_of(st.none(), st.integers(1, 4)))
def test_every_reply_gets_one_result_whatever_it_says(replies: list[str], attempts: int | None) -> None:
    row = {**STAIRS, "outputs": replies, "verify_iterations": attempts}
    episodes = play(CLIMBING, instance_of(CLIMBING, row), replies, verify_iterations=attempts, rewards="paper")
    assert [step.text for episode in episodes for step in episode.steps] == replies
    assert sum(step.terminated and step.correct for episode in episodes for step in episode.steps) <= len(episodes)
