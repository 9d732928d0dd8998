"""Builds the nano VLM from nothing: `scripts/build_nano` calls this.

Draws the training problems, trains tokenizer and model on one CPU core, measures the result and writes the folder in one
rename. The same seed gives the same weights on the same machine and library versions.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import time
from pathlib import Path

import torch
import transformers
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from vlmpost.models import nano_skill
from vlmpost.models.nano_folder import new_model, train_tokenizer, write_folder
from vlmpost.models.nano_training import DESCRIBE, Schedule, describe, lessons, train
from vlmpost.tasks import DIFFICULTIES, make
from vlmpost.tasks.answered import direct_solution
from vlmpost.tasks.pictures import TASKS as PICTURES

logger = logging.getLogger(__name__)

_QUESTIONS_PER_CELL = 15
_SKILL_SEED = 1


def main() -> None:
    """Build the folder that the command line asks for."""
    arguments = _parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(1)
    schedule = Schedule(
        seed=arguments.seed,
        num_vision_steps=arguments.vision_steps,
        num_steps=arguments.steps,
        num_describing_steps=arguments.describing_steps,
        direct_share=arguments.direct_share,
        examples_per_cell=arguments.examples_per_cell,
        learning_rate=arguments.learning_rate,
    )
    start = time.monotonic()
    tokenizer, model = build(schedule)
    minutes = (time.monotonic() - start) / 60
    skill = nano_skill.table(measure(model, tokenizer, num_per_cell=arguments.questions_per_cell))
    logger.info("measured:\n%s", skill)
    write_folder(model, tokenizer, arguments.out, card=card(model, tokenizer, schedule=schedule, minutes=minutes, skill=skill))
    logger.info("wrote %s", arguments.out)


def build(schedule: Schedule) -> tuple[Qwen2Tokenizer, Qwen2_5_VLForConditionalGeneration]:
    """Return the trained tokenizer and model."""
    tokenizer = train_tokenizer(_texts(schedule.seed))
    logger.info("tokenizer: %d entries", len(tokenizer))
    pool = lessons(tokenizer, seed=schedule.seed, examples_per_cell=schedule.examples_per_cell)
    model = new_model(tokenizer, seed=schedule.seed)
    logger.info("pool: %d problems; model: %d parameters", len(pool), model.num_parameters())
    train(model, tokenizer, pool, schedule=schedule)
    return tokenizer, model


def measure(
    model: Qwen2_5_VLForConditionalGeneration, tokenizer: Qwen2Tokenizer, *, num_per_cell: int = _QUESTIONS_PER_CELL
) -> list[nano_skill.Sampled]:
    """Return 16 samples of each validation question."""
    examples = nano_skill.questions(num_per_cell, split="validation", seed=_SKILL_SEED)
    return nano_skill.sample(model, tokenizer, examples, seed=_SKILL_SEED)


def card(model: Qwen2_5_VLForConditionalGeneration, tokenizer: Qwen2Tokenizer, *, schedule: Schedule, minutes: float, skill: str) -> str:
    """Return the model card."""
    settings = "\n".join(f"| {name} | {value} |" for name, value in dataclasses.asdict(schedule).items())
    return f"""\
---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# nano: a small vision-language model for trying out post-training

A Qwen2.5-VL of {model.num_parameters():,} parameters, trained from nothing on drawn pictures by `scripts/build_nano`. It is a base to
post-train in minutes on a CPU, not a model to use: it knows the {len(PICTURES)} drawn tasks of vlmpost ({", ".join(PICTURES)}) and
nothing else. It answers partly in one go and partly after `<think>` reasoning, and is wrong often enough to leave room for both SFT
and RL.

* Architecture: `Qwen2_5_VLForConditionalGeneration`; 4 language layers of width 128, 2 vision layers of width 128; weights {model.dtype}.
* Tokenizer: byte-level BPE, {len(tokenizer)} entries, Qwen's special tokens; one image token per 28 x 28 pixels.
* Chat template: Qwen's turns without a default system turn.
* Data: `vlmpost.tasks`, split train, all difficulties 1 to 5; no other text or image. English only.
* Lessons: every image token is taught what stands in its square; then descriptions; then reasoned answers; last, a mix in which
  {schedule.direct_share:.0%} of the answers are direct and {schedule.wrong_digit_share:.0%} of the digits of the reasoned ones are
  drawn by lot, so that the base is left unsure of what it knows.
* Built in {minutes:.1f} minutes on one CPU core with torch {torch.__version__}, transformers {transformers.__version__}.

| setting | value |
|---|--:|
{settings}

## Measured skill

Split validation (no problem of it is in train), {_QUESTIONS_PER_CELL} questions per task and difficulty,
{nano_skill.NUM_SAMPLES} samples each at temperature 1; right means that the last box holds exactly the reference answer.

{skill}

## Limits

Photographs, other languages, other fonts and other question wordings are outside what it was trained on; its answers to them mean nothing.
"""


def _texts(seed: int) -> list[str]:
    """Return questions and answers for the tokenizer to learn from."""
    found = ["system", "user", "assistant"]
    for task in PICTURES:
        for difficulty in DIFFICULTIES:
            for index in range(100):
                example = make(task, split="train", index=index, seed=seed, difficulty=difficulty)
                assert example.solution is not None, example.id
                thought = example.solution.removeprefix("<think>").replace("</think>", "\n")
                found += [example.prompt[0].text, thought, direct_solution(example), describe(example), DESCRIBE]
    return found


def _parse() -> argparse.Namespace:
    defaults = Schedule()
    parser = argparse.ArgumentParser(prog="scripts/build_nano", description="Train the nano VLM from nothing on one CPU core.")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("nano"), help="folder to write (default: the shipped one)")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--steps", type=int, default=defaults.num_steps, help="steps of the language model")
    parser.add_argument("--vision-steps", type=int, default=defaults.num_vision_steps, help="steps of the vision tower alone")
    parser.add_argument("--describing-steps", type=int, default=defaults.num_describing_steps, help="first steps, mostly descriptions")
    parser.add_argument("--direct-share", type=float, default=defaults.direct_share, help="share of answers without reasoning, 0 to 1")
    parser.add_argument("--examples-per-cell", type=int, default=defaults.examples_per_cell, help="problems per task and difficulty")
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--questions-per-cell", type=int, default=_QUESTIONS_PER_CELL, help="validation questions per task and difficulty")
    return parser.parse_args()


if __name__ == "__main__":
    main()
