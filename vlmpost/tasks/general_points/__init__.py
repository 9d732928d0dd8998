"""GeneralPoints (arXiv 2501.17161): make 24, or another target, from the cards of a hand, in text (GP-L) or from a picture (GP-VL).

In distribution J, Q, K count as 10 and the suits of pictures are black. The rule shift counts them as 11, 12, 13 and deals one at least;
the visual shift turns the suits red, which nobody sees in text mode.

Departures from LeslieTrue/SFTvsRL at 5a6ea55 (those of the verifier stand in `rewards/general_points.py`):
1. A hand is a pure function of seed and index; the released environment draws from one global generator.
2. Hands are parted into train, validation and test; the released one trains and tests on the same deals.
3. Hands of 2 to 5 cards, some ranks only, and face rules other than the two.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import cast

from PIL import Image

from vlmpost.errors import ConfigError
from vlmpost.records import IMAGE, Example, Step
from vlmpost.rewards.general_points import Hand, grade, hand_of
from vlmpost.rewards.general_points_reply import Rewards
from vlmpost.tasks.general_points import replies, rows, wording
from vlmpost.tasks.general_points.hands import Card, FaceValues, counted_as, deal
from vlmpost.tasks.general_points.options import GeneralPointsOptions, HandOptions, split_key
from vlmpost.tasks.general_points.pictures import draw_square, draw_strip, strip_places
from vlmpost.tasks.problem import Problem, no_pictures
from vlmpost.tasks.task import Style, Task

__all__ = ["GeneralPoints", "GeneralPointsOptions"]

_WORDINGS = MappingProxyType({"paper": wording.paper, "compact": wording.compact})


class GeneralPoints(Task):
    """Hands of cards to be turned into a formula; replies are graded by `rewards/general_points.py`."""

    name = "general_points"
    options_type = GeneralPointsOptions
    shifts = MappingProxyType({"none": {}, "rule": {"face_rule": "rank", "forced_face": True}, "visual": {"colours": "red"}})
    reward_tables = ("paper", "repo")
    verify_iterations = 5
    png_level = 1

    def pose(self, rng: random.Random, *, options: GeneralPointsOptions, difficulty: int | None) -> Problem:
        """Returns a hand that can be solved."""
        faces = rng.choice(options.face_values)
        cards = deal(
            rng,
            num_cards=options.num_cards,
            ranks=options.ranks,
            suits=options.suits,
            faces=faces,
            target=options.target,
            dealer=options.dealer,
            forced_face=options.forced_face,
        )
        return _problem(cards, faces, options, rng)

    def verify(self, example: Example, reply: str, *, rewards: str = "paper") -> Step:
        """Returns what one reply is worth under the table `paper` or `repo`.

        Raises:
            ConfigError: There is no such table.
            GraderError: The example's `meta` holds no hand.
        """
        if rewards not in self.reward_tables:
            raise ConfigError(f"Task {self.name!r} has no reward table {rewards!r}: use one of {', '.join(self.reward_tables)}.")
        return grade(reply, hand_of(example), rewards=cast(Rewards, rewards))

    def from_row(self, row: Mapping[str, object]) -> Example:
        """Returns the example of a given hand, see `rows.py`."""
        given = rows.read(row)
        problem = _problem(given.cards, given.faces, given.options, random.Random(0))
        digest = hashlib.blake2b(json.dumps(problem.content, sort_keys=True).encode(), digest_size=6).hexdigest()
        return self.example_of(problem, id=f"{self.name}-row-{digest}", facts={})

    def solve(self, example: Example, *, style: Style = "answer") -> str:
        """Returns the reply object with the simplest formula, after a short search if it is to be reasoned."""
        hand = hand_of(example)
        solution = replies.answer(hand) if style == "answer" else replies.reasoned(hand)
        if solution is None:
            raise ConfigError(f"Example {example.id!r} has no solution: {', '.join(hand.labels)} cannot make {hand.target}.")
        return solution

    def wrong_reply(self, example: Example, rng: random.Random) -> str:
        """Returns a plausible reply that is wrong in one of several ways."""
        return replies.wrong(hand_of(example), rng)


def _problem(cards: Sequence[Card], faces: FaceValues, options: HandOptions, rng: random.Random) -> Problem:
    """A hand with its prompt and picture; `rng` chooses the wording and the small moves of a strip's cards."""
    hand = Hand(
        labels=tuple(card.label for card in cards),
        values=tuple(counted_as(card.rank, faces) for card in cards),
        target=options.target,
        mode=options.mode,
        reply_style=options.reply_style,
    )
    question = wording.Question(hand, faces)
    text = rng.choice(wording.VARIED)(question) if options.prompt_style == "varied" else _WORDINGS[options.prompt_style](question)
    places = strip_places([(rng.randint(0, 1), rng.randint(-6, 6)) for _ in cards]) if options.layout == "strip" else []
    return Problem(
        prompt=(text,) if options.mode == "text" else (IMAGE, text),
        content=_said(hand, faces) | (_shown(cards, places, options) if options.mode == "vision" else {}),
        solution=replies.answer(hand),
        draw=no_pictures if options.mode == "text" else functools.partial(_pictures, cards, places, options),
        key=split_key(tuple(card.rank for card in cards), options.target),
    )


def _said(hand: Hand, faces: FaceValues) -> dict[str, object]:
    """What the verifier needs."""
    return {
        "mode": hand.mode,
        "cards": list(hand.labels),
        "values": list(hand.values),
        "face_values": list(faces),
        "target": hand.target,
        "reply_style": hand.reply_style,
    }


def _shown(cards: Sequence[Card], places: Sequence[tuple[int, int]], options: HandOptions) -> dict[str, object]:
    """What the picture depends on beside the hand."""
    suits = [card.suit for card in cards]
    if options.layout == "strip":
        return {"suits": suits, "places": [list(place) for place in places]}
    return {"suits": suits, "resolution": options.resolution, "background": options.background, "deck_style": options.deck_style}


def _pictures(cards: Sequence[Card], places: Sequence[tuple[int, int]], options: HandOptions) -> tuple[Image.Image]:
    if options.layout == "strip":
        return (draw_strip(cards, places),)
    return (draw_square(cards, resolution=options.resolution, background=options.background, style=options.deck_style),)


TASKS: Mapping[str, Task] = MappingProxyType({GeneralPoints.name: GeneralPoints()})
