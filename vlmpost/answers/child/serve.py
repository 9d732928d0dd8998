"""The child process that compares answers: one JSON request a line in, one JSON reply a line out.

    python -P serve.py MAX_MEMORY_BYTES MAX_CPU_SECONDS MAX_WALL_SECONDS

Two processes. The keeper imports the rules and forks a server; the server answers requests until one of them ends it. The
kernel's timers, armed anew for every request, end a server whatever code it is in, and the keeper forks the next one in
milliseconds, sympy loaded and its parser warm. Both end when standard input closes, so also when the parent is killed.

Requests: {"load": rule}, {"id": n, "rule": rule, "gold": text, "answer": text}.
Replies: {"loaded": rule}, {"unavailable": reason}, {"id": n, "reply": one of rules.Reply or "failed:reason"}, and
{"died": exit status of the server, negative for a signal}.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from vlmpost.answers.child.rules import Rule

_CLOSED: Final = 0
_RENEW: Final = 3
"""Exit status of a server that ran out of memory or depth: the next one starts clean."""
_LOAD: Final = 16
"""Exit status of a server asked to load the rule of that number, plus this: what the keeper imports, every later server has."""


def main(arguments: Sequence[str]) -> None:
    """Keeps a server running until standard input closes."""
    from vlmpost.answers.child.rules import RULES, load

    max_memory_bytes, max_cpu_seconds, max_wall_seconds = int(arguments[0]), float(arguments[1]), float(arguments[2])
    names, out = sorted(RULES), _take_output()
    _reset_signals()
    rules: dict[str, Rule] = {}
    while True:
        gc.freeze()  # what is loaded is shared with the servers, not copied by their first collection
        pid = os.fork()
        if pid == 0:
            _limit(max_memory_bytes)
            _serve(rules, names, out, max_cpu_seconds, max_wall_seconds)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == _CLOSED:
            return
        if status >= _LOAD:
            name = names[status - _LOAD]
            try:
                rules[name] = load(name)
                _send(out, {"loaded": name})
            except Exception as error:  # noqa: BLE001 - the edge of the process: the reason goes to the parent, which raises
                _send(out, {"unavailable": f"{type(error).__name__}: {error}"})
        elif status != _RENEW:
            _send(out, {"died": status})


def _serve(rules: Mapping[str, Rule], names: Sequence[str], out: int, max_cpu_seconds: float, max_wall_seconds: float) -> NoReturn:
    """Answers requests; never returns into the keeper's code."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if "load" in request:
            os._exit(_LOAD + names.index(request["load"]))
        signal.setitimer(signal.ITIMER_PROF, max_cpu_seconds)  # SIGPROF ends the process
        signal.setitimer(signal.ITIMER_REAL, max_wall_seconds)  # and so does SIGALRM
        reply, spent = _reply(rules[request["rule"]], request["gold"], request["answer"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(out, {"id": request["id"], "reply": reply})
        if spent:
            os._exit(_RENEW)
    os._exit(_CLOSED)


def _reply(rule: Rule, gold: str, answer: str) -> tuple[str, bool]:
    """What the rule says, and whether the process should be renewed."""
    try:
        return rule(gold, answer), False
    except (MemoryError, RecursionError) as error:
        return f"failed:{type(error).__name__}", True
    except Exception as error:  # noqa: BLE001 - the edge of the process: sympy raises anything, and it is reported, not swallowed
        return f"failed:{type(error).__name__}", False


def _send(out: int, reply: Mapping[str, Any]) -> None:  # Any: JSON values
    os.write(out, (json.dumps(reply) + "\n").encode("ascii"))


def _take_output() -> int:
    """The pipe to the parent under a number of its own; whatever a library prints goes to standard error."""
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _reset_signals() -> None:
    """Undoes what a parent may have blocked or ignored, which a started program inherits: the limits depend on these."""
    for number in (signal.SIGPROF, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _limit(max_memory_bytes: int) -> None:
    """Bounds the memory of this process, and keeps it from writing files (pipes stay open) and core dumps."""
    for kind, limit in ((resource.RLIMIT_AS, max_memory_bytes), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    # At the end of the path: vlmpost is found where the parent has it, and nothing beside it hides a module of Python's.
    sys.path.append(str(Path(__file__).parents[3]))
    main(sys.argv[1:])
