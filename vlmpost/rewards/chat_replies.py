"""What comes of a chat completion: a reply as the server gave it, or why there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MAX_DETAIL_CHARACTERS = 200
"""Of what a server or a connection says, so much is shown."""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back."""

    text: str
    """What was said; empty where there is only reasoning."""
    reasoning: str | None
    """Thinking that the server keeps apart (`reasoning_content`, `reasoning`). None: it sends none."""
    finish_reason: str | None
    """As the server names it. None: it does not say."""
    num_tokens: int | None
    """Tokens written, reasoning included. None: the server does not say."""


@dataclass(frozen=True, slots=True)
class NoReply:
    """A request that got no reply."""

    cause: str
    """In a few words, the same for like causes."""
    detail: str = ""
    """What the server or the connection said."""
    may_pass: bool = True
    """Whether another try may help."""
    too_long: bool = False
    """Whether the conversation is longer than the server or the model takes."""
    refused: bool = False
    """Whether the server read the request and says what it does not take in it: the same one will be refused again."""
    retry_after_seconds: float | None = None
    """How long the server asks to wait. None: it does not say."""

    @property
    def reason(self) -> str:
        """Cause and detail."""
        return f"{self.cause}: {self.detail}" if self.detail else self.cause


def reply_in(body: bytes) -> ChatReply | NoReply:
    """Returns the first choice of a chat completion; `may_pass` is set where the body was damaged on its way."""
    shown = body[: 4 * MAX_DETAIL_CHARACTERS].decode(errors="replace")
    try:
        parsed: Any = json.loads(body)  # Any: whatever the server sent
    except (ValueError, RecursionError) as error:
        return NoReply("not a chat completion", f"{type(error).__name__}: {shown}")
    try:
        choice = parsed["choices"][0]
        message, finish_reason = choice["message"], choice.get("finish_reason")
        text, reasoning = message.get("content"), message.get("reasoning_content") or message.get("reasoning")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        return NoReply("not a chat completion", f"{type(error).__name__}: {shown}", may_pass=False)
    if not isinstance(text, str) and not isinstance(reasoning, str):
        return NoReply("a reply without a text", may_pass=False)
    return ChatReply(
        text=text if isinstance(text, str) else "",
        reasoning=reasoning if isinstance(reasoning, str) else None,
        finish_reason=finish_reason if isinstance(finish_reason, str) else None,
        num_tokens=_num_tokens(parsed.get("usage")),
    )


def _num_tokens(usage: object) -> int | None:
    """What a server says that it wrote; None where that is no count."""
    found = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return found if type(found) is int and found >= 0 else None
