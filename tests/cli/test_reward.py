"""`vlmpost reward`: rows scored and listed, the span shown, the curve drawn, presets told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vlmpost.cli.reward import app
from vlmpost.cli.reward.score import MAX_FAULTS
from vlmpost.errors import ConfigError, DataError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    lines = [
        json.dumps({"id": "a", "output": r"so \boxed{7}", "gold": "7", "extra": [1]}),
        "not json",
        json.dumps({"id": "b", "output": "8", "gold": "7"}),
        json.dumps({"gold": "7"}),
        json.dumps({"id": "c", "output": "(B) red", "gold": "B", "choices": {"A": "blue", "B": "red"}}),
        json.dumps({"id": "d", "output": "\ud800 half a character"}),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_row_comes_back_as_it_was_with_its_verdict(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = run("score", rows, "--output", out)
    assert result.exit_code == 0, result.output
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["id"], row["verdict"], row["extracted"], row["rule"], row["score"], row["parts"]) for row in written] == [
        ("a", "correct", "7", "last_box", 1.0, {"accuracy": 1.0}),
        ("b", "wrong", "8", "whole_text", 0.0, {"accuracy": 0.0}),
        ("c", "correct", "B", "whole_text", 1.0, {"accuracy": 1.0}),
        ("d", None, None, None, None, {"accuracy": None}),
    ]
    assert written[0]["extra"] == [1]
    assert written[0]["output"][slice(*written[0]["span"])] == "7"
    assert written[3]["output"] == "\ud800 half a character"
    assert f"{rows}:2: not JSON" in result.stderr
    assert f"{rows}:4: no text to score" in result.stderr


def test_a_file_that_is_there_is_not_overwritten_unasked(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    assert isinstance(run("score", rows, "--output", out).exception, ConfigError)
    assert out.read_text() == "mine"
    assert run("score", rows, "--output", out, "--overwrite").exit_code == 0
    assert out.read_text() != "mine"


def test_rewards_with_parameters_stand_beside_each_other(rows: Path) -> None:
    result = run("score", rows, "--reward", "accuracy", "--reward", "boxed_format", "--set", "accuracy.wrong=-1", "--json")
    printed = json.loads(result.stdout)
    assert [(row["id"], row["parts"], row["score"]) for row in printed["rows"]] == [
        ("a", {"accuracy": 1.0, "boxed_format": 1.0}, 2.0),
        ("b", {"accuracy": -1.0, "boxed_format": 0.0}, -1.0),
        ("c", {"accuracy": 1.0, "boxed_format": 0.0}, 1.0),
        ("d", {"accuracy": None, "boxed_format": 0.0}, 0.0),
    ]
    assert printed["verdicts"] == {"correct": 2, "wrong": 1, "no reference": 1}
    assert len(printed["faults"]) == 2


def test_a_recipe_brings_its_rewards(rows: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "demo" / "rl.yaml"
    result = run("score", rows, "--recipe", recipe, "--json")
    assert json.loads(result.stdout)["rows"][0]["parts"] == {"accuracy": 1.0}
    assert isinstance(run("score", rows, "--recipe", recipe, "--reward", "accuracy").exception, ConfigError)


def test_a_row_may_name_its_own_profile(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    plain = {"output": "So the total is 7", "gold": "7"}
    path.write_text("".join(json.dumps(plain | extra) + "\n" for extra in ({"profile": "generic"}, {"rule_profile": "none"}, {})))
    printed = json.loads(run("score", path, "--profile", "row", "--json").stdout)
    assert [row["verdict"] for row in printed["rows"]] == ["correct"]
    assert [fault.split(": ")[0] for fault in printed["faults"]] == [f"{path}:2", f"{path}:3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profile", "mathvison"), "Did you mean 'mathvision'"),
        (("--set", "accuracy.wrong=1"), "no --reward of that name"),
        (("--reward", "accuracy", "--set", "wrong=1"), "REWARD.PARAM=VALUE"),
        (("--reward", "acuracy"), "Did you mean 'accuracy'"),
    ],
)
def test_a_wrong_option_is_told_before_any_row_is_scored(rows: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run("score", rows, *arguments)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_a_file_without_a_row_to_score_is_an_error_that_tells_the_first_reason(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"answer": "7"}\n')
    result = run("score", path, "--output", tmp_path / "out.jsonl")
    assert isinstance(result.exception, DataError)
    assert f"no row could be scored. First: {path}:1: no text to score" in str(result.exception)
    assert not result.stderr.strip()
    assert not (tmp_path / "out.jsonl").exists()


def test_a_long_list_of_rows_that_could_not_be_scored_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"output": "7", "gold": "7"}\n' + '{"answer": "7"}\n' * (MAX_FAULTS + 3))
    assert "3 more rows" in run("score", path).stderr


def test_explain_marks_what_was_read_and_writes_control_characters_out(rows: Path) -> None:
    shown = run("explain", "--text", "\x1b[31m it is \\boxed{7}\u202e", "--gold", "7").stdout
    assert "<001B>[31m it is \\boxed{>>>7<<<}" in shown
    assert "<202E>" in shown
    assert "\x1b" not in shown
    assert ">>>8<<<" in run("explain", rows, "--row", "b").stdout
    assert ">>>8<<<" in run("explain", rows, "--row", "3").stdout


def test_explain_tells_that_there_is_no_such_row(rows: Path) -> None:
    assert "no row z" in str(run("explain", rows, "--row", "z").exception)
    assert isinstance(run("explain").exception, ConfigError)


def test_the_curve_tells_right_and_wrong_apart(tmp_path: Path) -> None:
    out = tmp_path / "curve.svg"
    result = run("curve", "synergy", "--max-completion-length", 100, "--out", out, "--json")
    points = json.loads(result.stdout)
    assert {point["value"] for point in points["right"] if point["length"] > 8} == {1.0}
    assert {point["value"] for point in points["wrong"] if point["length"] > 8} == {0.1}
    assert out.read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')


def test_every_listed_name_can_be_shown() -> None:
    listed = json.loads(run("ls", "--json").stdout)
    assert {row["kind"] for row in listed} >= {"reward", "sum", "profile"}
    for row in listed:
        assert row["meaning"], row["name"]
        shown = run("show", row["name"])
        assert shown.exit_code == 0, shown.output
        assert row["name"] in shown.stdout


def test_a_name_that_is_not_there_is_told_with_the_near_one() -> None:
    assert "Did you mean 'synergy'" in str(run("show", "synergi").exception)


def test_bench_times_verdicts_and_rewards(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"id": "a", "output": "7", "gold": "7"}) + "\n")
    printed = json.loads(run("bench", path, "--reward", "accuracy", "--json").stdout)
    assert [line["what"] for line in printed["work"]] == ["verdict (generic)", "accuracy"]
    assert all(line["rows_per_second"] > 0 for line in printed["work"])


def test_agreement_of_teacher_responses_is_measured_and_filtered(tmp_path: Path) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [
        {"id": "half", "gold": "7", "responses": [r"\boxed{7}", r"\boxed{8}"]},
        {"id": "none", "gold": "7", "responses": ["6", "8"]},
        {"id": "broken", "gold": "7", "responses": "7"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("agree", path, "--output", out, "--min-agreement", 0.5, "--json")
    printed = json.loads(result.stdout)
    assert (printed["num_rows"], printed["num_kept"], printed["mean_agreement"]) == (2, 1, 0.25)
    assert printed["faults"][0].startswith(f"{path}:3: responses must be a list")
    assert [(row["id"], row["agreement"]) for row in map(json.loads, out.read_text().splitlines())] == [("half", 0.5)]
