"""The variants of a task played while a run trains: the rows, what they cost the training (nothing), and how they survive a stop."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vlmpost import jsonl
from vlmpost.config.schema import SftConfig, ShiftsConfig
from vlmpost.errors import ConfigError
from vlmpost.runs.directory import open_existing
from vlmpost.runs.resume import open_for_resume
from vlmpost.training.executor import run_rl, run_sft
from vlmpost.training.shift_callback import check_sharding, questions, undisturbed

EVEN = f"{Path(__file__).parent / 'even_task.py'}:Even"
DRIVE = Path(__file__).parent / "drive.py"
SHIFTS = {"task": EVEN, "num_examples": 6, "verify_iterations": 2, "max_completion_length": 5, "per_device_eval_batch_size": 4}
SIDE = ("seconds", "attempt", "memory_gib", "time")


@pytest.fixture
def recipes(tiny_model, sft_recipe, rl_recipe):
    """Gives `recipes("sft" | "rl", shifts=..., ...)`: adapters with dropout, so that training draws random numbers of its own."""

    def make(kind, **changes):
        recipe = {"sft": sft_recipe, "rl": rl_recipe}[kind]
        adapters = {"model__use_peft": True, "model__lora_dropout": 0.3, "training__max_steps": 4}
        return recipe(tiny_model("qwen2_5_vl"), **{**adapters, **changes})

    return make


def _start(config, run, *, resume=False):
    return (run_sft if isinstance(config, SftConfig) else run_rl)(config, run, resume=resume)


def _rows(path):
    return [{key: value for key, value in row.items() if not key.startswith(SIDE)} for _, row in jsonl.read(path)]


def _weights(run):
    return load_file(next(run.final_dir.glob("*.safetensors")))


def _of_step(rows, step):
    return [row for row in rows if row["step"] == step]


@pytest.mark.train
@pytest.mark.parametrize(("kind", "changes"), [("sft", {}), ("rl", {}), ("rl", {"generation__seeding": "batch"})])
def test_a_run_that_is_watched_has_the_weights_and_metrics_of_one_that_is_not_bit_for_bit(kind, changes, recipes, new_run, tmp_path):
    runs = []
    for name, more in (("watched", {"shifts": SHIFTS}), ("alone", {})):
        config = recipes(kind, **changes, **more)
        runs.append(new_run(tmp_path / name, config))
        _start(config, runs[-1])
    watched, alone = runs
    ours, theirs = _weights(watched), _weights(alone)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    assert _rows(watched.metrics_path) == _rows(alone.metrics_path)
    assert not alone.shifts_path.exists()
    assert [(row["step"], row["shift"]) for row in _rows(watched.shifts_path)] == [
        (step, shift) for step in (0, 2, 4) for shift in ("none", "rule", "visual")
    ]


@pytest.mark.train
def test_rows_hold_the_figures_and_what_the_run_has_cost_so_far(recipes, new_run, tmp_path):
    config = recipes("sft", shifts=SHIFTS)
    run = new_run(tmp_path / "sft", config)
    _start(config, run)
    rows, metrics = _rows(run.shifts_path), _rows(run.metrics_path)
    none = _of_step(rows, 0)[0]
    assert (none["num_questions"], none["num_samples"], none["task"]) == (6, 1, EVEN)
    assert 0 <= none["success_low"] <= none["success"] <= none["success_high"] <= 1
    assert none["outcome_shares"].keys() <= {"CORRECT_SOLUTION", "NO_SOLUTION"}
    assert 1.0 <= none["mean_replies"] <= 2.0
    # Success of n episodes of at most 2 replies, and right replies of all replies, count the same right replies.
    assert none["success"] * 6 == pytest.approx(none["per_step"] * none["mean_replies"] * 6)
    assert (none["trained_tokens"], none["sampled_tokens"], none["flop"]) == (0, 0, 0)
    last = _of_step(rows, 4)[0]
    assert last["trained_tokens"] == metrics[-1]["num_tokens"] > 0
    assert last["flop"] == 6 * last["num_parameters"] * last["trained_tokens"]


@pytest.mark.train
def test_rollouts_cost_reading_and_every_pass_of_training_over_them(recipes, new_run, tmp_path):
    config = recipes("rl", shifts={**SHIFTS, "shifts": ["none"]}, algorithm__num_iterations=2)
    run = new_run(tmp_path / "rl", config)
    _start(config, run)
    row, metrics = _rows(run.shifts_path)[-1], _rows(run.metrics_path)
    tokens = [row["num_tokens"] for row in metrics if "num_tokens" in row][-1]  # said in the steps that begin with rollouts
    assert (row["sampled_tokens"], row["trained_tokens"]) == (tokens, 2 * tokens)
    assert row["flop"] == row["num_parameters"] * (6 * 2 * tokens + 2 * tokens)


@pytest.mark.train
def test_a_chat_is_paid_for_again_with_each_of_its_replies(recipes, new_run, tmp_path):
    episodes = {
        "episode": {"verify_iterations": 3},
        "rewards": [{"name": "verifier"}],
        "data": {"train": [{"task": EVEN, "num_examples": 8}]},
    }
    config = recipes("rl", shifts={**SHIFTS, "shifts": ["none"]}, **episodes)
    run = new_run(tmp_path / "rl", config)
    _start(config, run)
    row, metrics = _rows(run.shifts_path)[-1], _rows(run.metrics_path)
    tokens = [row["num_tokens"] for row in metrics if "num_tokens" in row][-1]
    assert row["trained_tokens"] == tokens, "prompts and whole chats, once"
    replies = [row["replies"] for row in metrics if "replies" in row]
    assert max(replies) > 1
    # With r replies an episode's prompt is read r times: more than once on average, at most 3 times, and so are the earlier replies.
    assert tokens < row["sampled_tokens"] < 3 * tokens


@pytest.mark.train
@pytest.mark.parametrize("kind", ["sft", "rl"])
def test_an_interrupted_run_ends_with_the_rows_of_a_straight_one(kind, recipes, new_run, tmp_path):
    config = recipes(kind, shifts=SHIFTS, checkpoints__save_total_limit=None)
    straight = new_run(tmp_path / "straight", config)
    _start(config, straight)
    expected = _rows(straight.shifts_path)
    for at_step, kept in ((2, 5), (2, 9), (4, 7)):  # rows of steps after the checkpoint are there, or some of its own are not
        folder = tmp_path / f"from_{at_step}_with_{kept}"
        shutil.copytree(straight.path, folder)
        shutil.rmtree(folder / "final")
        for path in (folder / "checkpoints").iterdir():
            if path.name > f"step_{at_step:06d}":
                shutil.rmtree(path)
        lines = straight.shifts_path.read_text().splitlines(keepends=True)
        (folder / "shifts.jsonl").write_text("".join(lines[:kept]))
        run = open_for_resume(folder, config)
        _start(config, run, resume=True)
        assert _rows(run.shifts_path) == expected, (at_step, kept)


@pytest.mark.train
def test_steps_between_measurements_are_the_recipes_own(recipes, new_run, tmp_path):
    config = recipes("sft", shifts={**SHIFTS, "shifts": ["rule"], "every_steps": 3})
    run = new_run(tmp_path / "run", config)
    _start(config, run)
    assert [row["step"] for row in _rows(run.shifts_path)] == [0, 3, 4], "step 0, every third, the last"


@pytest.mark.train
def test_two_processes_play_the_episodes_of_one(recipes, new_run, tmp_path):
    config = recipes("sft", shifts={**SHIFTS, "num_samples": 2}, training__per_device_train_batch_size=None, training__max_steps=1)
    one = new_run(tmp_path / "one", config)
    _start(config, one)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", str(DRIVE)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "sft", str(tmp_path / "config.json"), str(tmp_path / "two")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first = [_of_step(_rows(run.shifts_path), 0) for run in (one, open_existing(tmp_path / "two"))]
    assert len(first[0]) == 3
    assert first[1] == first[0]


def test_a_run_cut_short_leaves_its_measurement_to_the_resume():
    from vlmpost.training.shift_callback import _is_cut_short

    state = SimpleNamespace(global_step=3, max_steps=10)
    assert _is_cut_short(state, SimpleNamespace(should_training_stop=True))
    assert not _is_cut_short(state, SimpleNamespace(should_training_stop=False))
    state.global_step = 10
    assert not _is_cut_short(state, SimpleNamespace(should_training_stop=True)), "the last step stops every run"


def test_weights_that_no_process_has_whole_are_refused_with_the_way_on():
    for kind in ("none", "ddp", "zero2"):
        check_sharding(kind)
    for kind in ("fsdp2", "zero3"):
        with pytest.raises(ConfigError, match=f"under {kind} no process has all weights.*vlmpost eval"):
            check_sharding(kind)


def test_random_generators_and_modes_are_as_before():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(2, 2))
    model.train()
    model[0].eval()

    def draws():
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(5)
    expected = draws()
    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(5)
    with undisturbed(model):
        draws()
        model.eval()
    assert draws() == expected
    assert (model.training, model[0].training, model[1].training) == (True, False, True)


def test_questions_are_held_out_and_those_of_the_variants():
    drawn = questions(ShiftsConfig(task=EVEN, num_examples=2))
    assert list(drawn) == ["none", "rule", "visual"]
    assert [examples[0].meta["wanted"] for examples in drawn.values()] == ["even", "odd", "even"]
    assert drawn["visual"][0].prompt[-1].text.startswith("bonjour")
    assert {example.meta["split"] for examples in drawn.values() for example in examples} == {"validation"}
