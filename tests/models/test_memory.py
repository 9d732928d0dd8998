"""Sizes are read from headers, and the memory sums are those of the formulas."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmpost.errors import ModelError
from vlmpost.models.memory import Shape, checkpoint_bytes, image_tokens, num_lora_parameters, read_shape, sampling_phase, training_phase

NANO = Path(__file__).parent.parent.parent / "vlmpost" / "models" / "nano"
SHAPE = Shape(
    num_parameters=1000,
    num_vision_parameters=200,
    num_projector_parameters=50,
    linear_sizes=((4, 6), (6, 4)),
    stored_dtype="float32",
    num_layers=2,
    hidden_size=4,
    intermediate_size=8,
    key_value_size=2,
    vocab_size=10,
    vision_num_layers=3,
    vision_hidden_size=2,
    vision_intermediate_size=4,
    patch_pixels=196,
    patches_per_token=4,
    default_max_pixels=None,
)


def test_the_nano_shape_is_that_of_its_folder() -> None:
    shape = read_shape(NANO)
    config = json.loads((NANO / "config.json").read_text())["text_config"]
    assert (shape.hidden_size, shape.num_layers) == (config["hidden_size"], config["num_hidden_layers"])
    assert 0 < shape.num_vision_parameters < shape.num_parameters
    assert shape.num_projector_parameters > 0
    assert len(shape.linear_sizes) == 7 * config["num_hidden_layers"]  # q, k, v, o, gate, up, down


@pytest.mark.train
@pytest.mark.parametrize("family", ["gemma3", "idefics3", "internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm"])
def test_every_family_is_counted_as_its_model_counts_itself(tiny_model: Callable[[str], Path], family: str) -> None:
    from transformers import AutoModelForImageTextToText

    folder = tiny_model(family)
    shape = read_shape(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert shape.num_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert 0 < shape.num_vision_parameters + shape.num_projector_parameters < shape.num_parameters
    assert shape.num_layers == 2
    assert shape.linear_sizes


def test_an_image_becomes_its_pixels_over_the_pixels_of_a_token() -> None:
    assert image_tokens(SHAPE, pixels=28 * 28 * 3) == 3
    assert image_tokens(SHAPE, pixels=28 * 28 * 3 + 1) == 4


def test_adapters_have_rank_times_in_plus_out_parameters() -> None:
    assert num_lora_parameters(SHAPE, rank=3) == 3 * 10 + 3 * 10


def test_a_checkpoint_holds_weights_and_two_moments() -> None:
    assert checkpoint_bytes(num_parameters=1000, num_trainable=100, num_bytes=2, use_peft=False) == 2 * (1000 + 200)
    assert checkpoint_bytes(num_parameters=1000, num_trainable=100, num_bytes=2, use_peft=True) == 2 * (100 + 200)


def test_the_update_adds_up() -> None:
    phase = training_phase(
        SHAPE,
        num_bytes=2,
        num_trainable=700,
        trains_vision=False,
        tokens=15,
        image_patches=12,
        checkpointing=False,
        has_reference=True,
        four_bit=False,
    )
    language = 15 * 2 * 2 * (8 * 4 + 2 * 2 + 4 * 8)  # 15 tokens, 2 layers, 2 bytes
    vision = 12 * 2 * 1 * (8 * 2 + 2 * 4 + 4 * 4)  # 12 patches, one layer of the frozen tower
    assert phase.parts == {
        "weights": 2000,
        "reference": 2000,
        "gradients": 1400,
        "optimizer": 2800,
        "activations": language + vision,
        "logits": 2 * 4 * 15 * 10,
        "critic": 0,
    }


def test_sampling_adds_up() -> None:
    phase = sampling_phase(SHAPE, num_bytes=2, num_trainable=700, completions=6, tokens=30, has_reference=False, four_bit=True)
    assert phase.parts["weights"] == round((1000 - 48) * 2 + 48 * 0.55)
    assert phase.parts["KV"] == 6 * 5 * 2 * 2 * 2
    assert phase.total == sum(phase.parts.values())


def test_a_folder_without_weights_or_with_damaged_ones_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json: cannot be read"):
        read_shape(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no \.safetensors file"):
        read_shape(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 5) + b"hello")
    with pytest.raises(ModelError, match="not a safetensors file"):
        read_shape(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    with pytest.raises(ModelError, match="not a safetensors file"):
        read_shape(tmp_path)
