"""The shortest TRL scripts that do what the benchmark recipes say: the other side of `step_time.py`.

`python plain_trl.py sft|rl STEPS OUT.json` writes {"losses": [...], "times": [...], "cpu_times": [...]}. vlmpost gives the drawn rows,
the judge and the processor (transformers cannot load it without torchvision); the training is TRL's own.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value
from transformers import AutoModelForImageTextToText, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from vlmpost import tasks
from vlmpost.answers import judge
from vlmpost.config.schema import ModelConfig
from vlmpost.data.conversation import to_messages
from vlmpost.models.families import vision_token_ids
from vlmpost.models.loader import NANO_DIR, load_processor, read_family

MESSAGES = [{"role": Value("string"), "content": [{"type": Value("string"), "text": Value("string")}]}]


class Stopwatch(TrainerCallback):
    """Notes loss and time of each step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.times: list[float] = []
        self.cpu_times: list[float] = []

    def on_log(self, *args: object, logs: dict[str, float] | None = None, **kwargs: object) -> None:  # noqa: ARG002
        if logs and "loss" in logs:
            self.losses.append(logs["loss"])
            self.times.append(time.time())
            self.cpu_times.append(time.process_time())


def rows(kind: str) -> Dataset:
    """256 drawn rows with their images as PNG, decoded by `datasets` when they are asked for."""
    examples = list(tasks.stream("card_sums", split="train", seed=0, num_examples=256, difficulties=[1, 2, 3, 4, 5]))
    table = [
        {
            "prompt": [
                {**message, "content": [{"type": block["type"], "text": block.get("text")} for block in message["content"]]}
                for message in to_messages(example, instruction=None)
            ],
            "images": [{"bytes": image.data} for image in example.images],
            **({"completion": [{"role": "assistant", "content": [{"type": "text", "text": example.solution}]}]} if kind == "sft" else {}),
            **({"answer": example.answer} if kind == "rl" else {}),
        }
        for example in examples
    ]
    features = {"prompt": MESSAGES, "images": List(Image())}
    features |= {"completion": MESSAGES} if kind == "sft" else {"answer": Value("string")}
    return Dataset.from_list(table, features=Features(features))


def correct(completions: list[list[dict[str, str]]], answer: list[str], **kwargs: object) -> list[float]:  # noqa: ARG001
    """1.0 for a right answer."""
    pairs = zip(completions, answer, strict=True)
    return [float(judge(completion[0]["content"], answer=gold, answer_type="number").correct) for completion, gold in pairs]


def main(kind: str, steps: int, out: Path) -> None:
    """Trains and writes losses and times."""
    model = AutoModelForImageTextToText.from_pretrained(NANO_DIR)
    processor = load_processor(ModelConfig())
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        shared = {
            "output_dir": folder, "max_steps": steps, "logging_steps": 1, "bf16": False, "use_cpu": True, "gradient_checkpointing": False,
            "lr_scheduler_type": "cosine", "report_to": "none", "disable_tqdm": True, "save_strategy": "no", "seed": 42,
            "dataloader_pin_memory": False,
        }  # fmt: skip
        if kind == "sft":
            args = SFTConfig(**shared, per_device_train_batch_size=16, learning_rate=1e-4, max_length=None)
            trainer = SFTTrainer(model=model, args=args, train_dataset=rows(kind), processing_class=processor, callbacks=[stopwatch])
        else:
            suppressed = vision_token_ids(read_family(NANO_DIR), processor.tokenizer)
            args = GRPOConfig(
                **shared, per_device_train_batch_size=64, num_generations=8, max_completion_length=48, learning_rate=1e-5,
                generation_kwargs={"suppress_tokens": list(suppressed)},
            )  # fmt: skip
            trainer = GRPOTrainer(
                model=model, args=args, reward_funcs=correct, train_dataset=rows(kind), processing_class=processor, callbacks=[stopwatch]
            )
        trainer.train()
    out.write_text(json.dumps({"losses": stopwatch.losses, "times": stopwatch.times, "cpu_times": stopwatch.cpu_times}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
