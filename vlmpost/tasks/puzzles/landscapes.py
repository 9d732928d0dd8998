"""Drawn landscapes for puzzles: whatever is asked about the order or turn of their pieces can be decided from the pixels.

Up is where the sky is: there blue is stronger than green, on the ground green than blue. Red grows from one side to the other, and sky and
ground change with height, so that no two places have the same ground and every cut, turn or mirroring shows at the border. The horizon
is level and the things on the ground stand upright, so that small turns can be told.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image, ImageDraw

_FINER = 2
"""Scenes are drawn this many times larger and then reduced, for smooth edges."""
_WALLS = ("#c8553d", "#e0b060", "#d8d0c0", "#7a5c8a", "#b07050")
_ROOFS = ("#6b2d2d", "#3d3d4d", "#8a4b2a", "#2f4f4f")
_LEAVES = ("#1f5f2f", "#3f7f1f", "#7f8f1f", "#b0601f")
_HALF_WIDTHS = {"house": 0.5, "fir": 0.07, "tree": 0.08, "pole": 0.03}
"""From a thing's middle to its straight upright edges, as shares of its size."""
_LEVELS = {"house": (0.6,), "fir": (0.2, 0.45, 0.7)}
"""From a thing's foot up to its straight level edges, as shares of its size."""
_KINDS = ("house", "house", "fir", "fir", "tree", "tree", "pole")


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stands on the ground; places and sizes are shares of the picture's side."""

    kind: str
    x: float
    y: float
    size: float
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Landscape:
    """The open country: its horizon, the side the red light comes from, the sun, and what stands on the ground."""

    horizon: float
    light_from_left: bool
    sun: tuple[float, float]
    clouds: tuple[tuple[float, float, float], ...]
    things: tuple[Thing, ...]

    def described(self) -> dict[str, object]:
        """Returns the scene as JSON values."""
        return asdict(self)

    def upright_edges(self) -> list[float]:
        """Returns where straight upright edges stand, from left to right in shares of the side: walls, trunks and poles."""
        return sorted(thing.x + side * _HALF_WIDTHS[thing.kind] * thing.size for thing in self.things for side in (-1, 1))

    def level_edges(self, left: float, right: float) -> list[float]:
        """Returns where straight level edges are between two places across, from the top down: feet, eaves and the rims of firs."""
        near = [thing for thing in self.things if left - thing.size < thing.x < right + thing.size]
        return sorted(thing.y - height * thing.size for thing in near for height in (0.0, *_LEVELS.get(thing.kind, ())))


def invent(rng: random.Random) -> Landscape:
    """Returns a new scene."""
    horizon = round(rng.uniform(0.4, 0.48), 3)  # off the cuts of every grid, where it would not show which patches belong together
    things = [_stand(rng, place, horizon) for place in range(7)]
    return Landscape(
        horizon=horizon,
        light_from_left=rng.random() < 0.5,
        sun=(round(rng.uniform(0.1, 0.9), 3), round(rng.uniform(0.1, horizon - 0.15), 3)),
        clouds=tuple(
            (round(rng.random(), 3), round(rng.uniform(0.05, horizon - 0.1), 3), round(rng.uniform(0.05, 0.1), 3)) for _ in range(3)
        ),
        things=tuple(sorted(things, key=lambda thing: thing.y)),
    )


def draw(scene: Landscape, *, size_pixels: int, scenery: str) -> Image.Image:
    """Returns the scene as a square picture.

    Args:
        scene: What is in it.
        size_pixels: Its side.
        scenery: "day" or "night".
    """
    side = size_pixels * _FINER
    image = Image.fromarray(_land(scene, side, night=scenery == "night"))
    pen = ImageDraw.Draw(image)
    _draw_sky(pen, scene, side, night=scenery == "night")
    for thing in scene.things:
        _DRAWN[thing.kind](pen, thing, side)
    if scenery == "night":
        image = image.point([round(value * 0.8) for value in range(256)] * 3)
    return image.resize((size_pixels, size_pixels), Image.Resampling.BOX)


def _stand(rng: random.Random, place: int, horizon: float) -> Thing:
    kind = rng.choice(_KINDS)
    return Thing(
        kind=kind,
        x=round((place + rng.uniform(0.2, 0.8)) / 7, 3),
        y=round(rng.uniform(horizon + 0.05, 0.95), 3),
        size=round(rng.uniform(0.12, 0.2), 3),
        first=rng.choice(_WALLS if kind == "house" else _LEAVES),
        second=rng.choice(_ROOFS),
    )


def _land(scene: Landscape, side: int, *, night: bool) -> np.ndarray:
    """Returns sky and ground as bytes of shape (side, side, 3)."""
    across = np.linspace(0, 1, side)[None, :]
    down = np.linspace(0, 1, side)[:, None]
    red = 40 + 130 * (1 - across if scene.light_from_left else across)
    sky, ground = down / scene.horizon, (down - scene.horizon) / (1 - scene.horizon)
    above = down < scene.horizon
    if night:
        red, green, blue = red / 2, np.where(above, 20 + 40 * sky, 120 - 70 * ground), np.where(above, 90 + 70 * sky, 20 + 20 * ground)
    else:
        green, blue = np.where(above, 110 + 90 * sky, 190 - 100 * ground), np.where(above, 250 - 20 * sky, 30 + 30 * ground)
    bands = [np.broadcast_to(band, (side, side)) for band in (red, green, blue)]
    return np.stack(bands, axis=2).round().astype(np.uint8)


def _draw_sky(pen: ImageDraw.ImageDraw, scene: Landscape, side: int, *, night: bool) -> None:
    x, y, radius = scene.sun[0] * side, scene.sun[1] * side, 0.06 * side
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill="#f4f4ff" if night else "#ffe070")
    for x, y, size in scene.clouds:
        for step, share in ((-1.2, 0.6), (0.0, 1.0), (1.1, 0.7)):
            centre, wide = (x + step * size) * side, size * share * side
            pen.ellipse((centre - wide, y * side - wide / 2, centre + wide, y * side + wide / 2), fill="#5a6080" if night else "#dfe4f4")


def _draw_house(pen: ImageDraw.ImageDraw, thing: Thing, side: int) -> None:
    x, y, size = thing.x * side, thing.y * side, thing.size * side
    half, wall = _HALF_WIDTHS["house"] * size, 0.6 * size
    pen.rectangle((x - half, y - wall, x + half, y), fill=thing.first)
    pen.polygon([(x - 1.2 * half, y - wall), (x, y - size), (x + 1.2 * half, y - wall)], fill=thing.second)
    pen.rectangle((x - 0.7 * half, y - 0.65 * wall, x - 0.1 * half, y), fill=thing.second)
    pen.rectangle((x + 0.2 * half, y - 0.75 * wall, x + 0.7 * half, y - 0.35 * wall), fill="#cfe6f5")


def _draw_fir(pen: ImageDraw.ImageDraw, thing: Thing, side: int) -> None:
    x, y, size = thing.x * side, thing.y * side, thing.size * side
    pen.rectangle((x - 0.07 * size, y - 0.25 * size, x + 0.07 * size, y), fill="#5a3a20")
    for low, wide in ((0.2, 0.4), (0.45, 0.3), (0.7, 0.2)):
        pen.polygon([(x - wide * size, y - low * size), (x, y - (low + 0.45) * size), (x + wide * size, y - low * size)], fill=thing.first)


def _draw_tree(pen: ImageDraw.ImageDraw, thing: Thing, side: int) -> None:
    x, y, size = thing.x * side, thing.y * side, thing.size * side
    pen.rectangle((x - 0.08 * size, y - 0.5 * size, x + 0.08 * size, y), fill="#5a3a20")
    pen.ellipse((x - 0.35 * size, y - 1.1 * size, x + 0.35 * size, y - 0.4 * size), fill=thing.first)


def _draw_pole(pen: ImageDraw.ImageDraw, thing: Thing, side: int) -> None:
    x, y, size = thing.x * side, thing.y * side, thing.size * side
    pen.rectangle((x - 0.03 * size, y - 1.3 * size, x + 0.03 * size, y), fill="#4a4a4a")
    pen.polygon([(x, y - 1.3 * size), (x + 0.5 * size, y - 1.12 * size), (x, y - 0.95 * size)], fill=thing.first)


_DRAWN = {"house": _draw_house, "fir": _draw_fir, "tree": _draw_tree, "pole": _draw_pole}
