r"""Penalties for saying the same again: n-grams by token, n-grams over the whole completion, lines.

An n-gram is a run of n tokens, or of n lower-cased words between white space; its first occurrence is never penalised.
Penalties do not look at the answer. Every pass is linear in the completion, times log n.

Departures: open-r1 cuts Chinese into words with jieba; without it a text without spaces is one word, so count tokens there. The
repository of arXiv 2502.03373 also has a word penalty for wrong answers inside its cosine reward, off in every published run.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.records import Rollout

Presets = Mapping[str, Mapping[str, object]]

NGRAM_TOKENS: Final[Presets] = MappingProxyType({"demystify": {"ngram_size": 40, "penalty": -0.05, "only_start": False}})
NGRAM_TOTAL: Final[Presets] = NGRAM_TOKENS
NGRAM_SHARE: Final[Presets] = MappingProxyType(
    {
        "open_r1": {"ngram_size": 3, "max_penalty": -1.0, "unit": "words"},
        "trl": {"ngram_size": 3, "max_penalty": -1.0, "unit": "tokens"},
        "vlm_r1": {"ngram_size": 6, "max_penalty": -1.0, "unit": "words"},
    }
)
REPEATED_LINES: Final[Presets] = MappingProxyType({"visual_jigsaw": {"penalty": -0.5, "min_words": 7, "max_run": 3}})


def ngram_tokens(rollout: Rollout, *, ngram_size: int = 40, penalty: float = -0.05, only_start: bool = False) -> list[float]:
    """`penalty` on every token of an n-gram that was there before, 0 on all others: one value per token, each `penalty` or 0.

    Values are set, not summed: a token in several repeats costs once.

    Args:
        rollout: What is looked at; only its token ids.
        ngram_size: N in tokens.
        penalty: P, negative.
        only_start: Whether a repeat counts only where it begins more than N tokens after the repeat before it began, penalised
            or not: a long repeated stretch costs its first n-gram, and a repeat that begins exactly N later is left out too.

    Source: arXiv 2502.03373 algorithm 1; eddycmu/demystify-long-cot e90cf9b, reward/repetition.py (`only_start` is the code's).
    """
    values = [0.0] * len(rollout.token_ids)
    last_end, filled = -1, 0
    for start in _repeats(_ngrams(rollout.token_ids, ngram_size)):
        end = start + ngram_size
        if not only_start or start > last_end:
            begin, filled = max(start, filled), end
            values[begin:end] = [penalty] * (end - begin)
        last_end = end
    return values


def ngram_total(
    rollout: Rollout,
    *,
    ngram_size: int = 40,
    penalty: float = -0.05,
    only_start: bool = False,
    reduce: Literal["sum", "mean"] = "mean",
    lowest: float | None = None,
) -> float:
    """The values of `ngram_tokens` as one number for trainers without values per token; in [`penalty`, 0] as a mean.

    Args:
        rollout: What is looked at; only its token ids.
        ngram_size: N in tokens.
        penalty: P, negative.
        only_start: As in `ngram_tokens`.
        reduce: The mean over the tokens, or their sum, which grows with the length.
        lowest: Where the number stops. None: nowhere.
    """
    values = ngram_tokens(rollout, ngram_size=ngram_size, penalty=penalty, only_start=only_start)
    total = math.fsum(values)
    if reduce == "mean":
        total = total / len(values) if values else 0.0
    return total if lowest is None else max(total, lowest)


def ngram_share(rollout: Rollout, *, ngram_size: int = 3, max_penalty: float = -1.0, unit: Literal["tokens", "words"] = "tokens") -> float:
    """`max_penalty` times the share of n-grams that were there before; in [`max_penalty`, 0].

    It is 0 where there are fewer than `ngram_size` tokens or words.

    Args:
        rollout: What is looked at.
        ngram_size: N in `unit`s.
        max_penalty: At most 0; the limit of a completion that says one thing for ever.
        unit: Token ids, or lower-cased words between white space.

    Source: trl 1.16.0, rewards/other_rewards.py (tokens); huggingface/open-r1 1416fa0, rewards.py (words).
    """
    items: Sequence[Hashable] = rollout.token_ids if unit == "tokens" else rollout.text.lower().split()
    ngrams = _ngrams(items, ngram_size)
    if not ngrams:
        return 0.0
    repeated = 1 - len(set(ngrams)) / len(ngrams)
    return repeated * max_penalty if repeated else 0.0


def repeated_lines(rollout: Rollout, *, penalty: float = -0.5, min_words: int = 7, max_run: int = 3) -> float:
    """`penalty` where one long line stands more than `max_run` times in a row, else 0.0.

    Args:
        rollout: What is looked at; only its text.
        penalty: Negative.
        min_words: From how many words a line is long; a shorter one ends a run.
        max_run: How often a line may stand in a row.

    Source: penghao-wu/visual_jigsaw 78f8421, reward_score/visual_jigsaw.py, with the values its jigsaw reward passes.
    """
    return penalty if longest_line_run(rollout.text, min_words=min_words) > max_run else 0.0


def longest_line_run(text: str, *, min_words: int) -> int:
    r"""Returns how often a line of at least `min_words` words stands in a row at most; letter case and blank lines do not count.

    >>> longest_line_run("So it is.\n\nso it is.\nYes.\nSo it is.", min_words=3)
    2
    """
    longest = run = 0
    before = None
    for line in text.splitlines():
        line = line.strip().lower()
        if not line:
            continue
        if len(line.split(maxsplit=min_words)) < min_words:
            before, run = None, 0
            continue
        run = run + 1 if line == before else 1
        before, longest = line, max(longest, run)
    return longest


def check_ngram_tokens(arguments: Mapping[str, object], max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `ngram_tokens` or `ngram_total`."""
    faults = _size(arguments, max_completion_length) + _negative(arguments, "penalty")
    lowest = arguments.get("lowest")
    if isinstance(lowest, int | float) and not lowest < 0:
        faults.append(f"lowest {lowest} is not negative: nothing would be penalised")
    return faults


def check_ngram_share(arguments: Mapping[str, object], max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `ngram_share`."""
    return _size(arguments, max_completion_length if arguments["unit"] == "tokens" else None) + _negative(arguments, "max_penalty")


def check_repeated_lines(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `repeated_lines`."""
    faults = _negative(arguments, "penalty")
    for name in ("min_words", "max_run"):
        value = arguments[name]
        if isinstance(value, int) and value < 1:
            faults.append(f"{name} {value} is below 1")
    return faults


def _ngrams(items: Sequence[Hashable], size: int) -> list[int]:
    """One number for each n-gram in order, the same for the same n-gram: runs are doubled, so nothing of length n is ever built."""
    numbered, width = _numbered(items), 1
    while width < size:
        step = min(width, size - width)
        numbered = _numbered(zip(numbered, numbered[step:], strict=False))
        width += step
    return numbered


def _numbered(items: Iterable[Hashable]) -> list[int]:
    seen: dict[Hashable, int] = {}
    return [seen.setdefault(item, len(seen)) for item in items]


def _repeats(ngrams: Iterable[int]) -> Iterable[int]:
    """The places of the n-grams that were there before, in order."""
    seen: set[int] = set()
    for place, ngram in enumerate(ngrams):
        if ngram in seen:
            yield place
        seen.add(ngram)


def _size(arguments: Mapping[str, object], budget: int | None) -> list[str]:
    size = arguments["ngram_size"]
    assert isinstance(size, int), f"the schema has seen to it: {size!r}"
    if size < 1:
        return [f"ngram_size {size} is below 1"]
    if budget is not None and size >= budget:
        return [f"ngram_size {size} is not below max_completion_length {budget}: nothing so long could be said twice"]
    return []


def _negative(arguments: Mapping[str, object], name: str) -> list[str]:
    value = arguments[name]
    assert isinstance(value, int | float), f"the schema has seen to it: {value!r}"
    return [] if -math.inf < value < 0 else [f"{name} {value} is not a negative number: a penalty must cost"]
