"""`vlmpost config`: every key of a recipe, and the presets of the RL algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlmpost.cli.options import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from vlmpost.config.presets import Preset

Kind = Literal["sft", "rl", "combine", "curate"]
"""The commands that take a recipe."""


def config(
    kind: Annotated[Kind, typer.Argument(help="The command whose recipe is described.", show_default=False)],
    under: Annotated[
        str | None,
        typer.Argument(help="Only keys that start with this, e.g. training; with --presets the preset to show.", show_default=False),
    ] = None,
    presets: Annotated[bool, typer.Option("--presets", help="The presets of algorithm.preset, or one in full.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Every key of a recipe with type, default and meaning."""
    if presets:
        _presets(kind, under, as_json=as_json)
    else:
        _keys(kind, under, as_json=as_json)


def _keys(kind: Kind, under: str | None, *, as_json: bool) -> None:
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


def _presets(kind: Kind, name: str | None, *, as_json: bool) -> None:
    from vlmpost.config.hints import near
    from vlmpost.config.presets import PRESETS
    from vlmpost.errors import ConfigError

    if kind != "rl":
        article = "an" if kind == "sft" else "a"
        raise ConfigError(f"--presets: {article} {kind} recipe has no algorithm, and so no presets; see `vlmpost config rl --presets`.")
    if name is not None and name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}{near(name, PRESETS) or '.'} Presets: {', '.join(PRESETS)}.")
    if as_json:
        shown = PRESETS if name is None else {name: PRESETS[name]}
        print_json([_as_values(key, preset) for key, preset in shown.items()])
    elif name is None:
        rows = [[key, preset.meaning, preset.source] for key, preset in PRESETS.items()]
        print_table(["preset", "what", "source"], rows, flexible="what")
    else:
        _print_preset(name, PRESETS[name])


def _as_values(name: str, preset: Preset) -> Mapping[str, object]:
    return {
        "name": name,
        "meaning": preset.meaning,
        "source": preset.source,
        "settings": dict(preset.settings),
        "departures": list(preset.departures),
        "beside": list(preset.beside),
    }


def _print_preset(name: str, preset: Preset) -> None:
    """Prints a preset as the section of a recipe that it stands for."""
    import yaml

    print(f"{name}: {preset.meaning}\nSource: {preset.source}\n")
    print(yaml.safe_dump({"algorithm": dict(preset.settings)}, sort_keys=False), end="")
    for title, lines in (("Departures", preset.departures), ("Also in the study, and not set by the preset", preset.beside)):
        if lines:
            print(f"\n{title}:", *lines, sep="\n  ")
