"""Prompts encoded one at a time give the model what a batch through the processor gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import DataError
from vlmpost.models.families import FAMILIES
from vlmpost.models.generation import encode
from vlmpost.models.loader import LoadedModel, load
from vlmpost.models.prompts import EncodedPrompt, collate, encode_prompts, grown

TinyModel = Callable[[str], Path]
Batch = tuple[list[list[dict[str, object]]], list[list[Image.Image]]]
PAD = 9


def loaded(folder: Path) -> LoadedModel:
    return load(ModelConfig(path=str(folder), device="cpu"), purpose="eval")


def text_prompt(*token_ids: int) -> EncodedPrompt:
    return EncodedPrompt(token_ids, images={}, token_types={"token_type_ids": torch.zeros(len(token_ids), dtype=torch.int64)})


def image_prompt(*shape: int) -> EncodedPrompt:
    return EncodedPrompt((1,), images={"pixel_values": torch.ones(shape)}, token_types={}, num_images=shape[0])


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_collated_prompts_give_the_logits_of_the_processors_own_batch(name: str, tiny_model: TinyModel, batch: Batch) -> None:
    model, processor = loaded(tiny_model(name)).model, loaded(tiny_model(name)).processor
    prompts, images = batch
    if name == "llava_onevision":  # the processor cuts a lone image into tiles, and the images of a pair not: no batch may hold both
        prompts, images = prompts[::2], images[::2]
    ours = collate(encode_prompts(processor, prompts, images), pad_token_id=processor.tokenizer.pad_token_id)
    theirs = encode(processor, prompts, images)
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    assert torch.equal(ours["attention_mask"], theirs["attention_mask"])
    with torch.no_grad():
        torch.testing.assert_close(model(**ours).logits, model(**theirs).logits, atol=1e-5, rtol=0)


def test_a_prompt_holds_its_own_tokens_types_and_images_only(tiny_model: TinyModel, batch: Batch) -> None:
    processor = loaded(tiny_model("qwen2_5_vl")).processor
    first, second, third = encode_prompts(processor, *batch)
    image_token = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    for prompt, num_images in ((first, 1), (second, 2), (third, 0)):
        assert prompt.num_images == num_images
        # Two by two patches become one token: the grid's t * h * w over 4.
        num_image_tokens = sum(int(grid.prod()) // 4 for grid in prompt.images.get("image_grid_thw", []))
        assert prompt.token_ids.count(image_token) == num_image_tokens
        assert prompt.token_types["mm_token_type_ids"].tolist() == [int(token == image_token) for token in prompt.token_ids]
        assert prompt.text.count("<|image_pad|>") == num_images
    assert set(first.images) == {"pixel_values", "image_grid_thw"}
    assert third.images == {}


def test_rows_are_filled_up_on_the_left_and_types_with_text() -> None:
    long = grown(text_prompt(5, 6), [7])
    inputs = collate([long, text_prompt(8)], pad_token_id=PAD)
    assert inputs["input_ids"].tolist() == [[5, 6, 7], [PAD, PAD, 8]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_growing_keeps_the_image_tensors_and_leaves_the_first_prompt_alone() -> None:
    first = EncodedPrompt(
        (1, 2), images={"pixel_values": torch.ones(1)}, token_types={"token_type_ids": torch.tensor([1, 0])}, num_images=1
    )
    second = grown(first, (3, 4))
    assert second.token_ids == (1, 2, 3, 4)
    assert second.token_types["token_type_ids"].tolist() == [1, 0, 0, 0]
    assert second.images["pixel_values"] is first.images["pixel_values"]
    assert first.token_ids == (1, 2)
    assert first.token_types["token_type_ids"].tolist() == [1, 0]
    assert grown(first, ()) != first  # the same prompt is the same object, nothing else


def test_images_of_several_prompts_are_joined_in_order_and_filled_up_with_zeros() -> None:
    inputs = collate([image_prompt(1, 2, 3), text_prompt(4), image_prompt(2, 3, 1)], pad_token_id=PAD)
    assert inputs["pixel_values"].shape == (3, 3, 3)
    assert inputs["pixel_values"].sum() == 1 * 2 * 3 + 2 * 3 * 1
    assert inputs["pixel_values"][0, 2].tolist() == [0, 0, 0]
    assert inputs["pixel_values"][2, :, 0].tolist() == [1, 1, 1]


def test_slots_and_images_that_differ_are_named_with_the_prompt(tiny_model: TinyModel, batch: Batch) -> None:
    prompts, images = batch
    with pytest.raises(DataError, match=r"Prompt 1 of 3 has 2 image slots and 1 images"):
        encode_prompts(loaded(tiny_model("qwen2_5_vl")).processor, prompts, [images[0], images[1][:1], []])


def test_a_text_that_spells_out_an_image_marker_is_refused_with_the_prompt(tiny_model: TinyModel) -> None:
    blocks: list[dict[str, str]] = [{"type": "image"}, {"type": "text", "text": "<|image_pad|>"}]
    prompts: list[list[dict[str, object]]] = [[{"role": "user", "content": "hi"}], [{"role": "user", "content": blocks}]]
    with pytest.raises(DataError, match=r"Prompt 1 of 2 cannot be encoded: .*image markers"):
        encode_prompts(loaded(tiny_model("qwen2_5_vl")).processor, prompts, [[], [Image.new("RGB", (56, 56))]])
