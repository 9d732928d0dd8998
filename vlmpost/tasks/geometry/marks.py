"""What a geometry figure is drawn of, as data, and how it is drawn: no font, no file.

Places are shares of the picture's side, x to the right and y downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from vlmpost.tasks.pictures.drawing import Colour, draw_digit

Place = tuple[float, float]
_FINER = 2
"""Figures are drawn this many times larger and then reduced, for smooth lines."""
_DOTS_ACROSS = 140
"""A dot of a label is the picture's side divided by this."""

_SIGNS = {
    "?": ("01110", "10001", "00001", "00110", "00100", "00000", "00100"),
    "-": ("00000", "00000", "00000", "01110", "00000", "00000", "00000"),
    "'": ("01100", "10010", "10010", "01100", "00000", "00000", "00000"),
    "x": ("00000", "00000", "10001", "01010", "00100", "01010", "10001"),
    "y": ("00000", "00000", "10001", "10001", "01111", "00001", "01110"),
    "P": ("11110", "10001", "10001", "11110", "10000", "10000", "10000"),
    "Q": ("01110", "10001", "10001", "10001", "10101", "10010", "01101"),
}
"""Further glyphs of the size of the digits; ' is the degree sign."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through places; `closed` and `filled` make it a polygon."""

    places: tuple[Place, ...]
    closed: bool = False
    filled: bool = False
    thin: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """A round spot."""

    place: Place


@dataclass(frozen=True, slots=True)
class Label:
    """A short text centred on a place."""

    text: str
    place: Place


Mark = Line | Dot | Label


@dataclass(frozen=True, slots=True)
class Look:
    """The tones of a figure."""

    paper: Colour
    ink: Colour
    grid: Colour
    line_pixels: int
    """Width of a line in a picture of 280 pixels."""
    fills: Mapping[str, Colour]
    """What polygons and dots are filled with, by name."""


LOOKS = {
    "paper": Look(
        paper=(255, 255, 255),
        ink=(20, 20, 20),
        grid=(210, 210, 210),
        line_pixels=2,
        fills={"red": (235, 120, 110), "green": (120, 190, 120), "blue": (120, 160, 235), "orange": (245, 180, 90)},
    ),
    "blueprint": Look(
        paper=(24, 48, 110),
        ink=(240, 244, 255),
        grid=(70, 96, 160),
        line_pixels=4,
        fills={"red": (120, 30, 40), "green": (10, 90, 60), "blue": (40, 80, 170), "orange": (130, 70, 10)},
    ),
}
"""By the option `look`."""
FILLS = ("blue", "green", "orange", "red")


def draw_marks(marks: Sequence[Mark], *, size_pixels: int, look: Look, fill: str) -> Image.Image:
    """Returns the square picture of the marks, drawn in their order; `fill` is one of `FILLS`."""
    side = size_pixels * _FINER
    image = Image.new("RGB", (side, side), look.paper)
    pen = ImageDraw.Draw(image)
    width = max(1, round(look.line_pixels * side / 280))
    for mark in marks:
        if isinstance(mark, Line):
            _draw_line(pen, mark, side=side, width=width, look=look, fill=look.fills[fill])
        elif isinstance(mark, Dot):
            (x, y), radius = mark.place, 0.022
            pen.ellipse(
                [edge * side for edge in (x - radius, y - radius, x + radius, y + radius)],
                fill=look.fills[fill],
                outline=look.ink,
                width=width,
            )
        else:
            _draw_label(pen, mark, side=side, colour=look.ink)
    return image.resize((size_pixels, size_pixels), Image.Resampling.BOX)


def _draw_line(pen: ImageDraw.ImageDraw, line: Line, *, side: int, width: int, look: Look, fill: Colour) -> None:
    places = [(x * side, y * side) for x, y in line.places]
    if line.filled:
        pen.polygon(places, fill=fill)
    if line.closed:
        places = [*places, *places[:2]]
    pen.line(places, fill=look.grid if line.thin else look.ink, width=max(1, width // 2) if line.thin else width, joint="curve")


def _draw_label(pen: ImageDraw.ImageDraw, label: Label, *, side: int, colour: Colour) -> None:
    dot = max(1, side // _DOTS_ACROSS)
    left = round(label.place[0] * side - dot * (6 * len(label.text) - 1) / 2)
    top = round(label.place[1] * side - dot * 3.5)
    for position, sign in enumerate(label.text):
        x = left + 6 * dot * position
        if sign.isdigit():
            draw_digit(pen, int(sign), x=x, y=top, dot_pixels=dot, colour=colour)
            continue
        for row, dots in enumerate(_SIGNS[sign]):
            for column, on in enumerate(dots):
                if on == "1":
                    at = (x + column * dot, top + row * dot)
                    pen.rectangle((*at, at[0] + dot - 1, at[1] + dot - 1), fill=colour)
