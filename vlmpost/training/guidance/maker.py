"""Guided batches: which questions get a hint or a trace, their rollouts, and the rows of all that as one `Experience`.

A question's way through a batch: its gate, where pass rates of before decide; its rollouts, hinted or not, in several rounds where the
length of the hint is searched for; its gate, where these rollouts decide; its rows.

Rows are of four kinds: a rollout, a rollout behind a hint, a hint with nothing left to generate, a trace. Rollouts of a question whose
trace stands in for them are no rows: policy, KL and entropy terms know nothing of them. Every process asks the same things in the same
order; a question lies whole on one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch

from vlmpost.config.guidance import GuidanceConfig
from vlmpost.errors import ConfigError
from vlmpost.models.prompts import EncodedPrompt
from vlmpost.records import Rollout
from vlmpost.rewards.correctness import verdict_of
from vlmpost.training.credit.estimators import reward_matrix
from vlmpost.training.dataset import ExampleDataset
from vlmpost.training.experience_makers import Made, State, Tools, row_means
from vlmpost.training.guidance.buffer import TraceBuffer
from vlmpost.training.guidance.drawing import StepDraw
from vlmpost.training.guidance.gate import is_guided
from vlmpost.training.guidance.grouping import guided_advantages
from vlmpost.training.guidance.hints import are_over, hint_length, hint_seed, levels_length
from vlmpost.training.guidance.lines import (
    GENERATED,
    Line,
    experience_of,
    hint_line,
    idle_line,
    rollout_lines,
    sampler_logps,
    trace_line,
    uncertain_hint_tokens,
)
from vlmpost.training.guidance.pass_rates import PassRates
from vlmpost.training.guidance.questions import Asked, Question, rate_of
from vlmpost.training.guidance.search import Level, Search
from vlmpost.training.guidance.stream import TraceStream
from vlmpost.training.guidance.traces import Trace, TraceStore
from vlmpost.training.rollouts.batch import RolloutBatch, Sums
from vlmpost.training.rollouts.collector import UNHINTED, Collected, Hint, Row
from vlmpost.training.update.experience import Experience

COMPARED_TRACES = ("with_trace", "signed")
"""Groupings in which a trace is scored and compared as a rollout is."""


@dataclass(frozen=True, slots=True)
class Guides:
    """What a recipe's `guidance` is carried out with."""

    config: GuidanceConfig
    traces: TraceStore
    """By question."""
    rates: PassRates
    """What is known of the policy at the start; rollouts without a hint are added."""


class GuidedMaker:
    """Makes guided batches.

    Args:
        tools: What makers have of the trainer.
        guides: The knobs, traces and pass rates.
        dataset: Of the run.
        num_steps: Optimizer steps of the run, once it is known.
        cycle_steps: Optimizer steps that belong to one batch.
        keeps_step: Whether processes must sample together.

    Raises:
        ConfigError: The questions of a batch do not divide among the processes.
    """

    def __init__(
        self,
        tools: Tools,
        guides: Guides,
        *,
        dataset: ExampleDataset,
        num_steps: Callable[[], int],
        cycle_steps: int,
        keeps_step: bool,
    ) -> None:
        num_prompts, num_processes = tools.config.training.prompts_per_step, tools.processes.count
        if num_prompts % num_processes:
            raise ConfigError(
                f"guidance: {num_prompts} prompts (training.prompts_per_step) do not divide among {num_processes} processes, and guided "
                "groups lie whole on one; give a multiple of them."
            )
        self.tools = tools
        self.guidance = guides.config
        self.traces = guides.traces
        self.rates = guides.rates
        self.dataset = dataset
        seed = tools.config.training.seed
        steps, streamed = guides.config.steps, guides.config.traces
        self.draw = StepDraw(steps, seed=seed) if steps.kind == "drawn" else None
        self.buffer = TraceBuffer(steps.buffer_size) if steps.buffer_size else None
        self.stream = TraceStream(guides.traces, dataset, per_step=streamed.per_step, seed=seed) if streamed.rows == "stream" else None
        self.is_on_traces = False
        """Whether the batch of now is a drawn one on traces alone."""
        self._num_steps = num_steps
        self._cycle_steps = cycle_steps
        self._keeps_step = keeps_step
        self._groups_per_process = num_prompts // num_processes

    def make(self, rows: list[Row], *, step: int) -> Made:
        """Returns the guided batch of the loader's rows."""
        questions = self._questions(rows, step)
        self.is_on_traces = self.draw is not None and self.draw.is_on_traces(step)
        groups: list[Asked] = []
        sampled: list[Collected] = []
        if self.is_on_traces:
            lines = self._lines_of_traces([question for question in questions if question.trace is not None], {})
        else:
            groups, everything, sampled = self._sampled(questions, step)
            lines = self._lines(groups, step)
            self._note_rates(everything)
        if self.stream is not None:
            lines += self._streamed(step)
        return self._made(lines or [self._idle(questions[0])], groups, tuple(sampled), step)

    def note_gradient(self, norm: float, *, step: int) -> None:
        """Takes in the norm of a step's gradient, of all processes together, for steps that are drawn by it."""
        if self.draw is not None and self.is_on_traces:
            self.draw.record(norm, step=step)

    def state_dict(self) -> State:
        """Pass rates, buffer and gradient norms."""
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def load_state_dict(self, state: State) -> None:
        """Puts them back."""
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])

    def _stateful(self) -> dict[str, PassRates | StepDraw | TraceBuffer]:
        parts = {"rates": self.rates, "draw": self.draw, "buffer": self.buffer}
        return {name: part for name, part in parts.items() if part is not None}

    # --- questions and their rollouts ---

    def _questions(self, rows: Sequence[Row], step: int) -> list[Question]:
        each = rows[:: self.tools.config.algorithm.num_generations]
        first = self.tools.processes.index * len(each)
        return [
            Question(
                place=first + number,
                row=row,
                trace=self.traces.trace(row["example"].id, seed=self._seed(step, row["example"].id)),
                rate_before=self.rates.rate(row["example"].id),
            )
            for number, row in enumerate(each)
        ]

    def _seed(self, step: int, example_id: str) -> int:
        return hint_seed(self.tools.config.training.seed, step, example_id)

    def _sampled(self, questions: Sequence[Question], step: int) -> tuple[list[Asked], list[Asked], list[Collected]]:
        """Each question at the hint that is learnt from, with its rollouts; all that was asked; and every round that was sampled."""
        if self.guidance.hint.law not in ("ascending", "binary"):
            asked, sampled = self._round([self._asked(question, step) for question in questions], step, attempt=0)
            return asked, asked, sampled
        searches = {question.place: self._search(question) for question in questions}
        found: dict[tuple[int, Level], Asked] = {}
        sampled = []
        for attempt in range(self._longest_search()):
            tries = [(question, searches[question.place].level_to_try()) for question in questions]
            open_tries = [(question, level) for question, level in tries if level is not None and self._may_try(question, level, step)]
            if not self.tools.processes.anywhere(bool(open_tries)):
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
        return chosen, list(found.values()), sampled

    def _search(self, question: Question) -> Search:
        num_tokens = 1 if question.trace is None else len(question.trace.token_ids)
        return Search.start(self.guidance.hint, num_tokens=num_tokens)

    def _longest_search(self) -> int:
        hint = self.guidance.hint
        return len(hint.levels) + 1 if hint.law == "ascending" else 2 + math.ceil(math.log2(1 + (hint.num_segments or 1)))

    def _may_try(self, question: Question, level: Level, step: int) -> bool:
        """Whether a level is open to a question: without a hint all are asked."""
        return not level or (self._is_guided(question, question.rate_before, step) and not are_over(self.guidance.hint, step=step))

    def _level(self, question: Question, search: Search, step: int) -> Level:
        """The level that a question is learnt at: what its search chose, or no hint where it could not go on."""
        left = search.level_to_try()
        return search.chosen() if left is None or self._may_try(question, left, step) else 0

    def _is_guided(self, question: Question, rate: Fraction | None, step: int) -> bool:
        return question.trace is not None and is_guided(self.guidance.gate, rate, step=step)

    def _asked(self, question: Question, step: int) -> Asked:
        """A question with the hint that the law gives it, if the gate lets it."""
        hint = self.guidance.hint
        if hint.law == "none" or question.trace is None or not self._is_guided(question, question.rate_before, step):
            return self._hinted(question, 0)
        seed = self._seed(step, question.example.id)
        length = hint_length(hint, len(question.trace.token_ids), step=step, num_steps=self._num_steps(), seed=seed)
        return self._hinted(question, length)

    def _at_level(self, question: Question, level: Level) -> Asked:
        if question.trace is None or not level:
            return self._hinted(question, 0)
        return self._hinted(question, levels_length(self.guidance.hint, len(question.trace.token_ids), level))

    def _hinted(self, question: Question, length: int) -> Asked:
        """A question with so many tokens of its trace as a hint of some of its rollouts, or of all."""
        hint, size = self.guidance.hint, self.tools.config.algorithm.num_generations
        if question.trace is None or not length:
            return Asked(question, (UNHINTED,) * size)
        ids = question.trace.token_ids
        share = length / len(ids)
        if hint.placement == "prompt":
            return Asked(question, (Hint(share=share),) * size, shown=self.tools.collector.decoded(ids[:length]))
        num_hinted = hint.rollouts or size
        plain = (UNHINTED,) * (size - num_hinted)
        if length == len(ids):
            return Asked(question, plain, holds_trace=True)
        return Asked(question, plain + (Hint(ids[:length], share),) * num_hinted)

    def _round(self, asked: list[Asked], step: int, *, attempt: int) -> tuple[list[Asked], list[Collected]]:
        """The questions with their rollouts, and what was sampled."""
        to_sample = [group for group in asked if group.hints]
        if not to_sample:
            if self._keeps_step and self.tools.processes.anywhere(False):
                self._collect([self._spare], step, attempt=attempt)
            return asked, []
        if self._keeps_step:
            self.tools.processes.anywhere(True)
        collected = self._collect(to_sample, step, attempt=attempt)
        parts = iter(collected.split([len(group.hints) for group in to_sample]))
        return [replace(group, collected=next(parts)) if group.hints else group for group in asked], [collected]

    @property
    def _spare(self) -> Asked:
        """A question for a process that has none to ask while others have; what comes of it is thrown away."""
        return Asked(Question(0, self.dataset[0], None, None), (UNHINTED,))

    def _collect(self, asked: Sequence[Asked], step: int, *, attempt: int) -> Collected:
        instruction = self.tools.config.data.instruction
        return self.tools.collector.collect(
            [row for group in asked for row in [group.row(instruction=instruction)] * len(group.hints)],
            samples=[sample for group in asked for sample in range(len(group.hints))],
            step=step,
            hints=[hint for group in asked for hint in group.hints],
            attempt=attempt,
        )

    def _note_rates(self, asked: Sequence[Asked]) -> None:
        """Adds the unhinted rollouts of all processes to what is known."""
        own = [(group.question.example.id, *group.unhinted_counts) for group in asked]
        for example_id, num_right, num_judged in self.tools.processes.gather_objects(own):
            if num_judged:
                self.rates.add(example_id, num_right=num_right, num_tried=num_judged)

    # --- rows ---

    def _lines(self, groups: Sequence[Asked], step: int) -> list[Line]:
        """The rows of questions that were sampled."""
        rows = self.guidance.traces.rows
        guided = [group for group in groups if rows in ("in_place", "beside") and self._is_guided(group.question, self._rate(group), step)]
        replaced = {group.question.place for group in guided} if rows == "in_place" else set()
        lines: list[Line] = []
        prompts: dict[int, EncodedPrompt] = {}
        drops_truncated = self.tools.config.algorithm.mask_truncated_completions
        for group in groups:
            place = group.question.place
            if group.collected is not None:
                prompts[place] = group.collected.prompts[0]
                if place not in replaced:
                    lines += rollout_lines(place, group.collected, drops_truncated=drops_truncated)
            if group.holds_trace and group.question.trace is not None:
                if place not in prompts:
                    prompts[place] = self.tools.collector.encode([group.question.row])[0]
                lines.append(hint_line(place, prompts[place], group.question.trace))
        return lines + self._due(guided, prompts)

    def _rate(self, group: Asked) -> Fraction | None:
        """The pass rate that a gate after the rollouts goes by."""
        return rate_of(group.unhinted_counts) if self.guidance.pass_rate.source == "group" else group.question.rate_before

    def _due(self, guided: Sequence[Asked], prompts: dict[int, EncodedPrompt]) -> list[Line]:
        """The rows of the traces that are learnt in this batch."""
        if self.buffer is None:
            return self._lines_of_traces([group.question for group in guided], prompts)
        own = [(group.question.row["index"], group.question.example.id) for group in guided]
        self.buffer.add(self.tools.processes.gather_objects(own))
        due = self.buffer.take()
        mine = range(self.tools.processes.index, len(due), self.tools.processes.count)
        return self._lines_of_traces([self._later(place, *due[place]) for place in mine], {})

    def _later(self, number: int, index: int, example_id: str) -> Question:
        """A question whose trace is learnt apart from its rollouts."""
        place = self._first_free_place + number
        return Question(place, self.dataset[index], self.traces.trace(example_id, seed=self._seed(index, example_id)), None)

    @property
    def _first_free_place(self) -> int:
        return self.tools.config.training.prompts_per_step

    def _streamed(self, step: int) -> list[Line]:
        """The rows of this process's part of the stream."""
        assert self.stream is not None, "no stream"
        chosen = self.stream.of_batch(step // self._cycle_steps)
        mine = range(self.tools.processes.index, len(chosen), self.tools.processes.count)
        return self._lines_of_traces([self._later(place, *chosen[place]) for place in mine], {})

    def _lines_of_traces(self, questions: Sequence[Question], prompts: dict[int, EncodedPrompt]) -> list[Line]:
        """The rows of the traces of questions; a prompt that was read for rollouts is used again."""
        missing = [question for question in questions if question.place not in prompts]
        encoded = self.tools.collector.encode([question.row for question in missing])
        known = prompts | {question.place: prompt for question, prompt in zip(missing, encoded, strict=True)}
        return [self._line_of_trace(question, known[question.place]) for question in questions]

    def _line_of_trace(self, question: Question, prompt: EncodedPrompt) -> Line:
        assert question.trace is not None, f"{question.example.id} has no trace"
        self.tools.collector.check_trace(question.example.id, prompt, question.trace.token_ids)
        in_trace_step = self.guidance.steps.kind == "alternate"
        if self.guidance.grouping.kind not in COMPARED_TRACES:
            return trace_line(question.place, prompt, question.trace, in_trace_step=in_trace_step)
        rollout = _as_rollout(question, question.trace)
        verdict = verdict_of(rollout, profile=self.tools.rewards.profile)
        [score] = self.tools.rewards.score_all([rollout])
        is_correct = verdict is not None and verdict.correct
        return trace_line(
            question.place, prompt, question.trace, rollout=rollout, score=score, is_correct=is_correct, in_trace_step=in_trace_step
        )

    def _idle(self, question: Question) -> Line:
        return idle_line(question.place, self.tools.collector.encode([question.row])[0])

    # --- the batch ---

    def _made(self, lines: list[Line], groups: Sequence[Asked], sampled: tuple[Collected, ...], step: int) -> Made:
        experience = self.tools.scored(experience_of(lines, device=self.tools.device), sampler_logps(lines))
        experience = self._with_advantages(experience, lines)
        means = {id(line.rollout): mean for line, mean in zip(lines, row_means(experience), strict=True)}
        shown = RolloutBatch.joined(group.collected.batch for group in groups if group.collected is not None)
        shown = shown.with_advantages([means.get(id(rollout), 0.0) for rollout in shown.rollouts])
        figures = {} if self.draw is None else {"trace_probability": self.draw.probability(step)}
        return Made(experience, shown, sampled, figures, self._sums(lines, groups, experience))

    def _with_advantages(self, experience: Experience, lines: Sequence[Line]) -> Experience:
        """The experience with what each row is worth, and with the hint tokens that carry the policy loss."""
        entropies_BC, roles_BC = experience.tensors.get("entropies"), experience.tensors["roles"]
        advantages_B = torch.zeros(len(lines), device=self.tools.device)
        hint_advantages_B, flat_B = torch.zeros_like(advantages_B), torch.zeros(len(lines), dtype=torch.bool, device=self.tools.device)
        rows = [row for row, line in enumerate(lines) if line.score is not None]
        if rows:
            batch = RolloutBatch([line.rollout for line in lines if line.rollout], [line.score for line in lines if line.score], ())
            found = guided_advantages(
                reward_matrix(batch, self.tools.rewards).to(self.tools.device),
                self.tools.rewards.weights,
                groups_B=experience.tensors["groups"][rows],
                hinted_B=self._flags([lines[row].is_hinted for row in rows]),
                is_trace_B=self._flags([lines[row].is_trace for row in rows]),
                correct_B=self._flags([lines[row].is_correct for row in rows]),
                entropies_B=None if entropies_BC is None else _mean_entropies(entropies_BC[rows], roles_BC[rows] >= GENERATED),
                config=self.guidance.grouping,
                algorithm=self.tools.config.algorithm,
            )
            advantages_B[rows], hint_advantages_B[rows], flat_B[rows] = found.advantages_B, found.hint_advantages_B, found.flat_B
        known = {name: tensor for name, tensor in experience.tensors.items() if name != "entropies"}
        share = next((term.top_entropy_share for term in self.guidance.losses if (term.role, term.loss) == ("hint", "policy")), None)
        if share is None:
            known |= {"advantages": advantages_B}
        else:
            in_loss_B = experience.tensors["sampled"].any(1) & experience.tensors["rollout_rows"]  # not of a reply that was cut
            learnt_BC = uncertain_hint_tokens(roles_BC, entropies_BC, share=share) & in_loss_B.unsqueeze(1)
            known["advantages"] = torch.where(learnt_BC, hint_advantages_B.unsqueeze(1), advantages_B.unsqueeze(1))
            known["sampled"] = known["sampled"] | learnt_BC
        return Experience(experience.prompts, experience.owners, experience.completions, known | {"flat": flat_B})

    def _flags(self, values: Sequence[bool]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.bool, device=self.tools.device)

    def _sums(self, lines: Sequence[Line], groups: Sequence[Asked], experience: Experience) -> Sums:
        """This process's part of the figures of guidance."""
        hinted = [group.hint_share for group in groups if group.hint_share > 0]
        flat = [bool(row) for row, line in zip(experience.tensors["flat"].tolist(), lines, strict=True) if line.is_rollout]
        unsolved = [rate_of(group.unhinted_counts) == 0 for group in groups if group.unhinted_counts[1]]
        return {
            "hinted_share": (float(len(hinted)), float(len(groups))),
            "hint_share": (sum(hinted), float(len(hinted))),
            "zero_pass_share": (float(sum(unsolved)), float(len(unsolved))),
            "traces_per_process": (float(sum(line.is_trace for line in lines)), 1.0),
            "frac_reward_zero_std": (float(sum(flat)), float(len(flat))),
        }


def _as_rollout(question: Question, trace: Trace) -> Rollout:
    """A trace as the policy's own answer would be."""
    return Rollout(example=question.example, text=trace.text, token_ids=trace.token_ids, stop_reason="stop")


def _mean_entropies(entropies_BC: torch.Tensor, counted_BC: torch.Tensor) -> torch.Tensor:
    """Returns float [B]: the mean over the counted tokens of each row, 0 where there are none."""
    return (entropies_BC * counted_BC).sum(1) / counted_BC.sum(1).clamp(min=1)
