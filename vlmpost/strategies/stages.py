"""What a strategy is made of: stages, each a kind of work with its whole recipe, and what a stage takes from files of earlier ones.

Knows no strategy and does nothing; `plans` makes stages, `executor` runs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from vlmpost import jsonl
from vlmpost.config.combine import MeasureLengthConfig, QuestionsAskedConfig
from vlmpost.config.curate import CurateConfig
from vlmpost.config.schema import DataConfig, GenerationConfig, ModelConfig, RlConfig, SftConfig
from vlmpost.config.section import Section
from vlmpost.errors import RunError

Kind = Literal["sft", "rl", "pass_rates", "curate", "mix", "select", "lengths", "merge", "evaluate"]

CHOICE: Final = "choice.json"
LENGTHS: Final = "lengths.json"
LEVELS: Final = "levels.jsonl"
MIXTURE: Final = "mixture.json"
CURATED: Final = "curated"
PASS_RATES: Final = f"{CURATED}/pass_rates.jsonl"
ROWS: Final = f"{CURATED}/train.jsonl"
"""Files that stages leave for later ones, in their folders; curation has a folder in the stage's."""


class MixStage(Section):
    """Curated sets that are trained on together; those without a row are left out, and said."""

    sets: list[str] = Field(min_length=1)
    """Files of rows."""


class SelectStage(Section):
    """The best of several models on validation questions."""

    model: ModelConfig
    """How each is loaded; its path is that of the candidate."""
    candidates: dict[str, str] = Field(default_factory=dict)
    """Name to model folder."""
    run: str | None = None
    """A run whose checkpoints are the candidates, named after their folders. null: those of `candidates`."""
    questions: QuestionsAskedConfig
    """What they are asked."""


class LengthsStage(Section):
    """How long the answers of a model are."""

    model: ModelConfig
    """The model."""
    data: DataConfig
    """Its first training questions are asked."""
    generation: GenerationConfig
    """How answers are sampled, and the budget that the recipe gives."""
    measure: MeasureLengthConfig
    """How many, and what becomes of their lengths."""


class MergeStage(Section):
    """A sweep over ratios of two models."""

    model: ModelConfig
    """How a merged model is loaded; its path is the base's."""
    models: list[str] = Field(min_length=2, max_length=2)
    """The RL model and the SFT model."""
    base: str
    """What task vectors are measured from."""
    methods: list[str]
    """Methods of merging."""
    ratios: list[float]
    """Weights of the SFT model."""
    densities: list[float]
    """Shares of a task vector that are kept, where a method has one."""
    vision: str
    """Where the vision tower comes from."""
    dtype: Literal["bfloat16", "float16", "float32"] | None
    """Type of the saved weights; null: as the models'."""
    questions: QuestionsAskedConfig
    """What each merge is asked."""


class EvaluateStage(Section):
    """What a model answers to questions that no stage has seen, never from a hint."""

    model: ModelConfig
    """The model."""
    questions: QuestionsAskedConfig
    """What it is asked."""
    levels: str | None = None
    """A file with the questions' levels. null: those of the examples."""
    writes_levels: bool = False
    """Whether these answers become levels."""


StageConfig = SftConfig | RlConfig | CurateConfig | MixStage | SelectStage | LengthsStage | MergeStage | EvaluateStage


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that an earlier stage finds out."""

    stage: str
    """The stage's name."""
    file: str
    """A JSON file in its folder."""
    key: str
    """Of the value in it."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Where in a stage's recipe a value belongs that is not known yet; until then the recipe holds a stand-in."""

    key: tuple[str, ...]
    """("model", "path")."""
    value: Reference


@dataclass(frozen=True)
class Stage:
    """One piece of work in a folder of its own."""

    name: str
    """The folder's name, with the stage's place: "02_rl"."""
    kind: Kind
    config: StageConfig
    needs: tuple[str, ...] = ()
    """Stages whose results it uses."""
    fills: tuple[Fill, ...] = ()

    @property
    def title(self) -> str:
        """The name without its number."""
        return self.name.partition("_")[2]

    @property
    def is_training(self) -> bool:
        """Whether every process of a launch takes part; the first alone does the others."""
        return self.kind in ("sft", "rl")


@dataclass(frozen=True)
class Plan:
    """A strategy as stages in order."""

    strategy: str
    stages: tuple[Stage, ...]
    final: str | Reference
    """The folder of the strategy's model, or where it will be written down."""

    def stage(self, name: str) -> Stage:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)


def filled(stage: Stage, stages_dir: Path) -> StageConfig:
    """Returns the stage's recipe with what earlier stages found out.

    Raises:
        RunError: A file of an earlier stage is missing or does not hold the value.
    """
    config = stage.config
    for fill in stage.fills:
        config = with_value(config, fill.key, value_of(fill.value, stages_dir))
    return config


def value_of(reference: Reference, stages_dir: Path) -> object:
    """Returns the value that a stage has written down.

    Raises:
        RunError: The file is missing or does not hold it.
    """
    path = stages_dir / reference.stage / reference.file
    row = jsonl.read_json(path)
    if reference.key not in row:
        raise RunError(f"{path}: has no {reference.key}; remove {path.parent} to run that stage again with --resume.")
    return row[reference.key]


def with_value(config: StageConfig, key: tuple[str, ...], value: object) -> StageConfig:
    """Returns the recipe with the value at a key, checked as if a recipe had held it.

    >>> from vlmpost.config.schema import SftConfig
    >>> config = SftConfig.model_validate({"data": {"train": [{"path": "a.jsonl"}]}})
    >>> with_value(config, ("model", "path"), "runs/sft/final").model.path
    'runs/sft/final'
    """
    given = config.model_dump(mode="json", exclude_unset=True)
    here = given
    for part in key[:-1]:
        if here.get(part) is None:
            here[part] = {}
        here = here[part]
    here[key[-1]] = value
    return type(config).model_validate(given)
