"""Things that happen in time and cannot run backwards: a candle burns down, a plant grows, a clock's hour fills, tracks grow longer.

What changes for good is drawn in one colour that nothing else has, and grows or shrinks from frame to frame. Other things move to and
fro (a bird, a flame, a moon), so that the order cannot be told from just any difference.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
_SUBJECTS: Final[tuple[Colour, ...]] = ((200, 30, 60), (30, 140, 50), (40, 60, 200), (150, 40, 170), (210, 110, 10))
_GROUNDS: Final[tuple[Colour, ...]] = ((236, 230, 214), (214, 228, 240), (240, 222, 222), (222, 238, 222))
_DARK: Final[Colour] = (60, 52, 60)
_LAST_HOUR: Final = 350.0
"""Degrees that the clock's hand has turned at the end: less than a whole turn."""


@dataclass(frozen=True, slots=True)
class Process:
    """One thing that happens, as a video that is drawn on demand."""

    kind: str
    subject: Colour
    """The colour of what grows (of a candle: shrinks), which nothing else has."""
    ground: Colour
    side: float
    """Where it stands, from 0 to 1, or which way it goes."""
    sway: float
    """The phase of what moves to and fro, from 0 to 1."""
    size: tuple[int, int]
    num_frames: int
    frames_per_second: float

    def frames(self, indices: Sequence[int]) -> list[Image.Image]:
        """Returns the frames of these indices, RGB."""
        return [self.frame(index) for index in indices]

    def frame(self, index: int) -> Image.Image:
        """Returns one frame, RGB."""
        image = Image.new("RGB", self.size, self.ground)
        pen = ImageDraw.Draw(image)
        done = index / max(1, self.num_frames - 1)
        swing = math.sin(2 * math.pi * (index / self.frames_per_second / 3.1 + self.sway))
        _DRAWERS[self.kind](self, pen, done, swing)
        _bird(self, pen, swing)
        return image


def draw_process(seed: int, size: tuple[int, int], *, num_frames: int, frames_per_second: float) -> Process:
    """Returns the process of a seed."""
    rng = random.Random(f"process|{seed}")
    return Process(
        kind=rng.choice(tuple(_DRAWERS)),
        subject=rng.choice(_SUBJECTS),
        ground=rng.choice(_GROUNDS),
        side=rng.random(),
        sway=rng.random(),
        size=size,
        num_frames=num_frames,
        frames_per_second=frames_per_second,
    )


def _bird(process: Process, pen: ImageDraw.ImageDraw, swing: float) -> None:
    width, height = process.size
    x, y, wing = width * (0.5 + 0.42 * swing), height * 0.09, height * 0.05
    pen.line([(x - wing, y - wing * 0.6), (x, y), (x + wing, y - wing * 0.6)], fill=_DARK, width=max(1, height // 60))


def _candle(process: Process, pen: ImageDraw.ImageDraw, done: float, swing: float) -> None:
    width, height = process.size
    x, half, table = width * (0.25 + 0.5 * process.side), width * 0.07, height * 0.88
    pen.rectangle((0, table, width, height), fill=(140, 100, 70))
    top = table - height * 0.66 * (1 - done) - height * 0.04
    pen.rectangle((x - half, top, x + half, table - 1), fill=process.subject)
    flame = height * 0.06
    pen.ellipse((x - flame * 0.4, top - flame * (1.9 + 0.15 * swing), x + flame * 0.4, top - flame * 0.3), fill=(250, 200, 60))
    pen.line((x, top - flame * 0.5, x, top - 1), fill=_DARK, width=max(1, height // 80))


def _plant(process: Process, pen: ImageDraw.ImageDraw, done: float, swing: float) -> None:
    width, height = process.size
    x, soil = width * (0.3 + 0.4 * process.side), height * 0.85
    rim, foot = width * 0.12, width * 0.09
    pen.polygon([(x - rim, soil), (x + rim, soil), (x + foot, height), (x - foot, height)], fill=(168, 98, 60))
    tall, stem = height * (0.03 + 0.67 * done), max(2, width // 50)
    pen.rectangle((x - stem, soil - tall, x + stem, soil - 1), fill=process.subject)
    for place in (0.25, 0.45, 0.65, 0.85):
        if done <= place:
            break
        grown = (done - place) * width * 0.3
        up = soil - height * 0.67 * place
        pen.polygon([(x, up), (x - grown, up - grown * 0.5), (x - grown, up - grown)], fill=process.subject)
        pen.polygon([(x, up), (x + grown, up - grown * 0.5), (x + grown, up - grown)], fill=process.subject)
    sun, radius = width * (0.5 - 0.3 * swing), height * 0.05
    pen.ellipse((sun - radius, height * 0.18 - radius, sun + radius, height * 0.18 + radius), fill=(255, 240, 120))


def _clock(process: Process, pen: ImageDraw.ImageDraw, done: float, swing: float) -> None:
    width, height = process.size
    radius = min(width, height) * 0.34
    x, y = width * (0.35 + 0.3 * process.side), height * 0.5
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255), outline=_DARK, width=max(1, height // 60))
    inner = radius * 0.85
    turned = _LAST_HOUR * (0.01 + 0.99 * done)
    pen.pieslice((x - inner, y - inner, x + inner, y + inner), -90, -90 + turned, fill=process.subject)
    angle = math.radians(turned - 90)
    pen.line((x, y, x + inner * math.cos(angle), y + inner * math.sin(angle)), fill=_DARK, width=max(1, height // 50))
    bob = width * 0.06 * swing
    pen.line((x, y + radius, x + bob, height * 0.97), fill=_DARK, width=max(1, height // 60))


def _tracks(process: Process, pen: ImageDraw.ImageDraw, done: float, swing: float) -> None:
    width, height = process.size
    onward = 1 if process.side < 0.5 else -1
    start = width * (0.06 if onward > 0 else 0.94)
    x, y, high = start + onward * width * 0.86 * done, height * 0.82, max(2, height // 40)
    left, right = sorted((start - onward * width * 0.04, x))
    pen.rectangle((left, y, right, y + 2 * high), fill=process.subject)
    body, leg = height * 0.12, height * 0.1 * swing
    pen.line((x, y - body, x - leg, y - 1), fill=_DARK, width=max(1, height // 60))
    pen.line((x, y - body, x + leg, y - 1), fill=_DARK, width=max(1, height // 60))
    pen.rectangle((x - body * 0.35, y - body * 2.4, x + body * 0.35, y - body), fill=(90, 110, 130))
    pen.ellipse((x - body * 0.4, y - body * 3.2, x + body * 0.4, y - body * 2.4), fill=(224, 180, 150))


_DRAWERS: Final[Mapping[str, Callable[[Process, ImageDraw.ImageDraw, float, float], None]]] = MappingProxyType(
    {"candle": _candle, "clock": _clock, "plant": _plant, "tracks": _tracks}
)
