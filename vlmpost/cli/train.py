"""`vlmpost sft` and `vlmpost rl`: check the recipe, open the run, hand over to the trainer."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlmpost.cli.log import RunLog
from vlmpost.cli.options import RecipeArgument, SetOption
from vlmpost.errors import ConfigError, TrainingStopped

if TYPE_CHECKING:
    from vlmpost.cli.prepare import Prepared
    from vlmpost.config.schema import RlConfig, SftConfig
    from vlmpost.runs.directory import RunDirectory

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check the recipe, print what would happen, and end.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run from its last whole checkpoint.")]
RunDirOption = Annotated[Path | None, typer.Option("--run-dir", help="Folder of the run.", show_default=False)]
RunNameOption = Annotated[
    str | None, typer.Option("--run-name", help="The run's folder becomes runs/RECIPE-NAME; without it, runs/RECIPE.", show_default=False)
]


def sft(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    run_dir: RunDirOption = None,
    run_name: RunNameOption = None,
) -> None:
    """Supervised fine-tuning on solutions, by a recipe."""
    _train("sft", recipe, overrides=overrides, dry_run=dry_run, resume=resume, run_dir=run_dir, run_name=run_name)


def rl(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    run_dir: RunDirOption = None,
    run_name: RunNameOption = None,
) -> None:
    """Reinforcement learning with verifiable rewards, by a recipe."""
    _train("rl", recipe, overrides=overrides, dry_run=dry_run, resume=resume, run_dir=run_dir, run_name=run_name)


def _train(
    kind: Literal["sft", "rl"],
    recipe: Path,
    *,
    overrides: list[str] | None,
    dry_run: bool,
    resume: bool,
    run_dir: Path | None,
    run_name: str | None,
) -> None:
    from vlmpost.cli.prepare import prepare

    folder = run_folder(recipe, run_dir=run_dir, run_name=run_name)
    prepared = prepare(kind, recipe, overrides)
    if dry_run:
        from vlmpost.cli.summary import print_summary

        print_summary(prepared, run_folder=folder)
        return
    run = _open_run(prepared, folder, resume=resume)
    if resume and _is_finished(run):
        if run.writes:
            print(f"{run.path}: this run is finished; its model is in {run.final_dir}.")
        score_held_out(prepared.config, run)
        return
    if run.writes:
        print(f"run {run.path}", flush=True)
    with Attempt(run):
        _start(prepared, run, resume=resume)
        score_held_out(prepared.config, run)


def run_folder(recipe: Path, *, run_dir: Path | None, run_name: str | None) -> Path:
    """Where the run of a recipe goes: `--run-dir`, or runs/RECIPE-NAME in the working folder.

    Raises:
        ConfigError: Both flags are given.
        RunError: The name is not the name of one folder.
    """
    from vlmpost.runs.directory import check_name

    if run_dir is not None and run_name is not None:
        raise ConfigError("--run-dir and --run-name: give one of them; --run-dir is the whole folder, --run-name the end of its name.")
    if run_dir is not None:
        return run_dir.absolute()
    if run_name is not None:
        check_name(run_name)
    return Path("runs").absolute() / (recipe.stem if run_name is None else f"{recipe.stem}-{run_name}")


def _open_run(prepared: Prepared, folder: Path, *, resume: bool) -> RunDirectory:
    from vlmpost.runs.directory import create
    from vlmpost.runs.manifest import build_manifest
    from vlmpost.runs.resume import open_for_resume

    config, kind = prepared.config, prepared.loaded.kind
    if resume:
        return open_for_resume(folder, config, kind=kind)
    manifest = build_manifest(
        kind=kind,
        argv=["vlmpost", *sys.argv[1:]],
        config=config,
        seeds={"training": config.training.seed},
        parent_runs=_parents(config.model.path),
    )
    return create(folder.parent, folder.name, recipe_text=prepared.loaded.text, config=config, manifest=manifest)


def _parents(model_path: str) -> list[str]:
    """The run that a model folder belongs to, if it belongs to one."""
    return [str(folder) for folder in Path(model_path).parents if (folder / "manifest.json").is_file()][:1]


def _is_finished(run: RunDirectory) -> bool:
    from vlmpost.runs.status import read_status

    status = read_status(run)
    return status is not None and status["state"] == "finished"


def _start(prepared: Prepared, run: RunDirectory, *, resume: bool) -> None:
    from rich.console import Console

    from vlmpost.config.schema import RlConfig
    from vlmpost.reports.progress import make_progress
    from vlmpost.training.executor import run_rl, run_sft

    config, progress = prepared.config, make_progress(Console())
    if isinstance(config, RlConfig):
        final_dir = run_rl(config, run, resume=resume, progress=progress)
    else:
        final_dir = run_sft(config, run, resume=resume, progress=progress)
    if run.writes:
        print(f"model {final_dir}", flush=True)


def score_held_out(config: SftConfig | RlConfig, run: RunDirectory) -> None:
    """Measures the final model on the sources of `data.eval`, in the writing process; goes on where an earlier call stopped.

    Questions of tasks are played as in training where the recipe says how; else those that only their task's verifier can judge.

    Raises:
        DataError: A source cannot be read, or loses too many rows.
    """
    if not config.data.eval or not run.writes:
        return
    from vlmpost.config.schema import GenerationConfig, ModelConfig, RlConfig
    from vlmpost.data import build
    from vlmpost.evaluation.runner import evaluate
    from vlmpost.models import loader

    print(f"measuring on data.eval, records in {run.evaluations_dir / 'final'}", flush=True)
    examples, _ = build(config.data.eval, data=config.data, base_dir=None)
    kept = config.model.model_dump(include={"dtype", "device", "attn_implementation", "image_max_pixels", "image_min_pixels"})
    result = evaluate(
        loader.load(ModelConfig(path=str(run.final_dir), **kept), purpose="eval"),
        examples,
        generation=config.generation if isinstance(config, RlConfig) else GenerationConfig(),
        num_samples=1,
        seed=config.training.seed,
        out_path=run.evaluations_dir / "final",
        instruction=config.data.instruction,
        name="final",
        episode=config.episode if isinstance(config, RlConfig) else None,
        own_tasks={source.task for source in config.data.eval if source.task is not None},
    )
    for line in result.lines():
        print(line, flush=True)


class Attempt:
    """The time in which a run is worked on: everything logged goes to its log, and an error becomes its status."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._handler: RunLog | None = None

    def __enter__(self) -> None:
        if self._run.writes:
            self._handler = RunLog(self._run.log_path)
            logging.getLogger().addHandler(self._handler)
            logging.getLogger("vlmpost").setLevel(logging.INFO)
            for handler in logging.getLogger().handlers:
                if handler is not self._handler:
                    handler.setLevel(logging.WARNING)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leaves the log open when an unexpected error is on its way to the outer edge, which writes the traceback to it."""
        from vlmpost.errors import VlmpostError

        if error is not None:
            self._write_end(error)
        if isinstance(error, VlmpostError):
            logging.getLogger(__name__).info("%s: %s", type(error).__name__, error)
        if self._handler is not None and (error is None or isinstance(error, VlmpostError)):
            logging.getLogger().removeHandler(self._handler)
            self._handler.close()

    def _write_end(self, error: BaseException) -> None:
        from vlmpost.errors import RunError
        from vlmpost.runs.status import read_status, write_status

        try:
            status = read_status(self._run) or {"step": 0, "num_steps": None, "phase": "start", "state": "running"}
            if status["state"] != "running":
                return
            step, num_steps = status["step"], status["num_steps"]
            write_status(
                self._run,
                state="stopped" if isinstance(error, TrainingStopped | KeyboardInterrupt) else "failed",
                phase=str(status["phase"]),
                step=step if isinstance(step, int) else 0,
                num_steps=num_steps if isinstance(num_steps, int) else None,
                message=str(error) or type(error).__name__,
            )
        except RunError as second:
            logging.getLogger(__name__).info("the status could not be written either: %s", second)
