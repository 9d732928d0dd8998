"""Drawn street views: size, order, what is legible where, and that nothing is left to chance."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vlmpost.tasks.navigation.city import landmark_of, place_of
from vlmpost.tasks.navigation.lettering import lines_of, size_dots
from vlmpost.tasks.navigation.route import Place
from vlmpost.tasks.navigation.scene import Scene, Sign, city_scene
from vlmpost.tasks.navigation.styles import STYLES
from vlmpost.tasks.navigation.views import _board, draw_views

HERE: Place = (0.0, 0.0)
TILE = 64
STYLE = STYLES["ashford"]
BOARD = STYLE.signs[0][0]
# Nine metres away at the eight bearings, and which tile (front, right / back, left) and half of it shows the sign.
DIAGONAL = 9 * 0.70710678
AROUND = {
    0: (0.0, 9.0), 45: (DIAGONAL, DIAGONAL), 90: (9.0, 0.0), 135: (DIAGONAL, -DIAGONAL),
    180: (0.0, -9.0), 225: (-DIAGONAL, -DIAGONAL), 270: (-9.0, 0.0), 315: (-DIAGONAL, DIAGONAL),
}  # fmt: skip


def tiles(picture: Image.Image) -> list[np.ndarray]:
    size = (picture.width - 5) // 2
    corners = [(0, 0), (size + 5, 0), (0, size + 5), (size + 5, size + 5)]
    return [np.asarray(picture.crop((x, y, x + size, y + size))).astype(int) for x, y in corners]


def drawn(*signs: Sign, heading: float = 0.0, grid: str = "labelled") -> Image.Image:
    return draw_views(Scene((), (), signs), HERE, heading, STYLE, tile_pixels=TILE, grid=grid)


def board_columns(tile: np.ndarray) -> np.ndarray:
    """Columns in which the colour of a board, hardly faded at 9 m, is found."""
    return np.flatnonzero((np.abs(tile - np.asarray(BOARD)).max(axis=2) < 30).any(axis=0))


@pytest.mark.parametrize("tile_pixels", [28, 64, 97])
def test_size_and_separator(tile_pixels: int) -> None:
    picture = draw_views(city_scene("ashford", HERE), HERE, 30, STYLE, tile_pixels=tile_pixels)
    side = 2 * tile_pixels + 5
    assert picture.size == (side, side) and picture.mode == "RGB"
    pixels = np.asarray(picture)
    assert not pixels[tile_pixels : tile_pixels + 5].any() and not pixels[:, tile_pixels : tile_pixels + 5].any()


@pytest.mark.parametrize(
    ("bearing", "tile", "side"),
    # A sign half way between two views stands at the right edge of the one on its left.
    [(90 * tile, tile, "middle") for tile in range(4)] + [(90 * tile + 45, tile, "right") for tile in range(4)],
)
@pytest.mark.parametrize("heading", [0, 90, 217])
def test_sign_stands_in_the_view_and_column_of_its_bearing(bearing: int, tile: int, side: str, heading: int) -> None:
    turned = np.radians(heading)
    east, north = AROUND[bearing]
    place = (east * np.cos(turned) + north * np.sin(turned), north * np.cos(turned) - east * np.sin(turned))
    found = [board_columns(view) for view in tiles(drawn(Sign(place, "CAFE", 0, legible=False), heading=heading))]
    assert [number for number in range(4) if found[number].size] == [tile]
    middle = found[tile].mean()
    assert abs(middle - TILE / 2) < 3 if side == "middle" else found[tile].max() >= TILE - 2


def test_official_grid_looks_45_degrees_to_the_left() -> None:
    # The sign ahead is between the views of -45 and +45 degrees, which are the second and third tile.
    found = [board_columns(view).size > 0 for view in tiles(drawn(Sign((0.0, 9.0), "CAFE", 0, legible=False), grid="official"))]
    assert found == [False, True, False, False]


def test_sign_is_larger_when_nearer() -> None:
    widths = [board_columns(tiles(drawn(Sign((0.0, metres), "CAFE", 0, legible=False)))[0]).size for metres in (9.0, 18.0, 27.0)]
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2] * 0.75 > 0


def test_names_differ_only_where_they_are_legible() -> None:
    near = [drawn(Sign((0.0, 9.0), name, 0, legible=True)) for name in ("HERON CAFE", "RAVEN CAFE")]
    far = [drawn(Sign((0.0, 9.0), name, 0, legible=False)) for name in ("HERON CAFE", "RAVEN CAFE")]
    assert near[0].tobytes() != near[1].tobytes()
    assert far[0].tobytes() == far[1].tobytes()


def test_sign_is_legible_from_its_crossing_alone() -> None:
    crossings = [(column, 10) for column in range(20)]
    for crossing in crossings:
        landmark, middle = landmark_of("ashford", crossing), place_of("ashford", crossing)
        here, beside = (city_scene("ashford", (middle[0], middle[1] + offset)) for offset in (0.0, 8.5))
        assert [sign.name for sign in here.signs if sign.legible] == ([landmark.name] if landmark else [])
        assert len(beside.signs) > 5 and not any(sign.legible for sign in beside.signs)
    assert 5 < sum(landmark_of("ashford", crossing) is not None for crossing in crossings) < 19


def test_pictures_are_the_same_whenever_drawn() -> None:
    for style in STYLES.values():
        first, second = (draw_views(city_scene("ashford", HERE), HERE, 77, style, tile_pixels=48).tobytes() for _ in range(2))
        assert first == second


def test_styles_and_headings_look_different() -> None:
    scene = city_scene("ashford", HERE)
    assert len({draw_views(scene, HERE, 0, style, tile_pixels=48).tobytes() for style in STYLES.values()}) == len(STYLES)
    assert len({draw_views(scene, HERE, heading, STYLE, tile_pixels=48).tobytes() for heading in range(0, 360, 30)}) == 12


def test_no_front_stands_on_a_road() -> None:
    for column in range(4):
        scene = city_scene("duskhaven", place_of("duskhaven", (column * 7, column)))
        corners = np.asarray([corner for front in scene.fronts for corner in (front.left, front.right)])
        nearest = min(distances(corners, street).min() for street in scene.streets)
        assert len(corners) > 500 and nearest > 7.0


def distances(places: np.ndarray, street: tuple[Place, Place]) -> np.ndarray:
    """Metres from each of the (N, 2) places to the middle line of a street."""
    start, end = np.asarray(street)
    along = end - start
    shares = ((places - start) @ along / (along @ along)).clip(0, 1)
    return np.linalg.norm(places - start - shares[:, None] * along, axis=1)


def test_letters_are_all_different_and_accents_are_dropped() -> None:
    from vlmpost.tasks.navigation.lettering import _GLYPHS

    assert len(set(_GLYPHS.values())) == len(_GLYPHS) >= 36
    assert all([len(row) for row in glyph.split()] == [5] * 7 for glyph in _GLYPHS.values())
    assert lines_of("Caf\u00e9 Z\u00fcrich") == ["CAFE", "ZURICH"]
    # 6 letters of 6 dots without the last gap; two lines of 9 without the last gap of 2.
    assert size_dots(["CAFE", "ZURICH"]) == (35, 16)


@pytest.mark.parametrize("height", [0.5, 2.0, 2.6, 2.9, 3.0, 3.4, 8.0])
def test_a_far_sign_however_low_is_drawn(height: float) -> None:
    picture = Image.new("RGB", (40, 20))
    _board(ImageDraw.Draw(picture), (10.0, 5.0, 30.0, 5.0 + height), "rounded", (200, 0, 0), (255, 255, 255), border=1)
    assert picture.getbbox() is not None
