"""Whoever chats: turns are put in, replies are taken out as they come, many conversations side by side.

`endpoint.EndpointChat` is a server's model, `local_chat.LocalChat` one that is loaded here; tests put scripted ones in their place.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from vlmpost.curation.records import Failure
from vlmpost.data.conversation import ChatMessage
from vlmpost.records import ImageRef, StopReason


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply that is wanted."""

    messages: tuple[ChatMessage, ...]
    """The conversation so far; the last message is the user's."""
    images: tuple[ImageRef, ...]
    """In the order of the image blocks."""
    seed: int
    """Of this reply's sampling."""
    reflects: bool = False
    """Whether the model that reflects is asked, where there is one of its own."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was said."""

    text: str
    thinking: str | None
    """Thinking that is kept apart from the text. None: there is none apart."""
    num_tokens: int | None
    """Tokens of both. None: nobody counted."""
    stop_reason: StopReason


class Replies(Protocol):
    """Turns under way."""

    def put(self, key: Hashable, turn: Turn) -> None:
        """Asks for a reply; the key comes back with it."""
        ...

    def take(self) -> tuple[Hashable, Reply | Failure]:
        """Waits for the next reply, in any order, of which there must be one under way."""
        ...


class Chat(Protocol):
    """Whoever replies."""

    @property
    def name(self) -> str:
        """The model, or both where another one reflects."""
        ...

    @property
    def max_concurrent(self) -> int:
        """Conversations that are worth having at once."""
        ...

    @property
    def is_repeatable(self) -> bool:
        """Whether the same turn always gets the same reply."""
        ...

    def open(self) -> AbstractContextManager[Replies]:
        """Returns a context in which turns can be put; leaving it ends those under way."""
        ...

    def num_tokens(self, text: str, /) -> int | None:
        """Returns how many tokens a text has for the model; None where that cannot be known."""
        ...
