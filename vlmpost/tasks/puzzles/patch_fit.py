"""Which of four pieces belongs into the hole of a picture, as in Spatial-SSRL's crop inpainting (arXiv 2510.27606).

The wrong pieces by difficulty: from other landscapes (1), from elsewhere in the picture (2), the right one turned (3); the right one
turned by 90 degrees both ways and either its middle enlarged or a wider piece made smaller, as in the paper (4); its middle, a
wider piece and one from a little aside (5).

Departure from the paper: it has one kind of wrong pieces, that of difficulty 4.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from PIL import Image

from vlmpost.tasks.answered import option_letter, variants
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.puzzles import landscapes
from vlmpost.tasks.puzzles.landscapes import Landscape
from vlmpost.tasks.puzzles.puzzle import Box, Puzzle, PuzzleOptions, PuzzleTask

_HOLE_SHARE = 0.3
_ASIDE_SHARE = 0.09
_CLEAR_SHARE = 0.012
_GREY = (128, 128, 128)
_KINDS = {
    1: ("other_scene", "other_scene", "other_scene"),
    2: ("elsewhere", "elsewhere", "elsewhere"),
    3: ("turned_90", "turned_180", "turned_270"),
    4: ("turned_90", "turned_270", "enlarged_or_wider"),
    5: ("enlarged", "wider", "aside"),
}
_QUESTIONS = {
    "as_shown": ("Which piece belongs into the grey hole?", "Which piece completes the picture?"),
    "mirrored": (
        "The pieces are shown mirrored left to right. Which one, mirrored back, belongs into the grey hole?",
        "Each piece was mirrored left to right before it was put here. Which piece completes the picture when it is mirrored back?",
    ),
}


class PatchFitOptions(PuzzleOptions):
    """Options of patch_fit."""

    rule: Literal["as_shown", "mirrored"] = "as_shown"
    """Whether the pieces are shown as they fit, or as in a mirror."""


class PatchFit(PuzzleTask):
    """The piece that fits."""

    name = "patch_fit"
    options_type = PatchFitOptions
    shifts = variants(rule={"rule": "mirrored"}, visual={"scenery": "night"})

    def pose(self, rng: random.Random, *, options: PatchFitOptions, difficulty: int | None) -> Problem:
        """Returns a landscape with a hole and four pieces."""
        assert difficulty is not None, self.name
        scene = landscapes.invent(rng)
        hole = _hole(rng, scene)
        kinds = [rng.choice(("enlarged", "wider")) if kind == "enlarged_or_wider" else kind for kind in _KINDS[difficulty]]
        kinds.insert(rng.randrange(4), "right")
        owners = [landscapes.invent(rng) if kind == "other_scene" else scene for kind in kinds]
        places = [_place(rng, kind, hole) for kind in kinds]
        right = kinds.index("right")
        puzzle = Puzzle(
            question=rng.choice(_QUESTIONS[options.rule]),
            choices=tuple(option_letter(place) for place in range(4)),
            right=right,
            reasoning=f"Lines and colours run on across the edge of the hole only with piece {option_letter(right)}.",
            scene=scene,
            content={
                "hole": list(hole),
                "pieces": kinds,
                "places": [list(place) for place in places],
                "owners": [owner.described() for owner in owners if owner is not scene],
            },
            draw=lambda: _draw(owners, kinds, hole, places, options),
            pictured=True,
        )
        return puzzle.posed(options)


def _hole(rng: random.Random, scene: Landscape) -> tuple[float, float]:
    """Returns the centre of a hole that the horizon crosses and whose border runs along no edge of a thing: there nothing fits."""
    half = _HOLE_SHARE / 2
    while True:
        across, down = rng.uniform(0.25, 0.75), scene.horizon + rng.uniform(-0.1, 0.1)
        upright, level = scene.upright_edges(), scene.level_edges(across - half, across + half)
        if _clear(across - half, upright) and _clear(across + half, upright) and _clear(down - half, level) and _clear(down + half, level):
            return across, down


def _clear(border: float, edges: Sequence[float]) -> bool:
    return all(abs(border - edge) > _CLEAR_SHARE for edge in edges)


def _place(rng: random.Random, kind: str, hole: tuple[float, float]) -> tuple[float, float]:
    """Returns the centre of the place where a piece of this kind is cut out."""
    if kind == "aside":
        return (hole[0] + rng.choice((-1, 1)) * _ASIDE_SHARE, hole[1])
    while kind == "elsewhere":
        place = (rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8))
        if max(abs(place[0] - hole[0]), abs(place[1] - hole[1])) > _HOLE_SHARE / 2:
            return place
    return hole


def _draw(
    owners: list[Landscape], kinds: list[str], hole: tuple[float, float], places: list[tuple[float, float]], options: PatchFitOptions
) -> Sequence[Image.Image]:
    size = options.size_pixels
    scene = owners[kinds.index("right")]
    whole = landscapes.draw(scene, size_pixels=size, scenery=options.scenery)
    box = _box(hole, _HOLE_SHARE, size)
    holed = whole.copy()
    holed.paste(_GREY, box)
    pieces = []
    for kind, owner, place in zip(kinds, owners, places, strict=True):
        source = whole if owner is scene else landscapes.draw(owner, size_pixels=size, scenery=options.scenery)
        pieces.append(_piece(source, kind, place, size))
    if options.rule == "mirrored":
        pieces = [piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for piece in pieces]
    return (holed, *pieces)


def _piece(source: Image.Image, kind: str, centre: tuple[float, float], size: int) -> Image.Image:
    side = round(_HOLE_SHARE * size)
    share = {"enlarged": 0.6, "wider": 1.5}.get(kind, 1.0) * _HOLE_SHARE
    piece = source.crop(_box(centre, share, size))
    if share != _HOLE_SHARE:
        piece = piece.resize((side, side), Image.Resampling.BICUBIC)
    return piece.rotate(int(kind.removeprefix("turned_"))) if kind.startswith("turned_") else piece


def _box(centre: tuple[float, float], share: float, size: int) -> Box:
    side = round(share * size)
    left, top = round(centre[0] * size - side / 2), round(centre[1] * size - side / 2)
    return (left, top, left + side, top + side)
