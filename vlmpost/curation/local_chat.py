"""A model that is loaded here as one that chats: the turns that wait are answered side by side.

Each reply draws from the stream of its turn's seed, so that neither the batch nor where a killed curation goes on changes it. A reply
may have as many tokens as `generation.max_completion_length` says and the model's context leaves.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from vlmpost.config.schema import GenerationConfig
from vlmpost.curation.chats import Replies, Reply, Turn
from vlmpost.curation.records import Failure
from vlmpost.errors import DataError, ModelError
from vlmpost.media.images import open_image
from vlmpost.models.completion import Completion
from vlmpost.models.decoding import Request, complete
from vlmpost.models.loader import LoadedModel
from vlmpost.models.prompts import EncodedPrompt, encode_prompts

_log = logging.getLogger(__name__)


class LocalChat:
    """A model that replies, `generation.max_concurrent` turns at a time.

    Args:
        loaded: From `models.loader.load(..., purpose="eval")`.
        generation: How replies are sampled.
    """

    def __init__(self, loaded: LoadedModel, generation: GenerationConfig) -> None:
        self._loaded = loaded
        self._generation = generation

    @property
    def name(self) -> str:
        """The model's folder and a hash of its weights."""
        return f"{self._loaded.path.name} {self._loaded.model_hash}"

    @property
    def max_concurrent(self) -> int:
        """Turns that are answered side by side."""
        return self._generation.max_concurrent

    @property
    def is_repeatable(self) -> bool:
        """Whether replies depend on their seeds alone."""
        return self._generation.seeding == "sample"

    def num_tokens(self, text: str, /) -> int | None:
        """Returns how many tokens a text has."""
        return len(self._loaded.processor.tokenizer(text, add_special_tokens=False).input_ids)

    @contextmanager
    def open(self) -> Iterator[Replies]:
        """Returns a context in which turns can be put."""
        yield _LocalReplies(self)

    def replies(self, turns: Sequence[Turn]) -> list[Reply | Failure]:
        """Returns what came of each turn; equal conversations are read once.

        Raises:
            ModelError: The logits are not finite, or one reply alone does not fit in GPU memory.
        """
        encoded: dict[tuple[str, object], EncodedPrompt | Failure] = {}
        for turn in turns:
            key = (repr(turn.messages), turn.images)
            if key not in encoded:
                encoded[key] = self._encoded(turn)
        prompts = [encoded[repr(turn.messages), turn.images] for turn in turns]
        ready = [(prompt, turn.seed) for prompt, turn in zip(prompts, turns, strict=True) if isinstance(prompt, EncodedPrompt)]
        completions = iter(self._completions(ready))
        return [prompt if isinstance(prompt, Failure) else _reply(next(completions)) for prompt in prompts]

    def _encoded(self, turn: Turn) -> EncodedPrompt | Failure:
        """A conversation as the model reads it, or why it cannot."""
        messages: Any = list(turn.messages)  # Any: chat messages, whose contents are of several types
        try:
            [prompt] = encode_prompts(self._loaded.processor, [messages], [[open_image(ref) for ref in turn.images]])
        except DataError as error:
            _log.warning("a question cannot be read: %s", error)
            return Failure("the question cannot be read", self.name, lasting=True)
        if len(prompt.token_ids) >= self._context:
            _log.warning("a conversation has %d tokens, and the model knows %d positions", len(prompt.token_ids), self._context)
            return Failure("the question is longer than the model's context", self.name, lasting=True)
        return prompt

    @property
    def _context(self) -> int:
        """Positions that the model knows."""
        positions: int = self._loaded.model.config.get_text_config().max_position_embeddings
        return positions

    def _completions(self, ready: Sequence[tuple[EncodedPrompt, int]]) -> list[Completion]:
        """One for each prompt and seed; on a GPU that runs out of memory in two halves."""
        requests = [Request(prompt, seed, max_tokens=self._context - len(prompt.token_ids)) for prompt, seed in ready]
        try:
            return complete(self._loaded.model, self._loaded.processor, requests, config=self._generation)
        except torch.cuda.OutOfMemoryError:
            if len(ready) == 1:
                raise ModelError(
                    "One reply alone does not fit in GPU memory. Lower model.image_max_pixels or generation.max_completion_length."
                ) from None
        torch.cuda.empty_cache()
        middle = (len(ready) + 1) // 2
        _log.warning("%d replies side by side do not fit in GPU memory; going on with %d", len(ready), middle)
        return [*self._completions(ready[:middle]), *self._completions(ready[middle:])]


class _LocalReplies:
    """Turns that wait, and replies that were not taken yet."""

    def __init__(self, chat: LocalChat) -> None:
        self._chat = chat
        self._waiting: list[tuple[Hashable, Turn]] = []
        self._done: deque[tuple[Hashable, Reply | Failure]] = deque()

    def put(self, key: Hashable, turn: Turn) -> None:
        """Lets a turn wait for the next `take` that has nothing to give."""
        self._waiting.append((key, turn))

    def take(self) -> tuple[Hashable, Reply | Failure]:
        """Returns the next reply; where there is none, all turns that wait are answered."""
        if not self._done:
            waiting, self._waiting = self._waiting, []
            keys = [key for key, _ in waiting]
            self._done.extend(zip(keys, self._chat.replies([turn for _, turn in waiting]), strict=True))
        return self._done.popleft()


def _reply(completion: Completion) -> Reply:
    return Reply(completion.text, None, len(completion.token_ids), completion.stop_reason)
