from __future__ import annotations

import json

import pytest

from vlmpost.curation.ledger import Fate, Ledger, QuestionFate, ledger_from, tally
from vlmpost.errors import RunError

WRONG, RIGHT, LATE = Fate("dropped", "wrong"), Fate("kept", "correct"), Fate("failed", "timeout")


def ledger(*, num_samples: int = 4) -> Ledger:
    return Ledger(
        questions=tally([RIGHT, WRONG], num_all=2),
        samples=tally([WRONG, RIGHT, WRONG, LATE], num_all=num_samples),
        without_images=None,
        num_rows=1,
        finished=False,
    )


def test_bins_that_add_up_pass() -> None:
    ledger().check()
    assert ledger().samples.total("dropped") == 2


@pytest.mark.parametrize("num_samples", [3, 5])
def test_a_sample_that_is_lost_or_counted_twice_is_an_error(num_samples: int) -> None:
    with pytest.raises(AssertionError, match=f"samples: {num_samples} came in, 4 are in the ledger"):
        ledger(num_samples=num_samples).check()


def test_a_stored_ledger_reads_back() -> None:
    checked = Ledger(tally([RIGHT], num_all=1), tally([LATE], num_all=1), tally([RIGHT, WRONG], num_all=2), num_rows=0, finished=True)
    for one in (ledger(), checked):
        assert ledger_from(json.loads(json.dumps(one.to_json())), where="ledger.json") == one


@pytest.mark.parametrize("stored", [{}, {"questions": 3}, {"questions": {"all": 1}, "samples": {}}])
def test_what_is_no_ledger_is_named(stored: dict[str, object]) -> None:
    with pytest.raises(RunError, match=r"out/ledger\.json: not a ledger .* Remove it"):
        ledger_from(stored, where="out/ledger.json")


def test_the_commonest_reason_comes_first() -> None:
    assert ledger().lines() == [
        "questions: 2",
        "        1  kept: correct",
        "        1  dropped: wrong",
        "samples: 4",
        "        1  kept: correct",
        "        2  dropped: wrong",
        "        1  failed: timeout",
        "rows: 1",
    ]


def test_a_fate_by_name_says_only_what_there_is() -> None:
    assert QuestionFate("q", WRONG).to_row() == {"id": "q", "fate": "dropped", "reason": "wrong"}
    assert QuestionFate("q", RIGHT, (WRONG, RIGHT), (LATE,), "x").to_row() == {
        "id": "q",
        "fate": "kept",
        "reason": "correct",
        "detail": "x",
        "without_images": ["failed: timeout"],
        "samples": ["dropped: wrong", "kept: correct"],
    }
