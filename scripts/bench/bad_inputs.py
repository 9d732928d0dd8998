"""Runs vlmpost on bad inputs, each through the real command line, and prints what it says to each.

    python scripts/bench/bad_inputs.py [--only WORD] [--warm] [--list]

A case passes when the exit code, the words of the message and what is left on disk are as `bad_input_cases.py` says, the message is
one `error: ...` without a traceback, and, where the case says how the user mends it, the same run goes on and ends. Exit code 1 if any
case fails. What cannot be tried here (a full disk needs leave to mount one) is printed as skipped.
"""

from __future__ import annotations

import argparse
import functools
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bad_input_cases import CASES, Case
from bad_input_folders import can_mount
from warm import Said, WarmProcess

ENVIRONMENT = {
    "COLUMNS": "200",
    "NO_COLOR": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}
TIMEOUT_SECONDS = 300
MAX_MESSAGE_LINES = 12


Run = Callable[[Case, str, Path], Said]
"""Runs a command of a case in a folder."""


@dataclass(frozen=True)
class Result:
    """How a case went."""

    case: Case
    said: Said | None
    """None: skipped."""
    faults: tuple[str, ...]
    """What was not as it must be; for a skipped case why it was skipped."""


def main() -> None:
    """Runs the cases, prints the table, and ends with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="run the cases whose name holds this")
    parser.add_argument(
        "--warm", action="store_true", help="fork those that need torch from one process: quick, but the seconds are not a user's"
    )
    parser.add_argument("--list", action="store_true", help="print the cases and end")
    args = parser.parse_args()
    cases = [case for case in CASES if args.only in case.name]
    if args.list:
        for case in cases:
            print(f"{case.name:44} vlmpost {case.command}")
        return
    print("| case | command | exit | what it printed | s |\n|---|---|--:|---|--:|", flush=True)
    results = []
    warm = WarmProcess(ENVIRONMENT) if args.warm else None
    for case in cases:
        results.append(check(case, in_process_of_its_own if warm is None or not case.torch else functools.partial(in_fork_of, warm)))
        show(results[-1])
    if warm is not None:
        warm.close()
    num_failed = sum(result.said is not None and bool(result.faults) for result in results)
    num_skipped = sum(result.said is None for result in results)
    num_good = len(results) - num_failed - num_skipped
    print(f"\n{len(results)} bad inputs: {num_good} answered as they must be, {num_failed} not, {num_skipped} not tried.")
    sys.exit(1 if num_failed else 0)


def show(result: Result) -> None:
    """Prints the row of a case, and below it what was wrong."""
    if result.said is None:
        print(f"| {result.case.name} | `vlmpost {result.case.command}` | - | skipped: {'; '.join(result.faults)} | - |", flush=True)
        return
    message = " / ".join(line.strip() for line in message_of(result.said).splitlines())
    print(
        f"| {result.case.name} | `vlmpost {result.case.command}` | {result.said.code} | {message.replace('|', chr(92) + '|')} "
        f"| {result.said.seconds:.1f} |",
        flush=True,
    )
    for fault in result.faults:
        print(f"    FAILED: {fault}", flush=True)


def check(case: Case, run: Run) -> Result:
    """Runs a case in a folder of its own and compares what came of it with what must."""
    if case.disk and not can_mount():
        return Result(case, None, ("needs leave to mount a small disk (root)",))
    with tempfile.TemporaryDirectory(prefix="vlmpost-bad-") as name:
        folder = Path(name)
        try:
            if case.disk:
                (folder / "disk").mkdir()
                subprocess.run(["mount", "-t", "tmpfs", "-o", case.disk, "tmpfs", str(folder / "disk")], check=True)
            for step in case.setup:
                step(folder)
            before = contents(folder, case.kept)
            said = run(case, case.command, folder)
            faults = [*faults_of_message(case, said), *faults_on_disk(case, folder, before)]
            if case.then:
                if case.mend is not None:
                    case.mend(folder)
                again = run(case, case.then, folder)
                if again.code != 0:
                    faults.append(f"mended, `vlmpost {case.then}` ended with {again.code}: {again.error}")
        finally:
            if case.disk:
                subprocess.run(["umount", str(folder / "disk")], check=True)
    return Result(case, said, tuple(faults))


def message_of(said: Said) -> str:
    """The error message: standard error from "error: " on, or all of it."""
    text = said.error.strip()
    return text[text.index("error: ") :] if "error: " in text else text


def faults_of_message(case: Case, said: Said) -> list[str]:
    """What is wrong with the exit code and the message."""
    message = message_of(said)
    faults = [] if said.code == case.code else [f"exit code {said.code}, expected {case.code}"]
    faults += [f"the message lacks {text!r}" for text in case.says if text not in message]
    if "Traceback" in said.out + said.error:
        faults.append(f"a traceback was printed: {said.error}")
    if not said.error.strip().startswith("error: "):
        faults.append(f"standard error holds more than the message: {said.error!r}")
    if len(message.splitlines()) > MAX_MESSAGE_LINES:
        faults.append(f"the message has {len(message.splitlines())} lines")
    return faults


def faults_on_disk(case: Case, folder: Path, before: Mapping[str, bytes]) -> list[str]:
    """What is wrong with the files that are left."""
    after = contents(folder, case.kept)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    faults = [f"{name} was changed" for name in changed]
    faults += [f"{pattern} is not there" for pattern in case.made if not list(folder.glob(pattern))]
    faults += [f"{found.relative_to(folder)} is there" for pattern in case.absent for found in folder.glob(pattern)]
    return faults


def contents(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The files under some names, by path. A lock file is no content."""
    paths = [path for name in names for path in (folder / name).rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def in_process_of_its_own(case: Case, command: str, folder: Path) -> Said:
    """Runs `python -m vlmpost COMMAND`, as a user does."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "vlmpost", *shlex.split(command)],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, **case.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        preexec_fn=limit_of(case, command),
    )
    return Said(done.returncode, done.stdout, done.stderr, time.perf_counter() - start)


def in_fork_of(warm: WarmProcess, case: Case, command: str, folder: Path) -> Said:
    """Runs a command in a fork of a process that has imported torch."""
    limit = case.max_file_bytes if command == case.command else None
    return warm.run(shlex.split(command), folder=folder, environment=case.environment, max_file_bytes=limit)


def limit_of(case: Case, command: str) -> Callable[[], None] | None:
    """Sets the limit on the size of files for the bad command, not for the one after it."""
    if case.max_file_bytes is None or command != case.command:
        return None
    limits = (case.max_file_bytes, case.max_file_bytes)
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)


if __name__ == "__main__":
    main()
