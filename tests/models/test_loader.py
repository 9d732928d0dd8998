"""The loader: whole folders load in every family, broken ones are refused in a sentence, the right parts train."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import MissingError, ModelError
from vlmpost.models import devices
from vlmpost.models.export import save
from vlmpost.models.families import FAMILIES
from vlmpost.models.generation import encode
from vlmpost.models.loader import NANO_DIR, load

TinyModel = Callable[[str], Path]
Batch = tuple[list[list[dict[str, object]]], list[list[Image.Image]]]


def logits_of(loaded: object, batch: Batch) -> torch.Tensor:
    inputs = encode(loaded.processor, *batch)  # type: ignore[attr-defined]
    with torch.no_grad():
        return loaded.model.eval()(**inputs).logits  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_saved_model_gives_the_same_logits_after_reload(name: str, tiny_model: TinyModel, batch: Batch, tmp_path: Path) -> None:
    loaded = load(ModelConfig(path=str(tiny_model(name)), freeze_vision_tower=False), purpose="sft")
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(0.01)  # so that a reload of the old file cannot pass
    before = logits_of(loaded, batch)
    save(loaded.model, loaded.processor, tmp_path / "saved")
    again = load(ModelConfig(path=str(tmp_path / "saved")), purpose="eval")
    assert torch.equal(logits_of(again, batch), before)
    assert again.chat_template_hash == loaded.chat_template_hash
    assert again.model_hash != loaded.model_hash


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_an_adapter_trains_the_language_model_only_and_reloads(name: str, tiny_model: TinyModel, batch: Batch, tmp_path: Path) -> None:
    loaded = load(ModelConfig(path=str(tiny_model(name)), use_peft=True, lora_r=4), purpose="sft")
    trained = [parameter for parameter, value in loaded.model.named_parameters() if value.requires_grad]
    assert len(trained) == 2 * 7 * 2  # layers x projections x (A, B)
    assert all(FAMILIES[name].language_model in parameter and ".lora_" in parameter for parameter in trained)

    plain = load(ModelConfig(path=str(tiny_model(name))), purpose="eval")
    assert torch.equal(logits_of(loaded, batch), logits_of(plain, batch))  # B starts at 0
    with torch.no_grad():
        for parameter, value in loaded.model.named_parameters():
            if ".lora_B." in parameter:
                value.add_(0.05)
    before = logits_of(loaded, batch)
    save(loaded.model, loaded.processor, tmp_path / "adapter")

    again = load(ModelConfig(path=str(tmp_path / "adapter"), use_peft=True), purpose="rl")
    assert again.base_path == tiny_model(name).resolve()
    assert again.num_trainable_parameters == loaded.num_trainable_parameters
    assert torch.equal(logits_of(again, batch), before)
    merged = load(ModelConfig(path=str(tmp_path / "adapter")), purpose="eval")
    assert not any(".lora_" in parameter for parameter, _ in merged.model.named_parameters())
    torch.testing.assert_close(logits_of(merged, batch), before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_an_adapter_gets_gradients_with_gradient_checkpointing(name: str, tiny_model: TinyModel, batch: Batch) -> None:
    loaded = load(ModelConfig(path=str(tiny_model(name)), use_peft=True, lora_r=4), purpose="sft")
    loaded.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    loaded.model.train()
    loaded.model(**encode(loaded.processor, *batch)).logits.square().mean().backward()
    touched = [value.grad.abs().sum() > 0 for parameter, value in loaded.model.named_parameters() if ".lora_B." in parameter]
    assert len(touched) == 14
    assert all(touched)


def test_fresh_adapters_depend_on_the_seed_and_leave_the_global_generator_alone(tiny_model: TinyModel) -> None:
    config = ModelConfig(path=str(tiny_model("qwen2_5_vl")), use_peft=True)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, third = (load(config, purpose="sft", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)

    def weights(loaded: object) -> torch.Tensor:
        named = loaded.model.named_parameters()  # type: ignore[attr-defined]
        return torch.cat([value.flatten() for parameter, value in named if ".lora_A." in parameter])

    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(third))


@pytest.mark.parametrize(("tower", "projector"), [(True, True), (True, False), (False, True), (False, False)])
def test_freezing_is_by_part(tower: bool, projector: bool, tiny_model: TinyModel) -> None:
    config = ModelConfig(path=str(tiny_model("qwen3_vl")), freeze_vision_tower=tower, freeze_multi_modal_projector=projector)
    parameters = dict(load(config, purpose="rl").model.named_parameters())
    assert parameters["model.visual.blocks.0.attn.qkv.weight"].requires_grad is not tower
    assert parameters["model.visual.merger.linear_fc1.weight"].requires_grad is not projector
    assert parameters["model.visual.deepstack_merger_list.0.linear_fc1.weight"].requires_grad is not projector
    assert parameters["model.language_model.layers.0.mlp.up_proj.weight"].requires_grad


def test_a_model_for_evaluation_is_in_eval_mode_and_has_nothing_to_train(tiny_model: TinyModel) -> None:
    loaded = load(ModelConfig(path=str(tiny_model("gemma3")), use_peft=True), purpose="eval")
    assert not loaded.model.training
    assert loaded.num_trainable_parameters == 0


def test_the_default_model_is_the_one_that_ships() -> None:
    loaded = load(ModelConfig(), purpose="eval")
    assert loaded.path == loaded.base_path == NANO_DIR
    assert loaded.family.name == "qwen2_5_vl"


def test_counts_take_tied_weights_once(tiny_model: TinyModel) -> None:
    loaded = load(ModelConfig(path=str(tiny_model("qwen2_vl"))), purpose="sft")
    stored = load_file(tiny_model("qwen2_vl") / "model.safetensors")
    assert "lm_head.weight" not in stored
    assert loaded.num_parameters == sum(tensor.numel() for tensor in stored.values())


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> ModelConfig:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return ModelConfig(path=str(folder))


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_missing_an_extra_and_a_misshapen_tensor_are_each_refused_by_name(name: str, copy_of: TinyModel) -> None:
    folder = copy_of(name)
    original = load_file(folder / "model.safetensors")
    norm = next(key for key in original if key.endswith("layers.1.mlp.up_proj.weight"))
    extra = norm.replace("layers.1", "layers.7")

    with pytest.raises(ModelError, match=r"1 tensor missing: .*layers\.1\.mlp\.up_proj\.weight"):
        load(rewrite(folder, lambda tensors: tensors.pop(norm)), purpose="eval")
    with pytest.raises(ModelError, match=r"1 tensor not of this architecture: .*layers\.7\.mlp\.up_proj\.weight"):
        load(rewrite(folder, lambda tensors: tensors.update({norm: original[norm], extra: original[norm].clone()})), purpose="eval")
    with pytest.raises(ModelError, match=r"1 tensor of another shape: .*up_proj\.weight \(file \(95, 64\), model \(96, 64\)\)"):
        load(rewrite(folder, lambda tensors: (tensors.pop(extra), tensors.update({norm: original[norm][:95]}))), purpose="eval")


def test_a_damaged_weight_file_is_refused(copy_of: TinyModel) -> None:
    folder = copy_of("qwen2_5_vl")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for damaged, message in (
        (whole[:-100], "cut or damaged"),
        (b"hello", "no safetensors file"),
        (b"\x10" + b"\0" * 7 + b"{" * 16, "header"),
    ):
        file.write_bytes(damaged)
        with pytest.raises(ModelError, match=message):
            load(ModelConfig(path=str(folder)), purpose="eval")


def test_a_sharded_folder_loads_and_a_missing_shard_is_refused_by_name(tiny_model: TinyModel, tmp_path: Path) -> None:
    loaded = load(ModelConfig(path=str(tiny_model("qwen3_vl"))), purpose="eval")
    loaded.model.save_pretrained(tmp_path, max_shard_size="500KB")
    loaded.processor.save_pretrained(tmp_path)
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) >= 3
    load(ModelConfig(path=str(tmp_path)), purpose="eval")
    shards[1].unlink()
    with pytest.raises(ModelError, match=rf"lacks 1 of the {len(shards)} weight files.*{shards[1].name}"):
        load(ModelConfig(path=str(tmp_path)), purpose="eval")


def test_an_index_that_leaves_its_folder_is_refused(copy_of: TinyModel) -> None:
    folder = copy_of("qwen2_5_vl")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../other/model.safetensors"}}))
    with pytest.raises(ModelError, match="outside its folder"):
        load(ModelConfig(path=str(folder)), purpose="eval")


def test_pickled_weights_are_refused_with_a_reason(copy_of: TinyModel) -> None:
    folder = copy_of("qwen2_5_vl")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="can run code"):
        load(ModelConfig(path=str(folder)), purpose="eval")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no config.json"),
        ("{", "not readable JSON"),
        ('{"model_type": "qwen2"}', "'qwen2', which is no vision-language family"),
        ("{}", "model_type None"),
        ('{"model_type": "qwen2_5_vl", "text_config": 3}', "does not describe a qwen2_5_vl model: .*text_config"),
    ],
)
def test_a_wrong_config_is_refused(content: str | None, message: str, copy_of: TinyModel) -> None:
    folder = copy_of("qwen2_5_vl")
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        load(ModelConfig(path=str(folder)), purpose="eval")


@pytest.mark.parametrize("path", ["no/such/folder/here", "./nothing", "/nowhere/at/all", "plainname"])
def test_a_path_that_is_neither_folder_nor_hub_id_is_refused(path: str) -> None:
    with pytest.raises(ModelError, match="is no folder"):
        load(ModelConfig(path=path), purpose="eval")


def test_a_hub_id_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="hub did not give it"):
        load(ModelConfig(path="nobody/nothing-at-all"), purpose="eval")


def test_code_in_a_model_folder_does_not_run(copy_of: TinyModel) -> None:
    folder = copy_of("qwen2_5_vl")
    (folder / "modeling_evil.py").write_text("raise SystemExit('code of the model folder ran')\n")
    content = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "modeling_evil.Config", "AutoModelForImageTextToText": "modeling_evil.Model"}
    (folder / "config.json").write_text(json.dumps({**content, "auto_map": auto_map}))
    loaded = load(ModelConfig(path=str(folder)), purpose="eval")
    assert type(loaded.model).__module__.startswith("transformers.")


def test_cuda_without_a_gpu_is_missing_not_slow(tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingError, match=r"model\.device is cuda, but torch .* sees no GPU"):
        load(ModelConfig(path=str(tiny_model("gemma3")), device="cuda"), purpose="eval")


def test_a_gpu_that_torch_cannot_use_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "DRIVER_FILE", driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(MissingError, match=r"model\.device: cpu"):
        devices.choose_device("auto")
    assert devices.choose_device("cpu").type == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.choose_device("auto").type == "cpu"


@pytest.mark.parametrize("change", [{"load_in_4bit": True}, {"attn_implementation": "flash_attention_2"}])
def test_what_needs_a_gpu_is_missing_on_a_cpu(change: dict[str, object], tiny_model: TinyModel) -> None:
    with pytest.raises(MissingError, match="needs a GPU"):
        load(ModelConfig(path=str(tiny_model("gemma3")), device="cpu", use_peft=True, **change), purpose="sft")


def test_dtype_is_the_asked_one_and_float32_on_a_cpu(tiny_model: TinyModel) -> None:
    path = str(tiny_model("qwen2_5_vl"))
    assert load(ModelConfig(path=path, device="cpu"), purpose="eval").model.dtype == torch.float32
    half = load(ModelConfig(path=path, device="cpu", dtype="bfloat16"), purpose="eval")
    assert half.model.dtype == half.dtype == torch.bfloat16
