"""Hands that are given explicitly."""

from __future__ import annotations

import pytest

from vlmpost import tasks
from vlmpost.errors import DataError

TASK = tasks.find("general_points")


@pytest.mark.parametrize(
    ("row", "labels", "values"),
    [
        ({"cards": ["A", "10", "J", "K"]}, ["A", "10", "J", "K"], [1, 10, 10, 10]),
        ({"cards": ["A", "10", "J", "K"], "face_rule": "rank"}, ["A", "10", "J", "K"], [1, 10, 11, 13]),
        ({"cards": [1, 10, 11, 13], "face_rule": "rank"}, ["A", "10", "J", "K"], [1, 10, 11, 13]),
        ({"cards": ["a", "T", "q", "2"], "face_rule": "rank"}, ["A", "10", "Q", "2"], [1, 10, 12, 2]),
        ({"cards": ["Q", "2", "3", "4"], "treat_face_cards_as_10": False}, ["Q", "2", "3", "4"], [12, 2, 3, 4]),
        ({"cards": ["Q", "2", "3", "4"], "treat_face_cards_as_10": True}, ["Q", "2", "3", "4"], [10, 2, 3, 4]),
        ({"cards": ["J", "Q", "K"], "face_values": [5, 6, 7]}, ["J", "Q", "K"], [5, 6, 7]),
        ({"cards": ["A", "A", "A", "A"]}, ["A", "A", "A", "A"], [1, 1, 1, 1]),  # it need not be solvable
    ],
)
def test_hands_are_read(row: dict[str, object], labels: list[str], values: list[int]) -> None:
    example = TASK.from_row(row)
    assert (example.meta["cards"], example.meta["values"]) == (labels, values)
    assert (example.meta["mode"], example.meta["target"], example.images) == ("text", 24, ())


def test_vision_hands_are_drawn_in_black_or_as_given() -> None:
    plain = TASK.from_row({"mode": "vision", "cards": ["A", "2", "3", "4"], "resolution": 112})
    assert plain.meta["suits"] == ["S", "C", "S", "C"] and len(plain.images) == 1
    red = TASK.from_row({"mode": "vision", "cards": ["A", "2", "3", "4"], "suits": ["H", "D", "H", "D"], "resolution": 112})
    assert red.meta["suits"] == ["H", "D", "H", "D"] and red.images != plain.images


def test_keys_of_others_are_left_alone_and_an_odd_target_is_taken() -> None:
    example = TASK.from_row(
        {"id": 7, "cards": ["A", "2", "3", "4"], "target": 1000, "outputs": ["x"], "verify_iterations": 3, "rewards": "repo"}
    )
    assert example.meta["target"] == 1000
    assert TASK.verify(example, '{"formula": "1+2+3+4"}').outcome == "NO_SOLUTION"


def test_a_stored_example_is_a_row() -> None:
    example = tasks.make("general_points", split="train", index=3, options={"resolution": 112, "face_rule": "varied"})
    again = TASK.from_row(example.meta)
    assert again.images == example.images and again.prompt == example.prompt
    assert {key: again.meta[key] for key in ("cards", "values", "suits")} == {
        key: example.meta[key] for key in ("cards", "values", "suits")
    }


def test_same_row_same_id() -> None:
    assert TASK.from_row({"cards": ["A", "2", "3", "4"]}) == TASK.from_row({"cards": [1, 2, 3, 4]})
    assert TASK.from_row({"cards": ["A", "2", "3", "4"]}).id != TASK.from_row({"cards": ["A", "2", "3", "5"]}).id


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "cards must be a list of 2 to 5 labels"),
        ({"cards": "A234"}, "cards must be a list"),
        ({"cards": ["A"]}, "cards must be a list"),
        ({"cards": ["A"] * 6}, "cards must be a list"),
        ({"cards": ["A", "2", "3", "X"]}, r"cards holds \['X'\]"),
        ({"cards": ["A", "2", 0, 14]}, r"cards holds \[0, 14\]"),
        ({"cards": ["A", "2", True, None]}, "cards holds"),
        ({"cards": ["A", "2"], "face_rule": "eleven"}, "face_rule must be ten or rank"),
        ({"cards": ["A", "2"], "treat_face_cards_as_10": "yes"}, "treat_face_cards_as_10 must be true or false"),
        ({"cards": ["A", "2"], "face_values": [1, 2]}, "face_values must be three"),
        ({"cards": ["A", "2"], "suits": ["S"]}, "suits must be one of"),
        ({"cards": ["A", "2"], "suits": ["S", "X"]}, "suits must be one of"),
        ({"cards": ["A", "2"], "mode": "video"}, "mode"),
        ({"cards": ["A", "2"], "target": "many"}, "target"),
        ({"cards": ["A", "2"], "target": 10**400}, "target"),
        ({"cards": ["A", "2"], "face_values": [1, 2, 10**9]}, "face_values must be three"),
        ({"cards": ["A", "2"], "face_rul": "rank"}, "did you mean 'face_rule'"),
    ],
)
def test_rows_that_cannot_be_are_refused(row: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TASK.from_row(row)
