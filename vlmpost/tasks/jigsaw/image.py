"""Image jigsaw: the shuffled tiles of one picture, to be put back in reading order.

The tiles are K separate pictures in the prompt, or one picture in which they lie shuffled. Pictures are drawn landscapes, or stored ones,
taken as: opened, resized, cropped in the middle, cut.

Source: arXiv 2509.25190, section 4.1; penghao-wu/visual_jigsaw at b3224c6, verl/utils/dataset/rl_dataset.py; one picture: arXiv
2505.23590. Departures:
1. Tiles have at least `min_tile_pixels` on each side after resizing and cropping; the paper drops pictures with a side below 84
   pixels, which is the same for 3 x 3 and no resizing.
2. A picture with two equal tiles is refused: it has more than one right answer.
3. A crop that is larger than the picture is refused; the code pads it with black.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import Field, model_validator

from vlmpost.media.images import open_image
from vlmpost.records import IMAGE, Example, Part
from vlmpost.tasks.jigsaw.jigsaw import JigsawOptions, JigsawTask, painted
from vlmpost.tasks.jigsaw.replies import sample_answer
from vlmpost.tasks.jigsaw.shuffling import shuffle, unshuffle
from vlmpost.tasks.jigsaw.tiles import Box, centre_crop, cut, framed, has_equal_tiles, joined, sheet_boxes, tile_boxes, whole_tiles
from vlmpost.tasks.material import Item, Unsuitable
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.scenes.landscape import draw_landscape

Reading = Literal["rows", "columns"]
Side = Annotated[int, Field(ge=1, le=16)]
Pixels = Annotated[int, Field(ge=1, le=10_000)]
_READINGS = {
    "rows": "row by row from the top, each row from left to right",
    "columns": "column by column from the left, each column from top to bottom",
}


class ImageJigsawOptions(JigsawOptions):
    """What can be chosen about the image jigsaw."""

    rows: Side = 3
    """Rows of the grid."""
    cols: Side = 3
    """Columns of the grid."""
    width: Pixels = 420
    """Width of a drawn picture."""
    height: Pixels = 336
    """Height of a drawn picture."""
    resize: tuple[Pixels, Pixels] | None = None
    """Width and height that a picture is resized to first. null: as it is."""
    crop: tuple[Pixels, Pixels] | None = None
    """Width and height of the middle that is cut out next. null: all of it."""
    min_tile_pixels: Pixels = 28
    """Least side of a tile: one patch of Qwen2.5-VL after merging."""
    layout: Literal["tiles", "one_image"] = "tiles"
    """K pictures, or one in which the tiles lie shuffled; for one, what makes tiles unequal is cut off right and at the bottom."""
    gap_pixels: int = Field(0, ge=0, le=100)
    """Grey gap between the tiles of one image."""
    border_pixels: int = Field(0, ge=0, le=100)
    """Black border laid over each tile, so that edges say nothing of neighbours."""
    reading: Reading = "rows"
    """In which order the tiles are asked for."""

    @model_validator(mode="after")
    def _fits(self) -> ImageJigsawOptions:
        if self.rows * self.cols < 2:
            raise ValueError("a grid of 1 x 1 has nothing to shuffle")
        if self.gap_pixels and self.layout == "tiles":
            raise ValueError("gap_pixels is for layout one_image")
        if 2 * self.border_pixels >= self.min_tile_pixels:
            raise ValueError(f"border_pixels {self.border_pixels} covers tiles of min_tile_pixels {self.min_tile_pixels}")
        return self


class ImageJigsaw(JigsawTask):
    """Tiles of a picture."""

    name = "image_jigsaw"
    options_type = ImageJigsawOptions
    material = "images"
    thing = "tile"
    thought = "I lay each tile where its colours and its edges go on."
    shifts = MappingProxyType({"none": {}, "rule": {"reading": "columns"}, "visual": {"palette": "negative"}})

    def pose(self, rng: random.Random, *, options: ImageJigsawOptions, difficulty: int | None) -> Problem:
        """Returns the puzzle of a drawn landscape; one landscape is in one split only."""
        seed = rng.getrandbits(48)
        size = _cut_size((options.width, options.height), options)
        scene = {"scene": {"kind": "landscape", "seed": seed, "size": [options.width, options.height]}}
        return self._puzzle(
            rng,
            lambda: _prepared(draw_landscape(seed, (options.width, options.height)), options),
            size=size,
            options=options,
            facts=scene,
            key=f"landscape {seed}",
        )

    def pose_on(self, rng: random.Random, item: Item, *, options: ImageJigsawOptions) -> Problem:
        """Returns the puzzle of a stored picture.

        Raises:
            DataError: It cannot be opened; `Unsuitable`: it is too small for the grid or the crop, or has equal tiles.
        """
        picture = open_image(item.images[0])
        size = _cut_size(picture.size, options)
        prepared = _prepared(picture, options)
        if has_equal_tiles(cut(prepared, tile_boxes(size, rows=options.rows, cols=options.cols))):
            raise Unsuitable("two tiles are equal", f"{picture.width} x {picture.height} in {options.rows} rows and {options.cols} columns")
        return self._puzzle(rng, lambda: prepared, size=size, options=options, facts={})

    def reasoning(self, example: Example) -> str:
        """Returns the row and the column of each tile."""
        grid: Any = example.meta["grid"]  # Any: JSON
        shown: Any = example.meta["shown"]
        places = [(thing // grid[1] + 1, thing % grid[1] + 1) for thing in shown]
        return "\n".join(f"Tile {label} belongs in row {row}, column {col}." for label, (row, col) in enumerate(places, start=1))

    def _puzzle(
        self,
        rng: random.Random,
        picture: Callable[[], Image.Image],
        *,
        size: tuple[int, int],
        options: ImageJigsawOptions,
        facts: Mapping[str, object],
        key: str = "",
    ) -> Problem:
        boxes = tile_boxes(size, rows=options.rows, cols=options.cols)
        asked = _reading_order(options.rows, options.cols, options.reading)
        grid: dict[str, object] = {"grid": [options.rows, options.cols], "size": list(size), "boxes": [list(box) for box in boxes]}
        grid |= {"layout": options.layout, "reading": options.reading, "gap_pixels": options.gap_pixels}
        return self.ordered(
            rng,
            asked=asked,
            options=options,
            question=_question(options),
            content={**grid, **facts},
            draw=lambda shown: _pictures(picture(), boxes, shown, options),
            key=key,
        )


def restored(example: Example) -> Image.Image:
    """Returns the picture that an example's answer puts together from the example's pictures.

    Without a border on the tiles it is the picture that was cut, to the pixel.
    """
    meta: Any = example.meta  # Any: JSON
    boxes, (rows, cols) = [tuple(box) for box in meta["boxes"]], meta["grid"]
    pictures = [Image.open(io.BytesIO(ref.data)) if ref.data is not None else open_image(ref) for ref in example.images]
    if meta["layout"] == "one_image":
        tile_size = (boxes[0][2], boxes[0][3])
        pictures = cut(pictures[0], sheet_boxes(tile_size, rows=rows, cols=cols, gap_pixels=meta["gap_pixels"]))
    asked = _reading_order(rows, cols, meta["reading"])
    return joined(unshuffle(pictures, meta["order"]), [boxes[thing] for thing in asked])


def _reading_order(rows: int, cols: int, reading: Reading) -> list[int]:
    if reading == "rows":
        return list(range(rows * cols))
    return [row * cols + col for col in range(cols) for row in range(rows)]


def _cut_size(size: tuple[int, int], options: ImageJigsawOptions) -> tuple[int, int]:
    """The size of what is cut into tiles.

    Raises:
        Unsuitable: It is too small for the crop or the grid.
    """
    width, height = options.resize or size
    if options.crop is not None:
        if options.crop[0] > width or options.crop[1] > height:
            raise Unsuitable("picture smaller than crop", f"{width} x {height}, crop is {options.crop[0]} x {options.crop[1]}")
        width, height = options.crop
    least = (options.cols * options.min_tile_pixels, options.rows * options.min_tile_pixels)
    if width < least[0] or height < least[1]:
        raise Unsuitable("picture too small for its tiles", f"{width} x {height}, at least {least[0]} x {least[1]}")
    return (width - width % options.cols, height - height % options.rows) if options.layout == "one_image" else (width, height)


def _prepared(picture: Image.Image, options: ImageJigsawOptions) -> Image.Image:
    """The picture that is cut."""
    if options.resize is not None:
        picture = picture.resize(options.resize)
    if options.crop is not None:
        picture = centre_crop(picture, options.crop)
    if options.layout == "one_image":
        picture = whole_tiles(picture, rows=options.rows, cols=options.cols)
    return painted(picture, options.palette)


def _pictures(picture: Image.Image, boxes: list[Box], shown: list[int], options: ImageJigsawOptions) -> list[Image.Image]:
    tiles = [framed(tile, border_pixels=options.border_pixels) for tile in shuffle(cut(picture, boxes), shown)]
    if options.layout == "tiles":
        return tiles
    return [joined(tiles, sheet_boxes(tiles[0].size, rows=options.rows, cols=options.cols, gap_pixels=options.gap_pixels))]


def _question(options: ImageJigsawOptions) -> tuple[Part, ...]:
    number = options.rows * options.cols
    in_list = [part for label in range(1, number + 1) for part in (f"Tile {label}: ", IMAGE, "\n")]
    tiles: tuple[Part, ...] = tuple(in_list) if options.layout == "tiles" else (IMAGE,)
    if options.prompt_style == "compact":
        return (*tiles, f"Which order of the {number} tiles is right, {_READINGS[options.reading]}?")
    grid = f"{options.rows} row{'s' * (options.rows > 1)} and {options.cols} column{'s' * (options.cols > 1)}"
    opening = f"A picture was cut into a grid of {grid}, and the {number} tiles were shuffled"
    if options.layout == "tiles":
        opening += ":\n"
        numbering = "The number of a tile is its place in this list."
    else:
        opening += " within the grid:\n"
        numbering = "The tiles are numbered as they lie now, row by row from the top, each row from left to right, starting with 1."
    task = (
        f" Put the picture together in your mind. Then list the numbers of the tiles in the order in which they belong in the whole "
        f"picture, {_READINGS[options.reading]}, with commas between them. An answer looks like this: {sample_answer(number)}\n"
    )
    return (opening, *tiles, ("" if options.layout == "tiles" else "\n") + numbering + task)
