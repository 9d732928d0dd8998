"""`vlmpost demo`: the main job on the shipped model, from base to table and report, in minutes on two cores.

A plan of ordinary vlmpost commands, printed as they start, so that each can be run by hand:

    levels      16 answers per test question from the base: how hard each question is for it
    eval_*      fresh answers of each model to the same test questions
    and         progressive training; with --all SFT and RL, and each of the study's combinations of them

Every number is made by this run; nothing is read from an earlier one. A second call with the same --run-dir goes on where the first one
stopped: finished commands are not run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.errors import RunError

if TYPE_CHECKING:
    from vlmpost.cli.demo_plan import Method
    from vlmpost.cli.lanes import Event, Step


def demo(
    everything: Annotated[
        bool, typer.Option("--all", help="SFT, RL and all five ways to combine them; SFT, RL and progressive from several seeds.")
    ] = False,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run-dir", help="Folder for all of it, new or to go on with; without it the next free runs/demo-N.", show_default=False
        ),
    ] = None,
    num_examples: Annotated[int, typer.Option(help="Test questions of each of the four drawn tasks.", min=1)] = 100,
    num_samples: Annotated[int, typer.Option(help="Answers per test question and model.", min=1)] = 4,
    num_seeds: Annotated[int, typer.Option(help="--all: training seeds of SFT, RL and progressive.", min=1)] = 3,
    max_steps: Annotated[
        int | None, typer.Option(help="Training steps of each run, in place of the recipes'.", min=1, show_default=False)
    ] = None,
) -> None:
    """Train the shipped model on traces and rewards together, measure it on unseen questions by level, and write a report."""
    from vlmpost.cli.demo_plan import FIRST_SEED, METHODS, Size, plan
    from vlmpost.cli.lanes import run_lanes
    from vlmpost.cli.recipes import recipes_dir

    methods = METHODS if everything else tuple(method for method in METHODS if method.name == "progressive")
    seeds = range(FIRST_SEED, FIRST_SEED + (num_seeds if everything else 1))
    folder = _folder(run_dir)
    size = Size(num_examples, num_samples, max_steps)
    steps = plan(folder, methods, recipes=recipes_dir() / "demo", size=size, seeds=seeds)
    _check_same(folder, steps)
    left = unfinished(folder, steps)
    num_lanes = min(2, os.cpu_count() or 1)
    done = f", {len(steps) - len(left)} of them done" if len(left) < len(steps) else ""
    print(f"demo in {folder}: {len(steps)} commands{done}, {num_lanes} at a time, one thread each; logs in {folder / 'logs'}", flush=True)
    start = time.monotonic()

    def show(event: Event) -> None:
        if event.kind == "end":
            _mark_done(folder, event.step)
        _show(event)

    run_lanes(left, num_lanes=num_lanes, log_dir=folder / "logs", show=show)
    _report(folder, methods, seeds)
    print(f"took {time.monotonic() - start:.0f} s")


def unfinished(folder: Path, steps: Sequence[Step]) -> list[Step]:
    """The steps that have not ended well in an earlier call; trainings that were begun go on, and no step waits for a finished one."""
    left = [step for step in steps if not _done_path(folder, step).exists()]
    names = {step.name for step in left}
    result = []
    for step in left:
        begun = step.arguments[0] != "eval" and (folder / step.name / "manifest.json").exists()
        arguments = (*step.arguments, "--resume") if begun else step.arguments
        result.append(replace(step, arguments=arguments, needs=tuple(need for need in step.needs if need in names)))
    return result


def _report(folder: Path, methods: Sequence[Method], seeds: Sequence[int]) -> None:
    from vlmpost.cli.demo_plan import run_name
    from vlmpost.reports.demo import write_demo_report

    evaluations = {"base": folder / "eval_base", **{method.name: folder / f"eval_{method.key}" for method in methods}}
    by_seed: Mapping[str, list[Path]] = {
        method.name: [folder / f"eval_{run_name(method, seed)}" for seed in seeds] for method in methods if method.seeded and len(seeds) > 1
    }
    text, report = write_demo_report(folder, evaluations=evaluations, by_seed=by_seed, levels=folder / "levels.jsonl")
    print(text)
    print(f"report {report}")


def _folder(run_dir: Path | None) -> Path:
    """The folder of this demo, made where it is not there.

    Raises:
        RunError: It holds something else, or cannot be made.
    """
    runs = Path("runs").absolute()
    number = 1
    while run_dir is None and (runs / f"demo-{number}").exists():
        number += 1
    folder = runs / f"demo-{number}" if run_dir is None else run_dir.absolute()
    if folder.exists() and not _plan_path(folder).exists():
        raise RunError(f"{folder}: exists already, and no demo is in it. Give another --run-dir, or none for the next free runs/demo-N.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made ({error.strerror}). Give another --run-dir.") from None
    return folder


def _check_same(folder: Path, steps: Sequence[Step]) -> None:
    """Writes the commands down the first time, and refuses to go on with others.

    Raises:
        RunError: The folder holds a demo of other commands.
    """
    from vlmpost import jsonl

    commands = {step.name: list(step.arguments) for step in steps}
    path = _plan_path(folder)
    if not path.exists():
        jsonl.replace_json(path, commands)
        return
    stored = jsonl.read_json(path)
    different = sorted(name for name in stored.keys() | commands.keys() if stored.get(name) != commands.get(name))
    if different:
        raise RunError(
            f"{folder}: holds a demo with other settings ({', '.join(different[:4])}). Give the same options, or another --run-dir."
        )


def _plan_path(folder: Path) -> Path:
    return folder / "demo.json"


def _done_path(folder: Path, step: Step) -> Path:
    return folder / "done" / step.name


def _mark_done(folder: Path, step: Step) -> None:
    path = _done_path(folder, step)
    path.parent.mkdir(exist_ok=True)
    path.touch()


def _show(event: Event) -> None:
    clock = f"[{int(event.seconds) // 60:2d}:{int(event.seconds) % 60:02d}]"
    if event.kind == "start":
        print(f"{clock} {event.step.title}\n        vlmpost {' '.join(event.step.arguments)}", flush=True)
    elif event.kind == "end":
        print(f"        {event.step.title} took {event.seconds:.0f} s", flush=True)
    else:
        print(f"{clock} {event.step.name}: {event.text or 'starting'}", flush=True)
