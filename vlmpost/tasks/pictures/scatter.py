"""Shapes scattered over the cells of the picture: the scene that counting and comparing share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from PIL import Image

from vlmpost.tasks.pictures.drawing import PLAIN, Look, canvas, draw_shape
from vlmpost.tasks.pictures.picture import CELL_PIXELS, HEIGHT_PIXELS, WIDTH_PIXELS

COLUMNS = WIDTH_PIXELS // CELL_PIXELS
ROWS = HEIGHT_PIXELS // CELL_PIXELS
NUM_CELLS = COLUMNS * ROWS
_TILTED_SIZE = 0.85


@dataclass(frozen=True, slots=True)
class Item:
    """One shape: what it is and where it stands, in pixels."""

    shape: str
    colour: str
    x: int
    y: int
    radius: int

    @property
    def row(self) -> int:
        """The row of cells it stands in, from the top."""
        return self.y // CELL_PIXELS


def scatter(rng: random.Random, kinds: list[tuple[str, str]]) -> list[Item]:
    """Return the (shape, colour) kinds placed in cells of their own, with jitter, in reading order."""
    cells = sorted(rng.sample(range(NUM_CELLS), len(kinds)))
    order = list(kinds)
    rng.shuffle(order)
    return [_place(rng, kind, cell) for kind, cell in zip(order, cells, strict=True)]


def _place(rng: random.Random, kind: tuple[str, str], cell: int) -> Item:
    row, column = divmod(cell, COLUMNS)
    middle = CELL_PIXELS // 2
    return Item(
        shape=kind[0],
        colour=kind[1],
        x=column * CELL_PIXELS + middle + rng.randint(-3, 3),
        y=row * CELL_PIXELS + middle + rng.randint(-3, 3),
        radius=rng.randint(8, 10),
    )


def describe(items: list[Item]) -> list[dict[str, object]]:
    """Return the items as JSON values."""
    return [asdict(item) for item in items]


def tilts(rng: random.Random, items: list[Item]) -> list[int]:
    """Return an angle in degrees for each item, far enough from upright to be seen and too small to make a square a diamond."""
    return [rng.choice((-1, 1)) * rng.randint(10, 25) for _ in items]


def draw_items(items: list[Item], *, look: Look = PLAIN, angles: Sequence[int] = ()) -> Image.Image:
    """Return the picture of the items; where there are angles, each is turned by its own and smaller, so that it stays in its cell."""
    image, pen = canvas(look)
    for item, angle in zip(items, angles or [0] * len(items), strict=True):
        radius = round(item.radius * _TILTED_SIZE) if angles else item.radius
        draw_shape(pen, item.shape, x=item.x, y=item.y, radius=radius, colour=look.colours[item.colour], tilt=angle)
    return image
