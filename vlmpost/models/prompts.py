"""Prompts as a model reads them, each encoded once: token ids with image tokens expanded, and the processor's tensors of its images.

An `EncodedPrompt` stands for one question however many completions it gets. It is not padded; `collate` pads a batch of them for a
plain forward pass, and `models.shared_prompt` packs them without padding. All tensors stay on the CPU until a batch is made.

Legend: B prompts, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch.nn import functional
from transformers import BatchFeature, ProcessorMixin

from vlmpost.errors import DataError

TOKEN_TYPE_NAMES = ("mm_token_type_ids", "token_type_ids")
"""Inputs with one value per token that say which tokens stand for images; text is 0 in each."""

_NOT_OF_IMAGES = frozenset({"input_ids", "attention_mask", *TOKEN_TYPE_NAMES})
"""What a processor returns beside the tensors of images (LLaVA-OneVision counts the images of each prompt by one of them)."""

Prompt = Sequence[dict[str, object]]
"""Messages in transformers' form: role, and content as text or as {"type": "image"} / {"type": "text", "text": ...} blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPrompt:
    """One prompt, ready for the answer. Two are the same prompt only if they are the same object."""

    token_ids: tuple[int, ...]
    """Image tokens expanded; the last token opens the answer."""
    images: Mapping[str, torch.Tensor]
    """The processor's tensors of the images, first dimension as it gives them for one prompt; empty without images."""
    token_types: Mapping[str, torch.Tensor]
    """What the processor says of each token (`token_type_ids`, `mm_token_type_ids`), int64 [len(token_ids)]."""
    num_images: int = 0
    text: str = ""
    """The chat template's text, image tokens not expanded: what a server that expands them itself wants. `grown` leaves it as it is."""


def encode_prompts(processor: ProcessorMixin, prompts: Sequence[Prompt], images: Sequence[Sequence[Image.Image]]) -> list[EncodedPrompt]:
    """Returns each prompt as the model reads it, through the processor alone and once, so that it does not depend on its neighbours.

    Args:
        processor: The model's.
        prompts: Conversations, each ending with the user's turn.
        images: The images of each prompt, in the order of its slots; an empty list for a text-only prompt.

    Raises:
        DataError: A prompt's image slots and images differ in number, or the processor refuses text or image.
    """
    return [
        _encode_one(processor, prompt, own, place=f"Prompt {index} of {len(prompts)}")
        for index, (prompt, own) in enumerate(zip(prompts, images, strict=True))
    ]


def grown(prompt: EncodedPrompt, token_ids: Sequence[int]) -> EncodedPrompt:
    """Returns the prompt with text tokens after it (earlier replies and what stands between them); its image tensors are shared.

    Example:
        >>> first = EncodedPrompt((5, 6), images={}, token_types={"token_type_ids": torch.tensor([1, 0])})
        >>> second = grown(first, [7])
        >>> second.token_ids, second.token_types["token_type_ids"].tolist()
        ((5, 6, 7), [1, 0, 0])
    """
    types = {name: functional.pad(values_T, (0, len(token_ids))) for name, values_T in prompt.token_types.items()}
    return replace(prompt, token_ids=(*prompt.token_ids, *token_ids), token_types=types)


def collate(prompts: Sequence[EncodedPrompt], *, pad_token_id: int) -> BatchFeature:
    """Returns a model's inputs for a plain forward pass or `generate`: rows left-padded, images joined in the order of the rows.

    Args:
        prompts: One per row; a prompt asked k times stands k times.
        pad_token_id: Fills the rows up; whatever else has a value per token is filled up with 0.
    """
    longest = max(len(prompt.token_ids) for prompt in prompts)
    rows = [torch.tensor(prompt.token_ids) for prompt in prompts]
    inputs = {
        "input_ids": _left_padded(rows, longest, fill=pad_token_id),
        "attention_mask": _left_padded([torch.ones_like(row_T) for row_T in rows], longest),
    }
    for name in prompts[0].token_types:
        inputs[name] = _left_padded([prompt.token_types[name] for prompt in prompts], longest)
    return BatchFeature({**inputs, **joined_images(prompts)})


def joined_images(prompts: Sequence[EncodedPrompt]) -> dict[str, torch.Tensor]:
    """Returns the image tensors of all prompts, in their order, joined along the first dimension; empty without images.

    Dimensions after the first are filled up with 0 to the largest: families that cut an image into tiles skip tiles that are all 0
    (Idefics3, SmolVLM), or know from the image's size how many there are (LLaVA-OneVision).
    """
    with_images = [prompt.images for prompt in prompts if prompt.images]
    if not with_images:
        return {}
    return {name: _joined([images[name] for images in with_images]) for name in with_images[0]}


def _encode_one(processor: ProcessorMixin, prompt: Prompt, images: Sequence[Image.Image], *, place: str) -> EncodedPrompt:
    if (num_slots := _num_slots(prompt)) != len(images):
        raise DataError(f"{place} has {num_slots} image slots and {len(images)} images. Give one image per slot.")
    text = processor.apply_chat_template(list(prompt), add_generation_prompt=True, tokenize=False)
    nested = [list(images)] if images else None
    try:
        inputs = processor(text=[text], images=nested, add_special_tokens=False, return_tensors="pt")
    except (ValueError, IndexError, StopIteration) as error:
        raise DataError(f"{place} cannot be encoded: {error}. Look for image markers in its text.") from error
    return EncodedPrompt(
        token_ids=tuple(inputs["input_ids"][0].tolist()),
        images={name: values for name, values in inputs.items() if name not in _NOT_OF_IMAGES},
        token_types={name: inputs[name][0] for name in TOKEN_TYPE_NAMES if name in inputs},
        num_images=len(images),
        text=text,
    )


def _num_slots(prompt: Prompt) -> int:
    num_slots = 0
    for message in prompt:
        content = message["content"]
        if isinstance(content, list):
            num_slots += sum(block["type"] == "image" for block in content)
    return num_slots


def _left_padded(rows: Sequence[torch.Tensor], length: int, *, fill: int = 0) -> torch.Tensor:
    return torch.stack([functional.pad(row_T, (length - len(row_T), 0), value=fill) for row_T in rows])


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    largest = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    padded = []
    for part in parts:
        missing = [size - own for size, own in zip(largest, part.shape[1:], strict=True)]
        padded.append(functional.pad(part, [edge for size in reversed(missing) for edge in (0, size)]) if any(missing) else part)
    return torch.cat(padded)
