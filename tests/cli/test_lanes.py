"""Steps start when their needs are met, one failure ends the rest and shows its log."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from vlmpost.cli.lanes import Event, Step, one_thread_environment, run_lanes
from vlmpost.errors import VlmpostError


def run(steps: list[Step], folder: Path, *, num_lanes: int = 2) -> list[tuple[str, str]]:
    events: list[Event] = []
    run_lanes(steps, num_lanes=num_lanes, log_dir=folder, show=events.append, poll_seconds=0.02)
    return [(event.kind, event.step.name) for event in events]


def test_a_step_starts_after_what_it_needs(tmp_path: Path) -> None:
    steps = [Step("late", "late", ("--version",), needs=("early",)), Step("early", "early", ("--version",))]
    assert run(steps, tmp_path) == [("start", "early"), ("end", "early"), ("start", "late"), ("end", "late")]
    assert (tmp_path / "late.log").read_text().startswith("vlmpost ")


def test_no_more_steps_run_at_once_than_there_are_lanes(tmp_path: Path) -> None:
    steps = [Step(name, name, ("--version",)) for name in ("a", "b", "c")]
    kinds = [kind for kind, _ in run(steps, tmp_path, num_lanes=1)]
    assert kinds == ["start", "end"] * 3


def test_a_failing_step_ends_the_rest_and_shows_the_end_of_its_log(tmp_path: Path) -> None:
    steps = [Step("bad", "training bad", ("rl", str(tmp_path / "none.yaml"))), Step("after", "after", ("--version",), needs=("bad",))]
    with pytest.raises(VlmpostError, match="training bad ended with exit code 2") as caught:
        run(steps, tmp_path)
    assert "none.yaml" in str(caught.value)
    assert str(tmp_path / "bad.log") in str(caught.value)
    assert not (tmp_path / "after.log").exists()


def test_a_signal_to_end_stops_what_is_running(tmp_path: Path) -> None:
    def told(event: Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    recipe = str(Path(__file__).parents[2] / "recipes" / "demo" / "rl.yaml")
    steps = [Step("rl", "rl", ("rl", recipe, "--run-dir", str(tmp_path / "run"), "--dry-run"))]
    with pytest.raises(KeyboardInterrupt):
        run_lanes(steps, num_lanes=1, log_dir=tmp_path, show=told, poll_seconds=0.02)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert (tmp_path / "rl.log").read_text() == "", "it was stopped before it could say anything"


def test_every_step_has_one_thread() -> None:
    assert one_thread_environment({"OMP_NUM_THREADS": "8", "HOME": "/h"})["OMP_NUM_THREADS"] == "1"
