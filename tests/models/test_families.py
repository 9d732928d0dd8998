"""The table of families against the real classes, and the pixel budget of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import transformers
from PIL import Image

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import ModelError
from vlmpost.models.families import FAMILIES, family_of, vision_token_ids
from vlmpost.models.generation import encode
from vlmpost.models.loader import load, load_processor

TinyModel = Callable[[str], Path]


def test_the_table_holds_the_eight_families_under_their_model_type() -> None:
    assert sorted(FAMILIES) == ["gemma3", "idefics3", "internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm"]
    assert all(name == family.name for name, family in FAMILIES.items())


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_processor_class_exists_in_transformers(name: str) -> None:
    assert hasattr(transformers, FAMILIES[name].processor_class)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_parameter_belongs_to_exactly_one_part(name: str, tiny_model: TinyModel) -> None:
    model = load(ModelConfig(path=str(tiny_model(name))), purpose="sft").model
    family = FAMILIES[name]
    counts = {"tower": 0, "projector": 0, "language": 0}
    for parameter, _ in model.named_parameters():
        parts = {
            "tower": family.is_vision_tower(parameter),
            "projector": family.is_projector(parameter),
            "language": parameter.startswith((f"{family.language_model}.", "lm_head.")),
        }
        assert sum(parts.values()) == 1, parameter
        counts[next(part for part, holds in parts.items() if holds)] += 1
    assert min(counts.values()) >= 1, counts


def test_an_unknown_model_type_is_refused_with_all_families_and_a_near_name() -> None:
    with pytest.raises(ModelError, match=r"'qwen2_5_vll'.*Did you mean 'qwen2_5_vl'.*gemma3, idefics3, internvl"):
        family_of("qwen2_5_vll", where="/models/x")


def test_vision_tokens_of_qwen_are_the_five_and_no_text_token(tiny_model: TinyModel) -> None:
    tokenizer = load_processor(ModelConfig(path=str(tiny_model("qwen2_5_vl")))).tokenizer
    ids = vision_token_ids(FAMILIES["qwen2_5_vl"], tokenizer)
    expected = ["<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
    assert tokenizer.convert_ids_to_tokens(list(ids)) == expected


def test_vision_tokens_of_smolvlm_hold_the_tile_markers_and_not_the_end_of_turn(tiny_model: TinyModel) -> None:
    tokenizer = load_processor(ModelConfig(path=str(tiny_model("smolvlm")))).tokenizer
    tokens = tokenizer.convert_ids_to_tokens(list(vision_token_ids(FAMILIES["smolvlm"], tokenizer)))
    assert len(tokens) == 3 + 16  # <image>, <fake_token_around_image>, <global-img>; 4 rows x 4 columns
    assert "<row_2_col_3>" in tokens
    assert "<end_of_utterance>" not in tokens


def num_tokens(folder: Path, size: tuple[int, int], **budget: int) -> int:
    processor = load_processor(ModelConfig(path=str(folder), **budget))
    prompt = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}]
    return int(encode(processor, [prompt], [[Image.new("RGB", size)]])["input_ids"].shape[1])


def test_a_smaller_budget_gives_qwen_fewer_image_tokens(tiny_model: TinyModel) -> None:
    # 56 x 56 pixels are 2 x 2 merged patches of 28 pixels; 28 x 28 is one.
    folder = tiny_model("qwen2_5_vl")
    full = num_tokens(folder, (56, 56))
    assert full - num_tokens(folder, (56, 56), image_max_pixels=28 * 28) == 4 - 1


def test_a_larger_minimum_gives_qwen_more_image_tokens(tiny_model: TinyModel) -> None:
    folder = tiny_model("qwen2_5_vl")
    assert num_tokens(folder, (28, 28), image_min_pixels=56 * 56) - num_tokens(folder, (28, 28)) == 4 - 1


def test_one_tile_gives_smolvlm_no_grid(tiny_model: TinyModel) -> None:
    # 56 x 56 is cut into 2 x 2 tiles and a whole view; a budget of 28 x 28 leaves one view of 4 tokens.
    folder = tiny_model("smolvlm")
    assert num_tokens(folder, (56, 56)) > num_tokens(folder, (56, 56), image_max_pixels=28 * 28)


def test_internvl_takes_as_many_tiles_as_fit(tiny_model: TinyModel) -> None:
    # 112 x 28: four tiles and a thumbnail, 4 tokens each; with room for two tiles: two and a thumbnail.
    folder = tiny_model("internvl")
    assert num_tokens(folder, (112, 28)) - num_tokens(folder, (112, 28), image_max_pixels=2 * 28 * 28) == 4 * (5 - 3)


def test_llava_onevision_drops_sizes_in_processor_and_model_alike(tiny_model: TinyModel) -> None:
    loaded = load(ModelConfig(path=str(tiny_model("llava_onevision")), image_max_pixels=28 * 56), purpose="eval")
    expected = [[28, 28], [28, 56], [56, 28]]
    assert loaded.processor.image_processor.image_grid_pinpoints == expected
    assert loaded.model.config.image_grid_pinpoints == expected


@pytest.mark.parametrize(
    ("name", "budget", "message"),
    [
        ("gemma3", {"image_max_pixels": 100}, "56 x 56 = 3136"),
        ("internvl", {"image_max_pixels": 100}, "784 pixels each"),
        ("llava_onevision", {"image_max_pixels": 100}, "784 to 3136"),
        ("qwen3_vl", {"image_max_pixels": 100}, "784 to 100"),
        ("smolvlm", {"image_max_pixels": 100}, "28 x 28 = 784"),
        ("idefics3", {"image_min_pixels": 100}, "no meaning"),
        ("qwen2_vl", {"image_max_pixels": 900, "image_min_pixels": 1000}, "1000, above model.image_max_pixels 900"),
    ],
)
def test_a_budget_that_the_family_cannot_keep_is_refused(name: str, budget: dict[str, int], message: str, tiny_model: TinyModel) -> None:
    with pytest.raises(ModelError, match=message):
        load_processor(ModelConfig(path=str(tiny_model(name)), **budget))


def test_gemma3_accepts_a_budget_that_holds_anyway(tiny_model: TinyModel) -> None:
    plain = load_processor(ModelConfig(path=str(tiny_model("gemma3"))))
    bound = load_processor(ModelConfig(path=str(tiny_model("gemma3")), image_max_pixels=56 * 56, image_min_pixels=1))
    assert bound.image_processor.size == plain.image_processor.size
