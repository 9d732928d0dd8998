"""The log of a run must not hide why the run ended."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from vlmpost.cli.log import RunLog


def _record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, __file__, 1, message, args, None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_log_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(Path("/dev/full"))
    for _ in range(3):
        log.emit(_record("a line"))
    log.close()
    assert capsys.readouterr().err == ""


def test_a_line_that_cannot_be_formatted_is_still_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(tmp_path / "log")
    log.emit(_record("%d", "no number"))
    log.emit(_record("the next line"))
    log.close()
    assert "--- Logging error ---" in capsys.readouterr().err
    assert "the next line" in (tmp_path / "log").read_text()
