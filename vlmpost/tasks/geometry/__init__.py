"""Drawn figures with exact answers: sides, angles, lengths, areas and coordinates.

Difficulty: sides of a polygon, coordinates (1); area of a rectangle, third angle of a triangle (2); Pythagoras, isosceles triangles
(3); L-shapes, distances on a grid (4); stairs, triangles on a grid (5).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from vlmpost.records import IMAGE, Example
from vlmpost.tasks.answered import AnsweredTask, reasoned, variants
from vlmpost.tasks.geometry import grids, shapes
from vlmpost.tasks.geometry.figure import Figure
from vlmpost.tasks.geometry.marks import FILLS, LOOKS, draw_marks
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import Task, TaskOptions

_KINDS: Mapping[int, Mapping[str, Callable[..., Figure]]] = MappingProxyType(
    {
        1: {"sides": shapes.sides, "point": grids.point},
        2: {"rectangle": shapes.rectangle, "triangle_angle": shapes.triangle_angle},
        3: {"right_triangle": shapes.right_triangle, "isosceles": shapes.isosceles},
        4: {"l_shape": functools.partial(shapes.steps, num_steps=2), "grid_distance": grids.distance},
        5: {"stairs": functools.partial(shapes.steps, num_steps=3), "grid_triangle": grids.area},
    }
)
_FORM = " Put the answer in \\boxed{}."


class GeometryOptions(TaskOptions):
    """Options of geometry."""

    size_pixels: int = Field(default=280, ge=140, le=1120)
    """The side of the picture."""
    rule: Literal["usual", "changed"] = "usual"
    """Usual: areas, angles, lengths. Changed: about the same figures, perimeters, exterior angles, diagonals, mirror images."""
    look: Literal["paper", "blueprint"] = "paper"
    """Dark lines on white, or broad light lines on blue."""


class Geometry(AnsweredTask):
    """Drawn figures with labelled sides and angles."""

    name = "geometry"
    options_type = GeometryOptions
    shifts = variants(rule={"rule": "changed"}, visual={"look": "blueprint"})
    difficulties = tuple(_KINDS)

    def pose(self, rng: random.Random, *, options: GeometryOptions, difficulty: int | None) -> Problem:
        """Returns a question about a figure; its colour has no part in the split."""
        assert difficulty is not None, self.name
        kind = rng.choice(sorted(_KINDS[difficulty]))
        figure = _KINDS[difficulty][kind](rng, changed=options.rule == "changed")
        fill = rng.choice(FILLS)
        changed = options.model_dump(mode="json", exclude_defaults=True)
        prompt = (IMAGE, figure.question + _FORM)
        content = {"kind": kind, **figure.content}
        return Problem(
            prompt=prompt,
            content={**content, "fill": fill, **({"options": changed} if changed else {})},
            solution=reasoned(figure.reasoning, figure.answer),
            answer=figure.answer,
            answer_type=figure.answer_type,
            draw=lambda: (draw_marks(figure.marks, size_pixels=options.size_pixels, look=LOOKS[options.look], fill=fill),),
            key=Problem(prompt=prompt, content=content).split_key,
        )

    def wrong_answers(self, example: Example) -> list[str]:
        """Returns numbers nearby; for a point its coordinates changed in their order, by a sign or by one."""
        assert example.answer is not None, example.id
        if example.answer_type == "number":
            return super().wrong_answers(example)
        x, y = (int(part) for part in example.answer.strip("()").split(","))
        others = [(y, x), (-x, y), (x, -y), (x + 1, y), (x, y - 1)]
        return [f"({across}, {up})" for across, up in others if (across, up) != (x, y)]


TASKS: Mapping[str, Task] = MappingProxyType({"geometry": Geometry()})
