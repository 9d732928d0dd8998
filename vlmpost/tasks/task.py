"""The contract of a task: a family of problems that draw themselves and verify replies to them.

A task of yours is one class in one file, named in a recipe as `package.module:Class` or `file.py:Class`:

    from vlmpost.tasks import Problem, Task

    class Parity(Task):
        name = "parity"

        def pose(self, rng, *, options, difficulty):
            number = rng.randrange(1000)
            word = "even" if number % 2 == 0 else "odd"
            return Problem(prompt=(f"Is {number} even or odd?",), content={"number": number}, solution=word, answer=word)

That is all it takes for `make data`, `sft`, `rl`, `eval` and `tasks show`. Replies are judged against `answer` unless `verify` says
otherwise; several attempts (`verify_iterations`) work for every task. All methods are pure: what a verifier has to know of a problem
stands in `Example.meta`, so that a stored example can be verified as well as one just made.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

from PIL import Image

from vlmpost.answers import judge_reference
from vlmpost.answers.reference import reference_of
from vlmpost.config.section import Section
from vlmpost.errors import ConfigError
from vlmpost.records import Example, ImageRef, Message, Step
from vlmpost.tasks.problem import Problem

Shift = Literal["none", "rule", "visual"]
Style = Literal["answer", "reasoned"]
SPLITS: Final = ("train", "validation", "test")
SHIFTS: Final[tuple[Shift, ...]] = ("none", "rule", "visual")
STYLES: Final[tuple[Style, ...]] = ("answer", "reasoned")


class TaskOptions(Section):
    """What can be chosen about a task; a task's own options are a subclass. Attribute docstrings are the help text."""


class Task(ABC):
    """A family of problems.

    Class attributes:
        name: What examples call it.
        options_type: The schema of its options.
        shifts: Which variants it has, each with the options that it changes; "none" is in distribution. The other options stay.
        difficulties: The difficulties `pose` knows; empty: it knows none and gets None.
        reward_tables: What `verify` can be asked to reward by; the first is the default.
        verify_iterations: Graded attempts at each state in the study it is from. None: it asks once.
        png_level: Compression of the pictures, 0 to 9; less is faster.
    """

    name: ClassVar[str]
    options_type: ClassVar[type[TaskOptions]] = TaskOptions
    shifts: ClassVar[Mapping[Shift, Mapping[str, object]]] = MappingProxyType({"none": {}})
    difficulties: ClassVar[tuple[int, ...]] = ()
    reward_tables: ClassVar[tuple[str, ...]] = ("paper",)
    verify_iterations: ClassVar[int | None] = None
    png_level: ClassVar[int] = 6

    @property
    def address(self) -> str:
        """What `tasks.find` finds it by, and examples say as their task: the name, or where a user's class is."""
        return getattr(self, "_address", self.name)

    # --- what a task has to say ---

    @abstractmethod
    def pose(self, rng: random.Random, *, options: Any, difficulty: int | None) -> Problem:
        """Returns a problem; everything random comes from `rng`.

        Args:
            rng: A generator of this draw's own.
            options: An instance of `options_type`.  (Any: a subclass narrows it.)
            difficulty: One of `difficulties`; None where there are none.
        """

    def verify(self, example: Example, reply: str, *, rewards: str = "paper") -> Step:
        """Returns what one reply is worth, whatever the reply holds; the number of attempts is the episode's business.

        Args:
            example: One of this task, made or read back.
            reply: Any text; it is never evaluated.
            rewards: One of `reward_tables`.
        """
        verdict = judge_reference(reply, reference_of(example))
        return Step(
            text=reply,
            outcome=verdict.outcome.upper(),
            reward=1.0 if verdict.correct else 0.0,
            correct=verdict.correct,
            feedback=None if verdict.correct else _feedback(verdict.outcome),
            extracted=verdict.extracted,
        )

    def following(self, example: Example) -> Example | None:
        """Returns the next state after a right reply to this one; None: the right reply ends the episode."""
        return None

    def from_row(self, row: Mapping[str, object]) -> Example:
        """Returns the example of an instance that is given explicitly (a hand, a route, an order), for `vlmpost tasks`.

        Raises:
            DataError: The row lacks something, or holds what cannot be.
        """
        raise ConfigError(f"Task {self.name!r} cannot be given an instance explicitly.")

    def solve(self, example: Example, *, style: Style = "answer") -> str:
        """Returns an optimal reply: the bare answer in its form, or one that reasons first.

        Raises:
            ConfigError: The task has no such reply.
        """
        if style == "answer" and example.solution is not None:
            return example.solution
        raise ConfigError(f"Task {self.name!r} has no {style} solutions.")

    def wrong_reply(self, example: Example, rng: random.Random) -> str:
        """Returns a plausible reply in the right form that `verify` does not find correct, for revision trajectories.

        Raises:
            ConfigError: The task has none.
        """
        raise ConfigError(f"Task {self.name!r} has no wrong replies to learn revision from.")

    # --- what follows from it ---

    def make(
        self,
        *,
        split: str,
        index: int,
        seed: int = 0,
        difficulty: int | None = None,
        options: TaskOptions | None = None,
        shift: Shift = "none",
    ) -> Example:
        """Returns one example; the same arguments always give the same one.

        Args:
            split: One of `SPLITS`. A draw that belongs to another split is drawn again.
            index: Number of the example in its stream, from 0.
            seed: Chooses the stream.
            difficulty: One of `difficulties`; None where there are none.
            options: From `options_of`; None: the defaults, shifted by `shift`.
            shift: Which variant; only its name is used where `options` are given.
        """
        chosen = options if options is not None else self.options_of({}, shift=shift)
        stream = f"{self.name}|{split}|{seed}|{index}|{difficulty}"
        attempt = 0
        while True:
            problem = self.pose(random.Random(f"{stream}|{attempt}"), options=chosen, difficulty=difficulty)
            if split_of(problem.split_key) == split:
                break
            attempt += 1
        facts: dict[str, object] = {} if difficulty is None else {"difficulty": difficulty}
        facts |= {"split": split, "seed": seed, "index": index}
        if shift != "none":
            facts["shift"] = shift
        return self.example_of(problem, id=self._id(facts, options=chosen), facts=facts)

    def example_of(self, problem: Problem, *, id: str, facts: Mapping[str, object]) -> Example:
        """Returns the example of a problem: pictures drawn and encoded as PNG, content and facts in `meta`."""
        return Example(
            id=id,
            task=self.address,
            prompt=(Message(role="user", content=problem.prompt),),
            images=tuple(ImageRef(data=_png(image, level=self.png_level)) for image in problem.draw()),
            answer=problem.answer,
            answer_type=problem.answer_type,
            choices=problem.choices,
            solution=problem.solution,
            meta={**facts, **problem.content},
        )

    def options_of(self, given: Mapping[str, object], *, shift: Shift = "none") -> TaskOptions:
        """Returns the options: the defaults, what the shift changes, and above both what is given.

        Raises:
            ConfigError: The task has no such shift, or an option is unknown or wrong; all faults at once.
        """
        from vlmpost.tasks.options import checked_options

        if shift not in self.shifts:
            raise ConfigError(f"Task {self.name!r} has no shift {shift!r}. It has: {', '.join(self.shifts)}.")
        return checked_options(self.name, self.options_type, {**self.shifts[shift], **given})

    def _id(self, facts: Mapping[str, object], *, options: TaskOptions) -> str:
        difficulty = f"-d{facts['difficulty']}" if "difficulty" in facts else ""
        shift = f"-{facts['shift']}" if "shift" in facts else ""
        changed = options.model_dump(mode="json", exclude_defaults=True)
        mark = f"-o{hashlib.blake2b(json.dumps(changed, sort_keys=True).encode(), digest_size=3).hexdigest()}" if changed else ""
        return f"{self.name}-{facts['split']}-s{facts['seed']}{difficulty}{shift}{mark}-{facts['index']:06d}"


def split_of(key: str) -> str:
    """Returns the split that a problem of this key belongs to: 8 of 10 hashes are train, one validation, one test."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return {8: "validation", 9: "test"}.get(int.from_bytes(digest, "big") % 10, "train")


def _feedback(outcome: str) -> str:
    """Returns what is said of a reply that is not right, without a word about the answer."""
    if outcome == "wrong":
        return "That is not right. Look again and give another answer in the same form."
    return "No answer could be read in that. Look again and give one in the form that was asked for."


def _png(image: Image.Image, *, level: int) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, format="PNG", compress_level=level)
    return encoded.getvalue()


def texts_of(parts: Sequence[object]) -> str:
    """Returns the texts of a prompt joined."""
    return "".join(part for part in parts if isinstance(part, str))
