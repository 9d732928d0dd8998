"""What the model is asked, in words.

`paper`: the sections of the study's prompt in its order, in our words. `varied`: the same content in several wordings, as prompt diversity
wants (arXiv 2510.00237). `compact`: one line. Every wording says the face rule, and what the reply has to look like.

Departures from LeslieTrue/SFTvsRL at 5a6ea55, prompt_lib/prompts.py:
1. The template of the reply is valid JSON but for its placeholders: quotes around the formula, no comma after the last field.
2. The prompt says that an ace counts as 1.
3. Text mode asks for valid JSON as well, as the figure in the paper does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from vlmpost.rewards.general_points import Hand
from vlmpost.tasks.general_points.hands import FaceValues

_SYMBOLS: Final = "'+', '-', '*', '/', '(', ')' and '='"


@dataclass(frozen=True, slots=True)
class Question:
    """What a prompt says."""

    hand: Hand
    faces: FaceValues

    @property
    def cards(self) -> str:
        """The labels as a list of quoted texts."""
        return str(list(self.hand.labels))

    @property
    def in_text(self) -> bool:
        """Whether the prompt names the cards."""
        return self.hand.mode == "text"

    @property
    def rule(self) -> str:
        """What J, Q and K count as, without a full stop.

        >>> Question(Hand(("A", "K"), (1, 13), 13), (11, 12, 13)).rule
        "'J', 'Q' and 'K' count as 11, 12 and 13"
        """
        jack, queen, king = self.faces
        return f"'J', 'Q' and 'K' count as {jack if jack == queen == king else f'{jack}, {queen} and {king}'}"

    @property
    def template(self) -> str:
        """The form of the reply."""
        num_cards, target = len(self.hand.labels), self.hand.target
        if self.hand.reply_style == "formula":
            return f"an equation that equals {target}, and nothing else"
        return (
            f'{{\n  "cards": [the labels of the {num_cards} cards, where {self.rule}],\n'
            f'  "number": [the {num_cards} numbers that the cards count as],\n'
            f'  "formula": "an equation that equals {target}"\n}}'
        )


def paper(question: Question) -> str:
    """Returns the prompt in the study's sections."""
    num_cards, target = len(question.hand.labels), question.hand.target
    given = f"You are given {num_cards} cards." if question.in_text else f"The image shows {num_cards} cards."
    shown = f"\n[Input]\nCards: {question.cards}\n" if question.in_text else ""
    form = "valid JSON in this format:" if question.hand.reply_style == "json" else "in this format:"
    return (
        f"[Task Description]\n"
        f"You play the {target} points card game like an expert. {given}\n"
        f"Note that {question.rule}, that 'A' counts as 1, and that every card must be used exactly once.\n"
        f"Your goal is a formula that evaluates to {target}, made of the numbers of the cards and the symbols {_SYMBOLS}.\n"
        f"{shown}\n"
        f"[Output]\n"
        f"Your response must be {form}\n{question.template}\n"
    )


def compact(question: Question) -> str:
    """Returns the prompt as one line.

    >>> compact(Question(Hand(("4", "3", "2", "K"), (4, 3, 2, 10), 24, reply_style="formula"), (10, 10, 10)))
    'Cards: 4 3 2 K. J Q K = 10. Make 24.'
    """
    faces = dict.fromkeys(question.faces) if len(set(question.faces)) == 1 else question.faces
    cards = f"Cards: {' '.join(question.hand.labels)}. " if question.in_text else ""
    form = " Reply: cards, number, formula as JSON." if question.hand.reply_style == "json" else ""
    return f"{cards}J Q K = {' '.join(str(face) for face in faces)}. Make {question.hand.target}.{form}"


def _plain(question: Question) -> str:
    cards = f"These are your cards: {', '.join(question.hand.labels)}." if question.in_text else "Look at the cards in the picture."
    return (
        f"{cards} Combine them with +, -, *, / and brackets so that the result is {question.hand.target}. "
        f"Use each card one time. {question.rule}, and 'A' counts as 1. Reply with\n{question.template}"
    )


def _rules_first(question: Question) -> str:
    cards = f"Your hand: {question.cards}" if question.in_text else "Your hand is in the image."
    return (
        f"Rules: {question.rule}; 'A' counts as 1; other cards count as their number; no card is left over and none is used twice.\n"
        f"Task: reach {question.hand.target} by adding, subtracting, multiplying and dividing; brackets are allowed.\n"
        f"{cards}\nFormat of the answer:\n{question.template}"
    )


def _puzzle(question: Question) -> str:
    hand = f"the cards {' '.join(question.hand.labels)}" if question.in_text else "the cards that you see"
    return (
        f"Here is an arithmetic puzzle. Write {question.hand.target} as a formula over {hand}, every card exactly once. "
        f"Remember: {question.rule}, an ace ('A') is 1. Write your solution as\n{question.template}"
    )


def _steps(question: Question) -> str:
    reading = f"Take the cards {question.cards}." if question.in_text else "Read the cards in the image from left to right."
    return (
        f"1. {reading}\n2. Turn them into numbers: {question.rule}, 'A' counts as 1.\n"
        f"3. Find an equation for {question.hand.target} that uses each number exactly once, with {_SYMBOLS}.\n"
        f"4. Answer in this form:\n{question.template}"
    )


def _request(question: Question) -> str:
    cards = f"with {', '.join(question.hand.labels)}" if question.in_text else "with the cards shown above"
    return (
        f"Can you make {question.hand.target} {cards}? {question.rule} here, and 'A' counts as 1. "
        f"All cards have to be used, each of them once. Please answer only with\n{question.template}"
    )


VARIED: Final[Sequence[Callable[[Question], str]]] = (paper, _plain, _rules_first, _puzzle, _steps, _request)
"""The wordings to choose from."""
