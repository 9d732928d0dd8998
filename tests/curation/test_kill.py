"""Curation killed and resumed against a server that misbehaves, on small real rows: the check of scripts/bench/curation_server.py."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))
    try:
        return importlib.import_module("curation_server")
    finally:
        sys.path.pop(0)


@pytest.mark.slow
def test_killed_and_resumed_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = _load()
    monkeypatch.setenv(bench.BASE_URL, "unused")  # the check sets it, and the test takes it back
    assert bench.check(bench.SOURCES, tmp_path, num_kills=2, num_samples=4, seed=1) == []


def test_the_check_finds_what_is_wrong(tmp_path: Path) -> None:
    bench = _load()
    row = '{"id": "q", "sample": 0, "text": "7"}\n'
    (tmp_path / "samples.jsonl").write_text(row + row + '{"id": "q", "sam')
    assert bench.twice_in(tmp_path) == ["(None, 'q', 0) stands there 2 times"]
