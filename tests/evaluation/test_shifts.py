"""The variants of a task, their figures side by side, and differences between models on the same questions."""

from __future__ import annotations

import json

import pytest

from vlmpost.config.schema import SourceConfig
from vlmpost.errors import ConfigError, DataError
from vlmpost.evaluation import EvalResult, episode_figures, summarize
from vlmpost.evaluation.shifts import draw_shifts, figures_row, paired, shifts_of
from vlmpost.evaluation.statistics import paired_difference, paired_ratio, ratio, student_quantile
from vlmpost.reports.tables import model_shift_table, outcome_table, render, shift_difference_table, shift_table
from vlmpost.tasks import Task


def episode(question: str, *replies: str, sample: int = 0) -> dict[str, object]:
    """The record of an episode: R a right reply, W a wrong one that saw well, V a misreading, L the ungraded one."""
    classes = {
        "R": ("CORRECT_SOLUTION", True, True, []),
        "W": ("INCORRECT_NUMBER", False, True, ["INCORRECT_NUMBER", "INCORRECT_NUMBER"]),
        "V": ("INCORRECT_VISION", False, False, ["INCORRECT_VISION"]),
        "L": ("STEP_LIMIT", False, None, []),
    }
    steps = []
    for letter in replies:
        outcome, correct, recognised, violations = classes[letter]
        steps.append({"outcome": outcome, "correct": correct, "recognised": recognised, "violations": violations, "stop_reason": "stop"})
    success = replies[-1] == "R"
    return {
        "id": question,
        "task": "cards",
        "level": None,
        "sample": sample,
        "outcome": "correct" if success else "wrong",
        "stop_reason": "stop",
        "num_tokens": 10 * len(replies),
        "steps": steps,
    }


def result(name: str, *rows: dict[str, object]) -> EvalResult:
    return summarize(rows, name=name, settings={})


BASE = result("base", episode("a", "W", "W", "L"), episode("b", "V", "R"), episode("c", "V", "V", "L"), episode("d", "R"))
TRAINED = result("RL", episode("a", "W", "R"), episode("b", "R"), episode("c", "R"), episode("d", "R"))


def test_figures_of_the_official_loop_with_its_ungraded_reply_by_hand() -> None:
    figures = BASE.episodes
    assert figures is not None
    # 9 replies: right 2; recognised of the 7 graded: a 2 of 2, b 1 of 2, c 0 of 2, d 1 of 1 = 4.
    assert figures.per_step.mean == 2 / 9
    assert figures.recognition is not None
    assert figures.recognition.mean == 4 / 7
    assert figures.mean_replies == 9 / 4
    assert figures.outcome_shares == {"CORRECT_SOLUTION": 2 / 9, "INCORRECT_NUMBER": 2 / 9, "INCORRECT_VISION": 3 / 9, "STEP_LIMIT": 2 / 9}
    assert figures.violation_shares == {"INCORRECT_NUMBER": 2 / 9, "INCORRECT_VISION": 3 / 9}
    assert BASE.accuracy is not None
    assert BASE.accuracy.mean == 2 / 4
    json.dumps(BASE.to_json())
    text = "\n".join(BASE.lines())
    for part in ("success    50.0 %", "per step   22.2 %", "recognised 57.1 %", "STEP_LIMIT 22.2%", "2.25 per episode"):
        assert part in text, part


def test_records_without_replies_have_no_such_figures() -> None:
    assert episode_figures([{"id": "a", "outcome": "correct"}]) is None


def test_samples_of_a_question_are_one_cluster() -> None:
    figures = episode_figures([episode("a", "R", sample=0), episode("a", "W", "R", sample=1), episode("b", "W", "W", sample=0)])
    assert figures is not None
    assert figures.step_counts == {"a": (2, 3), "b": (0, 2)}
    assert (figures.per_step.num_questions, figures.per_step.num_runs) == (2, 5)


def test_the_ratios_interval_is_the_linearised_one() -> None:
    # Questions (1, 1), (1, 3), (0, 2): ratio 2/6 = 1/3, mean runs 2. Influences (c - r/3) / 2: 1/3, 0, -1/3.
    # Their standard deviation is sqrt((1/9 + 1/9) / 2) = 1/3, the error 1/3 / sqrt(3), times t of 2 degrees, 4.303.
    estimate = ratio([(1, 1), (1, 3), (0, 2), (0, 0)])
    assert estimate is not None
    assert (estimate.mean, estimate.num_questions, estimate.num_runs) == (pytest.approx(1 / 3), 3, 6)
    assert estimate.standard_error == pytest.approx(1 / 3 / 3**0.5)
    assert (estimate.low, estimate.high) == (0.0, 1.0), "0.33 plus and minus 0.83, cut to 0 and 1"
    assert student_quantile(2) == pytest.approx(4.303, abs=1e-3)
    assert ratio([(0, 0)]) is None
    assert ratio([]) is None


def test_a_ratio_of_one_run_each_is_a_plain_share_and_one_question_has_no_interval() -> None:
    one_each = ratio([(1, 1)] * 15 + [(0, 1)] * 15)
    assert one_each is not None
    assert (round(one_each.low or 0, 4), round(one_each.high or 0, 4)) == (0.3315, 0.6685)  # Wilson, 15 of 30
    single = ratio([(2, 3)])
    assert single is not None
    assert (single.mean, single.low) == (2 / 3, None)
    spotless = ratio([(2, 2), (3, 3)])
    assert spotless is not None
    assert (spotless.mean, spotless.high) == (1.0, 1.0)
    assert spotless.low is not None
    assert 0.2 < spotless.low < 0.5, "two questions that went well do not prove perfection: Wilson of 2 of 2 is [0.34, 1]"


def test_paired_ratio_is_the_paired_difference_where_all_have_the_same_runs() -> None:
    first, second = {"a": (0, 2), "b": (1, 2), "c": (2, 2)}, {"a": (1, 2), "b": (2, 2), "c": (2, 2)}
    one, other = paired_ratio(first, second), paired_difference(first, second)
    assert (one.mean, one.low, one.high) == pytest.approx((other.mean, other.low, other.high))


def test_differences_between_models_by_hand() -> None:
    success = paired(BASE, TRAINED)
    assert success is not None
    assert success.mean == pytest.approx(1.0 - 0.5)
    per_step = paired(BASE, TRAINED, measure="per_step")
    assert per_step is not None
    assert per_step.mean == pytest.approx(4 / 5 - 2 / 9)
    recognition = paired(BASE, TRAINED, measure="recognition")
    assert recognition is not None
    assert recognition.mean == pytest.approx(1.0 - 4 / 7)
    with pytest.raises(DataError, match=r"1 only in the second \(e\)"):
        paired(BASE, result("more", *(episode(name, "R") for name in "abcde")))


def test_a_measure_that_nobody_could_tell_has_no_difference() -> None:
    blind = result("blind", episode("a", "L"), episode("b", "L"))
    assert paired(blind, blind, measure="recognition") is None


def test_the_variants_are_the_tasks_own(doors: Task) -> None:
    assert shifts_of(doors, ["all"]) == ("none", "rule", "visual")
    assert shifts_of(doors, ["visual", "none"]) == ("none", "visual")
    with pytest.raises(ConfigError, match=r"has no shift colour\. It has: none, rule, visual"):
        shifts_of(doors, ["colour", "rule"])


def test_each_variant_has_questions_of_its_own_ids_and_only_what_it_changes_changes(doors: Task) -> None:
    source = SourceConfig(task=doors.address, split="test", num_examples=3, options={"colour": "green"})
    drawn = draw_shifts(source, ["none", "rule", "visual"])
    assert {shift: [len(example.meta["keys"]) for example in examples] for shift, examples in drawn.items()} == {  # type: ignore[arg-type]
        "none": [1, 1, 1],
        "rule": [3, 3, 3],
        "visual": [1, 1, 1],
    }
    assert drawn["none"][0].meta["colour"] == "green"
    ids = [example.id for examples in drawn.values() for example in examples]
    assert len(set(ids)) == 9


def test_a_row_of_figures_is_flat_and_json() -> None:
    row = figures_row(BASE)
    json.dumps(row)
    assert (row["success"], row["per_step"], row["recognition"], row["mean_replies"]) == (0.5, 2 / 9, 4 / 7, 9 / 4)
    assert (row["num_questions"], row["mean_tokens"]) == (4, 22.5)  # 10 tokens a reply, 9 replies, 4 episodes
    assert row["success_low"] is not None
    bare = result("bare", {**episode("a", "R"), "steps": None}, {**episode("b", "W"), "steps": None})
    assert figures_row(bare)["per_step"] is None


def test_tables_show_variants_models_and_differences() -> None:
    by_shift = {"none": TRAINED, "rule": BASE}
    text = render(shift_table(by_shift), outcome_table(by_shift))
    for part in ("none", "100.0 [", "50.0 [", "22.2 [", "57.1 [", "2.25", "INCORRECT_VISION", "33.3"):
        assert part in text, part
    models = {"base": {"none": BASE}, "RL": {"none": TRAINED}}
    text = render(model_shift_table(models, measure="success"), shift_difference_table(models, measure="success"))
    for part in ("success, %", "base", "RL - base", "+50.0 ["):
        assert part in text, part
    markdown = render(model_shift_table(models, measure="per_step", markdown=True))
    assert markdown.splitlines()[1].startswith("|") or markdown.startswith("|")
    assert "80.0 [" in markdown
