"""What the rules for option letters share: the letters of a question, the gold letters, the verdict on a letter that was read.

No rule of a benchmark is here.
"""

from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass
from typing import Literal, get_args

from vlmpost.answers.reference import Reference
from vlmpost.answers.values.normal import plain_text
from vlmpost.errors import ConfigError, GraderError
from vlmpost.records import Verdict

Unparsed = Literal["wrong", "random"]
"""What an answer without a letter is: "wrong" (outcome "unparsed"), or a "random" option of the question, the same one every time."""


@dataclass(frozen=True, slots=True)
class Read:
    """A letter that a rule read, by which part of the rule, and where in the text; `span` None where no one place says it."""

    letter: str
    rule: str
    span: tuple[int, int] | None


def letters_of(reference: Reference, profile: str) -> str:
    """Returns the option letters of a question in order, "ABCD" for four options; MMMU-Pro has a question with twelve.

    Raises:
        GraderError: The option texts are not known, or there are more of them than letters.
    """
    if len(reference.choices) > len(string.ascii_uppercase):
        raise GraderError(f"A question has {len(reference.choices)} options, more than there are letters.")
    if not reference.choices:
        raise GraderError(f"The rules of {profile} need the option texts of the question: set `choices`.")
    return string.ascii_uppercase[: len(reference.choices)]


def gold_letters(reference: Reference) -> frozenset[str]:
    """Returns the letters that count as right; a letter of the options beats an option text that is a letter.

    Without option texts every letter from A to Z is taken.

    Raises:
        GraderError: A reference answer is neither a letter nor the text of an option.
    """
    return frozenset(_gold_letter(answer, reference.choices) for answer in reference.answers)


def letter_verdict(read: Read | None, reference: Reference) -> Verdict:
    """Returns "correct" or "wrong" for a letter, "unparsed" for none.

    Raises:
        GraderError: A reference answer is neither a letter nor the text of an option.
    """
    golds = gold_letters(reference)
    if read is None:
        return Verdict("unparsed", None, "no_option")
    return Verdict("correct" if read.letter in golds else "wrong", read.letter, read.rule, read.span, read.letter)


def with_random_option(verdict: Verdict, reference: Reference, letters: str, *, unparsed: Unparsed, seed: int) -> Verdict:
    """Returns the verdict itself, or for an unparsed one, if asked for, that on an option drawn by a hash of seed and question id.

    Raises:
        ConfigError: `unparsed` is neither "wrong" nor "random".
        GraderError: An option is to be drawn and the question has no id, so that all such questions would get the same one.
    """
    if unparsed not in get_args(Unparsed):
        raise ConfigError(f"unparsed must be {' or '.join(get_args(Unparsed))}, got {unparsed!r}.")
    if unparsed == "wrong" or verdict.outcome != "unparsed":
        return verdict
    if not reference.id:
        raise GraderError("A random option is drawn by the id of the question, and this one has none: set `id`.")
    number = int.from_bytes(hashlib.sha256(f"{seed}:{reference.id}".encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return letter_verdict(Read(letters[number % len(letters)], "random_option", None), reference)


def _gold_letter(answer: str, choices: tuple[str, ...]) -> str:
    letters = string.ascii_uppercase[: len(choices) or len(string.ascii_uppercase)]
    bare = answer.strip().strip("()").upper()
    if len(bare) == 1 and bare in letters:
        return bare
    wanted = plain_text(answer)
    for letter, choice in zip(letters, choices, strict=False):
        if choice == answer or plain_text(choice) == wanted:
            return letter
    raise GraderError(
        f"The reference answer {answer[:80]!r} is neither an option letter ({letters[0]} to {letters[-1]}) nor the text of an option."
    )
