"""The killable comparison of formulas."""

from __future__ import annotations

import os

import pytest

from vlmpost.answers import judge, symbolic
from vlmpost.answers.symbolic import SymbolicWorker


@pytest.fixture
def worker():
    made = SymbolicWorker(max_seconds=1.0)
    yield made
    made.close()


def test_equal_and_different_formulas(worker: SymbolicWorker) -> None:
    assert worker.compare("x^2-1", "(x-1)(x+1)") == "equal"
    assert worker.compare("x^2-1", "(x-1)(x+2)") == "different"


def test_a_tower_of_powers_is_stopped_once_and_the_next_pair_is_compared(worker: SymbolicWorker) -> None:
    assert worker.compare("7", "9^{9^{9^{9}}}") == "timeout"
    assert worker.compare("7", "9^{9^{9^{9}}}") == "timeout"
    assert worker.num_timeouts == 1, "the second verdict is remembered"
    assert worker.compare(r"\sqrt{8}", r"2\sqrt{2}") == "equal"


def test_a_killed_child_is_replaced(worker: SymbolicWorker) -> None:
    assert worker.compare("x+1", "1+x") == "equal"
    assert worker._process is not None
    os.kill(worker._process.pid, 9)
    worker._process.wait()
    assert worker.compare("x+2", "2+x") == "equal"


def test_a_long_formula_is_not_compared(worker: SymbolicWorker) -> None:
    assert worker.compare("7", "x+" * 1000 + "x") == "too_long"
    assert worker._process is None, "no child was needed"


def test_model_text_is_never_evaluated(tmp_path) -> None:
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
    verdict = judge(r"\boxed{9^{9^{9^{8}}}}", answer="7", answer_type="number")
    assert (verdict.outcome, verdict.rule) == ("uncertain", "last_box_timeout")


def test_a_forked_process_gets_its_own_child(worker: SymbolicWorker) -> None:
    assert worker.compare("y+1", "1+y") == "equal"
    pid = os.fork()
    if pid == 0:
        os._exit(0 if worker.compare("z+1", "1+z") == "equal" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert worker.compare("y+3", "3+y") == "equal"
