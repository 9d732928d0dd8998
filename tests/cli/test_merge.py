"""`vlmpost merge` as users run it: what it writes, what it says, how it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner, Result

from vlmpost.cli.app import app
from vlmpost.errors import RunError

Cli = Callable[..., object]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["merge", *(str(argument) for argument in arguments)])


def test_two_models_become_a_folder(tmp_path: Path) -> None:
    result = run("nano", "nano", "--weights", "0.25,0.75", "--out", tmp_path / "out")
    assert result.exception is None, result.exception
    assert result.stdout == f"merged 2 models by linear (0.25 nano, 0.75 nano) into {tmp_path / 'out'}\n"
    assert (tmp_path / "out" / "model.safetensors").is_file()
    again = run("nano", "nano", "--out", tmp_path / "out")
    assert isinstance(again.exception, RunError)


def test_json_is_the_record(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("nano", "nano", "--method", "dare_ties", "--base", "nano", "--seed", 3, "--dtype", "bfloat16", "--out", out, "--json")
    assert json.loads(result.stdout) == {"folder": str(out), **json.loads((out / "merge.json").read_text())}
    assert json.loads(result.stdout)["density"] == 0.5


def test_bad_input_is_one_sentence_and_exit_code_2(cli: Cli) -> None:
    for arguments, message in (
        (("nano", "nano", "--weights", "a,b"), "error: --weights: expected numbers with commas between, e.g. 0.25,0.75, got 'a,b'.\n"),
        (("nano", "nano", "--method", "ties"), "error: --method ties works on differences from a base model: give --base.\n"),
    ):
        done = cli("merge", *arguments, "--out", "out")
        assert (done.returncode, done.stdout, done.stderr) == (2, "", message)  # type: ignore[attr-defined]  # a finished process


def test_a_sweep_merges_measures_and_draws(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("nano", "nano", "--sweep", "--methods", "linear", "--ratios", "0,0.5", "--data", "counting", "--num-examples", 2)
    result = run(*arguments, "--max-completion-length", 8, "--out", out)
    assert result.exception is None, result.exception
    lines = result.stdout.splitlines()
    assert [line.split("\t")[:3] for line in lines[:2]] == [["linear", "", "0"], ["linear", "", "0.5"]]
    assert lines[-2].startswith("best on split validation: linear_ratio_")
    assert (out / "sweep.svg").is_file()
    assert len((out / "evaluations" / "linear_ratio_0.5" / "predictions.jsonl").read_text().splitlines()) == 2
    again = json.loads(run(*arguments, "--max-completion-length", 8, "--out", out, "--json").stdout)
    assert [point["name"] for point in again["points"]] == ["linear_ratio_0", "linear_ratio_0.5"]
    other = run(*arguments, "--max-completion-length", 9, "--out", out)
    assert isinstance(other.exception, RunError)


def test_options_of_the_other_kind_are_refused(tmp_path: Path) -> None:
    for arguments, message in (
        (("--ratios", "0,1", "--num-samples", 2), "--ratios, --num-samples: only with --sweep."),
        (("--sweep", "--method", "ties", "--weights", "1,2"), "--method, --weights: for one merge, not for --sweep"),
        (("--sweep",), "--sweep measures each merge: give questions with --data."),
        (("--method", "slerp", "--no-normalize"), "--method slerp does not use --no-normalize"),
    ):
        done = run("nano", "nano", *arguments, "--out", tmp_path / "out")
        assert message in str(done.exception)
