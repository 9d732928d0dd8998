"""Cutting pictures: the sizes of tiles that do not divide, and pictures put together again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vlmpost.tasks.jigsaw.shuffling import shown_order, shuffle, true_labels, unshuffle
from vlmpost.tasks.jigsaw.tiles import (
    GAP_COLOUR,
    centre_crop,
    cut,
    framed,
    has_equal_tiles,
    joined,
    sheet_boxes,
    tile_boxes,
    whole_tiles,
)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height))


@pytest.mark.parametrize(
    ("size", "grid", "rows_of_sizes"),
    [
        ((640, 480), (3, 3), [[(214, 160), (213, 160), (213, 160)]] * 3),
        ((641, 482), (3, 3), [[(214, 161), (214, 161), (213, 161)]] * 2 + [[(214, 160), (214, 160), (213, 160)]]),
        ((85, 84), (3, 3), [[(29, 28), (28, 28), (28, 28)]] * 3),
        ((640, 427), (3, 3), [[(214, 143), (213, 143), (213, 143)]] + [[(214, 142), (213, 142), (213, 142)]] * 2),
        ((7, 5), (2, 3), [[(3, 3), (2, 3), (2, 3)], [(3, 2), (2, 2), (2, 2)]]),
    ],
)
def test_tile_sizes_are_those_of_the_released_code(size: tuple, grid: tuple, rows_of_sizes: list) -> None:
    tiles = cut(noise(*size), tile_boxes(size, rows=grid[0], cols=grid[1]))
    assert [tile.size for tile in tiles] == [tile for row in rows_of_sizes for tile in row]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(6, 60), st.integers(6, 60), st.integers(0, 9999))
def test_a_shuffled_picture_is_restored_to_the_pixel(rows: int, cols: int, width: int, height: int, seed: int) -> None:
    if rows * cols < 2:
        return
    picture, boxes = noise(width, height, seed), tile_boxes((width, height), rows=rows, cols=cols)
    asked = list(range(rows * cols))
    shown = shown_order(random.Random(seed), asked)
    tiles = shuffle(cut(picture, boxes), shown)
    assert joined(unshuffle(tiles, true_labels(shown, asked)), boxes).tobytes() == picture.tobytes()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(8, 40), st.integers(8, 40), st.integers(0, 7))
def test_a_sheet_gives_its_tiles_back(rows: int, cols: int, width: int, height: int, gap: int) -> None:
    picture = whole_tiles(noise(width, height), rows=rows, cols=cols)
    assert (picture.width, picture.height) == (width - width % cols, height - height % rows)
    tiles = cut(picture, tile_boxes(picture.size, rows=rows, cols=cols))
    assert len({tile.size for tile in tiles}) == 1
    boxes = sheet_boxes(tiles[0].size, rows=rows, cols=cols, gap_pixels=gap)
    sheet = joined(tiles, boxes)
    assert sheet.size == (picture.width + (cols - 1) * gap, picture.height + (rows - 1) * gap)
    assert [tile.tobytes() for tile in cut(sheet, boxes)] == [tile.tobytes() for tile in tiles]
    if gap and cols > 1:
        assert sheet.getpixel((tiles[0].width, 0)) == GAP_COLOUR


def test_the_middle_is_cropped_with_the_smaller_half_left_and_top() -> None:
    picture = noise(10, 7)
    cropped = centre_crop(picture, (5, 4))  # (10 - 5) // 2 = 2, (7 - 4) // 2 = 1
    assert cropped.size == (5, 4)
    assert cropped.getpixel((0, 0)) == picture.getpixel((2, 1))


def test_a_border_covers_the_edges_and_nothing_else() -> None:
    tile = Image.new("RGB", (8, 6), "white")
    covered = framed(tile, border_pixels=2)
    assert covered.tobytes().count(b"\x00\x00\x00") == 8 * 6 - 4 * 2
    assert framed(tile, border_pixels=0) is tile
    assert tile.getpixel((0, 0)) == (255, 255, 255)


def test_equal_tiles_are_seen() -> None:
    white, other = Image.new("RGB", (4, 4), "white"), noise(4, 4)
    assert has_equal_tiles([white, other, white.copy()])
    assert not has_equal_tiles([white, other, Image.new("RGB", (2, 8), "white")])  # the same bytes in another shape
