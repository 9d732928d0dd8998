"""Imports a user's own function or class, by `package.module:name` or `file.py:name`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from vlmpost.errors import ConfigError


def find_object(name: str, *, what: str, kind: str) -> Any:  # Any: the user's; its use checks it
    """Returns the callable that `name` stands for; its module is imported.

    Args:
        name: Place and attribute with a colon between.
        what: What it is wanted as, for messages: "Reward".
        kind: "function" or "class", for messages.

    Raises:
        ConfigError: There is no such file, module or attribute, or the module fails to import.
    """
    place, _, attribute = name.rpartition(":")
    said = f"{what} {name!r}"
    module = _from_file(place, said) if place.endswith(".py") else _from_package(place, said, attribute)
    found = getattr(module, attribute, None)
    if not callable(found):
        known = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_") and _fits(value, kind))
        plural = "functions" if kind == "function" else "classes"
        raise ConfigError(f"{said}: {place} has no {kind} {attribute!r}. It has: {', '.join(known) or f'no {plural}'}.")
    return found


def _fits(value: object, kind: str) -> bool:
    return kind == "function" or isinstance(value, type)


def _from_file(place: str, said: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise ConfigError(f"{said}: there is no file {path}. A path is relative to the folder the command is started in.")
    module_name = f"vlmpost_user_{path.stem}_{hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None, f"a .py file has a spec: {path}"
    assert spec.loader is not None, f"a .py file has a loader: {path}"
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything; it is told with its cause
        del sys.modules[module_name]
        raise ConfigError(f"{said}: {path} could not be imported: {type(error).__name__}: {error}.") from error
    return module


def _from_package(place: str, said: str, attribute: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        local = Path(*place.split(".")).with_suffix(".py")
        hint = f" A file of that name is here: write {local}:{attribute}." if local.is_file() else " Install it, or name its file."
        raise ConfigError(f"{said}: module {error.name!r} cannot be found.{hint}") from None
    except Exception as error:  # the user's code may raise anything; it is told with its cause
        raise ConfigError(f"{said}: {place} could not be imported: {type(error).__name__}: {error}.") from error
