"""Shapes of one kind to be counted among others.

Difficulties 1 and 2 ask for a colour among few shapes, 3 to 5 for a colour and a shape among 6 to 14.
"""

from __future__ import annotations

import random

from vlmpost.tasks.pictures.drawing import SHAPES
from vlmpost.tasks.pictures.picture import PictureProblem, running_sum
from vlmpost.tasks.pictures.scatter import ROWS, Item, describe, draw_items, scatter

COUNTED_COLOURS = ("red", "green", "blue", "orange")
_NUM_ITEMS = {1: (2, 3), 2: (4, 6), 3: (6, 8), 4: (9, 11), 5: (12, 14)}
_ROW_NAMES = ("top", "middle", "bottom")


def pose(rng: random.Random, difficulty: int) -> PictureProblem:
    """Return a counting problem."""
    colour = rng.choice(COUNTED_COLOURS)
    shape = rng.choice(SHAPES) if difficulty >= 3 else None
    num_items = rng.randint(*_NUM_ITEMS[difficulty])
    num_asked = rng.randint(1, min(num_items, 9))
    asked = [(shape or rng.choice(SHAPES), colour) for _ in range(num_asked)]
    others = [_other(rng, shape=shape, colour=colour) for _ in range(num_items - num_asked)]
    items = scatter(rng, asked + others)
    noun = f"{colour} {shape}s" if shape else f"{colour} shapes"
    return PictureProblem(
        question=rng.choice((f"How many {noun} are there?", f"Count the {noun}.")),
        answer=str(num_asked),
        answer_type="number",
        reasoning=_row_by_row([item for item in items if item.colour == colour and shape in (None, item.shape)]),
        content={"asked_colour": colour, "asked_shape": shape, "items": describe(items)},
        draw=lambda: draw_items(items),
    )


def _other(rng: random.Random, *, shape: str | None, colour: str) -> tuple[str, str]:
    """Return a kind that is not asked for; where a shape is asked for, half of them share the colour or the shape."""
    while True:
        kind = (rng.choice(SHAPES), rng.choice(COUNTED_COLOURS))
        if shape is not None and rng.random() < 0.5:
            kind = (kind[0], colour) if rng.random() < 0.5 else (shape, kind[1])
        if kind[1] != colour or (shape is not None and kind[0] != shape):
            return kind


def _row_by_row(asked: list[Item]) -> str:
    counts = [sum(item.row == row for item in asked) for row in range(ROWS)]
    steps = running_sum(counts).split(", ")
    return ", ".join(f"{name} {step}" for name, step in zip(_ROW_NAMES, steps, strict=True))
