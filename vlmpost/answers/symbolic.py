"""Compares two answers by a rule that needs computer algebra, in a child process that can be killed.

No signals and no threads in this process: works in any thread, in async code (a call blocks until the verdict is there), under
`torchrun`, and after a fork (the new process starts a child of its own). A pathological pair costs its time limit once: what
became of it is remembered, and the child's next server is forked in milliseconds (`child/serve.py`).
"""

from __future__ import annotations

import atexit
import collections
import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from vlmpost.answers.child.rules import RULES, Reply
from vlmpost.errors import GraderError

MAX_SECONDS = 1.0
"""Processor time that one comparison may take, so that a verdict does not depend on how busy the machine is."""
MAX_WALL_RATIO = 10.0
"""Wall-clock limit of one comparison, as a multiple of its processor time."""
MAX_LATE_SECONDS = 5.0
"""How long after its wall-clock limit a child that the kernel's timer did not end is killed from here."""
MAX_START_SECONDS = 60.0
"""Wall-clock limit of starting the child and of importing a rule, which imports sympy."""
MAX_CLOSE_SECONDS = 0.5
"""How long a child that is closed may take to end by itself before it is killed."""
MAX_MEMORY_BYTES = 2 << 30
MAX_FORMULA_CHARACTERS = 1000
"""Longer formulas are not compared: the result is "too_long"."""
MAX_CACHED = 50_000

Comparison = Literal["equal", "different", "gold_unreadable", "answer_unreadable", "timeout", "too_long", "failed"]
_REPLIES: Final[Mapping[str, Comparison]] = {reply: reply for reply in get_args(Reply)}
_LATE: Final = 0
_STOPPED: Final = (-signal.SIGPROF, -signal.SIGALRM, _LATE)
_BLANKS: Final = re.compile(r"\s+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counts:
    """What one worker has done so far in this process."""

    comparisons: int
    """Every question asked, cached ones included; "too_long" ones are not."""
    cached: int
    timeouts: int
    """Comparisons stopped at their limit; a repeated question counts as cached."""
    failures: int
    """Comparisons that ended in an error of the rule, or with the end of the child by anything but a time limit."""
    restarts: int
    """Servers that had to be replaced after the first one."""


class SymbolicWorker:
    """One child process, started at the first comparison, and the memory of what it said."""

    def __init__(self, *, max_seconds: float = MAX_SECONDS) -> None:
        self.max_seconds = max_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._reset()
        _WORKERS.add(self)

    def compare(self, gold: str, answer: str, *, rule: str = "math_verify") -> Comparison:
        """Returns how `answer` stands to `gold`; "timeout", "too_long" and "failed" say nothing about either.

        Args:
            gold: The reference answer.
            answer: What the model answered.
            rule: A name in `child/rules.py`.

        Raises:
            GraderError: The child process does not start, e.g. since math-verify is not installed.
        """
        assert rule in RULES, f"there is no rule {rule!r} in child/rules.py"
        if max(len(gold), len(answer)) > MAX_FORMULA_CHARACTERS:
            return "too_long"
        key = (rule, normal_form(gold, rule), normal_form(answer, rule))
        with self._lock:
            self._count["comparisons"] += 1
            known = self._cache.get(key)
            if known is not None:
                self._count["cached"] += 1
                return known
            known = self._cache[key] = self._ask(*key)
            if len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)
            return known

    def counts(self) -> Counts:
        """Returns what this worker has done so far in this process."""
        return Counts(**{name: self._count[name] for name in Counts.__dataclass_fields__})

    def close(self) -> None:
        """Ends the child process; the next comparison starts a new one."""
        process, self._process = self._process, None
        if process is None:
            return
        _close_pipes(process)
        try:
            process.wait(MAX_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
            process.wait()

    def _reset(self) -> None:
        """Everything as it was before the first comparison; a child process is left alone."""
        if self._process is not None:
            # Ours after a fork: an open end here would keep the child alive when its owner is gone, and must not be waited for.
            _close_pipes(self._process)
            self._process.returncode = 0
        self._process = None
        self._lock = threading.Lock()
        self._rules: set[str] = set()
        self._sent = 0
        self._unread = b""
        self._count: collections.Counter[str] = collections.Counter()
        self._cache: collections.OrderedDict[tuple[str, str, str], Comparison] = collections.OrderedDict()

    def _ask(self, rule: str, gold: str, answer: str) -> Comparison:
        said = ""
        for _ in range(2):  # a child that something else ended, or that died of the pair, is asked once more
            reply = self._exchange(rule, gold, answer)
            if isinstance(reply, str):
                said = reply
                break
            self._count["restarts"] += 1
            if reply in _STOPPED:
                self._count["timeouts"] += 1
                _log.warning("comparing %.60r with %.60r took more than %g s and was stopped", answer, gold, self.max_seconds)
                return "timeout"
            said = f"the child ended with status {reply}"
        known = _REPLIES.get(said)
        if known is None:
            self._count["failures"] += 1
            _log.info("%s could not compare %.60r with %.60r: %s", rule, answer, gold, said)
        return known or "failed"

    def _exchange(self, rule: str, gold: str, answer: str) -> str | int:
        """What the child says; or how it ended, as an exit status, `_LATE` for one that had to be killed from here."""
        whole = False
        try:
            process = self._started(rule)
            self._sent += 1
            seconds = MAX_WALL_RATIO * self.max_seconds + MAX_LATE_SECONDS
            self._send(process, {"id": self._sent, "rule": rule, "gold": gold, "answer": answer})
            reply = self._receive(process, "id", seconds)
            whole = True
        finally:
            if not whole:  # an interrupt between question and reply
                self.close()
        if reply is None:
            status = process.poll()
            self.close()
            return _LATE if status is None else status or -signal.SIGKILL
        return str(reply["reply"]) if "reply" in reply else int(reply["died"])

    def _started(self, rule: str) -> subprocess.Popen[bytes]:
        """The child process, with the rule imported."""
        process = self._process
        if process is None or process.poll() is not None:
            self._count["restarts"] += process is not None
            self.close()
            # -P: the script's own folder must not hide modules of the standard library.
            script = str(Path(__file__).with_name("child") / "serve.py")
            limits = (MAX_MEMORY_BYTES, self.max_seconds, MAX_WALL_RATIO * self.max_seconds)
            command = [sys.executable, "-P", script, *map(str, limits)]
            process = self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
            )
            self._unread = b""
            self._rules = set()
        if rule not in self._rules:
            self._send(process, {"load": rule})
            reply = self._receive(process, "loaded", MAX_START_SECONDS) or {"unavailable": f"no answer within {MAX_START_SECONDS:.0f} s"}
            if "unavailable" in reply:
                self.close()
                raise GraderError(
                    f"The process that compares answers by the rule {rule!r} did not start ({reply['unavailable']}). "
                    f"Check with: {sys.executable} -c 'import math_verify'."
                )
            self._rules.add(rule)
        return process

    def _send(self, process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:  # Any: JSON values
        assert process.stdin is not None, "the child was started with a pipe"
        try:
            process.stdin.write((json.dumps(request) + "\n").encode("ascii"))
            process.stdin.flush()
        except BrokenPipeError:
            _log.info("the process that compares answers was gone")  # reading from it says how it ended

    def _receive(self, process: subprocess.Popen[bytes], key: str, max_seconds: float) -> dict[str, Any] | None:  # Any: JSON values
        """The reply to the last question; None where the child ended or says nothing for too long."""
        assert process.stdout is not None, "the child was started with a pipe"
        handle, deadline = process.stdout.fileno(), time.monotonic() + max_seconds
        poller = select.poll()
        poller.register(handle, select.POLLIN | select.POLLHUP)
        while True:
            while b"\n" not in self._unread:
                left = deadline - time.monotonic()
                if left <= 0 or not poller.poll(left * 1000):
                    return None
                chunk = os.read(handle, 65536)
                if not chunk:
                    process.wait(MAX_CLOSE_SECONDS)
                    return None
                self._unread += chunk
            line, _, self._unread = self._unread.partition(b"\n")
            reply: dict[str, Any] = json.loads(line)
            late = "id" in reply and reply["id"] != self._sent  # what an interrupted question was answered
            if not late and (key == "id" or key in reply or "unavailable" in reply):
                return reply


def compare(gold: str, answer: str, *, rule: str = "math_verify") -> Comparison:
    """Returns how `answer` stands to `gold` by a rule of `child/rules.py`, through the shared worker of this process.

    Raises:
        GraderError: The worker does not start.
    """
    return WORKER.compare(gold, answer, rule=rule)


def counts() -> Counts:
    """Returns what the shared worker of this process has done so far."""
    return WORKER.counts()


def normal_form(text: str, rule: str) -> str:
    """Returns the text that is compared and remembered; formulas lose their blanks but one, other rules get what was written."""
    return _BLANKS.sub(" ", text).strip() if rule == "math_verify" else text


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                _log.debug("the process that compares answers was gone")


def _after_fork() -> None:
    for worker in list(_WORKERS):
        worker._reset()


_WORKERS: weakref.WeakSet[SymbolicWorker] = weakref.WeakSet()
WORKER = SymbolicWorker()
atexit.register(WORKER.close)
os.register_at_fork(after_in_child=_after_fork)
