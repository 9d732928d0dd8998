"""Geometry: answers worked out again from the numbers, and figures drawn to scale with labels that can be read."""

from __future__ import annotations

import io
import math
import random
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from vlmpost import tasks
from vlmpost.records import Example
from vlmpost.tasks.geometry import grids, shapes
from vlmpost.tasks.geometry.figure import Figure, Grid, beside, triangle_of
from vlmpost.tasks.geometry.marks import LOOKS, Label, Line, draw_marks

KINDS = (
    ("sides", "point"),
    ("rectangle", "triangle_angle"),
    ("right_triangle", "isosceles"),
    ("l_shape", "grid_distance"),
    ("stairs", "grid_triangle"),
)
LABEL_DOTS = 7


def examples(shift: str, number: int = 120) -> list[Example]:
    return list(tasks.stream("geometry", split="test", seed=2, num_examples=number, shift=shift))


def picture(example: Example) -> Image.Image:
    return Image.open(io.BytesIO(example.images[0].data or b""))


def outline(treads: list[int], rises: list[int]) -> list[tuple[int, int]]:
    """The corners of stairs, walked from the bottom left."""
    corners = [(0, 0), (sum(treads), 0)]
    x, y = corners[-1]
    for tread, rise in zip(reversed(treads), reversed(rises), strict=True):
        corners += [(x, y + rise), (x - tread, y + rise)]
        x, y = corners[-1]
    return corners


def shoelace(corners: list[tuple[float, float]]) -> float:
    around = zip(corners, [*corners[1:], corners[0]], strict=True)
    return abs(sum(a * d - b * c for (a, b), (c, d) in around)) / 2


def perimeter(corners: list[tuple[float, float]]) -> float:
    return sum(math.dist(one, other) for one, other in zip(corners, [*corners[1:], corners[0]], strict=True))


def worked_out(meta: dict, changed: bool) -> float | tuple[int, int]:
    """The answer by other means than the task's own."""
    kind = meta["kind"]
    if kind == "sides":
        corners = len(meta["corners"])
        diagonals = sum(1 for one in range(corners) for other in range(one) if (one - other) % corners not in (1, corners - 1))
        return diagonals if changed else corners
    if kind == "point":
        x, y = meta["point"]
        return (-x, y) if changed else (x, y)
    if kind == "rectangle":
        wide, high = meta["sides"]
        corners = [(0, 0), (wide, 0), (wide, high), (0, high)]
        return perimeter(corners) if changed else shoelace(corners)
    if kind in ("l_shape", "stairs"):
        corners = outline(meta["treads"], meta["rises"])
        return perimeter(corners) if changed else shoelace(corners)
    if kind == "triangle_angle":
        assert sum(meta["angles"]) == 180
        return 180 - meta["angles"][2] if changed else meta["angles"][2]
    if kind == "isosceles":
        assert sum(meta["angles"]) == 180 and meta["angles"][0] == meta["angles"][1]
        return 180 - meta["angles"][0] if changed else meta["angles"][0]
    if kind == "right_triangle":
        one, other = meta["legs"]
        lengths = [one, math.hypot(one, other), other]
        return sum(lengths) if changed else lengths[meta["unknown"]]
    points = [tuple(point) for point in meta["points"]]
    if kind == "grid_distance":
        (a, b), (c, d) = points
        return abs(a - c) + abs(b - d) if changed else math.dist(*points)
    assert kind == "grid_triangle"
    box = math.prod(max(values) - min(values) for values in zip(*points, strict=True))
    return box if changed else shoelace(points)


@pytest.mark.parametrize("shift", tasks.SHIFTS)
def test_answers_are_exact(shift: str) -> None:
    seen = Counter()
    for example in examples(shift):
        expected = worked_out(example.meta, changed=shift == "rule")
        seen[example.meta["kind"]] += 1
        assert example.meta["kind"] in KINDS[example.meta["difficulty"] - 1]
        if isinstance(expected, tuple):
            assert example.answer == f"({expected[0]}, {expected[1]})"
        else:
            assert re.fullmatch(r"\d+", example.answer) and int(example.answer) == pytest.approx(expected, abs=1e-9), example.id
    assert len(seen) == 10 and min(seen.values()) >= 5


@pytest.mark.parametrize("shift", tasks.SHIFTS)
def test_solutions_are_right_and_wrong_replies_wrong(shift: str) -> None:
    found = tasks.find("geometry")
    for example in examples(shift, 50):
        assert found.verify(example, found.solve(example)).correct
        assert found.verify(example, found.solve(example, style="reasoned")).correct
        assert found.verify(example, found.wrong_reply(example, random.Random(example.id))).outcome == "WRONG"


def test_coordinates_are_judged_as_a_pair() -> None:
    found = tasks.find("geometry")
    example = next(example for example in examples("none") if example.meta["kind"] == "point")
    x, y = example.meta["point"]
    assert found.verify(example, f"\\boxed{{({x},{y})}}").correct
    assert not found.verify(example, f"\\boxed{{({x},{y + 1})}}").correct
    assert not found.verify(example, f"\\boxed{{({-x}, {y})}}").correct


def test_a_point_is_where_its_coordinates_say() -> None:
    """The middle of the dot's pixels, counted in squares from the crossing of the axes: 0.88 of 280 pixels for ten squares."""
    square = 0.88 * 280 / 10
    checked = 0
    for example in examples("none"):
        if example.meta["kind"] == "point":
            fill = np.array(LOOKS["paper"].fills[example.meta["fill"]])
            rows, columns = np.nonzero((np.asarray(picture(example)) == fill).all(axis=2))
            x, y = (columns.mean() + 0.5 - 140) / square, (140 - rows.mean() - 0.5) / square
            assert (x, y) == pytest.approx(example.meta["point"], abs=0.15), example.id
            checked += 1
    assert checked > 5


def test_filled_areas_are_to_scale() -> None:
    """Pixels of a rectangle's and of stairs' filling, and the labelled lengths: the area is that share of its frame."""
    checked = 0
    for example in examples("none", 60):
        if example.meta["kind"] in ("rectangle", "l_shape", "stairs"):
            painted = (np.asarray(picture(example)) != 255).any(axis=2)
            fill = np.array(LOOKS["paper"].fills[example.meta["fill"]])
            filled = (np.asarray(picture(example)) == fill).all(axis=2)
            rows, columns = np.nonzero(filled)
            wide, high = np.ptp(columns) + 1, np.ptp(rows) + 1
            treads, rises = example.meta.get("treads"), example.meta.get("rises")
            across, up = (sum(treads), sum(rises)) if treads else example.meta["sides"]
            assert wide / high == pytest.approx(across / up, rel=0.06), example.id
            assert painted.sum() > filled.sum() > 0
            checked += 1
    assert checked > 10


def test_a_polygon_has_as_many_corners_in_its_outline_as_are_asked_for() -> None:
    """Every corner turns by 15 degrees at least, so that it can be seen."""
    for seed in range(200):
        corners = shapes.sides(random.Random(seed), changed=False).content["corners"]
        number = len(corners)
        for place in range(number):
            before, here, after = corners[place - 1], corners[place], corners[(place + 1) % number]
            first = math.atan2(here[1] - before[1], here[0] - before[0])
            second = math.atan2(after[1] - here[1], after[0] - here[0])
            turn = abs((math.degrees(second - first) + 180) % 360 - 180)
            assert turn > 15, (seed, place)


def test_triangles_have_their_angles() -> None:
    a, b, c = triangle_of(50, 60)
    for corner, one, other, angle in ((a, b, c, 50), (b, a, c, 60), (c, a, b, 70)):
        first = math.atan2(one[1] - corner[1], one[0] - corner[0])
        second = math.atan2(other[1] - corner[1], other[0] - corner[0])
        assert abs((math.degrees(first - second) + 180) % 360 - 180) == pytest.approx(angle)


def boxes_of(figure: Figure) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of each label in dots, of which the picture has 140."""
    found = []
    for mark in figure.marks:
        if isinstance(mark, Label):
            half = (6 * len(mark.text) - 1) / 2
            x, y = mark.place[0] * 140, mark.place[1] * 140
            found.append((x - half, y - LABEL_DOTS / 2, x + half, y + LABEL_DOTS / 2))
    return found


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize(
    "pose", [shapes.rectangle, shapes.triangle_angle, shapes.isosceles, shapes.right_triangle, grids.point, grids.distance]
)
def test_labels_stand_in_the_picture_and_apart(pose, changed: bool) -> None:
    for seed in range(150):
        labels = boxes_of(pose(random.Random(seed), changed=changed))
        check_apart(labels, seed)


@pytest.mark.parametrize("num_steps", [2, 3])
def test_labels_of_steps_stand_in_the_picture_and_apart(num_steps: int) -> None:
    for seed in range(150):
        check_apart(boxes_of(shapes.steps(random.Random(seed), changed=False, num_steps=num_steps)), seed)


def check_apart(labels: list[tuple[float, float, float, float]], seed: int) -> None:
    assert labels
    for place, (left, top, right, bottom) in enumerate(labels):
        assert min(left, top) >= 0 and max(right, bottom) <= 140, seed
        for other in labels[:place]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top, (seed, labels)


def test_every_length_that_is_needed_is_labelled() -> None:
    figure = shapes.steps(random.Random(1), changed=False, num_steps=3)
    texts = Counter(mark.text for mark in figure.marks if isinstance(mark, Label))
    treads, rises = figure.content["treads"], figure.content["rises"]
    assert texts == Counter(str(length) for length in [*treads, *rises, sum(treads), sum(rises)])


def test_a_blueprint_is_another_picture_of_the_same_question() -> None:
    for plain, other in zip(examples("none", 20), examples("visual", 20), strict=True):
        assert (plain.prompt, plain.answer, plain.solution) == (other.prompt, other.answer, other.solution)
        assert picture(plain).getpixel((0, 0)) == (255, 255, 255)
        assert picture(other).getpixel((0, 0)) == LOOKS["blueprint"].paper


def test_pictures_are_as_large_as_asked() -> None:
    example = tasks.make("geometry", split="train", index=0, difficulty=5, options={"size_pixels": 448})
    assert picture(example).size == (448, 448)


def test_degree_and_minus_signs_are_drawn() -> None:
    look = LOOKS["paper"]
    for text in ("-4", "40'", "?", "P", "Q", "x", "y"):
        bare = draw_marks([Label(text[:-1], (0.5, 0.5))], size_pixels=140, look=look, fill="red")
        whole = draw_marks([Label(text, (0.5, 0.5))], size_pixels=140, look=look, fill="red")
        assert bare.tobytes() != whole.tobytes()


def test_places_beside_and_on_a_grid() -> None:
    # From (0, 0) to (2, 0) with the inside below (y grows downwards): 0.5 above the middle is (1, -0.5).
    assert beside((0, 0), (2, 0), away_from=(1, 1), distance=0.5) == pytest.approx((1, -0.5))
    # Ten squares in 0.88: the origin in the middle, (5, 5) at the upper right margin.
    assert Grid(-5, 5).place(0, 0) == pytest.approx((0.5, 0.5))
    assert Grid(-5, 5).place(5, 5) == pytest.approx((0.94, 0.06))
    assert sum(isinstance(mark, Line) for mark in Grid(-5, 5).marks()) == 24  # 11 lines each way and the axes
