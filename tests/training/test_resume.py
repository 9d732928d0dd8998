"""An interrupted run gives the numbers of an uninterrupted one, bit for bit, and two processes give those of one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from vlmpost import jsonl
from vlmpost.config.schema import SftConfig
from vlmpost.runs.directory import open_existing
from vlmpost.runs.resume import open_for_resume
from vlmpost.training.callbacks import SIDE_KEYS
from vlmpost.training.executor import run_rl, run_sft

pytestmark = pytest.mark.train
DRIVE = Path(__file__).parent / "drive.py"
FSDP2 = Path(__file__).parent / "drive_fsdp2.py"
EPISODES = {
    "data": {"train": [{"task": f"{Path(__file__).parent / 'lucky_task.py'}:Lucky", "num_examples": 5}]},
    "episode": {"verify_iterations": 3},
    "rewards": [{"name": "verifier", "params": {"gamma": 0.9}}],
}
"""Episodes of one to three replies, so that the processes of a launch are done at different times."""


@pytest.fixture
def recipes(tiny_model, sft_recipe, rl_recipe):
    """Gives `recipes(name)`: "sft" or "rl", with "-lora" for adapters, or "rl-episodes"."""

    def make(name):
        kind, _, variant = name.partition("-")
        recipe = {"sft": sft_recipe, "rl": rl_recipe}[kind]
        episodes = EPISODES if variant == "episodes" else {}
        return recipe(tiny_model("qwen2_5_vl"), model__use_peft=variant == "lora", logging__logging_steps=3, **episodes)

    return make


def _start(config, run, *, resume=False):
    return (run_sft if isinstance(config, SftConfig) else run_rl)(config, run, resume=resume)


def _final(run):
    return load_file(next(run.final_dir.glob("*.safetensors")))


def _equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(bool((ours[name] == theirs[name]).all()) for name in ours)


def _rows(path):
    """The rows of a JSONL file without what tells of the machine."""
    side = (*SIDE_KEYS, "attempt")
    return [{key: value for key, value in row.items() if not key.startswith(side)} for _, row in jsonl.read(path)]


def _interrupt(straight, folder, *, at_step, config):
    """A copy of a finished run as it would stand had it been killed after the checkpoint of `at_step`, with later rows written."""
    shutil.copytree(straight.path, folder)
    shutil.rmtree(folder / "final")
    for path in (folder / "checkpoints").iterdir():
        if path.name > f"step_{at_step:06d}":
            shutil.rmtree(path)
    return open_for_resume(folder, config)


@pytest.mark.parametrize("name", ["sft", "sft-lora", "rl", "rl-lora", "rl-episodes"])
def test_a_resumed_run_has_the_weights_metrics_and_rollouts_of_an_uninterrupted_one(name, recipes, new_run, tmp_path):
    config = recipes(name).model_copy(update={"checkpoints": recipes(name).checkpoints.model_copy(update={"save_total_limit": None})})
    straight = new_run(tmp_path / "straight", config)
    _start(config, straight)
    for at_step in (2, 4):
        run = _interrupt(straight, tmp_path / f"from_{at_step}", at_step=at_step, config=config)
        _start(config, run, resume=True)
        assert _equal(_final(run), _final(straight))
        assert _rows(run.metrics_path) == _rows(straight.metrics_path)
        if name.startswith("rl"):
            assert _rows(run.rollouts_path) == _rows(straight.rollouts_path)


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(recipes, new_run, tmp_path):
    from rich.console import Console

    from vlmpost.reports.progress import PlainProgress

    config = recipes("sft")
    straight = new_run(tmp_path / "straight", config)
    _start(config, straight)
    run = _interrupt(straight, tmp_path / "cut", at_step=6, config=config)
    weights = run.checkpoint_path(6) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with open(tmp_path / "shown.txt", "w", encoding="utf-8") as shown:
        run_sft(config, run, resume=True, progress=PlainProgress(Console(file=shown, width=200)))
    text = (tmp_path / "shown.txt").read_text()
    assert "step_000006 is damaged (model.safetensors has" in text and "going back to step_000004" in text
    assert _equal(_final(run), _final(straight))


@pytest.mark.parametrize("name", ["sft", "rl-lora"])
def test_a_run_killed_before_its_final_folder_takes_no_step_more(name, recipes, new_run, tmp_path):
    config = recipes(name)
    straight = new_run(tmp_path / "straight", config)
    _start(config, straight)
    run = _interrupt(straight, tmp_path / "cut", at_step=6, config=config)
    _start(config, run, resume=True)
    assert _equal(_final(run), _final(straight))
    assert _rows(run.metrics_path) == _rows(straight.metrics_path)


def test_workers_that_decode_images_change_no_number(recipes, new_run, tmp_path):
    config = recipes("sft")
    straight = new_run(tmp_path / "straight", config)
    _start(config, straight)
    helped = config.model_copy(update={"data": config.data.model_copy(update={"num_workers": 1})})
    run = new_run(tmp_path / "helped", helped)
    _start(helped, run)
    assert _equal(_final(run), _final(straight))


@pytest.mark.parametrize("kind", ["sft", "rl"])
def test_a_killed_process_goes_on_bit_for_bit(kind, recipes, new_run, tmp_path):
    config = recipes(kind)
    straight = new_run(tmp_path / "straight", config)
    _start(config, straight)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    folder = tmp_path / "killed"
    process = _drive(kind, tmp_path / "config.json", folder)
    _wait_for(folder / "checkpoints" / "step_000002", process)
    time.sleep(random.Random(7).uniform(0.0, 0.3))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "final").exists(), "the run ended before it was killed"
    resumed = _drive(kind, tmp_path / "config.json", folder, "--resume")
    assert resumed.wait(timeout=120) == 0, resumed.stderr.read()
    run = open_existing(folder)
    assert _equal(_final(run), _final(straight))
    assert _rows(run.metrics_path) == _rows(straight.metrics_path)


def test_a_terminated_process_saves_exits_130_and_goes_on_bit_for_bit(recipes, new_run, tmp_path):
    config = recipes("rl")
    straight = new_run(tmp_path / "straight", config)
    _start(config, straight)
    config_path = tmp_path / "config.json"
    config_path.write_text(
        config.model_copy(update={"checkpoints": config.checkpoints.model_copy(update={"save_steps": 100})}).model_dump_json()
    )
    folder = tmp_path / "terminated"
    process = _drive("rl", config_path, folder)
    _wait_for(folder / "rollouts.jsonl", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 130, process.stderr.read()
    assert len(list((folder / "checkpoints").iterdir())) == 1
    resumed = _drive("rl", config_path, folder, "--resume")
    assert resumed.wait(timeout=120) == 0, resumed.stderr.read()
    run = open_existing(folder)
    assert _equal(_final(run), _final(straight))
    assert _rows(run.metrics_path) == _rows(straight.metrics_path)


ACROSS_PROCESSES = {
    "rewards": [{"name": f"{Path(__file__).parent / 'length_reward.py'}:most_vowels"}],
    "algorithm__num_generations": 4,
    "training__prompts_per_step": 1,
    "training__num_mini_batches": 1,
}
"""A reward that needs the whole group, and a group that lies half on each of two processes."""


@pytest.mark.parametrize(
    ("kind", "changes"), [("sft", {}), ("rl", {}), ("rl", ACROSS_PROCESSES), ("rl", EPISODES)], ids=["sft", "rl", "rl-group", "rl-episodes"]
)
def test_two_processes_give_the_losses_of_one(kind, changes, tiny_model, sft_recipe, rl_recipe, new_run, tmp_path):
    recipe = {"sft": sft_recipe, "rl": rl_recipe}[kind]
    config = recipe(tiny_model("qwen2_5_vl"), training__per_device_train_batch_size=None, **changes)  # half as large with two processes
    one = new_run(tmp_path / "one", config)
    _start(config, one)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(_free_port())]
    process = _drive(kind, tmp_path / "config.json", tmp_path / "two", launcher=launcher)
    assert process.wait(timeout=240) == 0, process.stderr.read()[-2000:]
    two = open_existing(tmp_path / "two")
    losses = [[row["loss"] for row in _rows(run.metrics_path)] for run in (one, two)]
    assert len(losses[0]) == 6
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert [path.name for path in two.checkpoints()] == [path.name for path in one.checkpoints()]
    if kind == "rl":
        texts = [[row["text"] for row in _rows(run.rollouts_path)] for run in (one, two)]
        assert texts[0] == texts[1]
        rewards = [[row["reward"] for row in _rows(run.rollouts_path)] for run in (one, two)]
        assert rewards[0] == rewards[1]
        assert len(set(rewards[0])) > 1
    if "episode" in changes:
        assert len({len(row["steps"]) for row in _rows(one.rollouts_path)}) > 1, "all episodes were equally long: nothing was tested"


def test_fsdp2_trains_an_untied_head_as_one_process_does_and_not_without_the_patch(tiny_model, sft_recipe, new_run, tmp_path):
    config = sft_recipe(tiny_model("qwen2_5_vl"), training__per_device_train_batch_size=None, training__max_steps=3)
    one = new_run(tmp_path / "one", config)
    _start(config, one)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    off = {}
    for flags in ((), ("--unpatched",)):
        folder = tmp_path / f"two{''.join(flags)}"
        process = _drive(
            "sft", tmp_path / "config.json", folder, *flags, launcher=[*launcher, "--master_port", str(_free_port())], script=FSDP2
        )
        assert process.wait(timeout=240) == 0, process.stderr.read()[-3000:]
        weights = _final(open_existing(folder))
        assert weights.keys() == _final(one).keys()
        off[flags] = float((weights["lm_head.weight"] - _final(one)["lm_head.weight"]).abs().max())
    assert off[()] < 1e-5
    assert off["--unpatched",] > 1e-3


def _drive(kind, config_path, folder, *flags, launcher=None, script=DRIVE):
    command = [*(launcher or [sys.executable]), str(script), kind, str(config_path), str(folder), *flags]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def _wait_for(path, process, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.005)


def _free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
