"""`vlmpost reward ls` and `show`: the rewards, sums and rule profiles there are, and one of them in full."""

from __future__ import annotations

import difflib
import importlib
import inspect
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from vlmpost.rewards.binding import Parameter, Schema
    from vlmpost.rewards.table import Reward


def list_rewards(as_json: JsonOption = False) -> None:
    """List rewards, sums of rewards, and rule profiles."""
    from vlmpost.answers import profiles
    from vlmpost.rewards.sums import SUMS
    from vlmpost.rewards.table import find, names

    rows = []
    for name in names():
        reward = find(name)
        kind = "group reward" if _schema(reward).per_group else "reward"
        rows.append([name, kind, ", ".join(sorted(reward.presets)) or "-", _in_short(reward.meaning)])
    rows += [[name, "sum", "-", _in_short(SUMS[name].meaning)] for name in sorted(SUMS)]
    rows += [[name, "profile", "-", _in_short(profiles.find(name).meaning)] for name in profiles.names()]
    columns = ["name", "kind", "presets", "meaning"]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    print_table(columns, rows, flexible="meaning")


def show(
    name: Annotated[str, typer.Argument(help="A name of `vlmpost reward ls`, or your own reward.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Show one reward, sum or rule profile: what it does, its parameters, presets and source."""
    from vlmpost.answers import profiles
    from vlmpost.errors import ConfigError
    from vlmpost.rewards.sums import SUMS
    from vlmpost.rewards.table import find, names

    if name in names() or ":" in name:
        shown = _reward(name, find(name))
    elif name in SUMS:
        shown = {
            "name": name,
            "kind": "sum",
            "text": SUMS[name].meaning,
            "parts": [
                {"name": part.name, "weight": part.weight, "params": dict(part.params), "discount": part.discount}
                for part in SUMS[name].parts
            ],
        }
    elif name in profiles.names():
        function = profiles.find(name).function
        deviations = getattr(importlib.import_module(function.__module__), "DEVIATIONS", ())
        shown = {"name": name, "kind": "profile", "text": inspect.getdoc(function) or "", "deviations": list(deviations)}
    else:
        there = [*names(), *SUMS, *profiles.names()]
        near = difflib.get_close_matches(name, there, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"There is no reward, sum or profile {name!r}.{hint} `vlmpost reward ls` lists them.")
    if as_json:
        print_json(shown)
        return
    _print(shown)


def _reward(name: str, reward: Reward) -> dict[str, object]:
    schema = _schema(reward)
    return {
        "name": name,
        "kind": "group reward" if schema.per_group else "reward",
        "text": inspect.getdoc(reward.function) or "",
        "parameters": [
            {
                "name": parameter.name,
                "type": _type(parameter),
                "default": None if parameter.required else parameter.default,
                "required": parameter.required,
            }
            for parameter in schema.parameters
        ],
        "presets": {preset: dict(values) for preset, values in sorted(reward.presets.items())},
    }


def _schema(reward: Reward) -> Schema:
    """The reward's parameters.

    Raises:
        ConfigError: It is a user's function that cannot be a reward.
    """
    from vlmpost.errors import ConfigError
    from vlmpost.rewards.binding import Schema, schema_of

    schema = schema_of(reward.function)
    if not isinstance(schema, Schema):
        raise ConfigError(f"{reward.function.__qualname__} cannot be a reward: {schema}.")
    return schema


def _print(shown: dict[str, object]) -> None:
    print(f"{shown['name']} ({shown['kind']})\n\n{shown['text']}")
    for title, lines in (
        ("Parameters", _parameter_lines(shown)),
        ("Presets", [f"{name}: {_settings(values)}" for name, values in _mapping(shown.get("presets")).items()]),
        ("Parts", [f"{part['weight']:g} x {part['name']}  {_settings(part['params'])}" for part in _list(shown.get("parts"))]),
        ("Departures from the official rules", [str(line) for line in _list(shown.get("deviations"))]),
    ):
        if lines:
            print(f"\n{title}:")
            for line in lines:
                print(textwrap.fill(line, 140, initial_indent="  ", subsequent_indent="      ", break_long_words=False))


def _parameter_lines(shown: dict[str, object]) -> list[str]:
    return [
        f"{parameter['name']}: {parameter['type']}" + (" (must be given)" if parameter["required"] else f" = {parameter['default']!r}")
        for parameter in _list(shown.get("parameters"))
    ]


def _mapping(value: object) -> dict[str, dict[str, object]]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def _settings(values: object) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in values.items()) if isinstance(values, dict) else ""


def _type(parameter: Parameter) -> str:
    annotation = parameter.annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _in_short(text: str) -> str:
    return text.rstrip(".")
