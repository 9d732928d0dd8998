"""The table of strategies: numbers by hand, and what a level of few questions shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmpost.reports.strategies import build_table, headings, read_level_counts, read_measured, rows, seed_row


def evaluation(folder: Path, *, right: int, text: str = "wait, <think>", tokens: int = 4) -> Path:
    """Records of 80 questions, 40 of level 1 and 35 of level 5 and 5 of level 3, two answers each; `right` questions are right twice."""
    folder.mkdir()
    records = [
        {
            "id": f"q{number:02d}",
            "sample": sample,
            "outcome": "correct" if number < right else "wrong",
            "stop_reason": "length" if number == 0 else "stop",
            "num_tokens": tokens + sample,
            "text": text,
        }
        for number in range(80)
        for sample in range(2)
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


LEVELS: dict[str, int | None] = {f"q{number:02d}": 1 if number < 40 else 5 if number < 75 else 3 for number in range(80)}


def test_rows_hold_gains_lengths_words_and_truncation(tmp_path: Path) -> None:
    base = read_measured(evaluation(tmp_path / "base", right=20, text="so it is"), name="base", levels=LEVELS)
    after = read_measured(evaluation(tmp_path / "after", right=40, tokens=9), name="RL", levels=LEVELS)
    # The answers that gave the levels: 30 of the 40 easy questions right, one more than the fresh ones in each two.
    level_counts = {question: (1, 1) if int(question[1:]) < 30 else (0, 1) for question in LEVELS}
    table = build_table([base, after], level_counts=level_counts)
    shown = rows(table)
    assert headings(table)[3:8] == ["L1\n40", "L2\n0", "L3\n5", "L4\n0", "L5\n35"]
    assert [row[0] for row in shown] == ["base", "null gain", "RL"]
    # 20 of 80 and 40 of 80 right; gain 25 points; at L1 20 of 40 more; 20 of 40 fresh ones less 30 of 40: -25
    assert shown[0][1].startswith("25.0 [")
    assert shown[2][1].startswith("50.0 [")
    assert shown[2][2].startswith("+25.0 [")
    assert shown[2][3] == "+50.0*"
    assert shown[1][3] == "-25.0*"
    assert [shown[2][column] for column in (4, 5)] == ["(few)", "(few)"]
    # tokens 9 and 10; one question of 80 cut
    assert (shown[2][8], shown[2][10]) == ("9.5", "1.2")
    assert float(shown[0][9]) == 0.0
    assert float(shown[2][9]) == 1.0, "one `wait` per answer"


def test_lengthening_is_paired_by_question(tmp_path: Path) -> None:
    base = read_measured(evaluation(tmp_path / "base", right=20), name="base", levels=LEVELS)
    after = read_measured(evaluation(tmp_path / "after", right=20, tokens=9), name="RL", levels=LEVELS)
    table = build_table([base, after], level_counts=base.result.counts)
    assert table.lengthening(after, base).mean == pytest.approx(5.0)


def test_seeds_show_their_mean_and_range(tmp_path: Path) -> None:
    base = read_measured(evaluation(tmp_path / "base", right=20), name="base", levels=LEVELS)
    seeds = [read_measured(evaluation(tmp_path / f"s{right}", right=right), name="RL", levels=LEVELS) for right in (24, 32, 40)]
    table = build_table([base, seeds[0]], level_counts=base.result.counts)
    row = seed_row(table, "RL", seeds)
    # 24, 32 and 40 of 80, from 20 of 80: gains of 5, 15 and 25 points
    assert row[:3] == ["RL", "40.0\n30.0..50.0", "+15.0\n+5.0..+25.0"]
    assert row[4] == "(few)"


def test_level_counts_are_those_of_the_levels_file(tmp_path: Path) -> None:
    path = tmp_path / "levels.jsonl"
    path.write_text('{"id": "a", "num_correct": 3, "num_runs": 16, "level": 4}\n')
    assert read_level_counts(path) == {"a": (3, 16)}
