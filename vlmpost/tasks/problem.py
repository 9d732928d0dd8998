"""What a task poses: a problem before it has an id."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from vlmpost.records import AnswerType, Part


def no_pictures() -> Sequence[Image.Image]:
    """Draws nothing."""
    return ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: what is said and shown, and what is known of its answer.

    Whatever is random was chosen before: `draw` and everything else are pure.
    """

    prompt: tuple[Part, ...]
    """The user's turn: texts and image slots in reading order."""
    content: Mapping[str, object]
    """Everything that the verifier and the pictures depend on, as JSON values; it becomes part of `Example.meta`."""
    solution: str | None = None
    """An optimal reply. None: the task has none to give."""
    answer: str | None = None
    """The one right answer, for the judge. None: replies are only known to be right by the task's verifier."""
    answer_type: AnswerType = "text"
    choices: tuple[str, ...] = ()
    """Option texts in order A, B, ...; empty unless `answer_type` is "choice"."""
    draw: Callable[[], Sequence[Image.Image]] = field(default=no_pictures, repr=False)
    """Draws the pictures of the image slots, in order: RGB."""
    key: str = ""
    """What decides the split: problems of one key are in one split. Empty: the prompt's text with the content."""

    @property
    def split_key(self) -> str:
        """`key`, or the whole problem as one canonical text."""
        if self.key:
            return self.key
        texts = [part if isinstance(part, str) else part.value for part in self.prompt]
        return json.dumps([texts, self.content], sort_keys=True, separators=(",", ":"))
