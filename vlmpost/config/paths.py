"""Where the files that a recipe names are: relative to the recipe, or to the working folder for `--set`.

Data paths, image roots, model folders and files of rewards become absolute, so that a run does not depend on where it is resumed from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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


def resolve(data: dict[str, object], places: Places) -> list[Fault]:
    """Makes the paths in `data` absolute, in place, and returns the faults: what is not there."""
    faults: list[Fault] = []
    for holder, key in _path_holders(data):
        name = key[-1]
        value = holder[name]  # type: ignore[index]
        if not isinstance(value, str):
            continue
        if not value.strip():
            faults.append(Fault(key, "is empty; name a file or a folder."))
            continue
        found, fault = _find(key, value, places)
        if fault is not None:
            faults.append(Fault(key, fault))
        holder[name] = found  # type: ignore[index]
    return faults


def _path_holders(data: dict[str, object]) -> Iterator[tuple[dict[str, object], Key]]:
    """The mappings that hold a path, with the path's key."""
    model = data.get("model")
    if isinstance(model, dict) and "path" in model:
        yield model, ("model", "path")
    sources = data.get("data")
    if isinstance(sources, dict):
        for part in ("train", "eval"):
            rows = sources.get(part)
            for index, row in enumerate(rows if isinstance(rows, list) else []):
                for name in ("path", "image_root"):
                    if isinstance(row, dict) and name in row:
                        yield row, ("data", part, index, name)
    terms = data.get("rewards")
    for index, term in enumerate(terms if isinstance(terms, list) else []):
        if isinstance(term, dict) and "name" in term:
            yield term, ("rewards", index, "name")


def _find(key: Key, value: str, places: Places) -> tuple[str, str | None]:
    """The value to use, and what is wrong with it."""
    if key[0] == "rewards":
        return _find_reward(key, value, places)
    if key == ("model", "path"):
        return _find_model(key, value, places)
    path = places.base(key) / Path(value).expanduser()
    if path.exists():
        return str(path.resolve()), None
    if key[-1] == "path" and _may_be_hub_id(value):
        return value, None
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
