"""What `vlmpost combine --dry-run` shows: the stages with their numbers, memory, and the schedules over the run. No torch, no weights."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vlmpost.cli.options import print_json
from vlmpost.cli.sharing import Sharing, memory_text, shape_of, sharded_memory
from vlmpost.errors import ConfigError

if TYPE_CHECKING:
    from vlmpost.cli.prepare import Prepared
    from vlmpost.config.combine import CombineConfig
    from vlmpost.config.load import Loaded
    from vlmpost.config.schema import RlConfig, SftConfig, SourceConfig
    from vlmpost.models.memory import Shape
    from vlmpost.reports.plan_picture import Curve
    from vlmpost.strategies import Plan, Stage


def show_plan(
    loaded: Loaded[CombineConfig],
    plan: Plan,
    *,
    folder: Path,
    gpus: int | None,
    gpu_memory_gb: float,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Prints the plan of a strategy, and draws its schedules.

    Raises:
        ConfigError: The picture's name has another ending, or a stage's batch does not divide among the GPUs.
        DataError: Stored data cannot be read.
        ModelError: The sizes of the model are not known here.
        RunError: The picture cannot be written.
    """
    from vlmpost.reports.plan_picture import check_name, lines, write_picture
    from vlmpost.strategies.schedules import panels, spans

    if picture is not None:
        check_name(picture)
    config = loaded.config
    sharing = None if gpus is None else Sharing(gpus, gpu_memory_gb)
    shape = shape_of(config.model.path)
    rows = [stage_figures(stage, config, plan, shape, sharing) for stage in plan.stages]
    steps = {stage.name: cast("int", row["num_steps"]) for stage, row in zip(plan.stages, rows, strict=True) if stage.is_training}
    drawn = panels(plan, steps)
    if picture is not None:
        write_picture(picture, drawn, spans(plan, steps), title=f"{plan.strategy}: {loaded.path.name}")
    if as_json:
        curves = {panel.title: {curve.name: _points(curve) for curve in panel.curves} for panel in drawn}
        print_json({"strategy": plan.strategy, "recipe": str(loaded.path), "stages": rows, "schedules": curves})
        return
    print(f"recipe    {loaded.path} (combine, {plan.strategy})")
    print(f"run       {folder}{' (exists)' if folder.exists() else ''}")
    print(f"model     {config.model.path}: {shape.num_parameters:,} parameters")
    for line in [*_table(rows), *_memory_lines(rows, sharing)]:
        print(line)
    print(f"schedules over {sum(steps.values())} optimizer steps, each from its first value to its last")
    for line in lines(drawn, plain=not _shows_blocks()):
        print(f"  {line}")
    if picture is not None:
        print(f"picture   {picture}")
    print("nothing was started (--dry-run)")


def _points(curve: Curve) -> list[list[float | None]]:
    """Pairs of step and value; null in a gap."""
    return [[step, None if math.isnan(value) else value] for step, value in curve.points]


def stage_figures(stage: Stage, config: CombineConfig, plan: Plan, shape: Shape, sharing: Sharing | None) -> dict[str, object]:
    """Every number of a stage by name; sizes in bytes, tokens and answers at most."""
    head: dict[str, object] = {"name": stage.name, "kind": stage.kind, "needs": list(stage.needs)}
    if stage.is_training:
        return {**head, **_training_figures(stage, config, shape, sharing)}
    answers, budget = _answers(stage, plan)
    return {**head, "num_answers": answers, "total_tokens": answers * budget}


def _training_figures(stage: Stage, config: CombineConfig, shape: Shape, sharing: Sharing | None) -> dict[str, object]:
    from vlmpost.cli.plan import plan_figures

    prepared = prepared_stage(stage, config, sharing)
    figures = plan_figures(prepared, shape)
    if sharing is not None:
        figures["sharded_memory_bytes"] = sharded_memory(prepared, shape, sharing)
    return {key: value for key, value in figures.items() if key != "kind"}


def prepared_stage(stage: Stage, config: CombineConfig, sharing: Sharing | None) -> Prepared:
    """A training stage as `vlmpost plan` takes it: from the base, on data that is there.

    The mixture of data_mix is not there yet: the questions stand for it, gone through once for each answer that may be kept.
    """
    from vlmpost.cli.prepare import Prepared, batch_of
    from vlmpost.config.load import Loaded
    from vlmpost.config.schema import RlConfig
    from vlmpost.strategies.stages import with_value

    recipe = cast("SftConfig | RlConfig", with_value(stage.config, ("model", "path"), config.model.path))
    if any(fill.key == ("data", "train") for fill in stage.fills):
        questions = config.data_mix.data or (config.rl.data.train if config.rl is not None else [])
        times = recipe.training.num_train_epochs * config.data_mix.num_samples
        sources = [source.model_dump(mode="json", exclude_unset=True) for source in questions]
        recipe = cast("SftConfig", with_value(with_value(recipe, ("data", "train"), sources), ("training", "num_train_epochs"), times))
    if sharing is not None and recipe.model.dtype == "auto":
        recipe = cast("SftConfig | RlConfig", with_value(recipe, ("model", "dtype"), "bfloat16"))
    try:
        batch = batch_of(recipe) if sharing is None else sharing.batch_of(recipe)
    except ConfigError as error:
        raise ConfigError(f"{stage.name}: {error}") from None
    loaded = Loaded("rl" if isinstance(recipe, RlConfig) else "sft", Path(stage.name), recipe, "", (), {}, {})
    return Prepared(loaded, batch)


def _answers(stage: Stage, plan: Plan) -> tuple[int, int]:
    """Answers that a stage samples, at most, and tokens that each may have."""
    from vlmpost.config.curate import CurateConfig
    from vlmpost.strategies.stages import EvaluateStage, LengthsStage, MergeStage, SelectStage

    config = stage.config
    if isinstance(config, CurateConfig):
        return _num_questions(config.data) * config.num_samples, config.generation.max_completion_length
    if isinstance(config, LengthsStage):
        return config.measure.num_examples * config.measure.num_samples, config.measure.max_completion_length
    if not isinstance(config, EvaluateStage | MergeStage | SelectStage):
        return 0, 0
    asked = config.questions
    times = (
        _num_merges(config) if isinstance(config, MergeStage) else _num_candidates(config, plan) if isinstance(config, SelectStage) else 1
    )
    return times * _num_questions(asked.data) * asked.num_samples, asked.generation.max_completion_length


def _num_merges(config: object) -> int:
    from vlmpost.config.combine import SPARSE_METHODS
    from vlmpost.strategies.stages import MergeStage

    assert isinstance(config, MergeStage), config
    lines = sum(len(config.densities) if method in SPARSE_METHODS else 1 for method in config.methods)
    return lines * len(config.ratios)


def _num_candidates(config: object, plan: Plan) -> int:
    from vlmpost.cli.prepare import batch_of
    from vlmpost.cli.summary import count_examples
    from vlmpost.config.schema import SftConfig
    from vlmpost.strategies.stages import SelectStage

    assert isinstance(config, SelectStage), config
    if config.run is None:
        return len(config.candidates)
    trained = plan.stage(Path(config.run).name).config
    assert isinstance(trained, SftConfig), trained
    num_steps = batch_of(trained).num_steps(
        num_examples=count_examples(trained.data)[0],
        num_train_epochs=trained.training.num_train_epochs,
        max_steps=trained.training.max_steps,
    )
    return math.ceil(num_steps / trained.checkpoints.save_steps)


def _num_questions(sources: list[SourceConfig]) -> int:
    from vlmpost.cli.summary import count_examples
    from vlmpost.config.schema import DataConfig

    return count_examples(DataConfig(train=sources))[0]


def _table(rows: list[dict[str, object]]) -> list[str]:
    """The stages, one line each, in columns."""
    cells = [("stage", "kind", "steps", "sequences", "answers", "tokens at most", "after")]
    for row in rows:
        cells.append(
            (
                str(row["name"]),
                str(row["kind"]),
                _shown(row.get("num_steps")),
                _shown(row.get("sequences_per_step")),
                _shown(row.get("num_answers")),
                _shown(row.get("total_tokens")),
                ", ".join(str(name).partition("_")[0] for name in cast("list[str]", row["needs"])),
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    left = (0, 1, 6)
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and value else ""


def _memory_lines(rows: list[dict[str, object]], sharing: Sharing | None) -> list[str]:
    """Memory of the training stages: of one process alone, or of one of the GPUs that share."""
    key = "memory_bytes" if sharing is None else "sharded_memory_bytes"
    if sharing is None:
        result = ["memory of one process, without sharding (estimate; expect 20 % more):"]
    else:
        result = [f"memory of each of {sharing.num_gpus} GPUs that share weights, gradients and optimizer (estimate; 20 % more must fit):"]
    for row in rows:
        for phase, parts in cast("Mapping[str, Mapping[str, int]]", row.get(key, {})).items():
            result.append(f"  {row['name']!s:12} {phase:9} {memory_text(parts, sharing)}")
    return result


def _shows_blocks() -> bool:
    """Whether the terminal has the characters that curves are drawn with."""
    return (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")
