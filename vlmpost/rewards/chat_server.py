"""A server that speaks OpenAI's chat completions (vLLM, SGLang, llama.cpp, a provider): many requests side by side.

The transport under the model judge (`rewards.endpoint`) and the teachers of curation. Address and key come from the environment and
are written nowhere: what a server sends back is cleaned of both before it is shown. A request that fails is tried again where that may
help, and is a `NoReply` in the end, never a reply. What no request can mend (a refused key, an unknown model, nobody at the address)
is a `ConfigError`, after which nothing more is asked.

A server that takes the token budget only as `max_completion_tokens` says so when it refuses `max_tokens`; from then on it is sent that way.

Requests run on an event loop in a thread of their own, so that leaving a session ends those under way at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import random
import re
import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from vlmpost.errors import ConfigError
from vlmpost.rewards.chat_replies import MAX_DETAIL_CHARACTERS, ChatReply, NoReply, reply_in

if TYPE_CHECKING:
    import httpx2

MAX_PAUSE_SECONDS = 30.0
"""Between two tries, where the server names no time."""
MAX_RETRY_AFTER_SECONDS = 120.0
"""The longest wait that a server may ask for (Retry-After); a longer one is cut to this."""
MAX_REFUSED = 200
"""Requests that a server may refuse before its first reply; then it is taken to refuse them all."""

_ENDING = {
    401: "the key is refused",
    402: "the account has no credit",
    403: "the key is refused",
    404: "there is no such address or model",
}
_TRY_AGAIN = frozenset((408, 409, 425, 429, 500, 502, 503, 504))
_UNFIT = frozenset((400, 422))
_TOO_LONG = ("context_length_exceeded", "context length", "context window")
_JSON = {"Content-Type": "application/json"}
_BUDGET, _OTHER_BUDGET = "max_tokens", "max_completion_tokens"
_LOGGERS = ("httpx2", "httpcore2")

Posted = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body of what came back."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server is, and how to get in."""

    whose: str
    """Opens the messages of errors, e.g. "The model judge"."""
    base_url_variable: str
    """Environment variable of the address, up to and with /v1."""
    api_key_variable: str
    """Environment variable of the key, where one is needed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, how often and how much."""

    max_concurrent: int = 8
    """Requests under way at once."""
    max_seconds: float = 120.0
    """Wall-clock limit of one try."""
    max_tries: int = 4
    """How often a request is made before it has no reply."""
    pause_seconds: float = 1.0
    """Before the second try; doubled for each further one, unless the server asks for a longer wait."""
    max_reply_bytes: int = 1 << 20
    """Size of a reply above which it is not read on."""
    tries_empty_again: bool = False
    """Whether a reply without a text is asked for again: a sampled one may come out otherwise, a greedy one will not."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One reply that is wanted."""

    model: str
    """Its name at the server."""
    messages: Sequence[Mapping[str, object]]
    """The conversation in OpenAI's form."""
    sampling: Mapping[str, float | int]
    """temperature, max_tokens and whatever else the server is told, sent as it stands."""


class ChatServer:
    """One server.

    Args:
        door: Where it is.
        limits: Of every request.
        base_url: Its address. None: from the environment.

    Raises:
        ConfigError: No address is given, or it is none.
    """

    def __init__(self, door: Door, *, limits: Limits, base_url: str | None = None) -> None:
        address = base_url or os.environ.get(door.base_url_variable)
        if not address:
            raise ConfigError(f"{door.whose} needs an address: set {door.base_url_variable}, e.g. to http://localhost:8000/v1.")
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            raise ConfigError(f"{door.whose}: {door.base_url_variable} is not an address. Give one like http://localhost:8000/v1.")
        self.door = door
        self.limits = limits
        self.was_reached = False
        """Whether anybody has ever answered at the address."""
        self.has_replied = False
        """Whether any request ever got a reply."""
        self.num_refused = 0
        """Requests that it read and refused."""
        self.budget_key = _BUDGET
        """What it calls the token budget."""
        self._address = address.rstrip("/")

    @property
    def url(self) -> str:
        """Where chats are sent; not to be shown."""
        return f"{self._address}/chat/completions"

    def headers(self) -> dict[str, str]:
        """What opens the door; not to be shown.

        Raises:
            ConfigError: The key holds a character that no key can have.
        """
        key = os.environ.get(self.door.api_key_variable)
        if not key:
            return {}
        if not re.fullmatch(r"[!-~]+", key):
            raise ConfigError(
                f"{self.door.whose}: {self.door.api_key_variable} holds a blank, a line end or a character that is not ASCII."
            )
        return {"Authorization": f"Bearer {key}"}

    def cleaned(self, text: str) -> str:
        """Returns the start of a text that the server or the connection wrote, on one line, without key and address."""
        secrets = (os.environ.get(self.door.api_key_variable), self._address, urlsplit(self._address).netloc)
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return " ".join(text.split())[:MAX_DETAIL_CHARACTERS]

    def session(self) -> ChatSession:
        """Returns a context in which requests can be made."""
        return ChatSession(self)


@dataclass(slots=True)
class ChatSession:
    """Requests under way; leaving the context ends them. `put` and `take` are called from one thread."""

    server: ChatServer
    _done: queue.SimpleQueue[tuple[Hashable, ChatReply | NoReply | BaseException]] = field(default_factory=queue.SimpleQueue)
    _is_open: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _over: asyncio.Event = field(init=False)
    _tries: _Tries = field(init=False)
    _tasks: set[asyncio.Task[ChatReply | NoReply]] = field(default_factory=set)

    def __enter__(self) -> Self:
        for name in _LOGGERS:  # at INFO they write the address of every request
            logging.getLogger(name).setLevel(logging.WARNING)
        client = self._client()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(client)), name="chat", daemon=True)
        self._thread.start()
        self._is_open.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def put(self, key: Hashable, request: ChatRequest) -> None:
        """Makes a request, at once or as soon as there is room.

        Args:
            key: Comes back with the reply.
            request: What is asked.
        """
        self._loop.call_soon_threadsafe(self._begin, key, request)

    def take(self) -> tuple[Hashable, ChatReply | NoReply]:
        """Waits for the next request that ends, and returns its key and what came of it.

        Raises:
            ConfigError: The server refuses the key, knows no such address or model, or was never there.
        """
        key, outcome = self._done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return key, outcome

    def _client(self) -> httpx2.AsyncClient:
        import httpx2

        limits = self.server.limits
        pool = httpx2.Limits(max_connections=limits.max_concurrent)
        return httpx2.AsyncClient(headers=self.server.headers(), timeout=None, limits=pool)  # each try has a limit as a whole

    async def _serve(self, client: httpx2.AsyncClient) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        async with client:
            self._tries = _Tries(self.server, client)
            self._is_open.set()
            await self._over.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, key: Hashable, request: ChatRequest) -> None:
        task = self._loop.create_task(self._tries.outcome(request))
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._end(key, ended))

    def _end(self, key: Hashable, task: asyncio.Task[ChatReply | NoReply]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._done.put((key, task.exception() or task.result()))


class _Tries:
    """The tries of the requests of one session, on its event loop."""

    def __init__(self, server: ChatServer, client: httpx2.AsyncClient) -> None:
        self._server = server
        self._client = client
        self._room = asyncio.Semaphore(server.limits.max_concurrent)
        self._fault: ConfigError | None = None

    async def outcome(self, request: ChatRequest) -> ChatReply | NoReply:
        """Returns the reply, or why there is none after the last try that could help."""
        limits = self._server.limits
        tried: ChatReply | NoReply = NoReply("not tried")
        for attempt in range(limits.max_tries):
            if isinstance(tried, NoReply) and attempt:
                await asyncio.sleep(_pause(attempt, limits.pause_seconds, tried.retry_after_seconds))
            async with self._room:
                if self._fault is not None:
                    raise self._fault
                tried = await self._tried(request)
            if isinstance(tried, ChatReply) or not tried.may_pass:
                break
        if isinstance(tried, NoReply):
            _log.warning("%s gave no reply: %s", self._server.door.whose, tried.reason)
        return tried

    async def _tried(self, request: ChatRequest) -> ChatReply | NoReply:
        import httpx2

        limits = self._server.limits
        try:
            async with asyncio.timeout(limits.max_seconds):
                posted = await self._posted(request)
        except TimeoutError:
            return NoReply("Timeout", f"the reply took longer than {limits.max_seconds:g} s")
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            if isinstance(error, httpx2.ConnectError) and not self._server.was_reached:
                raise self._ended("nobody answers at its address", error=str(error)) from None
            return NoReply(f"the connection failed ({type(error).__name__})", self._server.cleaned(str(error)))
        if isinstance(posted, NoReply):
            return posted
        status, headers, body = posted
        if status in _ENDING or _knows_no_model(status, body):
            raise self._ended(f"its endpoint answers {status}, {_ENDING.get(status, 'there is no such model')}")
        if status == 200:
            return self._readable(reply_in(body))
        return self._unfit(status, headers, body)

    async def _posted(self, request: ChatRequest) -> Posted | NoReply:
        """Status, headers and body; sent again where the server asks for the budget under its other name."""
        key = self._server.budget_key
        posted = await self._posted_once(request, budget_key=key)
        if key == _OTHER_BUDGET or _BUDGET not in request.sampling or isinstance(posted, NoReply) or not _wants_other_budget(posted):
            return posted
        if self._server.budget_key == _BUDGET:
            _log.warning("%s takes %s in place of %s; it is sent that", self._server.door.whose, _OTHER_BUDGET, _BUDGET)
            self._server.budget_key = _OTHER_BUDGET
        return await self._posted_once(request, budget_key=_OTHER_BUDGET)

    async def _posted_once(self, request: ChatRequest, *, budget_key: str) -> Posted | NoReply:
        """Status, headers and body; a body that is too long is not read on."""
        max_bytes = self._server.limits.max_reply_bytes
        sampling = {budget_key if key == _BUDGET else key: value for key, value in request.sampling.items()}
        payload = json.dumps({"model": request.model, "messages": list(request.messages), **sampling})
        body = bytearray()
        async with self._client.stream("POST", self._server.url, content=payload.encode(), headers=_JSON) as response:
            self._server.was_reached = True
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    return NoReply("the reply is too long", f"it is longer than {max_bytes} bytes")
            return response.status_code, response.headers, bytes(body)

    def _ended(self, why: str, *, error: str = "") -> ConfigError:
        """The fault that ends all, kept so that no other request begins."""
        door = self._server.door
        said = f" ({self._server.cleaned(error)})" if error else ""
        ways = f"Check {door.base_url_variable}, {door.api_key_variable} and the model's name."
        self._fault = ConfigError(f"{door.whose} cannot be asked: {why}{said}. {ways}")
        return self._fault

    def _readable(self, reply: ChatReply | NoReply) -> ChatReply | NoReply:
        if isinstance(reply, ChatReply):
            self._server.has_replied = True
            return reply
        again = reply.may_pass or self._server.limits.tries_empty_again
        return NoReply(reply.cause, self._server.cleaned(reply.detail), may_pass=again)

    def _unfit(self, status: int, headers: Mapping[str, str], body: bytes) -> NoReply:
        text = body.decode(errors="replace")
        too_long = status == 413 or (status in _UNFIT and _says_too_long(text))
        found = NoReply(
            f"status {status}",
            self._server.cleaned(text),
            may_pass=status in _TRY_AGAIN,
            too_long=too_long,
            refused=status in _UNFIT and not too_long and bool(text.strip()),
            retry_after_seconds=retry_after(headers.get("Retry-After"), now=time.time()),
        )
        self._server.num_refused += found.refused
        if self._server.num_refused >= MAX_REFUSED and not self._server.has_replied:
            raise self._ended(f"it refused {MAX_REFUSED} requests and replied to none", error=found.reason)
        return found


def retry_after(value: str | None, *, now: float) -> float | None:
    """Returns the seconds that a Retry-After header asks to wait, from 0 to `MAX_RETRY_AFTER_SECONDS`; None where it says nothing.

    Args:
        value: Seconds, or a date.
        now: Seconds since 1970.

    Example:
        >>> retry_after("2", now=0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=50.0), retry_after("soon", now=0.0)
        (2.0, 10.0, None)
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except ValueError:
            return None
    return min(MAX_RETRY_AFTER_SECONDS, max(0.0, seconds))


def _pause(attempt: int, pause_seconds: float, asked_seconds: float | None) -> float:
    """Seconds before a further try; spread, so that requests that failed together do not come back together."""
    own = min(MAX_PAUSE_SECONDS, pause_seconds * 2 ** (attempt - 1)) * random.uniform(0.8, 1.2)
    return max(own, asked_seconds or 0.0)


def _wants_other_budget(posted: Posted) -> bool:
    """Whether a request was refused with a word of the other name of its budget."""
    status, _, body = posted
    return status in _UNFIT and _OTHER_BUDGET.encode() in body and not _says_too_long(body.decode(errors="replace"))


def _says_too_long(text: str) -> bool:
    """Whether a refusal is about the length of the conversation."""
    return any(sign in text.lower() for sign in _TOO_LONG)


def _knows_no_model(status: int, body: bytes) -> bool:
    return status == 400 and b'"model_not_found"' in body
