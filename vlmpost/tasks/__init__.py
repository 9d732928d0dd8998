"""Drawn tasks: problems that draw their own picture and know their own answer.

Every example is a pure function of (task, split, index, seed, difficulty). The three splits cannot share a problem: each
problem's content (picture and question) is hashed, the hash belongs to one split, and a draw that falls to another split is
drawn again.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import random
from collections.abc import Callable, Iterator, Sequence

from vlmpost.errors import ConfigError
from vlmpost.records import IMAGE, Example, ImageRef, Message
from vlmpost.tasks import card_sums, charts, comparing, counting
from vlmpost.tasks.problem import Problem, direct_solution, reasoned

__all__ = ["DIFFICULTIES", "SPLITS", "direct_solution", "make", "names", "stream"]

SPLITS = ("train", "validation", "test")
DIFFICULTIES = (1, 2, 3, 4, 5)

_TASKS: dict[str, Callable[[random.Random, int], Problem]] = {
    "card_sums": card_sums.pose,
    "charts": charts.pose,
    "comparing": comparing.pose,
    "counting": counting.pose,
}


def names() -> tuple[str, ...]:
    """Return the names of the drawn tasks, sorted."""
    return tuple(sorted(_TASKS))


def make(task: str, *, split: str, index: int, seed: int = 0, difficulty: int) -> Example:
    """Return one example; the same arguments always give the same one.

    Args:
        task: One of `names()`.
        split: One of `SPLITS`.
        index: Number of the example in its stream, from 0.
        seed: Chooses the stream.
        difficulty: 1 (easy) to 5 (hard): more to read and more steps.

    Raises:
        ConfigError: The task, split, index or difficulty does not exist.
    """
    _check(task, split=split, index=index, difficulty=difficulty)
    problem = _pose(task, split=split, index=index, seed=seed, difficulty=difficulty)
    encoded = io.BytesIO()
    problem.draw().save(encoded, format="PNG")
    return Example(
        id=f"{task}-{split}-s{seed}-d{difficulty}-{index:06d}",
        task=task,
        prompt=(Message(role="user", content=(IMAGE, problem.question)),),
        images=(ImageRef(data=encoded.getvalue()),),
        answer=problem.answer,
        answer_type=problem.answer_type,
        solution=reasoned(problem.reasoning, problem.answer),
        meta={"difficulty": difficulty, "split": split, "seed": seed, "index": index, **problem.content},
    )


def stream(task: str, *, split: str, seed: int = 0, num_examples: int, difficulties: Sequence[int] = DIFFICULTIES) -> Iterator[Example]:
    """Yield `num_examples` examples whose difficulties take turns in the given order.

    Raises:
        ConfigError: As `make`, or `difficulties` is empty.
    """
    if not difficulties:
        raise ConfigError(f"Drawn task {task!r} got an empty list of difficulties: give some of 1 to 5.")
    for index in range(num_examples):
        yield make(task, split=split, index=index, seed=seed, difficulty=difficulties[index % len(difficulties)])


def split_of(problem: Problem) -> str:
    """Return the split that a problem belongs to: 8 of 10 hashes are train, one validation, one test."""
    digest = hashlib.blake2b(problem.key.encode(), digest_size=8).digest()
    return {8: "validation", 9: "test"}.get(int.from_bytes(digest, "big") % 10, "train")


def _pose(task: str, *, split: str, index: int, seed: int, difficulty: int) -> Problem:
    """Draw problems until one belongs to the split; each attempt has a generator of its own."""
    attempt = 0
    while True:
        rng = random.Random(f"{task}|{split}|{seed}|{index}|{difficulty}|{attempt}")
        problem = _TASKS[task](rng, difficulty)
        if split_of(problem) == split:
            return problem
        attempt += 1


def _check(task: str, *, split: str, index: int, difficulty: int) -> None:
    if task not in _TASKS:
        near = difflib.get_close_matches(task, _TASKS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"There is no drawn task {task!r}.{hint} The tasks are: {', '.join(names())}.")
    if split not in SPLITS:
        raise ConfigError(f"Drawn task {task!r} has no split {split!r}: use one of {', '.join(sorted(SPLITS))}.")
    if difficulty not in DIFFICULTIES:
        raise ConfigError(f"Drawn task {task!r} got difficulty {difficulty!r}: use 1 to 5.")
    if index < 0:
        raise ConfigError(f"Drawn task {task!r} got index {index}: use 0 or more.")
