"""LoRA targets that match nothing, adapter folders that do not fit, bases that moved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import ModelError
from vlmpost.models.adapters import base_of
from vlmpost.models.export import save
from vlmpost.models.loader import load

TinyModel = Callable[[str], Path]


@pytest.fixture
def adapter(copy_of: TinyModel, tmp_path: Path) -> Path:
    """An adapter folder beside its base model."""
    loaded = load(ModelConfig(path=str(copy_of("smolvlm")), use_peft=True, lora_r=4), purpose="sft")
    return save(loaded.model, loaded.processor, tmp_path / "adapter")


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ("q_proj", r"'q_proj' matches no linear layer of this smolvlm model.*a list holds suffixes"),
        (r".*\.gate_prj", "Did you mean 'gate_proj'"),
        (["q_proj", "c_attn"], "'c_attn' matches no linear layer.*down_proj, .*fc1"),
        ("*", "no regular expression"),
        (["lm_head"], "lm_head"),
        ([], "empty list"),
    ],
)
def test_a_target_that_cannot_be_adapted_is_refused(targets: str | list[str], message: str, tiny_model: TinyModel) -> None:
    config = ModelConfig(path=str(tiny_model("smolvlm")), use_peft=True, lora_target_modules=targets)
    with pytest.raises(ModelError, match=message):
        load(config, purpose="sft")


def test_a_custom_regex_and_a_list_of_suffixes_are_taken_as_given(tiny_model: TinyModel) -> None:
    def adapted(targets: str | list[str]) -> set[str]:
        config = ModelConfig(path=str(tiny_model("smolvlm")), use_peft=True, lora_target_modules=targets)
        names = [name for name, value in load(config, purpose="sft").model.named_parameters() if value.requires_grad]
        return {name.split(".lora_")[0].removeprefix("base_model.model.model.") for name in names}

    assert adapted(r".*vision_model.*layers\.0.*\.q_proj") == {"vision_model.encoder.layers.0.self_attn.q_proj"}
    # The suffix alone also hits the vision tower: that is why "language" is the default.
    assert adapted(["layers.1.self_attn.q_proj"]) == {
        "vision_model.encoder.layers.1.self_attn.q_proj",
        "text_model.layers.1.self_attn.q_proj",
    }


def test_a_base_beside_its_adapter_is_found_after_both_moved(adapter: Path, tmp_path: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "../copy_smolvlm"}))
    (tmp_path / "elsewhere").mkdir()
    for name in ("adapter", "copy_smolvlm"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    loaded = load(ModelConfig(path=str(tmp_path / "elsewhere" / "adapter")), purpose="eval")
    assert loaded.base_path == tmp_path / "elsewhere" / "copy_smolvlm"


def test_a_base_that_is_gone_is_said_with_the_remedy(adapter: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "copy_smolvlm")
    with pytest.raises(ModelError, match=r"copy_smolvlm', which is not there\. Put the right path into base_model_name_or_path"):
        load(ModelConfig(path=str(adapter)), purpose="eval")


def test_the_nano_model_is_found_where_vlmpost_is_now(tmp_path: Path) -> None:
    recorded = {"base_model_name_or_path": "/old/site-packages/vlmpost/models/nano"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(recorded))
    nano = tmp_path / "new" / "vlmpost" / "models" / "nano"
    assert base_of(tmp_path, nano=nano) == nano


def test_an_adapter_with_other_tensors_than_its_config_says_is_refused(adapter: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    gone = next(name for name in tensors if "layers.1.mlp.up_proj.lora_B" in name)
    del tensors[gone]
    save_file(tensors, adapter / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"1 tensors missing \(.*layers\.1\.mlp\.up_proj\.lora_B"):
        load(ModelConfig(path=str(adapter)), purpose="eval")


def test_an_adapter_without_weights_is_refused(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no adapter_model\.safetensors"):
        load(ModelConfig(path=str(adapter)), purpose="eval")


def test_a_rank_in_the_recipe_that_differs_from_the_adapters_is_refused(adapter: Path) -> None:
    with pytest.raises(ModelError, match=r"lora_r is 8, but the adapter .* has rank 4"):
        load(ModelConfig(path=str(adapter), use_peft=True, lora_r=8), purpose="rl")
    load(ModelConfig(path=str(adapter), use_peft=True), purpose="rl")
