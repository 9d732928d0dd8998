"""The one door to weights: every command that needs a model gets it from `load`, one that needs only tokens from `load_processor`.

It decides device, type, attention kernel, padding side, pixel budget, frozen parts and adapters, and refuses a folder whose tensors
do not match its architecture one for one. It never runs code from a model folder, never falls back in silence, never prints.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, StrictDataclassError
from peft import PeftModel
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel, ProcessorMixin

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import ModelError
from vlmpost.models.adapters import add_adapter, base_of, is_adapter, read_adapter
from vlmpost.models.devices import choose_attention, choose_device, choose_dtype, quantization, settle_threads
from vlmpost.models.families import Family, family_of, pixel_budget, set_pixel_budget
from vlmpost.models.processors import read_processor
from vlmpost.models.weights import ADAPTER_FILE, weight_files, weights_hash

logger = logging.getLogger(__name__)

NANO_DIR = Path(__file__).parent / "nano"
Purpose = Literal["sft", "rl", "eval"]
HUB_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.txt", "tokenizer.model")
MAX_NAMES_SHOWN = 8


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to train or to generate, and what the manifest says about it."""

    model: PreTrainedModel | PeftModel
    processor: ProcessorMixin
    family: Family
    device: torch.device
    """Where it runs. For "sft" and "rl" the weights are still on the CPU (4-bit ones excepted): the trainer moves or shards them."""
    dtype: torch.dtype
    path: Path
    """The folder that was asked for: a model, or an adapter."""
    base_path: Path
    """The folder of the full weights; differs from `path` for an adapter."""
    chat_template_hash: str
    model_hash: str
    pixel_budget: dict[str, object] = field(default_factory=dict)

    @property
    def num_parameters(self) -> int:
        """All parameters, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def num_trainable_parameters(self) -> int:
        """Parameters that training changes."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)


def load(config: ModelConfig, *, purpose: Purpose, seed: int = 0) -> LoadedModel:
    """Returns the model of a recipe with its processor.

    Args:
        config: The recipe's `model` part.
        purpose: "eval" gives a model in eval mode on its device, adapters merged; "sft" and "rl" one with its trainable parts set.
        seed: Seed of new adapter weights.

    Raises:
        MissingError: A device or package that was asked for is not there.
        ModelError: The folder is not a whole model of a known family, or the recipe's wishes do not fit it.
    """
    path = resolve_folder(config)
    base_path = base_of(path, nano=NANO_DIR) if is_adapter(path) else path
    family = read_family(base_path)
    device = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device)
    processor = load_processor(config)
    files = weight_files(base_path)
    model = _read_model(base_path, config, device=device, dtype=dtype)
    _sync_config(model, processor)
    adapted = _with_adapter(model, family, config, path=path, base=base_path, purpose=purpose, seed=seed)
    if purpose == "eval":
        adapted.eval().requires_grad_(False)
        if not config.load_in_4bit:
            adapted.to(device)
    elif not isinstance(adapted, PeftModel):
        freeze(adapted, family, vision_tower=config.freeze_vision_tower, projector=config.freeze_multi_modal_projector)
    settle_threads(sum(parameter.numel() for parameter in adapted.parameters()), device)
    hashed = (*files, path / ADAPTER_FILE) if is_adapter(path) else files
    return LoadedModel(
        model=adapted,
        processor=processor,
        family=family,
        device=device,
        dtype=dtype,
        path=path,
        base_path=base_path,
        chat_template_hash=chat_template_hash(processor),
        model_hash=weights_hash(hashed),
        pixel_budget=pixel_budget(processor),
    )


def load_processor(config: ModelConfig) -> ProcessorMixin:
    """Returns the processor of a recipe's model: left padding, pixel budget set. Reads no weights.

    An adapter folder without a processor of its own takes its base model's.

    Raises:
        MissingError: A package the processor needs is not there.
        ModelError: The folder has no usable processor, or its family cannot keep the pixel budget.
    """
    path = resolve_folder(config)
    base_path = base_of(path, nano=NANO_DIR) if is_adapter(path) else path
    family = read_family(base_path)
    own = any((path / name).is_file() for name in ("processor_config.json", "preprocessor_config.json"))
    processor = read_processor(path if own else base_path, family)
    set_pixel_budget(family, processor, min_pixels=config.image_min_pixels, max_pixels=config.image_max_pixels)
    return processor


def resolve_folder(config: ModelConfig) -> Path:
    """Returns the real folder behind `model.path`: the nano model's, a local one, or a downloaded snapshot of a hub id.

    Raises:
        ModelError: There is no such folder, and the hub does not have or does not give it.
    """
    if config.path == "nano":
        return NANO_DIR
    folder = Path(config.path).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists() or config.path.count("/") != 1 or config.path.startswith((".", "/", "~")):
        raise ModelError(f"model.path {config.path!r} is no folder. Give a model folder, a hub id such as owner/name, or nano.")
    try:
        return Path(snapshot_download(config.path, revision=config.revision, allow_patterns=list(HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ModelError(
            f"model.path {config.path!r} is no folder here, and the hub did not give it "
            f"({type(error).__name__}). Check the name and the network, or download it and give the folder."
        ) from error


def read_family(folder: Path) -> Family:
    """Returns the family that a folder's config.json names.

    Raises:
        ModelError: There is no readable config.json, its family is unknown, or it does not fit the family.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no config.json, so it is no model folder. Give the folder that holds the weights.")
    try:
        model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{path} is not readable JSON: {error}.") from error
    family = family_of(model_type, where=str(folder))
    try:
        AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except (StrictDataclassError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} does not describe a {family.name} model: {' '.join(str(error).split())[:200]}") from error
    return family


def freeze(model: PreTrainedModel, family: Family, *, vision_tower: bool, projector: bool) -> None:
    """Sets which parameters of a full model train; the language model always does.

    Raises:
        ModelError: The model has no parameters where its family keeps its vision tower.
    """
    num_tower = 0
    for name, parameter in model.named_parameters():
        if family.is_projector(name):
            parameter.requires_grad_(not projector)
        elif family.is_vision_tower(name):
            parameter.requires_grad_(not vision_tower)
            num_tower += 1
    if num_tower == 0:
        raise ModelError(f"This {family.name} model has no parameters under {family.vision_tower}, so its vision tower cannot be frozen.")


def chat_template_hash(processor: ProcessorMixin) -> str:
    """Returns the SHA-256 of the chat template's text, with its prefix."""
    return f"sha256:{hashlib.sha256(processor.chat_template.encode()).hexdigest()}"


def _read_model(folder: Path, config: ModelConfig, *, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    # Any: keyword arguments of another library.
    kwargs: dict[str, Any] = {}
    if config.load_in_4bit:
        kwargs = {"quantization_config": quantization(device, dtype), "device_map": {"": device}}
    try:
        with _quiet():
            model, info = AutoModelForImageTextToText.from_pretrained(
                str(folder),  # a str: PEFT and TRL read it back as the model's name
                config=AutoConfig.from_pretrained(str(folder), local_files_only=True),
                dtype=dtype,
                attn_implementation=choose_attention(config.attn_implementation, device),
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # so that they are all listed in `info`; none is accepted
                output_loading_info=True,
                **kwargs,
            )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise ModelError(f"{folder} cannot be loaded ({type(error).__name__}): {_first_line(error)}") from error
    _check_loading(folder, info)
    return model


def _check_loading(folder: Path, info: dict[str, Any]) -> None:
    """Every tensor of the architecture comes from the folder, and every tensor of the folder goes into the architecture."""
    faults = []
    mismatched = [f"{name} (file {tuple(ours)}, model {tuple(theirs)})" for name, ours, theirs in sorted(info["mismatched_keys"])]
    for word, names in (
        ("missing", sorted(info["missing_keys"] - {name for name, *_ in info["mismatched_keys"]})),
        ("not of this architecture", sorted(info["unexpected_keys"])),
        ("of another shape", mismatched),
    ):
        if names:
            shown = ", ".join(names[:MAX_NAMES_SHOWN]) + (", ..." if len(names) > MAX_NAMES_SHOWN else "")
            faults.append(f"{len(names)} tensor{'s' * (len(names) > 1)} {word}: {shown}")
    faults += [_first_line(message) for message in info["error_msgs"]]
    if faults:
        raise ModelError(
            f"The weights in {folder} do not match its config.json: {'; '.join(faults)}. Use the folder the model was saved to."
        )


def _with_adapter(
    model: PreTrainedModel, family: Family, config: ModelConfig, *, path: Path, base: Path, purpose: Purpose, seed: int
) -> PreTrainedModel | PeftModel:
    if is_adapter(path):
        trainable = config.use_peft and purpose != "eval"
        adapted = read_adapter(model, path, config, base=base, trainable=trainable)
        if trainable or config.load_in_4bit:
            return adapted
        logger.info("The adapter %s is merged into its base model.", path)
        return adapted.merge_and_unload()
    if config.load_in_4bit and not config.use_peft and purpose != "eval":
        raise ModelError("model.load_in_4bit weights cannot be trained themselves. Set model.use_peft: true.")
    if not config.use_peft or purpose == "eval":
        return model
    if not (config.freeze_vision_tower and config.freeze_multi_modal_projector):
        logger.warning("With model.use_peft only adapters train: the freeze_* keys do nothing, lora_target_modules decides.")
    return add_adapter(model, family, config, seed=seed)


def _sync_config(model: PreTrainedModel, processor: ProcessorMixin) -> None:
    """LLaVA-OneVision's model repeats the processor's list of image sizes; the two must agree."""
    if hasattr(model.config, "image_grid_pinpoints"):
        model.config.image_grid_pinpoints = [list(size) for size in processor.image_processor.image_grid_pinpoints]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers' own loading report and bar away; what matters in it becomes an error of ours."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.utils.logging.enable_progress_bar()


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
