"""What SFT imitates: a task's examples with scripted solutions, every one verified again before it leaves here.

Three choices beside the task's own options: the style of the solution (the bare answer, one that reasons first, or both in turn by
chance), how many of the samples are revision trajectories (a few wrong replies and the verifier's messages stand in the prompt, the
right reply is the solution), and how long these are. Of a task with several states every state is a sample, in the order of the route.

Departure from arXiv 2501.17161: its main SFT data are single turns only, and so are ours by default; its ablation with revision
trajectories takes errors that a model made, ours are scripted (`Task.wrong_reply`).
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from vlmpost import jsonl
from vlmpost.errors import ConfigError
from vlmpost.records import Example
from vlmpost.tasks.episode import Episode
from vlmpost.tasks.task import STYLES, Style, Task

DEFAULT_ATTEMPTS = 3
"""Longest trajectory of a task that does not say how many attempts it gives."""
NUM_DRAWS = 8
"""Draws of a wrong reply that was not given before, after which a repeated one is taken."""
NUM_WRONG_REPLIES = "num_wrong_replies"
"""Key of `Example.meta`: how many wrong replies stand in the prompt of a revision trajectory."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """What the samples are like."""

    style: Style | Literal["mixed"] | None = None
    """None: the solution that the example comes with, else the bare answer, where the task has one."""
    revision_share: float = 0.0
    """Share of the samples that are revision trajectories, 0 to 1; each is drawn for itself."""
    max_attempts: int = DEFAULT_ATTEMPTS
    """Most replies in a trajectory, the right one included; 2 or more."""
    seed: int = 0
    """Chooses styles, trajectories and wrong replies."""


def samples(task: Task, starts: Iterable[Example], mixture: Mixture, *, num_samples: int) -> Iterator[Example]:
    """Yields samples made of the examples and of the states that follow them.

    Args:
        task: Whose examples they are.
        starts: First states; read as far as they are needed.
        mixture: What is made of each.
        num_samples: Where to end.

    Raises:
        ConfigError: The task has no solutions or wrong replies of the kind, or one does not verify as it must.
    """
    for example in itertools.islice(states(task, starts), num_samples):
        yield sample(task, example, mixture)


def states(task: Task, starts: Iterable[Example]) -> Iterator[Example]:
    """Yields every example with the states that follow it."""
    for start in starts:
        state: Example | None = start
        while state is not None:
            yield state
            state = task.following(state)


def sample(task: Task, example: Example, mixture: Mixture) -> Example:
    """Returns the sample made of one state.

    Raises:
        ConfigError: The task has no solution or wrong reply of the kind, or one does not verify as it must.
    """
    rng = random.Random(f"sample|{example.id}|{mixture.seed}")
    style = rng.choice(STYLES) if mixture.style == "mixed" else mixture.style
    solved = replace(example, solution=_solution(task, example, style))
    if rng.random() < mixture.revision_share:
        return revised(task, solved, rng=rng, num_wrong_replies=rng.randint(1, mixture.max_attempts - 1))
    return verified(task, solved)


def revised(task: Task, example: Example, *, rng: random.Random, num_wrong_replies: int) -> Example:
    """Returns the example with wrong replies and the verifier's messages in its prompt.

    Raises:
        ConfigError: A wrong reply is right, or the solution is missing or not right.
    """
    if example.solution is None:
        raise ConfigError(f"Task {task.address!r}: example {example.id!r} has no solution to end a revision trajectory with.")
    episode = Episode(task, _as_stored(example), verify_iterations=num_wrong_replies + 1)
    for _ in range(num_wrong_replies):
        step = episode.step(_new_wrong_reply(task, example, rng, given=[step.text for step in episode.steps]))
        if step.correct or not step.feedback:
            said = "is right" if step.correct else "gets no message of the verifier"
            raise ConfigError(f"Task {task.address!r}: a wrong reply to example {example.id!r} {said}: {step.text[:200]!r}.")
    trajectory = replace(
        example,
        id=f"{example.id}-w{num_wrong_replies}",
        prompt=episode.messages,
        meta={**example.meta, NUM_WRONG_REPLIES: num_wrong_replies},
    )
    return verified(task, trajectory)


def verified(task: Task, example: Example) -> Example:
    """Returns the example as it is, once its solution is found right by the task's default table from what a file keeps of it.

    An example without a solution has nothing to verify.

    Raises:
        ConfigError: The solution is not right.
    """
    if example.solution is None:
        return example
    step = task.verify(_as_stored(example), example.solution, rewards=task.reward_tables[0])
    if not step.correct:
        charged = f" ({', '.join(step.violations)})" if step.violations else ""
        raise ConfigError(
            f"Task {task.address!r}: the scripted solution of example {example.id!r} does not verify: {step.outcome}{charged}, "
            f"reward {step.reward:g}: {example.solution[:200]!r}."
        )
    return example


def _solution(task: Task, example: Example, style: Style | None) -> str | None:
    if style is not None:
        return task.solve(example, style=style)
    if example.solution is not None or type(task).solve is Task.solve:
        return example.solution
    return task.solve(example)


def _new_wrong_reply(task: Task, example: Example, rng: random.Random, *, given: list[str]) -> str:
    for _ in range(NUM_DRAWS):
        reply = task.wrong_reply(example, rng)
        if reply not in given:
            break
    return reply


def _as_stored(example: Example) -> Example:
    """The example with what JSON keeps of its meta: tuples are lists, keys are texts."""
    return replace(example, meta=json.loads(jsonl.dump(example.meta)))
