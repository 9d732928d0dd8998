"""The shipped nano VLM is a genuine Qwen2.5-VL folder, small, whole, and able to read its pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from vlmpost.models import nano_skill
from vlmpost.models.nano_folder import SPECIAL_TOKENS, new_model, patches_of, train_tokenizer, write_folder
from vlmpost.models.nano_training import Schedule, collate, decode, lessons, prompt_ids, train
from vlmpost.models.nano_vision import label
from vlmpost.tasks import make
from vlmpost.tasks.pictures import TASKS as PICTURES

NANO = Path(nano_skill.__file__).with_name("nano")
MIB = 2**20


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return AutoTokenizer.from_pretrained(NANO)


def test_folder_is_whole_and_small() -> None:
    found = {path.name for path in NANO.iterdir()}
    assert found == {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "video_preprocessor_config.json",
    }
    assert sum(path.stat().st_size for path in NANO.iterdir()) <= 8 * MIB


def test_weights_load_with_no_tensor_missing_or_left_over() -> None:
    model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(NANO, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    assert 1_000_000 < model.num_parameters() < 3_500_000
    with safe_open(NANO / "model.safetensors", "pt") as weights:
        assert all(torch.isfinite(weights.get_tensor(name)).all() for name in weights.keys())  # noqa: SIM118


def test_special_tokens_are_single_and_named_in_the_config(tokenizer) -> None:
    config = json.loads((NANO / "config.json").read_text())
    for token in (*SPECIAL_TOKENS, "<think>", "</think>"):
        assert len(tokenizer(token).input_ids) == 1, token
    assert config["image_token_id"] == tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert config["vision_start_token_id"] == tokenizer.convert_tokens_to_ids("<|vision_start|>")
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert len(tokenizer) <= config["text_config"]["vocab_size"] <= 600


@pytest.mark.parametrize("text", ["<think>3, +4=7</think>\\boxed{7}", "Überraschung: 日本 🙂\n\ttab", "It's 2 < 3."])
def test_tokenizer_writes_any_text_back(tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


def test_solutions_are_short() -> None:
    tokenizer = AutoTokenizer.from_pretrained(NANO)
    for task in PICTURES:
        lengths = [len(tokenizer(make(task, split="train", index=index, difficulty=5).solution).input_ids) for index in range(30)]
        assert max(lengths) <= 50, task


def test_chat_template_writes_qwen_turns(tokenizer) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "That."}]},
    ]
    system = "<|im_start|>system\nBe brief.<|im_end|>\n"
    user = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What?<|im_end|>\n"
    assistant = "<|im_start|>assistant\n"
    assert tokenizer.apply_chat_template(messages, tokenize=False) == system + user + assistant + "That.<|im_end|>\n"
    assert tokenizer.apply_chat_template(messages[:2], tokenize=False, add_generation_prompt=True) == system + user + assistant


def test_own_patches_are_the_image_processors() -> None:
    processor = Qwen2VLImageProcessorPil.from_pretrained(NANO)
    images = [decode(make(task, split="train", index=2, difficulty=4)) for task in ("charts", "counting")]
    expected = processor([np.asarray(image) for image in images], return_tensors="pt")
    pixel_values, grid = patches_of(torch.stack(images))
    assert grid.tolist() == expected["image_grid_thw"].tolist() == [[1, 6, 10], [1, 6, 10]]
    torch.testing.assert_close(pixel_values, expected["pixel_values"], atol=1e-5, rtol=0)


def test_a_drawn_picture_costs_fifteen_tokens(tokenizer) -> None:
    example = make("charts", split="train", index=0, difficulty=1)
    ids = prompt_ids(example, tokenizer, num_image_tokens=15)
    assert ids.count(tokenizer.convert_tokens_to_ids("<|image_pad|>")) == 15
    assert len(ids) <= 45


def test_last_box_takes_the_last_and_nothing_without_one() -> None:
    assert nano_skill.last_box("\\boxed{3} no, \\boxed{4}") == "4"
    assert nano_skill.last_box("four") is None


@pytest.mark.train
def test_base_reads_single_marks_and_leaves_room_above() -> None:
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(NANO)
    tokenizer = AutoTokenizer.from_pretrained(NANO)
    examples = nano_skill.questions(3, split="test", seed=3)
    sampled = nano_skill.sample(model, tokenizer, examples, seed=0, num_samples=4)
    easy = [one for one in sampled if one.example.meta["difficulty"] == 1]
    hard = [one for one in sampled if one.example.meta["difficulty"] >= 4]
    assert nano_skill.accuracy(easy) > 0.6
    assert nano_skill.accuracy(easy) > nano_skill.accuracy(hard) + 0.2
    assert 0.2 < nano_skill.direct_share(sampled) < 0.9


@pytest.mark.train
def test_same_seed_builds_the_same_weights(tmp_path: Path) -> None:
    schedule = Schedule(num_steps=3, num_describing_steps=1, num_vision_steps=2, batch_size=4, examples_per_cell=2)
    folders = []
    for place in ("one", "two"):
        tokenizer = train_tokenizer(["How many red circles are there?", "<think>top 1</think>"])
        model = new_model(tokenizer, seed=schedule.seed)
        train(model, tokenizer, lessons(tokenizer, seed=schedule.seed, examples_per_cell=2), schedule=schedule)
        folders.append(tmp_path / place)
        write_folder(model, tokenizer, folders[-1], card="card\n")
    assert (folders[0] / "model.safetensors").read_bytes() == (folders[1] / "model.safetensors").read_bytes()
    write_folder(model, tokenizer, folders[0], card="again\n")
    assert (folders[0] / "README.md").read_text() == "again\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_labels_stand_where_the_marks_are() -> None:
    cards = make("card_sums", split="train", index=1, difficulty=5)
    labels = label(cards, width_pixels=140, height_pixels=84)
    assert labels.shape == (3, 15)
    assert labels[2, 5:10].tolist() == [card["value"] for card in cards.meta["cards"]]
    items = make("counting", split="train", index=1, difficulty=5)
    labels = label(items, width_pixels=140, height_pixels=84)
    assert int((labels[0] > 0).sum()) == int((labels[1] > 0).sum()) == len(items.meta["items"])
    bars = make("charts", split="train", index=1, difficulty=5)
    labels = label(bars, width_pixels=140, height_pixels=84)
    assert labels[2, 10:].tolist() == [bar["height"] for bar in bars.meta["bars"]]


def test_collate_learns_answers_only() -> None:
    ids, mask, labels = collate([[1, 2], [3]], [[4], [5, 6, 7]], pad_id=0)
    assert ids.tolist() == [[1, 2, 4, 0], [3, 5, 6, 7]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert labels.tolist() == [[-100, -100, 4, -100], [-100, 5, 6, 7]]
