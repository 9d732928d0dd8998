"""Why an answer cannot be kept: one reason for each answer that is dropped, the first in this order.

1. `TRUNCATED`: cut by its token budget.
2. The judge's outcome (wrong, unparsed, refusal, uncertain), or `NO_REFERENCE` where the question cannot be judged.
3. `EMPTY`: nothing but blanks, which no one can imitate, whatever the recipe says.
4. `TOO_SHORT`, `TOO_LONG`.
5. `LANGUAGE`: not written in the wanted language (`language.written_in`). What cannot be decided stays.
6. `NO_MATCH`: the pattern is not found; `TIMED_OUT`: it could not be searched in time. Model text is data: a pattern that backtracks
   for ever on one answer costs that answer, under a name of its own, not the curation.
7. `DUPLICATE`: the same as an earlier answer to the question that passed all of this. It comes last, so that no answer is dropped
   for the sake of one that is dropped itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

import regex

from vlmpost.config.curate import FiltersConfig
from vlmpost.curation import language
from vlmpost.curation.records import Answer, Candidate
from vlmpost.errors import ConfigError

TRUNCATED: Final = "truncated"
NO_REFERENCE: Final = "no reference answer"
EMPTY: Final = "empty"
TOO_SHORT: Final = "too short"
TOO_LONG: Final = "too long"
LANGUAGE: Final = "other language"
NO_MATCH: Final = "pattern not found"
TIMED_OUT: Final = "pattern timed out"
DUPLICATE: Final = "duplicate"

PATTERN_SECONDS: Final = 2.0
"""How long a pattern may be searched in one answer."""


def check(config: FiltersConfig) -> None:
    """Refuses filters that could drop nothing or everything by mistake; to be called before anything is asked.

    Raises:
        ConfigError: The pattern is no regular expression, the language is not known, or no length fits the limits.
    """
    faults = []
    if config.pattern is not None:
        try:
            regex.compile(config.pattern)
        except regex.error as error:
            faults.append(f"filters.pattern {config.pattern!r} is no regular expression: {error}.")
    if config.language is not None and config.language not in language.LANGUAGES:
        known = ", ".join(sorted(language.LANGUAGES))
        faults.append(f"filters.language {config.language!r} is not a language that can be told apart. Known: {known}; null: any.")
    if config.min_tokens is not None and config.max_tokens is not None and config.min_tokens > config.max_tokens:
        faults.append(f"filters.min_tokens {config.min_tokens} is above filters.max_tokens {config.max_tokens}: no answer would be kept.")
    if faults:
        raise ConfigError("\n".join(faults))


def dropped(candidates: Sequence[Candidate], config: FiltersConfig, *, num_tokens: Callable[[Answer], int]) -> dict[int, str]:
    """Returns which answers to one question cannot be kept, by sample, and why.

    Args:
        candidates: All answers to the question; of equal ones the lowest sample stays.
        config: What is asked of an answer; `check` has passed it.
        num_tokens: The length of an answer; what it counts where the teacher does not say is the caller's to decide.
    """
    reasons: dict[int, str] = {}
    passed: set[str] = set()
    for candidate in sorted(candidates, key=lambda one: one.sample):
        reason = _fault(candidate, config, num_tokens)
        if reason is None and config.duplicates != "keep":
            text = candidate.answer.text if config.duplicates == "exact" else normalised(candidate.answer.text)
            reason = DUPLICATE if text in passed else None
            passed.add(text)
        if reason is not None:
            reasons[candidate.sample] = reason
    return reasons


def normalised(text: str) -> str:
    r"""Returns a text in the form that answers share which differ in blanks, letter case or the width of letters alone.

    >>> normalised("  The \n ANSWER\u00a0is \uff14 ")
    'the answer is 4'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def _fault(candidate: Candidate, config: FiltersConfig, num_tokens: Callable[[Answer], int]) -> str | None:
    answer = candidate.answer
    if config.truncated and answer.stop_reason == "length":
        return TRUNCATED
    if config.correct and candidate.verdict is None:
        return NO_REFERENCE
    if config.correct and candidate.verdict is not None and not candidate.verdict.correct:
        return candidate.verdict.outcome
    if not answer.text.strip():
        return EMPTY
    if config.min_tokens is not None and num_tokens(answer) < config.min_tokens:
        return TOO_SHORT
    if config.max_tokens is not None and num_tokens(answer) > config.max_tokens:
        return TOO_LONG
    if config.language is not None and language.written_in(answer.text, config.language) is False:
        return LANGUAGE
    return None if config.pattern is None else _pattern_fault(answer.text, config.pattern)


def _pattern_fault(text: str, pattern: str) -> str | None:
    try:
        return None if regex.search(pattern, text, timeout=PATTERN_SECONDS) else NO_MATCH
    except TimeoutError:
        return TIMED_OUT
