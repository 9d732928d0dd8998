"""What sharding would do to rows with and without images in one run, and that it is refused before it can; PPO with all it needs.

The head's gradient under FSDP2 is in `test_resume.py`, which has the one-process run to compare with.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vlmpost.runs.directory import open_existing
from vlmpost.runs.metrics import read_metrics
from vlmpost.training.executor import run_rl

pytestmark = pytest.mark.train
DRIVE = Path(__file__).parent / "drive_fsdp2.py"


def _on_two_processes(*arguments):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port]
    command = [*launcher, str(DRIVE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_mixed_rows_are_refused_under_fsdp2_where_they_would_send_the_processes_apart(tiny_model, sft_recipe, tmp_path):
    texts = [{"id": str(n), "prompt": f"{n} + 1 = ?", "answer": str(n + 1), "solution": f"It is {n + 1}."} for n in range(4)]
    (tmp_path / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    sources = [{"task": "card_sums", "num_examples": 4}, {"path": str(tmp_path / "text.jsonl")}]
    config = sft_recipe(
        tiny_model("qwen2_5_vl"),
        data={"train": sources},
        training={"learning_rate": 1e-3, "examples_per_step": 2, "max_steps": 4, "per_device_train_batch_size": 1},
    )
    (tmp_path / "config.json").write_text(config.model_dump_json())
    guarded = _on_two_processes("sft", tmp_path / "config.json", tmp_path / "guarded")
    assert guarded.stderr.startswith("error: data: rows with and without images are mixed, and under fsdp2")
    unguarded = _on_two_processes("sft", tmp_path / "config.json", tmp_path / "unguarded", "--unguarded")
    assert unguarded.returncode != 0
    assert "collective mismatch" in unguarded.stderr, "one process gathers the vision tower while the other gathers the language model"
    assert not open_existing(tmp_path / "unguarded").final_dir.exists()


def test_a_critic_of_its_own_beside_a_frozen_vision_tower_trains_under_fsdp2_as_on_one_process(tiny_model, rl_recipe, new_run, tmp_path):
    config = rl_recipe(
        tiny_model("qwen2_5_vl"),
        model__freeze_vision_tower=True,
        algorithm={"kind": "ppo", "critic": "separate", "num_generations": 2, "beta": 0.02},
        training__max_steps=2,
    )
    one = new_run(tmp_path / "one", config)
    run_rl(config, one)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    sharded = _on_two_processes("rl", tmp_path / "config.json", tmp_path / "two")
    assert sharded.returncode == 0, sharded.stderr[-3000:]
    for name in ("loss", "value_loss", "grad_norm"):
        series = [[row[name] for row in read_metrics(run)] for run in (one, open_existing(tmp_path / "two"))]
        assert series[1] == pytest.approx(series[0], rel=1e-4, abs=1e-5), name
        assert len(series[0]) == 2 and all(series[0]), name
