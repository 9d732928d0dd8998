"""The episodes of one batch of rollouts: which rows are asked again, with what tokens, and what became of them.

Knows no trainer and samples nothing. A row's completion is its replies as they were sampled with the environment's tokens between;
`mask` is 1 on what was sampled. Each state of a task is a prompt of its own in training, so an episode ends with the first right reply
or the last attempt. A batch may hold rows that are no task's: they get one reply and no verifier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vlmpost import tasks
from vlmpost.config.schema import EpisodeConfig
from vlmpost.errors import ConfigError, DataError
from vlmpost.models.turns import TurnRenderer
from vlmpost.records import Example, Step
from vlmpost.tasks.episode import Episode

Decode = Callable[[Sequence[int]], str]
"""Token ids to text, special tokens left out."""


@dataclass(slots=True)
class _Row:
    """One episode with its tokens."""

    episode: Episode
    replies: list[list[int]] = field(default_factory=list)
    between: list[tuple[int, ...]] = field(default_factory=list)
    """The environment's tokens after each reply that is followed by another."""
    logps: list[Sequence[float | None]] = field(default_factory=list)
    """Log-probabilities of the replies' tokens, where the sampler tells them."""


class EpisodeBatch:
    """Plays the rows of a batch side by side.

    Args:
        examples: One per row.
        config: Attempts and reward table.
        renderer: Encodes the environment's turns.
        decode: Reads a reply.

    Raises:
        DataError: An example is of no task.
        ConfigError: A task does not have the reward table.
    """

    def __init__(self, examples: Sequence[Example], *, config: EpisodeConfig, renderer: TurnRenderer, decode: Decode) -> None:
        self._renderer = renderer
        self._decode = decode
        self._rows = [_Row(open_episode(example, config=config)) for example in examples]

    @property
    def live(self) -> list[int]:
        """The rows that want another reply."""
        return [place for place, row in enumerate(self._rows) if row.episode.wants_reply]

    def histories(self, places: Sequence[int]) -> list[list[int]]:
        """Returns, for each of these rows, the tokens after its prompt up to where the next reply starts."""
        return [_joined(self._rows[place], self._rows[place].replies) for place in places]

    def add(self, places: Sequence[int], replies: Sequence[Sequence[int]], logps: Sequence[Sequence[float | None]] | None = None) -> None:
        """Grades one reply of each of these rows; where another is wanted, the verifier's message follows it."""
        for index, (place, ids) in enumerate(zip(places, replies, strict=True)):
            row = self._rows[place]
            step = row.episode.step(self._decode(ids))
            row.replies.append(list(ids))
            if logps is not None:
                row.logps.append(logps[index])
            if row.episode.wants_reply:
                row.between.append(self._renderer.between(ids, step.feedback or ""))

    @property
    def completion_ids(self) -> list[list[int]]:
        """The completions: replies and what stands between them."""
        return [_joined(row, row.replies) for row in self._rows]

    @property
    def logps(self) -> list[list[float | None]] | None:
        """The log-probabilities of the completions' tokens, None at the environment's; None where the sampler tells none."""
        if not any(row.logps for row in self._rows):
            return None
        return [_joined(row, row.logps, between=None) for row in self._rows]

    @property
    def masks(self) -> list[list[int]]:
        """1 for each token of a completion that was sampled, 0 for the environment's."""
        return [_joined(row, [[1] * len(reply) for reply in row.replies], between=0) for row in self._rows]

    @property
    def steps(self) -> list[tuple[Step, ...]]:
        """The graded replies of each row."""
        return [tuple(row.episode.steps) for row in self._rows]

    @property
    def replies(self) -> list[list[list[int]]]:
        """The sampled tokens of each row, reply by reply."""
        return [row.replies for row in self._rows]


def open_episode(example: Example, *, config: EpisodeConfig) -> Episode:
    """Returns the episode of an example, not yet begun.

    Raises:
        DataError: The example is of no task.
        ConfigError: Its task does not have the reward table.
    """
    try:
        task = tasks.find(example.task)
    except ConfigError as error:
        raise DataError(
            f"Example {example.id!r} cannot be played: {error} The recipe's `episode` section needs examples of a task; leave it out for "
            "other data."
        ) from None
    if config.rewards is not None and config.rewards not in task.reward_tables:
        raise ConfigError(
            f"episode.rewards: task {task.name!r} has no reward table {config.rewards!r}; it has: {', '.join(task.reward_tables)}."
        )
    return Episode(task, example, verify_iterations=config.verify_iterations, rewards=config.rewards, through=False)


_AS_IS = object()


def _joined(row: _Row, replies: Sequence[Sequence[Any]], *, between: Any = _AS_IS) -> list[Any]:  # Any: ids, numbers or None
    """What stands for the replies with what stands between them: the environment's tokens, or `between` for each of them."""
    joined: list[Any] = []
    for place, reply in enumerate(replies):
        joined += reply
        if place < len(row.between):
            joined += row.between[place] if between is _AS_IS else [between] * len(row.between[place])
    return joined
