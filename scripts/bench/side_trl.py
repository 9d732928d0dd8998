"""`python side_trl.py SETTING.json OUT`: the shortest plain TRL script that does what a setting of `two_sides.py` says, with a `StepClock`.

vlmpost gives the processor (transformers cannot load it without torchvision) and the clock, which is hung on the trainer's own methods
from outside. OUT gets a row for each step. TRL has no PPO for models that see; PPO is compared with TRL's GRPO.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features, Image, List, Value
from gpu_shapes import random_model
from step_clock import StepClock, split_generation
from transformers import AutoModelForImageTextToText, Trainer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer
from two_sides import Setting

from vlmpost.config.schema import ModelConfig
from vlmpost.models.families import vision_token_ids
from vlmpost.models.loader import freeze, load_processor, read_family

MESSAGES = [{"role": Value("string"), "content": [{"type": Value("string"), "text": Value("string")}]}]


class Recorder(TrainerCallback):
    """Closes the clock's row when a step is logged."""

    def __init__(self, clock: StepClock) -> None:
        self.clock = clock

    def on_log(self, *args: object, logs: dict[str, float] | None = None, **kwargs: object) -> None:  # noqa: ARG002
        if logs and "loss" in logs:
            self.clock.drain()
            length, std = logs.get("completions/mean_length"), logs.get("reward_std")
            self.clock.note(loss=logs["loss"], length=length, reward_std=std, num_tokens=logs.get("num_tokens"))


def rows(setting: Setting) -> Dataset:
    """The stored rows; images are decoded by `datasets` when they are asked for."""
    path = Path(setting.rows)
    table = []
    for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        content = [*({"type": "image", "text": None} for _ in row["images"]), {"type": "text", "text": row["prompt"]}]
        table.append({"prompt": [{"role": "user", "content": content}]})
        if row["images"]:
            table[-1]["images"] = [{"path": str(path.parent / name), "bytes": None} for name in row["images"]]
        if setting.kind == "sft":
            table[-1]["completion"] = [{"role": "assistant", "content": [{"type": "text", "text": row["solution"]}]}]
    features = {"prompt": MESSAGES}
    features |= {"images": List(Image())} if "images" in table[0] else {}
    features |= {"completion": MESSAGES} if setting.kind == "sft" else {}
    return Dataset.from_list(table, features=Features(features))


def trainer_of(setting: Setting, folder: str, clock: StepClock) -> Trainer:
    """TRL's trainer, as one would write it."""
    dtype = torch.bfloat16 if setting.device == "cuda" else torch.float32
    if setting.random_weights:
        model = random_model(Path(setting.model), device=torch.device(setting.device), dtype=dtype, attention="sdpa")
    else:
        model = AutoModelForImageTextToText.from_pretrained(setting.model, dtype=dtype)
    processor, family = load_processor(ModelConfig(path=setting.model)), read_family(Path(setting.model))
    freeze(model, family, vision_tower=not setting.train_vision, projector=not setting.train_vision)
    shared: dict[str, Any] = {  # Any: arguments of SFTConfig and GRPOConfig
        "output_dir": folder, "max_steps": setting.steps, "logging_steps": 1, "use_cpu": setting.device == "cpu",
        "bf16": setting.device == "cuda", "gradient_checkpointing": setting.gradient_checkpointing, "lr_scheduler_type": "cosine",
        "report_to": "none", "disable_tqdm": True, "save_strategy": "no", "seed": setting.seed, "learning_rate": setting.learning_rate,
        "dataloader_pin_memory": setting.device == "cuda", "per_device_train_batch_size": setting.rows_per_forward,
        "gradient_accumulation_steps": setting.num_sequences // setting.rows_per_forward,
    }  # fmt: skip
    common = {"model": model, "train_dataset": rows(setting), "processing_class": processor, "callbacks": [Recorder(clock)]}
    if setting.kind == "sft":
        return SFTTrainer(args=SFTConfig(**shared, max_length=None), **common)
    args = GRPOConfig(
        **shared, num_generations=setting.num_generations, max_completion_length=setting.num_completion_tokens,
        generation_kwargs={"suppress_tokens": list(vision_token_ids(family, processor.tokenizer))},
    )  # fmt: skip
    return GRPOTrainer(args=args, reward_funcs=_reward(Path(setting.rows).with_name("own_reward.py")), **common)


def _reward(path: Path) -> Callable[..., list[float]]:
    spec = importlib.util.spec_from_file_location("own_reward", path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def hashed(completions: list[list[dict[str, str]]], **kwargs: object) -> list[float]:  # noqa: ARG001
        return [module.value(completion[0]["content"]) for completion in completions]

    return hashed


def hang(clock: StepClock, trainer: Any) -> None:  # Any: the methods are TRL's own
    """Counts the trainer's methods as the phases that vlmpost's trainer has."""
    names = {"training_step": "update"}
    if isinstance(trainer, GRPOTrainer):
        names |= {"_prepare_inputs": "prepare", "_generate_single_turn": "generate", "_calculate_rewards": "score"}
        names |= {"_get_per_token_logps_and_entropies": "logps"}
    for method, phase in names.items():
        setattr(trainer, method, _timed(clock, getattr(trainer, method), phase))


def _timed(clock: StepClock, method: Callable[..., Any], phase: str) -> Callable[..., Any]:
    """The method as a phase; log-probabilities with gradients are part of the update."""

    def timed(*args: Any, **kwargs: Any) -> Any:  # Any: as the method
        with clock.phase("update" if phase == "logps" and torch.is_grad_enabled() else phase):
            return method(*args, **kwargs)

    return timed


def main(setting: Setting, out: Path) -> None:
    """Trains and writes the rows."""
    clock = StepClock(memory_step=setting.memory_step)
    split_generation(clock)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(setting, folder, clock)
        hang(clock, trainer)
        trainer.train()
    clock.write(out)


if __name__ == "__main__":
    main(Setting(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), Path(sys.argv[2]))
