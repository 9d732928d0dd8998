r"""The reward for writing in the wanted script: which share of the letters, or of the words, belongs to it.

It tells scripts apart, not languages: English and French are both Latin. Definitions:
1. Left out before counting: code (fenced, or between backticks on one line), formulas (`$..$`, `$$..$$`, `\(..\)`, `\[..\]`, the
   usual math environments), LaTeX commands, tags in angle brackets, web addresses.
2. A letter is a character of Unicode category L; its script is told by its Unicode name. A styled, wide or narrow letter is the plain
   one (NFKC). Scripts not in the list are "other", which is never the wanted one. Modifier letters without a script do not count.
3. Single Latin or Greek letters standing alone are left out: they are variables and option letters in any language.
4. A word is a longest run of letters of one script with the marks and apostrophes in it; scripts that write no spaces
   (Han, kana, Thai, Lao, Khmer, Myanmar, Tibetan) count every letter as a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

from vlmpost.answers import answer_region
from vlmpost.records import Rollout
from vlmpost.rewards.prose import prose

Script = Literal[
    "arabic",
    "armenian",
    "bengali",
    "cyrillic",
    "devanagari",
    "ethiopic",
    "georgian",
    "greek",
    "gujarati",
    "gurmukhi",
    "han",
    "hangul",
    "hebrew",
    "japanese",
    "kannada",
    "khmer",
    "lao",
    "latin",
    "malayalam",
    "myanmar",
    "sinhala",
    "tamil",
    "telugu",
    "thai",
    "tibetan",
]
"""Han is Chinese characters alone; Japanese is Han with both kana."""

LANGUAGE: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {"deepseek_r1": {"script": "latin", "unit": "words", "part": "thinking"}}
)

_NAMED: Final[Mapping[str, str]] = MappingProxyType(
    {"CJK": "han", "IDEOGRAPHIC": "han", "BOPOMOFO": "han", "HIRAGANA": "kana", "KATAKANA": "kana"}
)
_UNSPACED = frozenset({"han", "kana", "khmer", "lao", "myanmar", "thai", "tibetan"})
_APOSTROPHES = "'\u2019\u02bc"
_BESIDE = f"[A-Za-z{_APOSTROPHES}\u00c0-\u024f\u0300-\u03ff\u1e00-\u1fff\u2c60-\u2c7f\ua720-\ua7ff\ufb00-\ufb06\uff21-\uff5a]"
"""Latin, Greek, marks on them, apostrophes: beside one of these a letter does not stand alone."""
_LONE = re.compile(f"(?<!{_BESIDE})[A-Za-z\u0370-\u03ff](?!{_BESIDE})")


def language(
    rollout: Rollout,
    *,
    script: Script | Literal["prompt"] = "latin",
    unit: Literal["letters", "words"] = "letters",
    part: Literal["response", "thinking", "answer"] = "response",
) -> float | None:
    """The share of the letters or words that are in the wanted script; in [0, 1]. None where there are none to count.

    Args:
        rollout: What is looked at; its text, and the last message of the prompt where `script` says so.
        script: The wanted script. "prompt": the one most of the question's letters are in, Japanese where it has kana.
        unit: What is counted.
        part: "thinking": what stands up to the last `</think>`, or the whole response where it has no thinking block. "answer":
            what follows it; None where the block is not closed.

    Source: DeepSeek-R1, arXiv 2501.12948 section 2.3.2: the share of words in the wanted language in the thinking. How words are
        told is not printed; the definition here is ours.
    """
    wanted = _script_of_prompt(rollout) if script == "prompt" else script
    text = _part(rollout.text, part)
    if wanted is None or text is None:
        return None
    counts = count_scripts(text, unit=unit)
    total = sum(counts.values())
    within = ("han", "kana") if wanted == "japanese" else (wanted,)
    return sum(counts[name] for name in within) / total if total else None


def count_scripts(text: str, *, unit: Literal["letters", "words"] = "letters") -> Counter[str]:
    """Returns how many letters or words each script has in a text, by the definitions above; both kana are "kana".

    >>> sorted(count_scripts("The answer is x", unit="words").items())
    [('latin', 3)]
    """
    text = _LONE.sub(" ", prose(text))
    if unit == "letters":
        counts: Counter[str] = Counter()
        for character, times in Counter(text).items():
            script = _script(character)
            if script:
                counts[script] += times
        return counts
    return _count_words(text)


def _count_words(text: str) -> Counter[str]:
    scripts = {character: _script(character) for character in set(text)}
    joins = {character for character, script in scripts.items() if not script and _joins(character)}
    counts: Counter[str] = Counter()
    before = ""
    for character in text:
        if character in joins:
            continue
        script = scripts[character]
        if script and (script != before or script in _UNSPACED):
            counts[script] += 1
        before = script
    return counts


def _script(character: str) -> str:
    """The script of a letter; "" for what is no letter or has no script."""
    if not unicodedata.category(character).startswith("L"):
        return ""
    first = re.split(r"[ -]", unicodedata.name(character, ""), maxsplit=1)[0]
    name = _NAMED.get(first, first.lower())
    return name if name in _KNOWN else _halfwidth(character)


def _halfwidth(character: str) -> str:
    """The script of the plain letter a wide, narrow or styled one stands for; "other" for a script not in our list."""
    plain = unicodedata.normalize("NFKC", character)[:1]
    if plain != character and plain:
        return _script(plain)
    return "" if unicodedata.category(character) == "Lm" else "other"


def _joins(character: str) -> bool:
    return character in _APOSTROPHES or unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


def _part(text: str, part: str) -> str | None:
    if part == "response":
        return text
    region = answer_region(text)
    if region.fault == "unclosed_think":
        return text if part == "thinking" else None
    thinking = text[: region.start]
    if part == "answer":
        return text[region.start : region.end]
    return thinking if thinking.strip() else text


def _script_of_prompt(rollout: Rollout) -> str | None:
    if not rollout.example.prompt:
        return None
    counts = count_scripts(rollout.example.prompt[-1].text)
    if counts["kana"] and counts["han"] + counts["kana"] >= max(counts.values()):
        return "japanese"
    return max(sorted(counts), key=lambda name: counts[name], default=None)


_KNOWN = frozenset((*get_args(Script), "kana"))
