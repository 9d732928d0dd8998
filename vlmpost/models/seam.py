"""A seam: one private thing of another library that we lean on, and what to look at to know that it still is as we assume.

The tables stand beside the code that leans: `training/seams.py` and `models/shared_prompt/seams.py`, each with a test that fails when an
installed package changes.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seam:
    """One private thing we rely on."""

    target: str
    """`module:attribute.path` of a function or method."""
    parameters: tuple[str, ...]
    """Names of its parameters, in order."""
    fragments: tuple[str, ...]
    """Pieces of its source that our code assumes, white space apart."""
    why: str
    upstream: str = ""
    """The public thread, and what would let us drop the seam."""


def resolve(seam: Seam) -> Callable[..., Any]:  # Any: functions of other packages
    """The function that `seam.target` names, unwrapped from decorators.

    Raises:
        AttributeError: It is gone.
    """
    module, _, path = seam.target.partition(":")
    value: Any = importlib.import_module(module)  # Any: modules and classes on the way
    for name in path.split("."):
        value = inspect.getattr_static(value, name)
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    function = inspect.unwrap(value)
    assert callable(function), seam.target
    return function


def faults(seam: Seam) -> list[str]:
    """What no longer holds of a seam; empty when all does."""
    function = resolve(seam)
    found = []
    parameters = tuple(inspect.signature(function).parameters)
    if parameters != seam.parameters:
        found.append(f"{seam.target}: parameters are {parameters}, expected {seam.parameters}")
    source = _squeeze(inspect.getsource(function))
    found += [f"{seam.target}: no longer says {fragment!r}" for fragment in seam.fragments if _squeeze(fragment) not in source]
    return found


def _squeeze(text: str) -> str:
    return "".join(text.split())
