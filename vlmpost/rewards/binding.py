"""Checks a recipe's parameters against the signature of a reward function, before anything heavy is loaded."""

from __future__ import annotations

import difflib
import inspect
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlmpost.records import Rollout
from vlmpost.rewards.table import Reward, RewardFunction

PRESET = "preset"
"""The key of a recipe's params that names a preset; the other keys replace what the preset says."""
BUDGET = "max_completion_length"
"""A parameter of this name is filled from the recipe's generation settings where the recipe's params leave it out."""
PIXELS = ("image_min_pixels", "image_max_pixels")
"""Parameters of these names are filled from the recipe's model where it sets both and the recipe's params neither."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One keyword-only parameter of a reward."""

    name: str
    annotation: object
    default: object
    """`inspect.Parameter.empty` where the parameter must be given."""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Schema:
    """What a reward function takes beside the rollout."""

    parameters: tuple[Parameter, ...]
    takes_anything: bool
    """Whether the function ends in `**kwargs`."""
    per_group: bool = False
    """Whether the function takes all completions of a prompt at once."""


def schema_of(function: RewardFunction) -> Schema | str:
    """Returns the parameters of a reward function, or one sentence on why it cannot be one."""
    if inspect.iscoroutinefunction(function):
        return "it is asynchronous; a reward is a plain function"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return "its signature cannot be read"
    parameters = list(signature.parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        return f"its first parameter must take the rollout: def reward(rollout, *, ...), got {signature}"
    late = [p.name for p in parameters[1:] if p.kind in (*positional, inspect.Parameter.VAR_POSITIONAL) and p.default is p.empty]
    if late:
        return f"all parameters after the rollout must be keyword-only: def reward(rollout, *, {late[0]}), got {signature}"
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        hints = {}
    named = tuple(
        Parameter(p.name, hints.get(p.name, typing.Any), p.default) for p in parameters[1:] if p.kind is not inspect.Parameter.VAR_KEYWORD
    )
    per_group = typing.get_args(hints.get(parameters[0].name)) == (Rollout,)
    return Schema(named, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters), per_group)


def bind(
    reward: Reward,
    schema: Schema,
    params: Mapping[str, object],
    *,
    max_completion_length: int | None,
    pixel_budget: tuple[int, int] | None = None,
) -> tuple[dict[str, object], list[str]]:
    """Returns the arguments to call with, and what is wrong with `params`, one clause per fault."""
    known = {parameter.name: parameter for parameter in schema.parameters}
    faults: list[str] = []
    bound: dict[str, object] = {}
    if PRESET in params and PRESET not in known:
        params, fault = _with_preset(reward, params)
        faults += [fault] if fault else []
    for name, value in params.items():
        if name not in known:
            if schema.takes_anything:
                bound[name] = value
            else:
                faults.append(_unknown(name, sorted(known)))
            continue
        checked, fault = _checked(value, known[name])
        if fault:
            faults.append(fault)
        else:
            bound[name] = checked
    if BUDGET in known and BUDGET not in params and max_completion_length is not None:
        bound[BUDGET] = max_completion_length
    if pixel_budget is not None and set(PIXELS) <= known.keys() and not set(PIXELS) & params.keys():
        bound.update(zip(PIXELS, pixel_budget, strict=True))
    missing = [p.name for p in schema.parameters if p.required and p.name not in params and p.name not in bound]
    faults += [f"params.{name} must be given" for name in missing]
    if not faults and reward.check is not None:
        defaults = {p.name: p.default for p in schema.parameters if not p.required}
        faults += reward.check({**defaults, **bound}, max_completion_length)
    return bound, faults


def _with_preset(reward: Reward, params: Mapping[str, object]) -> tuple[Mapping[str, object], str | None]:
    """The params with the preset's filled in below them, and what is wrong with the preset's name."""
    rest = {name: value for name, value in params.items() if name != PRESET}
    preset = reward.presets.get(str(params[PRESET]))
    if preset is None:
        there = ", ".join(sorted(reward.presets)) or "none"
        near = difflib.get_close_matches(str(params[PRESET]), sorted(reward.presets), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return rest, f"params.preset: there is no preset {params[PRESET]!r}{hint} (it has: {there})"
    return {**preset, **rest}, None


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"params.{name} is not a parameter (it has: {', '.join(known) or 'none'}){hint}"


def _checked(value: object, parameter: Parameter) -> tuple[object, str | None]:
    """The value as its annotation wants it (a JSON list as a tuple, say), or what is wrong with it."""
    from pydantic import TypeAdapter, ValidationError

    if parameter.annotation is typing.Any:
        return value, None
    wanted: Any = parameter.annotation  # Any: whatever stands in the user's signature
    try:
        return TypeAdapter(wanted).validate_json(json.dumps(value), strict=True), None
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        return None, f"params.{parameter.name} is {value!r}: {message[0].lower()}{message[1:]}"
