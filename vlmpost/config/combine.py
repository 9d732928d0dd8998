"""A recipe of `vlmpost combine`: one strategy of SFT and RL together, with the recipes of its stages inside it.

    strategy: two_stage        model: {path: nano}        sft: {data: ..., training: ...}        rl: {data: ..., rewards: ...}

`model` is the base of every stage: its keys stand in `sft.model` and `rl.model` where those say nothing else. A guided strategy's preset
stands in `rl.guidance` where that names none. What a strategy reads is in `READS`; other sections are faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticKnownError

from vlmpost.config import guidance_presets
from vlmpost.config.schema import GenerationConfig, ModelConfig, RlConfig, SftConfig, SftTrainingConfig, Share, SourceConfig
from vlmpost.config.section import Section

MergeMethod = Literal["dare_linear", "dare_ties", "della", "linear", "slerp", "slerp_task", "task_arithmetic", "ties"]
SPARSE_METHODS: Final = ("dare_linear", "dare_ties", "della", "ties")
"""Methods of merging that keep a part of a task vector only."""
STAGED: Final = ("two_stage", "data_mix", "merge")
"""Strategies that are several runs; every other one is one run of guided RL."""
STRATEGIES: Final = (*STAGED, *guidance_presets.PRESETS)
"""All of them."""
READS: Final[Mapping[str, tuple[str, ...]]] = {
    "two_stage": ("sft", "rl", "two_stage", "select", "pass_rates"),
    "data_mix": ("sft", "rl", "data_mix", "pass_rates"),
    "merge": ("sft", "rl", "merge", "select", "pass_rates"),
    **dict.fromkeys(guidance_presets.PRESETS, ("rl", "pass_rates")),
}
"""The sections that a strategy has a use for, beside `model` and `evaluation`."""


class QuestionsAskedConfig(Section):
    """Questions that models are compared on."""

    data: list[SourceConfig] = Field(min_length=1)
    """The questions; none of them may be trained on."""
    max_drop_share: Share = Field(0.01, ge=0, le=1)
    """Share of stored rows that may be unreadable before nothing is measured."""
    instruction: str | None = None
    """Text added to each question for trained models. null: none."""
    base_instruction: bool = False
    """Add it for the base too; the study asks its base without."""
    num_samples: int = Field(4, gt=0)
    """Answers per question."""
    generation: GenerationConfig = GenerationConfig()
    """How answers are sampled; never from a hint."""
    seed: int = Field(1, ge=0)
    """Of sampling."""


class LevelsConfig(Section):
    """How hard each question is for the base, from answers of their own: the same answers would flatter every other model."""

    num_samples: int = Field(16, ge=5)
    """Answers per question; 16 are the reference."""
    seed: int = Field(0, ge=0)
    """Of sampling; another than `evaluation.seed`."""


class EvaluationConfig(QuestionsAskedConfig):
    """How the base and the model of each stage are measured at the end."""

    levels: LevelsConfig | None = LevelsConfig()
    """Accuracy by level L1..L5. null: not by level, unless the questions have levels of their own."""


class MeasureLengthConfig(Section):
    """How RL's budget is measured on the SFT model: what most of its answers need."""

    num_examples: int = Field(64, gt=0)
    """Questions that are asked, the first of `rl.data.train`."""
    num_samples: int = Field(4, gt=0)
    """Answers per question."""
    max_completion_length: int = Field(16384, gt=0)
    """Tokens an answer may have while it is measured; generous."""
    quantile: Share = Field(0.95, gt=0, le=1)
    """Share of the answers that fit into the budget."""
    margin: float = Field(1.0, ge=1)
    """Factor on that quantile."""
    max_truncated_share: Share = Field(0.1, ge=0, le=1)
    """Share of answers over the budget above which it is warned: the study's runs broke down from 10 to 20 % on."""
    seed: int = Field(0, ge=0)
    """Of sampling."""


class TwoStageConfig(Section):
    """RL from an SFT model."""

    sft_model: str | None = None
    """A trained SFT model, with no section `sft`. null: trained first, by `sft`."""
    start: Literal["final", "best", "all"] | list[Annotated[int, Field(gt=0)]] = "final"
    """Which SFT model RL starts from: the last; the checkpoint that is best on `select`; or RL from each checkpoint (a list: from those
    of these steps), the best of which on `select` is the final model. Other than final: SFT keeps all its checkpoints."""
    reference: Literal["start", "base"] = "start"
    """The model that RL's KL term compares with: the one it starts from, or the base."""
    measure_length: MeasureLengthConfig | None = None
    """Measure rl.generation.max_completion_length on the model that RL starts from. null: as `rl` says."""


class PassRatesConfig(Section):
    """Stored pass rates of RL's questions, from answers of the model that RL starts from; for guidance.pass_rate.source: table."""

    num_samples: int = Field(8, gt=0)
    """Answers per question."""
    generation: GenerationConfig | None = None
    """How answers are sampled. null: as `rl.generation` says."""
    seed: int = Field(0, ge=0)
    """Of sampling."""


class DataMixConfig(Section):
    """SFT on short answers of an RL model and, where that fails, long ones of an SFT model."""

    rl_model: str | None = None
    """A trained RL model. null: trained first, by `rl`."""
    sft_model: str | None = None
    """A trained SFT model. null: trained first, by `sft`."""
    data: list[SourceConfig] | None = Field(None, min_length=1)
    """The questions that both answer. null: those of `rl.data.train`."""
    num_samples: int = Field(8, gt=0)
    """Answers of each model per question; all right ones of the RL model are kept."""
    long_cot_per_question: Annotated[int, Field(gt=0)] | Literal["all"] = "all"
    """Right answers of the SFT model kept for each question that the RL model never solves: a number, or all of `num_samples`."""
    fallback: Literal["solution", "none"] = "solution"
    """What such a question gets when the SFT model does not solve it either: its stored solution, or nothing."""
    generation: GenerationConfig | None = None
    """How the RL model is sampled. null: as `rl.generation` says."""
    long_cot_generation: GenerationConfig | None = None
    """How the SFT model is sampled. null: as the RL model."""
    seed: int = Field(0, ge=0)
    """Of sampling."""
    start: Literal["base", "sft", "rl"] = "base"
    """The model that is trained on the mixture."""
    training: SftTrainingConfig | None = None
    """Optimizer and clock of that round. null: those of `sft.training`, for 2 epochs."""


class MergeSweepConfig(Section):
    """Weights of an SFT and an RL model mixed in several ratios; the best on `select` is the final model."""

    sft_model: str | None = None
    """A trained SFT model. null: trained first, by `sft`."""
    rl_model: str | None = None
    """A trained RL model. null: trained first, by `rl`."""
    base: str | None = None
    """What task vectors are measured from. null: model.path."""
    methods: list[MergeMethod] = Field(default=["linear", "ties", "slerp"], min_length=1)
    """Methods of `vlmpost merge`."""
    ratios: list[Annotated[Share, Field(ge=0, le=1)]] = Field(default=[0.0, 0.25, 0.5, 0.75, 1.0], min_length=1)
    """Weights of the SFT model; 0 is the RL model, 1 the SFT model."""
    densities: list[Annotated[Share, Field(gt=0, le=1)]] = Field(default=[0.2, 0.5, 1.0], min_length=1)
    """Shares of each task vector that are kept, for the methods that have one (ties, dare, della)."""
    vision: Literal["merge", "keep", "1", "2"] = "merge"
    """Where the vision tower comes from: merge, keep (the base's), 1 (the RL model's) or 2 (the SFT model's)."""
    dtype: Literal["bfloat16", "float16", "float32"] | None = None
    """Type of the saved weights. null: as the models'."""


class CombineConfig(Section):
    """A recipe of `vlmpost combine`."""

    strategy: str
    """How SFT and RL are combined (`vlmpost combine --strategies` lists the ways)."""
    model: ModelConfig = ModelConfig()
    """The base model of every stage."""
    sft: SftConfig | None = None
    """The SFT stage, as a recipe of `vlmpost sft`."""
    rl: RlConfig | None = None
    """The RL stage, as a recipe of `vlmpost rl`."""
    two_stage: TwoStageConfig = TwoStageConfig()
    """two_stage: RL from an SFT model."""
    data_mix: DataMixConfig = DataMixConfig()
    """data_mix: SFT on what both models answer."""
    merge: MergeSweepConfig = MergeSweepConfig()
    """merge: the sweep."""
    pass_rates: PassRatesConfig | None = None
    """Measure stored pass rates before RL. null: nothing is known at first, or rl.guidance.pass_rate.path is."""
    select: QuestionsAskedConfig | None = None
    """Validation questions that a checkpoint or a merge is chosen by; never those of `evaluation`."""
    evaluation: EvaluationConfig | None = None
    """Measure the base and the model of each stage at the end. null: nothing is measured."""

    @model_validator(mode="before")
    @classmethod
    def _shared_with_stages(cls, given: Any) -> Any:  # Any: what a recipe holds, before it is checked
        return filled(given) if isinstance(given, Mapping) else given

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, name: str) -> str:
        if name not in STRATEGIES:
            raise PydanticKnownError("literal_error", {"expected": ", ".join(sorted(STRATEGIES))})
        return name


def filled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a combine recipe whose stages hold the shared model and, in guided RL, the strategy's preset, where they say nothing else.

    >>> filled({"strategy": "progressive", "model": {"path": "m"}, "rl": {"guidance": {"gate": {"pass_rate": 0.25}}}})["rl"]
    {'guidance': {'preset': 'progressive', 'gate': {'pass_rate': 0.25}}, 'model': {'path': 'm'}}
    """
    result = dict(given)
    for name in ("sft", "rl"):
        if isinstance(given.get(name), Mapping):
            result[name] = _with_model(given[name], given.get("model"))
    if given.get("strategy") in guidance_presets.PRESETS and isinstance(result.get("rl"), Mapping):
        result["rl"] = _with_preset(result["rl"], given["strategy"])
    return result


def _with_model(stage: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """The stage with the shared model's keys under its own; as it is where one of the two is no sound model section."""
    own = stage.get("model", {})
    if not isinstance(model, Mapping) or not isinstance(own, Mapping):
        return dict(stage)
    try:
        ModelConfig.model_validate(model, strict=True)
    except ValidationError:
        return dict(stage)  # said once, of `model`
    return {**stage, "model": {**model, **own}}


def _with_preset(rl: Mapping[str, Any], preset: str) -> dict[str, Any]:
    own = rl.get("guidance")
    if own is None:
        return {**rl, "guidance": {"preset": preset}}
    return {**rl, "guidance": {"preset": preset, **own}} if isinstance(own, Mapping) else dict(rl)
