"""`vlmpost config`: every key of a recipe."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from vlmpost.cli.options import JsonOption, print_json, print_table


def config(
    kind: Annotated[Literal["sft", "rl"], typer.Argument(help="The command whose recipe is described.", show_default=False)],
    under: Annotated[str | None, typer.Argument(help="Only keys that start with this, e.g. training.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Every key of a recipe with type, default and meaning."""
    from vlmpost.config.describe import describe
    from vlmpost.config.hints import near
    from vlmpost.errors import ConfigError

    keys = describe(kind)
    if under is not None:
        names = sorted({key.key.partition(".")[0] for key in keys})
        keys = [key for key in keys if key.key.startswith(under)]
        if not keys:
            raise ConfigError(f"no key of a {kind} recipe starts with {under!r}{near(under, names) or '.'} Sections: {', '.join(names)}.")
    if as_json:
        print_json([asdict(key) for key in keys])
        return
    rows = [[key.key, key.type, "required" if key.default is None else key.default, key.meaning] for key in keys]
    print_table(["key", "type", "default", "meaning"], rows, flexible="meaning")
