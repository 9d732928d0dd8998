"""Cards in a row, to be added up. Difficulty d shows d cards of 1 to 9."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, replace
from typing import Literal

from PIL import Image

from vlmpost.tasks.pictures.drawing import LOOKS, canvas, draw_digit, draw_segments
from vlmpost.tasks.pictures.picture import CELL_PIXELS, HEIGHT_PIXELS, WIDTH_PIXELS, PictureOptions, PictureProblem, running_sum

_CARD_WIDTH, _CARD_HEIGHT = 25, 36
_DOT_PIXELS = 3
_QUESTIONS = ("What do the cards add up to?", "What is the sum of the cards?")
_STATED = {"sum": "", "red_double": "Red cards count double. ", "red_minus": "Red cards are subtracted. "}
_RED_FACTOR = {"sum": 1, "red_double": 2, "red_minus": -1}


class CardSumsOptions(PictureOptions):
    """Options of card_sums."""

    rule: Literal["sum", "red_double", "red_minus"] = "sum"
    """How a red card counts; the question says so, and one card at least is red."""
    digits: Literal["dots", "segments"] = "dots"
    """How the values are drawn."""


@dataclass(frozen=True, slots=True)
class Card:
    """One card: its value, its ink, and its top left corner in pixels."""

    value: int
    ink: str
    x: int
    y: int


def pose(rng: random.Random, difficulty: int, options: CardSumsOptions) -> PictureProblem:
    """Return a problem of `difficulty` cards."""
    cards = _deal(rng, difficulty)
    question = _STATED[options.rule] + rng.choice(_QUESTIONS)
    if options.rule != "sum" and all(card.ink != "red" for card in cards):
        place = rng.randrange(len(cards))
        cards[place] = replace(cards[place], ink="red")
    counts = [card.value * (_RED_FACTOR[options.rule] if card.ink == "red" else 1) for card in cards]
    return PictureProblem(
        question=question,
        answer=str(sum(counts)),
        answer_type="number",
        reasoning=running_sum(counts),
        content={"cards": [asdict(card) for card in cards]},
        draw=lambda: _draw(cards, options),
    )


def _deal(rng: random.Random, num_cards: int) -> list[Card]:
    first = rng.randint(0, WIDTH_PIXELS // CELL_PIXELS - num_cards)
    middle = (HEIGHT_PIXELS - _CARD_HEIGHT) // 2
    return [
        Card(
            value=rng.randint(1, 9),
            ink=rng.choice(("red", "black")),
            x=(first + place) * CELL_PIXELS + 1 + rng.randint(0, 1),
            y=middle + rng.randint(-6, 6),
        )
        for place in range(num_cards)
    ]


def _draw(cards: list[Card], options: CardSumsOptions) -> Image.Image:
    look = LOOKS[options.tones]
    image, pen = canvas(look)
    draw_value = draw_digit if options.digits == "dots" else draw_segments
    for card in cards:
        pen.rectangle((card.x, card.y, card.x + _CARD_WIDTH - 1, card.y + _CARD_HEIGHT - 1), fill=(250, 246, 228), outline=look.ink)
        left = card.x + (_CARD_WIDTH - 5 * _DOT_PIXELS) // 2
        top = card.y + (_CARD_HEIGHT - 7 * _DOT_PIXELS) // 2
        colour = look.colours["red"] if card.ink == "red" else look.ink
        draw_value(pen, card.value, x=left, y=top, dot_pixels=_DOT_PIXELS, colour=colour)
    return image
