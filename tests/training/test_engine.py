"""Prompts read once for all their completions, through the real trainer: the same rollouts, losses and weights as prompts read anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from vlmpost.models.loader import load
from vlmpost.training.executor import run_rl

sys.path.insert(0, str(Path(__file__).parent))
from watching import Watch, distance, figures, two_processes

pytestmark = pytest.mark.train
HERE = Path(__file__).parent
THREE_STEPS = {
    "rewards": [{"name": f"{HERE / 'length_reward.py'}:vowels"}],
    "algorithm": {"num_generations": 4, "beta": 0.02},
    "generation": {"max_completion_length": 9},
    "training": {"learning_rate": 1e-4, "lr_scheduler_type": "constant", "prompts_per_step": 2, "max_steps": 3},
    "checkpoints": {"save_steps": 100},
}


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch)


@pytest.fixture
def trained(tiny_model, rl_recipe, new_run, tmp_path, watch):
    """Gives `trained(family, section__key=value, ...) -> (completions, losses, weights)` of three steps."""

    def train(family, **changes):
        watch.fresh()
        config = rl_recipe(tiny_model(family), **THREE_STEPS | changes)
        run_rl(config, new_run(tmp_path / f"run_{len(list(tmp_path.glob('run_*')))}", config))
        return watch.completions, watch.losses, watch.weights

    return train


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("qwen2_5_vl", {}),
        ("qwen2_5_vl", {"model__use_peft": True}),
        ("qwen2_5_vl", {"training__gradient_checkpointing": True}),
        ("smolvlm", {"model__freeze_vision_tower": True}),
        ("smolvlm", {"model__use_peft": True, "training__gradient_checkpointing": True}),
        ("gemma3", {}),
    ],
    ids=["qwen-full", "qwen-lora", "qwen-checkpointing", "smolvlm-frozen-tower", "smolvlm-lora-checkpointing", "gemma3-full"],
)
def test_prompts_read_once_train_as_prompts_read_anew(family, changes, trained, watch):
    once = trained(family, training__shared_prompt="on", **changes)
    assert watch.trainer.limits.shared
    anew = trained(family, training__shared_prompt="off", **changes)
    assert not watch.trainer.limits.shared
    _agree(once, anew, losses=1e-5, weights=1e-5)
    assert any(batch.experience.tensors["advantages"].any() for batch in watch.batches)


def _agree(ours, theirs, *, losses, weights):
    """Passes if two trainings sampled the same, had the same losses and came to the same weights."""
    assert len(ours[0]) == 3 and ours[0] == theirs[0]
    assert ours[1] == pytest.approx(theirs[1], abs=losses)
    assert len(set(ours[1])) == 3
    assert distance(ours[2], theirs[2]) < weights


@pytest.mark.parametrize("shared", ["on", "off"])
def test_the_cut_into_forward_passes_changes_no_loss_and_no_weight(shared, trained, watch):
    whole = trained("qwen2_5_vl", training__shared_prompt=shared)
    assert watch.num_passes == [1, 1, 1]
    longest = max(len(prompt.token_ids) for batch in watch.batches for prompt in batch.experience.prompts)
    start = load(watch.trainer.config.model, purpose="rl").model
    moved = distance(whole[2], {name: value for name, value in start.named_parameters() if name in whole[2]})
    assert moved > 1e-4
    # Three completions of 4 fit beside their prompt, or two with a prompt each: every group is split.
    budget = longest + 3 * 9 if shared == "on" else 2 * (longest + 9)
    cuts = ({"training__per_device_train_batch_size": 2}, {"training__max_tokens_per_forward": budget})
    for cut in cuts:
        again = trained("qwen2_5_vl", training__shared_prompt=shared, **cut)
        assert min(watch.num_passes) > 2, cut
        _agree(again, whole, losses=1e-6, weights=1e-6)


@pytest.fixture
def mixed(tmp_path):
    """Rows without an image, with one, and with two of different sizes, in turns."""
    for name, size in (("small", (28, 28)), ("wide", (56, 28))):
        Image.new("RGB", size, (200, 40, 90)).save(tmp_path / f"{name}.png")
    pictures = ([], ["wide.png"], ["small.png", "wide.png"])
    lines = [{"prompt": f"What about number {place}?", "answer": "7", "images": pictures[place % 3]} for place in range(6)]
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"train": [{"path": str(path)}]}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm"])
def test_rows_with_no_image_one_and_several_train_side_by_side(family, mixed, trained, watch):
    kept = {"data": mixed, "training__prompts_per_step": 3}
    once = trained(family, training__shared_prompt="on", **kept)
    images = {prompt.num_images for batch in watch.batches for prompt in batch.experience.prompts}
    assert images == {0, 1, 2}
    anew = trained(family, training__shared_prompt="off", **kept)
    _agree(once, anew, losses=1e-5, weights=1e-5)


@pytest.mark.parametrize(("shared", "num_read"), [("on", 2), ("off", 8)])
def test_the_tower_reads_each_image_once_for_all_completions(shared, num_read, trained, watch, monkeypatch):
    # Two prompts of one image and four completions: an update reads 2 images, or 8.
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel as Tower

    seen = []
    forward = Tower.forward

    def counted(tower, hidden_states, grid_thw, **kwargs):
        if torch.is_grad_enabled():
            seen.append(len(grid_thw))
        return forward(tower, hidden_states, grid_thw=grid_thw, **kwargs)

    monkeypatch.setattr(Tower, "forward", counted)
    trained("qwen2_5_vl", training__shared_prompt=shared)
    assert [prompt.num_images for prompt in watch.batches[0].experience.prompts] == [1, 1]
    assert seen == [num_read] * 3


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_process_that_has_no_image_keeps_step_with_one_that_has(checkpointing, mixed, tiny_model, rl_recipe, new_run, tmp_path, watch):
    # Three prompts in turns with no image, one and two; a group on each process: in some step one of them reads text alone.
    changes = {"data": mixed, "training__gradient_checkpointing": checkpointing, "training__shared_prompt": "on", "training__seed": 1}
    config = rl_recipe(tiny_model("qwen2_5_vl"), **THREE_STEPS | changes)
    one = new_run(tmp_path / "one", config)
    run_rl(config, one)
    assert any({prompt.num_images > 0 for prompt in batch.experience.prompts} == {False, True} for batch in watch.batches)
    two = two_processes(config, tmp_path / "two", timeout_seconds=120)
    assert figures(two, "loss") == pytest.approx(figures(one, "loss"), abs=1e-5)
