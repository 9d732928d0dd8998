"""The model families vlmpost knows: where each keeps its parts, which tokens stand for images, how its images are scaled.

One table, `FAMILIES`. A folder of another `model_type` is refused by name: guessing module names would freeze or adapt the wrong weights.
The pixel budget is set on the image processor itself, so that TRL, vLLM (from a saved folder) and our own encoding all obey it.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_utils import SizeDict

from vlmpost.errors import ModelError

PixelSetter = Callable[[ProcessorMixin, int | None, int | None], None]
"""Sets (processor, image_min_pixels, image_max_pixels); None leaves what the folder says."""

PIXEL_KEYS = (
    "crop_to_patches",
    "do_image_splitting",
    "image_grid_pinpoints",
    "max_image_size",
    "max_patches",
    "merge_size",
    "min_patches",
    "patch_size",
    "size",
)


@dataclass(frozen=True)
class Family:
    """One architecture; module paths start at the model class that `from_pretrained` returns."""

    name: str
    """The `model_type` of config.json."""
    processor_class: str
    """Name of its processor class in transformers."""
    vision_tower: str
    """Module of the vision encoder."""
    projectors: tuple[str, ...]
    """Modules (or parameters) between vision encoder and language model; they may lie inside `vision_tower`."""
    language_model: str
    """Module of the decoder, output head not included."""
    vision_tokens: str
    """Regex of the added tokens that stand for image or video content; none of them may be sampled."""
    set_pixels: PixelSetter
    """Puts a pixel budget on the processor."""

    def is_projector(self, parameter_name: str) -> bool:
        """Whether a parameter belongs to the projector."""
        return any(parameter_name == path or parameter_name.startswith(f"{path}.") for path in self.projectors)

    def is_vision_tower(self, parameter_name: str) -> bool:
        """Whether a parameter belongs to the vision tower and not to the projector."""
        return parameter_name.startswith(f"{self.vision_tower}.") and not self.is_projector(parameter_name)


def family_of(model_type: str | None, *, where: str) -> Family:
    """Returns the family of a `model_type`.

    Raises:
        ModelError: The type is none of ours; the message lists them.
    """
    if model_type is not None and model_type in FAMILIES:
        return FAMILIES[model_type]
    near = difflib.get_close_matches(str(model_type), FAMILIES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ModelError(
        f"{where} has model_type {model_type!r}, which is no vision-language family that vlmpost knows.{hint} "
        f"Use a folder of one of: {', '.join(sorted(FAMILIES))}."
    )


def vision_token_ids(family: Family, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Returns the ids of all tokens that stand for vision content, sorted; a sampled one would break the next forward pass."""
    pattern = re.compile(family.vision_tokens)
    return tuple(sorted(index for token, index in tokenizer.get_added_vocab().items() if pattern.fullmatch(token)))


def set_pixel_budget(family: Family, processor: ProcessorMixin, *, min_pixels: int | None, max_pixels: int | None) -> None:
    """Puts `image_min_pixels` and `image_max_pixels` on the processor; None keeps what its folder says.

    Raises:
        ModelError: The family cannot keep such a budget.
    """
    if min_pixels is None and max_pixels is None:
        return
    if min_pixels is not None and max_pixels is not None and min_pixels > max_pixels:
        raise ModelError(f"model.image_min_pixels is {min_pixels}, above model.image_max_pixels {max_pixels}. Lower the first.")
    family.set_pixels(processor, min_pixels, max_pixels)


def pixel_budget(processor: ProcessorMixin) -> dict[str, object]:
    """Returns what decides the size of an image in pixels and tokens, as JSON values, for the manifest."""
    settings: Mapping[str, object] = processor.image_processor.to_dict()
    return {key: settings[key] for key in PIXEL_KEYS if key in settings}


def _set_area(processor: ProcessorMixin, minimum: int | None, maximum: int | None) -> None:
    """Qwen: `size` holds areas in pixels under the names of edges."""
    size = dict(processor.image_processor.size)
    low = size["shortest_edge"] if minimum is None else minimum
    high = size["longest_edge"] if maximum is None else maximum
    if low > high:
        raise ModelError(
            f"The processor's image budget would be {low} to {high} pixels. "
            f"Set both model.image_min_pixels and model.image_max_pixels, the first not above the second."
        )
    processor.image_processor.size = SizeDict(shortest_edge=low, longest_edge=high)


def _set_longest_edge(processor: ProcessorMixin, minimum: int | None, maximum: int | None) -> None:
    """SmolVLM, Idefics3: each image is scaled to `longest_edge`, then cut into square tiles."""
    if minimum is not None:
        raise ModelError(
            "SmolVLM and Idefics3 scale every image to one longest edge, so model.image_min_pixels has no meaning here. Remove it."
        )
    assert maximum is not None
    tile = processor.image_processor.max_image_size["longest_edge"]
    num_tiles = math.isqrt(maximum) // tile
    if num_tiles == 0:
        raise ModelError(f"model.image_max_pixels is {maximum}, below one tile of {tile} x {tile} = {tile * tile} pixels. Raise it.")
    longest_edge = min(processor.image_processor.size["longest_edge"], num_tiles * tile)
    processor.image_processor.size = SizeDict(longest_edge=longest_edge)


def _set_num_tiles(processor: ProcessorMixin, minimum: int | None, maximum: int | None) -> None:
    """InternVL: an image becomes `min_patches` to `max_patches` square tiles, and a thumbnail."""
    image_processor = processor.image_processor
    tile = image_processor.size["height"] * image_processor.size["width"]
    low = image_processor.min_patches if minimum is None else math.ceil(minimum / tile)
    high = image_processor.max_patches if maximum is None else maximum // tile
    if not 1 <= low <= high:
        raise ModelError(
            f"The image budget would be {low} to {high} tiles of {tile} pixels each. "
            f"Set model.image_min_pixels and model.image_max_pixels so that at least one tile fits."
        )
    image_processor.min_patches, image_processor.max_patches = low, high


def _set_pinpoints(processor: ProcessorMixin, minimum: int | None, maximum: int | None) -> None:
    """LLaVA-OneVision: an image takes one of a list of (height, width); those outside the budget leave the list."""
    pinpoints = processor.image_processor.image_grid_pinpoints
    low, high = minimum or 0, math.inf if maximum is None else maximum
    kept = [list(size) for size in pinpoints if low <= size[0] * size[1] <= high]
    if not kept:
        areas = sorted(height * width for height, width in pinpoints)
        raise ModelError(
            f"None of the image sizes of this LLaVA-OneVision folder has {low} to {high} pixels; they have {areas[0]} to {areas[-1]}. "
            f"Change model.image_min_pixels or model.image_max_pixels."
        )
    processor.image_processor.image_grid_pinpoints = kept


def _check_fixed(processor: ProcessorMixin, minimum: int | None, maximum: int | None) -> None:
    """Gemma3: every image has one size, so a budget holds or does not."""
    size = processor.image_processor.size
    area = size["height"] * size["width"]
    if (maximum is not None and maximum < area) or (minimum is not None and minimum > area):
        raise ModelError(
            f"Gemma3 scales every image to {size['height']} x {size['width']} = {area} pixels, which the given "
            f"model.image_min_pixels / image_max_pixels exclude. Remove them."
        )


QWEN_TOKENS = r"<\|(vision_start|vision_end|vision_pad|image_pad|video_pad)\|>"
TILED_TOKENS = r"<image>|<video>|<fake_token_around_image>|<global-img>|<row_\d+_col_\d+>"

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="gemma3",
            processor_class="Gemma3Processor",
            vision_tower="model.vision_tower",
            projectors=("model.multi_modal_projector",),
            language_model="model.language_model",
            vision_tokens=r"<start_of_image>|<end_of_image>|<image_soft_token>",
            set_pixels=_check_fixed,
        ),
        Family(
            name="idefics3",
            processor_class="Idefics3Processor",
            vision_tower="model.vision_model",
            projectors=("model.connector",),
            language_model="model.text_model",
            vision_tokens=TILED_TOKENS,
            set_pixels=_set_longest_edge,
        ),
        Family(
            name="internvl",
            processor_class="InternVLProcessor",
            vision_tower="model.vision_tower",
            projectors=("model.multi_modal_projector",),
            language_model="model.language_model",
            vision_tokens=r"<img>|</img>|<IMG_CONTEXT>|<video>",
            set_pixels=_set_num_tiles,
        ),
        Family(
            name="llava_onevision",
            processor_class="LlavaOnevisionProcessor",
            vision_tower="model.vision_tower",
            projectors=("model.multi_modal_projector", "model.image_newline"),
            language_model="model.language_model",
            vision_tokens=r"<image>|<video>",
            set_pixels=_set_pinpoints,
        ),
        Family(
            name="qwen2_5_vl",
            processor_class="Qwen2_5_VLProcessor",
            vision_tower="model.visual",
            projectors=("model.visual.merger",),
            language_model="model.language_model",
            vision_tokens=QWEN_TOKENS,
            set_pixels=_set_area,
        ),
        Family(
            name="qwen2_vl",
            processor_class="Qwen2VLProcessor",
            vision_tower="model.visual",
            projectors=("model.visual.merger",),
            language_model="model.language_model",
            vision_tokens=QWEN_TOKENS,
            set_pixels=_set_area,
        ),
        Family(
            name="qwen3_vl",
            processor_class="Qwen3VLProcessor",
            vision_tower="model.visual",
            projectors=("model.visual.merger", "model.visual.deepstack_merger_list"),
            language_model="model.language_model",
            vision_tokens=QWEN_TOKENS,
            set_pixels=_set_area,
        ),
        Family(
            name="smolvlm",
            processor_class="SmolVLMProcessor",
            vision_tower="model.vision_model",
            projectors=("model.connector",),
            language_model="model.text_model",
            vision_tokens=TILED_TOKENS,
            set_pixels=_set_longest_edge,
        ),
    )
}
