"""What makes a speed comparison fair: prompts of an exact number of tokens, completions that all run to the budget, rewards that differ.

The model never ends by itself because its end-of-sequence token is one that no side samples: `<|vision_pad|>`, which stands for vision
content and is suppressed by vlmpost and by the plain TRL script alike. Nothing else about the model is changed.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from vlmpost.config.schema import ModelConfig
from vlmpost.models.loader import NANO_DIR, load_processor

END_TOKEN = "<|vision_pad|>"
PIXELS_PER_TOKEN = 28
"""Side of the square that becomes one token: patches of 14 pixels, merged two by two."""
REWARDS = '''"""A reward that differs from text to text and knows nothing of its length."""

from hashlib import blake2b


def hashed(rollout):
    return value(rollout.text)


def value(text):
    return int.from_bytes(blake2b(text.encode(), digest_size=2).digest(), "big") / 2**16
'''
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def endless_nano(folder: Path) -> Path:
    """A copy of the shipped nano VLM that never ends by itself."""
    shutil.copytree(NANO_DIR, folder)
    end_never(folder)
    return folder


def end_never(folder: Path) -> None:
    """Makes `END_TOKEN` the only end-of-sequence token of a model folder of the Qwen family."""
    tokenizer = load_processor(ModelConfig(path=str(folder))).tokenizer
    end_id = tokenizer.convert_tokens_to_ids(END_TOKEN)
    _edit(folder / "tokenizer_config.json", eos_token=END_TOKEN)
    _edit(folder / "generation_config.json", eos_token_id=[end_id])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["eos_token_id"] = end_id
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def _edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}, indent=2), encoding="utf-8")


def sides_of(num_image_tokens: int) -> tuple[int, int]:
    """Width and height in pixels of an image of that many tokens, as near to a square as it goes.

    >>> sides_of(100)
    (280, 280)
    >>> sides_of(8)
    (112, 56)
    """
    rows = max(side for side in range(1, num_image_tokens + 1) if num_image_tokens % side == 0 and side * side <= num_image_tokens)
    return num_image_tokens // rows * PIXELS_PER_TOKEN, rows * PIXELS_PER_TOKEN


def write_rows(
    folder: Path,
    model: Path,
    *,
    num_rows: int,
    image_sides: Sequence[tuple[int, int]],
    num_text_tokens: int,
    num_solution_tokens: int,
    seed: int = 0,
) -> Path:
    """Writes rows.jsonl, its images and the reward's file; returns the path of the rows.

    Args:
        folder: Where they go; must not exist.
        model: The folder whose processor counts.
        num_rows: Rows, each with words and colours of its own.
        image_sides: Width and height of the images, taken in turn, one image in each row; empty: rows without images.
        num_text_tokens: Tokens of a prompt, image tokens aside, the template's and the image's two marks included.
        num_solution_tokens: Tokens of a solution, for SFT.
        seed: Of words and colours.
    """
    folder.mkdir(parents=True)
    processor = load_processor(ModelConfig(path=str(model)))
    rng = random.Random(seed)
    rows = []
    for index in range(num_rows):
        images = []
        if image_sides:
            images = [f"{index}.png"]
            _picture(rng, image_sides[index % len(image_sides)]).save(folder / images[0])
        question = exact_question(rng, processor, num_tokens=num_text_tokens, with_image=bool(images))
        solution = exact_text(rng, processor.tokenizer, num_tokens=num_solution_tokens)
        rows.append({"prompt": question, "images": images, "solution": solution})
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "own_reward.py").write_text(REWARDS, encoding="utf-8")
    return path


def exact_question(rng: random.Random, processor: ProcessorMixin, *, num_tokens: int, with_image: bool) -> str:
    """A question whose whole prompt has that many tokens, the expanded image aside."""
    spent = num_prompt_tokens(processor, "", with_image=with_image)
    for _ in range(100):
        question = exact_text(rng, processor.tokenizer, num_tokens=num_tokens - spent)
        if num_prompt_tokens(processor, question, with_image=with_image) == num_tokens:
            return question
    raise SystemExit(f"no question gives a prompt of {num_tokens} text tokens; the template alone takes {spent}")


def num_prompt_tokens(processor: ProcessorMixin, question: str, *, with_image: bool) -> int:
    """Tokens of a prompt as the template writes it, without the one that stands for the image."""
    content = [*([{"type": "image"}] if with_image else []), {"type": "text", "text": question}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)
    return len(processor.tokenizer(text, add_special_tokens=False)["input_ids"]) - with_image


def exact_text(rng: random.Random, tokenizer: PreTrainedTokenizerBase, *, num_tokens: int) -> str:
    """Words of one letter, a token each."""
    for _ in range(100):
        text = rng.choice(LETTERS) + "".join(f" {rng.choice(LETTERS)}" for _ in range(num_tokens - 1))
        while len(tokenizer(text, add_special_tokens=False)["input_ids"]) > num_tokens:
            text = text[:-1].rstrip()
        if len(tokenizer(text, add_special_tokens=False)["input_ids"]) == num_tokens:
            return text
    raise SystemExit(f"no text of {num_tokens} tokens found")


def _picture(rng: random.Random, sides: tuple[int, int]) -> Image.Image:
    """Coarse coloured squares."""
    small = Image.frombytes("RGB", (8, 8), rng.randbytes(8 * 8 * 3))
    return small.resize(sides, Image.Resampling.NEAREST)
