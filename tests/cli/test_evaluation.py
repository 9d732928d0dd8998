"""`vlmpost eval` with a task: its variants in one table, its records, and what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmpost.cli.app import app
from vlmpost.cli.evaluation.checks import check_questions
from vlmpost.cli.options import numbers_given
from vlmpost.cli.prepare import prepare
from vlmpost.errors import ConfigError
from vlmpost.evaluation.results import Records

DOORS = f"{Path(__file__).parent.parent / 'evaluation' / 'doors.py'}:Doors"
ONE_KIND = DOORS.replace(":Doors", ":OneKind")
PLAYED = ("eval", "nano", "--num-examples", "3", "--max-completion-length", "6", "--seed", "1")


def run(*arguments: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.train
def test_all_variants_of_a_users_task_come_in_one_table_with_records_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = (*PLAYED, "--task", DOORS, "--shift", "all", "--verify-iterations", "2", "--rewards", "repo", "--set", "num_doors=2")
    said = run(*asked)
    for part in ("2 graded attempt(s), rewards repo", "none", "rule", "visual", "per step", "recognised", "INCORRECT_VISION", "STEP_LIMIT"):
        assert part in said, part
    folder = tmp_path / "evaluations" / "nano" / "doors"
    for shift in ("none", "rule", "visual"):
        rows = Records(folder / shift).rows()
        assert len(rows) == 3
        assert all(len(row["steps"]) == 3 for row in rows), "the nano VLM knows no doors: two attempts and the ungraded reply"  # type: ignore[arg-type]
    told = json.loads(run(*asked, "--json"))
    assert told["episode"] == {"verify_iterations": 2, "rewards": "repo"}
    assert list(told["shifts"]) == ["none", "rule", "visual"]
    none = told["shifts"]["none"]
    assert (none["accuracy"]["mean"], none["episodes"]["num_replies"], none["episodes"]["per_step"]["mean"]) == (0.0, 9, 0.0)
    assert none["episodes"]["outcome_shares"]["STEP_LIMIT"] == pytest.approx(1 / 3)
    assert none["episodes"]["recognition"]["num_runs"] == 6, "the ungraded replies were not looked at"


@pytest.mark.train
def test_a_task_is_asked_in_distribution_and_by_its_own_attempts_unless_said(tmp_path: Path) -> None:
    told = json.loads(run(*PLAYED, "--task", "counting", "--difficulties", "1", "--out", str(tmp_path / "here"), "--json"))
    assert list(told["shifts"]) == ["none"]
    assert told["episode"] == {"verify_iterations": 1, "rewards": "paper"}
    assert told["shifts"]["none"]["episodes"]["mean_replies"] == 1.0
    assert all("-d1-" in str(row["id"]) for row in Records(tmp_path / "here" / "none").rows())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "neither is"),
        (("--data", "counting", "--task", "counting"), "both are given"),
        (("--data", "counting", "--shift", "rule", "--verify-iterations", "3"), "--shift, --verify-iterations: only with --task"),
        (("--task", "counting", "--levels", "x.jsonl"), "--levels: only with --data"),
        (("--task", "countin", "--num-examples", "2"), "Did you mean 'counting'?"),
        (("--task", "counting"), "add --num-examples"),
        (("--task", ONE_KIND, "--num-examples", "2", "--shift", "rule"), "has no shift rule. It has: none"),
        (("--task", "counting", "--num-examples", "2", "--rewards", "house"), "no reward table 'house'"),
        (("--task", "counting", "--num-examples", "2", "--set", "colour=red"), "there is no option colour"),
        (("--task", "counting", "--num-examples", "2", "--set", "colour"), "OPTION=VALUE"),
        (("--task", "counting", "--num-examples", "2", "--difficulties", "one"), "expected numbers with commas between"),
        (("--task", "counting", "--num-examples", "2", "--difficulties", "9"), "difficulty 9"),
    ],
)
def test_what_cannot_be_asked_is_told_before_a_model_loads(arguments: tuple[str, ...], message: str) -> None:
    error = CliRunner().invoke(app, ["eval", "no-such-model", *arguments]).exception
    assert isinstance(error, ConfigError)
    assert message in str(error)


def test_options_that_were_not_given_go_with_everything() -> None:
    nothing = {"--shift": None, "--set": []}
    check_questions(["counting"], None, for_task=nothing, for_data={"--levels": "x"})
    check_questions((), "counting", for_task={"--shift": ["rule"]}, for_data={"--levels": None})
    assert numbers_given("1,3") == [1, 3]
    assert numbers_given(None) is None


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{task: countin}", "Did you mean 'counting'?"),
        (f"{{task: '{ONE_KIND}', shifts: [rule]}}", "has no shift rule"),
        ("{task: counting, options: {colour: red}}", "there is no option colour"),
        ("{task: counting, rewards: house}", "no reward table 'house'"),
        ("{task: counting, difficulties: [1, 9]}", "shifts.difficulties"),
        (f"{{task: '{DOORS}', difficulties: [1]}}", "has none; got [1]"),
        ("{task: counting, shifts: []}", "shifts.shifts"),
        ("{task: counting, every_step: 5}", "every_step"),
    ],
)
def test_a_recipes_section_shifts_is_checked_before_anything_starts(recipe: Path, section: str, message: str) -> None:
    recipe.write_text(recipe.read_text() + f"shifts: {section}\n")
    with pytest.raises(ConfigError) as caught:
        prepare("rl", recipe, [])
    assert message in str(caught.value)
    assert "r.yaml:" in str(caught.value)


def test_a_sound_section_shifts_passes(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + f"shifts: {{task: '{DOORS}', options: {{num_doors: 2}}, shifts: [none, visual]}}\n")
    config = prepare("rl", recipe, []).config
    assert config.shifts is not None
    assert (config.shifts.verify_iterations, config.shifts.split, config.shifts.every_steps) == (1, "validation", None)
