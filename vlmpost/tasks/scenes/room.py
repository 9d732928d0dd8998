"""A room with boxes and balls, seen by a camera whose depth of every pixel is known exactly.

Rays are cast in closed form: planes, boxes, spheres. Depth is what an RGB-D camera measures: metres along the camera's axis, not along
the ray. It can be seen: by perspective and the tiles of the floor, which are half a metre wide, by what covers what, and by a blue
haze that grows with depth. No surface has any blue of its own, so that blue alone orders all points, whatever their colour.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy
from PIL import Image

MAX_DEPTH_METRES: Final = 7.0
_HAZE: Final = numpy.array((150.0, 175.0, 255.0))
_HAZE_METRES: Final = 5.0
_FOCAL: Final = 0.9
"""Focal length in widths of the picture: a view of 58 degrees."""
_LIGHT: Final = numpy.array((-0.4, 0.8, -0.45))
_COLOURS: Final = ((205, 60, 0), (225, 170, 0), (70, 150, 0), (160, 95, 0), (235, 110, 0), (120, 40, 0), (150, 165, 0), (240, 215, 0))
_WALLS: Final = ((215, 190, 0), (190, 150, 0), (170, 180, 0), (225, 165, 0))
_TILE_METRES: Final = 0.5

Rays = tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]
"""Parts of directions to the right, up and ahead, one number per pixel."""
Window = tuple[Any, ...]
"""An index of arrays of pixels.  (Any: slices, or an ellipsis.)"""


@dataclass(frozen=True, slots=True)
class Solid:
    """A box that stands on the floor, or a ball that lies on it."""

    kind: str
    x: float
    """Of its middle, in metres to the right of the camera."""
    z: float
    """Of its middle, in metres in front of the camera."""
    half: tuple[float, float, float]
    """Half its width, height and length; of a ball three times its radius."""
    colour: tuple[int, int, int]

    @property
    def centre(self) -> tuple[float, float, float]:
        """Its middle: right of the camera, above the floor, in front of the camera."""
        return self.x, self.half[1], self.z


@dataclass(frozen=True, slots=True)
class Room:
    """A room, and the camera in it."""

    size: tuple[int, int]
    """Width and height of the picture in pixels."""
    eye_metres: float
    """Height of the camera above the floor."""
    pitch: float
    """How far the camera looks down, in radians."""
    left: float
    right: float
    back: float
    height: float
    floor_colour: tuple[int, int, int]
    wall_colour: tuple[int, int, int]
    solids: tuple[Solid, ...]

    def depths(self, rows: numpy.ndarray, cols: numpy.ndarray) -> numpy.ndarray:
        """Returns the depth of pixels in metres; the arrays have one shape, and so has the result."""
        return self._cast(self._rays(rows, cols), [(...,)] * len(self.solids))[0]

    def picture(self) -> Image.Image:
        """Returns what the camera sees, RGB."""
        cols, rows = numpy.meshgrid(numpy.arange(self.size[0]), numpy.arange(self.size[1]))
        rays = self._rays(rows, cols)
        windows = [self._window(solid) for solid in self.solids]
        depth, surface = self._cast(rays, windows)
        clear = numpy.exp(-depth / _HAZE_METRES)[..., None]
        pixels = self._shaded(rays, depth, surface) * clear + _HAZE * (1 - clear)
        return Image.fromarray(numpy.clip(numpy.rint(pixels), 0, 255).astype(numpy.uint8))

    def _rays(self, rows: numpy.ndarray, cols: numpy.ndarray) -> Rays:
        """The direction of each pixel's ray, of length 1 along the camera's axis."""
        focal = _FOCAL * self.size[0]
        right = (cols + 0.5 - self.size[0] / 2) / focal
        down = (rows + 0.5 - self.size[1] / 2) / focal
        sine, cosine = math.sin(self.pitch), math.cos(self.pitch)
        return right, -down * cosine - sine, cosine - down * sine

    def _window(self, solid: Solid) -> Window:
        """The part of the picture that a solid can be seen in: around the corners of the box that holds it."""
        sine, cosine = math.sin(self.pitch), math.cos(self.pitch)
        focal = _FOCAL * self.size[0]
        cols, rows = [], []
        for signs in itertools.product((-1, 1), repeat=3):
            x, y, z = (centre + sign * half for centre, sign, half in zip(solid.centre, signs, solid.half, strict=True))
            up = y - self.eye_metres
            depth = z * cosine - up * sine
            cols.append(x / depth * focal + self.size[0] / 2)
            rows.append((-up * cosine - z * sine) / depth * focal + self.size[1] / 2)
        return (_span(rows, self.size[1]), _span(cols, self.size[0]))

    def _cast(self, rays: Rays, windows: Sequence[Window]) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The depth of each pixel, and what is seen there: 0 floor and ceiling, 1 side walls, 2 back wall, 3 + i solid i."""
        right, up, ahead = rays
        with numpy.errstate(divide="ignore", invalid="ignore"):
            depth = _hit(numpy.where(up < 0, -self.eye_metres, self.height - self.eye_metres) / up)
            surface = numpy.zeros(depth.shape, dtype=int)
            others = [_hit(numpy.where(right < 0, self.left, self.right) / right), _hit(self.back / ahead)]
            for number, hit in enumerate(others, start=1):
                _put_nearer(depth, surface, hit, number)
            for number, (solid, window) in enumerate(zip(self.solids, windows, strict=True), start=3):
                meets = _ball_hit if solid.kind == "ball" else _box_hit
                part = (right[window], up[window], ahead[window])
                _put_nearer(depth[window], surface[window], meets(part, solid, self.eye_metres), number)
        return depth, surface

    def _shaded(self, rays: Rays, depth: numpy.ndarray, surface: numpy.ndarray) -> numpy.ndarray:
        """The colour of each pixel without haze."""
        points = numpy.stack([ray * depth for ray in rays], axis=-1)
        points[..., 1] += self.eye_metres
        colours = numpy.array((self.floor_colour, self.wall_colour, self.wall_colour, *(solid.colour for solid in self.solids)), float)
        odd = numpy.floor(points / _TILE_METRES + 1e-6).astype(int) % 2
        dark = numpy.where(surface == 0, odd[..., 0] ^ odd[..., 2], 0.5 * odd[..., 1])
        pattern = numpy.where(surface < 3, 1 - 0.3 * dark, 1.0)
        light = 0.55 + 0.45 * numpy.clip(self._normals(points, surface) @ (_LIGHT / numpy.linalg.norm(_LIGHT)), -0.6, 1)
        shaded: numpy.ndarray = colours[surface] * (pattern * light)[..., None]
        return shaded

    def _normals(self, points: numpy.ndarray, surface: numpy.ndarray) -> numpy.ndarray:
        """Which way each seen surface faces: floor and ceiling up, walls into the room, solids outwards."""
        walls = numpy.array(((0.0, 1.0, 0.0), (0.7, 0.0, 0.0), (0.0, 0.0, -1.0)))
        normals: numpy.ndarray = walls[numpy.minimum(surface, 2)]
        for number, solid in enumerate(self.solids, start=3):
            seen = surface == number
            away = (points[seen] - numpy.array(solid.centre)) / numpy.array(solid.half)
            if solid.kind == "box":
                away = numpy.where(numpy.abs(away) >= numpy.abs(away).max(axis=-1, keepdims=True), numpy.sign(away), 0.0)
            normals[seen] = away
        return normals


def draw_room(seed: int, size: tuple[int, int]) -> Room:
    """Returns the room of a seed, seen in a picture of this width and height."""
    rng = random.Random(f"room|{seed}")
    back = rng.uniform(4.5, MAX_DEPTH_METRES - 0.6)
    left, right = -rng.uniform(1.6, 2.4), rng.uniform(1.6, 2.4)
    solids: list[Solid] = []
    for _ in range(200):
        solid = _solid(rng, left=left, right=right, back=back)
        if all(math.hypot(solid.x - other.x, solid.z - other.z) > _reach(solid) + _reach(other) for other in solids):
            solids.append(solid)
        if len(solids) == 7:
            break
    return Room(
        size=size,
        eye_metres=rng.uniform(1.3, 1.7),
        pitch=math.radians(rng.uniform(10, 18)),
        left=left,
        right=right,
        back=back,
        height=rng.uniform(2.5, 3.0),
        floor_colour=rng.choice(_WALLS),
        wall_colour=rng.choice(_WALLS),
        solids=tuple(solids),
    )


def _solid(rng: random.Random, *, left: float, right: float, back: float) -> Solid:
    z = rng.uniform(1.7, back - 0.7)
    x = rng.uniform(max(left + 0.6, -0.5 * z), min(right - 0.6, 0.5 * z))
    if rng.random() < 0.4:
        half = (rng.uniform(0.18, 0.42),) * 3
    else:
        half = (rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.65), rng.uniform(0.15, 0.4))
    return Solid("ball" if half[0] == half[1] == half[2] else "box", x, z, half, rng.choice(_COLOURS))


def _reach(solid: Solid) -> float:
    return math.hypot(solid.half[0], solid.half[2])


def _span(places: Sequence[float], length: int) -> slice:
    return slice(max(0, math.floor(min(places)) - 1), max(0, min(length, math.ceil(max(places)) + 1)))


def _hit(distance: numpy.ndarray) -> numpy.ndarray:
    hit: numpy.ndarray = numpy.where(distance > 0, distance, math.inf)
    return hit


def _put_nearer(depth: numpy.ndarray, surface: numpy.ndarray, hit: numpy.ndarray, number: int) -> None:
    """Writes a surface where it is nearer than what is there."""
    nearer = hit < depth
    depth[nearer] = hit[nearer]
    surface[nearer] = number


def _box_hit(rays: Rays, solid: Solid, eye_metres: float) -> numpy.ndarray:
    """Where each ray enters the box: the latest of the three slabs, if it is before the first exit."""
    entry, leaving = numpy.full(rays[0].shape, -math.inf), numpy.full(rays[0].shape, math.inf)
    for ray, centre, half, eye in zip(rays, solid.centre, solid.half, (0.0, eye_metres, 0.0), strict=True):
        first, second = (centre - half - eye) / ray, (centre + half - eye) / ray
        entry = numpy.maximum(entry, numpy.minimum(first, second))
        leaving = numpy.minimum(leaving, numpy.maximum(first, second))
    return _hit(numpy.where(entry <= leaving, entry, math.inf))


def _ball_hit(rays: Rays, solid: Solid, eye_metres: float) -> numpy.ndarray:
    """Where each ray meets the ball first: the smaller root of |eye + t ray - centre| = radius."""
    offset = (-solid.x, eye_metres - solid.half[1], -solid.z)
    squared = sum(ray * ray for ray in rays)
    mixed = sum(ray * part for ray, part in zip(rays, offset, strict=True))
    under_root = mixed * mixed - squared * (sum(part * part for part in offset) - solid.half[0] ** 2)
    return _hit(numpy.where(under_root >= 0, (-mixed - numpy.sqrt(numpy.maximum(under_root, 0))) / squared, math.inf))
