"""Marks on a picture: shapes, digits and a canvas, drawn with Pillow's primitives only.

Digits are our own 5 x 7 glyphs, drawn as squares, or seven segments: a system font would make the pictures depend on the machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from vlmpost.tasks.pictures.picture import HEIGHT_PIXELS, WIDTH_PIXELS

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (20, 20, 20)
GRID: Colour = (205, 205, 205)
COLOURS: dict[str, Colour] = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "orange": (245, 160, 30),
    "purple": (140, 50, 170),
}
DEEP_COLOURS: dict[str, Colour] = {
    "red": (150, 0, 20),
    "green": (0, 95, 20),
    "blue": (0, 0, 140),
    "orange": (205, 100, 0),
    "purple": (90, 0, 120),
}
SHAPES = ("circle", "square", "triangle")


@dataclass(frozen=True, slots=True)
class Look:
    """The tones of a picture: its paper, its ink, the lines of a grid and the colours by name."""

    paper: Colour = PAPER
    ink: Colour = INK
    grid: Colour = GRID
    colours: Mapping[str, Colour] = field(default_factory=lambda: COLOURS)


PLAIN = Look()
LOOKS: dict[str, Look] = {"plain": PLAIN, "dusk": Look(paper=(205, 190, 160), ink=(30, 30, 40), grid=(175, 160, 130), colours=DEEP_COLOURS)}
"""By the option `tones`."""

_GLYPHS = {
    "0": ("01110", "10001", "10011", "10101", "11001", "10001", "01110"),
    "1": ("00100", "01100", "00100", "00100", "00100", "00100", "01110"),
    "2": ("01110", "10001", "00001", "00110", "01000", "10000", "11111"),
    "3": ("11110", "00001", "00001", "01110", "00001", "00001", "11110"),
    "4": ("00010", "00110", "01010", "10010", "11111", "00010", "00010"),
    "5": ("11111", "10000", "11110", "00001", "00001", "10001", "01110"),
    "6": ("01110", "10000", "10000", "11110", "10001", "10001", "01110"),
    "7": ("11111", "00001", "00010", "00100", "01000", "01000", "01000"),
    "8": ("01110", "10001", "10001", "01110", "10001", "10001", "01110"),
    "9": ("01110", "10001", "10001", "01111", "00001", "00001", "01110"),
}


def canvas(look: Look = PLAIN) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty picture and the pen that draws on it."""
    image = Image.new("RGB", (WIDTH_PIXELS, HEIGHT_PIXELS), look.paper)
    return image, ImageDraw.Draw(image)


def draw_shape(pen: ImageDraw.ImageDraw, shape: str, *, x: int, y: int, radius: int, colour: Colour, tilt: int = 0) -> None:
    """Draw one filled shape centred on (x, y), turned by `tilt` degrees counter-clockwise."""
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square" and not tilt:
        pen.rectangle(box, fill=colour)
    else:
        assert shape in ("square", "triangle"), shape
        corners = [(0, -1), (-1, 1), (1, 1)] if shape == "triangle" else [(-1, -1), (-1, 1), (1, 1), (1, -1)]
        cosine, sine = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
        turned = [(right * cosine + down * sine, down * cosine - right * sine) for right, down in corners]
        pen.polygon([(x + radius * right, y + radius * down) for right, down in turned], fill=colour)


def draw_digit(pen: ImageDraw.ImageDraw, digit: int, *, x: int, y: int, dot_pixels: int, colour: Colour) -> None:
    """Draw one digit whose top left corner is (x, y); it is 5 dots wide and 7 high."""
    for row, dots in enumerate(_GLYPHS[str(digit)]):
        for column, dot in enumerate(dots):
            if dot == "1":
                left, top = x + column * dot_pixels, y + row * dot_pixels
                pen.rectangle((left, top, left + dot_pixels - 1, top + dot_pixels - 1), fill=colour)


_SEGMENTS = {
    "0": "abcdef",
    "1": "bc",
    "2": "abdeg",
    "3": "abcdg",
    "4": "bcfg",
    "5": "acdfg",
    "6": "acdefg",
    "7": "abc",
    "8": "abcdefg",
    "9": "abcdfg",
}
_SEGMENT_BOXES = {
    "a": (0, 0, 5, 1),
    "b": (4, 0, 5, 4),
    "c": (4, 3, 5, 7),
    "d": (0, 6, 5, 7),
    "e": (0, 3, 1, 7),
    "f": (0, 0, 1, 4),
    "g": (0, 3, 5, 4),
}
"""Left, top, right and bottom of each segment in dots, in the usual lettering."""


def draw_segments(pen: ImageDraw.ImageDraw, digit: int, *, x: int, y: int, dot_pixels: int, colour: Colour) -> None:
    """Draw one digit as on a calculator, of the size that `draw_digit` draws it in."""
    for segment in _SEGMENTS[str(digit)]:
        left, top, right, bottom = (edge * dot_pixels for edge in _SEGMENT_BOXES[segment])
        pen.rectangle((x + left, y + top, x + right - 1, y + bottom - 1), fill=colour)
