"""Draws the face of one card at any size: rank and small suit in two corners, pips or a framed court letter between.

Everything is drawn larger and scaled down by whole numbers, so that edges are smooth and every machine draws the same. Faces are kept:
do not write on them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image, ImageDraw

from vlmpost.tasks.general_points.shapes import CROWNS, GLYPH_HEIGHT, GLYPH_WIDTH, PIPS, RANKS, STROKE, SUITS, Line, Point

Colour = tuple[int, int, int]
DeckStyle = Literal["classic", "jumbo", "night"]
RED_SUITS: Final = "HD"
_MAX_FACES_KEPT: Final = 256
_LARGE_CARD_PIXELS: Final = 400


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of a deck."""

    paper: Colour
    panel: Colour
    """Ground of the court letters' frame."""
    edge: Colour
    black: Colour
    """Ink of spades and clubs."""
    red: Colour
    """Ink of hearts and diamonds."""


_DAY: Final = Palette(paper=(255, 255, 255), panel=(246, 241, 226), edge=(120, 120, 120), black=(16, 16, 20), red=(205, 20, 32))
_NIGHT: Final = Palette(paper=(30, 34, 46), panel=(44, 50, 66), edge=(150, 156, 170), black=(228, 231, 238), red=(255, 92, 92))


@functools.lru_cache(maxsize=_MAX_FACES_KEPT)
def face(label: str, suit: str, *, width: int, height: int, style: DeckStyle) -> Image.Image:
    """Returns the face of a card, RGB, width x height pixels."""
    factor = 4 if width <= _LARGE_CARD_PIXELS else 2
    brush = _Brush(width * factor, height * factor, _NIGHT if style == "night" else _DAY, suit)
    if style == "jumbo":
        brush.jumbo(label)
    else:
        brush.classic(label)
    return brush.image.reduce(factor)


class _Brush:
    """Draws one card; lengths are shares of its width, places shares of width and height."""

    def __init__(self, width: int, height: int, palette: Palette, suit: str) -> None:
        self.width, self.height, self.palette, self.suit = width, height, palette, suit
        self.ink = palette.red if suit in RED_SUITS else palette.black
        self.image = Image.new("RGB", (width, height), palette.paper)
        self.pen = ImageDraw.Draw(self.image)
        self.pen.rectangle((0, 0, width - 1, height - 1), outline=palette.edge, width=max(1, width // 90))

    def classic(self, label: str) -> None:
        """Two corners, and pips, a large pip or a court letter."""
        for turned in (False, True):
            self.rank(label, (0.105, 0.09), size=0.11, turned=turned)
            self.pip((0.105, 0.212), radius=0.056, turned=turned)
        if label in PIPS:
            for x, y in PIPS[label]:
                self.pip((x, y) if y <= 0.5 else (1 - x, 1 - y), radius=0.088, turned=y > 0.5)
        elif label == "A":
            self.pip((0.5, 0.5), radius=0.24)
        else:
            self.court(label)

    def jumbo(self, label: str) -> None:
        """One large rank above one large suit."""
        self.rank(label, (0.5, 0.3), size=0.5)
        self.pip((0.5, 0.75), radius=0.24)

    def court(self, label: str) -> None:
        """A crowned letter in a double frame, with two pips."""
        for inset, thickness in ((0.0, 0.016), (0.035, 0.008)):
            box = (
                (0.215 + inset) * self.width,
                0.125 * self.height + inset * self.width,
                (0.785 - inset) * self.width,
                0.875 * self.height - inset * self.width,
            )
            self.pen.rectangle(box, fill=self.palette.panel, outline=self.ink, width=max(1, round(thickness * self.width)))
        self.rank(label, (0.5, 0.5), size=0.28)
        for turned in (False, True):
            self.pip((0.325, 0.205), radius=0.06, turned=turned)
            self.polygon(CROWNS[label], (0.5, 0.275), scale=0.115, turned=turned)

    def pip(self, place: Point, *, radius: float, turned: bool = False) -> None:
        """One suit about a place."""
        for outline in SUITS[self.suit]:
            self.polygon(outline, place, scale=radius, turned=turned)

    def polygon(self, outline: Line, place: Point, *, scale: float, turned: bool = False) -> None:
        """A filled outline about a place."""
        self.pen.polygon(self.pixels([(x * scale, y * scale) for x, y in outline], place, turned), fill=self.ink)

    def rank(self, label: str, place: Point, *, size: float, turned: bool = False) -> None:
        """The strokes of a rank about a place; `size` is the width of its box."""
        scale = size / GLYPH_WIDTH
        thickness = STROKE * scale * self.width
        for line in RANKS[label]:
            offsets = [((x - GLYPH_WIDTH / 2) * scale, (y - GLYPH_HEIGHT / 2) * scale) for x, y in line]
            points = self.pixels(offsets, place, turned)
            self.pen.line(points, fill=self.ink, width=max(1, round(thickness)))
            for x, y in points:
                self.pen.ellipse((x - thickness / 2, y - thickness / 2, x + thickness / 2, y + thickness / 2), fill=self.ink)

    def pixels(self, offsets: Sequence[Point], place: Point, turned: bool) -> list[Point]:
        """Offsets from a place as pixels; turned: of the card turned by half a circle."""
        points = [(place[0] * self.width + x * self.width, place[1] * self.height + y * self.width) for x, y in offsets]
        return [(self.width - x, self.height - y) for x, y in points] if turned else points
