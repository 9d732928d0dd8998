"""A landscape: sky with sun and clouds, ridges of hills, a meadow with a road, trees and houses.

Every tile of any grid can be placed: the light comes from one side, so brightness falls from left to right or back; colours change from
top to bottom; ridges, road and trees cross tile borders.
"""

from __future__ import annotations

import colorsys
import math
import random

import numpy
from PIL import Image, ImageDraw

_LIGHT_FALL = 0.5
"""By how much the side towards the sun is brighter than the other."""
_OCTAVES = 3


def draw_landscape(seed: int, size: tuple[int, int]) -> Image.Image:
    """Returns the landscape of a seed at this width and height, RGB."""
    rng = random.Random(f"landscape|{seed}")
    width, height = size
    x, y = numpy.meshgrid((numpy.arange(width) + 0.5) / width, (numpy.arange(height) + 0.5) / height)
    sun = (rng.uniform(0.05, 0.95), rng.uniform(0.06, 0.25))
    horizon = rng.uniform(0.42, 0.55)
    picture = _sky(rng, x, y, sun=sun, horizon=horizon)
    hue = rng.uniform(0.20, 0.42)
    num_ridges = rng.randint(3, 4)
    for ridge in range(num_ridges):
        nearness = (ridge + 1) / num_ridges
        _add_ridge(picture, rng, x, y, top=horizon + 0.16 * ridge / num_ridges, hue=hue, nearness=nearness)
    image = Image.fromarray(_bytes(picture))
    _add_things(image, rng, meadow=horizon + 0.2)
    return Image.fromarray(_bytes(_lit(numpy.asarray(image, dtype=numpy.float64), rng, x, y, sun_x=sun[0])))


def _sky(rng: random.Random, x: numpy.ndarray, y: numpy.ndarray, *, sun: tuple[float, float], horizon: float) -> numpy.ndarray:
    hue = rng.uniform(0.52, 0.66)
    top, bottom = _colour(hue, 0.75, rng.uniform(0.45, 0.65)), _colour(rng.choice((hue, 0.08)), 0.25, 0.95)
    share = numpy.clip(y / horizon, 0, 1)[..., None]
    picture = top * (1 - share) + bottom * share
    distance = numpy.hypot(x - sun[0], (y - sun[1]) * 0.75)
    picture += 90 * numpy.exp(-distance / 0.25)[..., None]
    picture[distance < rng.uniform(0.03, 0.05)] = (255, 250, 210)
    for _ in range(rng.randint(3, 6)):
        centre, wide, high = (rng.random(), rng.uniform(0.03, horizon * 0.8)), rng.uniform(0.06, 0.16), rng.uniform(0.012, 0.035)
        cloud = numpy.exp(-(((x - centre[0]) / wide) ** 2) - ((y - centre[1]) / high) ** 2)
        picture += 85 * cloud[..., None]
    return picture


def _add_ridge(
    picture: numpy.ndarray, rng: random.Random, x: numpy.ndarray, y: numpy.ndarray, *, top: float, hue: float, nearness: float
) -> None:
    waves = [(rng.uniform(0.5, 1.0) * 0.06 / octave, rng.uniform(0.7, 1.6) * octave, rng.random()) for octave in range(1, _OCTAVES + 1)]
    line = top + sum(high * numpy.sin(2 * math.pi * (often * x[0] + phase)) for high, often, phase in waves)
    inside = y > line[None, :]
    far, near = _colour(0.58, 0.25, 0.78), _colour(hue, 0.65, 0.50)
    depth = numpy.clip((y - line[None, :]) / 0.5, 0, 1)
    ground = (far * (1 - nearness) + near * nearness)[None, None, :] * (1 - 0.35 * depth[..., None])
    across, down, phase = rng.uniform(5, 9), rng.uniform(6, 11), rng.random()
    furrows = 9 * nearness * numpy.sin(2 * math.pi * (across * x + down * y**2 + phase))
    picture[inside] = (ground + furrows[..., None])[inside]


def _add_things(image: Image.Image, rng: random.Random, *, meadow: float) -> None:
    pen = ImageDraw.Draw(image)
    width, height = image.size
    bend, foot = rng.uniform(-0.3, 0.3), rng.uniform(0.2, 0.8)
    steps = [step / 24 for step in range(25)]
    middle = [(foot + bend * math.sin(2.6 * (1 - step)) * (1 - step), 1 - (1 - meadow) * (1 - step)) for step in steps]
    half = [0.006 + 0.075 * step**1.5 for step in steps]
    sides = [(at[0] - by, at[1]) for at, by in zip(middle, half, strict=True)]
    sides += [(at[0] + by, at[1]) for at, by in reversed(list(zip(middle, half, strict=True)))]
    pen.polygon([(across * width, down * height) for across, down in sides], fill=(176, 158, 128))
    things = sorted((rng.uniform(meadow, 0.98), rng.uniform(0.02, 0.98), rng.random()) for _ in range(rng.randint(7, 11)))
    for down, across, kind in things:
        scale = height * (0.08 + 0.35 * (down - meadow))
        (_house if kind < 0.3 else _tree)(pen, rng, x=across * width, y=down * height, scale=scale)


def _tree(pen: ImageDraw.ImageDraw, rng: random.Random, *, x: float, y: float, scale: float) -> None:
    trunk = scale * 0.10
    pen.rectangle((x - trunk, y - scale * 0.8, x + trunk, y), fill=(92, 64, 40))
    crown = tuple(int(part) for part in _colour(rng.uniform(0.05, 0.38), 0.75, rng.uniform(0.35, 0.7)))
    for side, high, size in ((-0.3, 1.0, 0.42), (0.3, 1.0, 0.42), (0.0, 1.4, 0.5)):
        at, above, radius = x + side * scale, y - high * scale, size * scale
        pen.ellipse((at - radius, above - radius, at + radius, above + radius), fill=crown)


def _house(pen: ImageDraw.ImageDraw, rng: random.Random, *, x: float, y: float, scale: float) -> None:
    wall = tuple(int(part) for part in _colour(rng.uniform(0.02, 0.15), 0.3, rng.uniform(0.75, 0.95)))
    roof = tuple(int(part) for part in _colour(rng.choice((0.0, 0.03, 0.62)), 0.7, 0.6))
    half, high = scale * 0.9, scale * 0.9
    pen.rectangle((x - half, y - high, x + half, y), fill=wall)
    pen.polygon([(x - half * 1.15, y - high), (x + half * 1.15, y - high), (x, y - high * 1.8)], fill=roof)
    pen.rectangle((x - half * 0.2, y - high * 0.55, x + half * 0.2, y), fill=(80, 55, 40))
    for side in (-0.62, 0.62):
        pen.rectangle((x + half * (side - 0.16), y - high * 0.7, x + half * (side + 0.16), y - high * 0.4), fill=(70, 90, 120))


def _lit(picture: numpy.ndarray, rng: random.Random, x: numpy.ndarray, y: numpy.ndarray, *, sun_x: float) -> numpy.ndarray:
    """The picture under light from the sun's side."""
    side = -1.0 if sun_x < 0.5 else 1.0
    slope = side * (x - 0.5 + rng.uniform(0.05, 0.15) * (y - 0.5))
    lit: numpy.ndarray = picture * 0.8 * (1 + _LIGHT_FALL * slope)[..., None]
    return lit


def _colour(hue: float, saturation: float, value: float) -> numpy.ndarray:
    return 255 * numpy.array(colorsys.hsv_to_rgb(hue, saturation, value))


def _bytes(picture: numpy.ndarray) -> numpy.ndarray:
    rounded: numpy.ndarray = numpy.clip(numpy.rint(picture), 0, 255).astype(numpy.uint8)
    return rounded
