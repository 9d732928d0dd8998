"""Cards in a row, to be added up. Difficulty d shows d cards of 1 to 9."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass

from PIL import Image

from vlmpost.tasks.pictures.drawing import COLOURS, INK, canvas, draw_digit
from vlmpost.tasks.pictures.picture import CELL_PIXELS, HEIGHT_PIXELS, WIDTH_PIXELS, PictureProblem, running_sum

_CARD_WIDTH, _CARD_HEIGHT = 25, 36
_DOT_PIXELS = 3
_QUESTIONS = ("What do the cards add up to?", "What is the sum of the cards?")


@dataclass(frozen=True, slots=True)
class Card:
    """One card: its value, its ink, and its top left corner in pixels."""

    value: int
    ink: str
    x: int
    y: int


def pose(rng: random.Random, difficulty: int) -> PictureProblem:
    """Return a problem of `difficulty` cards."""
    cards = _deal(rng, difficulty)
    values = [card.value for card in cards]
    return PictureProblem(
        question=rng.choice(_QUESTIONS),
        answer=str(sum(values)),
        answer_type="number",
        reasoning=running_sum(values),
        content={"cards": [asdict(card) for card in cards]},
        draw=lambda: _draw(cards),
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


def _draw(cards: list[Card]) -> Image.Image:
    image, pen = canvas()
    for card in cards:
        pen.rectangle((card.x, card.y, card.x + _CARD_WIDTH - 1, card.y + _CARD_HEIGHT - 1), fill=(250, 246, 228), outline=INK)
        left = card.x + (_CARD_WIDTH - 5 * _DOT_PIXELS) // 2
        top = card.y + (_CARD_HEIGHT - 7 * _DOT_PIXELS) // 2
        colour = COLOURS["red"] if card.ink == "red" else INK
        draw_digit(pen, card.value, x=left, y=top, dot_pixels=_DOT_PIXELS, colour=colour)
    return image
