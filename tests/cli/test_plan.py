"""The plan's numbers, by hand."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from vlmpost.cli.plan import num_sequences
from vlmpost.config.batch import plan_rl
from vlmpost.config.schema import RlConfig

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_a_plan_counts_steps_tokens_and_memory(cli: Cli, recipe: Path) -> None:
    said = cli("plan", "r.yaml", "--json", "--set", "training.prompts_per_step=4", "--set", "generation.max_completion_length=100")
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)
    assert told["kind"] == "rl"
    assert told["num_steps"] == 10  # 40 questions, 4 a step
    assert told["sequences_per_step"] == 32
    # 10 steps x 32 completions x (mean prompt + 100) tokens, the means rounded to a tenth in the answer
    by_hand = 10 * 32 * (told["text_tokens"] + told["image_tokens"] + 100)
    assert abs(told["total_tokens"] - by_hand) < 10 * 32 * 0.1
    phases = told["memory_bytes"]
    assert set(phases) == {"sampling", "update"}
    weights = told["num_parameters"] * 4
    assert phases["update"]["weights"] == weights
    assert phases["update"]["gradients"] == told["num_trainable_parameters"] * 4
    assert phases["update"]["optimizer"] == told["num_trainable_parameters"] * 8
    assert phases["update"]["total"] == sum(size for part, size in phases["update"].items() if part != "total")
    assert phases["update"]["reference"] == 0


def test_sequences_of_a_guided_run_are_its_rollouts_and_the_most_traces_there_can_be() -> None:
    def planned(preset: str, **steps: int) -> int:
        recipe = {
            "data": {"train": [{"task": "counting", "num_examples": 100}]},
            "rewards": [{"name": "accuracy"}],
            "algorithm": {"num_generations": 8},
            "training": {"prompts_per_step": 10, **steps},
            "guidance": {"preset": preset, "traces": {"per_step": 7}} if preset == "chord_mu" else {"preset": preset},
        }
        config = RlConfig.model_validate(recipe)
        batch = plan_rl(config.training, config.algorithm, world_size=1, guidance=config.guidance)
        return num_sequences(config, batch, steps=6)

    assert planned("progressive") == 6 * 80
    assert planned("interleaved") == 3 * 80 + 3 * 10  # in turns: three steps on rollouts, three on at most every question's trace
    assert planned("interleaved", num_mini_batches=2) == 4 * 40 + 2 * 10
    assert planned("luffy") == 6 * (80 + 10)
    assert planned("chord_mu") == 6 * (80 + 7)


def test_a_reference_model_is_counted_and_adapters_shrink_the_optimizer(cli: Cli, recipe: Path) -> None:
    full = json.loads(cli("plan", "r.yaml", "--json", "--set", "algorithm.beta=0.1").stdout)
    assert full["memory_bytes"]["update"]["reference"] == full["memory_bytes"]["update"]["weights"]
    lora = json.loads(cli("plan", "r.yaml", "--json", "--set", "model.use_peft=true", "--set", "model.lora_r=2").stdout)
    assert lora["num_trainable_parameters"] < full["num_trainable_parameters"] / 10
    assert lora["memory_bytes"]["update"]["reference"] == 0


def test_sft_has_one_phase(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("data: {train: [{task: counting, num_examples: 40}]}\n")
    told = json.loads(cli("plan", "s.yaml", "--json").stdout)
    assert told["kind"] == "sft"
    assert set(told["memory_bytes"]) == {"update"}
    assert told["num_steps"] == 2  # 40 examples, 32 a step


def test_a_plan_downloads_nothing(cli: Cli, recipe: Path) -> None:
    said = cli("plan", "r.yaml", "--set", "model.path=owner/model")
    assert said.returncode == 2
    assert "owner/model: not a folder on this machine" in said.stderr
