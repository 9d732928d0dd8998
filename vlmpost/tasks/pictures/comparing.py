"""Which colour has the most shapes, or the fewest. Difficulty adds colours and shapes, and narrows the winner's lead."""

from __future__ import annotations

import random
from typing import Literal

from vlmpost.tasks.pictures.drawing import LOOKS, SHAPES
from vlmpost.tasks.pictures.picture import PictureOptions, PictureProblem
from vlmpost.tasks.pictures.scatter import NUM_CELLS, describe, draw_items, scatter, tilts

COMPARED_COLOURS = ("red", "green", "blue", "orange")
_NUM_COLOURS = {1: 2, 2: 3, 3: 3, 4: 4, 5: 4}
_TOP_COUNT = {1: (2, 3), 2: (2, 3), 3: (3, 5), 4: (3, 4), 5: (4, 5)}
_BOTTOM_COUNT = {1: (1, 2), 2: (1, 2), 3: (1, 3), 4: (1, 2), 5: (2, 3)}
_MAX_COUNT = 5
_QUESTIONS = {
    "most": ("Which colour is the most common?", "Which colour has the most shapes?"),
    "least": ("Of the colours there are, which is the least common?", "Of the colours there are, which has the fewest shapes?"),
}


class ComparingOptions(PictureOptions):
    """Options of comparing."""

    rule: Literal["most", "least"] = "most"
    """Which colour is asked for."""
    shapes: Literal["upright", "tilted"] = "upright"
    """How the shapes stand."""


def pose(rng: random.Random, difficulty: int, options: ComparingOptions) -> PictureProblem:
    """Return a problem whose answer is the name of a colour."""
    counts = _counts(rng, difficulty) if options.rule == "most" else _counts_of_fewest(rng, difficulty)
    best = max if options.rule == "most" else min
    winner = best(counts, key=lambda colour: counts[colour])
    kinds = [(rng.choice(SHAPES), colour) for colour, count in counts.items() for _ in range(count)]
    items = scatter(rng, kinds)
    question = rng.choice(_QUESTIONS[options.rule])
    angles = tilts(rng, items) if options.shapes == "tilted" else []
    return PictureProblem(
        question=question,
        answer=winner,
        answer_type="text",
        reasoning=", ".join(f"{colour} {count}" for colour, count in counts.items()) + f", so {winner}",
        content={"items": describe(items)},
        draw=lambda: draw_items(items, look=LOOKS[options.tones], angles=angles),
        looks={"angles": angles} if angles else {},
    )


def _counts(rng: random.Random, difficulty: int) -> dict[str, int]:
    """Return the number of shapes by colour, in the palette's order, with one clear winner."""
    chosen = rng.sample(COMPARED_COLOURS, _NUM_COLOURS[difficulty])
    while True:
        top = rng.randint(*_TOP_COUNT[difficulty])
        rest = [rng.randint(1, top - 1) for _ in chosen[1:]]
        if difficulty >= 4:
            rest[0] = top - 1
        if top + sum(rest) <= NUM_CELLS:
            return _in_order(chosen, [top, *rest])


def _counts_of_fewest(rng: random.Random, difficulty: int) -> dict[str, int]:
    """Return the number of shapes by colour with one that has clearly the fewest."""
    chosen = rng.sample(COMPARED_COLOURS, _NUM_COLOURS[difficulty])
    while True:
        bottom = rng.randint(*_BOTTOM_COUNT[difficulty])
        rest = [rng.randint(bottom + 1, _MAX_COUNT) for _ in chosen[1:]]
        if difficulty >= 4:
            rest[0] = bottom + 1
        if bottom + sum(rest) <= NUM_CELLS:
            return _in_order(chosen, [bottom, *rest])


def _in_order(chosen: list[str], counts: list[int]) -> dict[str, int]:
    by_colour = dict(zip(chosen, counts, strict=True))
    return {colour: by_colour[colour] for colour in COMPARED_COLOURS if colour in by_colour}
