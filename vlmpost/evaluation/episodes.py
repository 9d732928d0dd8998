"""Plays many episodes side by side: at each moment the next replies of all that are on the table are one batch.

An episode that ends makes room for the next, so batches stay full. The randomness of a reply is a hash of (seed, question, sample,
state, turn), so that nothing depends on the size of the batch or on what else is played; the first reply of the first state has the
seed of a question that is asked once. Questions of no task are asked once and judged by their reference answer.

The chat is grown by token ids: sampled replies are never encoded again. As in arXiv 2501.17161, section 3, a state's images stand once
in its first turn, and a chat restarts with each new state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from vlmpost.evaluation.players import CHARACTERS_PER_TOKEN, Ask, Player, size_of
from vlmpost.models.completion import Completion
from vlmpost.models.sampling import row_seed
from vlmpost.records import Example, Rollout, Step
from vlmpost.rewards import RewardSet
from vlmpost.rewards.correctness import verdict_of
from vlmpost.tasks.episode import Episode
from vlmpost.tasks.verifying import result_of

PURPOSE = "eval"
"""Sets the seeds apart from those of training."""

Opened = Callable[[Example], Episode | None]
"""Gives the episode of an example, not yet begun; None: it is asked once and no task's verifier sees it."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One episode to play."""

    example: Example
    sample: int
    """Which of the question's episodes, from 0."""


@dataclass(frozen=True, slots=True)
class Played:
    """An episode that is over."""

    seat: Seat
    completions: tuple[Completion, ...]
    steps: tuple[Step, ...]
    """What the verifier said of each completion; empty where none saw them."""
    success: bool

    @property
    def rollout(self) -> Rollout:
        """The episode as the rewards see it."""
        last = self.completions[-1]
        return Rollout(
            self.seat.example,
            last.text,
            tuple(token for completion in self.completions for token in completion.token_ids),
            last.stop_reason,
            sample=self.seat.sample,
            steps=self.steps,
            reply_lengths=tuple(len(completion.token_ids) for completion in self.completions) if self.steps else (),
        )


def play(player: Player, seats: Sequence[Seat], *, opened: Opened, seed: int, batch_size: int) -> Iterator[list[Played]]:
    """Yields the episodes as they end, those of a batch together.

    Args:
        player: Who replies.
        seats: The episodes.
        opened: Opens them.
        seed: Of sampling.
        batch_size: Most replies made together.
    """
    waiting = deque(sorted((_Table(seat, opened(seat.example)) for seat in seats), key=lambda table: -table.size))
    live: list[_Table] = []
    while waiting or live:
        while waiting and len(live) < batch_size:
            live.append(waiting.popleft())
        live.sort(key=lambda table: -table.size)
        completions = player.complete([table.ask(seed) for table in live])
        for table, completion in zip(live, completions, strict=True):
            table.hear(completion, player)
        over = [table.played() for table in live if table.is_over]
        live = [table for table in live if not table.is_over]
        if over:
            yield over


def row_of(played: Played, rewards: RewardSet | None) -> dict[str, object]:
    """Returns the record of an episode; the replies stand in `steps` where a verifier saw them.

    Raises:
        GraderError: A reward fails.
    """
    example, rollout = played.seat.example, played.rollout
    verdict = verdict_of(rollout)
    score = None if rewards is None else rewards.score(rollout)
    row: dict[str, object] = {
        "id": example.id,
        "task": example.task,
        "level": example.level,
        "sample": rollout.sample,
        "text": rollout.text,
        "num_tokens": len(rollout.token_ids),
        "stop_reason": rollout.stop_reason,
        "answer": example.answer,
        "outcome": None if verdict is None else verdict.outcome,
        "extracted": None if verdict is None else verdict.extracted,
        "rule": None if verdict is None else verdict.rule,
        "span": None if verdict is None or verdict.span is None else list(verdict.span),
        "score": None if score is None else score.total,
        "parts": None if score is None else dict(score.parts),
    }
    if not played.steps:
        return row
    missed = "wrong" if verdict is None or verdict.correct else verdict.outcome
    steps = [
        {"text": step.text, **result_of(step), "num_tokens": len(completion.token_ids), "stop_reason": completion.stop_reason}
        for step, completion in zip(played.steps, played.completions, strict=True)
    ]
    return row | {
        "outcome": "correct" if played.success else missed,
        "extracted": played.steps[-1].extracted,
        "success": played.success,
        "num_replies": len(steps),
        "steps": steps,
    }


@dataclass(slots=True)
class _Table:
    """Where one episode is played."""

    seat: Seat
    episode: Episode | None
    completions: list[Completion] = field(default_factory=list)
    history: tuple[int, ...] = ()
    """Tokens after the prompt of the present state."""
    turn: int = 0
    """Replies given in the present state."""
    _prompt_size: int = field(init=False)

    def __post_init__(self) -> None:
        self._prompt_size = size_of(self.seat.example)

    @property
    def size(self) -> int:
        """About how long the chat is, in characters."""
        return self._prompt_size + CHARACTERS_PER_TOKEN * len(self.history)

    @property
    def is_over(self) -> bool:
        return bool(self.completions) and (self.episode is None or not self.episode.wants_reply)

    def ask(self, seed: int) -> Ask:
        """The next reply to make."""
        state = 0 if self.episode is None else self.episode.state
        purpose = f"{PURPOSE}/turn{self.turn}/state{state}" if state or self.turn else PURPOSE
        example = self.seat.example if self.episode is None else self.episode.example
        return Ask(example, row_seed(seed, purpose, self.seat.example.id, self.seat.sample), self.history)

    def hear(self, completion: Completion, player: Player) -> None:
        """Takes a reply; where another is wanted, the chat grows, or starts anew with the next state."""
        self.completions.append(completion)
        if self.episode is None:
            return
        before = self.episode.state
        step = self.episode.step(completion.text)
        if not self.episode.wants_reply:
            return
        if self.episode.state != before:
            self.history, self.turn, self._prompt_size = (), 0, size_of(self.episode.example)
        else:
            self.history += (*completion.token_ids, *player.between(completion.token_ids, step.feedback or ""))
            self.turn += 1

    def played(self) -> Played:
        """What was played."""
        steps = () if self.episode is None else tuple(self.episode.steps)
        return Played(self.seat, tuple(self.completions), steps, success=self.episode is not None and self.episode.succeeded)
