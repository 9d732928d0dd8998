"""Where in a picture a patch comes from, as in SSL4RL's position task (arXiv 2510.16416).

Difficulty: a quadrant (1), half of a quadrant's side (2), one of nine places (3), half of its side (4), one of sixteen places (5).

Departure from the paper: it asks for the quadrant alone.
"""

from __future__ import annotations

import random
from typing import Literal

from PIL import Image

from vlmpost.tasks.answered import variants
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.puzzles import landscapes
from vlmpost.tasks.puzzles.landscapes import Landscape
from vlmpost.tasks.puzzles.puzzle import Box, Puzzle, PuzzleOptions, PuzzleTask, boxes, offered, place_name

_GRIDS = {1: 2, 2: 2, 3: 3, 4: 3, 5: 4}
_SHARES = {1: 1.0, 2: 0.5, 3: 1.0, 4: 0.5, 5: 1.0}
_QUESTIONS = {
    "as_shown": (
        "The second picture is a piece of the first. Where in the first does it come from?",
        "From which part of the first picture was the second one cut?",
    ),
    "half_turn": (
        "The second picture is a piece of the first. Where would the piece be if the first were turned by 180 degrees?",
        "From which part of the first picture was the second one cut? Say where that part is after the first is turned by 180 degrees.",
    ),
}


class PatchPositionOptions(PuzzleOptions):
    """Options of patch_position."""

    rule: Literal["as_shown", "half_turn"] = "as_shown"
    """Whether the place is asked for in the picture as it is, or as it would be after half a turn."""


class PatchPosition(PuzzleTask):
    """Where a patch was cut out."""

    name = "patch_position"
    options_type = PatchPositionOptions
    shifts = variants(rule={"rule": "half_turn"}, visual={"scenery": "night"})

    def pose(self, rng: random.Random, *, options: PatchPositionOptions, difficulty: int | None) -> Problem:
        """Returns a landscape and one of its patches."""
        assert difficulty is not None, self.name
        scene = landscapes.invent(rng)
        side = _GRIDS[difficulty]
        place = rng.randrange(side * side)
        offsets = (rng.random(), rng.random())
        box = _inside(boxes(side, side, size_pixels=options.size_pixels)[place], share=_SHARES[difficulty], offsets=offsets)
        names = tuple(place_name(row, column, rows=side, columns=side) for row in range(side) for column in range(side))
        asked = place if options.rule == "as_shown" else side * side - 1 - place
        shown = offered(rng, side * side, right=asked)
        reasoning = f"In the first picture the piece is found here: {names[place]}."
        if options.rule == "half_turn":
            reasoning += f" Turned by 180 degrees: {names[asked]}."
        puzzle = Puzzle(
            question=rng.choice(_QUESTIONS[options.rule]),
            choices=tuple(names[option] for option in shown),
            right=shown.index(asked),
            reasoning=reasoning,
            scene=scene,
            content={"place": place, "offsets": list(offsets)},
            draw=lambda: _draw(scene, box, options),
            num_images=2,
        )
        return puzzle.posed(options)


def _inside(box: Box, *, share: float, offsets: tuple[float, float]) -> Box:
    """Returns a part of the box: `share` of its sides, placed by the offsets between 0 and 1."""
    wide, high = round((box[2] - box[0]) * share), round((box[3] - box[1]) * share)
    left = box[0] + int(offsets[0] * (box[2] - box[0] - wide))
    top = box[1] + int(offsets[1] * (box[3] - box[1] - high))
    return (left, top, left + wide, top + high)


def _draw(scene: Landscape, box: Box, options: PatchPositionOptions) -> tuple[Image.Image, ...]:
    whole = landscapes.draw(scene, size_pixels=options.size_pixels, scenery=options.scenery)
    return whole, whole.crop(box)
