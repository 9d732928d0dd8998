"""Which questions are asked: those that can be judged, that are hard enough, that no evaluation set holds, that need their images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from vlmpost.answers import fault_in_reference
from vlmpost.curation.ledger import Fate
from vlmpost.curation.pass_rates import PassRate
from vlmpost.data import RowFault
from vlmpost.errors import DataError
from vlmpost.media.images import open_image
from vlmpost.records import IMAGE, Example, Message

NO_REFERENCE = "no reference answer"
BAD_REFERENCE = "reference answer cannot be judged"
UNKNOWN_RATE = "pass rate not known"
ABOVE_RATE = "pass rate above questions.max_pass_rate"
CONTAMINATED = "in an evaluation set"
NO_IMAGE = "has no image"
NEEDS_NO_IMAGE = "answered right without its images"
UNREADABLE_IMAGE = "image cannot be opened"
IMAGE_CHECK_FAILED = "the check without images failed"
RIGHT, NOT_RIGHT = Fate("dropped", "right"), Fate("kept", "not right")
"""Of answers without images; those that are not right let their question be asked."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a question is not asked."""

    reason: str
    detail: str = ""


Rule = Callable[[Example], Refusal | None]
"""Says why a question is not asked; None: for all this rule knows, it is."""


def first_refusal(example: Example, rules: Sequence[Rule]) -> Refusal | None:
    """Returns what the first rule that refuses says; None where none does."""
    return next((refusal for rule in rules if (refusal := rule(example)) is not None), None)


def can_be_judged(*, needed: bool) -> Rule:
    """Refuses questions whose reference answer the judge cannot use, and where `needed` those that have none."""

    def rule(example: Example) -> Refusal | None:
        if example.answer is None:
            return Refusal(NO_REFERENCE) if needed else None
        fault = fault_in_reference(example)
        return None if fault is None else Refusal(BAD_REFERENCE, fault)

    return rule


def is_hard(rates: Mapping[str, PassRate], *, max_pass_rate: float) -> Rule:
    """Refuses questions that are answered right more often than that, and those of which it is not known.

    The comparison is exact: 3 of 10 is at most 0.3.
    """
    limit = Fraction(str(max_pass_rate))

    def rule(example: Example) -> Refusal | None:
        rate = rates.get(example.id)
        if rate is None:
            return Refusal(UNKNOWN_RATE)
        if Fraction(rate.num_right, rate.num_tried) <= limit:
            return None
        return Refusal(ABOVE_RATE, f"{rate.num_right} of {rate.num_tried}")

    return rule


def is_clean(reason_of: Callable[[Example], str | None]) -> Rule:
    """Refuses questions in which something is found that stands in an evaluation set."""

    def rule(example: Example) -> Refusal | None:
        found = reason_of(example)
        return None if found is None else Refusal(CONTAMINATED, found)

    return rule


def has_image(example: Example) -> Refusal | None:
    """Refuses questions in text alone, which cannot need an image."""
    return None if example.images else Refusal(NO_IMAGE)


def can_be_seen(example: Example) -> Refusal | None:
    """Refuses nothing; opens the images whole, since damage behind a header shows only then.

    Raises:
        RowFault: One cannot be opened, so that the row is as unreadable as one without a question.
    """
    try:
        for ref in example.images:
            open_image(ref)
    except DataError as error:
        raise RowFault(UNREADABLE_IMAGE, str(error)) from None
    return None


def stopped_by(without_images: Sequence[Fate]) -> Fate | None:
    """Returns why a question is not asked after its answers without images; None: it is.

    One right answer stops it, so some questions with few options are stopped by a lucky guess.
    """
    if RIGHT in without_images:
        return Fate("dropped", NEEDS_NO_IMAGE)
    missing = [fate for fate in without_images if fate != NOT_RIGHT]
    if not missing:
        return None
    return Fate("failed" if any(fate.bin == "failed" for fate in missing) else "dropped", IMAGE_CHECK_FAILED)


def without_images(example: Example) -> Example:
    """Returns the question with its words alone: no images, no slots for them."""
    return replace(example, images=(), prompt=tuple(_words(message) for message in example.prompt))


def _words(message: Message) -> Message:
    return replace(message, content=tuple(part for part in message.content if part is not IMAGE))
