"""Guided batches: which questions get a hint or a trace, their rollouts, and the rows of all that as one `Experience`.

A question's way through a batch: its gate, where pass rates of before decide; its rollouts, hinted or not, in several rounds where the
length of the hint is searched for; its gate, where these rollouts decide; its rows.

Rows are of four kinds: a rollout, a rollout behind a hint, a hint with nothing left to generate, a trace. Rollouts of a question whose
trace stands in for them are no rows: policy, KL and entropy terms know nothing of them. Every process asks the same things in the same
order; a question lies whole on one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from vlmpost.training.guidance.asking import Asker
from vlmpost.training.guidance.buffer import TraceBuffer
from vlmpost.training.guidance.drawing import StepDraw
from vlmpost.training.guidance.grouping import guided_advantages
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
from vlmpost.training.guidance.stream import TraceStream
from vlmpost.training.guidance.traces import Trace, TraceStore
from vlmpost.training.rollouts.batch import RolloutBatch, Sums
from vlmpost.training.rollouts.collector import Collected, Row
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
        self.asker = Asker(tools, guides.config, guides.traces, dataset=dataset, num_steps=num_steps, keeps_step=keeps_step)
        self._cycle_steps = cycle_steps

    def make(self, rows: list[Row], *, step: int) -> Made:
        """Returns the guided batch of the loader's rows."""
        questions = self.asker.questions(rows, self.rates, step=step)
        self.is_on_traces = self.draw is not None and self.draw.is_on_traces(step)
        groups: Sequence[Asked] = ()
        sampled: Sequence[Collected] = ()
        if self.is_on_traces:
            lines = self._lines_of_traces([question for question in questions if question.trace is not None], {})
        else:
            answers = self.asker.ask(questions, step=step)
            groups, sampled = answers.chosen, answers.sampled
            lines = self._lines(groups, step)
            self._note_rates(answers.asked)
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

    # --- rows ---

    def _note_rates(self, asked: Sequence[Asked]) -> None:
        """Adds the unhinted rollouts of all processes to what is known."""
        own = [(group.question.example.id, *group.unhinted_counts) for group in asked]
        for example_id, num_right, num_judged in self.tools.processes.gather_objects(own):
            if num_judged:
                self.rates.add(example_id, num_right=num_right, num_tried=num_judged)

    def _lines(self, groups: Sequence[Asked], step: int) -> list[Line]:
        """The rows of questions that were sampled."""
        rows = self.guidance.traces.rows
        guided = [
            group
            for group in groups
            if rows in ("in_place", "beside") and self.asker.is_guided(group.question, self._rate(group), step=step)
        ]
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
        return Question(place, self.dataset[index], self.traces.trace(example_id, seed=self.asker.seed(index, example_id)), None)

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
