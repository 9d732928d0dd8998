"""Marked points: far enough apart, and drawn where they are."""

from __future__ import annotations

import random
import time
from itertools import combinations

import numpy
import pytest
from PIL import Image

from vlmpost.tasks.jigsaw.markers import mark
from vlmpost.tasks.jigsaw.points import PointRule, sample_points
from vlmpost.tasks.material import Unsuitable

RULE = PointRule(num_points=6, min_metres=0.1, max_metres=10.0, min_pixels_apart=40, min_metres_apart=0.2, margin_pixels=15, flat_pixels=0)


def slope(rows: numpy.ndarray, cols: numpy.ndarray) -> numpy.ndarray:
    """Depth from 0.05 m at the left edge of 640 pixels to 12.8 m at the right; unknown in the upper half."""
    return numpy.where(rows < 240, 0.0, 0.05 + cols / 50)


def sampled(rule: PointRule = RULE, seed: int = 0, depths: object = slope) -> list:
    return sample_points(random.Random(seed), (640, 480), depths, rule)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_points_keep_the_published_rule(seed: int) -> None:
    found = sampled(seed=seed)
    assert len(found) == 6
    assert [depth for _, depth in found] == sorted(depth for _, depth in found)
    for (row, col), depth in found:
        assert 240 <= row < 480 - 15 and 15 <= col < 640 - 15
        assert depth == pytest.approx(0.05 + col / 50)
        assert 0.1 <= depth <= 10.0
    for (one, near), (other, far) in combinations(found, 2):
        assert (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 >= 40**2
        assert abs(near - far) > 0.2


def test_points_are_a_function_of_the_generator() -> None:
    assert sampled(seed=3) == sampled(seed=3)
    assert sampled(seed=3) != sampled(seed=4)


def test_points_off_edges_have_steady_depth_around_them() -> None:
    def steps(rows: numpy.ndarray, cols: numpy.ndarray) -> numpy.ndarray:
        return 1.0 + cols // 80

    rule = PointRule(
        num_points=6, min_metres=0.1, max_metres=10, min_pixels_apart=40, min_metres_apart=0.2, margin_pixels=15, flat_pixels=6
    )
    for seed in range(20):
        for (_, col), _depth in sampled(rule, seed, steps):
            assert (col - 6) // 80 == (col + 6) // 80


@pytest.mark.parametrize(
    ("depths", "said"),
    [
        (lambda rows, cols: numpy.full(rows.shape, 2.0), "1 of 6"),  # all at one depth
        (lambda rows, cols: numpy.zeros(rows.shape), "0 of 6"),  # nothing measured
        (lambda rows, cols: numpy.full(rows.shape, 11.0), "0 of 6"),
        (lambda rows, cols: 2.0 + 0.2 * (cols // 128), "of 6"),  # 5 depths, 0.2 m apart and not more
    ],
)
def test_a_scene_without_enough_points_is_refused_in_bounded_time(depths: object, said: str) -> None:
    start = time.perf_counter()
    with pytest.raises(Unsuitable, match=said):
        sampled(depths=depths)
    assert time.perf_counter() - start < 5


def test_a_picture_that_no_marker_fits_in_is_refused() -> None:
    with pytest.raises(Unsuitable, match="too small for its markers"):
        sample_points(random.Random(0), (30, 200), slope, RULE)


def test_a_marker_is_a_half_transparent_disc_with_a_white_label() -> None:
    marked = mark(Image.new("RGB", (200, 100), (0, 0, 250)), [(50, 60), (40, 150)], radius=15)
    # Alpha 120 of red on (0, 0, 250): 255 * 120 / 255 = 120 red, 250 * 135 / 255 = 132.4 blue left.
    red, green, blue = marked.getpixel((60 + 9, 50))
    assert abs(red - 120) <= 1 and green == 0 and abs(blue - 132) <= 1
    assert marked.getpixel((60 + 15, 50)) == (255, 0, 0)  # outline, opaque
    assert marked.getpixel((60 + 14, 50)) == (255, 0, 0)  # two pixels wide
    assert marked.getpixel((60 + 17, 50)) == (0, 0, 250)
    # The glyph of 1 is 5 x 7 dots of 2 pixels, centred: its stem is the third column, from 60 - 5 + 4 = 59.
    assert marked.getpixel((59, 50)) == marked.getpixel((60, 50)) == (255, 255, 255)
    white = [(x, y) for x in range(200) for y in range(100) if marked.getpixel((x, y)) == (255, 255, 255)]
    assert {x > 100 for x, _ in white} == {True, False}
    assert sum(x < 100 for x, _ in white) == 4 * 10  # the 1, from the top: 1 + 2 + 1 + 1 + 1 + 1 + 3 dots of 2 x 2
    assert sum(x > 100 for x, _ in white) == 4 * 15  # the 2, from the top: 3 + 2 + 1 + 2 + 1 + 1 + 5


def test_labels_of_two_digits_fit_their_marker() -> None:
    marked = mark(Image.new("RGB", (600, 60), "black"), [(30, 20 + 45 * place) for place in range(12)], radius=15)
    white = [x for x in range(600) for y in range(60) if marked.getpixel((x, y)) == (255, 255, 255)]
    assert max(white) < 20 + 45 * 11 + 15
    assert min(x for x in white if x > 20 + 45 * 8 + 22) > 20 + 45 * 9 - 15
