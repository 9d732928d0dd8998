"""`vlmpost reward score`: the table, the rows that could not be scored, and their places."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from vlmpost.cli.rewards import MAX_FAULTS, app
from vlmpost.errors import DataError


def test_rows_are_scored_and_the_rest_listed_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    rows = [{"id": "a", "text": r"\boxed{7}", "answer": "7"}, {"answer": "7"}, {"id": "c", "output": "8", "gold": "7"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = CliRunner().invoke(app, ["score", str(path), "--reward", "accuracy", "--reward", "boxed_format", "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert [(row["id"], row["outcome"], row["rule"], row["accuracy"], row["boxed_format"], row["total"]) for row in printed["rows"]] == [
        ("a", "correct", "last_box", 1.0, 1.0, 2.0),
        ("c", "wrong", "whole_text", 0.0, 0.0, 0.0),
    ]
    assert len(printed["faults"]) == 1
    assert printed["faults"][0].startswith(f"{path}:2: no text to score")
    assert "not scored" in result.stderr


def test_a_file_without_a_row_to_score_is_an_error_and_long_lists_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"answer": "7"}\n' * (MAX_FAULTS + 3))
    result = CliRunner().invoke(app, ["score", str(path)])
    assert isinstance(result.exception, DataError)
    assert "3 more rows" in result.stderr
