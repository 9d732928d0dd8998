"""Stages run in order, once; a run that was killed goes on to the very same weights."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.strategies.conftest import RL, SFT, TEST, VALIDATION
from vlmpost.config.combine import CombineConfig
from vlmpost.config.load import load
from vlmpost.errors import DataError, RunError, TrainingStopped
from vlmpost.runs.directory import RunDirectory
from vlmpost.runs.manifest import read_manifest
from vlmpost.strategies import executor, work
from vlmpost.strategies.executor import open_run, run_strategy
from vlmpost.strategies.stages import CHOICE, MIXTURE, MixStage, StageConfig

Make = Callable[..., CombineConfig]
TWO_STAGE = {
    "two_stage": {"start": "best", "measure_length": {"num_examples": 2, "num_samples": 1, "max_completion_length": 12}},
    "select": VALIDATION,
    "evaluation": TEST,
}


def run(config: CombineConfig, folder: Path, *, resume: bool = False) -> RunDirectory:
    opened = open_run(config, folder, recipe_text="", argv=["vlmpost"], resume=resume)
    try:
        run_strategy(config, opened)
    finally:
        opened.unlock()
    return opened


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time of change."""
    found = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {str(path): (facts.st_size, facts.st_mtime_ns) for path, facts in found.items()}


class Scripted:
    """Stands in for the work of all stages: notes what it is asked, and writes what later stages look for."""

    def __init__(self) -> None:
        self.done: list[tuple[str, bool]] = []
        self.configs: dict[str, StageConfig] = {}
        self.fail: dict[str, BaseException] = {}

    def __call__(self, kind: str, config: StageConfig, run: RunDirectory, *, resume: bool, progress: object) -> None:
        self.done.append((run.name, resume))
        self.configs[run.name] = config
        if run.name in self.fail:
            raise self.fail.pop(run.name)
        if kind in ("sft", "rl"):
            run.final_dir.mkdir()
            (run.final_dir / "weights").write_text(run.name)
            executor.write_status(run, state="finished", phase="done", step=1)
        elif kind == "select":
            (run.path / CHOICE).write_text(json.dumps({"path": str(run.path.parent / "01_sft/final")}))
        elif kind == "lengths":
            (run.path / "lengths.json").write_text(json.dumps({"max_completion_length": 21}))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    stand_in = Scripted()
    monkeypatch.setattr(executor, "do", stand_in)
    return stand_in


def without_evaluation(combine_config: Make) -> CombineConfig:
    return combine_config("two_stage", **{**TWO_STAGE, "evaluation": None})


def test_what_a_stage_finds_out_stands_in_the_recipes_of_later_ones(combine_config: Make, tmp_path: Path, scripted: Scripted) -> None:
    found = run(without_evaluation(combine_config), tmp_path / "run")
    assert scripted.done == [("01_sft", False), ("02_select_sft", False), ("03_lengths", False), ("04_rl", False)]
    rl = scripted.configs["04_rl"]
    assert rl.model.path == str(found.path / "stages/01_sft/final")  # type: ignore[union-attr]
    assert rl.generation.max_completion_length == 21  # type: ignore[union-attr]
    assert (found.final_dir / "weights").read_text() == "04_rl"


def test_each_stage_has_a_manifest_with_its_parents_and_a_recipe_that_loads(
    combine_config: Make, tmp_path: Path, scripted: Scripted
) -> None:
    found = run(without_evaluation(combine_config), tmp_path / "run")
    stage = RunDirectory(found.stage_path("04_rl"), writes=False, attempt=1)
    manifest = read_manifest(stage)
    parents = [str(found.path), str(found.stage_path("02_select_sft")), str(found.stage_path("03_lengths"))]
    assert (manifest["kind"], manifest["parent_runs"]) == ("rl", parents)
    assert load("rl", stage.recipe_path).config == scripted.configs["04_rl"]
    assert read_manifest(found)["kind"] == "combine"
    assert [stage["name"] for stage in json.loads(found.plan_path.read_text())["stages"]] == [name for name, _ in scripted.done]


@pytest.mark.parametrize("preset", ["progressive", "luffy", "chord_mu", "uft_staged", "ghpo"])
def test_the_recipe_of_a_guided_stage_loads_as_it_was_run(combine_config: Make, tmp_path: Path, scripted: Scripted, preset: str) -> None:
    rates = {"pass_rates": {"num_samples": 2}} if preset == "progressive" else {}
    found = run(combine_config(preset, sft=None, **rates), tmp_path / "run")
    name = scripted.done[-1][0]
    (found.stage_path("01_pass_rates") / "curated").mkdir(exist_ok=True, parents=True)
    (found.stage_path("01_pass_rates") / "curated" / "pass_rates.jsonl").touch()
    assert load("rl", found.stage_path(name) / "recipe.yaml").config == scripted.configs[name]


def test_a_finished_stage_is_not_touched_again(combine_config: Make, tmp_path: Path, scripted: Scripted) -> None:
    config = without_evaluation(combine_config)
    scripted.fail["04_rl"] = DataError("no more rows")
    with pytest.raises(DataError):
        run(config, tmp_path / "run")
    before = files(tmp_path / "run/stages/01_sft") | files(tmp_path / "run/stages/03_lengths")
    scripted.done.clear()
    run(config, tmp_path / "run", resume=True)
    assert scripted.done == [("04_rl", True)]
    assert len(before) >= 8
    assert files(tmp_path / "run/stages/01_sft") | files(tmp_path / "run/stages/03_lengths") == before


def test_a_failure_leaves_a_status_that_names_the_stage(combine_config: Make, tmp_path: Path, scripted: Scripted) -> None:
    scripted.fail["03_lengths"] = DataError("no more rows")
    with pytest.raises(DataError):
        run(without_evaluation(combine_config), tmp_path / "run")
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["state"], status["phase"], status["message"]) == ("failed", "03_lengths", "03_lengths: no more rows")
    assert json.loads((tmp_path / "run/stages/03_lengths/status.json").read_text())["state"] == "failed"


def test_a_signal_ends_any_stage_with_130_and_the_way_on(combine_config: Make, tmp_path: Path, scripted: Scripted) -> None:
    scripted.fail["02_select_sft"] = KeyboardInterrupt()
    with pytest.raises(TrainingStopped, match="stopped by a signal in stage 02_select_sft; go on with --resume") as raised:
        run(without_evaluation(combine_config), tmp_path / "run")
    assert raised.value.exit_code == 130
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "stopped"
    assert json.loads((tmp_path / "run/stages/02_select_sft/status.json").read_text())["state"] == "stopped"


def test_a_stage_killed_before_it_had_a_manifest_begins_again(combine_config: Make, tmp_path: Path, scripted: Scripted) -> None:
    config = without_evaluation(combine_config)
    scripted.fail["02_select_sft"] = KeyboardInterrupt()
    with pytest.raises(TrainingStopped):
        run(config, tmp_path / "run")
    (tmp_path / "run/stages/02_select_sft/manifest.json").unlink()
    scripted.done.clear()
    run(config, tmp_path / "run", resume=True)
    assert scripted.done[0] == ("02_select_sft", False)


def test_another_recipe_is_not_resumed(combine_config: Make, tmp_path: Path, scripted: Scripted) -> None:
    run(without_evaluation(combine_config), tmp_path / "run")
    changed = combine_config("two_stage", **{**TWO_STAGE, "evaluation": None, "rl": {**RL, "generation": {"max_completion_length": 9}}})
    with pytest.raises(RunError, match=r"rl\.generation\.max_completion_length: 8 then, 9 now"):
        run(changed, tmp_path / "run", resume=True)


def test_stages_begin_with_the_same_random_numbers_whatever_ran_before(combine_config: Make, tmp_path: Path, scripted: Scripted) -> None:
    import random

    drawn: list[float] = []

    class Drawing(Scripted):
        def __call__(self, kind: str, config: StageConfig, run: RunDirectory, *, resume: bool, progress: object) -> None:
            drawn.append(random.random())
            super().__call__(kind, config, run, resume=resume, progress=progress)
            for _ in range(len(drawn)):
                random.random()

    executor.do = Drawing()  # the fixture puts the real one back
    random.seed(1)
    run(without_evaluation(combine_config), tmp_path / "one")
    random.seed(2)
    run(without_evaluation(combine_config), tmp_path / "two")
    assert drawn[:4] == drawn[4:]


class Notes:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def phase(self, text: str) -> None:
        self.said.append(text)

    note = phase


def test_a_set_without_rows_is_left_out_of_the_mixture(tmp_path: Path) -> None:
    full, empty = tmp_path / "full.jsonl", tmp_path / "empty.jsonl"
    full.write_text('{"id": "a"}\n{"id": "b"}\n')
    empty.touch()
    work._mix(MixStage(sets=[str(full), str(empty)]), RunDirectory(tmp_path, writes=True, attempt=1), Notes())  # type: ignore[arg-type]
    written = json.loads((tmp_path / MIXTURE).read_text())
    assert written == {"train": [{"path": str(full)}], "counts": {str(full): 2, str(empty): 0}}


def test_a_mixture_of_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    stage = RunDirectory(tmp_path, writes=True, attempt=1)
    with pytest.raises(DataError, match="nothing to train on"):
        work._mix(MixStage(sets=[str(tmp_path / "empty.jsonl")]), stage, Notes())  # type: ignore[arg-type]


@pytest.mark.train
def test_a_stage_gives_the_weights_that_its_recipe_gives_alone(combine_config: Make, tmp_path: Path) -> None:
    found = run(combine_config("two_stage", sft={**SFT, "data": RL["data"]}), tmp_path / "run")
    for name, kind in (("01_sft", "sft"), ("02_rl", "rl")):
        recipe = found.stage_path(name) / "recipe.yaml"
        arguments = [sys.executable, "-m", "vlmpost", kind, str(recipe), "--run-dir", str(tmp_path / kind)]
        subprocess.run(arguments, check=True, capture_output=True, timeout=120)
        assert weights(tmp_path / kind / "final") == weights(found.stage_path(name) / "final")
    assert weights(found.final_dir) == weights(found.stage_path("02_rl") / "final")


def begin(recipe: Path, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "vlmpost", "combine", str(recipe), "--run-dir", str(folder), *more]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


def end_at(process: subprocess.Popen[bytes], sign: Path, number: signal.Signals) -> int:
    """Sends a signal as soon as a file is there; returns the exit status."""
    deadline = time.monotonic() + 120
    while not sign.exists():
        assert process.poll() is None, f"ended with {process.returncode} before {sign}"
        assert time.monotonic() < deadline, f"no {sign}"
        time.sleep(0.005)
    process.send_signal(number)
    return process.wait(timeout=60)


@pytest.mark.train
@pytest.mark.slow
def test_killed_in_any_stage_and_resumed_the_weights_are_those_of_a_run_that_never_stopped(
    combine_recipe: Callable[..., dict[str, object]], tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(combine_recipe("two_stage", **TWO_STAGE)))  # JSON is YAML
    whole = begin(recipe, tmp_path / "whole")
    assert whole.wait(timeout=240) == 0
    broken, stages = tmp_path / "broken", tmp_path / "broken/stages"
    signs = [
        (stages / "01_sft/checkpoints/step_000002", signal.SIGKILL),
        (stages / "02_select_sft/evaluations/step_000002/predictions.jsonl", signal.SIGKILL),
        (stages / "03_lengths/evaluations", signal.SIGTERM),
        (stages / "04_rl/checkpoints/step_000002", signal.SIGKILL),
        (stages / "06_evaluate_base/status.json", signal.SIGKILL),
    ]
    for number, (sign, kind) in enumerate(signs):
        status = end_at(begin(recipe, broken, *(["--resume"] if number else [])), sign, kind)
        assert status == (-9 if kind == signal.SIGKILL else 130)
    assert begin(recipe, broken, "--resume").wait(timeout=240) == 0
    for folder in ("stages/01_sft/final", "stages/04_rl/final", "final"):
        assert weights(broken / folder) == weights(tmp_path / "whole" / folder)
    for name in ("02_select_sft/choice.json", "03_lengths/lengths.json"):
        ours, theirs = ((root / "stages" / name).read_text().replace(str(root), "RUN") for root in (broken, tmp_path / "whole"))
        assert ours == theirs
    accuracies = [
        {name: model["accuracy"] for name, model in json.loads((root / "results.json").read_text())["models"].items()}
        for root in (broken, tmp_path / "whole")
    ]
    assert accuracies[0] == accuracies[1]
    assert set(accuracies[0]) == {"base", "sft", "rl"}
