"""How many tokens a row becomes, exactly as the processor will count them.

Where a family replaces each image's placeholder by so many copies of one token, the number follows from the image's size and no
pixel is touched. Whether a family does so is not assumed: the first rows of each number of images are counted both ways, and
on any difference all rows go through the processor with blank images of the right sizes, which is slower and exact by construction.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vlmpost.data.conversation import ChatMessage
from vlmpost.data.ledger import RowFault

NUM_VERIFIED = 4
"""Rows of each number of images that are counted both ways before the sizes are trusted."""

Size = tuple[int, int]
"""(width, height) in pixels."""


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Tokens of a prompt with its images."""

    total: int
    image: int
    """Those of the total that stand for image patches."""


class TokenCounter:
    """Counts the tokens of prompts and completions under one processor.

    Args:
        processor: A transformers processor with a tokenizer, an image processor and a chat template.
    """

    def __init__(self, processor: Any) -> None:  # Any: the library's processors share no typed interface.
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._image_ids = _image_ids(processor)
        self._num_agreed: dict[int, int] = {}
        self._disagreed: set[int] = set()
        self._predictions: dict[tuple[Size, ...], int | None] = {}
        self.specials = _specials(processor)
        """Texts that the tokenizer turns into control or image tokens."""

    def prompt(self, messages: Sequence[ChatMessage], sizes: Sequence[Size]) -> PromptTokens:
        """The tokens of a prompt that a completion is to follow.

        Raises:
            RowFault: The processor refuses the row, or a text holds a special token.
        """
        self._check_texts(messages)
        return self._count(self._render(messages), sizes)

    def pair(self, messages: Sequence[ChatMessage], completion: Sequence[ChatMessage], sizes: Sequence[Size]) -> tuple[PromptTokens, int]:
        """The tokens of a prompt and of its completion, end-of-turn token included, split as TRL splits them.

        Raises:
            RowFault: As `prompt`.
        """
        self._check_texts([*messages, *completion])
        prompt = self._render(messages)
        whole = self._processor.apply_chat_template([*messages, *completion], tokenize=False)
        # A template may open the answer itself (<think>): TRL cuts where the two texts part.
        common = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(prompt, whole, strict=False))))
        return self._count(whole[:common], sizes), len(self._ids(whole[common:]))

    def _render(self, messages: Sequence[ChatMessage]) -> str:
        text: str = self._processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        return text

    def _check_texts(self, messages: Sequence[ChatMessage]) -> None:
        for message in messages:
            for block in message["content"]:
                assert isinstance(block, dict)
                found = [special for special in self.specials if special in block.get("text", "")]
                if found:
                    raise RowFault("special token in the text", f"{found[0]!r} in a {message['role']} turn")

    def _count(self, text: str, sizes: Sequence[Size]) -> PromptTokens:
        if not sizes:
            return PromptTokens(len(self._ids(text)), 0)
        number = len(sizes)
        if number in self._disagreed:
            return self._processed(text, sizes)
        predicted = self._predicted(text, sizes)
        if self._num_agreed.get(number, 0) >= NUM_VERIFIED and predicted is not None:
            return predicted
        processed = self._processed(text, sizes)
        if predicted == processed:
            self._num_agreed[number] = self._num_agreed.get(number, 0) + 1
        else:
            self._disagreed.add(number)
        return processed

    def _predicted(self, text: str, sizes: Sequence[Size]) -> PromptTokens | None:
        """From sizes alone; None: the processor cannot say."""
        key = tuple(sizes)
        if key not in self._predictions:
            self._predictions[key] = self._image_tokens(key)
        image = self._predictions[key]
        return None if image is None else PromptTokens(len(self._ids(text)) - len(sizes) + image, image)

    def _image_tokens(self, sizes: Sequence[Size]) -> int | None:
        if not hasattr(self._processor, "_get_num_multimodal_tokens"):
            return None
        try:
            counted = self._processor._get_num_multimodal_tokens(image_sizes=[(height, width) for width, height in sizes])
        except (ValueError, AttributeError, NotImplementedError, KeyError, TypeError):
            return None
        return sum(counted.num_image_tokens)

    def _processed(self, text: str, sizes: Sequence[Size]) -> PromptTokens:
        from PIL import Image

        blanks = [Image.new("RGB", size) for size in sizes]
        try:
            output = self._processor(text=[text], images=[blanks], add_special_tokens=False)
        except (ValueError, TypeError, ZeroDivisionError, IndexError) as error:
            raise RowFault("refused by the processor", str(error).splitlines()[0] if str(error) else type(error).__name__) from None
        ids = [int(token) for token in output["input_ids"][0]]
        return PromptTokens(len(ids), sum(token in self._image_ids for token in ids))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _image_ids(processor: Any) -> frozenset[int]:  # Any: see TokenCounter.
    found = getattr(processor, "image_token_id", None)
    if found is None and getattr(processor, "image_token", None) is not None:
        found = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
    return frozenset(found if isinstance(found, list | tuple) else [found])


def _specials(processor: Any) -> tuple[str, ...]:  # Any: see TokenCounter.
    names = set(processor.tokenizer.all_special_tokens)
    for name in ("image_token", "video_token", "boi_token", "eoi_token", "fake_image_token", "global_image_tag"):
        token = getattr(processor, name, None)
        names |= {token} if isinstance(token, str) else set()
    # Thinking tags are special in some tokenizers, and solutions are meant to hold them.
    return tuple(sorted(name for name in names if name and "think" not in name.lower()))
