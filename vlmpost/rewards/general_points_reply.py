"""Reads the fields of a GeneralPoints reply: the formula, and the card labels that were seen.

The reply is an object `{"cards": [...], "number": [...], "formula": "..."}`; the study's own ends its last field with a comma, so that it
is no JSON. A field is read from the whole reply as JSON, otherwise from the first place where it stands in the text as `"formula": "..."`
(one blank after the colon, under `paper` any number; double quotes, no line break inside) or `"cards": [...]`. So fences and prose around
the object do no harm; single quotes around a key or the formula are not read; of duplicates the last counts in JSON and the first in
text; escapes decode in JSON only.

A reply in the bare style (tiny models) is the formula alone.

Source: LeslieTrue/SFTvsRL at 5a6ea55, utils_general.py (re_match, robust_str_to_list).
Departures:
1. Under `paper`, what stands up to the last `</think>` is left out: a trial in the thoughts is no answer.
2. A reply of more than `MAX_JSON_CHARACTERS` is not tried as JSON, and a list of more than `MAX_LIST_CHARACTERS` holds no cards.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, Literal

Rewards = Literal["paper", "repo"]
ReplyStyle = Literal["json", "formula"]

MAX_JSON_CHARACTERS: Final = 100_000
MAX_LIST_CHARACTERS: Final = 10_000
_FORMULA: Final = {"repo": re.compile(r'"formula": "([^"\n]*)"'), "paper": re.compile(r'"formula"[ \t]*+:\s*+"([^"\n]*)"')}
_CARDS_START: Final = {"repo": re.compile(r'"cards": \[(?=[^\]])'), "paper": re.compile(r'"cards"[ \t]*+:\s*+\[(?=[^\]])')}
_THOUGHTS_END: Final = "</think>"


@dataclass(frozen=True, slots=True)
class Fields:
    """What was read in a reply."""

    formula: str | None
    """The formula up to its first "=". None: there is none, or it is no text."""
    labels: tuple[str, ...] | None
    """The card labels as they were read. None: there are none to read."""


def fields_of(reply: str, *, style: ReplyStyle, rewards: Rewards) -> Fields:
    """Returns the fields of a reply.

    Args:
        reply: Any text.
        style: "json": an object. "formula": the formula alone, after the thoughts if there are any.
        rewards: "repo" reads as the released code does. "paper" takes any list of labels: real JSON lists, single, double or no
            quotes, bare numbers; and any number of blanks at a colon.
    """
    text = reply if rewards == "repo" and style == "json" else reply.rpartition(_THOUGHTS_END)[2]
    if style == "formula":
        return Fields(formula=_left_side(text.strip()), labels=None)
    stored = _json_object(text)
    formula = stored["formula"] if "formula" in stored else _formula_in(text, rewards)
    labels = _labels_of(stored["cards"], rewards) if "cards" in stored else _labels_in(text, rewards)
    return Fields(formula=_left_side(formula) if isinstance(formula, str) else None, labels=labels)


def _left_side(equation: str) -> str:
    return equation.partition("=")[0]


def _json_object(text: str) -> dict[str, object]:
    """The reply as a JSON object; empty where it is none."""
    if len(text) > MAX_JSON_CHARACTERS:
        return {}
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _formula_in(text: str, rewards: Rewards) -> str | None:
    found = _FORMULA[rewards].search(text)
    return None if found is None else found.group(1)


def _labels_in(text: str, rewards: Rewards) -> tuple[str, ...] | None:
    """The labels of the first list in the text that holds anything."""
    start = _CARDS_START[rewards].search(text)
    end = text.find("]", start.end()) if start else -1
    if start is None or end < 0:
        return None
    body = text[start.end() : end]
    return None if rewards == "repo" and _is_whole_numbers(body) else _labels_of(body, rewards)


def _is_whole_numbers(body: str) -> bool:
    """Whether the released code takes a list for one of numbers, which it then discards."""
    if len(body) > MAX_LIST_CHARACTERS:
        return False
    try:
        for item in body.split(", "):
            int(item)
    except ValueError:
        return False
    return True


def _labels_of(cards: object, rewards: Rewards) -> tuple[str, ...] | None:
    if isinstance(cards, str):
        if len(cards) > MAX_LIST_CHARACTERS:
            return None
        bare = cards.translate({ord(mark): None for mark in "[]' "})
        return tuple(bare.split(",")) if rewards == "repo" else tuple(label.strip().strip('"') for label in bare.split(","))
    if rewards == "repo" or not isinstance(cards, list):
        return None
    if not all(isinstance(card, str | int) and not isinstance(card, bool) for card in cards):
        return None
    return tuple(str(card).strip() for card in cards)
