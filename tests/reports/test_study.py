"""What the study found, held against tables made by hand."""

from __future__ import annotations

import pytest

from vlmpost.evaluation.results import summarize
from vlmpost.evaluation.statistics import Difference
from vlmpost.reports import study
from vlmpost.reports.strategies import Measured, Table, build_table

NUM_QUESTIONS = 200
"""Forty of each level."""


def measured(name: str, right: dict[int, int], *, tokens: int = 10) -> Measured:
    """A model with one answer per question, of which the first `right[level]` of a level's forty are right."""
    rows = [
        {
            "id": f"{level}-{number:02d}",
            "level": level,
            "sample": 0,
            "outcome": "correct" if number < right[level] else "wrong",
            "stop_reason": "stop",
            "num_tokens": tokens,
        }
        for level in range(1, 6)
        for number in range(40)
    ]
    return Measured(summarize(rows, name=name, settings={}), {str(row["id"]): (tokens, 1) for row in rows}, 0.0)


BASE = measured("base", {1: 36, 2: 24, 3: 16, 4: 8, 5: 2})


def table_of(*others: Measured) -> Table:
    return build_table([BASE, *others], level_counts=BASE.result.counts)


def verdicts(table: Table, name: str) -> dict[str, str]:
    return {claim.text: claim.verdict for claim in study.claims(table, table.of(name))}


def test_study_gains_are_means_over_its_five_benchmarks() -> None:
    # SFT at L5: (9.0 + 9.8 + 12.0 + 14.4 + 24.2) / 5 = 13.88; RL at L1: (-2.4 - 1.0 + 1.2 - 3.6 - 4.6) / 5 = -2.08
    assert study.study_gain("SFT", 5) == pytest.approx(13.88)
    assert study.study_gain("RL", 1) == pytest.approx(-2.08)
    assert {name: len(rows) for name, rows in study.LEVEL_GAINS.items()} == {"SFT": 5, "RL": 5}


@pytest.mark.parametrize(("low", "high", "verdict"), [(0.01, 0.2, "agrees"), (-0.2, -0.01, "disagrees"), (-0.1, 0.2, "not significant")])
def test_a_direction_is_settled_by_the_interval(low: float, high: float, verdict: str) -> None:
    assert study.direction(Difference((low + high) / 2, low, high, 0.05, 40), sign=1) == verdict


def test_a_level_of_too_few_questions_settles_nothing() -> None:
    assert study.direction(None, sign=1) == "not significant"


def test_sft_that_loses_at_the_easiest_level_and_gains_at_the_hardest_agrees() -> None:
    table = table_of(measured("SFT", {1: 24, 2: 24, 3: 16, 4: 24, 5: 20}, tokens=30), measured("RL", {1: 36, 2: 36, 3: 30, 4: 24, 5: 8}))
    assert verdicts(table, "SFT") == {
        "gains over the base": "agrees",
        "loses at L1": "agrees",
        "gains at L4": "agrees",
        "gains at L5": "agrees",
        "answers at greater length than RL": "agrees",
    }


def test_a_gain_where_the_study_lost_is_called_a_disagreement() -> None:
    weak = measured("base", {1: 10, 2: 24, 3: 16, 4: 8, 5: 2})
    rl = measured("RL", {1: 36, 2: 36, 3: 30, 4: 24, 5: 12})
    table = build_table([weak, rl], level_counts=weak.result.counts)
    assert verdicts(table, "RL")["loses at L1"] == "disagrees"
    assert "the miniature DISAGREES that it loses at L1 (-2.1 there, +65.0 [" in study.sentences(table)[0]


def test_two_stage_agrees_where_it_cannot_be_told_from_sft() -> None:
    same = {1: 30, 2: 24, 3: 16, 4: 24, 5: 20}
    table = table_of(measured("SFT", same), measured("two-stage", {**same, 5: 19}))
    assert verdicts(table, "two-stage")["is no different from SFT"] == "agrees"
    better = table_of(measured("SFT", same), measured("two-stage", {**same, 3: 36}))
    assert verdicts(better, "two-stage")["is no different from SFT"] == "disagrees"


def test_a_combination_between_the_two_agrees_on_both_sides() -> None:
    table = table_of(
        measured("SFT", {1: 30, 2: 20, 3: 16, 4: 12, 5: 6}),
        measured("RL", {1: 38, 2: 36, 3: 34, 4: 30, 5: 20}),
        measured("interleaved", {1: 36, 2: 30, 3: 26, 4: 20, 5: 12}),
    )
    found = verdicts(table, "interleaved")
    assert (found["is above SFT"], found["is below RL"]) == ("agrees", "agrees")


def test_progressive_is_closest_to_rl_only_where_no_other_combination_is_closer() -> None:
    rl = measured("RL", {1: 38, 2: 36, 3: 34, 4: 30, 5: 20})
    near = {1: 38, 2: 36, 3: 34, 4: 30, 5: 19}
    far = {1: 36, 2: 24, 3: 16, 4: 12, 5: 6}
    agreeing = table_of(rl, measured("progressive", near), measured("merging", far))
    assert verdicts(agreeing, "progressive")["is the closest to RL of the combinations"] == "agrees"
    opposed = table_of(rl, measured("progressive", far), measured("merging", near))
    assert verdicts(opposed, "progressive")["is the closest to RL of the combinations"] == "disagrees"
    # 199 of 200 answers as RL's: it cannot be told from RL, though merging has all of them.
    undecided = table_of(rl, measured("progressive", near), measured("merging", {**near, 5: 20}))
    assert verdicts(undecided, "progressive")["is the closest to RL of the combinations"] == "not significant"


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [((0.5, 0.6, 0.7), "agrees"), ((0.7, 0.71, 0.6), "agrees"), ((0.7, 0.6, 0.6), "agrees"), ((0.5, 0.7, 0.6), "disagrees")],
)
def test_merging_goes_one_way_but_for_a_standard_error(accuracies: tuple[float, ...], verdict: str) -> None:
    table = table_of(measured("merging", {1: 38, 2: 36, 3: 34, 4: 30, 5: 20}))
    sweep = [(share, accuracy, 0.02) for share, accuracy in zip((0.0, 0.5, 1.0), accuracies, strict=True)]
    claim = study.claims(table, table.of("merging"), sweep=sweep)[-1]
    assert (claim.text, claim.verdict) == ("goes almost evenly from RL to SFT with the SFT model's share", verdict)


def test_every_row_of_the_table_but_the_base_has_a_sentence() -> None:
    names = [name for name in study.AVERAGES if name != "base"]
    table = table_of(*(measured(name, {1: 36, 2: 24, 3: 16, 4: 8, 5: 2}) for name in names))
    said = study.sentences(table)
    assert [sentence.partition(":")[0] for sentence in said] == names
    assert len(said) == 7
