"""A recipe file and `--set` overrides to a checked config, or one error that names every fault.

Nothing here imports torch or looks inside data and model folders; it only sees whether they are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar, overload

import yaml
from pydantic import ValidationError

from vlmpost.config.checks import cross_faults
from vlmpost.config.combine import CombineConfig, filled
from vlmpost.config.curate import CurateConfig
from vlmpost.config.describe import SCHEMAS, Kind, Recipe, TrainingKind
from vlmpost.config.faults import schema_faults
from vlmpost.config.paths import Places, resolve
from vlmpost.config.schema import RlConfig, SftConfig
from vlmpost.config.yaml_text import Fault, Key, parse, parse_value, shown
from vlmpost.errors import ConfigError

ConfigT = TypeVar("ConfigT", bound=Recipe, covariant=True)


@dataclass(frozen=True)
class Loaded(Generic[ConfigT]):
    """A recipe that passed every check that needs no model and no data."""

    kind: Kind
    path: Path
    config: ConfigT
    """With every default filled in, and paths absolute."""
    text: str
    """The recipe file as given."""
    overrides: tuple[str, ...]
    """The `--set` arguments as given."""
    lines: dict[Key, int]
    """The line of each key in the file."""
    set_keys: dict[Key, str]
    """The keys that `--set` wrote, each with its argument."""

    def fault(self, fault: Fault) -> str:
        """One fault as a line of a message, with the place it comes from."""
        return _line(fault, self.path, lines=self.lines, set_keys=self.set_keys)


@overload
def load(kind: TrainingKind, path: Path | str, overrides: Sequence[str] = ()) -> Loaded[SftConfig | RlConfig]: ...
@overload
def load(kind: Literal["combine"], path: Path | str, overrides: Sequence[str] = ()) -> Loaded[CombineConfig]: ...
@overload
def load(kind: Literal["curate"], path: Path | str, overrides: Sequence[str] = ()) -> Loaded[CurateConfig]: ...
def load(kind: Kind, path: Path | str, overrides: Sequence[str] = ()) -> Loaded[Recipe]:
    """The recipe at `path` with `overrides` applied in order.

    Args:
        kind: Which command the recipe is for.
        path: A YAML file.
        overrides: "key.sub=value" each, the value in YAML; a number in the key is a place in a list. Paths given
            here are relative to the working folder, those in the file to the file.

    Raises:
        ConfigError: Anything is wrong; the message names every fault with its line.
    """
    path = Path(path)
    text = _read(path)
    try:
        data, lines, faults = parse(text)
    except yaml.YAMLError as error:
        raise ConfigError(_syntax_message(path, error)) from None
    if data is None:
        raise ConfigError(f"{path}: the recipe is empty. `vlmpost recipes ls` lists recipes to start from.")
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of sections (model:, data:, ...), got {_kind_name(data)}.")
    set_keys: dict[Key, str] = {}
    for override in overrides:
        faults += _override(data, override, set_keys)
    if (other := _other_kind(kind, data)) is not None:
        raise ConfigError(f"{path}: a recipe of `vlmpost {other}`, not of `vlmpost {kind}`; run: vlmpost {other} {path}.")
    faults += resolve(data, Places(path.parent.absolute(), Path.cwd(), frozenset(set_keys)))
    if kind == "combine":
        data = filled(data)
    config = None
    try:
        config = SCHEMAS[kind].model_validate(data, strict=True)
    except ValidationError as error:
        faults += schema_faults(kind, data, error)
    faults += cross_faults(kind, data)
    if faults or config is None:
        raise ConfigError(message_of(faults, path, lines=lines, set_keys=set_keys))
    return Loaded(kind=kind, path=path, config=config, text=text, overrides=tuple(overrides), lines=lines, set_keys=set_keys)


def message_of(faults: Sequence[Fault], path: Path, *, lines: dict[Key, int], set_keys: dict[Key, str]) -> str:
    """All faults of a recipe as one message: one line each, in the file's order, no two alike."""
    ordered = sorted(faults, key=lambda fault: (_place(fault, lines=lines, set_keys=set_keys), shown(fault.key)))
    texts = list(dict.fromkeys(_line(fault, path, lines=lines, set_keys=set_keys) for fault in ordered))
    if len(texts) == 1:
        return texts[0]
    return "\n  ".join([f"{path} has {len(texts)} faults:", *texts])


def _line(fault: Fault, path: Path, *, lines: dict[Key, int], set_keys: dict[Key, str]) -> str:
    overridden = fault.flag if fault.flag is not None else _override_of(fault.key, set_keys)
    if overridden is not None:
        place = f"--set {overridden}"
    else:
        line = fault.line or _line_number(fault.key, lines)
        place = f"{path}:{line}" if line else f"{path}"
    return f"{place}: {shown(fault.key)}: {fault.message}" if fault.key else f"{place}: {fault.message}"


def _place(fault: Fault, *, lines: dict[Key, int], set_keys: dict[Key, str]) -> int:
    """Where a fault stands among the others: its line, or after the file for an override."""
    if fault.flag is not None or _override_of(fault.key, set_keys) is not None:
        return max(lines.values(), default=0) + 1
    return fault.line or _line_number(fault.key, lines) or 0


def _line_number(key: Key, lines: dict[Key, int]) -> int | None:
    """The line of the nearest key above `key` that is written; None when only the file itself is."""
    for length in range(len(key), 0, -1):
        if key[:length] in lines:
            return lines[key[:length]]
    return None


def _override_of(key: Key, set_keys: dict[Key, str]) -> str | None:
    for length in range(len(key), 0, -1):
        if key[:length] in set_keys:
            return set_keys[key[:length]]
    return None


def _other_kind(kind: Kind, data: Mapping[str, object]) -> Kind | None:
    """The command whose recipe this is, where `kind` does not have all of its sections; None where no other has them either.

    `vlmpost sft` and `vlmpost rl` are left to the messages about single keys, since most sections are of both.
    """
    if set(data) <= set(SCHEMAS[kind].model_fields):
        return None
    for other, schema in SCHEMAS.items():
        required = {name for name, field in schema.model_fields.items() if field.is_required()}
        if required <= set(data) <= set(schema.model_fields) and {kind, other} & {"combine", "curate"}:
            return other
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such recipe. `vlmpost recipes ls` lists the shipped ones, `vlmpost recipes cp` copies one."
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: a folder, not a recipe. Name a .yaml file in it.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); a recipe is a YAML file.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None


def _syntax_message(path: Path, error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, problem = error.problem_mark, (error.problem or "").strip()
        if "\\t" in problem:
            problem = "a tab; YAML is indented with spaces"
        elif "mapping values are not allowed" in problem:
            problem = "a second colon in one line; put the text in quotes"
        return f"{path}:{mark.line + 1}: not YAML, at column {mark.column + 1}: {problem}."
    return f"{path}: not YAML: {' '.join(str(error).split())}."


def _kind_name(data: object) -> str:
    return "a list" if isinstance(data, list) else f"only {data!r}"


def _override(data: dict[str, object], override: str, set_keys: dict[Key, str]) -> list[Fault]:
    """Writes one `--set` argument into `data`; returns what is wrong with it."""
    name, equals, text = override.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        return [_flag_fault(override, "write it as key.sub=value.")]
    try:
        value = parse_value(text)
    except (yaml.YAMLError, ValueError) as error:
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
        return [_flag_fault(override, f"the value is not YAML ({reason}); put it in quotes.")]
    key: Key = ()
    here: object = data
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if isinstance(here, list):
            if not part.isdecimal() or int(part) > len(here):
                count = f"{len(here)} entr{'y' if len(here) == 1 else 'ies'}"
                return [_flag_fault(override, f"{shown(key)} is a list of {count}: give a number from 0 to {len(here)}, got {part!r}.")]
            index = int(part)
            if index == len(here):
                here.append({})
            key = (*key, index)
            if last:
                here[index] = value
            here = here[index]
        elif isinstance(here, dict):
            key = (*key, part)
            if last:
                here[part] = value
            elif part not in here or here[part] is None:
                here[part] = {}
            here = here[part]
        else:
            return [_flag_fault(override, f"{shown(key)} is {here!r}, not a section, so it has no `{part}`.")]
    set_keys[key] = override
    return []


def _flag_fault(override: str, message: str) -> Fault:
    return Fault((), message, flag=override)
