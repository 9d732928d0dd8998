"""Depth jigsaw: drawn rooms are ordered by their pixels, and markers lie where the depth map says."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from PIL import Image

from vlmpost.errors import ConfigError, DataError
from vlmpost.records import Example, ImageRef
from vlmpost.tasks.jigsaw.depth import DepthJigsaw
from vlmpost.tasks.material import Item, Unsuitable
from vlmpost.tasks.scenes.room import Room, Solid, draw_room

Make = Callable[..., Example]
Arrays = Callable[[Example], list[numpy.ndarray]]


def points_in_label_order(example: Example) -> list[tuple[int, int]]:
    return [tuple(example.meta["points"][thing]) for thing in example.meta["shown"]]


def haze(picture: numpy.ndarray, point: tuple[int, int], scale: tuple[float, float]) -> float:
    """The blue of what is seen through a marker, its label left out: the more, the farther."""
    row, col = round(point[0] * scale[1]), round(point[1] * scale[0])
    part = picture[row - 9 : row + 10, col - 9 : col + 10]
    bare = part[part[..., 1] <= 140]  # a red veil of alpha 120 leaves at most 255 * 135 / 255 = 135 of green; the label is white
    return float(numpy.median(bare[:, 2]))


@pytest.mark.parametrize("options", [{}, {"resize": None}, {"shift": "visual", "resize": None}, {"shift": "rule"}])
def test_the_haze_orders_the_points_of_drawn_rooms(options: dict, make: Make, arrays: Arrays) -> None:
    for index in range(4):
        example = make("depth_jigsaw", index, **options)
        (picture,) = arrays(example)
        seen = [haze(picture, point, (picture.shape[1] / 640, picture.shape[0] / 480)) for point in points_in_label_order(example)]
        farther = -1 if (example.meta["direction"] == "far_to_near") != (example.meta["palette"] == "negative") else 1
        assert [label + 1 for label in sorted(range(6), key=lambda label: farther * seen[label])] == example.meta["order"], example.id


def plain_room(*solids: Solid, pitch: float = 0.0) -> Room:
    """200 x 100 pixels, so a focal length of 180; the camera is 1 m above the floor."""
    return Room(
        size=(200, 100),
        eye_metres=1.0,
        pitch=pitch,
        left=-2.0,
        right=2.0,
        back=6.0,
        height=3.0,
        floor_colour=(200, 100, 0),
        wall_colour=(200, 100, 0),
        solids=solids,
    )


@pytest.mark.parametrize(
    ("solids", "pixel", "depth"),
    [
        ((), (49.5, 99.5), 6.0),  # straight ahead: the back wall
        ((), (85.5, 99.5), 1.0 / (36 / 180)),  # 36 pixels below the middle: the floor, 1 m down, 5 m ahead
        ((), (49.5, 189.5), 2.0 / (90 / 180)),  # 90 pixels to the right: the wall, 2 m aside, 4 m ahead
        ((Solid("box", 0.0, 3.0, (0.4, 0.8, 0.5), (9, 9, 0)),), (49.5, 99.5), 2.5),  # its front
        ((Solid("ball", 0.0, 3.0, (0.99,) * 3, (9, 9, 0)),), (49.5, 99.5), 3.0 - math.sqrt(0.99**2 - 0.01**2)),  # 1 cm below the eye
        # The box's top is 0.2 m below the eye, from 2.5 m to 3.5 m: 12 pixels down the ray meets it at 0.2 / (12 / 180) = 3 m.
        ((Solid("box", 0.0, 3.0, (0.4, 0.4, 0.5), (9, 9, 0)),), (61.5, 99.5), 3.0),
        # 18 pixels down it would at 2 m, where there is no box yet: it meets the front.
        ((Solid("box", 0.0, 3.0, (0.4, 0.4, 0.5), (9, 9, 0)),), (67.5, 99.5), 2.5),
    ],
)
def test_depth_is_exact(solids: tuple, pixel: tuple, depth: float) -> None:
    rows, cols = numpy.array([pixel[0]]), numpy.array([pixel[1]])
    assert plain_room(*solids).depths(rows, cols)[0] == pytest.approx(depth, abs=1e-9)


def test_a_camera_that_looks_down_measures_along_its_axis() -> None:
    # The middle of the picture is the axis: 45 degrees down from 1 m the floor is sqrt(2) m away.
    depth = plain_room(pitch=math.pi / 4).depths(numpy.array([49.5]), numpy.array([99.5]))[0]
    assert depth == pytest.approx(math.sqrt(2), abs=1e-9)


def test_no_surface_is_blue_but_for_the_haze() -> None:
    # 255 * (1 - exp(-depth / 5)) of blue, whatever the surface: within rounding.
    for seed in range(3):
        room = draw_room(seed, (160, 120))
        cols, rows = numpy.meshgrid(numpy.arange(160), numpy.arange(120))
        blue = numpy.asarray(room.picture())[..., 2].astype(float)
        assert numpy.abs(blue - 255 * (1 - numpy.exp(-room.depths(rows, cols) / 5))).max() <= 0.5 + 1e-6


def test_points_are_where_the_room_s_depth_says_and_markers_where_the_points_are(make: Make, arrays: Arrays) -> None:
    for index in range(3):
        example = make("depth_jigsaw", index, resize=None)
        room = draw_room(example.meta["scene"]["seed"], (640, 480))
        points = example.meta["points"]
        depths = room.depths(numpy.array([row for row, _ in points]), numpy.array([col for _, col in points]))
        assert list(depths) == sorted(depths) and min(numpy.diff(depths)) > 0.2
        assert depths == pytest.approx(example.meta["depths_metres"], abs=1e-4)
        (picture,) = arrays(example)
        plain = numpy.asarray(room.picture()).astype(float)
        changed = {tuple(place) for place in numpy.argwhere((picture != plain).any(axis=-1))}
        inside = {(row + y, col + x) for row, col in points for y in range(-15, 16) for x in range(-15, 16)}
        assert changed <= inside
        for row, col in points:
            assert {tuple(picture[row + y, col + x]) for y, x in ((15, 0), (-15, 0), (0, 15), (0, -15))} == {(255.0, 0.0, 0.0)}


def test_the_marked_picture_is_resized_last(make: Make, arrays: Arrays) -> None:
    (picture,) = arrays(make("depth_jigsaw"))
    assert picture.shape == (476, 644, 3)  # 17 x 23 patches of 28 pixels


def test_a_rule_that_no_room_keeps_is_an_error_and_no_endless_search(make: Make) -> None:
    with pytest.raises(DataError, match="too few points far enough apart"):
        make("depth_jigsaw", width=160, height=120, min_pixels_apart=150)


@pytest.mark.parametrize("options", [{"min_metres": 5, "max_metres": 2}, {"resize": [0, 4]}, {"num_points": 1}])
def test_options_that_cannot_be_are_named(options: dict) -> None:
    with pytest.raises(ConfigError, match="depth_jigsaw"):
        DepthJigsaw().options_of(options)


# --- stored ---


def stored(tmp_path: Path, depth: numpy.ndarray, size: tuple[int, int] = (320, 240)) -> Item:
    encoded = io.BytesIO()
    Image.frombytes("RGB", size, random.Random(0).randbytes(3 * size[0] * size[1])).save(encoded, format="PNG")
    numpy.save(tmp_path / "depth.npy", depth)
    return Item("a", images=(ImageRef(data=encoded.getvalue()),), depth=str(tmp_path / "depth.npy"))


def posed(item: Item, **options: object) -> Example:
    task = DepthJigsaw()
    return task.make_on(item, digest="d" * 32, split="train", index=0, seed=0, options=task.options_of(options))


@pytest.mark.parametrize("factor", [1, 2])
def test_a_stored_depth_map_orders_the_points(tmp_path: Path, factor: int) -> None:
    # Millimetres that grow by 10 a column; the map may be smaller than the picture.
    depth = numpy.tile(numpy.arange(320 // factor, dtype=numpy.uint16) * 10 * factor + 500, (240 // factor, 1))
    example = posed(stored(tmp_path, depth), flat_pixels=0)
    cols = [col for _, col in example.meta["points"]]
    assert cols == sorted(cols)
    assert example.meta["depths_metres"] == pytest.approx([(col // factor * 10 * factor + 500) / 1000 for col in cols], abs=1e-4)
    shown = [cols[thing] for thing in example.meta["shown"]]
    assert [shown[label - 1] for label in example.meta["order"]] == cols
    backwards = posed(stored(tmp_path, depth), flat_pixels=0, direction="far_to_near")
    assert backwards.meta["order"] == example.meta["order"][::-1]


def test_points_that_a_row_brings_are_taken_as_they_are(tmp_path: Path, arrays: Arrays) -> None:
    points = ((20, 30), (100, 200), (50, 100))
    item = Item("a", images=stored(tmp_path, numpy.zeros((240, 320))).images, points=points)
    example = posed(item, resize=None)
    assert example.meta["points"] == [list(point) for point in points]
    assert example.meta["k"] == 3 and "depths_metres" not in example.meta
    (picture,) = arrays(example)
    assert all(tuple(picture[row + 15, col]) == (255.0, 0.0, 0.0) for row, col in points)
    assert "number 1 from the camera" in DepthJigsaw().solve(example, style="reasoned")


@pytest.mark.parametrize(("points", "said"), [(((240, 0), (0, 0)), "outside"), (((5, 5), (5, 5)), "not usable"), (((5, 5),), "not usable")])
def test_points_that_cannot_be_marked_are_refused(tmp_path: Path, points: tuple, said: str) -> None:
    with pytest.raises(Unsuitable, match=said):
        posed(Item("a", images=stored(tmp_path, numpy.zeros((240, 320))).images, points=points))


def test_a_map_of_another_shape_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not fit"):
        posed(stored(tmp_path, numpy.ones((100, 320))))
    with pytest.raises(Unsuitable, match="no depth map"):
        posed(Item("a", images=stored(tmp_path, numpy.ones((240, 320))).images))
