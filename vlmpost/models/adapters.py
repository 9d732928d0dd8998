"""LoRA adapters: which layers they sit on, how they are put on a model, how an adapter folder names its base.

The default adapts the language model's linear layers only. Plain suffixes such as `q_proj` would also hit SigLIP-style vision
towers, so "language" becomes a regex on the full module path.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import safe_open
from transformers import PreTrainedModel

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import ModelError
from vlmpost.models.families import Family
from vlmpost.models.weights import ADAPTER_FILE, check_whole

ADAPTER_CONFIG = "adapter_config.json"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a PEFT adapter and no model."""
    return (folder / ADAPTER_CONFIG).is_file()


def base_of(folder: Path, *, nano: Path) -> Path:
    """Returns the folder of the base model that an adapter folder was trained on.

    The recorded path is absolute, or relative to the adapter folder or to the working directory. The nano model is found
    wherever vlmpost is installed now.

    Raises:
        ModelError: It is not recorded, or not there.
    """
    try:
        recorded = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / ADAPTER_CONFIG} does not say which model the adapter belongs to.") from error
    for candidate in (folder / str(recorded), Path(str(recorded))):
        if candidate.is_dir():
            return candidate.resolve()
    if Path(str(recorded)).parts[-3:] == nano.parts[-3:]:
        return nano
    raise ModelError(
        f"The adapter {folder} belongs to the model {recorded!r}, which is not there. "
        f"Put the right path into base_model_name_or_path of its {ADAPTER_CONFIG}."
    )


def add_adapter(model: PreTrainedModel, family: Family, config: ModelConfig, *, seed: int) -> PeftModel:
    """Returns the model with fresh LoRA adapters, everything else frozen.

    Args:
        model: The base model; it is changed in place.
        family: Its family.
        config: Rank, scale, dropout and targets.
        seed: Seed of the adapters' first weights.

    Raises:
        ModelError: A target matches no layer, or it matches the output head.
    """
    lora = LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=target_modules(model, family, config.lora_target_modules),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, lora)


def read_adapter(model: PreTrainedModel, folder: Path, config: ModelConfig, *, base: Path, trainable: bool) -> PeftModel:
    """Returns the model with the adapter of `folder`.

    Raises:
        ModelError: The adapter's weights are missing, damaged, do not fit, or have another rank than the recipe asks for.
    """
    if not (folder / ADAPTER_FILE).is_file():
        raise ModelError(f"{folder} has {ADAPTER_CONFIG} but no {ADAPTER_FILE}.")
    check_whole(folder / ADAPTER_FILE)
    _check_rank(folder, config)
    try:
        adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable, local_files_only=True)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"The adapter {folder} does not fit its base model: {str(error).splitlines()[0]}") from error
    # PEFT looks this path up when it saves, on the hub if it is no folder.
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    _check_tensors(adapted, folder)
    return adapted


def target_modules(model: PreTrainedModel, family: Family, wanted: str | list[str]) -> str | list[str]:
    """Returns PEFT's `target_modules` for what a recipe asks for: "language", a regex on module paths, or a list of suffixes.

    Raises:
        ModelError: The regex, or one of the suffixes, matches no linear layer; the message names the layers there are.
    """
    layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    if wanted == "language":
        prefix = f"{family.language_model}."
        suffixes = sorted({name.rpartition(".")[2] for name in layers if name.startswith(prefix)})
        return rf"(.*\.)?{re.escape(family.language_model)}\..*\.({'|'.join(suffixes)})"
    matched = _matched_by_regex(layers, wanted, family) if isinstance(wanted, str) else _matched_by_suffix(layers, wanted, family)
    if any(name.rpartition(".")[2] == "lm_head" for name in matched):
        raise ModelError("model.lora_target_modules matches lm_head, whose logits TRL computes without its forward. Leave lm_head out.")
    return wanted


def _matched_by_regex(layers: list[str], wanted: str, family: Family) -> list[str]:
    try:
        pattern = re.compile(wanted)
    except re.error as error:
        raise ModelError(f"model.lora_target_modules {wanted!r} is no regular expression: {error}. Give a list for suffixes.") from error
    matched = [name for name in layers if pattern.fullmatch(name)]
    if not matched:
        raise ModelError(_no_match(wanted, layers, family))
    return matched


def _matched_by_suffix(layers: list[str], wanted: list[str], family: Family) -> list[str]:
    matched: list[str] = []
    for suffix in wanted:
        hits = [name for name in layers if name == suffix or name.endswith(f".{suffix}")]
        if not hits:
            raise ModelError(_no_match(suffix, layers, family))
        matched += hits
    if not matched:
        raise ModelError('model.lora_target_modules is an empty list. Give at least one name, or "language".')
    return matched


def _no_match(wanted: str, layers: list[str], family: Family) -> str:
    names = sorted({name.rpartition(".")[2] for name in layers})
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"model.lora_target_modules {wanted!r} matches no linear layer of this {family.name} model.{hint} "
        f"It has: {', '.join(names)}. A string is a regex on the whole path, e.g. {layers[0]!r}; a list holds suffixes."
    )


def _check_rank(folder: Path, config: ModelConfig) -> None:
    rank = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")).get("r")
    if "lora_r" in config.model_fields_set and config.use_peft and rank != config.lora_r:
        raise ModelError(f"model.lora_r is {config.lora_r}, but the adapter {folder} has rank {rank}. Remove lora_r from the recipe.")


def _check_tensors(adapted: PeftModel, folder: Path) -> None:
    """PEFT only warns about adapter tensors that are missing or left over."""
    with safe_open(folder / ADAPTER_FILE, framework="pt") as file:
        stored = set(file.keys())
    expected = set(get_peft_model_state_dict(adapted))
    if stored != expected:
        missing, extra = sorted(expected - stored), sorted(stored - expected)
        what = [
            f"{len(names)} tensors {word} ({', '.join(names[:5])})" for word, names in (("missing", missing), ("extra", extra)) if names
        ]
        raise ModelError(f"The adapter {folder} does not fit its base model: {'; '.join(what)}.")
