"""`vlmpost combine`: check the recipe, plan its stages, show the plan or run it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, SetOption, print_json, print_table
from vlmpost.cli.train import Attempt, ResumeOption, RunDirOption, RunNameOption, run_folder
from vlmpost.errors import ConfigError

if TYPE_CHECKING:
    from vlmpost.config.combine import CombineConfig
    from vlmpost.config.load import Loaded
    from vlmpost.config.yaml_text import Fault
    from vlmpost.runs.directory import RunDirectory
    from vlmpost.strategies import Plan


def combine(
    recipe: Annotated[
        Path | None, typer.Argument(help="A recipe (YAML); without one the shipped demo/STRATEGY is run.", show_default=False)
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="The way of combining; needed without a recipe. --strategies lists them.", show_default=False)
    ] = None,
    overrides: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the recipe, print and draw the plan, and end.")] = False,
    resume: ResumeOption = False,
    run_dir: RunDirOption = None,
    run_name: RunNameOption = None,
    strategies: Annotated[bool, typer.Option("--strategies", help="List the strategies, or show the one of --strategy in full.")] = False,
    gpus: Annotated[int | None, typer.Option(help="--dry-run: GPUs that share the training.", min=1, show_default=False)] = None,
    gpu_memory: Annotated[float, typer.Option(help="--dry-run: memory of one GPU, in GB.", min=1)] = 80.0,
    picture: Annotated[
        Path | None, typer.Option(help="--dry-run: write the schedules as a drawing (.svg, .png).", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Combine SFT and RL: two stages, interleaved, progressive, by data, by weights, and their relatives.

    vlmpost combine --strategy progressive

    vlmpost combine recipes/demo/two_stage.yaml --dry-run --picture plan.svg
    """
    name = None if strategy is None else known_strategy(strategy)
    if strategies:
        _print_strategies(name, as_json=as_json)
        return
    path = recipe if recipe is not None else _shipped(name)
    folder = run_folder(path, run_dir=run_dir, run_name=run_name)
    loaded = prepare(path, overrides, strategy=name)
    plan = plan_of(loaded, folder)
    if dry_run:
        from vlmpost.cli.combine_plan import show_plan

        show_plan(loaded, plan, folder=folder, gpus=gpus, gpu_memory_gb=gpu_memory, picture=picture, as_json=as_json)
        return
    for flag, value in (("--gpus", gpus), ("--picture", picture)):
        if value is not None:
            raise ConfigError(f"{flag}: only with --dry-run; leave it out.")
    _run(loaded, folder, resume=resume, as_json=as_json)


def known_strategy(text: str) -> str:
    """The name of a strategy, written with _ or -.

    Raises:
        ConfigError: There is none of that name.
    """
    from vlmpost.config.combine import STRATEGIES
    from vlmpost.config.hints import near

    name = text.replace("-", "_")
    if name not in STRATEGIES:
        raise ConfigError(f"--strategy: there is no strategy {text!r}{near(name, STRATEGIES) or '.'} Strategies: {', '.join(STRATEGIES)}.")
    return name


def _shipped(strategy: str | None) -> Path:
    """The shipped recipe of a strategy; says that it is taken.

    Raises:
        ConfigError: There is none, or no strategy is named.
    """
    from vlmpost.cli.recipes import shipped
    from vlmpost.runs.directory import is_main_process

    recipes = {name.removeprefix("demo/"): path for name, path in shipped().items() if name.startswith("demo/")}
    if strategy is None:
        raise ConfigError("give a recipe, or --strategy NAME for the shipped one. `vlmpost combine --strategies` lists the names.")
    if strategy not in recipes:
        raise ConfigError(f"there is no shipped recipe for {strategy}; write one with `strategy: {strategy}`, e.g. from demo/progressive.")
    if is_main_process():
        print(f"no recipe given: running the shipped {recipes[strategy]}", file=sys.stderr)
    return recipes[strategy]


def prepare(recipe: Path, overrides: list[str] | None, *, strategy: str | None) -> Loaded[CombineConfig]:
    """The recipe, checked as far as it can be without torch.

    Raises:
        ConfigError: Anything is wrong; every fault is named.
    """
    from vlmpost.config.load import load, message_of

    loaded = load("combine", recipe, overrides or ())
    if strategy is not None and loaded.config.strategy != strategy:
        raise ConfigError(f"--strategy {strategy}: {recipe} has strategy: {loaded.config.strategy}. Leave one of them out, or change it.")
    faults = list(_stage_faults(loaded.config))
    if faults:
        raise ConfigError(message_of(faults, loaded.path, lines=loaded.lines, set_keys=loaded.set_keys))
    return loaded


def _stage_faults(config: CombineConfig) -> Iterator[Fault]:
    from vlmpost.cli.prepare import faults_of

    for name, section in (("sft", config.sft), ("rl", config.rl)):
        if section is not None:
            for fault in faults_of(section):
                yield replace(fault, key=(name, *fault.key))


def plan_of(loaded: Loaded[CombineConfig], folder: Path) -> Plan:
    """The stages, each training stage's arithmetic checked.

    Raises:
        ConfigError: A stage that the strategy makes cannot be run.
    """
    from vlmpost.strategies import plan

    return plan(loaded.config, folder)


def _run(loaded: Loaded[CombineConfig], folder: Path, *, resume: bool, as_json: bool) -> None:
    from rich.console import Console

    from vlmpost import jsonl
    from vlmpost.reports.progress import make_progress
    from vlmpost.strategies.executor import is_finished, open_run, run_strategy
    from vlmpost.strategies.given import check_given

    argv = ["vlmpost", *sys.argv[1:]]
    if not resume:
        check_given(loaded.config)
    run = open_run(loaded.config, folder, recipe_text=loaded.text, argv=argv, resume=resume)
    console = Console(stderr=as_json)
    if resume and is_finished(run.path):
        _say(run, f"{run.path}: this run is finished; its model is in {run.final_dir}.", console)
    else:
        _say(run, f"run {run.path}", console)
        with Attempt(run):
            final = run_strategy(loaded.config, run, argv=argv, progress=make_progress(console))
        _say(run, f"model {final}", console)
    if as_json and run.writes:
        print_json({"run": str(run.path), "final": str(run.final_dir), **jsonl.read_json(run.results_path)})


def _say(run: RunDirectory, text: str, console: object) -> None:
    from rich.console import Console

    assert isinstance(console, Console)
    if run.writes:
        console.print(text, soft_wrap=True, markup=False, highlight=False)


_STAGED_MEANINGS = {
    "two_stage": (
        "RL from an SFT model, from its last, its best or each of its checkpoints",
        "CE(y*) over all questions, then L_RL",
        ("RL's budget of tokens is the recipe's, or measured on the SFT model; the study takes 16k for 4k",),
    ),
    "data_mix": (
        "SFT on right answers of the RL model, and of the SFT model where the RL model has none",
        "CE(o) over o ~ RL model with R = 1; questions without one: o ~ SFT model, or the stored y*",
        ("the study does not say from which model: the base, or data_mix.start",),
    ),
    "merge": (
        "Weights of an SFT and an RL model mixed in several ratios, the best kept",
        "theta = r theta_SFT + (1 - r) theta_RL, and TIES and SLERP",
        ("the best is chosen on `select`; densities of TIES are not stated: 0.2, 0.5, 1",),
    ),
}
_STAGED_SOURCE = "The Synergy Dilemma of Long-CoT SFT and RL, arXiv 2507.07562, section 4"


def strategies_json() -> list[dict[str, object]]:
    """Every strategy with meaning, source, formula, departures and what is unverified."""
    from vlmpost.config.guidance_presets import PRESETS

    rows: list[dict[str, object]] = [
        {"name": name, "meaning": meaning, "source": _STAGED_SOURCE, "formula": formula, "departures": list(departures), "unverified": []}
        for name, (meaning, formula, departures) in _STAGED_MEANINGS.items()
    ]
    for name, preset in PRESETS.items():
        rows.append(
            {
                "name": name,
                "meaning": preset.meaning,
                "source": preset.source,
                "formula": preset.formula,
                "departures": list(preset.departures),
                "unverified": list(preset.unverified),
                "beside": list(preset.beside),
                "guidance": dict(preset.settings),
                "algorithm": dict(preset.algorithm),
            }
        )
    return rows


def _print_strategies(name: str | None, *, as_json: bool) -> None:
    rows = [row for row in strategies_json() if name in (None, row["name"])]
    if as_json:
        print_json(rows)
    elif name is None:
        marked = [
            [str(row["name"]), f"{row['meaning']}{' (partly unverified)' if row['unverified'] else ''}", str(row["source"])] for row in rows
        ]
        print_table(["strategy", "what", "source"], marked, flexible="what")
    else:
        _print_strategy(rows[0])


def _print_strategy(row: dict[str, object]) -> None:
    import yaml

    print(f"{row['name']}: {row['meaning']}\nSource: {row['source']}\nLoss: {row['formula']}")
    settings = {key: row[key] for key in ("guidance", "algorithm") if row.get(key)}
    if settings:
        print("\n" + yaml.safe_dump({"rl": settings}, sort_keys=False), end="")
    for title, key in (
        ("Departures", "departures"),
        ("Unverified", "unverified"),
        ("Also in the source, and not set here", "beside"),
    ):
        lines = row.get(key)
        if isinstance(lines, list) and lines:
            print(f"\n{title}:", *lines, sep="\n  ")
