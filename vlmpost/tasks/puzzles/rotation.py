"""By how many degrees a picture was turned, as in SSL4RL (arXiv 2510.16416).

Difficulty: upside down or not (1), multiples of 90 degrees (2), the same of the middle of a larger picture (3), multiples of 45
degrees (4), of 30 (5).

Departures from the paper:
1. Options with letters instead of a number of degrees; angles that are no multiples of 90 besides.
2. The upright picture is not shown beside the turned one, unless `upright_too` asks for it: the drawn landscapes have a sky.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from PIL import Image

from vlmpost.tasks.answered import variants
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.puzzles import landscapes
from vlmpost.tasks.puzzles.landscapes import Landscape
from vlmpost.tasks.puzzles.puzzle import Puzzle, PuzzleOptions, PuzzleTask, offered

_STEPS = {1: 180, 2: 90, 3: 90, 4: 45, 5: 30}
_CROPPED_FROM = 3
"""From this difficulty on the middle of a larger picture is shown, so that turning leaves no empty corners."""
_DIAGONAL = 1.5
_QUESTIONS = ("By how many degrees was this picture turned {0}?", "This picture was turned {0}. By how many degrees?")
_TWO_QUESTIONS = ("By how many degrees was the second picture turned {0}?", "The second picture was turned {0}. By how many degrees?")


class RotationOptions(PuzzleOptions):
    """Options of rotation."""

    rule: Literal["counter-clockwise", "clockwise"] = "counter-clockwise"
    """Which way degrees are counted; the question says it."""
    upright_too: bool = False
    """Whether the picture as it was is shown first."""


class Rotation(PuzzleTask):
    """How far a picture was turned."""

    name = "rotation"
    options_type = RotationOptions
    shifts = variants(rule={"rule": "clockwise"}, visual={"scenery": "night"})

    def pose(self, rng: random.Random, *, options: RotationOptions, difficulty: int | None) -> Problem:
        """Returns a turned landscape."""
        assert difficulty is not None, self.name
        scene = landscapes.invent(rng)
        angles = list(range(0, 360, _STEPS[difficulty]))
        place = rng.randrange(len(angles))
        shown = offered(rng, len(angles), right=place)
        angle = angles[place] if options.rule == "counter-clockwise" else -angles[place] % 360
        question = rng.choice(_TWO_QUESTIONS if options.upright_too else _QUESTIONS).format(options.rule)
        puzzle = Puzzle(
            question=question,
            choices=tuple(f"{angles[option]} degrees" for option in shown),
            right=shown.index(place),
            reasoning=f"The sky lies towards {12 - angle / 30:g} o'clock, so it was turned {options.rule} by {angles[place]} degrees.",
            scene=scene,
            content={"degrees_counter_clockwise": angle},
            draw=lambda: _draw(scene, angle, options, cropped=difficulty >= _CROPPED_FROM),
            num_images=2 if options.upright_too else 1,
        )
        return puzzle.posed(options)


def _draw(scene: Landscape, angle: int, options: RotationOptions, *, cropped: bool) -> Sequence[Image.Image]:
    size = options.size_pixels
    side = round(size * _DIAGONAL) if cropped else size
    whole = landscapes.draw(scene, size_pixels=side, scenery=options.scenery)
    margin = (side - size) // 2
    box = (margin, margin, margin + size, margin + size)
    turned = whole.rotate(angle, resample=Image.Resampling.BICUBIC).crop(box)
    return (whole.crop(box), turned) if options.upright_too else (turned,)
