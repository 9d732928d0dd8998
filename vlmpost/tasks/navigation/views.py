"""Draws what is seen from a place: four views of 90 degrees, flat-shaded, in a grid of two by two.

The grid has the order top left, top right, bottom left, bottom right: front, right, back, left of the walker. With grid `official` the
four views look 45 degrees to the left of that, as LeslieTrue/SFTvsRL at 5a6ea55 does under the same labels: back left, front left,
front right, back right (virl/utils/geocode_utils.py: get_heading_list_by_range_and_fov).

Distant things are drawn first. What the eye meets is projected with the eye at 1.6 m; everything faces the horizon in the middle. A
sign is drawn whole in the view in which its middle is.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Sequence
from typing import Final, Literal

from PIL import Image, ImageDraw

from vlmpost.tasks.navigation.compass import wrapped
from vlmpost.tasks.navigation.lettering import Colour, lines_of, size_dots, write
from vlmpost.tasks.navigation.route import Place, between
from vlmpost.tasks.navigation.scene import Front, Scene, Sign
from vlmpost.tasks.navigation.styles import StylePack

Grid = Literal["labelled", "official"]
VIEW_BEARINGS: Final = {"labelled": (0, 90, 180, -90), "official": (-135, -45, 45, 135)}
"""Where the four views look, in degrees to the right of the walker."""
SEPARATOR_PIXELS: Final = 5
Point3 = tuple[float, float, float]
"""Metres to the right of the eye, ahead of it, above it."""

_EYE_METRES: Final = 1.6
_NEAR_METRES: Final = 0.6
_FAR_METRES: Final = 190.0
_ROAD_METRES, _PAVEMENT_METRES = 4.5, 7.0
"""From the middle of a street to the edge of the roadway and of the pavement."""
_DASH_METRES: Final = 3.0
_MARKING_METRES: Final = 40.0
"""Streets of which both ends are farther away show no marking."""
_WINDOW_METRES, _BAND_METRES = 34.0, 80.0
"""Up to here fronts have windows, and from there up to here rows of them."""
_STOREY_METRES: Final = 3.4
_SIGN_BOTTOM_METRES: Final = 3.6
_SIGN_TALL_METRES: Final = 3.4
_SUN: Final = (0.5, 0.866)
_SMOOTHING: Final = 2
"""Views are drawn this many times as large and reduced."""
_ROUNDED_PIXELS: Final = 3.0
"""Lower boards have no room for round corners, and Pillow 13 fails to draw some of them."""


def draw_views(scene: Scene, place: Place, heading: float, style: StylePack, *, tile_pixels: int, grid: Grid = "labelled") -> Image.Image:
    """Returns the four views as one square RGB picture of 2 x `tile_pixels` + 5 pixels."""
    tiles = [_view(scene, place, heading + bearing, style, tile_pixels) for bearing in VIEW_BEARINGS[grid]]
    return arranged(tiles)


def arranged(tiles: Sequence[Image.Image]) -> Image.Image:
    """Returns four square views of one size in a grid with a black line between them."""
    size = tiles[0].width
    canvas = Image.new("RGB", (2 * size + SEPARATOR_PIXELS,) * 2)
    for number, tile in enumerate(tiles):
        canvas.paste(tile, (number % 2 * (size + SEPARATOR_PIXELS), number // 2 * (size + SEPARATOR_PIXELS)))
    return canvas


def _view(scene: Scene, place: Place, heading: float, style: StylePack, tile_pixels: int) -> Image.Image:
    view = _View(place, heading, style, _SMOOTHING * tile_pixels)
    view.draw(scene)
    return view.image.reduce(_SMOOTHING)


class _View:
    """One view while it is drawn.

    Args:
        place: Where the eye is.
        heading: Where it looks.
        style: The look of things.
        pixels: Side of the picture.
    """

    def __init__(self, place: Place, heading: float, style: StylePack, pixels: int) -> None:
        self.place, self.heading, self.style, self.half = place, heading, style, pixels / 2
        radians = math.radians(heading)
        self._sine, self._cosine = math.sin(radians), math.cos(radians)
        self.image = _backdrop(style, pixels).copy()
        self.pen = ImageDraw.Draw(self.image)

    def draw(self, scene: Scene) -> None:
        """Draws everything, distant things first."""
        self._streets(scene)
        things: list[tuple[float, Front | Sign]] = [
            (_distance(self.place, between(front.left, front.right, 0.5)), front) for front in scene.fronts
        ]
        things += [(_distance(self.place, sign.place), sign) for sign in scene.signs]
        for distance, thing in sorted(things, key=lambda entry: -entry[0]):
            if distance > _FAR_METRES:
                continue
            if isinstance(thing, Front):
                self._front(thing, distance)
            else:
                self._sign(thing, distance)
        _weather(self.pen, self.style, round(2 * self.half), self.place, self.heading)

    # --- from metres to pixels ---

    def _seen(self, place: Place, height: float) -> Point3:
        east, north = place[0] - self.place[0], place[1] - self.place[1]
        return east * self._cosine - north * self._sine, east * self._sine + north * self._cosine, height - _EYE_METRES

    def _pixel(self, point: Point3) -> tuple[float, float]:
        return self.half * (1 + point[0] / point[1]), self.half * (1 - point[2] / point[1])

    def _polygon(self, corners: Sequence[Point3], colour: Colour) -> None:
        kept = _in_front(corners)
        if len(kept) < 3:
            return
        pixels = [self._pixel(point) for point in kept]
        if max(x for x, _ in pixels) < 0 or min(x for x, _ in pixels) > 2 * self.half:
            return
        self.pen.polygon(pixels, fill=colour)

    def _faded(self, colour: Colour, distance: float) -> Colour:
        return _faded(self.style.sky[1], colour, round(distance), self.style.sight_metres)

    # --- streets ---

    def _streets(self, scene: Scene) -> None:
        streets = [street for street in scene.streets if self._is_near(street)]
        middles = dict.fromkeys(place for street in streets for place in street)
        for half_width, colour in ((_PAVEMENT_METRES, self.style.pavement), (_ROAD_METRES, self.style.road)):
            for start, end in streets:
                self._strip(start, end, half_width, colour)
            for middle in middles:
                self._disc(middle, half_width, colour)
        if self.style.marking != "none":
            for start, end in streets:
                self._marking(start, end)

    def _is_near(self, street: tuple[Place, Place]) -> bool:
        """Whether any of a street may be seen."""
        (left, ahead, _), (right, beyond, _) = (self._seen(place, 0.0) for place in street)
        reach = 2 * _PAVEMENT_METRES
        outside = min(left - ahead, right - beyond) > reach or min(-left - ahead, -right - beyond) > reach
        return max(ahead, beyond) > -reach and not outside

    def _strip(self, start: Place, end: Place, half_width: float, colour: Colour, aside: float = 0.0) -> None:
        length = _distance(start, end)
        right = ((end[1] - start[1]) / length, (start[0] - end[0]) / length)
        corners = []
        for place, offset in (
            (start, aside - half_width),
            (start, aside + half_width),
            (end, aside + half_width),
            (end, aside - half_width),
        ):
            corners.append(self._seen((place[0] + right[0] * offset, place[1] + right[1] * offset), 0.0))
        nearest = min(_distance(self.place, start), _distance(self.place, end))
        self._polygon(corners, self._faded(colour, max(0.0, nearest - length / 2)))

    def _disc(self, middle: Place, radius: float, colour: Colour) -> None:
        distance = _distance(self.place, middle)
        if distance < _FAR_METRES / 2:
            ring = [
                (middle[0] + radius * math.sin(eighth * math.pi / 6), middle[1] + radius * math.cos(eighth * math.pi / 6))
                for eighth in range(12)
            ]
            self._polygon([self._seen(place, 0.0) for place in ring], self._faded(colour, distance))

    def _marking(self, start: Place, end: Place) -> None:
        length = _distance(start, end)
        if min(_distance(self.place, start), _distance(self.place, end)) > _MARKING_METRES:
            return
        first, last = _ROAD_METRES + 2, length - _ROAD_METRES - 2
        if self.style.marking != "dashed":
            for aside in (0.0,) if self.style.marking == "solid" else (-0.25, 0.25):
                self._line(start, end, first / length, last / length, aside)
            return
        metres = first
        while metres + _DASH_METRES <= last:
            self._line(start, end, metres / length, (metres + _DASH_METRES) / length, 0.0)
            metres += 2 * _DASH_METRES

    def _line(self, start: Place, end: Place, first: float, last: float, aside: float) -> None:
        self._strip(between(start, end, first), between(start, end, last), 0.1, self.style.line, aside)

    # --- houses ---

    def _front(self, front: Front, distance: float) -> None:
        left, right = self._seen(front.left, 0.0), self._seen(front.right, 0.0)
        if _out_of_view(left, right):
            return
        low, high = self.style.heights
        top = low + (high - low) * front.tallness
        shade = 0.72 + 0.28 * abs(_facing_sun(front))
        wall = self._faded(_scaled(self.style.walls[front.tint % len(self.style.walls)], shade), distance)
        self._polygon(_outline(left, right, top - _EYE_METRES, self.style), wall)
        if distance < _BAND_METRES:
            self._windows(left, right, top, self._faded(self.style.window, distance), alone=distance < _WINDOW_METRES)

    def _windows(self, left: Point3, right: Point3, top: float, colour: Colour, *, alone: bool) -> None:
        spans = [(0.09 + 0.235 * column, 0.22 + 0.235 * column) for column in range(4)] if alone else [(0.08, 0.93)]
        for storey in range(int(top / _STOREY_METRES)):
            bottom = storey * _STOREY_METRES + 1.2 - _EYE_METRES
            for first, last in spans:
                edges = [_along(left, right, share) for share in (first, last)]
                (a, b, _), (c, d, _) = edges
                self._polygon([(a, b, bottom), (c, d, bottom), (c, d, bottom + 1.5), (a, b, bottom + 1.5)], colour)

    # --- signs ---

    def _sign(self, sign: Sign, distance: float) -> None:
        right, ahead, _ = self._seen(sign.place, 0.0)
        bearing = wrapped(math.degrees(math.atan2(right, ahead)))
        if not -45 < round(bearing, 6) <= 45 or ahead < _NEAR_METRES:
            return
        board, ink = self.style.signs[sign.tint % len(self.style.signs)]
        lines = lines_of(sign.name)
        wide_dots, tall_dots = (dots + 6 for dots in size_dots(lines))
        tall = self.half * _SIGN_TALL_METRES / ahead
        dot = tall / tall_dots
        if sign.legible:
            dot = min(dot, 2 * self.half / wide_dots)
        wide, tall = dot * wide_dots, dot * tall_dots
        x, bottom = self._pixel((right, ahead, _SIGN_BOTTOM_METRES - _EYE_METRES))
        x = min(max(x - wide / 2, 0.0), 2 * self.half - wide)
        box = (x, bottom - tall, x + wide, bottom)
        self._posts(box, ahead, distance)
        _board(self.pen, box, self.style.sign, self._faded(board, distance), self._faded(ink, distance), border=max(1, round(dot)))
        if sign.legible:
            write(self.pen, lines, x=x + 3 * dot, y=bottom - tall + 3 * dot, dot_pixels=dot, colour=ink, hand=self.style.hand)

    def _posts(self, box: tuple[float, float, float, float], ahead: float, distance: float) -> None:
        foot = self.half * (1 + _EYE_METRES / ahead)
        width = max(1, round(self.half * 0.14 / ahead))
        for share in (0.12, 0.88):
            x = box[0] + share * (box[2] - box[0])
            self.pen.line([(x, box[3]), (x, foot)], fill=self._faded((60, 60, 64), distance), width=width)


# --- shapes ---


def _in_front(corners: Sequence[Point3]) -> list[Point3]:
    """The part of a polygon that is ahead of the eye (Sutherland and Hodgman, against one plane)."""
    kept: list[Point3] = []
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        if start[1] >= _NEAR_METRES:
            kept.append(start)
        if (start[1] >= _NEAR_METRES) != (end[1] >= _NEAR_METRES):
            share = (_NEAR_METRES - start[1]) / (end[1] - start[1])
            kept.append(_along(start, end, share))
    return kept


def _out_of_view(left: Point3, right: Point3) -> bool:
    """Whether a line is behind the eye, or wholly to one side of what it sees."""
    behind = max(left[1], right[1]) < _NEAR_METRES
    return behind or (left[0] > left[1] and right[0] > right[1]) or (-left[0] > left[1] and -right[0] > right[1])


def _along(start: Point3, end: Point3, share: float) -> Point3:
    rest = 1 - share
    return start[0] * rest + end[0] * share, start[1] * rest + end[1] * share, start[2] * rest + end[2] * share


def _outline(left: Point3, right: Point3, top: float, style: StylePack) -> list[Point3]:
    """The outline of a front, its roof included."""

    def at(share: float, height: float) -> Point3:
        across, ahead, _ = _along(left, right, share)
        return across, ahead, height

    roofs = {
        "flat": [at(1, top), at(0, top)],
        "gabled": [at(1, top), at(0.5, top + 3.2), at(0, top)],
        "stepped": [at(1, top), at(0.78, top), at(0.78, top + 2.4), at(0.22, top + 2.4), at(0.22, top), at(0, top)],
    }
    return [left, right, *roofs[style.roofs]]


def _board(
    pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], shape: str, colour: Colour, edge: Colour, *, border: int
) -> None:
    left, top, right, bottom = box
    if shape == "rounded" and bottom - top >= _ROUNDED_PIXELS:
        pen.rounded_rectangle(box, radius=(bottom - top) / 5, fill=colour, outline=edge, width=border)
    elif shape == "pointed":
        middle, tip = (top + bottom) / 2, (bottom - top) / 7
        pen.polygon(
            [(left - tip, middle), (left, top), (right, top), (right + tip, middle), (right, bottom), (left, bottom)],
            fill=colour,
            outline=edge,
            width=border,
        )
    elif shape == "banner":
        notch, middle = (bottom - top) / 4, (left + right) / 2
        pen.polygon([(left, top), (right, top), (right, bottom + notch), (middle, bottom), (left, bottom + notch)], fill=colour)
    else:
        pen.rectangle(box, fill=colour, outline=edge, width=border)


@functools.lru_cache(maxsize=16)
def _backdrop(style: StylePack, pixels: int) -> Image.Image:
    """Sky and ground, both paler towards the horizon."""
    strip = Image.new("RGB", (1, 128))
    for row in range(64):
        strip.putpixel((0, row), _mixed(style.sky[1], style.sky[0], 1 - row / 63))
        strip.putpixel((0, 64 + row), _mixed(style.ground, style.sky[1], math.exp(-row / 4)))
    return strip.resize((pixels, pixels), Image.Resampling.BILINEAR)


def _weather(pen: ImageDraw.ImageDraw, style: StylePack, pixels: int, place: Place, heading: float) -> None:
    if style.weather not in ("rain", "snow"):
        return
    rng = random.Random(f"{place}|{heading}")
    size = pixels / 160
    for _ in range(90):
        x, y = rng.random() * pixels, rng.random() * pixels
        if style.weather == "rain":
            pen.line([(x, y), (x - 3 * size, y + 9 * size)], fill=(190, 200, 212), width=max(1, round(size / 3)))
        else:
            pen.ellipse((x, y, x + 1.6 * size, y + 1.6 * size), fill=(255, 255, 255))


def _facing_sun(front: Front) -> float:
    length = _distance(front.left, front.right)
    return ((front.right[0] - front.left[0]) * _SUN[0] + (front.right[1] - front.left[1]) * _SUN[1]) / length


def _distance(start: Place, end: Place) -> float:
    return math.hypot(end[0] - start[0], end[1] - start[1])


@functools.lru_cache(maxsize=1 << 14)
def _faded(haze: Colour, colour: Colour, metres: int, sight_metres: float) -> Colour:
    return _mixed(haze, colour, math.exp(-metres / sight_metres))


def _mixed(far: Colour, near: Colour, share: float) -> Colour:
    """The colour of which `share` is near, the rest far."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(far, near, strict=True))
    return red, green, blue


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (round(part * factor) for part in colour)
    return red, green, blue
