"""`vlmpost data check` and `vlmpost make`, run in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmpost.cli import data, make
from vlmpost.errors import ConfigError, DataError, RunError

RUNNER = CliRunner()


def run(app: object, *arguments: str) -> str:
    result = RUNNER.invoke(app, arguments, catch_exceptions=False)  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result.output


def test_made_data_passes_the_check_and_leaves_a_ledger(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "5 examples of counting" in run(make.app, "data", "counting", str(out), "--num-examples", "5", "--difficulties", "1,2")
    printed = run(data.app, "check", str(out), "--ledger", str(tmp_path / "ledger.jsonl"))
    assert "5 of 5 rows kept" in printed
    assert "solution_tokens" in printed
    rows = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [row["event"] for row in rows] == ["totals"] + ["kept"] * 5
    assert all(row["image_tokens"] > 0 and row["solution_tokens"] > 0 for row in rows[1:])


def test_json_totals_are_one_object(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    totals = json.loads(run(data.app, "check", str(tmp_path / "rows.jsonl"), "--json"))
    assert totals["data"]["num_kept"] == 2


def test_too_many_drops_fail_after_the_ledger_is_written(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "one"}\n{"prompt": "<image>", "id": "lost"}\n')
    arguments = ["check", str(tmp_path / "rows.jsonl"), "--ledger", str(tmp_path / "ledger.jsonl")]
    with pytest.raises(DataError, match=r"1 of 2 rows are dropped \(50\.00%\), more than max_drop_share allows \(1\.00%\)"):
        RUNNER.invoke(data.app, arguments, catch_exceptions=False)
    assert '"id": "lost"' in (tmp_path / "ledger.jsonl").read_text()
    assert "1 of 2 rows kept" in run(data.app, *arguments, "--max-drop-share", "0.5")


def test_a_recipe_is_checked_in_all_its_parts(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "one", "solution": "x"}\n')
    (tmp_path / "held.jsonl").write_text('{"prompt": "two", "answer": "2"}\n')
    (tmp_path / "sft.yaml").write_text("data:\n  train: [{path: rows.jsonl}]\n  eval: [{path: held.jsonl}]\n")
    totals = json.loads(run(data.app, "check", str(tmp_path / "sft.yaml"), "--json"))
    assert {name: part["num_kept"] for name, part in totals.items()} == {"train": 1, "eval": 1}
    assert totals["train"]["statistics"]["total_solution_tokens"] > 0
    with pytest.raises(DataError, match="train: None of the 1 rows"):
        RUNNER.invoke(data.app, ["check", str(tmp_path / "sft.yaml"), "--set", "data.max_length=5"], catch_exceptions=False)


def test_what_make_cannot_do_is_said(tmp_path: Path) -> None:
    def refuse(error: type[Exception], match: str, *arguments: str) -> None:
        with pytest.raises(error, match=match):
            RUNNER.invoke(make.app, ["data", *arguments, "--num-examples", "2"], catch_exceptions=False)

    refuse(RunError, "exists already", "counting", str(tmp_path))
    refuse(ConfigError, "countnig", "countnig", str(tmp_path / "x"))
    refuse(ConfigError, "difficulties", "counting", str(tmp_path / "x"), "--difficulties", "1,x")
    refuse(ConfigError, "difficult", "counting", str(tmp_path / "x"), "--difficulties", "9")
    assert list(tmp_path.iterdir()) == []


def test_the_tasks_are_listed() -> None:
    printed = run(make.app, "ls")
    assert all(name in printed for name in ("card_sums", "charts", "comparing", "counting"))
