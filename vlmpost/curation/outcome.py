"""From all answers to the rows that are kept, and what became of the others. Nothing is asked and nothing written here.

The order: filters within a question, then the order and number of `keep` within it, then the cap over all questions in turn. A
question of which nothing is left gets its own solution where `keep.fallback` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vlmpost.config.curate import CurateConfig, KeepConfig
from vlmpost.config.schema import GenerationConfig
from vlmpost.curation.filters import dropped
from vlmpost.curation.keep import NOT_CHOSEN, OVER_THE_CAP, in_order, in_turn
from vlmpost.curation.ledger import Fate, QuestionFate
from vlmpost.curation.pass_rates import PassRate
from vlmpost.curation.records import Answer, Candidate
from vlmpost.curation.store import Came, Key, Sample
from vlmpost.records import Example, Verdict

NOTHING_LEFT = "no answer passed"
NOTHING_CAME = "answers failed"
FROM_ANSWERS = "answers"
FROM_SOLUTION = "its own solution"
MEASURED = "measured"
NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was asked."""

    example: Example
    index: int
    """Its place among all questions, from 0."""
    without_images: tuple[Fate, ...] = ()
    """Of the answers without its images."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the questions that were asked."""

    rows: tuple[Example, ...]
    """What is kept, questions in order."""
    fates: tuple[QuestionFate, ...]
    """One for each question, in order."""


def num_tokens(answer: Answer) -> int:
    """Returns the length of an answer: its tokens, or its words where the teacher does not count tokens."""
    return len(answer.text.split()) if answer.num_tokens is None else answer.num_tokens


def pass_rates(asked: Sequence[Asked], came: Came, *, num_samples: int) -> list[PassRate]:
    """Returns how often each question was answered right, over the answers that were judged; questions without one are left out."""
    rates = []
    for question in asked:
        own = [sample for sample in _samples_of(question, came, num_samples) if sample is not None and sample.verdict is not None]
        if own:
            rates.append(PassRate(question.example.id, sum(sample.is_right for sample in own), len(own)))
    return rates


def failed(came: Came, key: Key) -> Fate:
    """Returns the fate of a sample that did not come: dropped where asking again would not help."""
    failure = came.failures[key]
    return Fate("dropped" if failure.lasting else "failed", failure.reason)


def measured(asked: Sequence[Asked], came: Came, config: CurateConfig) -> Outcome:
    """Returns what came of questions that were asked only to learn how hard they are: no rows."""
    fates = []
    for question in asked:
        own = _samples_of(question, came, config.num_samples)
        found = tuple(
            failed(came, ("answer", question.example.id, number)) if sample is None else Fate("kept", _outcome(sample.verdict))
            for number, sample in enumerate(own)
        )
        fate = Fate("kept", MEASURED) if any(own) else _nothing(found)
        fates.append(QuestionFate(question.example.id, fate, found, question.without_images))
    return Outcome((), tuple(fates))


def kept(asked: Sequence[Asked], came: Came, config: CurateConfig) -> Outcome:
    """Returns the rows that are kept, and what became of every question and answer."""
    rates = {rate.id: rate for rate in pass_rates(asked, came, num_samples=config.num_samples)}
    choices = [_choice(question, came, rates, config) for question in asked]
    numbers = in_turn([len(choice.rows) for choice in choices], max_rows=config.keep.max_rows)
    taken = list(zip(choices, numbers, strict=True))
    rows = tuple(row for choice, number in taken for row in choice.rows[:number])
    return Outcome(rows, tuple(_fate(choice, came, num_taken=number, num_samples=config.num_samples) for choice, number in taken))


@dataclass(frozen=True, slots=True)
class _Choice:
    """What one question has to offer."""

    question: Asked
    chosen: Sequence[Candidate]
    """The answers that are taken, in order."""
    rows: Sequence[Example]
    """One for each of them; without any, the question's own solution where that is wanted."""
    reasons: Mapping[int, Fate]
    """By number, why other answers that came are not taken."""


def _choice(question: Asked, came: Came, rates: Mapping[str, PassRate], config: CurateConfig) -> _Choice:
    example = question.example
    own = {sample.sample: sample for sample in _samples_of(question, came, config.num_samples) if sample is not None}
    candidates = [Candidate(example, sample.sample, sample.answer, sample.verdict, question.index) for sample in own.values()]
    reasons = {number: Fate("dropped", reason) for number, reason in dropped(candidates, config.filters, num_tokens=num_tokens).items()}
    passed = [candidate for candidate in candidates if candidate.sample not in reasons]
    ordered = in_order(passed, config.keep, seed=config.seed, length_of=lambda candidate: num_tokens(candidate.answer))
    chosen = ordered[: config.keep.num]
    reasons |= {candidate.sample: Fate("dropped", NOT_CHOSEN) for candidate in ordered[len(chosen) :]}
    rate = rates.get(example.id)
    rows = [_row(example, own[candidate.sample], rate, config.generation) for candidate in chosen]
    return _Choice(question, chosen, rows or _fallback(example, rate, config.keep), reasons)


def _fate(choice: _Choice, came: Came, *, num_taken: int, num_samples: int) -> QuestionFate:
    """What became of a question and its answers when so many of its rows are kept."""
    id, reasons = choice.question.example.id, dict(choice.reasons)
    for turn, candidate in enumerate(choice.chosen):
        reasons[candidate.sample] = Fate("kept", _outcome(candidate.verdict)) if turn < num_taken else Fate("dropped", OVER_THE_CAP)
    samples = tuple(reasons.get(number) or failed(came, ("answer", id, number)) for number in range(num_samples))
    if num_taken:
        fate = Fate("kept", FROM_ANSWERS if choice.chosen else FROM_SOLUTION)
    else:
        fate = Fate("dropped", OVER_THE_CAP) if choice.rows else _nothing(samples)
    return QuestionFate(id, fate, samples, choice.question.without_images)


def _nothing(found: Sequence[Fate]) -> Fate:
    """The fate of a question without rows: failed as long as an answer may still come."""
    return Fate("failed", NOTHING_CAME) if any(fate.bin == "failed" for fate in found) else Fate("dropped", NOTHING_LEFT)


def _samples_of(question: Asked, came: Came, num_samples: int) -> list[Sample | None]:
    return [came.samples.get(("answer", question.example.id, number)) for number in range(num_samples)]


def _outcome(verdict: Verdict | None) -> str:
    return NOT_JUDGED if verdict is None else verdict.outcome


def _row(example: Example, sample: Sample, rate: PassRate | None, generation: GenerationConfig) -> Example:
    """A kept answer as a row, with where it comes from in `meta.curation`."""
    answer, verdict = sample.answer, sample.verdict
    origin = {
        "origin": "sample",
        "sample": sample.sample,
        "seed": sample.seed,
        "teacher": answer.teacher,
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "num_tokens": answer.num_tokens,
        "truncated": answer.stop_reason == "length",
        "verdict": None if verdict is None else verdict.outcome,
        "rule": None if verdict is None else verdict.rule,
        "actions": [action for action, _ in answer.actions],
    }
    return _with_origin(example, str(sample.sample), answer.text, origin, rate)


def _fallback(example: Example, rate: PassRate | None, config: KeepConfig) -> list[Example]:
    """The question with the solution that it came with, where that is wanted and there is one."""
    if config.fallback == "none" or example.solution is None:
        return []
    return [_with_origin(example, "solution", example.solution, {"origin": "solution"}, rate)]


def _with_origin(example: Example, name: str, solution: str, origin: Mapping[str, object], rate: PassRate | None) -> Example:
    found = {
        "question_id": example.id,
        "source": example.task,
        **origin,
        "num_right": None if rate is None else rate.num_right,
        "num_tried": 0 if rate is None else rate.num_tried,
        **({"before": example.meta["curation"]} if "curation" in example.meta else {}),
    }
    return replace(example, id=f"{example.id}/{name}", solution=solution, meta={**example.meta, "curation": found})
