"""The table of scripts/bench/judge_agreement.py counts what it says; no other checker is started here but one that is killed."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))
    try:
        return importlib.import_module("judge_agreement")
    finally:
        sys.path.pop(0)


bench = _load()
ROWS = [
    {"id": "a", "suite": "s", "output": "(B)", "gold": "B", "choices": {"A": "x", "B": "y"}, "semantic_correct": True, "robust": True},
    {"id": "b", "suite": "s", "output": "no", "gold": "yes", "semantic_correct": False, "robust": False, "expected_correct": True},
    {"id": "c", "suite": "t", "rule_profile": "gsm8k", "output": "#### 1,005", "gold": ["1005", 1005], "expected_correct": True},
    {"id": "d", "suite": "t", "output": "no label", "gold": "5"},
]


@pytest.fixture
def cases(tmp_path: Path) -> list[object]:
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return list(bench.read_cases(path))


def test_a_row_without_a_label_is_left_out_and_each_column_takes_its_own_rows(cases: list[object]) -> None:
    counts = bench.count(cases, {"judge": [True, False, None]})
    assert len(cases) == 3
    # [agrees, has an opinion, rows]
    assert counts["s"]["judge"]["robust"] == [1, 1, 1]
    assert counts["s"]["judge"]["dispute"] == [1, 1, 1]
    assert counts["s"]["judge"]["official"] == [0, 1, 1]
    assert counts["t"]["judge"]["official"] == [0, 0, 1]
    assert counts["all"]["judge"]["reader"] == [2, 2, 2]
    assert counts["all"]["judge"]["no opinion"] == [1, 3, 3]


def test_the_table_shows_shares_of_the_rows_with_an_opinion(cases: list[object]) -> None:
    shown = bench.table(bench.count(cases, {"judge": [True, True, None]}), cases)
    assert "| all | judge | 1/1 100.0 % | 0/1 0.0 % | 1/2 50.0 % | 1/1 100.0 % | 1 of 3 |" in shown.splitlines()


def test_the_last_number_or_letter_and_the_profile_of_the_row_are_read(cases: list[object]) -> None:
    assert [bench.last_number_or_letter(case) for case in cases] == [True, None, True]
    assert [bench.by_profile(case) for case in cases] == [None, None, True]
    assert [bench.generic(case) for case in cases] == [True, False, True]


def test_golds_are_written_as_the_other_checkers_read_them(cases: list[object]) -> None:
    assert [bench.gold_as_formula(case.reference) for case in cases] == ["$B$", "yes", "$1005$"]  # type: ignore[attr-defined]


def test_a_checker_that_takes_too_long_is_killed_and_has_no_opinion(cases: list[object], capfd: pytest.CaptureFixture[str]) -> None:
    rival = bench.Rival("math-verify", max_seconds=0.0)
    assert rival(cases[0]) is None
    assert rival._process is None
    assert "took more than 0 s" in capfd.readouterr().err
