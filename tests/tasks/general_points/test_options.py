"""Options that cannot be dealt are refused before anything is dealt."""

from __future__ import annotations

import pytest

from vlmpost import tasks
from vlmpost.errors import ConfigError
from vlmpost.tasks.general_points.hands import RANK, VARIED

TASK = tasks.find("general_points")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "video"}, "mode"),
        ({"target": 0}, "target"),
        ({"num_cards": 1}, "num_cards"),
        ({"num_cards": 6}, "num_cards"),
        ({"ranks": []}, "ranks"),
        ({"ranks": [0, 3]}, "ranks must be different numbers of 1 to 13"),
        ({"ranks": [3, 3]}, "ranks must be different"),
        ({"ranks": [1, 2, 3, 4, 5, 6, 7, 8, 9], "forced_face": True}, "forced_face needs one of the ranks"),
        ({"background": "green"}, "background"),
        ({"resolution": 64}, "resolution"),
        ({"target": 10**9}, "target"),
        ({"target": 10**6}, "no hand of 4 cards"),
        ({"ranks": [1], "target": 24}, "no hand of 4 cards"),
        ({"ranks": [1, 2], "num_cards": 2, "target": 3}, "in split"),  # one key only: the other two splits have no hand
        ({"dealer": "deck", "colours": "red", "ranks": [1, 2, 12], "target": 4}, "no hand of 4 cards"),
        ({"face_rul": "ten"}, "did you mean face_rule"),
    ],
)
def test_what_cannot_be_dealt_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TASK.options_of(options)


@pytest.mark.parametrize(
    ("options", "shift", "suits"),
    [
        ({}, "none", "SC"),
        ({"mode": "text"}, "none", "HSDC"),
        ({"mode": "text", "colours": "black"}, "none", "SC"),
        ({}, "visual", "HD"),
        ({"colours": "mixed"}, "visual", "HSDC"),  # what is given stands above the shift
    ],
)
def test_suits_follow_mode_and_colours(options: dict[str, object], shift: str, suits: str) -> None:
    assert TASK.options_of(options, shift=shift).suits == suits


def test_varied_face_rules_leave_the_rule_shift_out() -> None:
    assert RANK not in VARIED
    found = {
        tuple(example.meta["face_values"])
        for example in tasks.stream("general_points", split="train", num_examples=80, options={"mode": "text", "face_rule": "varied"})
    }
    assert found == set(VARIED)


def test_miniatures_and_five_cards_can_be_dealt() -> None:
    small = {"mode": "text", "num_cards": 2, "ranks": list(range(1, 10)), "target": 6}
    for example in tasks.stream("general_points", split="train", num_examples=10, options=small):
        assert len(example.meta["cards"]) == 2 and max(example.meta["values"]) <= 9
    five = tasks.make("general_points", split="train", index=0, options={"mode": "text", "num_cards": 5})
    assert TASK.verify(five, TASK.solve(five)).correct
