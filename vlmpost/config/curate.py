"""A recipe of `vlmpost curate`: which questions are answered by whom, which answers are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vlmpost.config.schema import GenerationConfig, ModelConfig, Share, SourceConfig
from vlmpost.config.section import Section


class TeacherConfig(Section):
    """Who answers."""

    kind: Literal["model", "endpoint"] = "model"
    """model: loaded here, under `model`. endpoint: an OpenAI-compatible server; its address and key come from the environment
    (VLMPOST_TEACHER_BASE_URL, VLMPOST_TEACHER_API_KEY)."""
    name: str | None = None
    """endpoint: the model's name there."""
    prompting: Literal["answer", "actions"] = "answer"
    """answer: one reply to the question. actions: thoughts chosen by the teacher one by one (clarify, decompose, solution_step,
    reflection, answer), joined to one long solution."""
    max_actions: int = Field(24, gt=0)
    """actions: thoughts of one solution; one that is not finished by then is dropped, and counted."""
    reflection_name: str | None = None
    """actions, endpoint: another model there that reflects. null: the same."""
    max_concurrent: int = Field(8, gt=0)
    """endpoint: requests under way at once."""
    max_seconds: float = Field(300.0, gt=0)
    """endpoint: limit of one try."""
    max_tries: int = Field(5, gt=0)
    """endpoint: tries of one request before it is a failure, which the ledger counts and the next call tries again."""
    think_tags: bool = True
    """Put a teacher's separate reasoning (reasoning_content) between <think> tags before its answer."""


class QuestionsConfig(Section):
    """Which questions are asked."""

    pass_rates: str | None = None
    """JSONL rows {id, num_right, num_tried}; with it only questions whose rate is at most `max_pass_rate` are asked. null: all."""
    max_pass_rate: Share = Field(0.0, ge=0, le=1)
    """The highest pass rate of a question that is asked; 0 is zero pass."""
    needs_image: bool = False
    """Drop questions that are answered right without their images."""
    needs_image_samples: int = Field(4, gt=0)
    """needs_image: answers without images; one right answer drops the question. Multiple choice is guessed right by chance."""


class FiltersConfig(Section):
    """Which answers cannot be kept."""

    correct: bool = True
    """Drop answers that the judge does not find right."""
    truncated: bool = True
    """Drop answers that were cut by their token budget."""
    min_tokens: int | None = Field(None, gt=0)
    """Fewest tokens of an answer; words where an endpoint does not count tokens."""
    max_tokens: int | None = Field(None, gt=0)
    """Most tokens of an answer; words where an endpoint does not count tokens."""
    duplicates: Literal["exact", "normalised", "keep"] = "normalised"
    """Drop further answers to a question that are the same text, or the same but for blanks and case."""
    language: str | None = None
    """Drop answers that are not written in this language (ISO 639-1, e.g. en), formulas and code left out."""
    pattern: str | None = None
    """Drop answers in which this regular expression is not found."""


class KeepConfig(Section):
    """Which of the answers that passed are kept."""

    which: Literal["all", "shortest", "longest", "random"] = "all"
    """The order in which they are taken."""
    num: int | None = Field(None, gt=0)
    """Answers kept of each question. null: all."""
    max_rows: int | None = Field(None, gt=0)
    """Rows kept in all, questions in turn. null: all."""
    fallback: Literal["none", "solution"] = "none"
    """What a question without a kept answer gets: nothing, or the solution that it came with."""


class DecontaminateConfig(Section):
    """What must not be trained on."""

    against: list[SourceConfig] = Field(min_length=1)
    """Evaluation sets."""
    ngram: int = Field(13, gt=0)
    """Words in a row that two questions must share to count as the same; shorter questions are compared whole."""
    image_distance: int = Field(8, ge=0)
    """Bits of 64 in which the perceptual hashes of two images may differ to count as the same."""
    match: Literal["either", "text", "image", "both"] = "either"
    """What makes a question a copy."""


class CurateConfig(Section):
    """A recipe of `vlmpost curate`."""

    model: ModelConfig = ModelConfig()
    """The model that answers, for teacher.kind: model."""
    teacher: TeacherConfig = TeacherConfig()
    """Who answers."""
    data: list[SourceConfig] = Field(min_length=1)
    """The questions."""
    max_drop_share: Share = Field(0.01, ge=0, le=1)
    """Share of stored rows that may be unreadable before nothing is done."""
    instruction: str | None = None
    """Text added to each question."""
    questions: QuestionsConfig = QuestionsConfig()
    """Which of them are asked."""
    num_samples: int = Field(8, gt=0)
    """Answers drawn for each question."""
    generation: GenerationConfig = GenerationConfig()
    """How answers are sampled."""
    filters: FiltersConfig = FiltersConfig()
    """Which answers cannot be kept."""
    keep: KeepConfig = KeepConfig()
    """Which of the others are kept."""
    decontaminate: DecontaminateConfig | None = None
    """null: nothing is compared."""
    seed: int = Field(0, ge=0)
    """Of sampling and of random choices."""
