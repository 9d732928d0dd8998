"""`vlmpost tasks verify` on rows of GeneralPoints, navigation and jigsaw, under both reward tables; numbers from the papers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vlmpost.cli.tasks import app

Result = tuple[str, float, list[str], bool, bool]


def verified(task: str, row: dict[str, Any], folder: Path, *, rewards: str) -> list[Result]:
    (folder / "in.jsonl").write_text(json.dumps(row) + "\n")
    words = ["verify", task, str(folder / "in.jsonl"), "--output", str(folder / "out.jsonl"), "--rewards", rewards]
    done = CliRunner().invoke(app, words)
    assert done.exception is None, done.exception
    [found] = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert {key: value for key, value in found.items() if key != "results"} == row
    keys = ("outcome", "reward", "violations", "terminated", "truncated")
    return [tuple(result[key] for key in keys) for result in found["results"]]  # type: ignore[misc]  # five of them


def formula(text: str, cards: list[str] | None = None) -> str:
    return json.dumps({"cards": cards or ["4", "3", "2", "K"], "number": [4, 3, 2, 10], "formula": text})


@pytest.mark.parametrize("rewards", ["paper", "repo"])
def test_a_hand_of_general_points_is_graded_until_its_attempts_are_over(tmp_path: Path, rewards: str) -> None:
    row = {"id": 1, "mode": "text", "cards": ["4", "3", "2", "K"], "face_rule": "ten", "target": 24, "verify_iterations": 2}
    # 4 + 3 + 2 + 10 = 19: no solution, -1. A letter: illegal, -3. The third is beyond the attempts, right as it is.
    outputs = [formula("4+3+2+10=24"), formula("4*3+2+K=24"), formula("4*3+2+10=24")]
    assert verified("general_points", {**row, "outputs": outputs}, tmp_path, rewards=rewards) == [
        ("NO_SOLUTION", -1.0, [], False, False),
        ("ILLEGAL_FORMULA", -3.0, ["ILLEGAL_FORMULA"], False, False),
        ("STEP_LIMIT", -1.0, [], False, True),
    ]


def test_the_face_rule_decides_and_a_right_formula_ends_the_episode(tmp_path: Path) -> None:
    row = {"mode": "text", "cards": ["4", "3", "2", "K"], "target": 24, "verify_iterations": 1}
    # King 10: 12 + 2 + 10 = 24. King 13: 10 is not in the hand (-2 paper).
    assert verified("general_points", {**row, "face_rule": "ten", "outputs": [formula("4*3+2+10=24")]}, tmp_path, rewards="paper") == [
        ("CORRECT_SOLUTION", 5.0, [], True, False)
    ]
    (tmp_path / "out.jsonl").unlink()
    [(outcome, reward, *_)] = verified(
        "general_points", {**row, "face_rule": "rank", "outputs": [formula("4*3+2+10=24")]}, tmp_path, rewards="paper"
    )
    assert (outcome, reward) == ("INCORRECT_NUMBER", -2.0)


def test_cards_that_were_misread_cost_one_and_a_half_whatever_the_formula(tmp_path: Path) -> None:
    row = {"mode": "vision", "cards": ["3", "3", "8", "8"], "face_rule": "ten", "target": 24, "verify_iterations": 3}
    # 8 / (3 - 8/3) = 8 / (1/3) = 24, exactly; labels may come in any order.
    outputs = [formula("8/(3-8/3)=24", ["3", "3", "8", "9"]), formula("8/(3-8/3)=24", ["8", "3", "8", "3"])]
    assert verified("general_points", {**row, "outputs": outputs}, tmp_path, rewards="paper") == [
        ("INCORRECT_VISION", -1.5, ["INCORRECT_VISION"], False, False),
        ("CORRECT_SOLUTION", 5.0, [], True, False),
    ]


@pytest.mark.parametrize("rewards", ["paper", "repo"])
def test_a_rail_is_walked_point_by_point_with_attempts_refilled(tmp_path: Path, rewards: str) -> None:
    rail = [{"action": action} for action in ("turn_direction(north)", "forward()", "stop()")]
    replies = [json.dumps({"action": action}) for action in ("forward()", "turn_direction(north)", "stop()", "forward()", "stop()")]
    row = {"rail": rail, "action_space": "absolute", "verify_iterations": 2, "outputs": replies}
    assert verified("navigation", row, tmp_path, rewards=rewards) == [
        ("INCORRECT_ACTION", -1.0, ["INCORRECT_ACTION"], False, False),
        ("CORRECT_ACTION", 1.0, [], False, False),
        ("INCORRECT_ACTION", -1.0, ["INCORRECT_ACTION"], False, False),
        ("CORRECT_ACTION", 1.0, [], False, False),
        ("CORRECT_ACTION", 1.0, [], True, False),
    ]


@pytest.mark.parametrize(("rewards", "form"), [("paper", "<think>a</think><answer>{}</answer>"), ("repo", "<think>a</think>\\boxed{{{}}}")])
@pytest.mark.parametrize("task", ["image_jigsaw", "video_jigsaw", "depth_jigsaw", "jigsaw"])
def test_orders_are_replies_of_their_own_with_partial_credit(tmp_path: Path, task: str, rewards: str, form: str) -> None:
    right = "2,4,1,3,5,6,7,8,9"
    outputs = [form.format(right), form.format("4,2,1,3,5,6,7,8,9"), form.format("2,4,1"), right]
    row = {"k": 9, "ground_truth": [2, 4, 1, 3, 5, 6, 7, 8, 9], "outputs": outputs}
    found = verified(task, row, tmp_path, rewards=rewards)
    # Format 0.2 and: exact 1; seven of nine places 0.2 * 7/9; no permutation 0. Without the form nothing.
    assert [reward for _, reward, *_ in found] == pytest.approx([1.2, 0.2 + 0.2 * 7 / 9, 0.2, 0.0], abs=1e-9)
    assert [truncated for *_, truncated in found] == [False] * 4
    assert [terminated for *_, terminated, _ in found] == [True, False, False, False]
