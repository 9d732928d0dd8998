"""What the puzzles share: their options, their question with lettered options, and grids of patches."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image
from pydantic import Field

from vlmpost.records import IMAGE, Part
from vlmpost.tasks.answered import AnsweredTask, option_letter, reasoned
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.puzzles.landscapes import Landscape
from vlmpost.tasks.task import TaskOptions

MAX_OPTIONS = 9
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels, the last two exclusive."""


class PuzzleOptions(TaskOptions):
    """What can be chosen about every puzzle; most add their `rule`."""

    size_pixels: int = Field(default=224, ge=96, le=1024)
    """The side of the picture."""
    scenery: Literal["day", "night"] = "day"
    """How the landscape looks."""


class PuzzleTask(AnsweredTask):
    """A landscape in pieces or turned, a question and lettered options."""

    difficulties = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Puzzle:
    """One puzzle, before it is a `Problem`."""

    question: str
    choices: tuple[str, ...]
    """Option texts; where the options are pictures, their letters."""
    right: int
    """Which option is the answer, from 0."""
    reasoning: str
    """How the answer is found, without the letter."""
    scene: Landscape
    content: Mapping[str, object]
    """What was done to the scene, as JSON values."""
    draw: Callable[[], Sequence[Image.Image]] = field(repr=False)
    num_images: int = 1
    """How many pictures there are before the question."""
    pictured: bool = False
    """Whether the options are pictures too."""

    def posed(self, options: PuzzleOptions) -> Problem:
        """Returns the problem; the scenery has no part in its split."""
        letter = option_letter(self.right)
        changed = options.model_dump(mode="json", exclude_defaults=True)
        content = {"scene": self.scene.described(), **self.content}
        prompt = self._prompt()
        bare = Problem(prompt=prompt, content=content)
        return Problem(
            prompt=prompt,
            content={**content, **({"options": changed} if changed else {})},
            solution=reasoned(f"{self.reasoning} That is option {letter}.", letter),
            answer=letter,
            answer_type="choice",
            choices=self.choices,
            draw=self.draw,
            key=bare.split_key,
        )

    def _prompt(self) -> tuple[Part, ...]:
        asked = f"{self.question}\n"
        closing = "\nAnswer with the letter of the right option in \\boxed{}."
        shown: list[Part] = [IMAGE] * self.num_images
        if self.pictured:
            for place in range(len(self.choices)):
                shown += [f"{asked if place == 0 else ''}\n{option_letter(place)}. ", IMAGE]
            return (*shown, closing)
        listed = "\n".join(f"{option_letter(place)}. {text}" for place, text in enumerate(self.choices))
        return (*shown, f"{asked}{listed}{closing}")


def offered(rng: random.Random, number: int, *, right: int) -> list[int]:
    """Returns which of `number` possible answers are the options, in their order: all, or as many as the judge takes with the right one."""
    if number <= MAX_OPTIONS:
        return list(range(number))
    others = [place for place in range(number) if place != right]
    return sorted([right, *rng.sample(others, MAX_OPTIONS - 1)])


def boxes(rows: int, columns: int, *, size_pixels: int) -> list[Box]:
    """Returns the patches of a grid in reading order; all are of one size, and what does not fill a patch is left out at right and bottom.

    >>> boxes(1, 2, size_pixels=101)
    [(0, 0, 50, 101), (50, 0, 100, 101)]
    """
    wide, high = size_pixels // columns, size_pixels // rows
    return [(column * wide, row * high, (column + 1) * wide, (row + 1) * high) for row in range(rows) for column in range(columns)]


def place_name(row: int, column: int, *, rows: int, columns: int) -> str:
    """Returns the words for a place in a grid of two or three rows and columns, or its row and column in a larger one.

    >>> place_name(0, 1, rows=2, columns=2), place_name(1, 1, rows=3, columns=3), place_name(1, 3, rows=4, columns=4)
    ('top right', 'middle centre', 'row 2, column 4')
    """
    across = {2: ("left", "right"), 3: ("left", "centre", "right")}.get(columns)
    down = {2: ("top", "bottom"), 3: ("top", "middle", "bottom")}.get(rows)
    if across is None or down is None:
        return f"row {row + 1}, column {column + 1}"
    return f"{down[row]} {across[column]}"
