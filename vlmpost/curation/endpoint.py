"""A model behind an OpenAI-compatible endpoint, as one that chats; the transport, its tries and limits are `rewards.chat_server`.

Every reply is a request of its own (never n > 1) with a seed of its own, so that each can be asked for again by itself. Seeds are cut
to 31 bits, which every server takes. Keys of `generation` that OpenAI does not know (top_k, min_p, repetition_penalty) are sent only
where they are set: vLLM and SGLang take them.

A request that the server refuses with words (status 400 or 422) will be refused again: it is a lasting failure with these words.

A reply that ends without saying why counts as ended, unless it is as long as its budget; one that a content filter or a tool call
ended is a failure.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from vlmpost.config.curate import TeacherConfig
from vlmpost.config.schema import GenerationConfig
from vlmpost.curation.chats import Replies, Reply, Turn
from vlmpost.curation.image_urls import data_url
from vlmpost.curation.records import Failure
from vlmpost.data.conversation import ChatMessage
from vlmpost.errors import ConfigError, DataError
from vlmpost.records import StopReason
from vlmpost.rewards.chat_replies import ChatReply, NoReply
from vlmpost.rewards.chat_server import ChatRequest, ChatServer, ChatSession, Door, Limits

BASE_URL, API_KEY = "VLMPOST_TEACHER_BASE_URL", "VLMPOST_TEACHER_API_KEY"
"""Environment variables: the address up to and with /v1, and the key where one is needed."""
MAX_REPLY_BYTES = 16 << 20

_ENDED = frozenset(("stop", "eos", "eos_token", "end_turn", "stop_sequence"))
_CUT = frozenset(("length", "max_tokens", "max_length"))
_MAX_SEED = 2**31

_log = logging.getLogger(__name__)


class EndpointChat:
    """A server's model as one that chats.

    Args:
        teacher: Its name there, and the limits of a request.
        generation: How replies are sampled.
        pause_seconds: Before the second try of a request; doubled for each further one.

    Raises:
        ConfigError: The model has no name, or the server no address.
    """

    is_repeatable = False

    def __init__(self, teacher: TeacherConfig, *, generation: GenerationConfig, pause_seconds: float = 1.0) -> None:
        if teacher.name is None:
            raise ConfigError("teacher.name is not given. Say which model answers at the endpoint.")
        limits = Limits(
            max_concurrent=teacher.max_concurrent,
            max_seconds=teacher.max_seconds,
            max_tries=teacher.max_tries,
            pause_seconds=pause_seconds,
            max_reply_bytes=MAX_REPLY_BYTES,
            tries_empty_again=True,
        )
        self._server = ChatServer(Door(f"The teacher {teacher.name!r}", BASE_URL, API_KEY), limits=limits)
        self._model = teacher.name
        self._reflection_model = teacher.reflection_name or teacher.name
        self._generation = generation

    @property
    def name(self) -> str:
        """The model's name at the endpoint, or both names where another one reflects."""
        return self._model if self._model == self._reflection_model else f"{self._model} and {self._reflection_model}"

    @property
    def max_concurrent(self) -> int:
        """Requests under way at once."""
        return self._server.limits.max_concurrent

    def num_tokens(self, _text: str, /) -> int | None:
        """Returns None: the tokenizer is the server's."""
        return None

    @contextmanager
    def open(self) -> Iterator[Replies]:
        """Returns a context in which turns can be put; leaving it ends the requests under way.

        Raises:
            ConfigError: The key holds a character that no key can have.
        """
        with self._server.session() as session:
            yield _EndpointReplies(self, session)

    def request(self, turn: Turn) -> ChatRequest:
        """Returns a turn as the server is asked for it.

        Raises:
            DataError: An image cannot be sent.
        """
        urls = iter([data_url(image) for image in turn.images])
        messages = [{"role": message["role"], "content": _content(message, urls)} for message in turn.messages]
        sampling = _sampling(self._generation) | {"seed": turn.seed % _MAX_SEED}
        return ChatRequest(self._reflection_model if turn.reflects else self._model, messages, sampling)

    def reply(self, reply: ChatReply | NoReply) -> Reply | Failure:
        """Returns what came of a request, with what a reply is not as a failure."""
        if isinstance(reply, NoReply):
            if reply.too_long:
                return Failure("the question is too long for the server", self.name, lasting=True)
            if reply.refused:
                return Failure(f"refused by the server ({reply.cause})", self.name, lasting=True, detail=reply.detail)
            return Failure(reply.cause, self.name)
        stop_reason = _stop_reason(reply, self._generation.max_completion_length)
        if stop_reason is None:
            return Failure(f"ended by {reply.finish_reason}", self.name)
        return Reply(reply.text, reply.reasoning, reply.num_tokens, stop_reason)


class _EndpointReplies:
    """Turns under way at a server."""

    def __init__(self, chat: EndpointChat, session: ChatSession) -> None:
        self._chat = chat
        self._session = session
        self._unsent: deque[tuple[Hashable, Failure]] = deque()

    def put(self, key: Hashable, turn: Turn) -> None:
        """Makes the request of a turn."""
        try:
            request = self._chat.request(turn)
        except DataError as error:
            _log.warning("a question cannot be sent to %s: %s", self._chat.name, error)
            self._unsent.append((key, Failure("an image cannot be sent", self._chat.name, lasting=True)))
        else:
            self._session.put(key, request)

    def take(self) -> tuple[Hashable, Reply | Failure]:
        """Waits for the next reply.

        Raises:
            ConfigError: The server refuses the key, knows no such address or model, or was never there.
        """
        if self._unsent:
            return self._unsent.popleft()
        key, reply = self._session.take()
        return key, self._chat.reply(reply)


def _content(message: ChatMessage, urls: Iterator[str]) -> str | list[dict[str, object]]:
    """A message's content in OpenAI's form: a plain string where there is no image, which every server reads."""
    blocks = message["content"]
    if isinstance(blocks, str):
        return blocks
    if all(block["type"] == "text" for block in blocks):
        return "".join(block["text"] for block in blocks)
    return [
        {"type": "text", "text": block["text"]} if block["type"] == "text" else {"type": "image_url", "image_url": {"url": next(urls)}}
        for block in blocks
    ]


def _sampling(generation: GenerationConfig) -> dict[str, float | int]:
    sampling: dict[str, float | int] = {
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "max_tokens": generation.max_completion_length,
    }
    if generation.top_k:
        sampling["top_k"] = generation.top_k
    if generation.min_p is not None:
        sampling["min_p"] = generation.min_p
    if generation.repetition_penalty != 1.0:
        sampling["repetition_penalty"] = generation.repetition_penalty
    return sampling


def _stop_reason(reply: ChatReply, max_tokens: int) -> StopReason | None:
    """Why a reply ended; None where it was not its own end nor its budget."""
    if reply.finish_reason is None:
        return "length" if reply.num_tokens is not None and reply.num_tokens >= max_tokens else "stop"
    if reply.finish_reason in _CUT:
        return "length"
    return "stop" if reply.finish_reason in _ENDED else None
