"""Pictures: where the cards are, that they can be told apart, and their inks."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from vlmpost import tasks
from vlmpost.records import Example
from vlmpost.tasks.general_points.faces import face
from vlmpost.tasks.general_points.hands import LABELS, Card
from vlmpost.tasks.general_points.pictures import boxes, draw_square, draw_strip, strip_places

FELT = (53, 101, 77)


def picture(example: Example) -> np.ndarray:
    (image,) = example.images
    return np.asarray(Image.open(io.BytesIO(image.data or b"")))


def test_cards_are_where_the_study_has_them() -> None:
    assert boxes(num_cards=4, resolution=1200) == [(left, 411, 270, 378) for left in (5, 302, 599, 896)]


def test_table_and_cards_fill_their_places() -> None:
    image = np.asarray(draw_square([Card(rank, "S") for rank in (1, 7, 10, 13)], resolution=1200, background="#35654d", style="classic"))
    assert image.shape == (1200, 1200, 3)
    felt = (image == FELT).all(axis=2)
    covered = np.zeros((1200, 1200), dtype=bool)
    for left in (5, 302, 599, 896):
        covered[411 : 411 + 378, left : left + 270] = True
    assert (felt == ~covered).all()


@pytest.mark.parametrize("resolution", [112, 224, 448, 1200])
def test_geometry_scales_by_the_rule(resolution: int) -> None:
    width = int(resolution / 4 * 0.9)
    height = int(width * 7 / 5)
    for place, box in enumerate(boxes(num_cards=4, resolution=resolution)):
        assert box == (5 + int(place * width * 1.1), int((resolution - height) / 2), width, height)


@pytest.mark.parametrize("num_cards", [2, 3, 4, 5])
def test_cards_lie_side_by_side_on_the_table(num_cards: int) -> None:
    for resolution in (144, 336, 1200):
        found = boxes(num_cards=num_cards, resolution=resolution)
        assert all(one[0] + one[2] < other[0] for one, other in itertools.pairwise(found))
        assert found[-1][0] + found[-1][2] <= resolution


@pytest.mark.parametrize(("resolution", "style"), [(112, "classic"), (448, "classic"), (448, "jumbo"), (448, "night")])
def test_the_cards_can_be_decoded_from_the_pixels(resolution: int, style: str) -> None:
    options = {"resolution": resolution, "deck_style": style, "colours": "mixed"}
    for example in tasks.stream("general_points", split="test", num_examples=4, options=options):
        image = picture(example)
        for place, (left, top, width, height) in enumerate(boxes(num_cards=4, resolution=resolution)):
            shown = image[top : top + height, left : left + width].astype(int)
            distance = {
                (label, suit): np.abs(shown - np.asarray(face(label, suit, width=width, height=height, style=style))).sum()
                for label in LABELS
                for suit in "SCHD"
            }
            nearest, second = sorted(distance, key=distance.__getitem__)[:2]
            assert nearest == (example.meta["cards"][place], example.meta["suits"][place])
            assert distance[nearest] == 0 < distance[second]


def test_all_52_faces_differ_by_more_than_a_few_pixels() -> None:
    shown = [np.asarray(face(label, suit, width=100, height=140, style="classic")).astype(int) for label in LABELS for suit in "SCHD"]
    for one, other in itertools.combinations(shown, 2):
        assert (np.abs(one - other).max(axis=2) > 100).sum() > 40


def is_red(image: np.ndarray) -> np.ndarray:
    red, green, blue = (image[..., channel].astype(int) for channel in range(3))
    return (red > 150) & (green < 90) & (blue < 90)


def is_black(image: np.ndarray) -> np.ndarray:
    return (image < 40).all(axis=2)


@pytest.mark.parametrize(("colours", "inked", "other"), [("black", is_black, is_red), ("red", is_red, is_black)])
def test_ink_follows_the_colour(colours: str, inked, other) -> None:  # type: ignore[no-untyped-def]
    for example in tasks.stream("general_points", split="train", num_examples=6, options={"resolution": 448, "colours": colours}):
        image = picture(example)
        assert inked(image).sum() > 500
        assert other(image).sum() == 0


@pytest.mark.parametrize("label", ["2", "4", "10"])
def test_a_face_of_an_even_number_reads_the_same_upside_down(label: str) -> None:
    image = np.asarray(face(label, "S", width=100, height=140, style="classic")).astype(int)
    assert (np.abs(image - image[::-1, ::-1]).max(axis=2) > 120).mean() < 0.01  # edges may differ by a pixel


def test_strips_look_like_the_cards_the_nano_vlm_knows() -> None:
    places = strip_places([(0, 0), (1, -6), (0, 6), (1, 3)])
    assert places == [(1, 24), (30, 18), (57, 30), (86, 27)]  # cells of 28, the middle at (84 - 36) / 2
    image = draw_strip([Card(10, "S"), Card(11, "H"), Card(3, "D"), Card(13, "C")], places)
    assert image.size == (140, 84)
    known = tasks.make("card_sums", split="train", index=0, difficulty=3)
    card = known.meta["cards"][0]
    suit = "H" if card["ink"] == "red" else "S"
    ours = np.asarray(draw_strip([Card(card["value"], suit)], [(card["x"], card["y"])]))
    window = np.s_[card["y"] : card["y"] + 36, card["x"] : card["x"] + 25]
    assert (ours[window] == picture(known)[window]).all()


def test_strip_labels_differ() -> None:
    shown = {draw_strip([Card(rank, suit)], [(1, 24)]).tobytes() for rank in range(1, 14) for suit in "SH"}
    assert len(shown) == 26
