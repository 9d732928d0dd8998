"""How much memory a run needs, from config.json and the headers of the safetensors files alone: no weights are read, no torch.

The estimate adds up what is held in each phase by one process that shares nothing (no sharding):

- weights: parameters x bytes; in 4 bit, 0.55 bytes for each weight of a linear layer of the language model.
- reference: the weights once more when beta > 0 and the weights themselves are trained.
- gradients: trainable parameters x bytes; optimizer: two moments of the same type (AdamW).
- activations, per token of the language model and layer, in elements: 8 h + 2 k + 4 m, with h the hidden width, k the width of keys plus
  values and m the width of the MLP: inputs of the two norms, of attention and MLP, queries, keys, values, attention output, and the
  four products of a gated MLP. With gradient checkpointing: h per layer, and one layer whole. The vision tower counts the same way
  where it is trained, and one layer of it where it is frozen.
- logits: at most 4096 tokens in float32, with their gradient, for the update (the head is fused with the loss); one row per completion,
  twice, for sampling.
- KV: 2 x layers x key width x tokens of every completion that one process samples side by side, and once of each of their prompts.
- critic: where it is a model of its own, its trained weights with their gradients and moments, and its activations.

Attention kernels, fragmentation and the CUDA context (0.5 to 1 GB) are not counted: expect 20 % above the largest phase.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vlmpost.errors import ModelError

BYTES: Final[Mapping[str, int]] = {"float32": 4, "bfloat16": 2, "float16": 2}
_STORED: Final[Mapping[str, str]] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_TILE_TOKENS = 4096
_VISION = re.compile(r"(?:^|\.)(?:visual|vision_tower|vision_model)\.")
_PROJECTOR = re.compile(r"(?:^|\.)(?:merger|deepstack_merger_list|multi_modal_projector|connector)\.")
_LANGUAGE_LINEAR = re.compile(r"\.layers\.\d+\..*_proj\.weight$")


@dataclass(frozen=True)
class Shape:
    """The sizes of a model that memory depends on."""

    num_parameters: int
    num_vision_parameters: int
    """Of the vision tower, the projector left out."""
    num_projector_parameters: int
    linear_sizes: tuple[tuple[int, int], ...]
    """(out, in) of each linear layer of the language model."""
    stored_dtype: str
    """Type most of the weights are stored in."""
    num_layers: int
    hidden_size: int
    intermediate_size: int
    key_value_size: int
    """Width of the keys plus values of one layer."""
    vocab_size: int
    vision_num_layers: int
    vision_hidden_size: int
    vision_intermediate_size: int
    patch_pixels: int
    """Pixels of one patch of the vision tower."""
    patches_per_token: int
    """Patches that are merged into one token of the language model."""
    default_max_pixels: int | None
    """The processor's own limit for an image; None: its folder does not say."""


@dataclass(frozen=True)
class Phase:
    """What one phase of a run holds, in bytes by part."""

    name: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(self.parts.values())


def read_shape(folder: Path) -> Shape:
    """The sizes of the model in a Hugging Face folder.

    Raises:
        ModelError: The folder has no config.json or no safetensors, or they cannot be read.
    """
    config = _read_json(folder / "config.json")
    text = config.get("text_config") or config.get("llm_config") or config
    vision = config.get("vision_config") or {}
    assert isinstance(text, dict), folder
    assert isinstance(vision, dict), folder
    headers = _headers(folder)
    counts = {name: math.prod(shape) for name, (shape, _) in headers.items()}
    types = [kind for _, kind in headers.values()]
    heads = _number(text, "num_attention_heads", default=1)
    hidden = _number(text, "hidden_size", default=0)
    head_size = _number(text, "head_dim", default=hidden // heads)
    merge = _number(vision, "spatial_merge_size", default=0) or round(1 / _ratio(config)) or 1
    return Shape(
        num_parameters=sum(counts.values()),
        num_vision_parameters=sum(count for name, count in counts.items() if _VISION.search(name) and not _PROJECTOR.search(name)),
        num_projector_parameters=sum(count for name, count in counts.items() if _PROJECTOR.search(name)),
        linear_sizes=tuple(_pair(shape) for name, (shape, _) in headers.items() if _is_language_linear(name) and len(shape) == 2),
        stored_dtype=max(sorted(set(types)), key=types.count),
        num_layers=_number(text, "num_hidden_layers", default=0),
        hidden_size=hidden,
        intermediate_size=_number(text, "intermediate_size", default=4 * hidden),
        key_value_size=2 * head_size * _number(text, "num_key_value_heads", default=heads),
        vocab_size=_number(text, "vocab_size", default=0),
        vision_num_layers=_number(vision, "depth", default=_number(vision, "num_hidden_layers", default=0)),
        vision_hidden_size=_number(vision, "hidden_size", default=0),
        vision_intermediate_size=_number(vision, "intermediate_size", default=4 * _number(vision, "hidden_size", default=0)),
        patch_pixels=_number(vision, "patch_size", default=14) ** 2,
        patches_per_token=merge**2,
        default_max_pixels=_max_pixels(folder),
    )


def image_tokens(shape: Shape, *, pixels: int) -> int:
    """Tokens of the language model that an image of this many pixels becomes, rounded up."""
    return math.ceil(pixels / (shape.patch_pixels * shape.patches_per_token))


def num_lora_parameters(shape: Shape, *, rank: int) -> int:
    """Parameters of adapters of this rank on every linear layer of the language model: rank x (in + out) each."""
    return sum(rank * (rows + columns) for rows, columns in shape.linear_sizes)


def activation_bytes(
    *, tokens: int, num_layers: int, hidden_size: int, key_value_size: int, intermediate_size: int, num_bytes: int, checkpointing: bool
) -> int:
    """What the backward pass of a stack of transformer layers needs to find, for `tokens` tokens.

    >>> activation_bytes(
    ...     tokens=10, num_layers=2, hidden_size=4, key_value_size=2, intermediate_size=8, num_bytes=2, checkpointing=False
    ... )
    2720
    """
    layer = 8 * hidden_size + 2 * key_value_size + 4 * intermediate_size
    return tokens * num_bytes * (layer + num_layers * hidden_size if checkpointing else layer * num_layers)


def training_phase(
    shape: Shape,
    *,
    num_bytes: int,
    num_trainable: int,
    trains_vision: bool,
    tokens: int,
    image_patches: int,
    checkpointing: bool,
    has_reference: bool,
    four_bit: bool,
    has_own_critic: bool = False,
) -> Phase:
    """The update: one forward and backward pass of one process.

    Args:
        shape: The model.
        num_bytes: Bytes of one number.
        num_trainable: Parameters that change.
        trains_vision: Whether the vision tower's activations are kept for the backward pass.
        tokens: Tokens that the pass reads: prompts with their images, each as often as it is read, and completions.
        image_patches: Patches of the images that it reads, before they are merged.
        checkpointing: Whether activations are recomputed.
        has_reference: Whether a second copy of the weights is held.
        four_bit: Whether the language model's linear layers are in 4 bit.
        has_own_critic: Whether a second model learns the values.
    """
    vision_layers = shape.vision_num_layers if trains_vision else min(1, shape.vision_num_layers)
    language = activation_bytes(
        tokens=tokens,
        num_layers=shape.num_layers,
        hidden_size=shape.hidden_size,
        key_value_size=shape.key_value_size,
        intermediate_size=shape.intermediate_size,
        num_bytes=num_bytes,
        checkpointing=checkpointing,
    )
    vision = activation_bytes(
        tokens=image_patches,
        num_layers=vision_layers,
        hidden_size=shape.vision_hidden_size,
        key_value_size=2 * shape.vision_hidden_size,
        intermediate_size=shape.vision_intermediate_size,
        num_bytes=num_bytes,
        checkpointing=checkpointing and trains_vision,
    )
    weights = weight_bytes(shape, num_bytes=num_bytes, four_bit=four_bit)
    return Phase(
        "update",
        {
            "weights": weights,
            "reference": weights if has_reference else 0,
            "gradients": num_trainable * num_bytes,
            "optimizer": 2 * num_trainable * num_bytes,
            "activations": language + vision,
            "logits": 2 * 4 * min(tokens, _TILE_TOKENS) * shape.vocab_size,
            "critic": 4 * num_trainable * num_bytes + language if has_own_critic else 0,
        },
    )


def sampling_phase(
    shape: Shape, *, num_bytes: int, num_trainable: int, completions: int, tokens: int, has_reference: bool, four_bit: bool
) -> Phase:
    """Sampling: `completions` written side by side in one process, the optimizer's state kept; `tokens` are theirs and their prompts'."""
    weights = weight_bytes(shape, num_bytes=num_bytes, four_bit=four_bit)
    return Phase(
        "sampling",
        {
            "weights": weights,
            "reference": weights if has_reference else 0,
            "gradients": 0,
            "optimizer": 2 * num_trainable * num_bytes,
            "KV": tokens * shape.num_layers * shape.key_value_size * num_bytes,
            "logits": 2 * 4 * completions * shape.vocab_size,
        },
    )


def weight_bytes(shape: Shape, *, num_bytes: int, four_bit: bool) -> int:
    """Size of the weights in memory."""
    quantised = sum(rows * columns for rows, columns in shape.linear_sizes) if four_bit else 0
    return round((shape.num_parameters - quantised) * num_bytes + quantised * 0.55)


def checkpoint_bytes(*, num_parameters: int, num_trainable: int, num_bytes: int, use_peft: bool) -> int:
    """Size of one checkpoint on disk: the weights that are kept, and the two moments of the trained ones."""
    kept = num_trainable if use_peft else num_parameters
    return num_bytes * (kept + 2 * num_trainable)


def _is_language_linear(name: str) -> bool:
    return bool(_LANGUAGE_LINEAR.search(name)) and not _VISION.search(name)


def _pair(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0], shape[1]


def _headers(folder: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name to (shape, dtype) of every tensor of the folder's safetensors files."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder}: no .safetensors file, so its size is not known.")
    result = {}
    for file in files:
        for name, entry in _header(file).items():
            if name != "__metadata__":
                result[name] = (tuple(entry["shape"]), _STORED.get(entry["dtype"], "float32"))
    return result


def _header(file: Path) -> dict[str, dict[str, Any]]:  # Any: JSON
    try:
        with open(file, "rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length)) if length < 2**28 else None
    except (OSError, struct.error, ValueError) as error:
        raise ModelError(f"{file}: not a safetensors file ({error}).") from None
    if not isinstance(header, dict):
        raise ModelError(f"{file}: not a safetensors file (its header is {length} bytes long).")
    return header


def _read_json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Give a model folder in Hugging Face layout.") from None
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}).") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path}: not a mapping.")
    return value


def _number(config: Mapping[str, object], name: str, *, default: int) -> int:
    """A size of a config; families leave out what equals their default."""
    value = config.get(name, default)
    if isinstance(value, list) and value:
        value = value[0]
    return int(value) if isinstance(value, int | float) else default


def _ratio(config: Mapping[str, object]) -> float:
    """The share of patches that is left along a side, for families that say it as one."""
    scale = config.get("scale_factor")
    if isinstance(scale, int) and scale > 1:
        return 1 / scale
    ratio = config.get("downsample_ratio", 1.0)
    return float(ratio) if isinstance(ratio, int | float) and ratio else 1.0


def _max_pixels(folder: Path) -> int | None:
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None
    config = _read_json(path)
    size = config.get("size")
    if isinstance(config.get("max_pixels"), int):
        return int(str(config["max_pixels"]))
    if not isinstance(size, dict):
        return None
    if "height" in size and "width" in size:
        return int(size["height"]) * int(size["width"])
    longest = size.get("longest_edge")
    return None if not isinstance(longest, int) else longest if longest > 10_000 else longest**2
