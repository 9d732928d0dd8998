"""Who answers in an evaluation: a player is asked for many replies at once, and knows what stands between two replies of a chat.

`ModelPlayer` is a model; tests put scripted players in its place. A player holds no score and no episode.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from vlmpost.config.schema import GenerationConfig
from vlmpost.data.conversation import to_messages
from vlmpost.errors import DataError, ModelError
from vlmpost.media.images import image_size, open_image
from vlmpost.models.completion import Completion
from vlmpost.models.generation import generate
from vlmpost.models.loader import LoadedModel
from vlmpost.models.turns import TurnRenderer
from vlmpost.records import Example, ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image

CHARACTERS_PER_TOKEN = 3
PIXELS_PER_CHARACTER = 196

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """One reply to make."""

    example: Example
    """Whose prompt opens the chat."""
    seed: int
    """Of the reply's own randomness."""
    history: tuple[int, ...] = ()
    """Tokens after the prompt: earlier replies as they were sampled, and what stands between them."""


class Player(Protocol):
    """Whoever replies."""

    def complete(self, asks: Sequence[Ask]) -> list[Completion]:
        """Returns one reply for each ask, in their order; a reply does not depend on the others."""

    def between(self, reply_ids: Sequence[int], feedback: str) -> Sequence[int]:
        """Returns the tokens from the end of a reply to where the next one starts, with the feedback as the user's turn."""


class ModelPlayer:
    """A model that replies, a batch at a time; on a GPU that runs out of memory a batch is halved.

    Args:
        loaded: The model.
        generation: How to sample.
        instruction: Text added to each question.
        greedy: Take the most probable token.
    """

    def __init__(self, loaded: LoadedModel, *, generation: GenerationConfig, instruction: str | None = None, greedy: bool = False) -> None:
        self._loaded = loaded
        self._generation = generation
        self._instruction = instruction
        self._greedy = greedy

    def complete(self, asks: Sequence[Ask]) -> list[Completion]:
        """Returns one reply for each ask.

        Raises:
            ModelError: One ask alone does not fit in GPU memory, or the logits are not finite.
            DataError: A chat outgrew the model.
        """
        try:
            return self._together(asks)
        except torch.cuda.OutOfMemoryError:
            if len(asks) == 1:
                raise ModelError(
                    f"Example {asks[0].example.id!r} alone does not fit in GPU memory. Lower image_max_pixels or max_completion_length."
                ) from None
        torch.cuda.empty_cache()
        middle = (len(asks) + 1) // 2
        _log.warning("a batch of %d does not fit in GPU memory; going on with %d", len(asks), middle)
        return [completion for half in (asks[:middle], asks[middle:]) for completion in self.complete(half)]

    def between(self, reply_ids: Sequence[int], feedback: str) -> Sequence[int]:
        """Returns the tokens between two replies under the model's chat template.

        Raises:
            ModelError: The template cannot go on after an assistant's turn.
        """
        return self._renderer.between(reply_ids, feedback)

    @functools.cached_property
    def _renderer(self) -> TurnRenderer:
        """Made when a second reply is asked for: not every template can go on, and most evaluations need one reply."""
        return TurnRenderer(self._loaded.processor)

    def _together(self, asks: Sequence[Ask]) -> list[Completion]:
        images = _images(asks)
        prompts: Sequence[Any] = [to_messages(ask.example, instruction=self._instruction) for ask in asks]  # Any: chat messages
        completions = generate(
            self._loaded.model,
            self._loaded.processor,
            prompts,
            [images[ask.example.images] for ask in asks],
            config=self._generation,
            seeds=[ask.seed for ask in asks],
            histories=[ask.history for ask in asks],
            greedy=self._greedy,
        )
        check_context(asks, completions, context=self._loaded.model.config.get_text_config().max_position_embeddings)
        return completions


def check_context(asks: Sequence[Ask], completions: Sequence[Completion], *, context: int) -> None:
    """Refuses replies that went on past the model's last position, where it reads on, but wrongly.

    Args:
        asks: What was asked.
        completions: The replies.
        context: Positions that the model knows.

    Raises:
        DataError: A chat with its reply is longer; it is named.
    """
    for ask, completion in zip(asks, completions, strict=True):
        length = (completion.num_prompt_tokens or 0) + len(completion.token_ids)
        if length > context:
            raise DataError(
                f"Example {ask.example.id!r}: the chat with its last reply has {length} tokens, and the model knows {context} positions. "
                "Lower max_completion_length, verify_iterations or image_max_pixels."
            )


def size_of(example: Example) -> int:
    """Returns about how long a prompt is, in characters, an image patch counted as one word of text."""
    num_characters = sum(len(message.text) for message in example.prompt)
    num_pixels = sum(width * height for width, height in (image_size(ref) for ref in example.images))
    return num_characters + num_pixels // PIXELS_PER_CHARACTER


def _images(asks: Sequence[Ask]) -> dict[tuple[ImageRef, ...], list[Image]]:
    """The images of a batch, those of one question opened once."""
    return {refs: [open_image(ref) for ref in refs] for refs in dict.fromkeys(ask.example.images for ask in asks)}
