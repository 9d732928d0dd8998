"""Stored replies to stored problems: rows read, replies played one after another, and what came of each.

A row is an instance in the task's own words (`Task.from_row`: a hand, a route, an order) or an example as `vlmpost make data` writes it,
and `outputs`, the replies. How they are played is said by `verify_iterations`, the graded attempts at each state: by the row's, else by
the task's own number. A task that has none takes one reply, so there each output is an episode of its own.
Pure: files are the command's business.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from vlmpost.errors import ConfigError, DataError
from vlmpost.records import Example, Step
from vlmpost.rewards.rows import rollout_of
from vlmpost.tasks.episode import Episode
from vlmpost.tasks.problem import Problem, no_pictures
from vlmpost.tasks.task import Task

OUTPUTS, RESULTS, VERIFY_ITERATIONS = "outputs", "results", "verify_iterations"
"""Keys of a row that are ours and no part of the instance."""
_STORED_KEYS = ("prompt", "conversations", "messages")


def instance_of(task: Task, row: Mapping[str, object]) -> Example:
    """Returns the problem that a row gives: a stored example's, without its images, or the explicit instance.

    Raises:
        DataError: The row belongs to another task, lacks something or holds what cannot be.
        ConfigError: The task cannot be given instances.
    """
    instance = {key: value for key, value in row.items() if key not in (OUTPUTS, RESULTS, VERIFY_ITERATIONS)}
    if not isinstance(row.get("meta"), Mapping) or not any(key in row for key in _STORED_KEYS):
        return task.from_row(instance)
    named = row.get("task")
    if named not in (None, task.name, task.address):
        raise DataError(f"the example is of task {named!r:.80}, not of {task.address!r}. Verify it with its own task.")
    return rollout_of({**instance, "output": "", "task": task.address}, where="the example").example


def without_pictures(task: Task) -> Task:
    """Returns the task with nothing drawn in the examples that it makes: a verifier reads `meta` alone, and drawing takes the time."""
    blind = copy.copy(task)

    def example_of(problem: Problem, *, id: str, facts: Mapping[str, object]) -> Example:
        return task.example_of(replace(problem, draw=no_pictures), id=id, facts=facts)

    blind.example_of = example_of  # type: ignore[method-assign]  # of this copy only; `from_row` and `following` go through it
    return blind


def replies_of(row: Mapping[str, object]) -> list[str]:
    """Returns the replies of a row; one that is no text (an object, a number) stands as its JSON.

    Raises:
        DataError: `outputs` is missing, or no list.
    """
    outputs = row.get(OUTPUTS)
    if not isinstance(outputs, list):
        got = f"got {type(outputs).__name__}" if OUTPUTS in row else f"found {', '.join(sorted(row)) or 'nothing'}"
        raise DataError(f"expected {OUTPUTS}, a list of replies, {got}.")
    return [output if isinstance(output, str) else json.dumps(output) for output in outputs]


def verify_iterations_of(task: Task, row: Mapping[str, object]) -> int | None:
    """Returns the graded attempts at each state: the row's, else the task's own. None: each reply is an episode of its own.

    Raises:
        DataError: The row's is no whole number of 1 or more.
    """
    given = row.get(VERIFY_ITERATIONS)
    if given is None:
        return task.verify_iterations
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise DataError(f"{VERIFY_ITERATIONS} must be a whole number of 1 or more, got {given!r:.80}.")
    return given


def table_of(task: Task, rewards: str | None) -> str:
    """Returns the reward table that is asked for; None: the task's default.

    Raises:
        ConfigError: The task has no such table.
    """
    if rewards is None:
        return task.reward_tables[0]
    if rewards not in task.reward_tables:
        raise ConfigError(f"Task {task.address!r} has no reward table {rewards!r}. It has: {', '.join(sorted(task.reward_tables))}.")
    return rewards


def play(task: Task, example: Example, replies: Iterable[str], *, verify_iterations: int | None, rewards: str) -> list[Episode]:
    """Returns the episodes that the replies make, one reply after another, all of them graded.

    Args:
        task: Whose problem it is.
        example: The first state.
        replies: May be any number; those after the end of an episode come back as such.
        verify_iterations: Graded attempts at each state. None: each reply is an episode of its own.
        rewards: One of the task's reward tables.
    """
    if verify_iterations is None:
        episodes = []
        for reply in replies:
            episodes.append(Episode(task, example, rewards=rewards))
            episodes[-1].step(reply)
        return episodes
    episode = Episode(task, example, verify_iterations=verify_iterations, rewards=rewards)
    for reply in replies:
        episode.step(reply)
    return [episode]


def result_of(step: Step) -> dict[str, object]:
    """Returns what came of one reply, for scripts; the reply itself is left out."""
    return {
        "outcome": step.outcome,
        "reward": step.reward,
        "violations": list(step.violations),
        "terminated": step.terminated,
        "truncated": step.truncated,
        "correct": step.correct,
        "recognised": step.recognised,
        "extracted": step.extracted,
        "feedback": step.feedback,
        "state": step.state,
    }
