"""Hands of cards: their labels, what they count as, and how they are dealt.

Dealing, as in arXiv 2501.17161: redrawn until some formula makes the target. `replacement` draws rank and suit of every card
independently, as the released code does; `deck` takes cards off a 52-card deck, as the paper says. With a forced face, one card is drawn
from J, Q and K, and the hand is then shuffled.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from vlmpost.answers.formulas import is_solvable

LABELS: Final = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")
"""Label of each rank from 1."""
FACE_RANKS: Final = (11, 12, 13)
SUITS: Final = {"black": "SC", "red": "HD", "mixed": "HSDC"}
"""Colour -> letters of its suits: spades, clubs, hearts, diamonds."""

Dealer = Literal["replacement", "deck"]
FaceValues = tuple[int, int, int]
"""What J, Q and K count as."""

TEN: Final[FaceValues] = (10, 10, 10)
RANK: Final[FaceValues] = (11, 12, 13)
VARIED: Final[tuple[FaceValues, ...]] = (TEN, (1, 2, 3), (2, 4, 6), (5, 6, 7), (7, 7, 7), (8, 9, 10), (9, 8, 7), (3, 3, 3))
"""Face rules to be varied in training. `RANK` is not among them: it stays out of distribution."""


@dataclass(frozen=True, slots=True)
class Card:
    """One card."""

    rank: int
    """1 (ace) to 13 (king)."""
    suit: str
    """S, C, H or D."""

    @property
    def label(self) -> str:
        """What stands on it: A, 2 to 10, J, Q, K."""
        return LABELS[self.rank - 1]


def counted_as(rank: int, faces: FaceValues) -> int:
    """Returns what a rank counts as; an ace is 1.

    >>> counted_as(13, TEN), counted_as(13, RANK), counted_as(1, RANK)
    (10, 13, 1)
    """
    return faces[rank - 11] if rank in FACE_RANKS else rank


def deal(
    rng: random.Random,
    *,
    num_cards: int,
    ranks: Sequence[int],
    suits: str,
    faces: FaceValues,
    target: int,
    dealer: Dealer,
    forced_face: bool,
) -> list[Card]:
    """Returns a hand that can be solved.

    Args:
        rng: Where the cards come from.
        num_cards: How many.
        ranks: Which ranks there are, each 1 to 13.
        suits: Letters of the suits there are.
        faces: What J, Q and K count as.
        target: What the formula has to make.
        dealer: With replacement, or off a deck.
        forced_face: Whether one card at least is a J, Q or K.
    """
    draw = _with_replacement if dealer == "replacement" else _off_a_deck
    while True:
        cards = draw(rng, num_cards, ranks, suits, forced_face)
        if is_solvable((counted_as(card.rank, faces) for card in cards), target):
            return cards


def _with_replacement(rng: random.Random, num_cards: int, ranks: Sequence[int], suits: str, forced_face: bool) -> list[Card]:
    drawn = rng.choices(ranks, k=num_cards - forced_face)
    if forced_face:
        drawn.append(rng.choice([rank for rank in ranks if rank in FACE_RANKS]))
        rng.shuffle(drawn)
    return [Card(rank, suit) for rank, suit in zip(drawn, rng.choices(suits, k=num_cards), strict=True)]


def _off_a_deck(rng: random.Random, num_cards: int, ranks: Sequence[int], suits: str, forced_face: bool) -> list[Card]:
    deck = [Card(rank, suit) for rank in ranks for suit in suits]
    if not forced_face:
        return rng.sample(deck, num_cards)
    face = rng.choice([card for card in deck if card.rank in FACE_RANKS])
    deck.remove(face)
    cards = [face, *rng.sample(deck, num_cards - 1)]
    rng.shuffle(cards)
    return cards
