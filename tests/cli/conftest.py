"""Runs the command line as users do: as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """`cli("rl", "r.yaml")` runs `vlmpost rl r.yaml` in the test's own folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "vlmpost", *arguments],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A small RL recipe, r.yaml."""
    path = tmp_path / "r.yaml"
    path.write_text("data:\n  train:\n    - {task: counting, num_examples: 40}\nrewards:\n  - {name: accuracy}\n")
    return path
