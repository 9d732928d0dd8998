"""Fixtures that every room's tests may use."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# Tests reach no network and send no usage report; set before any of the libraries is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# A busy machine is no failure, and the same examples are tried each time.
hypothesis.settings.register_profile("vlmpost", deadline=None, derandomize=True)
hypothesis.settings.load_profile("vlmpost")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives `tiny_model(family) -> folder`: a tiny random model folder, built once per session (tests/families.py). Do not change it."""
    spec = importlib.util.spec_from_file_location("vlmpost_test_families", Path(__file__).parent / "families.py")
    assert spec is not None and spec.loader is not None
    families = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(families)
    folders: dict[str, Path] = {}

    def folder_of(family: str) -> Path:
        if family not in folders:
            folders[family] = families.build(family, tmp_path_factory.mktemp("tiny") / family)
        return folders[family]

    return folder_of
