"""`vlmpost recipes`: the recipes that ship."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vlmpost.cli.options import print_table
from vlmpost.errors import ConfigError, RunError

app = typer.Typer(help="The recipes that ship: list, show, copy.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="A recipe of `vlmpost recipes ls`, e.g. demo/sft.", show_default=False)]


@app.command("ls")
def list_recipes() -> None:
    """List the recipes with the question each answers."""
    print_table(["recipe", "question"], [[name, question_of(path)] for name, path in sorted(shipped().items())], flexible="question")


@app.command("show")
def show(name: NameArgument) -> None:
    """Print a recipe."""
    print(find(name).read_text(encoding="utf-8"), end="")


@app.command("cp")
def copy(
    name: NameArgument,
    target: Annotated[
        Path | None, typer.Argument(help="File or folder to copy to; default: the working folder.", show_default=False)
    ] = None,
) -> None:
    """Copy a recipe, to change it."""
    source = find(name)
    target = Path() if target is None else target
    if target.is_dir():
        target = target / source.name
    if target.exists():
        raise RunError(f"{target}: exists. Name another file: vlmpost recipes cp {name} OTHER.yaml.")
    try:
        target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise RunError(f"{target}: cannot be written ({error.strerror}).") from None
    print(target)


def recipes_dir() -> Path:
    """The folder of the shipped recipes: in a clone a link to the one beside the package, in an installed wheel a part of it."""
    return Path(__file__).resolve().parent.parent / "recipes"


def shipped() -> dict[str, Path]:
    """Name ("demo/sft") to file of every shipped recipe."""
    root = recipes_dir()
    found = [Path(folder) / file for folder, _, files in os.walk(root, followlinks=True) for file in files if file.endswith(".yaml")]
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in found}


def find(name: str) -> Path:
    """The file of a shipped recipe.

    Raises:
        ConfigError: There is none of that name.
    """
    from vlmpost.config.hints import near

    recipes = shipped()
    wanted = name.removesuffix(".yaml").removeprefix("recipes/")
    if wanted in recipes:
        return recipes[wanted]
    raise ConfigError(f"no recipe {name!r}{near(wanted, recipes) or '.'} Recipes: {', '.join(sorted(recipes)) or 'none'}.")


def question_of(path: Path) -> str:
    """What the first comment line of a recipe says after "question:"."""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.lstrip("# ").strip()
        if line.startswith("#") and text:
            return text[len("question:") :].strip() if text.lower().startswith("question:") else text
    return ""
