"""The processor time of the processes that compare formulas, for `judge_speed.py` and `judge_pathological.py`. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

from vlmpost.answers import symbolic


def child_seconds() -> float:
    """Processor seconds so far of the shared worker's processes: its child, what that has forked, and what of it has ended."""
    process = symbolic.WORKER._process
    assert process is not None, "the worker was started"
    ticks = 0
    for pid in (str(process.pid), *Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()):
        try:
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended: counted with its parent from now on
    return ticks / os.sysconf("SC_CLK_TCK")
