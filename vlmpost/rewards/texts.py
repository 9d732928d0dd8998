r"""Rewards for transcribed text (OCR, captions, short answers): edit similarity and ANLS, word or character accuracy, exact match.

Gold: `Example.answer` and the further texts of `meta.accepted_answers`; the best of them counts. An example of choices has no such
gold. The answer is the last answer tag, else the last box, else all that follows the thinking.

Comparing two texts of n and m characters takes n steps on integers of m bits (bit-parallel, Hyyro 2003), memory linear in the text
where its symbols are few: two texts of 20,000 characters take a fraction of a second. An answer longer than `max_characters`, as it
stands in the response, is worth 0 unread, so that 10 MB cost nothing; a longer gold is a `GraderError`.

Where sources differ: ANLS keeps a similarity of exactly the threshold in the public evaluation code and drops it in the paper
(`keep_at_threshold`); that code also divides by the lengths before blanks are collapsed (`raw_lengths`). VLM-R1 compares free text by
the indel ratio of the Levenshtein package (2 x common / both lengths); it first tries symbolic and numeric equality, which is
`accuracy` here, and leaves doubled blanks as they are, which are collapsed here.

Source: ANLS: arXiv 1905.13648, equation 1; code of QwenLM/Qwen-VL, eval_mm/infographicsvqa_eval.py, as lmms-eval has it. Word error
rate: tulerfeng/Video-R1 at 59d65c3, `wer` of src/r1-v/src/open_r1/grpo.py. VLM-R1: om-ai-lab/VLM-R1 at 90052f4, `clean_text` and
`default_accuracy_reward` of open_r1/grpo_jsonl.py.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.answers import reference_of
from vlmpost.answers.values.edit_distance import edit_distance, indel_distance
from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards.places import answer_place, first_tag

Blanks = Literal["keep", "collapse", "remove"]
UnicodeForm = Literal["keep", "nfc", "nfkc"]
Reading = Literal["last", "first_tag"]
MAX_CHARACTERS: Final = 20_000
_VLM_R1: Final[Mapping[str, object]] = MappingProxyType({"ignore_final_stops": True, "unicode_form": "keep"})
PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, object]]]] = MappingProxyType(
    {
        "text_similarity": {
            "anls_paper": {"threshold": 0.5, "keep_at_threshold": False},
            "anls_repo": {"threshold": 0.5, "raw_lengths": True, "unicode_form": "keep"},
            "vlm_r1": {"distance": "indel", **_VLM_R1},
        },
        "transcription": {
            "video_r1": {"unit": "word", "ignore_case": False, "unicode_form": "keep", "reading": "first_tag"},
        },
        "text_match": {"vlm_r1": _VLM_R1},
    }
)


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What does not count when texts are compared."""

    ignore_case: bool = True
    blanks: Blanks = "collapse"
    ignore_punctuation: bool = False
    ignore_final_stops: bool = False
    unicode_form: UnicodeForm = "nfc"

    def apply(self, text: str) -> str:
        """Returns the text without what does not count.

        >>> Normalisation(ignore_punctuation=True).apply("  Hello,   World! ")
        'hello world'
        """
        if self.unicode_form != "keep":
            text = unicodedata.normalize("NFC" if self.unicode_form == "nfc" else "NFKC", text)
        if self.ignore_case:
            text = text.lower()
        if self.ignore_punctuation:
            text = "".join(character for character in text if unicodedata.category(character)[0] != "P")
        if self.ignore_final_stops:
            text = text.strip().rstrip(".")
        if self.blanks == "keep":
            return text
        return ("" if self.blanks == "remove" else " ").join(text.split())


def text_similarity(
    rollout: Rollout,
    *,
    distance: Literal["levenshtein", "indel"] = "levenshtein",
    threshold: float = 0.0,
    keep_at_threshold: bool = True,
    raw_lengths: bool = False,
    ignore_case: bool = True,
    blanks: Blanks = "collapse",
    ignore_punctuation: bool = False,
    ignore_final_stops: bool = False,
    unicode_form: UnicodeForm = "nfc",
    max_characters: int = MAX_CHARACTERS,
) -> float | None:
    """1 less the edit distance over the longer text's length, 0 to 1, and 0 below `threshold`; None where there is no gold text.

    Args:
        rollout: What is judged.
        distance: "levenshtein": insert, delete, replace. "indel": insert and delete only, over the sum of the lengths.
        threshold: Similarities below are worth 0; 0.5 in ANLS.
        keep_at_threshold: Whether a similarity of exactly the threshold counts.
        raw_lengths: Whether lengths are taken before normalisation, as the public ANLS code does.
        ignore_case: Whether case does not count.
        blanks: Whether runs of blanks count as one, count as they are, or not at all.
        ignore_punctuation: Whether characters of Unicode's punctuation categories do not count.
        ignore_final_stops: Whether full stops at the end do not count.
        unicode_form: In which form characters are compared; "nfkc" makes full-width letters plain.
        max_characters: A longer answer is worth 0.

    Raises:
        GraderError: A gold text is empty or longer than `max_characters`.
    """
    rules = Normalisation(ignore_case, blanks, ignore_punctuation, ignore_final_stops, unicode_form)
    golds = _golds(rollout.example, rules, max_characters)
    if golds is None:
        return None
    answer = _answer(rollout.text, "last", max_characters)
    if answer is None:
        return 0.0
    given = rules.apply(answer)
    best = 0.0
    for raw, gold in golds:
        lengths = (len(raw.upper()), len(answer.upper())) if raw_lengths else (len(gold), len(given))
        if distance == "indel":
            value = 1.0 - indel_distance(gold, given) / (len(gold) + len(given))
        else:
            value = max(0.0, 1.0 - edit_distance(gold, given) / max(lengths))
        best = max(best, value)
    return best if best > threshold or (keep_at_threshold and best == threshold) else 0.0


def transcription(
    rollout: Rollout,
    *,
    unit: Literal["word", "character"] = "word",
    reading: Reading = "last",
    ignore_case: bool = True,
    blanks: Blanks = "collapse",
    ignore_punctuation: bool = False,
    ignore_final_stops: bool = False,
    unicode_form: UnicodeForm = "nfc",
    max_characters: int = MAX_CHARACTERS,
) -> float | None:
    """1 less the word or character error rate (edits over the gold's length), cut at 0; None where there is no gold text.

    Args:
        rollout: What is judged.
        unit: What is counted; words are what stands between blanks.
        reading: "first_tag": only the first `<answer>` block, nothing without one, as Video-R1 reads.
        ignore_case: Whether case does not count.
        blanks: Whether runs of blanks count as one, count as they are, or not at all.
        ignore_punctuation: Whether characters of Unicode's punctuation categories do not count.
        ignore_final_stops: Whether full stops at the end do not count.
        unicode_form: In which form characters are compared; "nfkc" makes full-width letters plain.
        max_characters: A longer answer is worth 0.

    Raises:
        GraderError: A gold text is empty or longer than `max_characters`.
    """
    rules = Normalisation(ignore_case, blanks, ignore_punctuation, ignore_final_stops, unicode_form)
    golds = _golds(rollout.example, rules, max_characters)
    if golds is None:
        return None
    answer = _answer(rollout.text, reading, max_characters)
    if answer is None:
        return 0.0
    given = rules.apply(answer)
    words = unit == "word"
    rates = [_error_rate(gold.split() if words else gold, given.split() if words else given) for _, gold in golds]
    return max(0.0, 1.0 - min(rates))


def text_match(
    rollout: Rollout,
    *,
    ignore_case: bool = True,
    blanks: Blanks = "collapse",
    ignore_punctuation: bool = False,
    ignore_final_stops: bool = False,
    unicode_form: UnicodeForm = "nfc",
    max_characters: int = MAX_CHARACTERS,
) -> float | None:
    """1.0 where the answer is a gold text but for what is ignored, else 0.0; None where there is no gold text.

    Args:
        rollout: What is judged.
        ignore_case: Whether case does not count.
        blanks: Whether runs of blanks count as one, count as they are, or not at all.
        ignore_punctuation: Whether characters of Unicode's punctuation categories do not count.
        ignore_final_stops: Whether full stops at the end do not count.
        unicode_form: In which form characters are compared; "nfkc" makes full-width letters plain.
        max_characters: A longer answer is worth 0.

    Raises:
        GraderError: A gold text is empty or longer than `max_characters`.
    """
    rules = Normalisation(ignore_case, blanks, ignore_punctuation, ignore_final_stops, unicode_form)
    golds = _golds(rollout.example, rules, max_characters)
    if golds is None:
        return None
    answer = _answer(rollout.text, "last", max_characters)
    return float(answer is not None and rules.apply(answer) in {gold for _, gold in golds})


def check_texts(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Says what is wrong with the parameters of a reward of this module together, one clause per fault."""
    faults = []
    threshold, limit = arguments.get("threshold"), arguments.get("max_characters")
    if isinstance(threshold, int | float) and not 0.0 <= threshold < 1.0:
        faults.append(f"threshold {threshold} must be from 0 to below 1")
    if isinstance(limit, int) and not 1 <= limit <= 100_000:
        faults.append(f"max_characters {limit} must be from 1 to 100000: comparing takes time by its square")
    if arguments.get("unit") == "word" and arguments.get("blanks") == "remove":
        faults.append("blanks remove leaves no words to count; set unit to character")
    if arguments.get("raw_lengths") is True and arguments.get("distance") == "indel":
        faults.append("raw_lengths belongs to the Levenshtein distance of ANLS; set distance to levenshtein")
    return faults


def _error_rate(gold: Sequence[Hashable], given: Sequence[Hashable]) -> float:
    return edit_distance(gold, given) / len(gold)


def _golds(example: Example, rules: Normalisation, max_characters: int) -> list[tuple[str, str]] | None:
    """The gold texts as written and normalised."""
    if example.answer is None or example.answer_type == "choice":
        return None
    golds = []
    for raw in reference_of(example).answers:
        if len(raw) > max_characters:
            raise GraderError(f"Example {example.id!r}: a gold text has {len(raw)} characters; raise max_characters ({max_characters}).")
        gold = rules.apply(raw)
        if not gold.strip():
            raise GraderError(f"Example {example.id!r}: the gold text {raw!r:.100} is empty after normalisation.")
        golds.append((raw, gold))
    return golds


def _answer(text: str, reading: Reading, max_characters: int) -> str | None:
    """What the response gives as its text; None where there is no answer or it is too long."""
    if reading == "first_tag":
        block = first_tag(text)
        if block is None:
            return None
        start, end = block
    else:
        place = answer_place(text)
        if place.fault:
            return None
        start, end = place.start, place.end
    return text[start:end] if end - start <= max_characters else None
