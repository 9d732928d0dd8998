"""What an answer is compared with: the reference answer of one question and all that a rule may know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vlmpost.errors import GraderError
from vlmpost.records import AnswerType, Example


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference answer of a question."""

    answer: str
    """The answer; an option letter or option text where `answer_type` is "choice"."""
    answer_type: AnswerType = "text"
    choices: tuple[str, ...] = ()
    """Option texts in order A, B, ...; empty unless `answer_type` is "choice"."""
    accepted: tuple[str, ...] = ()
    """Further answers that count as right."""
    kind: str = ""
    """The benchmark's own name of the kind of answer, e.g. "integer" or "list of float"; "" where it gives none."""
    precision: int | None = None
    """Digits after the point to which a decimal counts. None: not given."""
    unit: str = ""
    question: str = ""
    """The text of the question; "" where it is not known."""
    dataset: str = ""
    """The part of the benchmark the question is from, where rules differ by it (OCRBench)."""
    id: str = ""
    """Names the question in messages and seeds the random option of a profile that wants one."""

    @property
    def answers(self) -> tuple[str, ...]:
        """Every answer that counts as right, the first one first."""
        return (self.answer, *self.accepted)


ACCEPTED, KIND, PRECISION, UNIT = "accepted_answers", "kind", "precision", "unit"
QUESTIONS, DATASETS = ("question_for_eval", "question"), ("dataset", "dataset_name")
"""Keys of `Example.meta` that say more about the reference answer; of several the first one that is there (MathVerse, OCRBench)."""
MAX_PRECISION = 30


def reference_of(example: Example) -> Reference:
    """Returns the reference answer of an example with what its `meta` says about it.

    Raises:
        GraderError: The example has no answer, or one of the keys above is of a wrong type.
    """
    if example.answer is None:
        raise GraderError(f"Example {example.id!r} has no reference answer.")
    meta = example.meta
    return Reference(
        answer=example.answer,
        answer_type=example.answer_type,
        choices=example.choices,
        accepted=tuple(text for text in _texts(meta, example.id) if text != example.answer),
        kind=_text(meta, KIND, example.id),
        precision=_precision(meta, example.id),
        unit=_text(meta, UNIT, example.id),
        question=_first(meta, QUESTIONS, example.id) or (example.prompt[-1].text if example.prompt else ""),
        dataset=_first(meta, DATASETS, example.id),
        id=example.id,
    )


def _first(meta: Mapping[str, object], keys: tuple[str, ...], owner: str) -> str:
    return next((text for key in keys if (text := _text(meta, key, owner))), "")


def _text(meta: Mapping[str, object], key: str, owner: str) -> str:
    value = meta.get(key)
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise GraderError(f"Example {owner!r}: meta.{key} must be text, got {value!r:.80}.")
    return str(value)


def _texts(meta: Mapping[str, object], owner: str) -> tuple[str, ...]:
    value = meta.get(ACCEPTED)
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise GraderError(f"Example {owner!r}: meta.{ACCEPTED} must be a list of texts, got {value!r:.80}.")
    return tuple(value)


def _precision(meta: Mapping[str, object], owner: str) -> int | None:
    value = meta.get(PRECISION)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_PRECISION or value != int(value):
        raise GraderError(f"Example {owner!r}: meta.{PRECISION} must be a whole number from 0 to {MAX_PRECISION}, got {value!r:.80}.")
    return int(value)
