"""`python timed.py KIND RECIPE FLAGS`: vlmpost's command, with the CPU seconds of the process beside each row of metrics.

For `step_time.py` only: wall time means nothing on a machine that others use.
"""

from __future__ import annotations

import sys
import time

from vlmpost.cli.app import main
from vlmpost.training import callbacks

original = callbacks.metrics_row


def with_cpu_seconds(*args: object, **kwargs: object) -> dict[str, object]:
    """The row and one figure more."""
    return {**original(*args, **kwargs), "time_cpu": time.process_time()}  # type: ignore[arg-type]


callbacks.metrics_row = with_cpu_seconds
sys.exit(main())
