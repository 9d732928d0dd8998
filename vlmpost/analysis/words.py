"""Reasoning words: how often answers say "wait", "check" or "however"; pure functions over texts.

The lists are named after the studies and do not change: a changed list gets a name of its own. Neither study prints its rule for letter
case and word ends, so the rule is ours:

1. Texts are NFKC and case folded. A word counts where it stands whole, as longest runs of letters and digits go: "checked"
   is not "check", "wait," and "*Wait*" are "wait". A word of a list that ends in a comma counts only before one.
2. `count_words` gives the totals of "The Synergy Dilemma" (arXiv 2507.07562, table 5). They grow with the number and the length of the
   answers, so `per_answer` and `per_thousand_tokens` belong beside them.
3. `share_with` is the "keyword rate" of "Demystifying Long CoT" (arXiv 2502.03373), as the share of answers with the word at least
   once; the study does not say what it divides by.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from vlmpost.errors import ConfigError

Words = tuple[str, ...]

SYNERGY_WORDS: Final[Words] = ("wait", "check", "mistake", "alternative", "however")
"""arXiv 2507.07562 table 5: its counts on MathVision are 0, 790, 151, 0, 917 for the base model and 249091, 18501, 4345, 96815, 36625
after SFT."""
DEMYSTIFY_WORDS: Final[Words] = ("wait", "recheck", "alternatively", "retry", "however")
"""arXiv 2502.03373, the list of its keyword rates."""
DEMYSTIFY_BRANCHES: Final[Words] = ("alternatively,",)
"""arXiv 2502.03373, its branching frequency: the word with its comma."""

WORD_LISTS: Final[Mapping[str, Words]] = MappingProxyType(
    {"synergy": SYNERGY_WORDS, "demystify": DEMYSTIFY_WORDS, "demystify_branches": DEMYSTIFY_BRANCHES}
)
"""By the names that reports print beside the numbers."""

PIVOTAL_WORDS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "structure": ("first", "second", "next"),
        "connectors": ("then", "alternative", "because"),
        "actions": ("let", "consider", "verify"),
        "meta": ("wait", "hmm", "maybe"),
    }
)
"""Families of words at which SFT changes the next-token distribution most (arXiv 2507.07562, on pivotal tokens)."""

_RUN = re.compile(r"[^\W_]+,?")


def count_words(texts: Iterable[str], *, words: Sequence[str] = SYNERGY_WORDS) -> dict[str, int]:
    """Returns how often each word stands in all texts together, in the order of the list.

    Args:
        texts: Answers, thinking included; read once.
        words: Single words, each with a comma after it or not.

    Raises:
        ConfigError: An entry of the list is not a single word.

    >>> count_words(["Wait, 2 + 2 is 5? WAIT.", "However, I waited."], words=("wait", "however", "however,"))
    {'wait': 2, 'however': 1, 'however,': 1}
    """
    wanted = _wanted(words)
    found: Counter[str] = Counter()
    for text in texts:
        found.update(_occurrences(text, wanted))
    return {word: found[_folded(word)] for word in words}


def per_answer(texts: Sequence[str], *, words: Sequence[str] = SYNERGY_WORDS) -> dict[str, float] | None:
    """Returns how often each word stands in an answer on average. None: there are no answers.

    >>> per_answer(["wait, wait", "no"], words=("wait",))
    {'wait': 1.0}
    """
    return {word: count / len(texts) for word, count in count_words(texts, words=words).items()} if texts else None


def per_thousand_tokens(texts: Iterable[str], *, num_tokens: int, words: Sequence[str] = SYNERGY_WORDS) -> dict[str, float] | None:
    """Returns how often each word stands in a thousand tokens of the answers. None: they have no tokens.

    Args:
        texts: Answers, thinking included.
        num_tokens: Tokens of all of them together, as the model counts them.
        words: Single words.

    >>> per_thousand_tokens(["wait, wait", "no"], num_tokens=8, words=("wait",))
    {'wait': 250.0}
    """
    return {word: 1000 * count / num_tokens for word, count in count_words(texts, words=words).items()} if num_tokens else None


def share_with(texts: Sequence[str], *, words: Sequence[str] = DEMYSTIFY_WORDS) -> dict[str, float] | None:
    """Returns the share of answers that have each word at least once, 0 to 1. None: there are no answers.

    >>> share_with(["wait, wait", "no"], words=("wait",))
    {'wait': 0.5}
    """
    if not texts:
        return None
    wanted = _wanted(words)
    having = Counter(word for text in texts for word in set(_occurrences(text, wanted)))
    return {word: having[_folded(word)] / len(texts) for word in words}


def _wanted(words: Sequence[str]) -> frozenset[str]:
    for word in words:
        if not _RUN.fullmatch(_folded(word)):
            raise ConfigError(f"{word!r} cannot be counted: a list of words holds single words, each with a comma after it or not.")
    return frozenset(_folded(word) for word in words)


def _occurrences(text: str, wanted: frozenset[str]) -> Iterator[str]:
    """Each place where a wanted word stands; both "however" and "however," stand before a comma."""
    for run in _RUN.findall(_folded(text)):
        if run in wanted:
            yield run
        if run.endswith(",") and run[:-1] in wanted:
            yield run[:-1]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
