"""The rule of MMStar's own evaluator: the option letter must open the answer. A long answer that ends with its letter is wrong by it.

Source: MMStar-Benchmark/MMStar @ 88f243ab, eval/vlmeval/evaluate/mmstar.py. Option texts are not needed: MMStar has them in the question.
"""

from __future__ import annotations

from typing import Final

from vlmpost.answers.profiles.lettered import Read, letter_verdict
from vlmpost.answers.reference import Reference
from vlmpost.records import Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "An answer that does not open with an option letter is unparsed; the official rule calls it wrong. The score is the same.",
)
_OPENINGS: Final = ("", "(", "option ", "the answer is ")
_NUM_OPTIONS: Final = 4
"""Of each question of MMStar; for a question that has its option texts, those count."""


def mmstar(text: str, reference: Reference) -> Verdict:
    """MMStar's own rule: the letter is the first character, or follows "(", "option " or "the answer is " at the very start.

    Raises:
        GraderError: The reference answer is neither a letter nor the text of an option.
    """
    start = len(text) - len(text.lstrip())
    head = text[start : start + len(_OPENINGS[-1]) + 1].lower().replace("\n", " ")
    for opening in _OPENINGS:
        letter = head[len(opening) : len(opening) + 1].upper()
        if head.startswith(opening) and letter and "A" <= letter <= _last_letter(reference):
            place = start + len(opening)
            return letter_verdict(Read(letter, "opening_letter", (place, place + 1)), reference)
    return letter_verdict(None, reference)


def _last_letter(reference: Reference) -> str:
    return chr(ord("A") + (len(reference.choices) or _NUM_OPTIONS) - 1)
