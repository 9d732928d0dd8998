"""`vlmpost merge --sweep`: what is asked of each merge of the grid, and how the result is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vlmpost.cli.merge import numbers

if TYPE_CHECKING:
    from vlmpost.records import Example
    from vlmpost.strategies.merge_sweep import Keep, SweepResult

METHODS, RATIOS, DENSITIES = "linear,ties,slerp", "0,0.25,0.5,0.75,1", "0.2,0.5,1"
"""The grid of arXiv 2507.07562; it does not say its densities."""
ANSWERS = "evaluations"
"""Folder of the answers, in the sweep's."""


@dataclass(frozen=True)
class Grid:
    """What is merged; texts as the user gave them, None where nothing was."""

    models: tuple[str, ...]
    methods: str | None
    ratios: str | None
    densities: str | None
    keep: str
    base: str | None
    vision: str
    dtype: str | None


@dataclass(frozen=True)
class Asked:
    """What each merge is asked, and how its answers are sampled."""

    data: Sequence[str]
    split: str
    num_examples: int | None
    num_samples: int
    temperature: float
    max_completion_length: int
    instruction: str | None


def run_sweep(grid: Grid, asked: Asked, out: Path, *, as_json: bool) -> None:
    """Runs the sweep and prints its table.

    Raises:
        UserError: As `strategies.merge_sweep.sweep` and `evaluation.runner.evaluate`.
    """
    from vlmpost.cli.evaluation.questions import stored_part
    from vlmpost.cli.options import print_json, print_table
    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.errors import ConfigError
    from vlmpost.models.merging.methods import METHODS as KNOWN
    from vlmpost.strategies.merge_sweep import COLUMNS, PICTURE, rows, sweep

    if not asked.data:
        raise ConfigError("--sweep measures each merge: give questions with --data.")
    methods = (grid.methods or METHODS).split(",")
    uses_densities = any(method in KNOWN and KNOWN[method].sparsify for method in methods)
    densities = numbers(grid.densities or DENSITIES, option="--densities") if grid.densities or uses_densities else []
    part = stored_part(asked.data, split=asked.split, num_examples=asked.num_examples, seed=0, levels=None, name="", out_path=out / ANSWERS)
    with rows_progress() as progress:
        result = sweep(
            grid.models,
            out,
            methods=methods,
            ratios=numbers(grid.ratios or RATIOS, option="--ratios"),
            densities=densities,
            base=grid.base,
            vision=grid.vision,
            dtype=grid.dtype,
            keep=cast("Keep", grid.keep),
            setting=asdict(asked),
            progress=progress,
            measure=lambda folder: _measured(folder, part.examples, asked, out / ANSWERS),
        )
    if as_json:
        print_json(_as_json(result))
        return
    print_table(COLUMNS, rows(result))
    where = f" in {result.best_folder}" if result.best_folder.is_dir() else ", its weights deleted (--keep none)"
    print(f"best on split {asked.split}: {result.best.point.name}{where}")
    print(f"picture    {result.folder / PICTURE}")


def _measured(folder: Path, examples: Sequence[Example], asked: Asked, answers: Path) -> Mapping[str, object]:
    """The result of one merge; an interrupted evaluation goes on from its answers."""
    from vlmpost.cli.evaluation.questions import Part
    from vlmpost.cli.evaluation.running import Sampling, run_parts
    from vlmpost.config.schema import GenerationConfig, ModelConfig

    generation = GenerationConfig(temperature=asked.temperature, max_completion_length=asked.max_completion_length)
    sampling = Sampling(generation, num_samples=asked.num_samples, seed=0, instruction=asked.instruction)
    [result] = run_parts(ModelConfig(path=str(folder)), [Part(folder.name, examples, answers / folder.name)], sampling)
    return result.to_json()


def _as_json(result: SweepResult) -> dict[str, object]:
    points = [{**asdict(one.point), "name": one.point.name, "same_as": one.same_as, "result": dict(one.result)} for one in result.points]
    return {"folder": str(result.folder), "best": result.best.point.name, "points": points}
