"""Which language an answer is written in, by its script and its most common words; formulas, code, numbers and tags left out.

`rewards.language` tells scripts apart; this tells languages apart that share one. How it decides whether a text is in a language:

1. What is counted is prose (`rewards.prose`). Single Latin and Greek letters are left out, and words all in capitals where function
   words are counted: they are variables, options and names of points in any language.
2. The language's scripts must hold at least `MIN_SCRIPT_SHARE` of the words, each Chinese character or kana being one: an English
   answer that goes on in Chinese is in neither. Japanese must have kana, Chinese next to none.
3. Languages that share a script are told apart by their most common words (`function_words.json`): the text must have at least as many
   of the language as of any other of that script, and one at least where there are `ENOUGH_WORDS` words.
4. Undecided, never guessed: a text without prose, and one of fewer words than that without a function word of any of these languages
   ("Answer: Paris"). What two languages could claim alike is in both.

A language that is not listed is read as the nearest that is: a Catalan answer may pass for Spanish.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

import regex

from vlmpost.rewards.language import count_scripts
from vlmpost.rewards.prose import prose

MIN_SCRIPT_SHARE: Final = 0.9
"""Words in the language's own scripts; the rest may be names and quotations."""
MAX_CHINESE_KANA_SHARE: Final = 0.05
MIN_JAPANESE_KANA_SHARE: Final = 0.1
"""Kana among the characters; common prose has about half."""
ENOUGH_WORDS: Final = 20
"""So many words of prose hold function words, whatever they are about."""

_SHARED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "latin": ("cs", "da", "de", "en", "es", "fi", "fr", "hu", "id", "it", "nl", "no", "pl", "pt", "ro", "sv", "tr", "vi"),
        "cyrillic": ("bg", "ru", "uk"),
        "arabic": ("ar", "fa", "ur"),
        "devanagari": ("hi", "mr"),
    }
)
_OWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{"am": "ethiopic", "bn": "bengali", "bo": "tibetan", "el": "greek", "gu": "gujarati", "he": "hebrew", "hy": "armenian"},
        **{"ka": "georgian", "km": "khmer", "kn": "kannada", "lo": "lao", "ml": "malayalam", "my": "myanmar", "pa": "gurmukhi"},
        **{"si": "sinhala", "ta": "tamil", "te": "telugu", "th": "thai"},
    }
)
LANGUAGES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {code: frozenset({script}) for script, codes in _SHARED.items() for code in codes}
    | {code: frozenset({script}) for code, script in _OWN.items()}
    | {"ja": frozenset({"han", "kana"}), "ko": frozenset({"hangul"}), "zh": frozenset({"han", "kana"})}
)
"""ISO 639-1 code to the scripts that the language is written in."""

_WORD = regex.compile(r"[\p{L}\p{M}]+")


def written_in(text: str, language: str) -> bool | None:
    """Returns whether a text is written in a language; None where that cannot be told.

    Args:
        text: Of any kind and length.
        language: One of `LANGUAGES`.

    >>> written_in("The area of the square is $x^2$, so it is 4.", "en"), written_in("Die Antwort ist also 4.", "en")
    (True, False)
    >>> written_in("$x^2 = 4$", "en") is None
    True
    """
    counts = count_scripts(text, unit="words")
    scripts = LANGUAGES[language]
    if not counts:
        return None
    if sum(counts[script] for script in scripts) < MIN_SCRIPT_SHARE * counts.total() or not _kana_fits(counts, language):
        return False
    shared = next((script for script, codes in _SHARED.items() if language in codes), None)
    return True if shared is None else _most_common(text, language, shared)


def _kana_fits(counts: Counter[str], language: str) -> bool:
    share = counts["kana"] / max(counts["kana"] + counts["han"], 1)
    if language == "zh":
        return share <= MAX_CHINESE_KANA_SHARE
    return language != "ja" or share >= MIN_JAPANESE_KANA_SHARE


def _most_common(text: str, language: str, script: str) -> bool | None:
    """Whether no other language of the script has more of its function words in the text."""
    words = [word.casefold() for word in _WORD.findall(prose(text)) if len(word) > 1 and not word.isupper()]
    counts = Counter(words)
    found = {code: sum(counts[word] for word in own) for code, own in _function_words()[script].items()}
    if not any(found.values()):
        return None if len(words) < ENOUGH_WORDS else False
    return found[language] == max(found.values())


@functools.cache
def _function_words() -> dict[str, dict[str, frozenset[str]]]:
    """Script to language to its most common words."""
    stored = json.loads(resources.files("vlmpost.curation").joinpath("function_words.json").read_text(encoding="utf-8"))
    return {script: {code: frozenset(words.split()) for code, words in codes.items()} for script, codes in stored.items()}
