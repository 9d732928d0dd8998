"""Prompts are padded on the left whatever the folder says: what right padding would do to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, BatchFeature, ProcessorMixin

from vlmpost.config.schema import ModelConfig
from vlmpost.models.loader import load

QUESTIONS = ["How many red circles are there? Please reason step by step.", "3 + 4 = ?"]


@pytest.fixture
def right_padded(copy_of: Callable[[str], Path]) -> Callable[[str], Path]:
    """`right_padded(family)`: a folder whose own tokenizer pads on the right, as those for training often do."""

    def make(family: str) -> Path:
        folder = copy_of(family)
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "padding_side": "right"}))
        assert AutoTokenizer.from_pretrained(folder).padding_side == "right"
        return folder

    return make


def _inputs(processor: ProcessorMixin, questions: list[str]) -> BatchFeature:
    """The questions, each with an image, padded to one length as the processor itself does it."""
    images = [[Image.new("RGB", (56, 56), "red")] for _ in questions]
    block = {"type": "image"}
    prompts = [[{"role": "user", "content": [block, {"type": "text", "text": question}]}] for question in questions]
    texts = [processor.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False) for prompt in prompts]
    return processor(text=texts, images=images, padding=True, add_special_tokens=False, return_tensors="pt")


@pytest.mark.parametrize("family", ["gemma3", "qwen2_5_vl", "smolvlm"])
def test_a_short_prompt_beside_a_long_one_is_answered_as_alone_and_not_with_the_side_of_the_folder(
    family: str, right_padded: Callable[[str], Path]
) -> None:
    loaded = load(ModelConfig(path=str(right_padded(family)), device="cpu"), purpose="eval")
    model, processor = loaded.model, loaded.processor

    def answer(questions: list[str]) -> list[int]:
        inputs = _inputs(processor, questions)
        tokens = model.generate(**inputs, do_sample=False, max_new_tokens=8, min_new_tokens=8)
        return tokens[-1, inputs["input_ids"].shape[1] :].tolist()

    alone = answer(QUESTIONS[1:])
    assert answer(QUESTIONS) == alone
    processor.tokenizer.padding_side = "right"
    assert answer(QUESTIONS) != alone, "padding on the right is seen by nothing: the guard could go"


@pytest.mark.parametrize("family", ["gemma3", "qwen2_5_vl"])
def test_token_types_stand_at_the_image_tokens_of_left_padded_prompts(family: str, right_padded: Callable[[str], Path]) -> None:
    """TRL pads the ids of prompts on the left by itself and takes the token types as the processor pads them."""
    loaded = load(ModelConfig(path=str(right_padded(family)), device="cpu"), purpose="eval")
    processor = loaded.processor
    rows = [_inputs(processor, [question])["input_ids"][0] for question in QUESTIONS]
    longest = max(map(len, rows))
    ids = torch.stack([torch.nn.functional.pad(row, (longest - len(row), 0)) for row in rows])
    is_image = ids == loaded.model.config.image_token_id

    def types() -> torch.Tensor:
        inputs = _inputs(processor, QUESTIONS)
        return inputs["token_type_ids" if family == "gemma3" else "mm_token_type_ids"] == 1

    assert is_image.sum(1).min() > 0
    assert torch.equal(types(), is_image)
    processor.tokenizer.padding_side = "right"
    assert not torch.equal(types(), is_image)
