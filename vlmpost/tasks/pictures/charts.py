"""Bar charts to be read: one bar (difficulty 1), two bars of three (2), the range of three, four or five bars (3 to 5).

Where sums are asked for instead of differences, difficulty 1 adds its two bars, and 3 to 5 the highest and the lowest.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Literal

from PIL import Image

from vlmpost.tasks.pictures.drawing import COLOURS, LOOKS, canvas
from vlmpost.tasks.pictures.picture import CELL_PIXELS, HEIGHT_PIXELS, WIDTH_PIXELS, PictureOptions, PictureProblem

_UNIT_PIXELS = 8
_BASE_PIXELS = HEIGHT_PIXELS - 6
_NUM_BARS = {1: 2, 2: 3, 3: 3, 4: 4, 5: 5}
_RANGE_QUESTIONS = ("What is the highest bar minus the lowest bar?", "How far apart are the highest and the lowest bar?")
_SUM_OF_ENDS_QUESTIONS = ("What is the highest bar plus the lowest bar?", "How high are the highest and the lowest bar together?")
_STRIPE_PIXELS = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its colour, its height in units, and its left edge and width in pixels."""

    colour: str
    height: int
    x: int
    width: int


class ChartsOptions(PictureOptions):
    """Options of charts."""

    rule: Literal["difference", "sum"] = "difference"
    """What is asked about bars."""
    paint: Literal["filled", "striped"] = "filled"
    """How the bars are painted."""


def pose(rng: random.Random, difficulty: int, options: ChartsOptions) -> PictureProblem:
    """Return a chart with a question that fits the difficulty."""
    bars = _bars(rng, _NUM_BARS[difficulty])
    question, asked = _ask(rng, bars, difficulty) if options.rule == "difference" else _ask_sum(rng, bars, difficulty)
    reading = ", ".join(f"{bar.colour} {bar.height}" for bar in bars)
    high, low = max(bar.height for bar in asked), min(bar.height for bar in asked)
    if len(asked) == 1:
        answer = high
        reading += f", so {answer}"
    else:
        answer = high - low if options.rule == "difference" else high + low
        reading += f", {high}{'-' if options.rule == 'difference' else '+'}{low}={answer}"
    return PictureProblem(
        question=question,
        answer=str(answer),
        answer_type="number",
        reasoning=reading,
        content={"bars": [asdict(bar) for bar in bars], "asked": [bar.colour for bar in asked]},
        draw=lambda: _draw(bars, options),
    )


def _bars(rng: random.Random, num_bars: int) -> list[Bar]:
    colours = rng.sample(sorted(COLOURS), num_bars)
    columns = sorted(rng.sample(range(WIDTH_PIXELS // CELL_PIXELS), num_bars))
    while True:
        heights = [rng.randint(1, 9) for _ in range(num_bars)]
        if len(set(heights)) > 1:
            break
    width = rng.randint(14, 18)
    return [
        Bar(colour=colour, height=height, x=column * CELL_PIXELS + rng.randint(8, CELL_PIXELS - width), width=width)
        for colour, height, column in zip(colours, heights, columns, strict=True)
    ]


def _ask(rng: random.Random, bars: list[Bar], difficulty: int) -> tuple[str, list[Bar]]:
    """Return the question and the bars it asks about."""
    if difficulty == 1:
        bar = rng.choice(bars)
        return rng.choice((f"How high is the {bar.colour} bar?", f"What is the height of the {bar.colour} bar?")), [bar]
    if difficulty > 2:
        return rng.choice(_RANGE_QUESTIONS), bars
    while True:
        one, other = rng.sample(bars, 2)
        if one.height > other.height:
            break
    wordings = (
        f"How much higher is the {one.colour} bar than the {other.colour} bar?",
        f"What is the {one.colour} bar minus the {other.colour} bar?",
    )
    return rng.choice(wordings), [one, other]


def _ask_sum(rng: random.Random, bars: list[Bar], difficulty: int) -> tuple[str, list[Bar]]:
    """Return the question for a sum and the bars it asks about."""
    if difficulty > 2:
        return rng.choice(_SUM_OF_ENDS_QUESTIONS), bars
    one, other = rng.sample(bars, 2)
    wordings = (
        f"What is the {one.colour} bar plus the {other.colour} bar?",
        f"How high are the {one.colour} bar and the {other.colour} bar together?",
    )
    return rng.choice(wordings), [one, other]


def _draw(bars: list[Bar], options: ChartsOptions) -> Image.Image:
    look = LOOKS[options.tones]
    image, pen = canvas(look)
    for height in range(1, 10):
        level = _BASE_PIXELS - height * _UNIT_PIXELS
        pen.line((6, level, WIDTH_PIXELS - 1, level), fill=look.grid)
        pen.line((2, level, 5, level), fill=look.ink)
    for bar in bars:
        top, right = _BASE_PIXELS - bar.height * _UNIT_PIXELS, bar.x + bar.width - 1
        pen.rectangle((bar.x, top, right, _BASE_PIXELS), fill=look.colours[bar.colour])
        if options.paint == "striped":
            for left in range(bar.x + _STRIPE_PIXELS, right, 2 * _STRIPE_PIXELS):
                pen.rectangle((left, top + 1, min(left + _STRIPE_PIXELS, right) - 1, _BASE_PIXELS), fill=look.paper)
    pen.line((6, _BASE_PIXELS, WIDTH_PIXELS - 1, _BASE_PIXELS), fill=look.ink)
    pen.line((6, 2, 6, _BASE_PIXELS), fill=look.ink)
    return image
