"""Compares two formulas with math-verify in a child process that can be killed.

No signals, no threads: works in any thread, under `torchrun`, after a fork (the new process gets its own child). A
pathological pair costs its time limit once: the child is killed, the result remembered, and a new child started.
"""

from __future__ import annotations

import atexit
import collections
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

from vlmpost.errors import GraderError

MAX_SECONDS = 1.0
"""Processor time that one comparison may take, so that a verdict does not depend on how busy the machine is."""
MAX_WALL_RATIO = 10.0
"""Wall-clock limit of one comparison, as a multiple of its processor time."""
MAX_START_SECONDS = 60.0
"""Wall-clock limit of starting the child, which imports sympy."""
MAX_MEMORY_BYTES = 2 << 30
MAX_FORMULA_CHARACTERS = 1000
"""Longer formulas are not compared: the result is "too_long"."""
MAX_CACHED = 50_000

Comparison = Literal["equal", "different", "gold_unreadable", "answer_unreadable", "timeout", "too_long", "failed"]
_REPLIES: tuple[Comparison, ...] = ("equal", "different", "gold_unreadable", "answer_unreadable")

_log = logging.getLogger(__name__)


class SymbolicWorker:
    """One child process, started at the first comparison, and the memory of what it said."""

    def __init__(self, *, max_seconds: float = MAX_SECONDS) -> None:
        self.max_seconds = max_seconds
        self.num_timeouts = 0
        self.num_failures = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._count = 0
        self._cache: collections.OrderedDict[tuple[str, str], Comparison] = collections.OrderedDict()

    def compare(self, gold: str, answer: str) -> Comparison:
        """Returns how `answer` stands to `gold`; "timeout" and "failed" say nothing about either.

        Raises:
            GraderError: The child process does not start, e.g. since math-verify is not installed.
        """
        if max(len(gold), len(answer)) > MAX_FORMULA_CHARACTERS:
            return "too_long"
        if os.getpid() != self._owner:
            self.__init__(max_seconds=self.max_seconds)  # type: ignore[misc]  # after a fork: leave the parent's child and lock alone
        with self._lock:
            key = (gold, answer)
            known = self._cache.get(key)
            if known is None:
                known = self._ask(gold, answer)
                self._cache[key] = known
                if len(self._cache) > MAX_CACHED:
                    self._cache.popitem(last=False)
            return known

    def close(self) -> None:
        """Ends the child process; the next comparison starts a new one."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _ask(self, gold: str, answer: str) -> Comparison:
        process = self._process if self._process is not None and self._process.poll() is None else self._start()
        self._count += 1
        assert process.stdin is not None, "the child was started with a pipe"
        line = json.dumps({"id": self._count, "gold": gold, "answer": answer}) + "\n"
        try:
            process.stdin.write(line.encode("utf-8", "surrogatepass"))
            process.stdin.flush()
        except BrokenPipeError:
            self.close()
            self.num_failures += 1
            return "failed"
        raw, alive = _read_line(process, MAX_WALL_RATIO * self.max_seconds)
        if raw is None:
            stopped = alive or process.wait() == -signal.SIGPROF
            self.close()
            if stopped:
                self.num_timeouts += 1
                _log.warning("comparing %.60r with %.60r took more than %g s and was stopped", answer, gold, self.max_seconds)
                return "timeout"
            self.num_failures += 1
            return "failed"
        reply = str(json.loads(raw)["reply"])
        for known in _REPLIES:
            if reply == known:
                return known
        self.num_failures += 1
        _log.info("math-verify could not compare %.60r with %.60r: %s", answer, gold, reply)
        return "failed"

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        # -P: the script's own folder must not shadow modules of the standard library.
        command = [sys.executable, "-P", str(Path(__file__).with_name("math_worker.py")), str(MAX_MEMORY_BYTES), str(self.max_seconds)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._process = process
        ready, _ = _read_line(process, MAX_START_SECONDS)
        if ready is None:
            self.close()
            raise GraderError(
                "The process that compares formulas did not start (math-verify could not be imported within "
                f"{MAX_START_SECONDS:.0f} s). Check with: {sys.executable} -c 'import math_verify'."
            )
        return process


def compare(gold: str, answer: str) -> Comparison:
    """Returns how the formula `answer` stands to the formula `gold`, through the shared worker of this process.

    Raises:
        GraderError: The worker does not start.
    """
    return WORKER.compare(gold, answer)


def _read_line(process: subprocess.Popen[bytes], max_seconds: float) -> tuple[bytes | None, bool]:
    """One line from the child, or None with whether the child still lives."""
    assert process.stdout is not None, "the child was started with a pipe"
    handle, deadline, read = process.stdout.fileno(), time.monotonic() + max_seconds, b""
    poller = select.poll()
    poller.register(handle, select.POLLIN | select.POLLHUP)
    while not read.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            return None, True
        chunk = os.read(handle, 4096)
        if not chunk:
            return None, False
        read += chunk
    return read, True


WORKER = SymbolicWorker()
atexit.register(WORKER.close)
