"""`vlmpost make`: drawn tasks, listed and written to files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Draw problems with known answers and write them to files.", no_args_is_help=True)


class Layout(StrEnum):
    """How the rows are laid out; the values are `vlmpost.data.write.LAYOUTS`."""

    JSONL = "jsonl"
    LLAVA = "llava"
    TRL = "trl"


@app.command("ls")
def list_tasks() -> None:
    """List the drawn tasks with one question of each."""
    from rich.console import Console
    from rich.table import Table

    from vlmpost import tasks

    table = Table("task", "a question of difficulty 1", "its answer", "of difficulty 5", "its answer")
    for name in tasks.names():
        ends = [tasks.make(name, split="train", index=0, difficulty=difficulty) for difficulty in (1, 5)]
        table.add_row(name, *(text for example in ends for text in (example.prompt[-1].text, str(example.answer))))
    Console().print(table)


@app.command("data")
def make_data(
    task: Annotated[str, typer.Argument(help="Name of a drawn task (vlmpost make ls).")],
    out_dir: Annotated[Path, typer.Argument(help="New folder for the data file and its images.")],
    num_examples: Annotated[int, typer.Option(help="How many.", min=1)],
    split: Annotated[str, typer.Option(help="Stream: train, validation or test; they share no problem.")] = "train",
    seed: Annotated[int, typer.Option(help="Chooses the stream.")] = 0,
    difficulties: Annotated[str, typer.Option(help="Difficulties to take turns with, 1 to 5, with commas.")] = "1,2,3,4,5",
    layout: Annotated[Layout, typer.Option("--format", help="jsonl (ours), llava or trl.")] = Layout.JSONL,
) -> None:
    """Write examples of a drawn task: one data file and a folder of images."""
    from vlmpost import tasks
    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.data.write import write

    levels = _difficulties(difficulties)
    examples = tasks.stream(task, split=split, seed=seed, num_examples=num_examples, difficulties=levels)
    with rows_progress() as progress:
        path, number = write(examples, out_dir, layout=layout.value, split=split, progress=progress)
    typer.echo(f"{number} examples of {task} ({split}, seed {seed}, difficulties {difficulties}) in {path}")
    typer.echo(f"Use them in a recipe: data.train: [{{path: {out_dir}, split: {split}}}]")


def _difficulties(text: str) -> list[int]:
    from vlmpost.errors import ConfigError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--difficulties: expected numbers from 1 to 5 with commas between, got {text!r}.") from None
