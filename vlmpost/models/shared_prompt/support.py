"""Whether a model can share prompts, and its switch: inside `sharing` its language model attends through ours, its vision tower does not.

Attention is looked up by name in the configuration at each call, also when gradient checkpointing runs a layer again in backward, so
both passes belong inside the block. The name is never saved: transformers leaves it out of config.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from peft import PeftModel
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from vlmpost.models.families import FAMILIES
from vlmpost.models.shared_prompt.attention import ORIGINALS, PREFIX, name_over, register

LAYER_TYPES = frozenset({"full_attention", "sliding_attention"})
"""Kinds of layers that read a token's past by attention alone."""


def unsupported(model: nn.Module) -> str | None:
    """Returns why a model cannot share prompts, as the end of a sentence, or None if it can.

    Args:
        model: A model of `families.FAMILIES`, or a wrapper (PEFT, DistributedDataParallel) around one.
    """
    inner = _pretrained(model)
    if inner is None or inner.config.model_type not in FAMILIES:
        kind = type(model).__name__ if inner is None else inner.config.model_type
        return f"{kind} is none of the families it knows ({', '.join(sorted(FAMILIES))})"
    config = inner.config.get_text_config()
    original = config._attn_implementation
    if not original.startswith(PREFIX) and original not in ORIGINALS:
        return f"it cannot stand in for the attention {original!r} (known: {', '.join(ORIGINALS)})"
    if others := set(getattr(config, "layer_types", None) or ()) - LAYER_TYPES:
        return f"the language model has layers of the kind {', '.join(sorted(others))}, which carry a state from token to token"
    if getattr(config, "attn_logit_softcapping", None) is not None:
        return "the language model caps its attention scores (attn_logit_softcapping)"
    if getattr(config, "use_bidirectional_attention", None) is True:
        return "every token of the language model sees the tokens after it (use_bidirectional_attention)"
    for wrapper in model.modules():
        if isinstance(wrapper, PeftModel) and wrapper.active_peft_config.is_prompt_learning:
            return f"the adapter puts {wrapper.active_peft_config.peft_type.value} tokens before every row"
    return None


@contextmanager
def sharing(model: nn.Module) -> Iterator[None]:
    """Lets the model read packed rows (`packing.PackedBatch.inputs`) inside the block; other calls give what they gave before.

    Forward and backward of a packed row both belong inside. Blocks may be nested, and may hold several models.

    Args:
        model: For which `unsupported` returns None.
    """
    register()
    switched = [config for config in _attention_configs(model) if not config._attn_implementation.startswith(PREFIX)]
    originals = [config._attn_implementation for config in switched]
    for config, original in zip(switched, originals, strict=True):
        config._attn_implementation = name_over(original)
    try:
        yield
    finally:
        for config, original in zip(switched, originals, strict=True):
            config._attn_implementation = original


def known_model(model: nn.Module) -> PreTrainedModel:
    """Returns the model of a known family inside any wrapper."""
    inner = _pretrained(model)
    assert inner is not None and inner.config.model_type in FAMILIES, f"{type(model).__name__} holds no model of a known family"
    return inner


def sees_whole_images(model: nn.Module) -> bool:
    """Whether tokens of one image see each other in both directions (Gemma3)."""
    return known_model(model).config.model_type == "gemma3"


def _pretrained(model: nn.Module) -> PreTrainedModel | None:
    return next((module for module in model.modules() if isinstance(module, PreTrainedModel)), None)


def _attention_configs(model: nn.Module) -> list[PretrainedConfig]:
    """The configurations that modules of the language model read, each once; wrappers may have copied them."""
    inner = known_model(model)
    language_model = inner.get_submodule(FAMILIES[inner.config.model_type].language_model)
    configs = (getattr(module, "config", None) for module in language_model.modules())
    return list({id(config): config for config in configs if isinstance(config, PretrainedConfig)}.values())
