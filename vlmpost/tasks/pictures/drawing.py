"""Marks on a picture: shapes, digits and a canvas, drawn with Pillow's primitives only.

Digits are our own 5 x 7 glyphs, drawn as squares: a system font would make the pictures depend on the machine.
"""

from __future__ import annotations

from PIL import Image, ImageDraw

from vlmpost.tasks.pictures.picture import HEIGHT_PIXELS, WIDTH_PIXELS

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (20, 20, 20)
COLOURS: dict[str, Colour] = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "orange": (245, 160, 30),
    "purple": (140, 50, 170),
}
SHAPES = ("circle", "square", "triangle")

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


def canvas() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty picture and the pen that draws on it."""
    image = Image.new("RGB", (WIDTH_PIXELS, HEIGHT_PIXELS), PAPER)
    return image, ImageDraw.Draw(image)


def draw_shape(pen: ImageDraw.ImageDraw, shape: str, *, x: int, y: int, radius: int, colour: Colour) -> None:
    """Draw one filled shape centred on (x, y)."""
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    else:
        assert shape == "triangle", shape
        pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)


def draw_digit(pen: ImageDraw.ImageDraw, digit: int, *, x: int, y: int, dot_pixels: int, colour: Colour) -> None:
    """Draw one digit whose top left corner is (x, y); it is 5 dots wide and 7 high."""
    for row, dots in enumerate(_GLYPHS[str(digit)]):
        for column, dot in enumerate(dots):
            if dot == "1":
                left, top = x + column * dot_pixels, y + row * dot_pixels
                pen.rectangle((left, top, left + dot_pixels - 1, top + dot_pixels - 1), fill=colour)
