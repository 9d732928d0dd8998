"""Letters for signs: our own capitals and digits on a grid of 5 x 7 dots, in several hands.

No system font is used, so that pictures do not depend on the machine.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final, Literal

from PIL import ImageDraw

Hand = Literal["square", "dotted", "bold", "slanted"]
"""How the dots are made: squares, discs, squares twice as wide, squares that lean."""
Colour = tuple[int, int, int]
GLYPH_COLUMNS: Final = 5
GLYPH_ROWS: Final = 7
PITCH_DOTS: Final = GLYPH_COLUMNS + 1
"""Dots from one letter to the next."""
LINE_DOTS: Final = GLYPH_ROWS + 2
"""Dots from one line to the next."""
_SLANT_ROWS: Final = 3
"""Rows of a slanted letter that are shifted by one dot each."""

_GLYPHS: Final = {
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "B": "11110 10001 10001 11110 10001 10001 11110",
    "C": "01110 10001 10000 10000 10000 10001 01110",
    "D": "11110 10001 10001 10001 10001 10001 11110",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "F": "11111 10000 10000 11110 10000 10000 10000",
    "G": "01110 10001 10000 10111 10001 10001 01111",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "J": "00111 00010 00010 00010 00010 10010 01100",
    "K": "10001 10010 10100 11000 10100 10010 10001",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "M": "10001 11011 10101 10101 10001 10001 10001",
    "N": "10001 11001 11001 10101 10011 10011 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "Q": "01110 10001 10001 10001 10101 10010 01101",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 10001 10001 01110",
    "V": "10001 10001 10001 10001 01010 01010 00100",
    "W": "10001 10001 10001 10101 10101 11011 10001",
    "X": "10001 01010 01010 00100 01010 01010 10001",
    "Y": "10001 01010 01010 00100 00100 00100 00100",
    "Z": "11111 00001 00010 00100 01000 10000 11111",
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "01110 10000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00001 01110",
    " ": "00000 00000 00000 00000 00000 00000 00000",
    "'": "00100 00100 00000 00000 00000 00000 00000",
    "-": "00000 00000 00000 01110 00000 00000 00000",
    ".": "00000 00000 00000 00000 00000 00100 00100",
    ",": "00000 00000 00000 00000 00100 00100 01000",
    "&": "01100 10010 10100 01000 10101 10010 01101",
}
_UNKNOWN: Final = "11111 10001 10001 10001 10001 10001 11111"


def lines_of(text: str) -> list[str]:
    """Returns a text in capitals without accents, one word a line."""
    plain = unicodedata.normalize("NFKD", text).upper()
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).split() or [""]


def size_dots(lines: list[str]) -> tuple[int, int]:
    """Returns how many dots wide and high the lines are."""
    return max(len(line) for line in lines) * PITCH_DOTS - 1, len(lines) * LINE_DOTS - 2


def write(
    pen: ImageDraw.ImageDraw, lines: list[str], *, x: float, y: float, dot_pixels: float, colour: Colour, hand: Hand = "square"
) -> None:
    """Draws lines of text, each in the middle of the widest, with the top left dot at (x, y)."""
    widest, _ = size_dots(lines)
    for number, line in enumerate(lines):
        left = x + (widest - len(line) * PITCH_DOTS + 1) * dot_pixels / 2
        top = y + number * LINE_DOTS * dot_pixels
        for place, letter in enumerate(line):
            for column, row in _dots(letter):
                lean = (_SLANT_ROWS - row) / 3 if hand == "slanted" else 0.0
                _dot(pen, left + (place * PITCH_DOTS + column + lean) * dot_pixels, top + row * dot_pixels, dot_pixels, colour, hand)


def _dots(letter: str) -> Iterator[tuple[int, int]]:
    for row, dots in enumerate(_GLYPHS.get(letter, _UNKNOWN).split()):
        for column, dot in enumerate(dots):
            if dot == "1":
                yield column, row


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float, pixels: float, colour: Colour, hand: Hand) -> None:
    wide = 1.5 if hand == "bold" else 1.0
    box = (round(x), round(y), max(round(x), round(x + wide * pixels) - 1), max(round(y), round(y + pixels) - 1))
    if hand == "dotted" and pixels >= 3:
        pen.ellipse(box, fill=colour)
    else:
        pen.rectangle(box, fill=colour)
