"""What each kind of stage does, in its own run directory. Every one goes on where it was interrupted and gives the same result then.

Training is `training.executor`'s, curation `curation`'s, merging `merge_sweep`'s; models answer in `measuring`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from vlmpost import jsonl
from vlmpost.config.combine import QuestionsAskedConfig
from vlmpost.config.curate import CurateConfig
from vlmpost.config.schema import RlConfig, SftConfig
from vlmpost.curation import curate
from vlmpost.data import build
from vlmpost.errors import DataError, RunError
from vlmpost.evaluation.levels import assign_levels, join_levels, write_levels
from vlmpost.evaluation.results import Records
from vlmpost.reports.progress import Progress
from vlmpost.runs.directory import RunDirectory
from vlmpost.strategies.measuring import measured, questions, score
from vlmpost.strategies.merge_sweep import sweep
from vlmpost.strategies.stages import (
    CHOICE,
    CURATED,
    LENGTHS,
    LEVELS,
    MIXTURE,
    EvaluateStage,
    Kind,
    LengthsStage,
    MergeStage,
    MixStage,
    SelectStage,
    StageConfig,
)
from vlmpost.training.executor import run_rl, run_sft

_SAID_TIMES: Final = 10
"""A stage says how far it is this many times."""


def do(kind: Kind, config: StageConfig, run: RunDirectory, *, resume: bool, progress: Progress) -> None:
    """Does the work of a stage.

    Args:
        kind: Of the stage.
        config: Its recipe.
        run: Its run directory, created or opened for resume.
        resume: Whether it was begun before.
        progress: Where it says how far it is.

    Raises:
        UserError: Something the user can mend.
        TrainingStopped: A signal or a fatal finding ended it; everything is saved.
    """
    if isinstance(config, SftConfig):
        run_sft(config, run, resume=resume, progress=progress)
    elif isinstance(config, RlConfig):
        run_rl(config, run, resume=resume, progress=progress)
    else:
        _WORK[kind](config, run, progress)


def _pass_rates(config: CurateConfig, run: RunDirectory, progress: Progress) -> None:
    curate(config, run.path / CURATED, measure_only=True, progress=_counted(progress))


def _curate(config: CurateConfig, run: RunDirectory, progress: Progress) -> None:
    """Curates; a set may be empty here, since another one stands beside it."""
    result = curate(config, run.path / CURATED, may_be_empty=True, progress=_counted(progress))
    if not result.ledger.num_rows:
        progress.note(f"{run.name}: no answer was kept")


def _mix(config: MixStage, run: RunDirectory, progress: Progress) -> None:
    """Writes down which of the sets have rows, and how many."""
    counts = {path: sum(1 for _ in jsonl.read(path)) for path in config.sets}
    for path, count in counts.items():
        progress.phase(f"{count} rows from {path}")
    if not any(counts.values()):
        raise DataError(f"{run.name}: none of the models answered a question right, so there is nothing to train on.")
    jsonl.replace_json(run.path / MIXTURE, {"train": [{"path": path} for path, count in counts.items() if count], "counts": counts})


def _select(config: SelectStage, run: RunDirectory, progress: Progress) -> None:
    """Measures every candidate and writes down the best; of several alike the first."""
    candidates = dict(config.candidates)
    if config.run is not None:
        trained = RunDirectory(config.run, writes=False, attempt=1)
        candidates = {path.name: str(path) for path in trained.checkpoints()}
    if not candidates:
        raise RunError(f"{run.path}: there is nothing to choose from: {config.run} has no checkpoints.")
    examples = questions(config.questions)
    found = {
        name: measured(config.model, path, config.questions, examples, run.evaluations_dir / name, progress=progress)
        for name, path in candidates.items()
    }
    scores = {name: score(result) for name, result in found.items()}
    best = max(scores, key=lambda name: scores[name])
    for name, accuracy in scores.items():
        progress.phase(f"{name}: accuracy {accuracy:.1%}{', chosen' if name == best else ''}")
    jsonl.replace_json(run.path / CHOICE, {"chosen": best, "path": candidates[best], "accuracy": scores})


def _lengths(config: LengthsStage, run: RunDirectory, progress: Progress) -> None:
    """Samples with a generous budget and writes down the one that most answers fit into."""
    wanted = config.measure
    examples, _ = build(config.data.train, data=config.data, base_dir=None)
    asked = QuestionsAskedConfig(
        data=config.data.train,
        instruction=config.data.instruction,
        num_samples=wanted.num_samples,
        seed=wanted.seed,
        generation=config.generation.model_copy(update={"max_completion_length": wanted.max_completion_length}),
    )
    folder = run.evaluations_dir / "lengths"
    measured(config.model, config.model.path, asked, examples[: wanted.num_examples], folder, progress=progress)
    lengths = [int(str(row["num_tokens"])) for row in Records(folder).rows()]
    quantile = length_quantile(lengths, wanted.quantile)
    budget = min(math.ceil(wanted.margin * quantile), wanted.max_completion_length)
    cut = sum(length > budget or length >= wanted.max_completion_length for length in lengths) / len(lengths)
    cut_by_recipe = sum(length > config.generation.max_completion_length for length in lengths) / len(lengths)
    said = f"{wanted.quantile:.0%} of {len(lengths)} answers have at most {quantile} tokens: max_completion_length {budget}"
    progress.phase(f"{said}; the recipe's {config.generation.max_completion_length} would cut {cut_by_recipe:.0%}")
    if cut > wanted.max_truncated_share:
        progress.note(
            f"{cut:.0%} of the answers are longer than {budget} tokens; RL may break down. Raise two_stage.measure_length's keys."
        )
    jsonl.replace_json(
        run.path / LENGTHS,
        {
            "max_completion_length": budget,
            "quantile_tokens": quantile,
            "mean_tokens": sum(lengths) / len(lengths),
            "truncated_share": cut,
            "truncated_share_by_recipe": cut_by_recipe,
            "num_answers": len(lengths),
        },
    )


def length_quantile(lengths: Sequence[int], share: float) -> int:
    """Returns the smallest of the lengths that at least this share of them do not exceed.

    >>> length_quantile([10, 40, 20, 30], 0.75)
    30
    """
    return sorted(lengths)[math.ceil(share * len(lengths)) - 1]


def _merge(config: MergeStage, run: RunDirectory, progress: Progress) -> None:
    """Merges and measures the grid, and writes down the best."""
    examples = questions(config.questions)

    def measure(folder: Path) -> Mapping[str, object]:
        result = measured(config.model, str(folder), config.questions, examples, run.evaluations_dir / folder.name, progress=progress)
        return result.to_json()

    result = sweep(
        config.models,
        run.path / "merges",
        methods=config.methods,
        ratios=config.ratios,
        densities=config.densities,
        base=config.base,
        vision=config.vision,
        dtype=config.dtype,
        measure=measure,
        setting=config.questions.model_dump(mode="json"),
        progress=_counted(progress),
    )
    best = result.best
    progress.phase(f"{best.point.name}: accuracy {best.accuracy:.1%}, chosen")
    scores = {one.point.name: one.accuracy for one in result.points}
    jsonl.replace_json(run.path / CHOICE, {"chosen": best.point.name, "path": str(result.best_folder), "accuracy": scores})


def _evaluate(config: EvaluateStage, run: RunDirectory, progress: Progress) -> None:
    """Keeps every answer, the summary, and the levels where they are wanted."""
    examples = questions(config.questions)
    if config.levels is not None:
        examples = join_levels(examples, config.levels)
    result = measured(config.model, config.model.path, config.questions, examples, run.evaluations_dir / "answers", progress=progress)
    if config.writes_levels:
        write_levels(run.path / LEVELS, assign_levels(result))
    for line in result.lines()[1:]:
        progress.phase(line)


def _counted(progress: Progress) -> Callable[[str, int, int | None], None]:
    """Says how far curation or merging is, now and then."""
    tenths: dict[str, int] = {}

    def say(what: str, done: int, total: int | None) -> None:
        if not total:
            return
        if (tenth := done * _SAID_TIMES // total) > tenths.get(what, 0):
            tenths[what] = tenth
            progress.phase(f"{what}: {done} of {total}")

    return say


_WORK: Final = cast(
    "Mapping[str, Callable[[StageConfig, RunDirectory, Progress], None]]",
    {
        "pass_rates": _pass_rates,
        "curate": _curate,
        "mix": _mix,
        "select": _select,
        "lengths": _lengths,
        "merge": _merge,
        "evaluate": _evaluate,
    },
)
"""By kind; each takes the config of its kind."""
