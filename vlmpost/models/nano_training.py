"""How the nano VLM learns from nothing: drawn pictures, half-learned sums, and two ways to answer.

Four lessons. The vision tower learns to see (`nano_vision.py`) and stays as it is from then on. The language model learns to
describe pictures, item by item. Then it learns to answer with reasoning. Last comes a careless teacher: answers are direct or
reasoned, by lot, and some digits of the reasoned ones are wrong, as in any large corpus; it leaves the base unsure of what it
knows. Cross-entropy on the answer alone; plain AdamW on one CPU core.
"""

from __future__ import annotations

import io
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from vlmpost.models.nano_folder import CELL_PIXELS, MERGE_SIZE
from vlmpost.models.nano_vision import Sight, label, see, train_vision
from vlmpost.records import Example
from vlmpost.tasks import DIFFICULTIES, make
from vlmpost.tasks.answered import direct_solution
from vlmpost.tasks.pictures import TASKS as PICTURES
from vlmpost.tasks.pictures.picture import HEIGHT_PIXELS, WIDTH_PIXELS

logger = logging.getLogger(__name__)

_IGNORED = -100
_IMAGE_PAD = "<|image_pad|>"
GRID = (1, HEIGHT_PIXELS // CELL_PIXELS * MERGE_SIZE, WIDTH_PIXELS // CELL_PIXELS * MERGE_SIZE)
"""Frames, rows and columns of patches in a drawn picture."""
DESCRIBE = "Describe the picture."


@dataclass(frozen=True, slots=True)
class Schedule:
    """The knobs of the build; the defaults made the shipped weights."""

    seed: int = 0
    num_vision_steps: int = 500
    """Steps of the vision tower alone."""
    num_steps: int = 2000
    """Steps of the language model."""
    num_describing_steps: int = 300
    """The first of them, in which most targets are descriptions."""
    num_reasoning_steps: int = 1200
    """The next of them, in which every target is reasoned and right."""
    describing_share: float = 0.8
    """Share of descriptions in the first steps; there are none later."""
    direct_share: float = 0.6
    """Share of direct answers in the last steps; there are none before."""
    wrong_digit_share: float = 0.1
    """Share of the digits of reasoned answers that are drawn by lot in the last steps."""
    batch_size: int = 32
    examples_per_cell: int = 800
    """Distinct training problems of each task and difficulty."""
    vision_learning_rate: float = 1.5e-3
    learning_rate: float = 1.5e-3
    """Of the language model: the peak after the warm-up; it falls linearly to a tenth."""
    num_warmup_steps: int = 100


@dataclass(frozen=True, slots=True)
class Lesson:
    """One problem ready to be learned: the picture, and the token ids of what is asked and answered."""

    sight: Sight
    prompt_ids: list[int]
    direct_ids: list[int]
    reasoned_ids: list[int]
    describe_ids: list[int]
    """The prompt that asks for a description."""
    description_ids: list[int]


def decode(example: Example) -> torch.Tensor:
    """Return the example's only picture as uint8 [H, W, 3]."""
    (image,) = example.images
    assert image.data is not None, example.id
    return torch.from_numpy(np.array(Image.open(io.BytesIO(image.data)).convert("RGB")))


def prompt_ids(example: Example, tokenizer: Qwen2Tokenizer, *, num_image_tokens: int) -> list[int]:
    """Return the tokens of the question's turn with the image token repeated, up to where the answer starts."""
    (message,) = example.prompt
    return _turn_ids(message.text, tokenizer, num_image_tokens=num_image_tokens)


def _turn_ids(question: str, tokenizer: Qwen2Tokenizer, *, num_image_tokens: int) -> list[int]:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)
    return tokenizer(text.replace(_IMAGE_PAD, _IMAGE_PAD * num_image_tokens)).input_ids


def describe(example: Example) -> str:
    """Return what is in a drawn picture: cards or bars from left to right, shapes row by row."""
    meta: Mapping[str, Any] = example.meta  # JSON written by the task that drew it
    if "cards" in meta:
        return " ".join(str(card["value"]) for card in meta["cards"])
    if "bars" in meta:
        return ", ".join(f"{bar['colour']} {bar['height']}" for bar in meta["bars"])
    rows = []
    for place, name in enumerate(("top", "middle", "bottom")):
        shapes = [f" {item['colour']} {item['shape']}" for item in meta["items"] if item["y"] // CELL_PIXELS == place]
        rows.append(name + ",".join(shapes))
    return "\n".join(rows)


def lessons(tokenizer: Qwen2Tokenizer, *, seed: int, examples_per_cell: int) -> list[Lesson]:
    """Return `examples_per_cell` training problems of each task and difficulty."""
    found = []
    for task in PICTURES:
        for difficulty in DIFFICULTIES:
            for index in range(examples_per_cell):
                found.append(_lesson(make(task, split="train", index=index, seed=seed, difficulty=difficulty), tokenizer))
    return found


def _lesson(example: Example, tokenizer: Qwen2Tokenizer) -> Lesson:
    image = decode(example)
    num_image_tokens = image.shape[0] * image.shape[1] // CELL_PIXELS**2
    assert example.solution is not None, example.id
    return Lesson(
        sight=Sight(image=image, labels=label(example, width_pixels=image.shape[1], height_pixels=image.shape[0])),
        prompt_ids=prompt_ids(example, tokenizer, num_image_tokens=num_image_tokens),
        direct_ids=tokenizer(direct_solution(example) + "<|im_end|>").input_ids,
        reasoned_ids=tokenizer(example.solution + "<|im_end|>").input_ids,
        describe_ids=_turn_ids(DESCRIBE, tokenizer, num_image_tokens=num_image_tokens),
        description_ids=tokenizer(describe(example) + "<|im_end|>").input_ids,
    )


def collate(prompts: Sequence[list[int]], answers: Sequence[list[int]], *, pad_id: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids, mask and labels, int64 [B, T]: padded on the right, labels on the answers only."""
    rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    longest = max(len(row) for row in rows)
    ids_BT = torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows])
    mask_BT = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    labels_BT = ids_BT.masked_fill(mask_BT == 0, _IGNORED)
    for place, prompt in enumerate(prompts):
        labels_BT[place, : len(prompt)] = _IGNORED
    return ids_BT, mask_BT, labels_BT


def train(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: Qwen2Tokenizer,
    pool: Sequence[Lesson],
    *,
    schedule: Schedule,
    at_step: Callable[[int], None] | None = None,
) -> None:
    """Train the model in place; `at_step` is called after each step of the language model with the number of steps done."""
    sights = [lesson.sight for lesson in pool]
    train_vision(
        model,
        sights,
        num_steps=schedule.num_vision_steps,
        batch_size=schedule.batch_size,
        learning_rate=schedule.vision_learning_rate,
        seed=schedule.seed,
    )
    seen = _see_all(model, sights)
    rng = random.Random(f"nano|{schedule.seed}")
    model.model.visual.requires_grad_(False)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    digit_ids = tokenizer.convert_tokens_to_ids(list("0123456789"))
    start, recent = time.monotonic(), []
    for step in range(schedule.num_steps):
        chosen = rng.sample(range(len(pool)), schedule.batch_size)
        pairs = [_pair(pool[place], rng, step=step, schedule=schedule, digit_ids=digit_ids) for place in chosen]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, schedule=schedule)
        model.train()
        loss = _loss(model, tokenizer, pairs, seen[chosen])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        recent.append(loss.item())
        if (step + 1) % 50 == 0:
            rate = (step + 1) / (time.monotonic() - start)
            logger.info("step %d of %d, loss %.4f, %.2f steps per second", step + 1, schedule.num_steps, sum(recent) / len(recent), rate)
            recent.clear()
        model.eval()
        if at_step is not None:
            at_step(step + 1)
    model.requires_grad_(True)


@torch.no_grad()
def _see_all(model: Qwen2_5_VLForConditionalGeneration, sights: Sequence[Sight]) -> torch.Tensor:
    """Return the image tokens of every picture, [pictures, image tokens, width]: the tower no longer changes."""
    pieces = [sights[start : start + 64] for start in range(0, len(sights), 64)]
    return torch.cat([see(model, torch.stack([sight.image for sight in piece])) for piece in pieces])


def _loss(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: Qwen2Tokenizer,
    pairs: Sequence[tuple[list[int], list[int]]],
    seen: torch.Tensor,
) -> torch.Tensor:
    """Return the mean cross-entropy of the answers' tokens, the pictures given as image tokens [B, image tokens, width]."""
    ids_BT, mask_BT, labels_BT = collate([prompt for prompt, _ in pairs], [answer for _, answer in pairs], pad_id=tokenizer.pad_token_id)
    is_image_BT = ids_BT == model.config.image_token_id
    embeds = model.get_input_embeddings()(ids_BT)
    embeds = embeds.masked_scatter(is_image_BT.unsqueeze(-1), seen)
    grid = torch.tensor([GRID] * len(pairs))
    positions, _ = model.model.get_rope_index(ids_BT, is_image_BT.int(), image_grid_thw=grid, attention_mask=mask_BT)
    return model(inputs_embeds=embeds, position_ids=positions, attention_mask=mask_BT, labels=labels_BT, use_cache=False).loss


def _pair(lesson: Lesson, rng: random.Random, *, step: int, schedule: Schedule, digit_ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the prompt and the answer that this step teaches for the lesson."""
    if step < schedule.num_describing_steps and rng.random() < schedule.describing_share:
        return lesson.describe_ids, lesson.description_ids
    if step < schedule.num_describing_steps + schedule.num_reasoning_steps:
        return lesson.prompt_ids, lesson.reasoned_ids
    if rng.random() < schedule.direct_share:
        return lesson.prompt_ids, lesson.direct_ids
    careless = [
        rng.choice(digit_ids) if token in digit_ids and rng.random() < schedule.wrong_digit_share else token
        for token in lesson.reasoned_ids
    ]
    return lesson.prompt_ids, careless


def learning_rate_at(step: int, *, schedule: Schedule) -> float:
    """Return the learning rate of a step: a linear rise, then a linear fall to a tenth of the peak.

    >>> schedule = Schedule(num_steps=1100, num_warmup_steps=100, learning_rate=1.0)
    >>> [round(learning_rate_at(step, schedule=schedule), 3) for step in (0, 49, 100, 600, 1100)]
    [0.01, 0.5, 1.0, 0.55, 0.1]
    """
    if step < schedule.num_warmup_steps:
        return schedule.learning_rate * (step + 1) / schedule.num_warmup_steps
    done = (step - schedule.num_warmup_steps) / max(1, schedule.num_steps - schedule.num_warmup_steps)
    return schedule.learning_rate * (1 - 0.9 * done)
