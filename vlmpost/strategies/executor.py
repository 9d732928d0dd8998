"""Runs the stages of a plan in order, in this process, each in a run directory of its own inside the strategy's.

    RUN/plan.json                     the stages, their recipes, what each waits for
    RUN/stages/01_sft/                manifest, recipe, status, checkpoints, final: as `vlmpost sft` leaves them
    RUN/stages/02_rl/ ...
    RUN/results.json                  what the evaluated models come to
    RUN/final/                        the strategy's model: a copy, so that stages may be deleted

A finished stage is never touched again, an interrupted one goes on. No stage sees what an earlier one left in this process: random
state is set anew, memory is freed. In a launch of several processes all of them train; the first alone does everything else, while the
others look at its status file, outside of any collective.
"""

from __future__ import annotations

import gc
import random
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, Literal

import numpy as np
import torch
import yaml

from vlmpost import jsonl
from vlmpost.config.combine import CombineConfig
from vlmpost.config.schema import RlConfig, SftConfig
from vlmpost.errors import RunError, TrainingStopped, VlmpostError
from vlmpost.evaluation.results import read_result
from vlmpost.reports.progress import Progress, SilentProgress
from vlmpost.runs.directory import TEMPORARY_PREFIX, RunDirectory, create, disk, is_main_process
from vlmpost.runs.manifest import build_manifest
from vlmpost.runs.resume import open_for_resume
from vlmpost.runs.status import read_status, write_status
from vlmpost.strategies.plans import plan as planned
from vlmpost.strategies.stages import Plan, Stage, StageConfig, filled, value_of
from vlmpost.strategies.work import do

_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True)
class _Parts:
    """What every stage is run with."""

    config: CombineConfig
    run: RunDirectory
    plan: Plan
    argv: Sequence[str]
    progress: Progress


def open_run(config: CombineConfig, folder: Path, *, recipe_text: str, argv: Sequence[str], resume: bool) -> RunDirectory:
    """Creates the run directory of a strategy, or opens it to go on.

    Raises:
        RunError: It exists, or there is nothing to resume, or the recipe differs.
    """
    if resume:
        return open_for_resume(folder, config, kind="combine")
    manifest = build_manifest(kind="combine", argv=argv, config=config, seeds=seeds_of(config))
    return create(folder.parent, folder.name, recipe_text=recipe_text, config=config, manifest=manifest)


def run_strategy(config: CombineConfig, run: RunDirectory, *, argv: Sequence[str] = (), progress: Progress | None = None) -> Path:
    """Runs what is left of a strategy; returns the folder of its final model.

    Args:
        config: The recipe.
        run: From `open_run`.
        argv: The command, for the manifests of the stages.
        progress: The display of the writing process. None: silent.

    Raises:
        UserError: Something the user can mend; the status names the stage.
        TrainingStopped: A signal or a fatal finding ended a stage; everything is saved.
    """
    parts = _Parts(config, run, planned(config, run.path), argv, progress if progress is not None and run.writes else SilentProgress())
    if run.writes:
        jsonl.replace_json(run.plan_path, plan_json(parts.plan))
    for number, stage in enumerate(parts.plan.stages, start=1):
        with _status(parts, stage, number):
            _run_stage(parts, stage, number)
    if run.writes:
        jsonl.replace_json(run.results_path, results_json(parts.plan, run))
        _publish(parts)
        num_stages = len(parts.plan.stages)
        write_status(run, state="finished", phase="done", step=num_stages, num_steps=num_stages)
    return run.final_dir


def seeds_of(config: CombineConfig) -> dict[str, int]:
    """The training seeds of a recipe by section."""
    return {name: section.training.seed for name, section in (("sft", config.sft), ("rl", config.rl)) if section is not None}


def plan_json(plan: Plan) -> dict[str, object]:
    """A plan as JSON values."""
    return {
        "strategy": plan.strategy,
        "stages": [
            {
                "name": stage.name,
                "kind": stage.kind,
                "needs": list(stage.needs),
                "fills": [
                    {"key": ".".join(fill.key), "stage": fill.value.stage, "file": fill.value.file, "value": fill.value.key}
                    for fill in stage.fills
                ],
                "recipe": recipe_of(stage.config),
            }
            for stage in plan.stages
        ],
    }


def recipe_of(config: StageConfig) -> dict[str, object]:
    """The keys of a stage's recipe that are given, by the strategy's recipe, a preset or the plan."""
    return config.model_dump(mode="json", exclude_unset=True)


def results_json(plan: Plan, run: RunDirectory) -> dict[str, object]:
    """What each evaluated model comes to, by the model's name; its records stand in the folder named."""
    rows: dict[str, object] = {}
    for stage in plan.stages:
        if stage.kind == "evaluate" and stage.title.startswith("evaluate_"):
            folder = RunDirectory(run.stage_path(stage.name), writes=False, attempt=1).evaluations_dir / "answers"
            name = stage.title.removeprefix("evaluate_")
            rows[name] = {"folder": str(folder.relative_to(run.path)), **read_result(folder, name=name).to_json()}
    return {"strategy": plan.strategy, "models": rows}


def is_finished(folder: Path) -> bool:
    """Whether a stage's work is done."""
    status = read_status(RunDirectory(folder, writes=False, attempt=1))
    return status is not None and status["state"] == "finished"


def _run_stage(parts: _Parts, stage: Stage, number: int) -> None:
    folder = parts.run.stage_path(stage.name)
    if is_finished(folder):
        parts.progress.phase(f"stage {number} of {len(parts.plan.stages)}, {stage.name}: finished before")
        return
    parts.progress.phase(f"stage {number} of {len(parts.plan.stages)}, {stage.name}: {folder}")
    if not stage.is_training and not is_main_process():
        _wait(folder)
        return
    config = filled(stage, parts.run.stages_dir)
    run, resume = _open_stage(parts, stage, config)
    _forget_earlier_stages(_seed_of(config))
    try:
        if not stage.is_training:
            write_status(run, state="running", phase=stage.kind, step=0)
        do(stage.kind, config, run, resume=resume, progress=parts.progress)
        if not stage.is_training:
            write_status(run, state="finished", phase="done", step=0)
    except VlmpostError as error:
        if not stage.is_training:
            write_status(
                run, state="stopped" if isinstance(error, TrainingStopped) else "failed", phase=stage.kind, step=0, message=str(error)
            )
        raise
    finally:
        run.unlock()
        _free_memory()


def _open_stage(parts: _Parts, stage: Stage, config: StageConfig) -> tuple[RunDirectory, bool]:
    """The stage's run directory, and whether it was begun before."""
    folder = parts.run.stage_path(stage.name)
    if (folder / "manifest.json").is_file():
        return open_for_resume(folder, config), True
    if folder.exists() and is_main_process():
        shutil.rmtree(folder)  # killed before it had a manifest: nothing was done yet
    manifest = build_manifest(
        kind=stage.kind,
        argv=parts.argv,
        config=config,
        seeds={"training": _seed_of(config)},
        parent_runs=[str(parts.run.path), *(str(parts.run.stage_path(name)) for name in stage.needs)],
    )
    text = yaml.safe_dump(recipe_of(config), sort_keys=False, allow_unicode=True)
    head = f"# Stage {stage.name} of {parts.plan.strategy}, written by `vlmpost combine`.\n"
    return create(folder.parent, folder.name, recipe_text=head + text, config=config, manifest=manifest), False


def _wait(folder: Path) -> None:
    """Blocks a process that is not the first until the stage is finished; a failure of the first ends the launch."""
    while not is_finished(folder):
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _status(parts: _Parts, stage: Stage, number: int) -> Iterator[None]:
    """Says in the strategy's status which stage is run, and how it ended where it did not end well."""

    def say(state: Literal["running", "stopped", "failed"], message: str | None = None) -> None:
        write_status(parts.run, state=state, phase=stage.name, step=number - 1, num_steps=len(parts.plan.stages), message=message)

    say("running")
    try:
        with _terminated_as_interrupted():
            yield
    except KeyboardInterrupt:
        message = f"stopped by a signal in stage {stage.name}; go on with --resume."
        _mark_stopped(parts.run.stage_path(stage.name), stage, message)
        say("stopped", message)
        raise TrainingStopped(message, 130) from None
    except TrainingStopped as error:
        say("stopped", f"{stage.name}: {error}")
        raise
    except VlmpostError as error:
        say("failed", f"{stage.name}: {error}")
        raise


def _mark_stopped(folder: Path, stage: Stage, message: str) -> None:
    run = RunDirectory(folder, writes=is_main_process(), attempt=1)
    if run.manifest_path.is_file() and not is_finished(folder):
        write_status(run, state="stopped", phase=stage.kind, step=0, message=message)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Inside the block SIGTERM ends the work as SIGINT does; training has its own way, which ends after a step."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _seed_of(config: StageConfig) -> int:
    """The seed of a stage's recipe; stages that sample by seeds of their own have any."""
    return config.training.seed if isinstance(config, SftConfig | RlConfig) else 0


def _forget_earlier_stages(seed: int) -> None:
    """Sets every generator of this process, so that a stage gives the same numbers whatever ran before it here."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _publish(parts: _Parts) -> None:
    """Copies the strategy's model to `final`, under a scratch name until it is whole."""
    source, final = parts.plan.final, parts.run.final_dir
    folder = Path(source if isinstance(source, str) else str(value_of(source, parts.run.stages_dir)))
    if not folder.is_dir():
        raise RunError(f"{folder}: the strategy's model is not there. Remove the folder of its stage to run that again with --resume.")
    scratch = final.with_name(f"{TEMPORARY_PREFIX}{final.name}")
    with disk(final):
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(folder, scratch)
        if final.exists():
            shutil.rmtree(final)
        scratch.rename(final)
