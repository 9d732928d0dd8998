"""Which patch of a picture was flipped in its place, and how, as in Spatial-SSRL (arXiv 2510.27606).

Difficulty: of 2 x 2 patches the one that stands on its head (1), the one that is mirrored (2), which one and how (3); of 3 x 3 patches
which one (4), which one and how (5).

Departure from the paper: it has 2 x 2 patches alone; 3 x 3, and the rule by which all patches but one are flipped, are added.
"""

from __future__ import annotations

import random
from typing import Literal

from PIL import Image

from vlmpost.tasks.answered import variants
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.puzzles import landscapes
from vlmpost.tasks.puzzles.landscapes import Landscape
from vlmpost.tasks.puzzles.puzzle import Puzzle, PuzzleOptions, PuzzleTask, boxes, offered

_GRIDS = {1: 2, 2: 2, 3: 2, 4: 3, 5: 3}
_UPRIGHT, _SIDEWAYS = "top to bottom", "left to right"
_AXES = {1: (_UPRIGHT,), 2: (_SIDEWAYS,), 3: (_UPRIGHT, _SIDEWAYS), 4: (_UPRIGHT, _SIDEWAYS), 5: (_UPRIGHT, _SIDEWAYS)}
_AXIS_ASKED = (3, 5)
"""Difficulties that ask how the patch was flipped too."""
_FLIPS = {_UPRIGHT: Image.Transpose.FLIP_TOP_BOTTOM, _SIDEWAYS: Image.Transpose.FLIP_LEFT_RIGHT}
_GRID_TEXT = "The picture consists of {0} x {0} patches, numbered in reading order. "


class FlippedPatchOptions(PuzzleOptions):
    """Options of flipped_patch."""

    rule: Literal["flipped", "left_alone"] = "flipped"
    """Which patch is asked for: the only one that was flipped, or the only one that was not."""


class FlippedPatch(PuzzleTask):
    """The patch that is not as the others."""

    name = "flipped_patch"
    options_type = FlippedPatchOptions
    shifts = variants(rule={"rule": "left_alone"}, visual={"scenery": "night"})

    def pose(self, rng: random.Random, *, options: FlippedPatchOptions, difficulty: int | None) -> Problem:
        """Returns a landscape with a patch flipped, or all but one."""
        assert difficulty is not None, self.name
        scene = landscapes.invent(rng)
        side = _GRIDS[difficulty]
        place, axis = rng.randrange(side * side), rng.choice(_AXES[difficulty])
        alone = options.rule == "left_alone"
        flipped = [patch for patch in range(side * side) if (patch == place) != alone]
        texts, asked = [f"patch {patch + 1}" for patch in range(side * side)], place
        if difficulty in _AXIS_ASKED and not alone:
            texts = [f"{patch}, flipped {how}" for patch in texts for how in _AXES[difficulty]]
            asked = len(_AXES[difficulty]) * place + _AXES[difficulty].index(axis)
        shown = offered(rng, len(texts), right=asked)
        found = f"All patches but patch {place + 1} were flipped {axis}." if alone else f"Only patch {place + 1} was flipped, {axis}."
        puzzle = Puzzle(
            question=_GRID_TEXT.format(side) + _question(rng, alone=alone, axis_asked=difficulty in _AXIS_ASKED),
            choices=tuple(texts[option] for option in shown),
            right=shown.index(asked),
            reasoning=found,
            scene=scene,
            content={"grid": [side, side], "flipped": flipped, "axis": axis},
            draw=lambda: (_draw(scene, side, flipped, axis, options),),
        )
        return puzzle.posed(options)


def _question(rng: random.Random, *, alone: bool, axis_asked: bool) -> str:
    if alone:
        return rng.choice(
            ("All but one were flipped in their places. Which one was not?", "Which patch alone was not flipped in its place?")
        )
    if axis_asked:
        return rng.choice(("One was flipped in its place. Which one, and how?", "Which patch was flipped in its place, and how?"))
    return rng.choice(("One was flipped in its place. Which one?", "Which patch was flipped in its place?"))


def _draw(scene: Landscape, side: int, flipped: list[int], axis: str, options: FlippedPatchOptions) -> Image.Image:
    whole = landscapes.draw(scene, size_pixels=options.size_pixels, scenery=options.scenery)
    cells = boxes(side, side, size_pixels=options.size_pixels)
    picture = whole.crop((0, 0, *cells[-1][2:]))
    for patch in flipped:
        picture.paste(whole.crop(cells[patch]).transpose(_FLIPS[axis]), cells[patch][:2])
    return picture
