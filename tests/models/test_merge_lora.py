"""Adapters as inputs of a merge: their deltas are PEFT's, in every family, and what is not plain LoRA is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from vlmpost.errors import ModelError
from vlmpost.models.families import FAMILIES
from vlmpost.models.merge import MergePlan, MergeResult, checked_formula, merge
from vlmpost.models.weights import ADAPTER_FILE, SINGLE_FILE

TinyModel = Callable[[str], Path]


def adapter_on(base: Path, folder: Path, **options: object) -> PeftModel:
    """Saves an adapter whose halves are both random, and returns the model that has it."""
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    settings = {"r": 3, "lora_alpha": 12, "target_modules": ["q_proj", "up_proj", "fc1", "qkv"], **options}
    adapted = get_peft_model(model, LoraConfig(**settings))  # type: ignore[arg-type]  # drawn together above
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1)
    adapted.save_pretrained(str(folder))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))
    return adapted


def merged_into(out: Path, *models: Path, weights: tuple[float, ...]) -> MergeResult:
    formula = checked_formula("linear", num_models=len(models), weights=weights)
    return merge(MergePlan(models=tuple(map(str, models)), formula=formula), out)


def assert_folders_equal(ours: Path, theirs: Path) -> None:
    first, second = load_file(ours / SINGLE_FILE), load_file(theirs / SINGLE_FILE)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], msg=name)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_an_adapter_is_what_peft_merges_it_to(family: str, tiny_model: TinyModel, tmp_path: Path) -> None:
    base = tiny_model(family)
    adapter_on(base, tmp_path / "adapter").merge_and_unload().save_pretrained(str(tmp_path / "theirs"))
    out = merged_into(tmp_path / "out", tmp_path / "adapter", base, weights=(1, 0)).folder
    assert_folders_equal(out, tmp_path / "theirs")
    stored = load_file(base / SINGLE_FILE)
    changed = [name for name, tensor in load_file(out / SINGLE_FILE).items() if not torch.equal(tensor, stored[name])]
    assert {"up_proj", "q_proj"} <= {name.split(".")[-2] for name in changed}


@pytest.mark.parametrize(
    "options",
    [{"use_rslora": True}, {"alpha_pattern": {"layers.1.self_attn.q_proj": 5}, "rank_pattern": {"up_proj": 2}}],
    ids=["rslora", "patterns"],
)
def test_scales_follow_the_adapter_s_config(options: dict[str, object], tiny_model: TinyModel, tmp_path: Path) -> None:
    base = tiny_model("smolvlm")
    adapter_on(base, tmp_path / "adapter", **options).merge_and_unload().save_pretrained(str(tmp_path / "theirs"))
    assert_folders_equal(merged_into(tmp_path / "out", base, tmp_path / "adapter", weights=(0, 1)).folder, tmp_path / "theirs")


def test_an_adapter_and_a_full_model_mix(tiny_model: TinyModel, tmp_path: Path) -> None:
    base = tiny_model("qwen2_5_vl")
    adapter_on(base, tmp_path / "adapter")
    result = merged_into(tmp_path / "out", base, tmp_path / "adapter", weights=(3, 1))
    halves = load_file(tmp_path / "adapter" / ADAPTER_FILE)
    module = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
    # W + (1 / 4) * (12 / 3) * B A
    expected = load_file(base / SINGLE_FILE)["model.layers.0.self_attn.q_proj.weight"]
    expected = expected + halves[f"{module}.lora_B.weight"] @ halves[f"{module}.lora_A.weight"]
    torch.testing.assert_close(load_file(result.folder / SINGLE_FILE)["model.layers.0.self_attn.q_proj.weight"], expected)
    entry = result.record["inputs"][1]  # type: ignore[index]  # a list in JSON
    assert entry["adapter_of"] == str(base)
    assert not (result.folder / "adapter_config.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_dora": True}, r"not plain LoRA on linear layers \(.*lora_magnitude_vector"),
        ({"modules_to_save": ["lm_head"]}, r"not plain LoRA on linear layers \(base_model.model.lm_head.*weight\).*merge_and_unload"),
    ],
)
def test_what_is_not_plain_lora_is_refused(options: dict[str, object], message: str, tiny_model: TinyModel, tmp_path: Path) -> None:
    base = tiny_model("smolvlm")
    adapter_on(base, tmp_path / "adapter", **options)
    with pytest.raises(ModelError, match=message):
        merged_into(tmp_path / "out", base, tmp_path / "adapter", weights=(1, 1))


def test_an_adapter_of_another_base_is_refused_with_its_layers(tiny_model: TinyModel, tmp_path: Path) -> None:
    adapter_on(tiny_model("qwen3_vl"), tmp_path / "adapter")
    file = tmp_path / "adapter" / ADAPTER_FILE
    save_file({name.replace("layers.1", "layers.9"): tensor for name, tensor in load_file(file).items()}, file)
    with pytest.raises(ModelError, match=r"2 of its layers are not there: model\.language_model\.layers\.9\.mlp\.up_proj, "):
        merged_into(tmp_path / "out", tiny_model("qwen3_vl"), tmp_path / "adapter", weights=(1, 1))


def test_half_a_pair_is_refused(tiny_model: TinyModel, tmp_path: Path) -> None:
    base = tiny_model("smolvlm")
    adapter_on(base, tmp_path / "adapter")
    file = tmp_path / "adapter" / ADAPTER_FILE
    content = load_file(file)
    content.pop(next(name for name in content if name.endswith("text_model.layers.0.self_attn.q_proj.lora_B.weight")))
    save_file(content, file)
    with pytest.raises(ModelError, match=r"1 of its layers are not there: model\.text_model\.layers\.0\.self_attn\.q_proj"):
        merged_into(tmp_path / "out", base, tmp_path / "adapter", weights=(1, 1))
