"""Answers a yes-or-no question from a statement that repeats it: "Is A larger than B?" - "A is smaller than B." is no.

Only where the statement has all words of the question in their order and few of its own; a denial or the opposite comparison turns the
answer round. Anything less is no answer. Words are compared without plural s and without the small words of a question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

MAX_OWN_WORDS: Final = 4
"""How many words a statement may have that the question does not have."""
MAX_SENTENCE_CHARACTERS: Final = 600
_POLAR: Final = MappingProxyType({"yes": True, "true": True, "no": False, "false": False})
_WORD: Final = re.compile(r"[a-z0-9]+(?:'t)?")
_SMALL: Final = frozenset(
    "the a an of to is are was were be will would it its in at and do does did there that this on by question answer based image given "
    "which who has have had".split()
)
_PAIRS: Final = "greater less, more fewer, larger smaller, higher lower, maximum minimum, highest lowest, left right"
_OPPOSITES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{pair.split()[0]: pair.split()[1] for pair in _PAIRS.split(", ")},
        **{pair.split()[1]: pair.split()[0] for pair in _PAIRS.split(", ")},
    }
)
_DENIAL: Final = re.compile(r"\b(?:not|no|never|without|neither|nor|cannot)\b|n't\b|\bequal to\b|\bsame\b", re.IGNORECASE)
_OPEN: Final = re.compile(r"\b(?:if|whether|unless|or)\b|[?_{}=]", re.IGNORECASE)
"""What makes a sentence a condition, a question or code, and no statement."""


def polar_options(choices: Iterable[str]) -> tuple[bool, ...]:
    """Returns what each option says where all say yes or no; empty where one says something else."""
    said = [_POLAR.get(choice.strip().casefold()) for choice in choices]
    return tuple(value for value in said if value is not None) if None not in said else ()


def restated(question: str, sentence: str) -> bool | None:
    """Returns whether the sentence affirms (True) or denies (False) the question that it repeats; None where it does not repeat it.

    >>> restated("Is Aqua greater than Red?", "Aqua is less than Red."), restated("Is Aqua greater than Red?", "Aqua is blue.")
    (False, None)
    """
    asked = _words(question.rpartition("Question:")[2].partition("?")[0])
    if not asked or len(sentence) > MAX_SENTENCE_CHARACTERS or _OPEN.search(sentence):
        return None
    affirmed = _DENIAL.search(sentence) is None
    said = [word for word in _words(sentence) if word not in ("not", "no")]
    compared = next((word for word in asked if word in _OPPOSITES), None)
    if compared is not None and compared not in said:
        opposite = _OPPOSITES[compared]
        if opposite not in said:
            return None
        affirmed = not affirmed
        said = [compared if word == opposite else word for word in said]
    rest = iter(said)
    if not all(word in rest for word in asked) or len([word for word in said if word not in asked]) > MAX_OWN_WORDS:
        return None
    return affirmed


def _words(text: str) -> list[str]:
    words = [word for word in _WORD.findall(text.lower().replace("-", " ")) if word not in _SMALL]
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in words]
