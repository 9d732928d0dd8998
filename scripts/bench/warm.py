"""Runs vlmpost command lines in forks of one process that has imported torch and TRL already: a second each in place of eight.

What a command does is the same; only the imports are shared. For tables of many commands, and for tests.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Said:
    """What one command did."""

    code: int
    out: str
    error: str
    seconds: float


class WarmProcess:
    """A process that forks for each command; end it with `close`.

    Args:
        environment: Of the process and all its commands.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def run(self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], max_file_bytes: int | None) -> Said:
        """Runs `vlmpost ARGUMENTS` in a folder."""
        assert self._process.stdin is not None and self._process.stdout is not None
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as name:
            order = {"arguments": list(arguments), "folder": str(folder), "environment": dict(environment)}
            order |= {"out": f"{name}/out", "error": f"{name}/error", "max_file_bytes": max_file_bytes}
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, "the warm process ended"
            out, error = (Path(name, file).read_text(encoding="utf-8", errors="replace") for file in ("out", "error"))
        return Said(int(answer), out, error, time.perf_counter() - start)

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def serve() -> None:
    """Imports what commands import, then forks for each line of standard input and answers with an exit code."""
    import vlmpost.cli.app
    import vlmpost.evaluation.runner
    import vlmpost.training.executor  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _obey(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _obey(order: Mapping[str, object]) -> None:
    """Runs one command in this process and ends it."""
    from vlmpost.cli.app import main

    for number, mode, path in (
        (0, os.O_RDONLY, os.devnull),
        (1, os.O_WRONLY | os.O_CREAT, order["out"]),
        (2, os.O_WRONLY | os.O_CREAT, order["error"]),
    ):
        os.dup2(os.open(str(path), mode, 0o600), number)
    os.chdir(str(order["folder"]))
    sys.path.insert(0, "")
    os.environ.update(order["environment"])  # type: ignore[call-overload]
    if order["max_file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["max_file_bytes"],) * 2)  # type: ignore[arg-type]
    sys.argv = ["vlmpost", *order["arguments"]]  # type: ignore[misc]
    code: object = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    serve()
