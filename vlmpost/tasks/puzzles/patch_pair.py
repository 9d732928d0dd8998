"""How two patches of a shuffled picture lay to each other, as in the pair task of Jigsaw-R1 (arXiv 2505.23590).

The patches are pasted shuffled into one picture and numbered in reading order. Difficulty is the grid: 1 x 2 or 2 x 1, 2 x 2, 2 x 3 or
3 x 2, 3 x 3, 4 x 4. `mask_share` blackens the patches' borders, as the paper's `mask_ratio` does, so that borders cannot be matched.

As there, the options are the relations that the grid has room for: eight, or two where it is a single row or column.

Departure from the paper: landscapes are drawn; rows and columns are equally often the longer side instead of being swapped at random.
"""

from __future__ import annotations

import random
from typing import Literal

from PIL import Image
from pydantic import Field

from vlmpost.tasks.answered import variants
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.puzzles import landscapes
from vlmpost.tasks.puzzles.landscapes import Landscape
from vlmpost.tasks.puzzles.puzzle import Puzzle, PuzzleOptions, PuzzleTask, boxes

_GRIDS = {1: ((1, 2), (2, 1)), 2: ((2, 2),), 3: ((2, 3), (3, 2)), 4: ((3, 3),), 5: ((4, 4),)}
_RELATIONS = {
    (-1, -1): "above and to the left",
    (-1, 0): "directly above",
    (-1, 1): "above and to the right",
    (0, -1): "directly to the left",
    (0, 1): "directly to the right",
    (1, -1): "below and to the left",
    (1, 0): "directly below",
    (1, 1): "below and to the right",
}
"""By the signs of the steps down and across. "Directly" means in the same row or column, at any distance."""
_QUESTION = (
    "The picture was cut into {rows} x {columns} patches (rows x columns), which were shuffled and are numbered in reading order as they "
    "stand now. Before that, where was patch {one} seen from patch {other}{mirrored}?"
)
_MIRRORED = ", if the picture is first mirrored left to right"


class PatchPairOptions(PuzzleOptions):
    """Options of patch_pair."""

    rule: Literal["as_shown", "mirrored"] = "as_shown"
    """Whether the relation is asked for in the picture as it was, or in its mirror image."""
    mask_share: float = Field(default=0.0, ge=0, le=0.3)
    """How much of a patch is blackened at each of its borders, as a share of its side."""


class PatchPair(PuzzleTask):
    """How two shuffled patches lay to each other."""

    name = "patch_pair"
    options_type = PatchPairOptions
    shifts = variants(rule={"rule": "mirrored"}, visual={"scenery": "night"})

    def pose(self, rng: random.Random, *, options: PatchPairOptions, difficulty: int | None) -> Problem:
        """Returns a shuffled landscape and two of its patches."""
        assert difficulty is not None, self.name
        scene = landscapes.invent(rng)
        rows, columns = rng.choice(_GRIDS[difficulty])
        order = list(range(rows * columns))
        rng.shuffle(order)
        one, other = rng.sample(range(rows * columns), 2)
        seen = _relation(order[other], order[one], columns=columns)
        asked = (seen[0], -seen[1]) if options.rule == "mirrored" else seen
        offered = [step for step in _RELATIONS if (rows > 1 or step[0] == 0) and (columns > 1 or step[1] == 0)]
        numbered = {"one": one + 1, "other": other + 1}
        reasoning = f"Patch {one + 1} was {_RELATIONS[seen]}, seen from patch {other + 1}."
        if options.rule == "mirrored":
            reasoning += f" Mirrored, that is {_RELATIONS[asked]}."
        puzzle = Puzzle(
            question=_QUESTION.format(rows=rows, columns=columns, mirrored=_MIRRORED if options.rule == "mirrored" else "", **numbered),
            choices=tuple(_RELATIONS[step] for step in offered),
            right=offered.index(asked),
            reasoning=reasoning,
            scene=scene,
            content={"grid": [rows, columns], "order": order, **numbered},
            draw=lambda: (_draw(scene, (rows, columns), order, options),),
        )
        return puzzle.posed(options)


def _relation(start: int, end: int, *, columns: int) -> tuple[int, int]:
    """Returns the signs of the steps down and across from one cell to another."""
    down, across = end // columns - start // columns, end % columns - start % columns
    return (down > 0) - (down < 0), (across > 0) - (across < 0)


def _draw(scene: Landscape, grid: tuple[int, int], order: list[int], options: PatchPairOptions) -> Image.Image:
    """Returns the picture in which place i shows what was at place `order[i]`."""
    whole = landscapes.draw(scene, size_pixels=options.size_pixels, scenery=options.scenery)
    cells = boxes(*grid, size_pixels=options.size_pixels)
    shuffled = Image.new("RGB", cells[-1][2:])
    for cell, source in zip(cells, order, strict=True):
        wide, high = cell[2] - cell[0], cell[3] - cell[1]
        across, down = round(wide * options.mask_share), round(high * options.mask_share)
        kept = whole.crop(cells[source]).crop((across, down, wide - across, high - down))
        shuffled.paste(kept, (cell[0] + across, cell[1] + down))
    return shuffled
