"""The demo's plan, and the whole demo in small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmpost.cli.demo import MODELS, demo, plan
from vlmpost.cli.recipes import recipes_dir
from vlmpost.errors import RunError


def test_plan_measures_every_model_on_questions_that_no_model_was_trained_on() -> None:
    steps = plan(Path("d"), recipes=Path("r"), num_examples=100, num_samples=4, max_steps=None)
    measured = [step for step in steps if step.name.startswith("eval_")]
    assert [step.name for step in measured] == ["eval_base", "eval_sft", "eval_rl", "eval_sft_rl"]
    for step in measured:
        assert step.arguments[step.arguments.index("--split") + 1] == "test"
    names = [step.name for step in steps]
    assert all(set(step.needs) < set(names) for step in steps)


def test_levels_and_accuracy_come_from_different_answers() -> None:
    steps = {step.name: step for step in plan(Path("d"), recipes=Path("r"), num_examples=100, num_samples=4, max_steps=None)}
    seeds = {name: steps[name].arguments[steps[name].arguments.index("--seed") + 1] for name in ("levels", "eval_base", "eval_sft_rl")}
    assert seeds == {"levels": "0", "eval_base": "1", "eval_sft_rl": "1"}


def test_demo_refuses_a_folder_that_exists(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="exists already"):
        demo(run_dir=tmp_path, num_examples=1, num_samples=1, max_steps=1)


@pytest.mark.train
def test_demo_in_small_ends_with_a_table_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    demo(run_dir=folder, num_examples=2, num_samples=1, max_steps=1)
    out = capsys.readouterr().out
    assert f"report {folder / 'report.html'}" in out
    assert all(name in out for name in MODELS)
    for name in ("eval_base", "eval_sft", "eval_rl", "eval_sft_rl"):
        assert len((folder / name / "predictions.jsonl").read_text().splitlines()) == 4 * 2
    assert len((folder / "levels.jsonl").read_text().splitlines()) == 4 * 2
    assert json.loads((folder / "sft_rl" / "manifest.json").read_text())["parent_runs"] == [str(folder / "sft")]
    assert (recipes_dir() / "demo" / "sft.yaml").is_file()
