"""SIGTERM and SIGINT: the first asks the run to stop after its step, a later one ends the process at once.

Launchers and schedulers often send one request twice within a moment (to the process group, and again through the launcher), so signals
close to the first are taken as part of it.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Self

import torch

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SAME_REQUEST_SECONDS = 3.0
"""Signals within this time of the first are the same request."""


class StopRequest:
    """Context manager that notes the first signal; one that comes later finds the usual handlers, which end the process.

    Outside the main thread no handler can be set, and it notes nothing.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._received_at = 0.0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._received_at = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._received_at > SAME_REQUEST_SECONDS:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave us
        self._before = {}

    def on_any_process(self, device: torch.device) -> bool:
        """Whether any process was asked to stop; every process gets the same answer."""
        asked = self.received is not None
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return asked
        flag = torch.tensor(int(asked), device=device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return bool(flag.item())
