"""Options that several commands share, and how a command says things."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

RecipeArgument = Annotated[Path, typer.Argument(help="A recipe (YAML). `vlmpost recipes ls` lists those that ship.", show_default=False)]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace one key, e.g. training.max_steps=5. Again for more.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: Mapping[str, object] | Sequence[object]) -> None:
    """Prints a value as indented JSON; half characters, which no terminal takes, as escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    print(text)


def visible(text: str) -> str:
    """The text with control and direction marks written out as <001B>, so that model text cannot steer the terminal."""
    return "".join(
        character if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co") else f"<{ord(character):04X}>"
        for character in text
    )


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, flexible: str | None = None) -> None:
    """Prints rows under headings; on a terminal the column named `flexible` wraps, elsewhere lines are tab-separated.

    Tab-separated lines are for `grep` and `cut`.
    """
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        for row in rows:
            print("\t".join(row))
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column != flexible and flexible is not None, overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    console.print(table)


def numbers_given(text: str | None) -> list[int] | None:
    """The numbers of `--difficulties`; None where it is not given.

    Raises:
        ConfigError: They are not numbers with commas between.
    """
    from vlmpost.errors import ConfigError

    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--difficulties: expected numbers with commas between, e.g. 1,2, got {text!r}.") from None
