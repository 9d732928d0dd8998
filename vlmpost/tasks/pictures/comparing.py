"""Which colour has the most shapes. Difficulty adds colours and shapes, and narrows the winner's lead."""

from __future__ import annotations

import random

from vlmpost.tasks.pictures.drawing import SHAPES
from vlmpost.tasks.pictures.picture import PictureProblem
from vlmpost.tasks.pictures.scatter import NUM_CELLS, describe, draw_items, scatter

COMPARED_COLOURS = ("red", "green", "blue", "orange")
_NUM_COLOURS = {1: 2, 2: 3, 3: 3, 4: 4, 5: 4}
_TOP_COUNT = {1: (2, 3), 2: (2, 3), 3: (3, 5), 4: (3, 4), 5: (4, 5)}
_QUESTIONS = ("Which colour is the most common?", "Which colour has the most shapes?")


def pose(rng: random.Random, difficulty: int) -> PictureProblem:
    """Return a problem whose answer is the name of a colour."""
    counts = _counts(rng, difficulty)
    winner = max(counts, key=lambda colour: counts[colour])
    kinds = [(rng.choice(SHAPES), colour) for colour, count in counts.items() for _ in range(count)]
    items = scatter(rng, kinds)
    return PictureProblem(
        question=rng.choice(_QUESTIONS),
        answer=winner,
        answer_type="text",
        reasoning=", ".join(f"{colour} {count}" for colour, count in counts.items()) + f", so {winner}",
        content={"items": describe(items)},
        draw=lambda: draw_items(items),
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
            counts = dict(zip(chosen, [top, *rest], strict=True))
            return {colour: counts[colour] for colour in COMPARED_COLOURS if colour in counts}
