"""The rules by which MMLU-Pro's numbers are published: "answer is (X)" first, then "Answer: X", then the last letter that stands alone.

Source: TIGER-AI-Lab/MMLU-Pro @ f418b116, compute_accuracy.py (its "level 2") and evaluate_from_local.py, which reads the same way.

Kept as they are: the first "answer is" counts, so a model that goes on to the next question of its few-shot prompt is judged by
its answer to this one; the article "A" and the pronoun "I" are letters; J is one on a question of four options too.
"""

from __future__ import annotations

import re
from typing import Final

from vlmpost.answers.profiles.lettered import Read, Unparsed, letter_verdict, with_random_option
from vlmpost.answers.reference import Reference
from vlmpost.records import Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "An answer without any letter from A to J is unparsed, not a random letter: luck is no skill. `unparsed='random'` draws one of the "
    "question's options (of A to J where the texts are not known) by a hash of seed and question id, as a stand-in for the official "
    "generators: compute_accuracy.py draws from ten letters, evaluate_from_local.py from the question's options.",
)
_LETTERS: Final = "ABCDEFGHIJ"
_WINDOW_CHARACTERS: Final = 4096
_ANSWER_IS = re.compile(r"answer is \(?([A-J])")
_ANSWER = re.compile(r"[aA]nswer:(?=\s*([A-J]))")
_ALONE = re.compile(r"\b[A-J]\b")


def mmlu_pro(text: str, reference: Reference, *, unparsed: Unparsed = "wrong", seed: int = 0) -> Verdict:
    """MMLU-Pro's own three patterns (compute_accuracy.py), without its random letter.

    Args:
        text: What the model said.
        reference: Option texts may be left out.
        unparsed: Whether an answer without a letter is "unparsed", or a "random" option (rule "random_option").
        seed: Of the random option, beside the id of the question.

    Raises:
        GraderError: The reference answer is neither a letter nor the text of an option.
    """
    verdict = letter_verdict(_answer_is(text) or _answer(text) or _last_alone(text), reference)
    letters = _LETTERS[: len(reference.choices) or len(_LETTERS)]
    return with_random_option(verdict, reference, letters, unparsed=unparsed, seed=seed)


def _answer_is(text: str) -> Read | None:
    match = _ANSWER_IS.search(text)
    return Read(match.group(1), "answer_is", match.span(1)) if match else None


def _answer(text: str) -> Read | None:
    """The last "Answer: X" of the first line that has one; X may stand on a later line."""
    read, line_end = None, -1
    for match in _ANSWER.finditer(text):
        if read is not None and match.start() > line_end:
            break
        if read is None:
            line_end = text.find("\n", match.start())
            line_end = len(text) if line_end < 0 else line_end
        read = Read(match.group(1), "answer_colon", match.span(1))
    return read


def _last_alone(text: str) -> Read | None:
    """The last letter that is a word of its own, looked for from the end of the text."""
    end, size = len(text), _WINDOW_CHARACTERS
    while end > 0:
        start = max(0, end - size)
        # One character more, so that a letter at the edge is seen with the character after it.
        found = [match for match in _ALONE.finditer(text, start, end + 1) if match.start() < end]
        if found:
            return Read(found[-1].group(), "last_letter", found[-1].span())
        end, size = start, 2 * size
    return None
