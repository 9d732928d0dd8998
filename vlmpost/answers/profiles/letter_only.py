r"""The rule by which VLMEvalKit reads an option without a model's help: a lone letter near the end, "answer is X", or one option's text.

Source: open-compass/VLMEvalKit @ e8e78f05, vlmeval/utils/matching_util.py, `can_infer`, under its `exact_matching` policy.

High precision, low recall. Kept as they are: two option letters as words, the article "A" among them, block the first rule; "answer is"
followed by any word that begins with A to D names that option; `\boxed{B}` and `**B**` are read, `$B$` and `<answer>B</answer>` are not.
"""

from __future__ import annotations

import re
from typing import Final

from vlmpost.answers.profiles.lettered import Read, letter_verdict, letters_of
from vlmpost.answers.reference import Reference
from vlmpost.records import Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "The official result Z, a class of its own that is wrong on every question, is the outcome refusal where the text has one of the four "
    "refusal sentences or a lone Z, and unparsed where nothing was found. The score is the same.",
)
_REFUSALS: Final = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_FAILED: Final = "Failed to obtain answer via API"
_SEPARATORS: Final = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_NUM_LAST_WORDS: Final = 4
_ANSWER_IS = re.compile(r"answer\s+is\s+\**([ABCD])", re.IGNORECASE)


def letter_only(text: str, reference: Reference) -> Verdict:
    """VLMEvalKit's rule for options without a judge model (`can_infer`): rarely wrong, often without an opinion.

    Raises:
        GraderError: The option texts are missing, or the reference answer is not one of the options.
    """
    letters = letters_of(reference, "letter_only")
    refusal, read = _letter(text, letters) if _FAILED not in text else (False, None)
    read = read or (None if refusal else _words(text, reference.choices))
    verdict = letter_verdict(read, reference)
    return Verdict("refusal", None, "refusal") if refusal else verdict


def _letter(text: str, letters: str) -> tuple[bool, Read | None]:
    """Whether the text refuses, and the letter that it gives."""
    if any(sentence in text for sentence in _REFUSALS):
        return True, None
    separated = text.translate(_SEPARATORS)
    words = separated.split()
    present = [letter for letter in letters if letter in words]
    if len(present) == 1 and words.index(present[0]) >= len(words) - _NUM_LAST_WORDS:
        place = _first_word(separated, present[0])
        return False, Read(present[0], "lone_letter", (place, place + 1))
    if not present and "Z" in words:
        return True, None
    match = _ANSWER_IS.search(text)
    if match and match.group(1).upper() in letters:
        return False, Read(match.group(1).upper(), "answer_is", match.span(1))
    return False, None


def _first_word(separated: str, letter: str) -> int:
    """Where the letter stands that is one of the last words of the text and the first of its kind."""
    place, first = len(separated), -1
    for word in reversed(separated.rsplit(maxsplit=_NUM_LAST_WORDS)[-_NUM_LAST_WORDS:]):
        place = separated.rindex(word, 0, place)
        if word == letter:
            first = place
    return first


def _words(text: str, choices: tuple[str, ...]) -> Read | None:
    """The only option whose text is in the answer, unless the answer is more than twice as long as all of them."""
    lowered = text.lower()
    if len(lowered) > 2 * sum(len(choice) for choice in choices):
        return None
    found = [index for index, choice in enumerate(choices) if choice.lower() in lowered]
    if len(found) != 1:
        return None
    place, size = lowered.find(choices[found[0]].lower()), len(choices[found[0]].lower())
    span = (place, place + size) if len(lowered) == len(text) else None
    return Read(chr(ord("A") + found[0]), "option_text", span)
