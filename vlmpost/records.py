"""The nouns that cross rooms: what a question is, what a model said, what it was worth.

All are frozen. Nothing here decodes an image or touches a tensor, so every room may import this file.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal


class ImageSlot(enum.Enum):
    """The place of an image inside a message; slots are filled from `Example.images` in order."""

    IMAGE = "<image>"


IMAGE: Final = ImageSlot.IMAGE

Part = str | ImageSlot
AnswerType = Literal["number", "choice", "text", "latex"]
StopReason = Literal["stop", "length"]
Outcome = Literal["correct", "wrong", "unparsed", "refusal", "uncertain"]


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One image that is not decoded yet: a file, or encoded bytes (PNG, JPEG, WebP) held in memory.

    Exactly one of `path` and `data` is set.
    """

    path: str | None = None
    data: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        assert (self.path is None) != (self.data is None), f"one of path and data, got path={self.path!r}"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat; `content` holds texts and image slots in reading order."""

    role: Literal["system", "user", "assistant"]
    content: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The texts of the turn joined, image slots left out."""
        return "".join(part for part in self.content if isinstance(part, str))

    @property
    def num_images(self) -> int:
        """How many image slots the turn has."""
        return sum(part is IMAGE for part in self.content)


@dataclass(frozen=True, slots=True)
class Example:
    """One question, with what is needed to train on it and to judge an answer to it.

    The number of image slots in `prompt` equals `len(images)`.
    """

    id: str
    task: str
    """Where the question comes from: a drawn task's name or a dataset's."""
    prompt: tuple[Message, ...]
    """What the model sees; the last message is the user's."""
    images: tuple[ImageRef, ...] = ()
    answer: str | None = None
    """The reference answer; an option letter where `answer_type` is "choice". None: cannot be judged."""
    answer_type: AnswerType = "text"
    choices: tuple[str, ...] = ()
    """Option texts in order A, B, ...; empty unless `answer_type` is "choice"."""
    solution: str | None = None
    """Expert text to imitate in SFT, thinking included. None: the row has none."""
    level: int | None = None
    """Difficulty 1 (easy) to 5 (hard). None: not measured."""
    meta: Mapping[str, object] = field(default_factory=dict)
    """Anything else, as JSON values."""

    @property
    def num_image_slots(self) -> int:
        """How many image slots the prompt has."""
        return sum(message.num_images for message in self.prompt)


@dataclass(frozen=True, slots=True)
class Step:
    """One reply in an episode, and what the task's verifier said of it."""

    text: str
    """The reply."""
    outcome: str
    """The verifier's class, e.g. "CORRECT_SOLUTION"."""
    reward: float
    correct: bool
    """Whether the reply is right."""
    violations: tuple[str, ...] = ()
    """Every offence that was charged, in order, by the class's name; the reward may be their sum."""
    recognised: bool | None = None
    """Whether what the picture shows was reported truly. None: not asked, or not looked at."""
    feedback: str | None = None
    """The user's turn that follows in the same state. None after a right reply, and where the attempts are over."""
    extracted: str | None = None
    """What was read as the answer. None: nothing."""
    state: int = 0
    """Which state of the episode was answered, from 0."""
    terminated: bool = False
    """Whether the episode ended with this right reply."""
    truncated: bool = False
    """Whether the episode ended because the attempts were used up."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion of one example's prompt: one reply, or the several replies of an episode with the verifier's turns between."""

    example: Example
    text: str
    """The completion decoded, special tokens left out; of an episode, the last reply."""
    token_ids: tuple[int, ...]
    """The sampled tokens, the end-of-turn token included where there is one; of an episode, its replies one after another."""
    stop_reason: StopReason
    """ "length" when the completion was cut by its token budget."""
    sample: int = 0
    """Which of the completions of this prompt, from 0."""
    logps: tuple[float, ...] | None = None
    """Log-probabilities of `token_ids` in nats under the sampling policy; None: not kept."""
    steps: tuple[Step, ...] = ()
    """The replies of an episode, graded. Empty: the example was not played."""
    reply_lengths: tuple[int, ...] = ()
    """How many of `token_ids` each reply has; they add up to all of them. Empty: one reply."""
    hint_share: float = 0.0
    """Share of the stored trace that was given: as the beginning of `text` and `token_ids`, or in the prompt. 0: none."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a rollout was worth.

    `total` is the weighted sum of the parts that apply; None when none applies.
    `parts` holds every term by name, unweighted; None where the term does not apply. A term that values single tokens stands in
    `parts` with the sum of its values, and in `token_parts` with all of them, one per token of the rollout.
    """

    total: float | None
    parts: Mapping[str, float | None]
    token_parts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def skipped(self) -> tuple[str, ...]:
        """The names of the terms that did not apply."""
        return tuple(name for name, value in self.parts.items() if value is None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer is right, and how that was found."""

    outcome: Outcome
    extracted: str | None
    """What was read as the answer; None when nothing was found."""
    rule: str
    """The rule that extracted or compared it, e.g. "last_box"."""
    span: tuple[int, int] | None = None
    """Where in the text `extracted` stands, as [start, end) characters."""
    normalised: str | None = None
    """`extracted` in the one form that equal answers share, for voting and grouping; None where a rule gives none."""

    @property
    def correct(self) -> bool:
        """True only for the outcome "correct"."""
        return self.outcome == "correct"


@dataclass(frozen=True, slots=True)
class Prediction:
    """A rollout with its score and verdict, as stored."""

    rollout: Rollout
    score: Score | None
    verdict: Verdict | None
