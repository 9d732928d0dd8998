"""Who may import whom: the floors of the package, kept by reading the imports of every module."""

from __future__ import annotations

import ast
import doctest
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vlmpost"

FLOORS: dict[str, float] = {
    "__init__": 0,
    "errors": 0,
    "records": 0,
    "jsonl": 0,
    "config": 1,
    "answers": 1,
    "runs": 1,
    "media": 2,
    "rewards": 2,
    "analysis": 2,
    "tasks": 3,
    "data": 4,
    "models": 5,
    "evaluation": 6,
    "difficulty": 6,
    "curation": 6,
    "reports": 7,
    "training": 7.5,  # shows its progress through reports
    "strategies": 8,
    "cli": 9,
    "__main__": 10,
}
"""Room, or file of the package itself, to floor: imports go to lower floors or stay in the room. The files of floor 0 are one room."""

ALLOWED: dict[str, frozenset[str]] = {
    "vlmpost.config": frozenset({"pydantic", "pydantic_core", "yaml"}),
    "vlmpost.answers": frozenset({"math_verify", "latex2sympy2_extended", "sympy"}),
    "vlmpost.runs": frozenset({"pydantic"}),
    "vlmpost.rewards": frozenset({"numpy", "pydantic"}),
    "vlmpost.analysis": frozenset({"numpy", "matplotlib"}),
    "vlmpost.media": frozenset({"numpy", "PIL", "av"}),
    "vlmpost.tasks": frozenset({"numpy", "PIL", "pydantic"}),
}
"""What the modules of floors 1 to 3 may import from outside, beside the standard library."""

HEAVY = ("torch", "transformers", "trl", "datasets", "pyarrow", "peft", "accelerate")
EARLY_MODULES_EXPECTED = 30


def modules() -> dict[str, Path]:
    """Dotted name to file of every module of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "recipes" in path.relative_to(PACKAGE).parts:
            continue
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)] = path
    return found


def room_of(module: str) -> str:
    """The part of a dotted name that has a floor."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(source: str, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str, bool]]:
    """(line, dotted name, whether it is imported at import time) of every import, relative ones resolved."""
    tree = ast.parse(source)
    late = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for inner in ast.walk(node)}
    typing_only = {id(inner) for node in ast.walk(tree) if _is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        at_once = id(node) not in late and id(node) not in typing_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, at_once
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package=is_package)
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "vlmpost" else [base]
            for name in names:
                yield node.lineno, name, at_once


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _absolute(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    parent = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*parent, *([node.module] if node.module else [])])


def breaches(source: str, module: str) -> list[str]:
    """What `source`, as the module of that name, imports and may not."""
    room = room_of(module)
    if room not in FLOORS:
        return [f"{module}: the room {room} has no floor; add it to FLOORS"]
    found = []
    for line, name, at_once in imports_of(source, module):
        top = name.split(".")[0]
        if top == "vlmpost":
            target = room_of(name)
            # `from vlmpost import __version__` names a value of the package itself.
            target = target if target in FLOORS or (PACKAGE / target).exists() else "__init__"
            if target not in FLOORS:
                found.append(f"{module}:{line}: imports {name}, which has no floor")
            elif FLOORS[room] == 0 < FLOORS[target]:
                found.append(f"{module}:{line}: floor 0 imports {name} of floor {FLOORS[target]}")
            elif target != room and FLOORS[target] >= FLOORS[room] > 0:
                found.append(f"{module}:{line}: floor {FLOORS[room]} imports {name} of floor {FLOORS[target]}")
        elif FLOORS[room] <= 3 and top not in sys.stdlib_module_names:
            allowed = ALLOWED.get(f"vlmpost.{room}", frozenset())
            if top not in allowed and (at_once or top in ("torch", "transformers", "trl")):
                found.append(f"{module}:{line}: floor {FLOORS[room]} may not import {name}")
    return found


def test_no_module_imports_from_a_higher_floor() -> None:
    all_modules = modules()
    found = [breach for name, path in all_modules.items() for breach in breaches(path.read_text(encoding="utf-8"), name)]
    assert found == []
    assert len(all_modules) > 50


@pytest.mark.parametrize(
    ("module", "source", "number"),
    [
        ("vlmpost.config.load", "import vlmpost.cli.app", 1),
        ("vlmpost.config.load", "from vlmpost import tasks", 1),
        ("vlmpost.config.load", "from vlmpost.runs.directory import create", 1),  # same floor, another room
        ("vlmpost.config.load", "def f():\n    from vlmpost.models import loader", 1),  # late imports count
        ("vlmpost.config.load", "import torch", 1),
        ("vlmpost.tasks.cards", "def f():\n    import torch", 1),
        ("vlmpost.tasks.cards", "import pandas", 1),
        ("vlmpost.records", "import pydantic", 1),
        ("vlmpost.jsonl", "from vlmpost.config import load", 1),
        ("vlmpost.jsonl", "from vlmpost.errors import RunError", 0),
        ("vlmpost.config.load", "from ..cli import app", 1),
        ("vlmpost.shed.box", "import json", 1),  # a room without a floor
        (
            "vlmpost.config.load",
            "import json, yaml, pydantic\nfrom vlmpost.errors import ConfigError\nfrom vlmpost.config import schema",
            0,
        ),
        ("vlmpost.config.load", "from . import schema", 0),
        ("vlmpost.runs.manifest", "from vlmpost import __version__, jsonl", 0),
        ("vlmpost.models.loader", "import torch\nfrom vlmpost.media import images", 0),
        ("vlmpost.cli.app", "from vlmpost.training import executor", 0),
    ],
)
def test_planted_imports_are_judged(module: str, source: str, number: int) -> None:
    assert len(breaches(source, module)) == number, breaches(source, module)


def early_modules() -> list[str]:
    """The modules of floors 0 to 3."""
    return [name for name in modules() if FLOORS[room_of(name)] <= 3]


def test_each_early_module_imports_alone_without_anything_heavy() -> None:
    names = early_modules()
    assert len(names) >= EARLY_MODULES_EXPECTED
    # One interpreter: each module is imported with no other module of vlmpost loaded.
    program = f"""
import importlib, sys
for name in {names!r}:
    for loaded in [key for key in sys.modules if key.split(".")[0] == "vlmpost"]:
        del sys.modules[loaded]
    importlib.import_module(name)
print(",".join(name for name in {HEAVY!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_the_memory_estimate_needs_no_torch() -> None:
    program = "import sys, vlmpost.models.memory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_examples_in_docstrings_of_early_modules_are_right() -> None:
    attempted = 0
    for name in [*early_modules(), "vlmpost.models.memory"]:
        if name.endswith("__main__"):
            continue
        result = doctest.testmod(importlib.import_module(name))
        assert result.failed == 0, name
        attempted += result.attempted
    assert attempted >= 15
