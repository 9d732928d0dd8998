"""Whole runs on tiny models: what they leave behind, and how they end when something is wrong."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
from pathlib import Path

import pytest
import torch

from vlmpost import jsonl
from vlmpost.config.schema import ModelConfig
from vlmpost.errors import DataError, GraderError, RunError, TrainingStopped
from vlmpost.models.loader import load
from vlmpost.runs.status import read_status
from vlmpost.training import checkpointing, exact
from vlmpost.training.executor import run_rl, run_sft
from vlmpost.training.policy import PolicyTrainer
from vlmpost.training.sft import SupervisedTrainer

FAMILIES = ("gemma3", "idefics3", "internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm")
pytestmark = pytest.mark.train


def _rows(path):
    return [row for _, row in jsonl.read(path)]


def _logits(folder):
    """The logits of a loaded folder on one drawn question."""
    from vlmpost import tasks
    from vlmpost.data.conversation import to_messages
    from vlmpost.media.images import open_image
    from vlmpost.models.generation import encode

    loaded = load(ModelConfig(path=str(folder), device="cpu"), purpose="eval")
    example = tasks.make("card_sums", split="test", index=0, difficulty=1)
    inputs = encode(loaded.processor, [to_messages(example, instruction=None)], [[open_image(ref) for ref in example.images]])
    with torch.no_grad():
        return loaded.model(**inputs).logits


@pytest.fixture
def trained(monkeypatch):
    """The trainers made during a test."""
    made = []
    for kind in (SupervisedTrainer, PolicyTrainer):
        original = kind.__init__
        monkeypatch.setattr(kind, "__init__", lambda self, _original=original, **kwargs: made.append(self) or _original(self, **kwargs))
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_of_sft_then_a_step_of_grpo_saves_and_reloads_with_the_same_logits(
    family, tiny_model, sft_recipe, rl_recipe, new_run, tmp_path, trained
):
    one_step = {"training__max_steps": 1, "data": {"train": [{"task": "card_sums", "num_examples": 4, "difficulties": [1]}]}}
    config = sft_recipe(tiny_model(family), **one_step)
    first = run_sft(config, new_run(tmp_path / "sft", config))
    config = rl_recipe(first, **one_step, training__num_mini_batches=1, training__prompts_per_step=2)
    final = run_rl(config, new_run(tmp_path / "rl", config))
    before, after_sft, after_rl = _logits(tiny_model(family)), _logits(first), _logits(final)
    assert not torch.equal(before, after_sft)
    assert not torch.equal(after_sft, after_rl)
    assert torch.equal(_logits(tmp_path / "rl" / "checkpoints" / "step_000001"), after_rl)
    live = trained[-1].model.eval()
    for (name, kept), (_, loaded) in zip(
        live.state_dict().items(), load(ModelConfig(path=str(final), device="cpu"), purpose="eval").model.state_dict().items(), strict=True
    ):
        assert torch.equal(kept, loaded), name


def test_an_rl_run_leaves_metrics_rollouts_images_and_a_status(tiny_model, rl_recipe, new_run, tmp_path):
    config = rl_recipe(tiny_model("qwen2_5_vl"), generation__seeding="sample")
    run = new_run(tmp_path / "run", config)
    assert run_rl(config, run) == run.final_dir
    rows = _rows(run.metrics_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    expected = {"loss", "reward", "kl", "entropy", "grad_norm", "learning_rate", "length_tokens", "truncated_share", "flat_group_share"}
    expected |= {"rewards/accuracy/mean", "rewards/vowels/mean", "seconds/update", "memory_gib", "attempt"}
    assert expected <= set(rows[0])
    assert {"seconds/generate", "seconds/score", "seconds/logps", "accuracy", "parse_failure_share"} <= set(rows[0])
    rollouts = _rows(run.rollouts_path)
    assert [row["step"] for row in rollouts] == [1] * 4 + [2] * 4 + [4] * 4 + [6] * 4
    assert (run.path / rollouts[0]["images"][0]).is_file()
    assert set(rollouts[0]["parts"]) == {"accuracy", "vowels"}
    group = [row for row in rollouts[:4] if row["id"] == rollouts[0]["id"]]
    assert [row["sample"] for row in group] == [0, 1]
    assert sum(row["advantage"] for row in group) == pytest.approx(0.0, abs=1e-5)
    status = read_status(run)
    assert (status["state"], status["step"], status["num_steps"]) == ("finished", 6, 6)
    assert [path.name for path in run.checkpoints()] == ["step_000004", "step_000006"]
    assert not list(run.path.rglob(".tmp-*")) and not (run.path / "README.md").exists()


def test_shaped_rewards_per_completion_token_and_group_train_together(tiny_model, rl_recipe, new_run, tmp_path):
    rewards = [
        {"name": "cosine_length", "params": {"preset": "trl"}},
        {"name": "ngram_repetition_per_token", "weight": 0.5, "params": {"ngram_size": 1}},
        {"name": "length_group"},
    ]
    config = rl_recipe(tiny_model("qwen2_5_vl"), rewards=rewards, training__max_steps=1)
    run = new_run(tmp_path / "run", config)
    run_rl(config, run)
    metrics, rollouts = _rows(run.metrics_path)[0], _rows(run.rollouts_path)
    for row in rollouts:  # every answer is wrong, the budget is 6 tokens
        wave = -0.5 - 0.25 * (1 + math.cos(math.pi * row["num_tokens"] / 6))
        lengths = [other["num_tokens"] for other in rollouts if other["id"] == row["id"]]
        spread = max(lengths) - min(lengths)
        rank = min(0.0, 0.5 - (row["num_tokens"] - min(lengths)) / spread) if spread else 0.0
        parts = row["parts"]
        assert (parts["cosine_length"], parts["length_group"]) == pytest.approx((wave, rank))
        assert row["reward"] == pytest.approx(wave + rank + 0.5 * parts["ngram_repetition_per_token"])
    assert metrics["judge_timeout_share"] == 0.0


@pytest.fixture
def mixed(tmp_path):
    """Sources with one question that has an image and one that has none."""
    path = tmp_path / "mixed.jsonl"
    path.write_text(json.dumps({"id": "t", "question": "What is 1 + 1?", "answer": "2", "solution": "2"}) + "\n")
    return {"train": [{"task": "card_sums", "num_examples": 1, "difficulties": [1]}, {"path": str(path)}]}


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"])
def test_every_loss_type_trains(loss_type, tiny_model, rl_recipe, new_run, tmp_path):
    config = rl_recipe(tiny_model("qwen2_5_vl"), algorithm__loss_type=loss_type, training__max_steps=2)
    run = new_run(tmp_path / "run", config)
    run_rl(config, run)
    assert len(_rows(run.metrics_path)) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_with_and_without_images_train_side_by_side(family, mixed, tiny_model, sft_recipe, rl_recipe, new_run, tmp_path):
    one_step = {"data": mixed, "training__max_steps": 1}
    config = sft_recipe(tiny_model(family), **one_step, training__examples_per_step=2, training__per_device_train_batch_size=1)
    run_sft(config, new_run(tmp_path / "sft", config))
    config = rl_recipe(tiny_model(family), **one_step, training__num_mini_batches=1, training__per_device_train_batch_size=2)
    run = new_run(tmp_path / "rl", config)
    run_rl(config, run)
    assert {bool(row["images"]) for row in _rows(run.rollouts_path)} == {True, False}


def test_sft_trains_only_the_completion_and_cuts_nothing(tiny_model, sft_recipe, new_run, tmp_path, trained):
    config = sft_recipe(tiny_model("qwen2_5_vl"), training__max_steps=1)
    run_sft(config, new_run(tmp_path / "run", config))
    labels, ids = trained[0].last_inputs["labels"], trained[0].last_inputs["input_ids"]
    tokenizer = trained[0].processing_class.tokenizer
    kept = [tokenizer.decode(row[row != -100]) for row in labels]
    whole = tokenizer.batch_decode(ids)
    for text, full in zip(kept, whole, strict=True):
        assert text.startswith("<think>") and "boxed" in text and "<|im_end|>" in text
        assert text in full and "<|image_pad|>" not in text


def test_the_sft_loss_weighs_every_token_of_a_step_alike(tiny_model, sft_recipe, new_run, tmp_path):
    losses = []
    for micro_batch in (4, 1):
        config = sft_recipe(tiny_model("qwen2_5_vl"), training__max_steps=1, training__per_device_train_batch_size=micro_batch)
        run = new_run(tmp_path / f"of_{micro_batch}", config)
        run_sft(config, run)
        losses.append(_rows(run.metrics_path)[0]["loss"])
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


def test_fewer_prompts_than_a_step_needs_is_one_sentence(tiny_model, rl_recipe, new_run, tmp_path):
    config = rl_recipe(tiny_model("qwen2_5_vl"), training__prompts_per_step=8)
    run = new_run(tmp_path / "run", config)
    with pytest.raises(DataError, match=r"prompts left: 5, and one step needs training.prompts_per_step = 8"):
        run_rl(config, run)
    assert read_status(run)["state"] == "failed"


def test_a_reward_that_raises_stops_the_run_and_names_reward_and_example(tiny_model, rl_recipe, new_run, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("def broken(rollout) -> float:\n    return 1 / 0\n")
    config = rl_recipe(tiny_model("qwen2_5_vl"), rewards=[{"name": f"{broken}:broken"}])
    run = new_run(tmp_path / "run", config)
    with pytest.raises(GraderError, match=r"broken.*card_sums.*ZeroDivisionError"):
        run_rl(config, run)
    assert read_status(run)["state"] == "failed"


def test_a_signal_finishes_the_cycle_saves_and_exits_130(tiny_model, rl_recipe, new_run, tmp_path, monkeypatch):
    original = PolicyTrainer.training_step

    def interrupted(self, *args, **kwargs):
        if self.state.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            monkeypatch.setattr(PolicyTrainer, "training_step", original)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(PolicyTrainer, "training_step", interrupted, raising=False)
    config = rl_recipe(tiny_model("qwen2_5_vl"), checkpoints__save_steps=6)
    run = new_run(tmp_path / "run", config)
    with pytest.raises(TrainingStopped, match=r"stopped by a signal after step 4 of 6.*--resume") as stopped:
        run_rl(config, run)
    assert stopped.value.exit_code == 130
    assert [path.name for path in run.checkpoints()] == ["step_000004"]
    assert read_status(run)["state"] == "stopped"


@pytest.mark.parametrize("kind", ["sft", "rl"])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(kind, tiny_model, sft_recipe, rl_recipe, new_run, tmp_path, monkeypatch):
    recipe, start = {"sft": (sft_recipe, run_sft), "rl": (rl_recipe, run_rl)}[kind]
    trainer = {"sft": exact.ExactTrainer, "rl": PolicyTrainer}[kind]
    original = trainer.compute_loss
    seen = {}

    def poisoned(self, model, inputs, *args, **kwargs):
        loss = original(self, model, inputs, *args, **kwargs)
        if self.state.global_step < 3:
            return loss
        seen.setdefault("weights", [parameter.detach().clone() for parameter in self.model.parameters()])
        seen["trainer"] = self
        return loss * float("nan")

    monkeypatch.setattr(trainer, "compute_loss", poisoned)
    config = recipe(tiny_model("qwen2_5_vl"))
    run = new_run(tmp_path / "run", config)
    with pytest.raises(TrainingStopped, match=r"step 4: the loss is nan.*step_000002 is intact") as stopped:
        start(config, run)
    assert stopped.value.exit_code == 3
    assert (run.logs_dir / "batch_step_000004_rank_0.safetensors").is_file()
    assert [row["step"] for row in _rows(run.metrics_path)] == [1, 2, 3]
    for before, after in zip(seen["weights"], seen["trainer"].model.parameters(), strict=True):
        assert torch.equal(before, after)


def test_a_full_disk_stops_with_a_sentence_and_leaves_the_checkpoint_before(tiny_model, sft_recipe, new_run, tmp_path, monkeypatch):
    original = checkpointing.seal

    def full(folder, *, step, world_size):
        if step == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(folder, step=step, world_size=world_size)

    monkeypatch.setattr(checkpointing, "seal", full)
    config = sft_recipe(tiny_model("qwen2_5_vl"))
    run = new_run(tmp_path / "run", config)
    with pytest.raises(
        RunError, match=r"step_000004: the checkpoint could not be written \(No space left on device\).*step_000002, is whole"
    ):
        run_sft(config, run)
    assert [path.name for path in run.checkpoints()] == ["step_000002"]
    assert checkpointing.fault(run.checkpoint_path(2)) is None
    assert not list(run.path.rglob(".tmp-*"))


def test_a_fatal_finding_stops_the_run_with_weights_and_batch_saved(tiny_model, rl_recipe, new_run, tmp_path, monkeypatch):
    from vlmpost.training.rollouts import batch as rollouts

    original = rollouts.figures
    monkeypatch.setattr(
        "vlmpost.training.policy.figures", lambda batch, **keys: original(batch, **keys) | {"image_token_share": (1.0, 4.0)}
    )
    config = rl_recipe(tiny_model("qwen2_5_vl"))
    run = new_run(tmp_path / "run", config)
    with pytest.raises(TrainingStopped, match=r"the doctor stopped the run after step 1: emitted image tokens: 25.0%") as stopped:
        run_rl(config, run)
    assert stopped.value.exit_code == 3
    assert run.checkpoint_path(1).is_dir()
    assert (run.logs_dir / "batch_step_000001_rank_0.safetensors").is_file()


def test_only_warned_findings_let_the_run_go_on(tiny_model, rl_recipe, new_run, tmp_path, monkeypatch):
    from vlmpost.training.rollouts import batch as rollouts

    original = rollouts.figures
    monkeypatch.setattr(
        "vlmpost.training.policy.figures", lambda batch, **keys: original(batch, **keys) | {"image_token_share": (1.0, 4.0)}
    )
    config = rl_recipe(tiny_model("qwen2_5_vl"), logging__doctor="warn", training__max_steps=2)
    run = new_run(tmp_path / "run", config)
    assert run_rl(config, run).is_dir()


def test_the_kl_term_of_a_merged_adapter_compares_with_the_merged_weights(tiny_model, sft_recipe, rl_recipe, new_run, tmp_path, trained):
    lora = sft_recipe(tiny_model("qwen2_5_vl"), model__use_peft=True, training__max_steps=2)
    adapter = run_sft(lora, new_run(tmp_path / "sft", lora))
    assert (Path(adapter) / "adapter_model.safetensors").is_file()
    config = rl_recipe(adapter, training__max_steps=2, training__num_mini_batches=1, algorithm__beta=0.1)
    run = new_run(tmp_path / "rl", config)
    run_rl(config, run)
    assert _rows(run.metrics_path)[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert _rows(run.metrics_path)[1]["kl"] > 1e-6
