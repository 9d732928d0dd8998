"""Shapes of one kind to be counted among others, or those of a form that are not of a colour.

Difficulties 1 and 2 ask for a colour among few shapes, 3 to 5 for a colour and a shape among 6 to 14.
"""

from __future__ import annotations

import random
from typing import Literal

from vlmpost.tasks.pictures.drawing import LOOKS, SHAPES
from vlmpost.tasks.pictures.picture import PictureOptions, PictureProblem, running_sum
from vlmpost.tasks.pictures.scatter import ROWS, Item, describe, draw_items, scatter, tilts

COUNTED_COLOURS = ("red", "green", "blue", "orange")
_NUM_ITEMS = {1: (2, 3), 2: (4, 6), 3: (6, 8), 4: (9, 11), 5: (12, 14)}
_ROW_NAMES = ("top", "middle", "bottom")


class CountingOptions(PictureOptions):
    """Options of counting."""

    rule: Literal["with", "without"] = "with"
    """With: shapes of the colour are counted. Without: those of other colours."""
    shapes: Literal["upright", "tilted"] = "upright"
    """How the shapes stand."""


def pose(rng: random.Random, difficulty: int, options: CountingOptions) -> PictureProblem:
    """Return a counting problem."""
    colour = rng.choice(COUNTED_COLOURS)
    shape = rng.choice(SHAPES) if difficulty >= 3 else None
    num_items = rng.randint(*_NUM_ITEMS[difficulty])
    num_asked = rng.randint(1, min(num_items, 9))
    asked = [(shape or rng.choice(SHAPES), colour) for _ in range(num_asked)]
    others = [_other(rng, shape=shape, colour=colour) for _ in range(num_items - num_asked)]
    items = scatter(rng, asked + others)
    question = rng.choice(_questions(colour, shape, options.rule))
    angles = tilts(rng, items) if options.shapes == "tilted" else []
    counted = [item for item in items if shape in (None, item.shape) and (item.colour == colour) == (options.rule == "with")]
    return PictureProblem(
        question=question,
        answer=str(len(counted)),
        answer_type="number",
        reasoning=_row_by_row(counted),
        content={"asked_colour": colour, "asked_shape": shape, "items": describe(items)},
        draw=lambda: draw_items(items, look=LOOKS[options.tones], angles=angles),
        looks={"angles": angles} if angles else {},
    )


def _questions(colour: str, shape: str | None, rule: str) -> tuple[str, str]:
    kind = shape or "shape"
    if rule == "with":
        return f"How many {colour} {kind}s are there?", f"Count the {colour} {kind}s."
    return f"How many {kind}s are not {colour}?", f"Count the {kind}s that are not {colour}."


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
