"""What can be chosen about GeneralPoints."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from typing import Literal

from pydantic import Field, model_validator

from vlmpost.answers.formulas import is_solvable
from vlmpost.answers.formulas.listing import MAX_TARGET
from vlmpost.answers.formulas.solver import MAX_NUMBERS
from vlmpost.rewards.general_points import Mode
from vlmpost.rewards.general_points_reply import ReplyStyle
from vlmpost.tasks.general_points.faces import DeckStyle
from vlmpost.tasks.general_points.hands import FACE_RANKS, RANK, SUITS, TEN, VARIED, Dealer, FaceValues, counted_as
from vlmpost.tasks.task import SPLITS, TaskOptions, split_of

ALL_RANKS = tuple(range(1, 14))


class HandOptions(TaskOptions):
    """How a hand is put to the model, however it came about."""

    mode: Mode = "vision"
    """vision shows the cards in a picture and asks for their labels; text names them in the prompt."""
    target: int = Field(24, gt=0, le=MAX_TARGET)
    """What the formula has to make."""
    resolution: int = Field(1200, ge=112, le=4096)
    """Side of the square picture in pixels."""
    background: str = Field("#35654d", pattern="^#[0-9a-fA-F]{6}$")
    """Colour of the square picture's table."""
    deck_style: DeckStyle = "classic"
    """Looks of the cards on the square picture: pips and corners, large letters only, or light ink on dark cards."""
    layout: Literal["square", "strip"] = "square"
    """square: a row of cards on a table; strip: 140 x 84 pixels with large dotted letters, which the nano VLM can read."""
    prompt_style: Literal["paper", "varied", "compact"] = "paper"
    """paper: the study's sections; varied: one of several wordings, drawn for each hand; compact: a line for tiny models."""
    reply_style: ReplyStyle = "json"
    """json: an object of cards, numbers and formula; formula: the formula alone, so that no labels are asked for."""


class GeneralPointsOptions(HandOptions):
    """Options of `general_points`: how a hand is dealt, and how it is put."""

    face_rule: Literal["ten", "rank", "varied"] = "ten"
    """What J, Q, K count as: ten: 10 each; rank: 11, 12, 13; varied: by one of several rules, drawn for each hand, rank not among them."""
    colours: Literal["black", "red", "mixed"] | None = None
    """Colours of the suits. null: black in vision mode, mixed in text mode, where nobody sees them."""
    dealer: Dealer = "replacement"
    """replacement draws every card anew, as the study's code does; deck deals off 52 cards, as its paper says."""
    forced_face: bool = False
    """Deal at least one J, Q or K."""
    num_cards: int = Field(4, ge=2, le=MAX_NUMBERS)
    """Cards of a hand; the study has 4."""
    ranks: list[int] = Field(list(ALL_RANKS), min_length=1)
    """Ranks that are dealt, 1 (ace) to 13 (king)."""

    @property
    def suits(self) -> str:
        """Letters of the suits that are dealt."""
        return SUITS[self.colours or ("black" if self.mode == "vision" else "mixed")]

    @property
    def face_values(self) -> tuple[FaceValues, ...]:
        """The face rules that a hand's is drawn from."""
        return {"ten": (TEN,), "rank": (RANK,), "varied": VARIED}[self.face_rule]

    @model_validator(mode="after")
    def _can_be_dealt(self) -> GeneralPointsOptions:
        if any(rank not in ALL_RANKS for rank in self.ranks) or len(set(self.ranks)) < len(self.ranks):
            raise ValueError(f"ranks must be different numbers of 1 to 13, got {self.ranks}")
        if self.forced_face and not set(self.ranks) & set(FACE_RANKS):
            raise ValueError(f"forced_face needs one of the ranks 11, 12, 13 among ranks, got {self.ranks}")
        cards_per_rank = len(self.suits) if self.dealer == "deck" else self.num_cards
        for faces in self.face_values:
            missing = _splits_without_hands(tuple(sorted(self.ranks)), self.num_cards, faces, self.target, self.forced_face, cards_per_rank)
            if missing:
                raise ValueError(
                    f"no hand of {self.num_cards} cards from ranks {self.ranks} makes {self.target} with J, Q, K = {list(faces)} "
                    f"in split {', '.join(missing)}; allow more ranks or cards, or another target"
                )
        return self


@functools.lru_cache(maxsize=1_024)
def _splits_without_hands(
    ranks: tuple[int, ...], num_cards: int, faces: FaceValues, target: int, forced_face: bool, cards_per_rank: int
) -> tuple[str, ...]:
    """The splits to which no solvable hand belongs, so that dealing would never end."""
    missing = list(SPLITS)
    if target > math.factorial(num_cards) * math.prod([max(counted_as(rank, faces) for rank in ranks)] * num_cards):
        return tuple(missing)
    for hand in itertools.combinations_with_replacement(ranks, num_cards):
        if not missing:
            break
        if max(Counter(hand).values()) > cards_per_rank or (forced_face and not set(hand) & set(FACE_RANKS)):
            continue
        split = split_of(split_key(hand, target))
        if split in missing and is_solvable([counted_as(rank, faces) for rank in hand], target):
            missing.remove(split)
    return tuple(missing)


def split_key(ranks: tuple[int, ...], target: int) -> str:
    """Returns what decides the split of a hand: its ranks in order, J, Q and K as 10, and the target.

    Hands that are the same problem under one of the two rules, or differ in suits, order or mode, are in one split.
    """
    return f"general_points|{sorted(min(rank, 10) for rank in ranks)}|{target}"
