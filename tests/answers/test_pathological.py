"""Answers meant to break a judge: none crashes it, costs more than its limit, is given a wrong verdict, or runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vlmpost.answers import Reference, profiles, symbolic
from vlmpost.answers.symbolic import SymbolicWorker
from vlmpost.errors import GraderError
from vlmpost.records import Verdict

pytestmark = pytest.mark.slow

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))
try:
    import pathological_answers
finally:
    sys.path.pop(0)

SIZE = 20_000
"""Characters of a long answer: a pass that is quadratic in them takes seconds, a linear one milliseconds."""
MAX_SECONDS = 0.1
MAX_OWN_SECONDS = 0.25
"""Processor time of this process for one verdict, whatever the text; for each character of it MAX_SECONDS_PER_CHARACTER more."""
MAX_SECONDS_PER_CHARACTER = 4e-6
OUTCOMES = {"correct", "wrong", "unparsed", "refusal", "uncertain"}
REFERENCES = {
    "number": Reference("7654321", "number", kind="integer"),
    "choice": Reference("C", "choice", pathological_answers.OPTIONS),
    "text": Reference("red cat", "text"),
    "latex": Reference("x^2+4321", "latex"),
}
NUM_TEXTS_EXPECTED = 300


@pytest.fixture(scope="module", autouse=True)
def quick_worker() -> Iterator[None]:
    """A shared worker with a short limit, so that costly formulas cost little here."""
    patch = pytest.MonkeyPatch()
    worker = SymbolicWorker(max_seconds=MAX_SECONDS)
    patch.setattr(symbolic, "WORKER", worker)
    yield
    patch.undo()
    worker.close()


def judged(function: Callable[[str, Reference], Verdict], text: str, reference: Reference) -> tuple[Verdict | None, float]:
    """The verdict, None where the profile cannot judge such a reference, and the processor seconds of this process."""
    started = time.process_time()
    try:
        verdict = function(text, reference)
    except GraderError:
        verdict = None
    return verdict, time.process_time() - started


def sane(verdict: Verdict, text: str) -> bool:
    """Whether a verdict is of its type and points into the text."""
    return (
        verdict.outcome in OUTCOMES
        and isinstance(verdict.rule, str)
        and (verdict.extracted is None or isinstance(verdict.extracted, str))
        and (verdict.normalised is None or isinstance(verdict.normalised, str))
        and (verdict.span is None or 0 <= verdict.span[0] <= verdict.span[1] <= len(text))
    )


def test_there_are_hundreds_of_them_each_under_its_own_name(tmp_path: Path) -> None:
    texts = pathological_answers.texts(size=SIZE, canary=tmp_path / "made")
    assert len(texts) >= NUM_TEXTS_EXPECTED
    assert max(len(text()) for text in texts.values()) >= SIZE


@pytest.mark.parametrize("name", profiles.names())
def test_no_answer_breaks_a_profile(name: str, tmp_path: Path) -> None:
    canary, faults = tmp_path / "made", []
    function = profiles.find(name).function
    for label, text_of in pathological_answers.texts(size=SIZE, canary=canary).items():
        text = text_of()
        bound = MAX_OWN_SECONDS + MAX_SECONDS_PER_CHARACTER * len(text)
        for kind, reference in REFERENCES.items():
            verdict, seconds = judged(function, text, reference)
            if seconds > bound:
                seconds = min(seconds, judged(function, text, reference)[1])  # a busy machine is no fault
            if seconds > bound:
                faults.append(f"{label} as {kind}: {seconds:.2f} s")
            if verdict is not None and not sane(verdict, text):
                faults.append(f"{label} as {kind}: {verdict!r:.200}")
            if verdict is not None and verdict.correct and kind != "choice" and label in pathological_answers.COSTLY_FORMULAS:
                faults.append(f"{label} as {kind}: taken for right")
    assert not faults, "\n".join(faults)
    assert not canary.exists(), "text of a model was run"


def test_the_judge_takes_time_in_proportion_to_the_text(tmp_path: Path) -> None:
    function = profiles.find("generic").function
    short, long = (pathological_answers.texts(size=size, canary=tmp_path / "made") for size in (SIZE, 20 * SIZE))
    faults = []
    for label, text_of in long.items():
        text = text_of()
        if len(text) < SIZE:
            continue
        seconds = judged(function, text, REFERENCES["number"])[1]
        bound = MAX_OWN_SECONDS + 40 * judged(function, short[label](), REFERENCES["number"])[1]
        if seconds > bound and judged(function, text, REFERENCES["number"])[1] > bound:
            faults.append(f"{label}: {seconds:.2f} s for {len(text)} characters")
    assert not faults, "\n".join(faults)


def test_a_text_of_ten_megabytes_is_judged() -> None:
    function = profiles.find("generic").function
    sentence = "The quick brown fox (A) weighs 7 kg, so the answer is 12. "
    text = sentence * (10_000_000 // len(sentence)) + r"\boxed{7654321}"
    verdict, seconds = judged(function, text, REFERENCES["number"])
    assert verdict is not None and verdict.correct and verdict.rule == "last_box"
    assert seconds < 20, "two microseconds for each character"


def test_a_costly_formula_is_uncertain_once_it_has_cost_its_limit_and_then_remembered() -> None:
    function, worker = profiles.find("generic").function, SymbolicWorker(max_seconds=MAX_SECONDS)
    patch = pytest.MonkeyPatch()
    patch.setattr(symbolic, "WORKER", worker)
    try:
        for _ in range(3):
            verdict = function(rf"\boxed{{{pathological_answers.COSTLY_FORMULAS['derivative of a tower']}}}", REFERENCES["latex"])
            assert verdict.outcome == "uncertain"
        counts = worker.counts()
        assert (counts.comparisons, counts.cached, counts.timeouts, counts.restarts) == (3, 2, 1, 1)
    finally:
        patch.undo()
        worker.close()
