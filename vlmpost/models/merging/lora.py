r"""A base model with a LoRA adapter in it, read a stretch at a time.

It is $W + s B A$ in float32, with $s = \alpha / r$, or $\alpha / \sqrt r$ for rsLoRA.

Only plain LoRA on linear layers, which is what this package trains; anything else in an adapter is refused by name. An adapter names
modules, files name tensors as the hub does: transformers' own table of renamings, which it applies when it loads a model, leads from
one to the other.

Source: arXiv 2106.09685; PEFT 0.21, `LoraLayer.get_delta_weight`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from peft.utils.other import get_pattern_key
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

from vlmpost.errors import ModelError
from vlmpost.models.adapters import ADAPTER_CONFIG
from vlmpost.models.merging.stored import Entry, Read, StoredWeights, entries_of, listed
from vlmpost.models.weights import ADAPTER_FILE, check_whole

PREFIX: Final = "base_model.model."
DOWN, UP = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Delta:
    """What an adapter adds to one tensor."""

    module: str
    """Its name in the adapter, before `.lora_A.weight`."""
    scale: float
    transposed: bool


@dataclass(frozen=True)
class AdaptedWeights:
    """The tensors of a base model with an adapter's deltas added; tensors without one are the base's own, bit for bit."""

    base: StoredWeights
    adapter: StoredWeights
    deltas: Mapping[str, Delta]
    """Name in the base's files -> what is added."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The base's files and the adapter's, as the loader hashes them."""
        return (*self.base.files, *self.adapter.files)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The base's."""
        return self.base.entries

    def reader(self, name: str) -> Read:
        """What reads the numbers of one tensor: float32 where the adapter adds to it."""
        plain = self.base.reader(name)
        if name not in self.deltas:
            return plain
        delta, row = self.deltas[name], self.entries[name].shape[1]
        rows, columns = self.adapter.read(delta.module + UP).float(), self.adapter.read(delta.module + DOWN).float()
        if delta.transposed:
            rows, columns = columns.T, rows.T

        def read(start: int, stop: int) -> torch.Tensor:
            first = start // row
            product = (rows[first : -(-stop // row)] @ columns).flatten()[start - first * row : stop - first * row]
            return plain(start, stop).float().add_(product, alpha=delta.scale)

        return read


def open_adapter(folder: Path, base: StoredWeights, *, base_folder: Path) -> AdaptedWeights:
    """Returns the base's tensors with the adapter of `folder` in them.

    Raises:
        ModelError: The adapter is damaged, is not plain LoRA, or does not fit the base.
    """
    config = _config(folder)
    adapter = _open_file(folder)
    odd = [name for name in adapter.entries if not (name.startswith(PREFIX) and name.endswith((DOWN, UP)))]
    if odd or config.get("peft_type") != "LORA" or config.get("use_dora"):
        what = listed(odd) or f"peft_type {config.get('peft_type')!r}{', use_dora' * bool(config.get('use_dora'))}"
        raise ModelError(
            f"The adapter {folder} is not plain LoRA on linear layers ({what}). Save it merged (PEFT: merge_and_unload), and give that."
        )
    modules = sorted({name.removesuffix(DOWN).removesuffix(UP) for name in adapter.entries})
    stored_names = _stored_names(base, base_folder, modules)
    deltas, strange = {}, []
    for module in modules:
        name = stored_names.get(f"{module.removeprefix(PREFIX)}.weight")
        delta = Delta(module, _scale(config, adapter, module), bool(config.get("fan_in_fan_out")))
        if name is None or _shape(adapter, delta) != base.entries[name].shape:
            strange.append(module.removeprefix(PREFIX))
        else:
            deltas[name] = delta
    if strange:
        raise ModelError(f"The adapter {folder} does not fit {base_folder}: {len(strange)} of its layers are not there: {listed(strange)}.")
    return AdaptedWeights(base, adapter, deltas)


def _open_file(folder: Path) -> StoredWeights:
    file = folder / ADAPTER_FILE
    if not file.is_file():
        raise ModelError(f"{folder} has {ADAPTER_CONFIG} but no {ADAPTER_FILE}.")
    check_whole(file)
    return StoredWeights((file,), entries_of(file))


def _config(folder: Path) -> dict[str, Any]:  # Any: JSON
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{folder / ADAPTER_CONFIG} is not readable JSON: {error}.") from error
    if not isinstance(config, dict) or (config.get("peft_type") == "LORA" and not isinstance(config.get("lora_alpha"), int | float)):
        raise ModelError(f"{folder / ADAPTER_CONFIG} does not say lora_alpha, the scale of the adapter.")
    return config


def _scale(config: Mapping[str, Any], adapter: StoredWeights, module: str) -> float:
    down = adapter.entries.get(module + DOWN)
    rank = down.shape[0] if down is not None else 1
    patterns = config.get("alpha_pattern") or {}
    alpha = patterns.get(get_pattern_key(list(patterns), module.removeprefix(PREFIX)), config["lora_alpha"])
    return float(alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank)


def _shape(adapter: StoredWeights, delta: Delta) -> tuple[int, ...] | None:
    """The shape of what is added; None where a half is missing or the halves do not fit."""
    down, up = adapter.entries.get(delta.module + DOWN), adapter.entries.get(delta.module + UP)
    if down is None or up is None or len(down.shape) != 2 or len(up.shape) != 2 or up.shape[1] != down.shape[0]:
        return None
    shape = (up.shape[0], down.shape[1])
    return shape[::-1] if delta.transposed else shape


def _stored_names(base: StoredWeights, folder: Path, modules: list[str]) -> dict[str, str]:
    """Parameter name in the model -> name in its files; where the files already use the model's names no model is built."""
    if all(f"{module.removeprefix(PREFIX)}.weight" in base.entries for module in modules):
        return {name: name for name in base.entries}
    try:
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(str(folder), local_files_only=True))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"{folder}: transformers cannot say how the layers of this architecture are called in its files "
            f"({str(error).splitlines()[0]}). Save the adapter merged (PEFT: merge_and_unload), and give that."
        ) from error
    conversions = get_model_conversion_mapping(model)
    renamings = [conversion for conversion in conversions if isinstance(conversion, WeightRenaming)]
    converters = [conversion for conversion in conversions if isinstance(conversion, WeightConverter)]
    parameters = model.state_dict()
    renamed = {
        name: rename_source_key(name, renamings, converters, base_model_prefix=model.base_model_prefix, meta_state_dict=parameters)
        for name in base.entries
    }
    return {parameter: name for name, (parameter, converter) in renamed.items() if converter is None}
