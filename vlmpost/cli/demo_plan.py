"""The commands of `vlmpost demo`, as a plan: which are run, on what, after which; nothing is run here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vlmpost.cli.lanes import Step

TEST_SEED: Final = "1"
"""Seed of the test questions: none of them was looked at when the recipes were chosen."""
FIRST_SEED: Final = 42
"""The recipes' own training seed."""
TASKS: Final = ("card_sums", "charts", "comparing", "counting")


@dataclass(frozen=True)
class Method:
    """A row of the table, and how its model is made."""

    name: str
    command: str
    """"sft", "rl" or "combine"."""
    recipe: str
    """In recipes/demo."""
    needs: tuple[str, ...] = ()
    """Methods whose models it begins with."""
    settings: tuple[str, ...] = ()
    """`--set` arguments that name those models, with {SFT} and {RL} for their folders."""
    parts: tuple[str, ...] = ("rl.",)
    """Where the trainings that it still needs stand in the recipe; "": the recipe is one."""
    seeded: bool = False
    """Whether it is trained from several seeds."""

    @property
    def key(self) -> str:
        """The name of its run."""
        return self.name.lower().replace("-", "_").replace(" ", "_")


METHODS: Final = (
    Method("SFT", command="sft", recipe="sft.yaml", parts=("",), seeded=True),
    Method("RL", command="rl", recipe="rl.yaml", parts=("",), seeded=True),
    Method(
        "two-stage",
        command="combine",
        recipe="two_stage.yaml",
        needs=("SFT",),
        settings=("sft=null", "two_stage.sft_model={SFT}"),
    ),
    Method("interleaved", command="combine", recipe="interleaved.yaml"),
    Method("progressive", command="combine", recipe="progressive.yaml", seeded=True),
    Method(
        "data mixing",
        command="combine",
        recipe="data_mix.yaml",
        needs=("SFT", "RL"),
        settings=("data_mix.sft_model={SFT}", "data_mix.rl_model={RL}"),
        parts=("rl.", "data_mix."),
    ),
    Method(
        "merging",
        command="combine",
        recipe="merge.yaml",
        needs=("SFT", "RL"),
        settings=("sft=null", "rl=null", "merge.sft_model={SFT}", "merge.rl_model={RL}"),
        parts=(),
    ),
)
"""In the order of the table."""


@dataclass(frozen=True)
class Size:
    """How much is trained and measured."""

    num_examples: int
    """Test questions of each drawn task."""
    num_samples: int
    """Answers per test question and model."""
    max_steps: int | None
    """Optimizer steps of each training, with as many questions as they take. None: the recipes'."""


def plan(folder: Path, methods: Sequence[Method], *, recipes: Path, size: Size, seeds: Iterable[int]) -> list[Step]:
    """The commands of the demo: levels and the base, then all trainings, then their measurements; earlier ones start first."""
    test = _test_questions(size)
    measured = [_levels(folder, test), _measure(folder, "base", None, test, size)]
    trained = []
    for method in methods:
        for seed in seeds if method.seeded else (FIRST_SEED,):
            run = run_name(method, seed)
            trained.append(_train(folder, method, seed, recipe=recipes / method.recipe, max_steps=size.max_steps))
            measured.append(_measure(folder, run, run, test, size))
    return [*trained, *measured]


def run_name(method: Method, seed: int) -> str:
    """The folder of a method's run, inside the demo's."""
    return method.key if seed == FIRST_SEED else f"{method.key}_seed{seed}"


def _train(folder: Path, method: Method, seed: int, *, recipe: Path, max_steps: int | None) -> Step:
    run = run_name(method, seed)
    models = {name: folder / _method(name).key / "final" for name in method.needs}
    settings = [setting.format_map(models) for setting in method.settings]
    if seed != FIRST_SEED:
        settings += [f"{part}training.seed={seed}" for part in method.parts]
    if max_steps is not None:
        settings += [setting for part in method.parts for setting in _cut(method, part, max_steps)]
    words: tuple[str, ...] = (method.command, str(recipe))
    if method.command == "combine":
        words, settings = (*words, "--strategy", recipe.stem), [*settings, "evaluation=null"]
    words = (*words, "--run-dir", str(folder / run), *(word for setting in settings for word in ("--set", setting)))
    title = f"training {method.name}" + ("" if seed == FIRST_SEED else f", seed {seed}")
    return Step(run, title, words, tuple(_method(name).key for name in method.needs))


def _cut(method: Method, part: str, max_steps: int) -> list[str]:
    """Settings for fewer steps, and in RL for no more questions than these ask."""
    asks = part == "rl." or method.command == "rl"
    questions = [f"{part}data.train.{index}.num_examples={4 * max_steps}" for index in range(len(TASKS))] if asks else []
    return [f"{part}training.max_steps={max_steps}", *questions]


def _levels(folder: Path, test: Sequence[str]) -> Step:
    out = ("--out", str(folder / "levels"), "--write-levels", str(folder / "levels.jsonl"))
    arguments = ("eval", "nano", *test, "--num-samples", "16", "--seed", "0", *out)
    return Step("levels", "measuring how hard each question is for the base", arguments)


def _measure(folder: Path, name: str, run: str | None, test: Sequence[str], size: Size) -> Step:
    model, needs = ("nano", ()) if run is None else (str(folder / run), (run,))
    out = ("--num-samples", str(size.num_samples), "--seed", "1", "--out", str(folder / f"eval_{name}"))
    return Step(f"eval_{name}", f"measuring {name}", ("eval", model, *test, *out), needs)


def _test_questions(size: Size) -> tuple[str, ...]:
    tasks = tuple(word for task in TASKS for word in ("--data", task))
    asked = ("--split", "test", "--num-examples", str(size.num_examples), "--data-seed", TEST_SEED, "--max-completion-length", "48")
    return (*tasks, *asked)


def _method(name: str) -> Method:
    return next(method for method in METHODS if method.name == name)
