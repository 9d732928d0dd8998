"""The switch leaves no trace, and a model that cannot share prompts says why."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model
from torch import nn

from vlmpost.models.families import FAMILIES
from vlmpost.models.shared_prompt import sharing, unsupported
from vlmpost.models.shared_prompt.attention import PREFIX


def attentions(question) -> set[str]:
    """Names of the attention in the configurations that the text layers read."""
    layers = [module for name, module in question.model.named_modules() if name.endswith("self_attn") and "vision" not in name]
    assert layers
    return {layer.config._attn_implementation for layer in layers}


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_can_share(name, ask):
    assert unsupported(ask(name).model) is None


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_plain_calls_inside_and_after_the_block_give_the_same_bits_as_before(implementation, ask):
    question = ask("qwen2_5_vl", attn_implementation=implementation)
    with torch.no_grad():
        before, _ = question.plain()
        with sharing(question.model):
            question.shared()
            inside, _ = question.plain()
        after, _ = question.plain()
    assert torch.equal(inside, before)
    assert torch.equal(after, before)


def test_a_model_that_computed_its_scores_eagerly_shares_prompts_too(ask):
    question = ask("gemma3", attn_implementation="eager")
    with torch.no_grad(), sharing(question.model):
        ours, _ = question.shared()
        theirs, _ = question.plain()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_blocks_may_be_nested_and_the_last_exit_switches_back(ask):
    question = ask("qwen2_5_vl")
    with sharing(question.model):
        with sharing(question.model):
            assert attentions(question) == {PREFIX + "sdpa"}
        assert attentions(question) == {PREFIX + "sdpa"}
        with torch.no_grad():
            question.shared()
    assert attentions(question) == {"sdpa"}


def test_an_error_inside_the_block_switches_back(ask):
    question = ask("qwen2_5_vl")
    with pytest.raises(KeyError), sharing(question.model):
        raise KeyError
    assert attentions(question) == {"sdpa"}


def test_the_vision_tower_keeps_its_attention_and_config_json_names_none(ask, tmp_path):
    question = ask("qwen2_5_vl")
    with sharing(question.model):
        assert question.model.config.vision_config._attn_implementation == "sdpa"
        question.model.save_pretrained(tmp_path)
    assert PREFIX not in (tmp_path / "config.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["model_type"] == "qwen2_5_vl"


def test_a_wrapped_model_is_switched_at_its_core(ask):
    question = ask("qwen2_5_vl", use_peft=True)
    wrapped = nn.ModuleDict({"module": question.model})  # as DistributedDataParallel holds it
    assert unsupported(wrapped) is None
    with sharing(wrapped):
        assert attentions(question) == {PREFIX + "sdpa"}
    assert attentions(question) == {"sdpa"}


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("layer_types", ["full_attention", "linear_attention"], "layers of the kind linear_attention"),
        ("attn_logit_softcapping", 50.0, "caps its attention scores"),
        ("use_bidirectional_attention", True, "sees the tokens after it"),
        ("_attn_implementation", "flex_attention", "cannot stand in for the attention 'flex_attention'"),
    ],
)
def test_what_the_language_model_cannot_do_is_said(setting, value, reason, ask):
    question = ask("gemma3")
    setattr(question.model.config.get_text_config(), setting, value)
    assert reason in str(unsupported(question.model))


def test_an_unknown_family_is_named():
    assert "Linear is none of the families" in str(unsupported(nn.Linear(1, 1)))


def test_an_adapter_that_puts_tokens_before_the_row_cannot_share(ask):
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2, token_dim=64, num_layers=2, num_attention_heads=4)
    tuned = get_peft_model(ask("qwen2_5_vl").model, config)
    assert "PROMPT_TUNING tokens before every row" in str(unsupported(tuned))
