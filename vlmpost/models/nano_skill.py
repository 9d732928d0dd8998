"""What the nano VLM can do: sampled answers to validation questions, counted by task, difficulty and level.

A small yardstick for the model card that needs nothing but the model; `vlmpost eval` is the real one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from vlmpost.models.nano_folder import CELL_PIXELS, patches_of
from vlmpost.models.nano_training import decode, prompt_ids
from vlmpost.records import Example
from vlmpost.tasks import DIFFICULTIES, make
from vlmpost.tasks.pictures import TASKS as PICTURES

NUM_SAMPLES = 16
_LEVEL_FLOORS = ((12, 1), (8, 2), (5, 3), (2, 4), (0, 5))
_MAX_NEW_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Sampled:
    """The samples of one question."""

    example: Example
    texts: tuple[str, ...]
    num_tokens: tuple[int, ...]

    @property
    def correct(self) -> tuple[bool, ...]:
        """Which samples end in a box that holds the reference answer."""
        return tuple(last_box(text) == self.example.answer for text in self.texts)

    @property
    def level(self) -> int:
        """1 (12 to 16 of 16 right) to 5 (none or one right)."""
        scaled = sum(self.correct) * NUM_SAMPLES / len(self.texts)
        return next(level for floor, level in _LEVEL_FLOORS if scaled >= floor)


def last_box(text: str) -> str | None:
    r"""Return what stands in the last box of the text.

    >>> last_box(r"<think>3, +4=7</think>\boxed{7}")
    '7'
    """
    boxes = re.findall(r"\\boxed\{([^{}]*)\}", text)
    return boxes[-1] if boxes else None


def questions(num_per_cell: int, *, split: str, seed: int) -> list[Example]:
    """Return `num_per_cell` questions of each task and difficulty."""
    return [
        make(task, split=split, index=index, seed=seed, difficulty=difficulty)
        for task in PICTURES
        for difficulty in DIFFICULTIES
        for index in range(num_per_cell)
    ]


def sample(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: Qwen2Tokenizer,
    examples: Sequence[Example],
    *,
    seed: int,
    num_samples: int = NUM_SAMPLES,
    questions_per_batch: int = 16,
) -> list[Sampled]:
    """Return `num_samples` completions of each question, drawn at temperature 1 without any truncation."""
    torch.manual_seed(seed)
    found: list[Sampled] = []
    for start in range(0, len(examples), questions_per_batch):
        found.extend(_sample_batch(model, tokenizer, examples[start : start + questions_per_batch], num_samples=num_samples))
    return found


@torch.inference_mode()
def _sample_batch(
    model: Qwen2_5_VLForConditionalGeneration, tokenizer: Qwen2Tokenizer, examples: Sequence[Example], *, num_samples: int
) -> list[Sampled]:
    images = [decode(example) for example in examples]
    rows = [
        prompt_ids(example, tokenizer, num_image_tokens=image.shape[0] * image.shape[1] // CELL_PIXELS**2)
        for example, image in zip(examples, images, strict=True)
    ]
    longest = max(len(row) for row in rows)
    ids_BT = torch.tensor([[tokenizer.pad_token_id] * (longest - len(row)) + row for row in rows])
    mask_BT = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    pixel_values, grid = patches_of(torch.stack(images))
    completions = model.generate(
        input_ids=ids_BT,
        attention_mask=mask_BT,
        mm_token_type_ids=(ids_BT == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int(),
        pixel_values=pixel_values,
        image_grid_thw=grid,
        num_return_sequences=num_samples,
        max_new_tokens=_MAX_NEW_TOKENS,
    )[:, longest:]
    texts = tokenizer.batch_decode(completions, skip_special_tokens=True)
    num_tokens = (completions != tokenizer.pad_token_id).sum(dim=1).tolist()
    places = [slice(place * num_samples, (place + 1) * num_samples) for place in range(len(examples))]
    return [
        Sampled(example=example, texts=tuple(texts[place]), num_tokens=tuple(num_tokens[place]))
        for example, place in zip(examples, places, strict=True)
    ]


def accuracy(sampled: Iterable[Sampled]) -> float:
    """Return the share of right answers; NaN without any."""
    return _mean(correct for one in sampled for correct in one.correct)


def direct_share(sampled: Iterable[Sampled]) -> float:
    """Return the share of completions that do not think."""
    return _mean("<think>" not in text for one in sampled for text in one.texts)


def accuracy_by_mode(sampled: Sequence[Sampled]) -> tuple[float, float]:
    """Return the accuracy of direct and of reasoned completions."""
    pairs = [("<think>" in text, right) for one in sampled for text, right in zip(one.texts, one.correct, strict=True)]
    return _mean(right for thinks, right in pairs if not thinks), _mean(right for thinks, right in pairs if thinks)


def level_shares(sampled: Sequence[Sampled]) -> dict[int, float]:
    """Return the share of questions at each level, 1 to 5."""
    return {level: _mean(one.level == level for one in sampled) for _, level in _LEVEL_FLOORS}


def mean_tokens(sampled: Iterable[Sampled]) -> float:
    """Return the mean length of a completion in tokens, the end of turn included."""
    return _mean(count for one in sampled for count in one.num_tokens)


def table(sampled: Sequence[Sampled]) -> str:
    """Return the figures as a Markdown table by task and difficulty, and three lines."""
    lines = [
        "| task | " + " | ".join(f"difficulty {difficulty}" for difficulty in DIFFICULTIES) + " |",
        "|---|" + "--:|" * len(DIFFICULTIES),
    ]
    for task in PICTURES:
        cells = [
            accuracy(one for one in sampled if one.example.task == task and one.example.meta["difficulty"] == difficulty)
            for difficulty in DIFFICULTIES
        ]
        lines.append(f"| {task} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    direct, thought = accuracy_by_mode(sampled)
    shares = ", ".join(f"L{level} {share:.0%}" for level, share in sorted(level_shares(sampled).items()))
    lines += [
        "",
        f"* accuracy {accuracy(sampled):.1%}; of direct answers {direct:.1%}, of reasoned ones {thought:.1%}",
        f"* direct answers {direct_share(sampled):.0%} of all; {mean_tokens(sampled):.1f} tokens per completion",
        f"* levels of the questions (right answers of {NUM_SAMPLES}: 12, 8, 5, 2, 0 or more): {shares}",
    ]
    return "\n".join(lines)


def _mean(values: Iterable[float]) -> float:
    kept = list(values)
    return sum(kept) / len(kept) if kept else float("nan")
