"""Prompts with and without images in one batch: read as each is alone, in ways that would otherwise fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from vlmpost.config.schema import ModelConfig
from vlmpost.models.families import FAMILIES
from vlmpost.models.loader import LoadedModel, load
from vlmpost.models.prompts import EncodedPrompt, collate, encode_prompts

TinyModel = Callable[[str], Path]


def _mixed(loaded: LoadedModel) -> list[EncodedPrompt]:
    """A prompt with an image, and a shorter one without."""
    asked = [[{"type": "image"}, {"type": "text", "text": "How many red circles are there?"}], [{"type": "text", "text": "3 + 4 = ?"}]]
    return encode_prompts(
        loaded.processor, [[{"role": "user", "content": content}] for content in asked], [[Image.new("RGB", (56, 56), "red")], []]
    )


def _next_token(loaded: LoadedModel, prompts: list[EncodedPrompt], **more: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        inputs = collate(prompts, pad_token_id=loaded.processor.tokenizer.pad_token_id)
        logits: torch.Tensor = loaded.model(**inputs, **more).logits[-1, -1]
    return logits


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_prompt_without_images_is_read_beside_one_with_images_as_alone(name: str, tiny_model: TinyModel) -> None:
    loaded = load(ModelConfig(path=str(tiny_model(name)), device="cpu"), purpose="eval")
    prompts = _mixed(loaded)
    assert [bool(prompt.images) for prompt in prompts] == [True, False]
    assert torch.allclose(_next_token(loaded, prompts), _next_token(loaded, prompts[1:]), atol=1e-4)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_batch_without_images_must_not_hand_over_image_tensors_that_are_empty(name: str, tiny_model: TinyModel) -> None:
    """TRL 1.16 cuts a mixed batch into parts and leaves a part without images with tensors of no images."""
    loaded = load(ModelConfig(path=str(tiny_model(name)), device="cpu"), purpose="eval")
    with_image, without = _mixed(loaded)
    assert not set(with_image.images) & set(collate([without], pad_token_id=0))
    empty = {key: tensor[:0] for key, tensor in with_image.images.items()}
    with pytest.raises((RuntimeError, ValueError, IndexError, TypeError, StopIteration)):
        _next_token(loaded, [without], **empty)
