"""A critic's part of a policy: what it shares with it, what it has alone, and its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import RunError
from vlmpost.models.loader import load
from vlmpost.models.value_model import BACKBONE_FILE, FOLDER, ValueModel, twin

TinyModel = Callable[[str], Path]
IDS = torch.tensor([[15, 16, 17]])


def _model(tiny_model: TinyModel, **keys: object) -> PreTrainedModel:
    model = load(ModelConfig(path=str(tiny_model("qwen2_5_vl")), device="cpu", **keys), purpose="rl").model
    assert isinstance(model, PreTrainedModel)
    return model


def test_frozen_weights_are_shared_and_those_that_train_are_not(tiny_model: TinyModel) -> None:
    backbone = _model(tiny_model).base_model  # the vision tower is frozen
    copied = twin(backbone)
    pairs = list(zip(backbone.named_parameters(), copied.named_parameters(), strict=True))
    assert {one.requires_grad for (_, one), _ in pairs} == {False, True}
    for (name, one), (_, other) in pairs:
        assert torch.equal(one, other) and one.requires_grad == other.requires_grad
        assert (one is other) == (not one.requires_grad), name


def test_a_backbone_that_is_copied_whole_shares_no_weight(tiny_model: TinyModel) -> None:
    model = _model(tiny_model)
    whole = ValueModel(model, sizes=(), separate=True, seed=0, copies_frozen=True).backbone
    assert whole is not None
    for (name, one), (_, other) in zip(model.base_model.named_parameters(), whole.named_parameters(), strict=True):
        assert torch.equal(one, other) and one is not other and one.requires_grad == other.requires_grad, name


def test_with_adapters_only_the_adapters_are_new(tiny_model: TinyModel) -> None:
    adapted = get_peft_model(_model(tiny_model), LoraConfig(r=2, target_modules=r".*language_model.*q_proj"))
    backbone = adapted.get_base_model().base_model
    copied = twin(backbone)
    ours = {id(one) for one in backbone.parameters()}
    new = [name for name, one in copied.named_parameters() if id(one) not in ours]
    assert len(new) == 4 and all("lora_" in name for name in new)  # A and B in each of two layers


def test_a_switch_of_the_attention_reaches_both(tiny_model: TinyModel) -> None:
    backbone = _model(tiny_model).base_model
    copied = twin(backbone)
    backbone.language_model.config._attn_implementation = "eager"
    assert copied.language_model.layers[0].self_attn.config._attn_implementation == "eager"


def test_a_model_gives_its_weights_without_those_of_its_critic(tiny_model: TinyModel) -> None:
    model = _model(tiny_model)
    names = set(model.state_dict())
    model.critic = ValueModel(model, sizes=(), separate=True, seed=0)
    assert set(model.state_dict()) == names
    assert any(name.startswith("critic.backbone") for name, _ in model.named_parameters())


def test_a_critic_comes_back_from_its_files_and_no_other_does(tiny_model: TinyModel, tmp_path: Path) -> None:
    model = _model(tiny_model)
    written, read = (ValueModel(model, sizes=[4], separate=True, seed=0) for _ in range(2))
    with torch.no_grad():
        for parameter in written.parameters():
            if parameter.requires_grad:
                parameter.add_(0.5)
    assert not torch.equal(written.backbone(input_ids=IDS).last_hidden_state, read.backbone(input_ids=IDS).last_hidden_state)
    written.save(tmp_path)
    read.load(tmp_path)
    for (name, one), (_, other) in zip(written.named_parameters(), read.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    assert torch.equal(written.backbone(input_ids=IDS).last_hidden_state, read.backbone(input_ids=IDS).last_hidden_state)
    (tmp_path / FOLDER / BACKBONE_FILE).unlink()
    with pytest.raises(RunError, match="the critic's backbone cannot be read"):
        read.load(tmp_path)


def test_a_backbone_whose_other_parts_train_is_refused(tiny_model: TinyModel, tmp_path: Path) -> None:
    free = {"freeze_vision_tower": False, "freeze_multi_modal_projector": False}
    ValueModel(_model(tiny_model, **free), sizes=(), separate=True, seed=0).save(tmp_path)
    frozen = ValueModel(_model(tiny_model), sizes=(), separate=True, seed=0)
    with pytest.raises(RunError, match=r"holds visual\..* which is nothing in the recipe's critic's backbone"):
        frozen.load(tmp_path)
