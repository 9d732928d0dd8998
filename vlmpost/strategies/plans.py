"""Each strategy as a pure function from its recipe to its stages: no torch, no disk.

    two_stage    sft -> [select] -> [lengths] -> [pass_rates] -> rl, from one SFT checkpoint or from each, the best of which is kept
    data_mix     sft, rl -> rl_answers -> long_cot where rl_answers has no right one -> mixture -> mixed (SFT)
    merge        sft, rl -> merge
    all others   [pass_rates] -> rl with guidance

and then levels, base and each trained model on unseen questions, where the recipe has a section `evaluation`.

Source: arXiv 2507.07562, section 4. Departures:
1. The study trains on the mixture from the base, as far as its text tells; `data_mix.start` can be another model.
2. Merges and checkpoints are chosen on validation questions (`select`); the study does not say on which.
3. RL's budget in two_stage is the recipe's, or measured; the study has 16k tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from vlmpost.config.batch import plan_sft
from vlmpost.config.combine import SPARSE_METHODS, CombineConfig, QuestionsAskedConfig
from vlmpost.config.curate import CurateConfig, FiltersConfig, KeepConfig, QuestionsConfig
from vlmpost.config.schema import ModelConfig, RlConfig, SftConfig
from vlmpost.errors import ConfigError
from vlmpost.runs.directory import RunDirectory, world_size
from vlmpost.strategies.stages import (
    CHOICE,
    LENGTHS,
    LEVELS,
    MIXTURE,
    PASS_RATES,
    ROWS,
    EvaluateStage,
    Fill,
    Kind,
    LengthsStage,
    MergeStage,
    MixStage,
    Plan,
    Reference,
    SelectStage,
    Stage,
    StageConfig,
    with_value,
)

_LOADING: Final = ("dtype", "device", "attn_implementation", "image_max_pixels", "image_min_pixels")
"""Keys of `model` that say how a trained model is loaded; the others say how it is trained."""
_MODEL: Final = ("model", "path")
_BUDGET: Final = ("generation", "max_completion_length")

Place = str | Reference
"""A model's folder, or where it will be written down."""


def plan(config: CombineConfig, folder: Path) -> Plan:
    """Returns the stages of a strategy.

    Args:
        config: The recipe, its faults mended.
        folder: Of the run; nothing is looked for there.

    Raises:
        ConfigError: The checkpoints that two_stage.start: all asks for cannot be told from the recipe.
    """
    draft = _Draft(config, folder)
    final = _PLANS.get(config.strategy, _guided)(draft)
    draft.evaluations()
    return Plan(config.strategy, tuple(draft.stages), final)


class _Draft:
    """A plan while it is written: stages so far, and the models that they leave."""

    def __init__(self, config: CombineConfig, folder: Path) -> None:
        self.config = config
        self.stages: list[Stage] = []
        self.models: dict[str, Place] = {}
        """Models to evaluate beside the base, by name."""
        self._run = RunDirectory(folder, writes=False, attempt=1)

    @property
    def sft(self) -> SftConfig:
        """The recipe of SFT."""
        assert self.config.sft is not None, "checked with the recipe"
        return self.config.sft

    @property
    def rl(self) -> RlConfig:
        """The recipe of RL."""
        assert self.config.rl is not None, "checked with the recipe"
        return self.config.rl

    @property
    def select(self) -> QuestionsAskedConfig:
        """What candidates are asked."""
        assert self.config.select is not None, "checked with the recipe"
        return self.config.select

    def run_of(self, stage: str) -> RunDirectory:
        """The run directory of a stage; it is not there yet."""
        return RunDirectory(self._run.stage_path(stage), writes=False, attempt=1)

    def add(self, title: str, kind: Kind, config: StageConfig, *, fills: tuple[Fill, ...] = (), needs: tuple[str, ...] = ()) -> str:
        """Adds a stage and returns its name."""
        name = f"{len(self.stages) + 1:02d}_{title}"
        self.stages.append(Stage(name, kind, config, needs=_once(*needs, *(fill.value.stage for fill in fills)), fills=fills))
        return name

    def add_on(
        self, title: str, kind: Kind, config: StageConfig, model: Place, *, fills: tuple[Fill, ...] = (), needs: tuple[str, ...] = ()
    ) -> str:
        """Adds a stage that begins with a model, whose folder may be known only when an earlier stage is done."""
        if isinstance(model, Reference):
            return self.add(title, kind, config, fills=(Fill(_MODEL, model), *fills), needs=needs)
        return self.add(title, kind, with_value(config, _MODEL, model), fills=fills, needs=_once(*self.makers(model), *needs))

    def makers(self, *models: str) -> tuple[str, ...]:
        """The stages that leave these models, where stages do."""
        return tuple(
            stage.name for stage in self.stages for model in models if Path(model).is_relative_to(self._run.stage_path(stage.name))
        )

    def loading(self, model: ModelConfig) -> ModelConfig:
        """How a trained model is loaded to answer: by the keys that are not about training."""
        return ModelConfig.model_validate(model.model_dump(include={"path", *_LOADING}, exclude_unset=True))

    def trained(self, title: str, kind: Literal["sft", "rl"], model: str | None) -> str:
        """The folder of an SFT or RL model: the one that is given, or that of a new stage from the base."""
        if model is None:
            model = str(self.run_of(self.supervise(title) if kind == "sft" else self.reinforce(title, None)).final_dir)
        self.models[title] = model
        return model

    def supervise(self, title: str, *, keep_all: bool = False) -> str:
        """Adds SFT from the base and returns the stage's name."""
        config = with_value(self.sft, ("checkpoints", "save_total_limit"), None) if keep_all else self.sft
        return self.add(title, "sft", config)

    def reinforce(self, title: str, start: Place | None, *, suffix: str = "") -> str:
        """Adds RL, with the measurements it asks for before it, and returns the stage's name.

        Args:
            title: Of the stage.
            start: The model that it begins with. None: that of its recipe.
            suffix: Tells the stages of a sweep apart.
        """
        config: StageConfig = self.rl
        model: Place = self.rl.model.path if start is None else start
        fills: tuple[Fill, ...] = ()
        needs: tuple[str, ...] = ()
        if start is not None and self.config.two_stage.measure_length is not None:
            fills = (Fill(_BUDGET, Reference(self.lengths(model, suffix), LENGTHS, _BUDGET[-1])),)
        if self.config.pass_rates is not None:
            measured = self.pass_rates(model, fills, suffix)
            needs = (measured,)
            config = with_value(config, ("guidance", "pass_rate", "path"), str(self._run.stage_path(measured) / PASS_RATES))
        if start is not None and self.config.two_stage.reference == "base":
            config = with_value(config, ("reference_model",), self.config.model.path)
        return self.add_on(f"{title}{suffix}", "rl", config, model, fills=fills, needs=needs)

    def lengths(self, model: Place, suffix: str) -> str:
        """Adds the measurement of RL's budget."""
        measure = self.config.two_stage.measure_length
        assert measure is not None, "asked for"
        config = LengthsStage(model=self.loading(self.rl.model), data=self.rl.data, generation=self.rl.generation, measure=measure)
        return self.add_on(f"lengths{suffix}", "lengths", config, model)

    def pass_rates(self, model: Place, budget: tuple[Fill, ...], suffix: str) -> str:
        """Adds the measurement of stored pass rates: curation that is only wanted for its counts."""
        wanted = self.config.pass_rates
        assert wanted is not None, "asked for"
        config = CurateConfig(
            model=self.loading(self.rl.model),
            data=self.rl.data.train,
            max_drop_share=self.rl.data.max_drop_share,
            instruction=self.rl.data.instruction,
            num_samples=wanted.num_samples,
            generation=wanted.generation or self.rl.generation,
            seed=wanted.seed,
        )
        return self.add_on(f"pass_rates{suffix}", "pass_rates", config, model, fills=budget if wanted.generation is None else ())

    def chosen(self, title: str, model: ModelConfig, *, run: str | None = None, candidates: Mapping[str, str] | None = None) -> Reference:
        """Adds the choice of a model and returns where it will be written down."""
        config = SelectStage(model=self.loading(model), run=run, candidates=dict(candidates or {}), questions=self.select)
        return Reference(
            self.add(title, "select", config, needs=self.makers(*(candidates or {}).values(), *filter(None, [run]))), CHOICE, "path"
        )

    def evaluations(self) -> None:
        """Adds what the recipe's `evaluation` asks for."""
        wanted = self.config.evaluation
        if wanted is None:
            return
        asked = QuestionsAskedConfig.model_validate(wanted.model_dump(exclude={"levels"}, exclude_unset=True))
        base, of_base = self.loading(self.config.model), asked if asked.base_instruction else asked.model_copy(update={"instruction": None})
        levels: str | None = None
        needs: tuple[str, ...] = ()
        if wanted.levels is not None:
            questions = of_base.model_copy(update={"num_samples": wanted.levels.num_samples, "seed": wanted.levels.seed})
            needs = (self.add("levels", "evaluate", EvaluateStage(model=base, questions=questions, writes_levels=True)),)
            levels = str(self._run.stage_path(needs[0]) / LEVELS)
        self.add("evaluate_base", "evaluate", EvaluateStage(model=base, questions=of_base, levels=levels), needs=needs)
        for title, model in self.models.items():
            self.add_on(f"evaluate_{title}", "evaluate", EvaluateStage(model=base, questions=asked, levels=levels), model, needs=needs)


def _guided(draft: _Draft) -> Place:
    """RL guided by traces, from the base."""
    return draft.trained("rl", "rl", None)


def _two_stage(draft: _Draft) -> Place:
    """RL from an SFT model, or from several of its checkpoints."""
    wanted = draft.config.two_stage
    if wanted.sft_model is not None:
        draft.models["sft"] = wanted.sft_model
        starts: dict[str, Place] = {"": wanted.sft_model}
    else:
        starts = _starts(draft)
    finals = {}
    for suffix, start in starts.items():
        name = draft.reinforce("rl", start, suffix=suffix)
        finals[f"rl{suffix}"] = str(draft.run_of(name).final_dir)
    draft.models.update(finals)
    if len(finals) == 1:
        return next(iter(finals.values()))
    return draft.chosen("select_rl", draft.rl.model, candidates=finals)


def _starts(draft: _Draft) -> dict[str, Place]:
    """The models that RL starts from, by what tells their stages apart."""
    start = draft.config.two_stage.start
    name = draft.supervise("sft", keep_all=start != "final")
    run = draft.run_of(name)
    draft.models["sft"] = str(run.final_dir)
    if start == "final":
        return {"": str(run.final_dir)}
    if start == "best":
        best = draft.chosen("select_sft", draft.sft.model, run=str(run.path))
        draft.models["sft"] = best
        return {"": best}
    steps = checkpoint_steps(draft.sft, start)
    return {f"_step_{step:06d}" if len(steps) > 1 else "": str(run.checkpoint_path(step)) for step in steps}


def checkpoint_steps(sft: SftConfig, start: Literal["all"] | list[int]) -> list[int]:
    """Returns the optimizer steps of the checkpoints that RL starts from.

    Raises:
        ConfigError: The number of steps cannot be told from the recipe, or no checkpoint is written at one of the steps.
    """
    every, sizes = sft.checkpoints.save_steps, [source.num_examples for source in sft.data.train]
    num_examples = None if None in sizes else sum(filter(None, sizes))
    if sft.training.max_steps is None and num_examples is None:
        raise ConfigError("two_stage.start: which checkpoints SFT leaves is not known; give sft.training.max_steps.")
    num_steps = plan_sft(sft.training, world_size=world_size()).num_steps(
        num_examples=num_examples or 0, num_train_epochs=sft.training.num_train_epochs, max_steps=sft.training.max_steps
    )
    steps = sorted({*range(every, num_steps + 1, every), num_steps})
    if start == "all":
        return steps
    missing = [str(step) for step in start if step not in steps]
    if missing:
        raise ConfigError(
            f"two_stage.start: SFT leaves no checkpoint at step {', '.join(missing)}; its checkpoints are at {', '.join(map(str, steps))} "
            "(sft.checkpoints.save_steps)."
        )
    return sorted(set(start))


def _data_mix(draft: _Draft) -> Place:
    """SFT on right answers of the RL model and, where it has none, of the SFT model."""
    wanted = draft.config.data_mix
    sft, rl = draft.trained("sft", "sft", wanted.sft_model), draft.trained("rl", "rl", wanted.rl_model)
    asked = {
        "data": wanted.data or draft.rl.data.train,
        "max_drop_share": draft.rl.data.max_drop_share,
        "instruction": draft.rl.data.instruction,
        "num_samples": wanted.num_samples,
        "filters": FiltersConfig(duplicates="keep"),
        "seed": wanted.seed,
    }
    generation = wanted.generation or draft.rl.generation
    short = CurateConfig(model=draft.loading(draft.rl.model), generation=generation, **asked)
    first = draft.add_on("rl_answers", "curate", short, rl)
    number = None if wanted.long_cot_per_question == "all" else wanted.long_cot_per_question
    long = CurateConfig(
        model=draft.loading(draft.sft.model),
        generation=wanted.long_cot_generation or generation,
        questions=QuestionsConfig(pass_rates=str(draft.run_of(first).path / PASS_RATES), max_pass_rate=0.0),
        keep=KeepConfig(num=number, fallback=wanted.fallback),
        **asked,
    )
    second = draft.add_on("long_cot", "curate", long, sft, needs=(first,))
    sets = [str(draft.run_of(name).path / ROWS) for name in (first, second)]
    mixture = draft.add("mixture", "mix", MixStage(sets=sets), needs=(first, second))
    config = with_value(draft.sft, ("data", "train"), [{"path": path} for path in sets])
    training = wanted.training or draft.sft.training.model_copy(update={"num_train_epochs": 2.0, "max_steps": None})
    config = with_value(config, ("training",), training.model_dump(mode="json", exclude_unset=True))
    start = {"base": draft.sft.model.path, "sft": sft, "rl": rl}[wanted.start]
    fills = (Fill(("data", "train"), Reference(mixture, MIXTURE, "train")),)
    final = str(draft.run_of(draft.add_on("mixed", "sft", config, start, fills=fills)).final_dir)
    draft.models["mixed"] = final
    return final


def _merge(draft: _Draft) -> Place:
    """An SFT and an RL model of one base, their weights mixed."""
    wanted = draft.config.merge
    sft, rl = draft.trained("sft", "sft", wanted.sft_model), draft.trained("rl", "rl", wanted.rl_model)
    config = MergeStage(
        model=draft.loading(draft.config.model),
        models=[rl, sft],
        base=wanted.base or draft.config.model.path,
        methods=list(wanted.methods),
        ratios=wanted.ratios,
        densities=wanted.densities if set(wanted.methods) & set(SPARSE_METHODS) else [],
        vision=wanted.vision,
        dtype=wanted.dtype,
        questions=draft.select,
    )
    best = Reference(draft.add("merge", "merge", config, needs=draft.makers(rl, sft)), CHOICE, "path")
    draft.models["merged"] = best
    return best


def _once(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


_PLANS: Final[Mapping[str, Callable[[_Draft], Place]]] = {"two_stage": _two_stage, "data_mix": _data_mix, "merge": _merge}
