"""The killable comparison: limits, restarts, memory, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest

from vlmpost.answers import judge, symbolic
from vlmpost.answers.child.rules import RULES
from vlmpost.answers.symbolic import SymbolicWorker
from vlmpost.errors import GraderError

pytestmark = pytest.mark.slow

TOWER = "9^{9^{9^{9}}}"


@pytest.fixture
def worker() -> Iterator[SymbolicWorker]:
    made = SymbolicWorker(max_seconds=1.0)
    yield made
    made.close()


def group_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that live in the process group of a child: its keeper and its server; zombies are not alive."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == process.pid and fields[0] not in "ZX":
                found.append(int(folder.name))
    return found


def server_of(worker: SymbolicWorker) -> int:
    assert worker._process is not None
    return next(pid for pid in group_of(worker._process) if pid != worker._process.pid)


def until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def run(source: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python source in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", source], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def test_equal_and_different_formulas(worker: SymbolicWorker) -> None:
    assert worker.compare("x^2-1", "(x-1)(x+1)") == "equal"
    assert worker.compare("x^2-1", "(x-1)(x+2)") == "different"


def test_a_tower_of_powers_is_stopped_once_and_the_next_pair_is_compared(worker: SymbolicWorker) -> None:
    assert worker.compare("7", TOWER) == "timeout"
    assert worker.compare("7", TOWER) == "timeout"
    assert worker.compare(r"\sqrt{8}", r"2\sqrt{2}") == "equal"
    counts = worker.counts()
    assert (counts.comparisons, counts.cached, counts.timeouts, counts.failures, counts.restarts) == (3, 1, 1, 0, 1)


def test_after_a_time_out_the_same_keeper_gives_the_next_server_without_importing_again(worker: SymbolicWorker) -> None:
    assert worker.compare("x", "x+1") == "different"
    keeper, server = worker._process, server_of(worker)
    assert worker.compare("7", TOWER) == "timeout"
    started = time.perf_counter()
    assert worker.compare("y", "y+1") == "different"
    seconds = time.perf_counter() - started
    assert worker._process is keeper and server_of(worker) != server
    assert seconds < 0.5, "importing sympy alone takes longer on any machine that runs this"


def test_a_time_out_takes_its_limit_and_no_more() -> None:
    worker = SymbolicWorker(max_seconds=0.3)
    try:
        worker.compare("x", "y")
        before = os.times()
        assert worker.compare("7", TOWER) == "timeout"
        assert worker.compare("x", "z") == "different"
        worker.close()
        after = os.times()
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        assert spent < 4.0, "one limit, and what the whole child has used since it was started"
    finally:
        worker.close()


def test_a_sleeping_comparison_is_ended_by_the_wall_clock() -> None:
    worker = SymbolicWorker(max_seconds=0.2)  # wall-clock limit: ten times that, 2 s
    try:
        assert worker.compare("x", "y") == "different"
        stopped = server_of(worker)
        os.kill(stopped, signal.SIGSTOP)  # uses no processor time; its timers are not armed yet, so the parent must see to it
        started = time.monotonic()
        assert worker.compare("x", "z") == "timeout"
        assert 1.5 < time.monotonic() - started < 2 + symbolic.MAX_LATE_SECONDS + 5
        assert worker.compare("x+1", "1+x") == "equal"
        assert worker.counts().timeouts == 1
    finally:
        worker.close()


def test_a_killed_server_is_replaced(worker: SymbolicWorker) -> None:
    assert worker.compare("x+1", "1+x") == "equal"
    os.kill(server_of(worker), signal.SIGKILL)
    assert worker.compare("x+2", "2+x") == "equal"
    assert (worker.counts().restarts, worker.counts().failures) == (1, 0)


def test_a_killed_keeper_is_replaced(worker: SymbolicWorker) -> None:
    assert worker.compare("x+1", "1+x") == "equal"
    assert worker._process is not None
    os.killpg(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    assert worker.compare("x+2", "2+x") == "equal"
    assert worker.counts().restarts == 1


def test_a_long_formula_is_not_compared(worker: SymbolicWorker) -> None:
    assert worker.compare("7", "x+" * 1000 + "x") == "too_long"
    assert worker._process is None, "no child was needed"


def test_formulas_that_differ_in_blanks_are_compared_once(worker: SymbolicWorker) -> None:
    assert worker.compare("x + 1", "1 +  x") == "equal"
    assert worker.compare(" x +\n1", "1 + x ") == "equal"
    assert (worker.counts().comparisons, worker.counts().cached) == (2, 1)


def test_other_rules_get_the_text_as_it_was_written() -> None:
    assert symbolic.normal_form(" a \n b ", "another rule") == " a \n b "
    assert symbolic.normal_form(" a \n b ", "math_verify") == "a b"


def test_every_rule_of_the_table_loads_and_ends_no_server(worker: SymbolicWorker) -> None:
    seen = {rule: worker.compare("1", "1", rule=rule) for rule in RULES}
    assert seen["math_verify"] == "equal"
    assert set(seen.values()) <= set(get_args(symbolic.Comparison)) - {"timeout"}, seen  # some rules want a gold of their own form
    assert worker.counts().restarts == 0


def test_model_text_is_never_evaluated(tmp_path: Path) -> None:
    target = tmp_path / "made"
    for text in (
        rf"\boxed{{__import__('os').system('touch {target}')}}",
        rf"$open('{target}','w')$",
        rf"\boxed{{print(open('{target}', 'w'))+1}}",
    ):
        assert not judge(text, answer="x^2+1", answer_type="latex").correct
        assert not judge(text, answer="7", answer_type="number").correct
    assert not target.exists()


def test_a_comparison_that_ran_out_of_time_is_uncertain_and_not_wrong(monkeypatch: pytest.MonkeyPatch, worker: SymbolicWorker) -> None:
    monkeypatch.setattr(symbolic, "WORKER", worker)
    verdict = judge(r"\boxed{9^{9^{9^{8}}}}", answer="x^2+7", answer_type="latex")
    assert verdict.outcome == "uncertain" and verdict.rule.startswith("last_box_")


def test_a_forked_process_gets_its_own_child(worker: SymbolicWorker) -> None:
    assert worker.compare("y+1", "1+y") == "equal"
    pid = os.fork()
    if pid == 0:
        right = worker.counts().comparisons == 0 and worker.compare("z+1", "1+z") == "equal"
        worker.close()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert worker.compare("y+3", "3+y") == "equal"
    assert worker.counts().restarts == 0


def test_a_process_forked_while_another_thread_compares_is_not_stuck(worker: SymbolicWorker) -> None:
    thread = threading.Thread(target=worker.compare, args=("7", TOWER))
    worker.compare("x", "y")
    thread.start()
    time.sleep(0.3)  # the thread holds the lock now
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        right = worker.compare("z+1", "1+z") == "equal"
        worker.close()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    thread.join()


def test_threads_share_one_child_and_each_gets_its_own_answer(worker: SymbolicWorker) -> None:
    pairs = [(f"x+{number}", f"{number + number % 2}+x") for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda pair: worker.compare(*pair), pairs))
    assert replies == ["equal" if number % 2 == 0 else "different" for number in range(40)]


def test_it_works_inside_a_running_event_loop(worker: SymbolicWorker) -> None:
    async def both() -> list[str]:
        here = worker.compare("x+1", "1+x")
        return [here, *await asyncio.gather(*(asyncio.to_thread(worker.compare, "x+2", f"{number}+x") for number in (2, 1)))]

    assert asyncio.run(both()) == ["equal", "equal", "different"]


def test_a_parent_that_blocks_and_ignores_the_signals_of_the_limits_still_has_limits(tmp_path: Path) -> None:
    done = run(
        "import signal\n"
        "signals = (signal.SIGPROF, signal.SIGALRM, signal.SIGCHLD)\n"
        "for one in signals: signal.signal(one, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signals)\n"
        "from vlmpost.answers.symbolic import compare, counts\n"
        f"print(compare('7', '{TOWER}'), compare('x+1', '1+x'), counts().restarts)",
        tmp_path,
    )
    assert done.stdout.split() == ["timeout", "equal", "1"], done.stderr


def test_files_in_the_working_folder_do_not_hide_modules_of_the_child(tmp_path: Path) -> None:
    for name in ("json", "sympy", "math_verify", "vlmpost"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong file')")
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if p]; from vlmpost.answers.symbolic import compare; print(compare('x+1', '1+x'))"
    )
    assert run(code, tmp_path).stdout.strip() == "equal"


def test_a_child_that_cannot_import_is_a_grader_error_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "math_verify.py").write_text("raise ImportError('no antlr here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = SymbolicWorker()
    try:
        with pytest.raises(GraderError, match="no antlr here"):
            worker.compare("x", "y")
    finally:
        worker.close()


def test_an_interrupted_question_does_not_answer_the_next_one(worker: SymbolicWorker) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    assert worker.compare("x", "x") == "equal"
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            worker.compare("7", TOWER)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert worker.compare("x+1", "1+x") == "equal"
    assert worker.compare("x+1", "2+x") == "different"


def test_closing_leaves_no_process_and_the_next_comparison_starts_one(worker: SymbolicWorker) -> None:
    worker.compare("x", "y")
    process = worker._process
    assert process is not None and len(group_of(process)) == 2
    worker.close()
    assert process.returncode == 0 and group_of(process) == []
    assert worker.compare("x+1", "1+x") == "equal"


def test_the_child_of_a_process_that_ends_or_is_killed_ends_too(tmp_path: Path) -> None:
    source = (
        "import os, sys, signal\n"
        "from vlmpost.answers import symbolic\n"
        "symbolic.compare('x', 'y')\n"
        "print(symbolic.WORKER._process.pid, flush=True)\n"
        "if sys.argv[1] == 'killed': os.kill(os.getpid(), signal.SIGKILL)\n"
        "if sys.argv[1] == 'left': os._exit(0)\n"
        "if sys.argv[1] == 'raises': raise SystemExit(3)\n"
    )
    for way in ("ends", "killed", "left", "raises"):
        process = subprocess.Popen([sys.executable, "-c", source, way], cwd=tmp_path, stdout=subprocess.PIPE)
        assert process.stdout is not None
        keeper = int(process.stdout.read())
        process.wait()
        process.pid = keeper  # whose group is looked for
        assert until(lambda: group_of(process) == []), way  # noqa: B023 - called at once


def test_a_forked_process_that_lives_on_does_not_keep_the_child_of_a_killed_parent(tmp_path: Path) -> None:
    source = (
        "import os, signal, time\n"
        "from vlmpost.answers import symbolic\n"
        "symbolic.compare('x', 'y')\n"
        "print(symbolic.WORKER._process.pid, flush=True)\n"
        "if os.fork() == 0:\n"
        "    os.close(1); os.close(2); time.sleep(30); os._exit(0)\n"
        "time.sleep(0.3); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", source], cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    keeper, forked = int(process.stdout.readline()), process.pid
    process.wait()
    process.pid = keeper
    try:
        assert until(lambda: group_of(process) == [], 10)
    finally:
        os.killpg(forked, signal.SIGKILL)
