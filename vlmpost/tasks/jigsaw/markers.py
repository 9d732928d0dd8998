"""Numbered markers on a picture: half-transparent red circles with a white number in the middle.

Source: penghao-wu/visual_jigsaw at b3224c6, verl/utils/dataset/jigsaw_utils.py, `draw_numbered_markers` as rl_dataset.py calls it:
radius 15, fill alpha 120, opaque outline of 2 pixels, before the picture is resized. Departure: the digits are our own glyphs, not
DejaVu Sans, which is not on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw

from vlmpost.tasks.pictures.drawing import draw_digit

_RED: Final = (255, 0, 0)
_FILL_ALPHA: Final = 120
_OUTLINE_PIXELS: Final = 2
_WHITE: Final = (255, 255, 255)
_DIGIT_DOTS = (5, 7)
"""Width and height of a digit in dots; one dot lies between two digits."""


def mark(image: Image.Image, points: Sequence[tuple[int, int]], *, radius: int) -> Image.Image:
    """Returns the picture with marker i + 1 on the i-th of the points, which are [row, column]."""
    veil = Image.new("RGBA", image.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(veil)
    for row, col in points:
        box = (col - radius, row - radius, col + radius, row + radius)
        pen.ellipse(box, fill=(*_RED, _FILL_ALPHA), outline=(*_RED, 255), width=_OUTLINE_PIXELS)
    marked = Image.alpha_composite(image.convert("RGBA"), veil).convert("RGB")
    pen = ImageDraw.Draw(marked)
    for label, (row, col) in enumerate(points, start=1):
        _write(pen, str(label), row=row, col=col, radius=radius)
    return marked


def _write(pen: ImageDraw.ImageDraw, label: str, *, row: int, col: int, radius: int) -> None:
    dot = max(1, 2 * radius // 15)
    width, height = (len(label) * (_DIGIT_DOTS[0] + 1) - 1) * dot, _DIGIT_DOTS[1] * dot
    left, top = col - width // 2, row - height // 2
    for place, digit in enumerate(label):
        draw_digit(pen, int(digit), x=left + place * (_DIGIT_DOTS[0] + 1) * dot, y=top, dot_pixels=dot, colour=_WHITE)
