"""Rows that a resumed run did again count once, the later ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost.errors import DataError
from vlmpost.runs.directory import RunDirectory
from vlmpost.runs.metrics import append_metrics, kept_rows, read_metrics


def test_rows_come_back_in_order_without_what_was_lost(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path, writes=True, attempt=1)
    for step in (1, 2, 3):
        append_metrics(first, {"step": step, "loss": 0.5})
    second = RunDirectory(tmp_path, writes=True, attempt=2)
    append_metrics(second, {"step": 3, "loss": 0.25})  # killed after step 3, resumed from the checkpoint of step 2
    assert [(row["step"], row["loss"]) for row in read_metrics(second)] == [(1, 0.5), (2, 0.5), (3, 0.25)]


def test_a_run_without_metrics_has_no_rows(tmp_path: Path) -> None:
    assert read_metrics(RunDirectory(tmp_path, writes=False, attempt=1)) == []


def test_half_a_last_line_is_left_out_and_half_a_middle_line_is_an_error(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, writes=False, attempt=1)
    run.metrics_path.write_text('{"step": 1}\n{"step"')
    assert read_metrics(run) == [{"step": 1}]
    run.metrics_path.write_text('{"step"\n{"step": 1}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl:1: not JSON"):
        read_metrics(run)


def test_stages_count_their_own_steps() -> None:
    rows: list[dict[str, object]] = [{"stage": "sft", "step": 1}, {"stage": "sft", "step": 2}, {"stage": "rl", "step": 1}]
    assert kept_rows(rows) == rows


def test_rows_without_an_attempt_go_back_where_their_step_falls() -> None:
    rows: list[dict[str, object]] = [{"step": 1}, {"step": 2, "x": "lost"}, {"step": 3, "x": "lost"}, {"step": 2}]
    assert kept_rows(rows) == [{"step": 1}, {"step": 2}]


def test_a_process_that_does_not_write_the_run_adds_no_row(tmp_path: Path) -> None:
    append_metrics(RunDirectory(tmp_path, writes=False, attempt=1), {"step": 1})
    assert list(tmp_path.iterdir()) == []
