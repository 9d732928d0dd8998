"""Where the files that a recipe names are: relative to the recipe, or to the working folder for `--set`.

Data paths, image roots, model folders and files of rewards become absolute, so that a run does not depend on where it is resumed from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vlmpost.config.yaml_text import Fault, Key

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_FILE_SUFFIXES = (".jsonl", ".json", ".parquet", ".tsv", ".csv", ".arrow")


@dataclass(frozen=True)
class Places:
    """Where relative paths start."""

    recipe_dir: Path
    working_dir: Path
    overridden: frozenset[Key]
    """The keys that `--set` wrote."""

    def base(self, key: Key) -> Path:
        """The folder that a relative path at `key` starts from."""
        return self.working_dir if any(key[: len(done)] == done for done in self.overridden) else self.recipe_dir


Finder = Callable[[Key, str, Places], tuple[str, str | None]]
"""From key, value and places to the value to use and what is wrong with it."""
Held = tuple[dict[str, object], Key, Finder]
"""A mapping that holds a path, the path's key, and how it is looked for."""


def resolve(data: dict[str, object], places: Places) -> list[Fault]:
    """Makes the paths in `data` absolute, in place, and returns the faults: what is not there."""
    faults: list[Fault] = []
    for holder, key, find in _path_holders(data, ()):
        name = key[-1]
        value = holder[name]  # type: ignore[index]
        if not isinstance(value, str):
            continue
        if not value.strip():
            faults.append(Fault(key, "is empty; name a file or a folder."))
            continue
        found, fault = find(key, value, places)
        if fault is not None:
            faults.append(Fault(key, fault))
        holder[name] = found  # type: ignore[index]
    return faults


def _path_holders(data: object, prefix: Key) -> Iterator[Held]:
    """The mappings that hold a path of a recipe of any kind, with the path's key and how it is looked for."""
    if not isinstance(data, dict):
        return
    yield from _named(data.get("model"), (*prefix, "model"), ("path",), _find_model)
    yield from _named(data, prefix, ("reference_model",), _find_model)
    sources = data.get("data")
    if isinstance(sources, dict):
        for part in ("train", "eval"):
            yield from _sources(sources.get(part), (*prefix, "data", part))
    else:
        yield from _sources(sources, (*prefix, "data"))
    terms = data.get("rewards")
    for index, term in enumerate(terms if isinstance(terms, list) else []):
        yield from _named(term, (*prefix, "rewards", index), ("name",), _find_reward)
    guidance = data.get("guidance")
    if isinstance(guidance, dict):
        for part in ("traces", "pass_rate"):
            yield from _named(guidance.get(part), (*prefix, "guidance", part), ("path",), _find_file)
    yield from _named(data.get("questions"), (*prefix, "questions"), ("pass_rates",), _find_file)
    against = data.get("decontaminate")
    if isinstance(against, dict):
        yield from _sources(against.get("against"), (*prefix, "decontaminate", "against"))
    for part in ("two_stage", "data_mix", "merge"):
        yield from _named(data.get(part), (*prefix, part), ("sft_model", "rl_model", "base"), _find_model)
    for part in ("sft", "rl", "select", "evaluation", "data_mix"):
        yield from _path_holders(data.get(part), (*prefix, part))


def _named(holder: object, key: Key, names: tuple[str, ...], find: Finder) -> Iterator[Held]:
    """Those of the names that a mapping holds."""
    if isinstance(holder, dict):
        for name in names:
            if name in holder:
                yield holder, (*key, name), find


def _sources(rows: object, key: Key) -> Iterator[Held]:
    """The paths of a list of sources."""
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        yield from _named(row, (*key, index), ("path", "image_root"), _find_data)


def _find_data(key: Key, value: str, places: Places) -> tuple[str, str | None]:
    path = places.base(key) / Path(value).expanduser()
    if not path.exists() and key[-1] == "path" and _may_be_hub_id(value):
        return value, None
    return _find_file(key, value, places)


def _find_file(key: Key, value: str, places: Places) -> tuple[str, str | None]:
    """The value to use, and what is wrong with it."""
    path = places.base(key) / Path(value).expanduser()
    if path.exists():
        return str(path.resolve()), None
    return value, f"no such file or folder: {value} (looked in {places.base(key)})."


def _find_model(key: Key, value: str, places: Places) -> tuple[str, str | None]:
    if value == "nano":
        return value, None
    for base in (places.base(key), places.working_dir):
        path = base / Path(value).expanduser()
        if path.exists():
            return str(path.resolve()), None
    if _may_be_hub_id(value) and "/" in value:
        return value, None
    looked = " and ".join(sorted({str(places.base(key)), str(places.working_dir)}))
    return value, f"no such folder: {value} (looked in {looked}). Give a model folder, a hub id (owner/name), or nano."


def _find_reward(key: Key, value: str, places: Places) -> tuple[str, str | None]:
    file, colon, function = value.rpartition(":")
    if not colon or not file.endswith(".py"):
        return value, None
    path = places.base(key) / Path(file).expanduser()
    if path.is_file():
        return f"{path.resolve()}:{function}", None
    return value, f"no such file: {file} (looked in {places.base(key)})."


def _may_be_hub_id(value: str) -> bool:
    """Whether a name that is no file here can be a hub id: owner/name, without a data file's ending."""
    return bool(_HUB_ID.fullmatch(value)) and value.count("/") == 1 and not value.endswith(_FILE_SUFFIXES)
