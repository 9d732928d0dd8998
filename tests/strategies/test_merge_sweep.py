"""Sweeps over merges of real, tiny folders: what is merged, measured, kept, drawn, and gone on with."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vlmpost.errors import ConfigError, DataError, RunError
from vlmpost.strategies.merge_sweep import Point, grid_of, rows, sweep


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """An RL model and an SFT model of two tensors, and their base."""
    for name, value in (("base", 0.0), ("rl", 1.0), ("sft", 2.0)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "of_two_tensors"}')
        save_file({"weight": torch.tensor([value, -value, 3 * value, 0.0])}, folder / "model.safetensors")
    return [str(tmp_path / "rl"), str(tmp_path / "sft")]


def first_weight(folder: Path) -> float:
    return float(load_file(folder / "model.safetensors")["weight"][0])


class Spy:
    """Measures a merge by its first weight: the closer to 1.25 the better."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, folder: Path) -> Mapping[str, object]:
        self.seen.append(folder.name)
        mean = 1 - abs(first_weight(folder) - 1.25)
        return {"accuracy": {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}, "mean_tokens": 10 * first_weight(folder)}


def test_the_grid_is_every_method_density_and_ratio_once() -> None:
    grid = grid_of(["linear", "ties", "linear"], [1, 0.5, 0.5], [0.2, 1.0])
    assert grid == [
        Point("linear", 0.5, None),
        Point("linear", 1.0, None),
        Point("ties", 0.5, 0.2),
        Point("ties", 1.0, 0.2),
        Point("ties", 0.5, 1.0),
        Point("ties", 1.0, 1.0),
    ]
    assert len({point.name for point in grid}) == 6


@pytest.mark.parametrize(
    ("methods", "ratios", "densities", "message"),
    [
        ([], [0.5], [], "at least one method and one ratio"),
        (["linear"], [], [], "at least one method and one ratio"),
        (["linear"], [0.5, 1.5], [], "from 0 to 1; got 1.5"),
        (["linear"], [float("nan")], [], "got nan"),
        (["ties"], [0.5], [], "ties: give densities"),
        (["linear"], [0.5], [0.2], "no method here uses densities"),
        (["blend"], [0.5], [], "'blend' is unknown"),
    ],
)
def test_grids_that_make_no_sense_are_refused(methods: list[str], ratios: list[float], densities: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid_of(methods, ratios, densities)


def test_the_ratio_is_the_weight_of_the_second_model_and_the_best_is_kept(pair: list[str], tmp_path: Path) -> None:
    spy = Spy()
    result = sweep(pair, tmp_path / "out", methods=["linear"], ratios=[0, 0.25, 1], measure=spy)
    # 0.75 * 1 + 0.25 * 2 = 1.25: exactly what the measure likes
    assert [one.accuracy for one in result.points] == [0.75, 1.0, 0.25]
    assert [one.mean_tokens for one in result.points] == [10.0, 12.5, 20.0]
    assert result.best.point == Point("linear", 0.25, None)
    assert first_weight(result.best_folder) == 1.25
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["linear_ratio_0.25", "sweep.json", "sweep.svg"]
    assert json.loads((tmp_path / "out" / "sweep.json").read_text())["best"] == "linear_ratio_0.25"
    assert rows(result)[1] == ["linear", "", "0.25", "100.0 % [90.0, 110.0]", "12.5", "best"]


@pytest.mark.parametrize(("keep", "left"), [("all", 3), ("none", 0)])
def test_weights_stay_as_was_asked(keep: str, left: int, pair: list[str], tmp_path: Path) -> None:
    sweep(pair, tmp_path / "out", methods=["linear"], ratios=[0, 0.25, 1], measure=Spy(), keep=keep)  # type: ignore[arg-type]
    assert len([path for path in (tmp_path / "out").iterdir() if path.is_dir()]) == left


def test_ends_that_are_the_inputs_are_measured_once(pair: list[str], tmp_path: Path) -> None:
    spy = Spy()
    result = sweep(
        pair,
        tmp_path / "out",
        methods=["linear", "slerp", "ties"],
        ratios=[0, 1],
        densities=[0.5, 1],
        base=str(tmp_path / "base"),
        measure=spy,
    )
    # TIES at density 0.5 is not the input at either end.
    assert spy.seen == ["linear_ratio_0", "linear_ratio_1", "ties_density_0.5_ratio_0", "ties_density_0.5_ratio_1"]
    shared = {one.point.name: one.same_as for one in result.points if one.same_as}
    assert shared == {
        "slerp_ratio_0": "linear_ratio_0",
        "slerp_ratio_1": "linear_ratio_1",
        "ties_density_1_ratio_0": "linear_ratio_0",
        "ties_density_1_ratio_1": "linear_ratio_1",
    }
    assert result.points[2].accuracy == result.points[0].accuracy


def test_a_finished_point_is_not_made_again_and_new_ratios_join(pair: list[str], tmp_path: Path) -> None:
    first, second = Spy(), Spy()
    sweep(pair, tmp_path / "out", methods=["linear"], ratios=[0, 1], measure=first)
    result = sweep(pair, tmp_path / "out", methods=["linear"], ratios=[0, 0.5, 1], measure=second)
    assert second.seen == ["linear_ratio_0.5"]
    assert [one.point.ratio for one in result.points] == [0, 0.5, 1]


def test_another_sweep_in_the_folder_is_refused(pair: list[str], tmp_path: Path) -> None:
    sweep(pair, tmp_path / "out", methods=["linear"], ratios=[0.5], measure=Spy(), setting={"num_samples": 1})
    with pytest.raises(RunError, match="another sweep: its dtype, setting differ"):
        sweep(pair, tmp_path / "out", methods=["linear"], ratios=[0.5], measure=Spy(), setting={"num_samples": 2}, dtype="bfloat16")
    shutil.copyfile(tmp_path / "sft" / "model.safetensors", tmp_path / "rl" / "model.safetensors")
    with pytest.raises(RunError, match="another sweep: its models differ"):
        sweep(pair, tmp_path / "out", methods=["linear"], ratios=[0.5], measure=Spy(), setting={"num_samples": 1})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(RunError, match=r"not empty and has no sweep\.json"):
        sweep(pair, tmp_path / "mine", methods=["linear"], ratios=[0.5], measure=Spy())


def test_a_measure_without_a_verdict_is_an_error(pair: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the questions could be judged"):
        sweep(pair, tmp_path / "out", methods=["linear"], ratios=[0.5], measure=lambda _: {"accuracy": None, "mean_tokens": 1.0})


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from vlmpost.models.merging import shards
    from vlmpost.strategies.merge_sweep import sweep

    write, num_calls = shards._write, 0

    def dying(stream, content):
        global num_calls
        num_calls += 1
        if num_calls == int(sys.argv[4]):  # in the middle of a file of weights
            stream.write(content[:2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(stream, content)

    def measure(folder):
        if sys.argv[5] == folder.name:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"accuracy": {"mean": 0.5, "low": 0.4, "high": 0.6}, "mean_tokens": 1.0}

    shards._write = dying
    sweep(sys.argv[1:3], Path(sys.argv[3]), methods=["linear"], ratios=[0, 0.5, 1], measure=measure, keep="all")
"""


@pytest.mark.parametrize(("write", "measure"), [("4", ""), ("999", "linear_ratio_0.5")], ids=["merging", "measuring"])
def test_a_killed_sweep_goes_on_and_nothing_torn_looks_whole(write: str, measure: str, pair: list[str], tmp_path: Path) -> None:
    arguments = [*pair, str(tmp_path / "out"), write, measure]
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), *arguments], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = json.loads((tmp_path / "out" / "sweep.json").read_text())["points"]
    assert [entry["name"] for entry in done] == ["linear_ratio_0"]
    for folder in (tmp_path / "out").glob("linear*"):
        load_file(folder / "model.safetensors")
    spy = Spy()
    sweep(pair, tmp_path / "out", methods=["linear"], ratios=[0, 0.5, 1], measure=spy, keep="all")
    assert spy.seen == ["linear_ratio_0.5", "linear_ratio_1"]
    assert first_weight(tmp_path / "out" / "linear_ratio_0.5") == 1.5
    assert not list((tmp_path / "out").glob(".tmp*"))


def test_the_picture_has_a_line_for_each_method_with_all_its_points(pair: list[str], tmp_path: Path) -> None:
    draw: Callable[..., object] = sweep
    draw(
        pair,
        tmp_path / "out",
        methods=["linear", "ties"],
        ratios=[0, 0.5, 1],
        densities=[0.5],
        base=str(tmp_path / "base"),
        measure=Spy(),
    )
    tree = ET.parse(tmp_path / "out" / "sweep.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    lines = [line.attrib["points"].split() for line in tree.iter(f"{space}polyline")]
    assert [len(points) for points in lines] == [3, 3, 3, 3]  # two methods in two panels
    texts = {text.text for text in tree.iter(f"{space}text")}
    assert {"linear", "ties density 0.5", "accuracy, percent", "tokens of an answer", "weight of the second model"} <= texts
    titles = {title.text for title in tree.iter(f"{space}title")}
    assert "linear: 0.5, 75" in titles  # 100 * (1 - |1.5 - 1.25|)
