"""Every bad input ends in one clear message, and nothing already written is lost: the table of scripts/bench/bad_inputs.py, as tests."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest


def _load() -> ModuleType:
    """The script, which imports its neighbours by name."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))
    try:
        return importlib.import_module("bad_inputs")
    finally:
        sys.path.pop(0)


table = _load()
LIGHT = [case for case in table.CASES if not case.torch]
HEAVY = [case for case in table.CASES if case.torch]


@pytest.fixture(scope="module")
def warm() -> Iterator[Callable[..., object]]:
    """Runs a command in a fork of a process that has imported torch."""
    process = table.WarmProcess(table.ENVIRONMENT)
    yield partial(table.in_fork_of, process)
    process.close()


def _require(result: object) -> None:
    if result.said is None:  # type: ignore[attr-defined]
        pytest.skip("; ".join(result.faults))  # type: ignore[attr-defined]
    assert result.faults == ()  # type: ignore[attr-defined]


def test_the_table_holds_the_cases_that_were_promised() -> None:
    names = [case.name for case in table.CASES]
    assert len(names) == len(set(names))
    assert (len(LIGHT) >= 25, len(HEAVY) >= 25) == (True, True), (len(LIGHT), len(HEAVY))


@pytest.mark.parametrize("case", LIGHT, ids=lambda case: case.name)
def test_a_bad_recipe_or_run_is_told_before_torch(case: object) -> None:
    _require(table.check(case, table.in_process_of_its_own))


@pytest.mark.train
@pytest.mark.parametrize("case", HEAVY, ids=lambda case: case.name)
def test_bad_data_models_rewards_and_disks_are_told(case: object, warm: Callable[..., object]) -> None:
    _require(table.check(case, warm))


def test_a_case_that_is_not_as_it_must_be_is_found(tmp_path: Path) -> None:
    case = table.Case("x", "sft r.yaml", ("somewhere",), kept=("runs",), made=("a",), absent=("b",))
    (tmp_path / "b").touch()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "new").touch()
    said = table.Said(1, "", "noise\nerror: there\nTraceback", 0.0)
    faults = [*table.faults_of_message(case, said), *table.faults_on_disk(case, tmp_path, {"runs/old": b""})]
    assert [fault.split(":")[0] for fault in faults] == [
        "exit code 1, expected 2",
        "the message lacks 'somewhere'",
        "a traceback was printed",
        "standard error holds more than the message",
        "runs/new was changed",
        "runs/old was changed",
        "a is not there",
        "b is there",
    ]
