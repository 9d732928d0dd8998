"""Reads a hand that is given explicitly, as one row of JSON.

Keys: `cards` (labels A, 2 to 10, J, Q, K; ranks 1 to 13 and T for ten are taken as well), and where they differ from the defaults `mode`
(text), `face_rule` (ten) or `treat_face_cards_as_10`, `face_values` (three numbers), `target` (24), `suits` (black), and the options that
say how the hand is shown. The hand need not be solvable. Other keys belong to somebody else and are left alone, unless they look
misspelt.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vlmpost.answers.formulas.listing import MAX_NUMBER
from vlmpost.answers.formulas.solver import MAX_NUMBERS
from vlmpost.errors import ConfigError, DataError
from vlmpost.tasks.general_points.hands import LABELS, RANK, TEN, Card, FaceValues
from vlmpost.tasks.general_points.options import HandOptions
from vlmpost.tasks.options import checked_options

_SHOWN_BY: Final = tuple(HandOptions.model_fields)
_KEYS: Final = ("cards", "suits", "face_rule", "face_values", "treat_face_cards_as_10", *_SHOWN_BY)
_RANK_OF: Final[Mapping[str, int]] = {
    **{label: rank for rank, label in enumerate(LABELS, 1)},
    **{str(rank): rank for rank in range(1, 14)},
    "T": 10,
}


@dataclass(frozen=True, slots=True)
class Given:
    """A hand as it was given."""

    cards: list[Card]
    faces: FaceValues
    options: HandOptions


def read(row: Mapping[str, object]) -> Given:
    """Returns the hand of a row.

    Raises:
        DataError: The row lacks the cards, or holds what cannot be.
    """
    for key in row.keys() - set(_KEYS):
        near = difflib.get_close_matches(str(key), _KEYS, n=1, cutoff=0.85)
        if near:
            raise DataError(f"GeneralPoints hand: there is no key {key!r}; did you mean {near[0]!r}?")
    shown = {"mode": "text"} | {key: row[key] for key in _SHOWN_BY if key in row}
    try:
        options = checked_options("general_points", HandOptions, shown)
    except ConfigError as error:
        raise DataError(f"GeneralPoints hand: {error}") from None
    ranks = _ranks(row)
    return Given([Card(rank, suit) for rank, suit in zip(ranks, _suits(row, len(ranks)), strict=True)], _faces(row), options)


def _ranks(row: Mapping[str, object]) -> list[int]:
    cards = row.get("cards")
    if not isinstance(cards, list | tuple) or not 2 <= len(cards) <= MAX_NUMBERS:
        raise DataError(f"GeneralPoints hand: cards must be a list of 2 to {MAX_NUMBERS} labels such as 'A', '10', 'K', got {cards!r:.80}.")
    ranks = [None if isinstance(card, bool) else _RANK_OF.get(str(card).strip().upper()) for card in cards]
    unknown = [card for card, rank in zip(cards, ranks, strict=True) if rank is None]
    if unknown:
        raise DataError(f"GeneralPoints hand: cards holds {unknown!r:.80}; the labels are {', '.join(LABELS)}.")
    return [rank for rank in ranks if rank is not None]


def _suits(row: Mapping[str, object], num_cards: int) -> list[str]:
    suits = row.get("suits")
    if suits is None:
        return ["SC"[place % 2] for place in range(num_cards)]
    if not isinstance(suits, str | list | tuple) or len(suits) != num_cards or any(suit not in ("S", "C", "H", "D") for suit in suits):
        raise DataError(f"GeneralPoints hand: suits must be one of S, C, H, D for each of the {num_cards} cards, got {suits!r:.80}.")
    return list(suits)


def _faces(row: Mapping[str, object]) -> FaceValues:
    values, as_ten = row.get("face_values"), row.get("treat_face_cards_as_10")
    if values is not None:
        if not isinstance(values, list | tuple) or len(values) != 3 or not all(_is_value(value) for value in values):
            raise DataError(
                f"GeneralPoints hand: face_values must be three whole numbers of 1 to {MAX_NUMBER} for J, Q and K, got {values!r:.80}."
            )
        return values[0], values[1], values[2]
    if as_ten is not None and not isinstance(as_ten, bool):
        raise DataError(f"GeneralPoints hand: treat_face_cards_as_10 must be true or false, got {as_ten!r:.80}.")
    rule = row.get("face_rule", "rank" if as_ten is False else "ten")
    if rule not in ("ten", "rank"):
        raise DataError(f"GeneralPoints hand: face_rule must be ten or rank, got {rule!r:.80}.")
    return TEN if rule == "ten" else RANK


def _is_value(value: object) -> bool:
    return type(value) is int and 1 <= value <= MAX_NUMBER
