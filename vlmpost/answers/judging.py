"""The generic judge: where the answer stands, what it says, whether it is the reference answer.

The order of places is tag, box, "final answer is", "answer is", last line, whole text (`spans.py`). The first place that can
be read decides. Nothing is guessed: an answer that cannot be read is "unparsed", a comparison that could not be finished is
"uncertain"; both are worth 0 and are counted apart from wrong answers. Options are judged in `choice/`; what a sentence
states is read in `readings.py`; whether two answers are one is decided in `values/`.
"""

from __future__ import annotations

from collections.abc import Sequence

from vlmpost.answers.choice.judging import check_options, judge_choice
from vlmpost.answers.readings import MAX_ANSWER_CHARACTERS, after_equals, read_expressions, read_number
from vlmpost.answers.reference import Reference, reference_of
from vlmpost.answers.spans import Region, Span, answer_region, candidates, is_left_open, is_refusal, opening_sentence
from vlmpost.answers.values.canonical import canonical_form, canonical_target
from vlmpost.answers.values.equivalence import (
    Target,
    compare_by_algebra,
    compare_quickly,
    is_formula,
    targets_of,
)
from vlmpost.answers.values.numbers import parse_number
from vlmpost.answers.values.wording import polarity
from vlmpost.errors import GraderError
from vlmpost.records import AnswerType, Example, Verdict

SOFTEST = ("last_line", "whole_text")
"""Places where a refusal outweighs what else stands there."""
MAX_FORMULAS = 2
"""So many readings of one sentence are compared with algebra; the others by their writing and value only."""


def judge(text: str, *, answer: str, answer_type: AnswerType, choices: Sequence[str] = ()) -> Verdict:
    r"""Returns whether `text` gives the reference answer; the same input always gives the same verdict.

    Args:
        text: What the model said, thinking included; only what follows the last thinking block is judged.
        answer: The reference answer; an option letter for "choice".
        answer_type: What kind of answer is compared.
        choices: Option texts in order A, B, ... for "choice".

    Raises:
        GraderError: The reference answer is not one of its kind, or the worker process does not start.

    >>> judge(r"<think>3 + 4</think> \boxed{7}", answer="7", answer_type="number").outcome
    'correct'
    """
    return judge_reference(text, Reference(answer=answer, answer_type=answer_type, choices=tuple(choices)))


def judge_reference(text: str, reference: Reference) -> Verdict:
    """Returns what `judge` returns, for a reference that may have several answers, a precision, a unit or a question.

    `normalised` holds the one form that equal answers share; every answer that is right has the form of the reference answer.

    Raises:
        GraderError: The reference answer is not one of its kind, or the worker process does not start.
    """
    targets = check_reference(reference)
    region = answer_region(text)
    if region.fault:
        return Verdict("unparsed", None, region.fault)
    if reference.answer_type == "choice":
        return judge_choice(text, region, reference) or _nothing(text, region)
    if all(target.number is not None for target in targets):
        return _judge_number(text, region, targets)
    return _judge_expression(text, region, targets)


def check_reference(reference: Reference) -> tuple[Target, ...]:
    """Returns the reference answers taken apart, none for "choice"; asked before any answer is there, it tells unusable ones early.

    Raises:
        GraderError: A reference answer is empty, no option, or no number where it should be one.
    """
    if not reference.answer.strip():
        raise GraderError("The reference answer is empty; leave `answer` out where there is none.")
    if reference.answer_type == "choice":
        check_options(reference)
        return ()
    targets = targets_of(reference)
    first = targets[0]
    if reference.answer_type == "number" and first.number is None and not is_formula(first.text):
        raise GraderError(f"The reference answer {first.text!r} is not a number. Set answer_type to text or latex.")
    return targets


def fault_in_reference(example: Example) -> str | None:
    """Returns why no answer to the example could be judged; None where one can, or where it has no reference answer."""
    if example.answer is None:
        return None
    try:
        check_reference(reference_of(example))
    except GraderError as error:
        return str(error)
    return None


def _judge_number(text: str, region: Region, targets: tuple[Target, ...]) -> Verdict:
    for span in candidates(text, region):
        if span.firm:
            return _firm_number(text, span, targets)
        if span.rule in SOFTEST and is_left_open(text, region, span.start):
            break
        reading = read_number(text, span)
        if reading is None:
            continue
        where, written = (reading.start, reading.end), text[reading.start : reading.end].strip()
        if reading.several:
            return Verdict("wrong", written, f"{span.rule}_list", where, canonical_form(targets[0], written))
        return _verdict(targets, [written], span.rule, where)
    return _nothing(text, region)


def _firm_number(text: str, span: Span, targets: tuple[Target, ...]) -> Verdict:
    where, written = (span.start, span.end), text[span.start : span.end]
    if not written.strip():
        return Verdict("unparsed", None, span.rule)
    if len(written) > MAX_ANSWER_CHARACTERS:
        return Verdict("unparsed", None, "too_long", where)
    if span.pieces:
        pieces = [text[start:end].strip() for start, end in span.pieces]
        same = next((target for target in targets if all(compare_quickly(target, piece) == "same" for piece in pieces)), None)
        form = canonical_form(targets[0], ", ".join(pieces)) if same is None else canonical_target(same)
        return Verdict("wrong" if same is None else "correct", written, f"{span.rule}_list", where, form)
    if parse_number(written) is None:
        equals = after_equals(written, 0, len(written))
        if equals and "," not in written[:equals] and parse_number(written[equals:]) is not None:
            return _verdict(targets, [written, written[equals:]], span.rule, where)
        reading = read_number(text, span) if span.rule == "answer_tag" and not is_formula(written) else None
        if reading is not None and not reading.several:
            where, written = (reading.start, reading.end), text[reading.start : reading.end]
    return _verdict(targets, [written.strip()], span.rule, where)


def _judge_expression(text: str, region: Region, targets: tuple[Target, ...]) -> Verdict:
    symbols = any(target.symbols for target in targets)
    for span in candidates(text, region):
        written = text[span.start : span.end]
        if span.pieces:
            written = ", ".join(text[start:end] for start, end in span.pieces)
        if not written.strip() or len(written) > MAX_ANSWER_CHARACTERS:
            if span.firm:
                return Verdict("unparsed", None, span.rule if not written.strip() else "too_long")
            continue
        if not span.firm and targets[0].polar is not None and polarity(written) is None:
            continue
        readings = [written] if span.firm or targets[0].polar is not None else [*read_expressions(written, symbols=symbols), written]
        verdict = _verdict(targets, readings, span.rule, (span.start, span.end))
        if not verdict.correct and span.rule in SOFTEST and is_left_open(text, region, span.start):
            break
        return verdict
    if targets[0].polar is not None:
        start, end = opening_sentence(text, region)
        if polarity(text[start:end]) is not None:
            return _verdict(targets, [text[start:end]], "opening", (start, end))
    return _nothing(text, region)


def _verdict(targets: tuple[Target, ...], readings: list[str], rule: str, where: tuple[int, int]) -> Verdict:
    """The verdict on a place that may be read in several ways, likeliest first: right where one reading is right."""
    open_pairs = list[tuple[Target, str]]()
    for place, reading in enumerate(readings):
        for target in targets:
            quick = compare_quickly(target, reading)
            if quick == "same":
                return Verdict("correct", reading.strip(), rule, where, canonical_target(target))
            if quick is None and place < MAX_FORMULAS:
                open_pairs.append((target, reading))
    unsure = False
    for target, reading in open_pairs:
        found = compare_by_algebra(target, reading)
        if found == "same":
            return Verdict("correct", reading.strip(), rule, where, canonical_target(target))
        unsure = unsure or found == "unsure"
    form = canonical_form(targets[0], readings[0])
    if unsure:
        return Verdict("uncertain", readings[0].strip(), f"{rule}_uncompared", where, form)
    return Verdict("wrong", readings[0].strip(), rule, where, form)


def _nothing(text: str, region: Region) -> Verdict:
    return Verdict("refusal", None, "refusal") if is_refusal(text, region) else Verdict("unparsed", None, "no_answer_form")
