"""Words for headings, sides and turns, around north and at their limits."""

from __future__ import annotations

import pytest

from vlmpost.tasks.navigation.compass import compass_word, side_word, turn_word


@pytest.mark.parametrize(
    ("heading", "word"),
    [
        (0, "north"),
        (22, "north"),
        (23, "northeast"),
        (177, "south"),
        (270, "west"),
        (337, "northwest"),
        (338, "north"),
        (360, "north"),
        (-1, "north"),
    ],
)
def test_compass_word_is_the_nearest_of_eight(heading: int, word: str) -> None:
    assert compass_word(heading) == word


@pytest.mark.parametrize(("heading", "word"), [(22.5, "north"), (67.5, "northeast"), (337.5, "north")])
def test_half_way_goes_to_the_first_of_the_list(heading: float, word: str) -> None:
    assert compass_word(heading) == word


@pytest.mark.parametrize(
    ("old", "new", "wrapped", "official"),
    [
        # new - old, as it is and brought to (-180, 180]
        (0, 90, "right", "right"),  # 90
        (90, 0, "left", "left"),  # -90
        (90, 90, "slightly left", "slightly left"),  # 0: straight on
        (90, 135, "slightly right", "slightly right"),  # 45
        (90, 136, "right", "right"),  # 46
        (90, 45, "slightly left", "slightly left"),  # -45
        (90, 44, "left", "left"),  # -46
        (90, 91, "slightly right", "slightly right"),  # 1
        (350, 10, "slightly right", "left"),  # -340, 20
        (10, 350, "slightly left", "right"),  # 340, -20
        (350, 80, "right", "left"),  # -270, 90
        (10, 280, "left", "right"),  # 270, -90
        (315, 0, "slightly right", "left"),  # -315, 45
        (0, 315, "slightly left", "right"),  # 315, -45
        (0, 314, "left", "right"),  # 314, -46
        (0, 180, "right", "right"),  # 180
        (180, 0, "right", "left"),  # -180, 180: about turns go right
        (359, 0, "slightly right", "left"),  # -359, 1
        (0, 360, "slightly left", "right"),  # 360, 0
    ],
)
def test_turn_words(old: int, new: int, wrapped: str, official: str) -> None:
    assert turn_word(old, new, "wrapped") == wrapped
    assert turn_word(old, new, "official") == official


def test_side_is_told_from_the_walkers_heading() -> None:
    assert [side_word(90, bearing) for bearing in (90, 135, 180, 225, 270, 315, 0, 45)] == [
        "front", "right front", "right", "right behind", "behind", "left behind", "left", "left front"
    ]  # fmt: skip
    assert side_word(350, 10) == "front"
