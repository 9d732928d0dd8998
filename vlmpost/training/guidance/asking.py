"""Asks the questions of a guided batch: with the hint that a law gives, or round after round with those that a search tries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from vlmpost.config.guidance import GuidanceConfig
from vlmpost.training.dataset import ExampleDataset
from vlmpost.training.experience_makers import Tools
from vlmpost.training.guidance.gate import is_guided
from vlmpost.training.guidance.hints import are_over, hint_length, hint_seed, levels_length
from vlmpost.training.guidance.pass_rates import PassRates
from vlmpost.training.guidance.questions import Asked, Question
from vlmpost.training.guidance.search import Level, Search
from vlmpost.training.guidance.traces import TraceStore
from vlmpost.training.rollouts.collector import UNHINTED, Collected, Hint, Row


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of asking."""

    chosen: Sequence[Asked]
    """Each question at the hint that is learnt from."""
    asked: Sequence[Asked]
    """All that was asked, those included that were not chosen."""
    sampled: Sequence[Collected]
    """Every round of rollouts."""


class Asker:
    """Asks questions.

    Args:
        tools: What makers have of the trainer.
        guidance: The knobs.
        traces: By question.
        dataset: Of the run.
        num_steps: Optimizer steps of the run, once it is known.
        keeps_step: Whether processes must sample together.
    """

    def __init__(
        self,
        tools: Tools,
        guidance: GuidanceConfig,
        traces: TraceStore,
        *,
        dataset: ExampleDataset,
        num_steps: Callable[[], int],
        keeps_step: bool,
    ) -> None:
        self._tools = tools
        self._hint = guidance.hint
        self._gate = guidance.gate
        self._traces = traces
        self._dataset = dataset
        self._num_steps = num_steps
        self._keeps_step = keeps_step

    def questions(self, rows: Sequence[Row], rates: PassRates, *, step: int) -> list[Question]:
        """Returns the questions of the loader's rows, with what is known of them."""
        each = rows[:: self._tools.config.algorithm.num_generations]
        first = self._tools.processes.index * len(each)
        return [
            Question(
                place=first + number,
                row=row,
                trace=self._traces.trace(row["example"].id, seed=self.seed(step, row["example"].id)),
                rate_before=rates.rate(row["example"].id),
            )
            for number, row in enumerate(each)
        ]

    def seed(self, step: int, example_id: str) -> int:
        """Returns what chance is drawn from for a question in a step."""
        return hint_seed(self._tools.config.training.seed, step, example_id)

    def ask(self, questions: Sequence[Question], *, step: int) -> Answers:
        """Returns the rollouts of the questions; all processes call it together."""
        if self._hint.law in ("ascending", "binary"):
            return self._searched(questions, step)
        asked, sampled = self._round([self._asked(question, step) for question in questions], step, attempt=0)
        return Answers(asked, asked, sampled)

    def is_guided(self, question: Question, rate: Fraction | None, *, step: int) -> bool:
        """Returns whether the gate lets a question with this pass rate be guided."""
        return question.trace is not None and is_guided(self._gate, rate, step=step)

    def _searched(self, questions: Sequence[Question], step: int) -> Answers:
        """Round after round, each question at the next level of its search."""
        searches = {question.place: self._search(question) for question in questions}
        found: dict[tuple[int, Level], Asked] = {}
        sampled: list[Collected] = []
        for attempt in range(self._longest_search()):
            tries = [(question, searches[question.place].level_to_try()) for question in questions]
            open_tries = [(question, level) for question, level in tries if level is not None and self._may_try(question, level, step)]
            if not self._tools.processes.anywhere(bool(open_tries)):
                break
            asked, collected = self._round([self._at_level(question, level) for question, level in open_tries], step, attempt=attempt)
            sampled += collected
            for group, (question, level) in zip(asked, open_tries, strict=True):
                num_right, num_judged = group.counts
                found[question.place, level] = group
                searches[question.place] = searches[question.place].with_result(
                    num_right=num_right, num_tried=num_judged, best_reward=group.best_reward
                )
        chosen = [found[question.place, self._level(question, searches[question.place], step)] for question in questions]
        return Answers(chosen, list(found.values()), sampled)

    def _search(self, question: Question) -> Search:
        num_tokens = 1 if question.trace is None else len(question.trace.token_ids)
        return Search.start(self._hint, num_tokens=num_tokens)

    def _longest_search(self) -> int:
        hint = self._hint
        return len(hint.levels) + 1 if hint.law == "ascending" else 2 + math.ceil(math.log2(1 + (hint.num_segments or 1)))

    def _may_try(self, question: Question, level: Level, step: int) -> bool:
        """Whether a level is open to a question: without a hint all are asked."""
        return not level or (self.is_guided(question, question.rate_before, step=step) and not are_over(self._hint, step=step))

    def _level(self, question: Question, search: Search, step: int) -> Level:
        """The level that a question is learnt at: what its search chose, or no hint where it could not go on."""
        left = search.level_to_try()
        return search.chosen() if left is None or self._may_try(question, left, step) else 0

    def _asked(self, question: Question, step: int) -> Asked:
        """A question with the hint that the law gives it, if the gate lets it."""
        hint = self._hint
        if hint.law == "none" or question.trace is None or not self.is_guided(question, question.rate_before, step=step):
            return self._hinted(question, 0)
        seed = self.seed(step, question.example.id)
        length = hint_length(hint, len(question.trace.token_ids), step=step, num_steps=self._num_steps(), seed=seed)
        return self._hinted(question, length)

    def _at_level(self, question: Question, level: Level) -> Asked:
        if question.trace is None or not level:
            return self._hinted(question, 0)
        return self._hinted(question, levels_length(self._hint, len(question.trace.token_ids), level))

    def _hinted(self, question: Question, length: int) -> Asked:
        """A question with so many tokens of its trace as a hint of some of its rollouts, or of all."""
        hint, size = self._hint, self._tools.config.algorithm.num_generations
        if question.trace is None or not length:
            return Asked(question, (UNHINTED,) * size)
        ids = question.trace.token_ids
        share = length / len(ids)
        if hint.placement == "prompt":
            return Asked(question, (Hint(share=share),) * size, shown=self._tools.collector.decoded(ids[:length]))
        num_hinted = hint.rollouts or size
        plain = (UNHINTED,) * (size - num_hinted)
        if length == len(ids):
            return Asked(question, plain, holds_trace=True)
        return Asked(question, plain + (Hint(ids[:length], share),) * num_hinted)

    def _round(self, asked: list[Asked], step: int, *, attempt: int) -> tuple[list[Asked], list[Collected]]:
        """The questions with their rollouts, and what was sampled."""
        to_sample = [group for group in asked if group.hints]
        if not to_sample:
            if self._keeps_step and self._tools.processes.anywhere(False):
                self._collect([self._spare], step, attempt=attempt)
            return asked, []
        if self._keeps_step:
            self._tools.processes.anywhere(True)
        collected = self._collect(to_sample, step, attempt=attempt)
        parts = iter(collected.split([len(group.hints) for group in to_sample]))
        return [replace(group, collected=next(parts)) if group.hints else group for group in asked], [collected]

    @property
    def _spare(self) -> Asked:
        """A question for a process that has none to ask while others have; what comes of it is thrown away."""
        return Asked(Question(0, self._dataset[0], None, None), (UNHINTED,))

    def _collect(self, asked: Sequence[Asked], step: int, *, attempt: int) -> Collected:
        instruction = self._tools.config.data.instruction
        return self._tools.collector.collect(
            [row for group in asked for row in [group.row(instruction=instruction)] * len(group.hints)],
            samples=[sample for group in asked for sample in range(len(group.hints))],
            step=step,
            hints=[hint for group in asked for hint in group.hints],
            attempt=attempt,
        )
