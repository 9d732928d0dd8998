"""Depth jigsaw (3D): numbered points in one picture, to be ordered by their distance from the camera.

Pictures are drawn rooms with exact depth, or stored ones with a depth map, or with points that are sorted already.

Source: arXiv 2509.25190, section 4.3; penghao-wu/visual_jigsaw at b3224c6, verl/utils/dataset/rl_dataset.py. Points and pixels are those
of the native picture; the markers are drawn on it, then it is resized. Departures: those of `points.py` and `markers.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from PIL import Image
from pydantic import Field, model_validator

from vlmpost.media.depth import MILLIMETRE, fitted, read_depth
from vlmpost.media.images import open_image
from vlmpost.records import IMAGE, Example, Part
from vlmpost.tasks.jigsaw.jigsaw import JigsawOptions, JigsawTask, painted
from vlmpost.tasks.jigsaw.markers import mark
from vlmpost.tasks.jigsaw.points import Point, PointRule, sample_points
from vlmpost.tasks.jigsaw.shuffling import shuffle
from vlmpost.tasks.material import Item, Unsuitable
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.scenes.room import draw_room

Direction = Literal["near_to_far", "far_to_near"]
_DIRECTIONS = {"near_to_far": "from the closest to the farthest", "far_to_near": "from the farthest to the closest"}
_MAX_ROOMS = 20


class DepthJigsawOptions(JigsawOptions):
    """What can be chosen about the depth jigsaw."""

    num_points: int = Field(6, ge=2, le=20)
    """Marked points. Rows that bring their points have as many as they bring."""
    min_metres: float = Field(0.1, gt=0)
    """Least depth of a point."""
    max_metres: float = Field(10.0, gt=0)
    """Largest depth of a point."""
    min_pixels_apart: float = Field(40.0, ge=0)
    """Least distance of two points in the native picture."""
    min_metres_apart: float = Field(0.2, ge=0)
    """Two points differ by more than this in depth."""
    flat_pixels: int = Field(6, ge=0, le=100)
    """How far around a point depth has to be steady; 0, as published, lets points lie on edges."""
    marker_radius: int = Field(15, ge=4, le=200)
    """Radius of a marker in pixels of the native picture."""
    resize: tuple[int, int] | None = (644, 476)
    """Width and height that the marked picture is resized to: 23 x 17 patches of 28 pixels. null: as it is."""
    depth_unit_metres: float = Field(MILLIMETRE, gt=0)
    """What 1 means in a depth map of whole numbers."""
    width: int = Field(640, ge=56, le=4000)
    """Width of a drawn picture."""
    height: int = Field(480, ge=56, le=4000)
    """Height of a drawn picture."""
    direction: Direction = "near_to_far"
    """In which order the points are asked for."""

    @model_validator(mode="after")
    def _fits(self) -> DepthJigsawOptions:
        if self.min_metres >= self.max_metres:
            raise ValueError(f"min_metres {self.min_metres} is not below max_metres {self.max_metres}")
        if self.resize is not None and min(self.resize) < 1:
            raise ValueError(f"resize {list(self.resize)} needs a width and a height of 1 or more")
        return self

    @property
    def rule(self) -> PointRule:
        """What the points have to keep."""
        return PointRule(
            num_points=self.num_points,
            min_metres=self.min_metres,
            max_metres=self.max_metres,
            min_pixels_apart=self.min_pixels_apart,
            min_metres_apart=self.min_metres_apart,
            margin_pixels=self.marker_radius,
            flat_pixels=self.flat_pixels,
        )


class DepthJigsaw(JigsawTask):
    """Points at different depths."""

    name = "depth_jigsaw"
    options_type = DepthJigsawOptions
    material = "rgbd"
    thing = "point"
    thought = "I compare how far each marked point is from the camera."
    shifts = MappingProxyType({"none": {}, "rule": {"direction": "far_to_near"}, "visual": {"palette": "negative"}})

    def pose(self, rng: random.Random, *, options: DepthJigsawOptions, difficulty: int | None) -> Problem:
        """Returns the puzzle of a drawn room; one room is in one split only.

        Raises:
            Unsuitable: The rule for points is so strict that no room has enough of them.
        """
        size = (options.width, options.height)
        for attempt in range(_MAX_ROOMS):
            seed = rng.getrandbits(48)
            room = draw_room(seed, size)
            try:
                found = sample_points(rng, size, room.depths, options.rule)
                break
            except Unsuitable:
                if attempt + 1 == _MAX_ROOMS:
                    raise
        scene: dict[str, object] = {"scene": {"kind": "room", "seed": seed, "size": list(size)}}
        scene["depths_metres"] = [round(depth, 4) for _, depth in found]
        points = [point for point, _ in found]
        return self._puzzle(rng, room.picture, points, options=options, facts=scene, key=f"room {seed}")

    def pose_on(self, rng: random.Random, item: Item, *, options: DepthJigsawOptions) -> Problem:
        """Returns the puzzle of a stored picture with its depth map, or with its points.

        Raises:
            DataError: A file cannot be opened; `Unsuitable`: there are too few points, or one lies outside.
        """
        picture = open_image(item.images[0])
        if item.points:
            points, facts = _given_points(item, picture.size), {}
        else:
            if item.depth is None:
                raise Unsuitable("no depth map", f"{item.where} has neither a depth map nor points")
            depth = fitted(read_depth(item.depth, metres_per_unit=options.depth_unit_metres), picture.size, where=item.depth)
            found = sample_points(rng, picture.size, lambda rows, cols: depth[rows, cols], options.rule)
            points, facts = [point for point, _ in found], {"depths_metres": [round(metres, 4) for _, metres in found]}
        return self._puzzle(rng, lambda: picture, points, options=options, facts=facts)

    def reasoning(self, example: Example) -> str:
        """Returns the depth of each marked point, or its rank where depths are not known."""
        meta: Any = example.meta  # Any: JSON
        if "depths_metres" in meta:
            said = [f"about {meta['depths_metres'][thing]:.1f} m away" for thing in meta["shown"]]
        else:
            said = [f"number {thing + 1} from the camera" for thing in meta["shown"]]
        return "\n".join(f"Point {label} is {words}." for label, words in enumerate(said, start=1))

    def _puzzle(
        self,
        rng: random.Random,
        picture: Callable[[], Image.Image],
        points: Sequence[Point],
        *,
        options: DepthJigsawOptions,
        facts: Mapping[str, object],
        key: str = "",
    ) -> Problem:
        near_to_far = list(range(len(points)))
        return self.ordered(
            rng,
            asked=near_to_far if options.direction == "near_to_far" else near_to_far[::-1],
            options=options,
            question=_question(options, num_points=len(points)),
            content={"points": [list(point) for point in points], "direction": options.direction, **facts},
            draw=lambda shown: [_marked(picture(), shuffle(points, shown), options)],
            key=key,
        )


def _marked(picture: Image.Image, points: Sequence[Point], options: DepthJigsawOptions) -> Image.Image:
    marked = mark(painted(picture, options.palette), points, radius=options.marker_radius)
    return marked if options.resize is None else marked.resize(options.resize)


def _given_points(item: Item, size: tuple[int, int]) -> list[Point]:
    outside = [point for point in item.points if not (0 <= point[0] < size[1] and 0 <= point[1] < size[0])]
    if outside:
        raise Unsuitable("point outside the picture", f"[row, column] {list(outside[0])} in {size[0]} x {size[1]}")
    if not 2 <= len(set(item.points)) == len(item.points):
        raise Unsuitable("points not usable", f"{len(item.points)} points, of which {len(set(item.points))} are different")
    return list(item.points)


def _question(options: DepthJigsawOptions, *, num_points: int) -> tuple[Part, ...]:
    if options.prompt_style == "compact":
        return (IMAGE, f"Order the {num_points} points {_DIRECTIONS[options.direction]}.")
    task = (
        f"\nIn this picture {num_points} points are marked by red circles, numbered 1 to {num_points}. How far from the camera is what is "
        f"at the middle of each circle? List the numbers in order of that distance, {_DIRECTIONS[options.direction]}, with commas "
        f"between them.\n"
    )
    return (IMAGE, task)
