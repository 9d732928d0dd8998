"""The numbers of a run, one row per logged step, appended as they come.

A run that was killed and resumed repeats the steps after its checkpoint. Nothing is cut from the file; the reader takes the later rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from vlmpost import jsonl
from vlmpost.jsonl import Row
from vlmpost.runs.directory import RunDirectory


def append_metrics(run: RunDirectory, row: Mapping[str, object]) -> None:
    """Adds one row; it holds "step" (optimizer steps done) and numbers. Does nothing in a process that does not write the run.

    Raises:
        RunError: The disk refuses.
    """
    assert isinstance(row.get("step"), int), row
    if run.writes:
        jsonl.append(run.metrics_path, [{"attempt": run.attempt, **row}])


def read_metrics(run: RunDirectory) -> list[Row]:
    """The rows in the order of their steps, without those that a resumed run did again.

    Raises:
        DataError: The file holds a line that is not JSON before its last one.
    """
    if not run.metrics_path.exists():
        return []
    rows = [row for _, row in jsonl.read(run.metrics_path, torn_tail=True)]
    return kept_rows(rows)


def kept_rows(rows: list[Row]) -> list[Row]:
    """The rows without those that a later attempt did again: its first row of a stage goes back behind them.

    Rows without an attempt go back where their step falls.

    >>> kept_rows([{"attempt": 1, "step": 1}, {"attempt": 1, "step": 2, "x": "lost"}, {"attempt": 2, "step": 2, "x": "again"}])
    [{'attempt': 1, 'step': 1}, {'attempt': 2, 'step': 2, 'x': 'again'}]
    """
    kept: list[Row] = []
    for row in rows:
        if kept and _goes_back(kept[-1], row):
            kept = [earlier for earlier in kept if earlier.get("stage") != row.get("stage") or _step(earlier) < _step(row)]
        kept.append(row)
    return kept


def _goes_back(last: Row, row: Row) -> bool:
    before, after = last.get("attempt"), row.get("attempt")
    if isinstance(before, int) and isinstance(after, int):
        return after > before
    return last.get("stage") == row.get("stage") and _step(row) <= _step(last)


def _step(row: Row) -> int:
    step = row.get("step")
    return step if isinstance(step, int) else 0
