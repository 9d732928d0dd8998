"""Draws a hand: a row of cards on a square table as in the study, or a small strip that the nano VLM can read.

Square of side R, n cards: width floor(0.9 R / n), height floor(7/5 of it), the i-th at x = 5 + floor(1.1 i width), centred in height.
For four cards and R = 1200 that is 270 x 378 at x = 5, 302, 599, 896 and y = 411. The picture is the same at every attempt; no formula is
in it.

Source: LeslieTrue/SFTvsRL at 5a6ea55, gym_cards/envs/general_points_oneline.py.
Departures:
1. The cards are drawn (`faces.py`); the released ones are scans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from PIL import Image, ImageColor

from vlmpost.tasks.general_points.faces import RED_SUITS, DeckStyle, face
from vlmpost.tasks.general_points.hands import Card
from vlmpost.tasks.pictures.drawing import COLOURS, INK, canvas, draw_digit
from vlmpost.tasks.pictures.picture import CELL_PIXELS, HEIGHT_PIXELS

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""

STRIP_CARD: Final = (25, 36)
_STRIP_PAPER: Final = (250, 246, 228)
_DOT_PIXELS: Final = 3
_DOTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "A": ("01110", "10001", "10001", "11111", "10001", "10001", "10001"),
        "10": ("1001110", "1010001", "1010001", "1010001", "1010001", "1010001", "1001110"),
        "J": ("00111", "00010", "00010", "00010", "00010", "10010", "01100"),
        "Q": ("01110", "10001", "10001", "10001", "10101", "10010", "01101"),
        "K": ("10001", "10010", "10100", "11000", "10100", "10010", "10001"),
    }
)
"""Rows of dots of the labels that are no digit."""


def boxes(*, num_cards: int, resolution: int) -> list[Box]:
    """Returns where the cards of a square picture are.

    >>> boxes(num_cards=4, resolution=1200)[1]
    (302, 411, 270, 378)
    """
    width = resolution * 9 // (num_cards * 10)
    height = width * 7 // 5
    return [(5 + place * width * 11 // 10, (resolution - height) // 2, width, height) for place in range(num_cards)]


def draw_square(cards: Sequence[Card], *, resolution: int, background: str, style: DeckStyle) -> Image.Image:
    """Returns the cards on a square table."""
    table = Image.new("RGB", (resolution, resolution), ImageColor.getrgb(background)[:3])
    for card, (left, top, width, height) in zip(cards, boxes(num_cards=len(cards), resolution=resolution), strict=True):
        table.paste(face(card.label, card.suit, width=width, height=height, style=style), (left, top))
    return table


def strip_places(offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns the top left corners of a strip's cards, moved by (0 or 1, -6 to 6) pixels each; one card per cell of 28 pixels."""
    middle = (HEIGHT_PIXELS - STRIP_CARD[1]) // 2
    return [(place * CELL_PIXELS + 1 + right, middle + down) for place, (right, down) in enumerate(offsets)]


def draw_strip(cards: Sequence[Card], places: Sequence[tuple[int, int]]) -> Image.Image:
    """Returns the cards on a strip of 140 x 84 pixels, in the looks of the task `card_sums`."""
    image, pen = canvas()
    for card, (left, top) in zip(cards, places, strict=True):
        colour = COLOURS["red"] if card.suit in RED_SUITS else INK
        pen.rectangle((left, top, left + STRIP_CARD[0] - 1, top + STRIP_CARD[1] - 1), fill=_STRIP_PAPER, outline=INK)
        y = top + (STRIP_CARD[1] - 7 * _DOT_PIXELS) // 2
        if card.label not in _DOTS:
            draw_digit(pen, card.rank, x=left + (STRIP_CARD[0] - 5 * _DOT_PIXELS) // 2, y=y, dot_pixels=_DOT_PIXELS, colour=colour)
            continue
        rows = _DOTS[card.label]
        x = left + (STRIP_CARD[0] - len(rows[0]) * _DOT_PIXELS) // 2
        for row, dots in enumerate(rows):
            for column, dot in enumerate(dots):
                if dot == "1":
                    corner = (x + column * _DOT_PIXELS, y + row * _DOT_PIXELS)
                    pen.rectangle((*corner, corner[0] + _DOT_PIXELS - 1, corner[1] + _DOT_PIXELS - 1), fill=colour)
    return image
