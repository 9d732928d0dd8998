"""The shortest TRL script that does what the SFT recipe of `step_time.py` says: its other side.

`python plain_trl.py STEPS OUT.json` writes {"losses": [...], "times": [...], "cpu_times": [...]}. vlmpost gives the drawn rows and the
processor (transformers cannot load it without torchvision); the training is TRL's own.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value
from transformers import AutoModelForImageTextToText, TrainerCallback
from trl import SFTConfig, SFTTrainer

from vlmpost import tasks
from vlmpost.config.schema import ModelConfig
from vlmpost.data.conversation import to_messages
from vlmpost.models.loader import NANO_DIR, load_processor

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


def rows() -> Dataset:
    """256 drawn rows with their images as PNG, decoded by `datasets` when they are asked for."""
    examples = list(tasks.stream("card_sums", split="train", seed=0, num_examples=256, difficulties=[1, 2, 3, 4, 5]))
    table = [
        {
            "prompt": [
                {**message, "content": [{"type": block["type"], "text": block.get("text")} for block in message["content"]]}
                for message in to_messages(example, instruction=None)
            ],
            "images": [{"bytes": image.data} for image in example.images],
            "completion": [{"role": "assistant", "content": [{"type": "text", "text": example.solution}]}],
        }
        for example in examples
    ]
    return Dataset.from_list(table, features=Features({"prompt": MESSAGES, "images": List(Image()), "completion": MESSAGES}))


def main(steps: int, out: Path) -> None:
    """Trains and writes losses and times."""
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        args = SFTConfig(
            output_dir=folder, max_steps=steps, logging_steps=1, bf16=False, use_cpu=True, gradient_checkpointing=False,
            lr_scheduler_type="cosine", report_to="none", disable_tqdm=True, save_strategy="no", seed=42, dataloader_pin_memory=False,
            per_device_train_batch_size=16, learning_rate=1e-4, max_length=None,
        )  # fmt: skip
        trainer = SFTTrainer(
            model=AutoModelForImageTextToText.from_pretrained(NANO_DIR),
            args=args,
            train_dataset=rows(),
            processing_class=load_processor(ModelConfig()),
            callbacks=[stopwatch],
        )
        trainer.train()
    out.write_text(json.dumps({"losses": stopwatch.losses, "times": stopwatch.times, "cpu_times": stopwatch.cpu_times}), encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
