"""`vlmpost make`: a task's examples written to files, with scripted solutions that were verified."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlmpost.cli.options import JsonOption, numbers_given
from vlmpost.cli.tasks import listing
from vlmpost.cli.tasks.material import posed_on_material
from vlmpost.cli.tasks.naming import MaterialOption, OptionsOption, ShiftOption, TaskArgument, code_of, found_task, options_given

if TYPE_CHECKING:
    from vlmpost.config.schema import SourceConfig
    from vlmpost.data import Ledger
    from vlmpost.records import Example
    from vlmpost.tasks import Task
    from vlmpost.tasks.task import Shift
    from vlmpost.tasks.trajectories import Mixture

VARIED = "varied"
"""Value of an option that is drawn for each problem."""

app = typer.Typer(help="Make training data of tasks.", no_args_is_help=True)


class Layout(StrEnum):
    """How the rows are laid out; the values are `vlmpost.data.write.LAYOUTS`."""

    JSONL = "jsonl"
    LLAVA = "llava"
    TRL = "trl"


@app.command("ls")
def list_tasks(as_json: JsonOption = False) -> None:
    """List the tasks, as `vlmpost tasks ls` does."""
    listing.list_tasks(as_json)


@app.command("data")
def make_data(
    task: TaskArgument,
    out_dir: Annotated[
        Path | None,
        typer.Argument(help="New folder for the data file and its images; default: data/TASK-SPLIT-FORMAT.", show_default=False),
    ] = None,
    *,
    num_examples: Annotated[int, typer.Option("--num-examples", "--n", "-n", help="How many samples.", min=1, show_default=False)],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The folder, in place of the argument.", show_default=False)] = None,
    split: Annotated[str, typer.Option(help="Stream: train, validation or test; they share no problem.")] = "train",
    seed: Annotated[int, typer.Option(help="Chooses the stream.", min=0)] = 0,
    difficulties: Annotated[
        str | None, typer.Option(help="Difficulties to take turns with, e.g. 1,2; default: all that the task has.", show_default=False)
    ] = None,
    layout: Annotated[Layout, typer.Option("--format", help="jsonl (ours), llava or trl.")] = Layout.JSONL,
    shift: ShiftOption = "none",
    settings: OptionsOption = None,
    path: MaterialOption = None,
    diverse_prompts: Annotated[
        bool, typer.Option("--diverse-prompts", help="Set every option that can be so to `varied`: wordings, face rules.")
    ] = False,
    style: Annotated[
        Literal["answer", "reasoned", "mixed"] | None,
        typer.Option(help="Solutions: the bare answer, with reasoning before it, or both; default: the task's own.", show_default=False),
    ] = None,
    revisions: Annotated[
        float, typer.Option(help="Share of the samples whose prompt holds wrong replies and the verifier's messages.", min=0, max=1)
    ] = 0.0,
    verify_iterations: Annotated[
        int | None, typer.Option(help="Most replies in such a sample, the right one included; default: the task's own, else 3.", min=2)
    ] = None,
) -> None:
    r"""Write a task's examples with scripted solutions for SFT: one data file, a folder of images, a README.md.

    Every solution is verified before it is written. Of a task with several states every state is a sample.

    vlmpost make data counting out/ --num-examples 500 --difficulties 1,2

    vlmpost make data general_points --split train --n 1000 --format llava --set mode=vision --diverse-prompts

    vlmpost make data image_jigsaw --n 200 --path photos/ --style reasoned --revisions 0.3
    """
    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.config.schema import SourceConfig
    from vlmpost.data import Ledger
    from vlmpost.data.write import write
    from vlmpost.errors import ConfigError
    from vlmpost.tasks.trajectories import DEFAULT_ATTEMPTS, Mixture, samples

    found = found_task(task)
    folder = _folder(out_dir, output, default=Path("data") / f"{found.name}-{split}-{layout.value}")
    given = options_given(settings)
    if diverse_prompts:
        given = {**given, **_varied(found, given, shift=shift)}
    source = SourceConfig(
        task=found.address,
        path=path,
        split=split,
        num_examples=num_examples,
        seed=seed,
        difficulties=numbers_given(difficulties),
        options=given,  # type: ignore[arg-type]  # JSON values, out of YAML
        shift=shift,
    )
    if verify_iterations is not None and not revisions:
        raise ConfigError("--verify-iterations is the length of revision trajectories; add --revisions SHARE.")
    attempts = verify_iterations or max(2, found.verify_iterations or DEFAULT_ATTEMPTS)
    mixture = Mixture(style=style, revision_share=revisions, max_attempts=attempts, seed=seed)
    tally, ledger = Tally(), Ledger()
    with rows_progress() as progress, code_of(found):
        made = tally.watched(samples(found, _starts(source, ledger), mixture, num_samples=num_examples))
        written, number = write(made, folder, layout=layout.value, split=split, card=_card(found, source, mixture), progress=progress)
    for line in [*(ledger.summary() if ledger.drops else []), *tally.lines(found, source, number=number, path=written)]:
        typer.echo(line)
    typer.echo(f"Use them in a recipe: data.train: [{{path: {folder}, split: {split}}}]")


class Tally:
    """What kinds of samples were written."""

    def __init__(self) -> None:
        self.num_revisions = self.num_without_solution = 0

    def watched(self, examples: Iterable[Example]) -> Iterable[Example]:
        """Yields the examples and keeps count."""
        from vlmpost.tasks.trajectories import NUM_WRONG_REPLIES

        for example in examples:
            self.num_revisions += NUM_WRONG_REPLIES in example.meta
            self.num_without_solution += example.solution is None
            yield example

    def lines(self, task: Task, source: SourceConfig, *, number: int, path: Path) -> list[str]:
        """The tally in words."""
        turns = "" if source.difficulties is None else f", difficulties {','.join(map(str, source.difficulties))}"
        said = [f"{number} examples of {task.address} ({source.split}, seed {source.seed}{turns}) in {path}"]
        if self.num_revisions:
            said.append(f"{self.num_revisions} of them are revision trajectories")
        if self.num_without_solution:
            said.append(
                f"{self.num_without_solution} of them have no solution, since the task gives none: for RL and evaluation, not for SFT"
            )
        return said


def _starts(source: SourceConfig, ledger: Ledger) -> Iterable[Example]:
    """The first states, drawn or posed on stored material."""
    from vlmpost import tasks

    if source.path is not None:
        return posed_on_material(source, ledger)
    assert source.task is not None, "the command names a task"
    assert source.num_examples is not None, "the command says how many"
    return tasks.stream(
        source.task,
        split=source.split,
        seed=source.seed,
        num_examples=source.num_examples,
        difficulties=source.difficulties,
        options=source.options,
        shift=source.shift,
    )


def _folder(argument: Path | None, option: Path | None, *, default: Path) -> Path:
    from vlmpost.errors import ConfigError

    if argument is not None and option is not None:
        raise ConfigError(f"The folder is given twice, as {argument} and as --output {option}; keep one.")
    return argument or option or default


def _varied(task: Task, given: Mapping[str, object], *, shift: Shift) -> dict[str, object]:
    """The options that can be varied and are not chosen already, varied.

    Raises:
        ConfigError: There are none.
    """
    from typing import get_args

    from vlmpost.errors import ConfigError

    fields = task.options_type.model_fields
    able = [name for name, field in fields.items() if VARIED in get_args(field.annotation)]
    free: dict[str, object] = {name: VARIED for name in able if name not in given and name not in task.shifts.get(shift, {})}
    if not free:
        why = f"{' and '.join(able)}: chosen already, by --set or --shift" if able else f"no option takes the value {VARIED}"
        raise ConfigError(f"--diverse-prompts: nothing to vary in task {task.address!r} ({why}).")
    return free


def _card(task: Task, source: SourceConfig, mixture: Mixture) -> str:
    """The README.md of the folder: what the rows are and how they were made."""
    from dataclasses import asdict

    from vlmpost import __version__

    options = task.options_of(source.options, shift=source.shift).model_dump(mode="json")
    made = {"source": source.model_dump(mode="json", exclude_defaults=True), "options": options, "samples": asdict(mixture)}
    what = f"{listing.meaning_of(task)}. Made by vlmpost {__version__}; every solution in it was verified."
    return (
        f"# {task.name}, {source.split}\n\n{what}\n\n"
        f"```sh\nvlmpost {shlex.join(sys.argv[1:])}\n```\n\n```json\n{json.dumps(made, indent=2)}\n```\n"
    )
