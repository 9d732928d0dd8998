"""Imports a user's own reward function, by `package.module:function` or `file.py:function`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from vlmpost.errors import ConfigError


def find_function(name: str) -> Callable[..., Any]:  # Any: the user's; what it returns is checked at every call
    """Returns the function that `name` stands for; its module is imported.

    Raises:
        ConfigError: There is no such file, module or function, or the module fails to import.
    """
    place, _, attribute = name.rpartition(":")
    module = _from_file(place, name) if place.endswith(".py") else _from_package(place, name)
    found = getattr(module, attribute, None)
    if not callable(found):
        functions = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise ConfigError(f"Reward {name!r}: {place} has no function {attribute!r}. It has: {', '.join(functions) or 'no functions'}.")
    return found  # type: ignore[no-any-return]  # its signature and its returns are checked, its annotations are the user's


def _from_file(place: str, name: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise ConfigError(f"Reward {name!r}: there is no file {path}. A path is relative to the folder the command is started in.")
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
        raise ConfigError(f"Reward {name!r}: {path} could not be imported: {type(error).__name__}: {error}.") from error
    return module


def _from_package(place: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        local = Path(*place.split(".")).with_suffix(".py")
        hint = (
            f" A file of that name is here: write {local}:{name.rpartition(':')[2]}."
            if local.is_file()
            else " Install it, or name its file."
        )
        raise ConfigError(f"Reward {name!r}: module {error.name!r} cannot be found.{hint}") from None
    except Exception as error:  # the user's code may raise anything; it is told with its cause
        raise ConfigError(f"Reward {name!r}: {place} could not be imported: {type(error).__name__}: {error}.") from error
