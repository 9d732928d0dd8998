"""`vlmpost curate` as users run it: what it writes, what it says, how it refuses, how it goes on after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vlmpost.cli.app import app
from vlmpost.cli.recipes import shipped
from vlmpost.errors import ConfigError

RECIPE = """
data:
  - {task: card_sums, num_examples: 6, difficulties: [1]}
num_samples: 2
generation: {max_completion_length: 48, max_concurrent: 4}
filters: {duplicates: keep}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["curate", *(str(argument) for argument in arguments)])


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "curate.yaml"
    path.write_text(RECIPE)
    return path


def test_a_dry_run_says_what_would_be_asked_and_writes_nothing(recipe: Path, tmp_path: Path) -> None:
    result = run(recipe, "--out", tmp_path / "out", "--dry-run")
    assert result.exception is None, result.exception
    assert "6 questions, 6 asked, 2 answers each by nano (answer)" in result.stdout
    assert "12 answers, 0 of them in" in result.stdout
    assert "nothing was started" in result.stdout
    assert not (tmp_path / "out").exists()


def test_a_dry_run_names_the_questions_that_are_not_asked(recipe: Path, tmp_path: Path) -> None:
    rates = tmp_path / "rates.jsonl"
    rates.write_text('{"id": "card_sums-train-s0-d1-000000", "num_right": 0, "num_tried": 4}\n')
    result = run(recipe, "--out", tmp_path / "out", "--dry-run", "--json", "--set", f"questions.pass_rates={rates}")
    facts = {"questions": 6, "asked": 1, "answers": 2, "answers_there": 0, "not_asked": {"pass rate not known": 5}}
    assert json.loads(result.stdout) == facts


def test_faults_of_a_recipe_are_named_before_anything_is_done(recipe: Path, tmp_path: Path) -> None:
    result = run(recipe, "--out", tmp_path / "out", "--set", "keep.which=shortest", "--set", "teacher.kind=endpoint")
    assert isinstance(result.exception, ConfigError)
    assert "2 faults" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_pattern_that_is_none_is_refused_before_anything_is_asked(recipe: Path, tmp_path: Path) -> None:
    result = run(recipe, "--out", tmp_path / "out", "--set", "filters.pattern='('")
    assert isinstance(result.exception, ConfigError)
    assert "no regular expression" in str(result.exception)
    assert not (tmp_path / "out" / "samples.jsonl").exists()


def test_the_shipped_recipe_asks_each_question_eight_times() -> None:
    result = run(shipped()["start/curate"], "--out", "nowhere", "--dry-run", "--json")
    assert json.loads(result.stdout) == {"questions": 200, "asked": 200, "answers": 1600, "answers_there": 0, "not_asked": {}}


def test_interrupted_it_says_how_to_go_on(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vlmpost.curation.curate", interrupted)
    result = run(recipe, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert f"what came is in {tmp_path / 'out'}, and the same call goes on" in result.stderr


@pytest.mark.train
def test_rows_and_ledger_of_the_shipped_model(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(recipe, "--out", out, "--json")
    assert result.exception is None, result.exception
    said = json.loads(result.stdout)
    stored = json.loads((out / "ledger.json").read_text())
    assert said == {"folder": str(out), "train": str(out / "train.jsonl"), **stored}
    assert (stored["questions"]["all"], stored["samples"]["all"], stored["finished"]) == (6, 12, True)
    assert len((out / "train.jsonl").read_text().splitlines()) == stored["num_rows"] == stored["samples"]["kept"]["all"] > 0
    again = run(recipe, "--out", out)
    assert f"{stored['num_rows']} rows in {out / 'train.jsonl'}" in again.stdout
    assert "samples\t" not in again.stdout
    assert "answers\t12\tin all" in again.stdout


@pytest.mark.slow
def test_what_is_left_is_data_for_sft_and_traces_and_rates_for_rl(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(recipe, "--out", out).exception is None
    for name, path in (("file", out / "train.jsonl"), ("folder", out)):
        sft = tmp_path / f"{name}.yaml"
        sft.write_text(f"data: {{train: [{{path: {path}}}]}}\ntraining: {{max_steps: 2, examples_per_step: 2}}\n")
        result = CliRunner().invoke(app, ["sft", str(sft), "--run-dir", str(tmp_path / name)])
        assert result.exception is None, result.exception
        assert (tmp_path / name / "final").is_dir()
    guidance = f"{{preset: luffy, traces: {{path: {out}/train.jsonl}}, pass_rate: {{source: table, path: {out}/pass_rates.jsonl}}}}"
    rl = tmp_path / "rl.yaml"
    rl.write_text(f"""
data: {{train: [{{task: card_sums, num_examples: 6, difficulties: [1]}}]}}
rewards: [{{name: accuracy}}]
training: {{max_steps: 2, prompts_per_step: 2}}
generation: {{max_completion_length: 24}}
guidance: {guidance}
""")
    result = CliRunner().invoke(app, ["rl", str(rl), "--run-dir", str(tmp_path / "rl")])
    assert result.exception is None, result.exception
    assert (tmp_path / "rl" / "final").is_dir()


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_as_one_that_was_not(recipe: Path, tmp_path: Path) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert run(recipe, "--out", straight).exception is None
    command = [sys.executable, "-m", "vlmpost", "curate", str(recipe), "--out", str(broken)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and _num_lines(broken / "samples.jsonl") < 5:  # in the second of three batches
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not (broken / "ledger.json").exists()
    assert run(recipe, "--out", broken).exception is None
    for name in ("train.jsonl", "pass_rates.jsonl", "fates.jsonl", "ledger.json"):
        assert (broken / name).read_bytes() == (straight / name).read_bytes(), name
    one, other = (sorted((folder / "samples.jsonl").read_text().splitlines()) for folder in (straight, broken))
    assert one == other
    assert len(one) == 12


def _num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
