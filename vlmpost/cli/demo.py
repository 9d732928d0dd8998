"""`vlmpost demo`: the main job on the shipped model, from base to report, in minutes on two cores.

A plan of ordinary vlmpost commands, printed as they start, so that each can be run by hand:

    levels      16 answers per test question from the base: how hard each question is for it
    sft         long-CoT SFT of the base             sft_rl   GRPO from the SFT model
    rl          GRPO from the base                   eval_*   fresh answers of each model to the same test questions

Every number is made by this run; nothing is read from an earlier one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.errors import RunError

if TYPE_CHECKING:
    from vlmpost.cli.lanes import Event, Step

TEST_SEED = "1"
"""Seed of the test questions: none of them was looked at when the recipes were chosen."""
MODELS = {"base": "nano", "SFT": "sft", "RL": "rl", "SFT+RL": "sft_rl"}
"""Column of the table -> model folder ("nano"), or name of the run that makes it."""


def demo(
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", help="Folder for all of it; without it the next free runs/demo-N.", show_default=False)
    ] = None,
    num_examples: Annotated[int, typer.Option(help="Test questions of each of the four drawn tasks.", min=1)] = 100,
    num_samples: Annotated[int, typer.Option(help="Answers per test question and model.", min=1)] = 4,
    max_steps: Annotated[
        int | None, typer.Option(help="Training steps of each run, in place of the recipes'.", min=1, show_default=False)
    ] = None,
) -> None:
    """Fine-tune the shipped model, improve it with RL, measure it on unseen questions, and write a report."""
    from vlmpost.cli.lanes import run_lanes
    from vlmpost.cli.recipes import recipes_dir

    folder = _folder(run_dir)
    steps = plan(folder, recipes=recipes_dir() / "demo", num_examples=num_examples, num_samples=num_samples, max_steps=max_steps)
    num_lanes = min(2, os.cpu_count() or 1)
    print(f"demo in {folder}: {len(steps)} commands, {num_lanes} at a time, one thread each; logs in {folder / 'logs'}", flush=True)
    start = time.monotonic()
    run_lanes(steps, num_lanes=num_lanes, log_dir=folder / "logs", show=_show)

    from vlmpost.reports.demo import write_demo_report

    evaluations = {name: folder / evaluation_name(name) for name in MODELS}
    table, report = write_demo_report(folder, evaluations=evaluations, levels=folder / "levels.jsonl")
    print(table)
    print(f"report {report}")
    print(f"took {time.monotonic() - start:.0f} s")


def plan(folder: Path, *, recipes: Path, num_examples: int, num_samples: int, max_steps: int | None) -> list[Step]:
    """The commands of the demo; those that take longest stand first, since earlier ones start first."""
    from vlmpost.cli.lanes import Step

    cut = () if max_steps is None else ("--set", f"training.max_steps={max_steps}")
    test: tuple[str, ...] = (
        "--split",
        "test",
        "--num-examples",
        str(num_examples),
        "--data-seed",
        TEST_SEED,
        "--max-completion-length",
        "48",
    )
    for task in ("card_sums", "charts", "comparing", "counting"):
        test = ("--data", task, *test)

    def train(name: str, command: str, recipe: str, *more: str, needs: tuple[str, ...] = ()) -> Step:
        return Step(name, f"training {name}", (command, str(recipes / recipe), "--run-dir", str(folder / name), *more, *cut), needs)

    def measure(name: str) -> Step:
        run = MODELS[name]
        model, needs = ("nano", ()) if run == "nano" else (str(folder / run), (run,))
        arguments = ("eval", model, *test, "--num-samples", str(num_samples), "--seed", "1", "--out", str(folder / evaluation_name(name)))
        return Step(evaluation_name(name), f"measuring {name}", arguments, needs)

    from_sft = ("--set", f"model.path={folder / 'sft' / 'final'}")
    levels = ("eval", "nano", *test, "--num-samples", "16", "--seed", "0", "--out", str(folder / "levels"))
    return [
        train("sft", "sft", "sft.yaml"),
        train("rl", "rl", "rl.yaml"),
        train("sft_rl", "rl", "rl_from_sft.yaml", *from_sft, needs=("sft",)),
        Step("levels", "measuring how hard each question is for the base", (*levels, "--write-levels", str(folder / "levels.jsonl"))),
        *(measure(name) for name in MODELS),
    ]


def evaluation_name(name: str) -> str:
    """The folder, inside the demo's, of the evaluation of one of `MODELS`."""
    return f"eval_{name.lower().replace('+', '_')}"


def _folder(run_dir: Path | None) -> Path:
    """The folder of this demo, made.

    Raises:
        RunError: It exists already, or cannot be made.
    """
    runs = Path("runs").absolute()
    number = 1
    while run_dir is None and (runs / f"demo-{number}").exists():
        number += 1
    folder = runs / f"demo-{number}" if run_dir is None else run_dir.absolute()
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise RunError(f"{folder}: exists already. Give another --run-dir, or none for the next free runs/demo-N.") from None
    except OSError as error:
        raise RunError(f"{folder}: cannot be made ({error.strerror}). Give another --run-dir.") from None
    return folder


def _show(event: Event) -> None:
    clock = f"[{int(event.seconds) // 60:2d}:{int(event.seconds) % 60:02d}]"
    if event.kind == "start":
        print(f"{clock} {event.step.title}\n        vlmpost {' '.join(event.step.arguments)}", flush=True)
    elif event.kind == "end":
        print(f"        {event.step.title} took {event.seconds:.0f} s", flush=True)
    else:
        print(f"{clock} {event.step.name}: {event.text or 'starting'}", flush=True)
