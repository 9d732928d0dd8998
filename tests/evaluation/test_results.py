"""Records on disk: summed up, continued, guarded against other settings; levels assigned and joined."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmpost.errors import ConfigError, DataError, RunError
from vlmpost.evaluation import assign_levels, join_levels, read_result, same_runs, summarize, write_levels
from vlmpost.evaluation.results import Records
from vlmpost.records import Example


def record(question: str, sample: int, outcome: str | None, **more: object) -> dict[str, object]:
    return {
        "id": question,
        "task": "sums",
        "level": None,
        "sample": sample,
        "outcome": outcome,
        "stop_reason": "stop",
        "num_tokens": 4,
    } | more


ROWS = [
    record("a", 0, "correct", level=1, parts={"accuracy": 1.0, "format": None}),
    record("a", 1, "wrong", level=1, parts={"accuracy": 0.0, "format": None}),
    record("b", 0, "unparsed", level=2, stop_reason="length", num_tokens=10, parts={"accuracy": 0.0, "format": 1.0}),
    record("b", 1, "correct", level=2, parts={"accuracy": 1.0, "format": 0.0}),
    record("c", 0, None),
]


def test_summary_by_hand() -> None:
    result = summarize(ROWS, name="x", settings={})
    assert result.accuracy is not None
    assert (result.accuracy.mean, result.accuracy.num_questions) == (0.5, 2), "c has no reference answer"
    assert result.counts == {"a": (1, 2), "b": (1, 2)}
    assert result.outcome_shares == {"correct": 0.5, "unparsed": 0.25, "wrong": 0.25}
    assert result.truncated_share == 0.2
    assert result.mean_tokens == (4 * 4 + 10) / 5
    assert result.part_means == {"accuracy": 0.5, "format": 0.5}
    assert (result.num_questions, result.num_samples) == (3, 2)
    assert {level: estimate.mean for level, estimate in result.by_level.items()} == {1: 0.5, 2: 0.5}
    json.dumps(result.to_json())
    assert any("too few questions" in line for line in result.lines())


def test_records_go_on_after_a_torn_line(tmp_path: Path) -> None:
    records = Records(tmp_path / "new" / "folder")
    assert records.open({"seed": 1}) == set()
    records.append(ROWS[:2])
    with open(records.predictions_path, "a") as file:
        file.write('{"id": "b", "sam')
    assert records.open({"seed": 1}) == {("a", 0), ("a", 1)}
    records.append(ROWS[2:])
    assert len(records.rows()) == 5
    assert read_result(records.folder, name="x") == summarize(ROWS, name="x", settings={"seed": 1})


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    Records(tmp_path).open({"seed": 1, "model": "a"})
    with pytest.raises(RunError, match="seed was 1, is 2"):
        Records(tmp_path).open({"seed": 2, "model": "a"})


def test_a_file_that_holds_no_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no predictions\.jsonl"):
        read_result(tmp_path)
    (tmp_path / "predictions.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(DataError, match="sample, outcome, stop_reason, num_tokens missing"):
        read_result(tmp_path)
    with pytest.raises(RunError, match=r"without evaluation\.json"):
        Records(tmp_path).open({})


def runs_of(question: str, num_correct: int, num_runs: int) -> list[dict[str, object]]:
    return [record(question, sample, "correct" if sample < num_correct else "wrong") for sample in range(num_runs)]


def test_levels_come_from_counts_and_join_by_id(tmp_path: Path) -> None:
    settings = {"model_hash": "m", "seed": 7}
    rows = [
        row
        for question, correct, runs in (("a", 12, 16), ("b", 5, 16), ("c", 1, 16), ("d", 0, 11))
        for row in runs_of(question, correct, runs)
    ]
    levels = assign_levels(summarize(rows, name="x", settings=settings))
    assert [(row["id"], row["num_correct"], row["num_runs"], row["level"]) for row in levels] == [
        ("a", 12, 16, 1),
        ("b", 5, 16, 3),
        ("c", 1, 16, 5),
        ("d", 0, 11, None),
    ]
    path = tmp_path / "levels.jsonl"
    write_levels(path, levels)
    examples = [Example(name, "sums", ()) for name in ("c", "a", "d")]
    assert [example.level for example in join_levels(examples, path)] == [5, 1, None]
    assert same_runs(path, settings={"model_hash": "m", "seed": 7})
    assert not same_runs(path, settings={"model_hash": "m", "seed": 8})
    with pytest.raises(DataError, match="1 of 1 questions have no level there, first z"):
        join_levels([Example("z", "sums", ())], path)


def test_levels_of_too_few_runs_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 5 samples per question, got 4"):
        assign_levels(summarize(runs_of("a", 2, 4), name="x", settings={}))


def test_a_file_of_wrong_levels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "levels.jsonl"
    path.write_text('{"id": "a", "level": "L3"}\n')
    with pytest.raises(DataError, match=r"levels\.jsonl:1: expected id and a level from 1 to 5"):
        join_levels([], path)
