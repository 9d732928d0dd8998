"""The model judge's language model behind an OpenAI-compatible endpoint; the transport is `rewards.chat_server`."""

from __future__ import annotations

from collections.abc import Sequence

from vlmpost.rewards.chat_replies import ChatReply, NoReply
from vlmpost.rewards.chat_server import ChatRequest, ChatServer, Door, Limits
from vlmpost.rewards.model_judge import Failure

BASE_URL, API_KEY = "VLMPOST_JUDGE_BASE_URL", "VLMPOST_JUDGE_API_KEY"
"""Environment variables: the address up to and with /v1, and the key where one is needed."""
MAX_REPLY_BYTES = 1 << 20


class Endpoint:
    """Asks one model for greedy replies.

    Args:
        model: Its name at the endpoint.
        base_url: Where it is. None: from the environment.
        max_tokens: Token budget of a reply.
        max_concurrent: Requests under way at once.
        max_seconds: Wall-clock limit of one try.
        max_tries: How often a request is made before it is a failure.
        pause_seconds: Before the second try; doubled for each further one.

    Raises:
        ConfigError: No address is given.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        max_tokens: int = 512,
        max_concurrent: int = 8,
        max_seconds: float = 120.0,
        max_tries: int = 4,
        pause_seconds: float = 1.0,
    ) -> None:
        self.model = model
        self.max_tokens = max_tokens
        limits = Limits(max_concurrent, max_seconds, max_tries, pause_seconds, MAX_REPLY_BYTES)
        self._server = ChatServer(Door(f"The model judge {model!r}", BASE_URL, API_KEY), limits=limits, base_url=base_url)

    @property
    def name(self) -> str:
        """The model and what changes its replies."""
        return f"{self.model}, greedy, {self.max_tokens} tokens"

    def complete(self, prompts: Sequence[str]) -> list[str | Failure]:
        """Returns one reply per prompt, in order.

        Raises:
            ConfigError: The endpoint refuses the key, knows no such address or model, or was never there.
        """
        with self._server.session() as session:
            for place, prompt in enumerate(prompts):
                session.put(place, self._request(prompt))
            replies = dict(session.take() for _ in prompts)
        return [_said(replies[place]) for place in range(len(prompts))]

    def _request(self, prompt: str) -> ChatRequest:
        return ChatRequest(self.model, [{"role": "user", "content": prompt}], {"temperature": 0, "max_tokens": self.max_tokens})


def _said(reply: ChatReply | NoReply) -> str | Failure:
    return reply.text if isinstance(reply, ChatReply) else Failure(reply.reason)
