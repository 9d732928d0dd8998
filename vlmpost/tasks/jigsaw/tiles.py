"""Pictures to tiles and back, to the pixel.

Of a width that does not divide, the first columns are a pixel wider than the rest, and so with rows: nothing is lost. Where the tiles
go into one sheet they have to be of one size: what is left over at the right and at the bottom is cut off first.

Source: penghao-wu/visual_jigsaw at b3224c6, verl/utils/dataset/jigsaw_utils.py, `slice_image`, `center_crop` (whose description says
that the last columns are wider; what runs widens the first); the sheet: arXiv 2505.23590.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw

Box = tuple[int, int, int, int]
"""Left, top, right, bottom; the last two lie outside."""
GAP_COLOUR: Final = (128, 128, 128)


def edges(length: int, parts: int) -> list[int]:
    """Returns where the parts of a length begin, and its end.

    >>> edges(641, 3)
    [0, 214, 428, 641]
    """
    size, extra = divmod(length, parts)
    return [part * size + min(part, extra) for part in range(parts + 1)]


def tile_boxes(size: tuple[int, int], *, rows: int, cols: int) -> list[Box]:
    """Returns the boxes of the tiles of a picture of this width and height, row by row."""
    lefts, tops = edges(size[0], cols), edges(size[1], rows)
    return [(lefts[col], tops[row], lefts[col + 1], tops[row + 1]) for row in range(rows) for col in range(cols)]


def cut(image: Image.Image, boxes: Sequence[Box]) -> list[Image.Image]:
    """Returns the parts of a picture."""
    return [image.crop(box) for box in boxes]


def joined(tiles: Sequence[Image.Image], boxes: Sequence[Box]) -> Image.Image:
    """Returns the picture whose parts these are; what no box covers is grey."""
    size = (max(box[2] for box in boxes), max(box[3] for box in boxes))
    image = Image.new("RGB", size, GAP_COLOUR)
    for tile, box in zip(tiles, boxes, strict=True):
        image.paste(tile, box[:2])
    return image


def sheet_boxes(tile_size: tuple[int, int], *, rows: int, cols: int, gap_pixels: int) -> list[Box]:
    """Returns the boxes of tiles of one size that lie on a sheet with gaps between them, row by row."""
    width, height = tile_size
    corners = [(col * (width + gap_pixels), row * (height + gap_pixels)) for row in range(rows) for col in range(cols)]
    return [(left, top, left + width, top + height) for left, top in corners]


def centre_crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Returns the middle of a picture; of an odd remainder the smaller half is cut off left and top."""
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))


def whole_tiles(image: Image.Image, *, rows: int, cols: int) -> Image.Image:
    """Returns the picture without the remainder at the right and the bottom that makes tiles unequal."""
    return image.crop((0, 0, image.width - image.width % cols, image.height - image.height % rows))


def framed(tile: Image.Image, *, border_pixels: int) -> Image.Image:
    """Returns the tile with its border blackened, so that edges say nothing of neighbours."""
    if border_pixels == 0:
        return tile
    covered = tile.copy()
    ImageDraw.Draw(covered).rectangle((0, 0, tile.width - 1, tile.height - 1), outline=(0, 0, 0), width=border_pixels)
    return covered


def has_equal_tiles(tiles: Sequence[Image.Image]) -> bool:
    """Whether two tiles are the same picture, so that the answer is not the only right one."""
    return len({(tile.size, tile.tobytes()) for tile in tiles}) < len(tiles)
