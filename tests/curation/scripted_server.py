"""A server that speaks OpenAI's chat completions and misbehaves as it is told, on a free local port; standard library only.

A script says of each request how it is answered: one of `ACTS`. `by_chance` draws them with a seed.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

ACTS = (
    "good",
    "slow",
    "status_500",
    "rate_limited",
    "not_json",
    "no_choices",
    "cut_connection",
    "length",
    "reasoning",
    "cut_reasoning",
    "no_text",
    "huge",
    "filtered",
    "silent_end",
    "too_long",
    "unfit",
    "other_budget",
    "odd_usage",
    "refused",
    "no_model",
)
SLOW_SECONDS = 0.3
HUGE_BYTES = (16 << 20) + 1


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    number: int
    """From 0, in the order of arrival."""
    body: Mapping[str, Any]  # Any: JSON
    authorization: str | None
    num_before: int
    """How often the same request came before."""

    @property
    def text(self) -> str:
        """All texts of the conversation."""
        found = []
        for message in self.body["messages"]:
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            found += [block["text"] for block in blocks if block["type"] == "text"]
        return "\n".join(found)


Script = Callable[[Asked], str]
Say = Callable[[Asked], str]


def by_chance(shares: Mapping[str, float], *, seed: int, otherwise: str = "good") -> Script:
    """Returns a script that draws an act for each request, whatever came before."""

    def script(asked: Asked) -> str:
        drawn = random.Random(f"{seed} {asked.number}").random()
        for act, share in shares.items():
            drawn -= share
            if drawn < 0:
                return act
        return otherwise

    return script


@dataclass
class ScriptedServer:
    """The server, running inside a `with` block.

    Args:
        script: How each request is answered.
        say: The text of a reply.
        retry_after: The header of a rate limit.
        slow_seconds: Before a slow reply.
    """

    script: Script = lambda _: "good"
    say: Say = lambda _: r"It is \boxed{7}."
    retry_after: str = "0"
    slow_seconds: float = SLOW_SECONDS
    asked: list[Asked] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    """What was done with each request, by its number."""
    num_hung_up: int = 0
    """Replies that nobody waited for."""
    _counts: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """The address, up to and with /v1."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        self._http = _QuietServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()

    def note(self, body: bytes, authorization: str | None) -> tuple[Asked, str]:
        """Counts a request, and says what is done with it."""
        with self._lock:
            key = body.decode()
            self._counts[key] = self._counts.get(key, 0) + 1
            asked = Asked(len(self.asked), json.loads(body), authorization, self._counts[key] - 1)
            self.asked.append(asked)
            self.acts.append("")
        act = self.script(asked)
        assert act in ACTS, act
        self.acts[asked.number] = act
        return asked, act


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: a client that was killed is part of the play."""


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked, act = server.note(body, self.headers.get("Authorization"))
            try:
                self._answer(asked, act)
            except OSError:
                server.num_hung_up += 1
                self.close_connection = True

        def _answer(self, asked: Asked, act: str) -> None:
            text = server.say(asked)
            if act == "slow":
                time.sleep(server.slow_seconds)
            status, body = _reply(asked, act, text)
            self.send_response(status)
            if act == "rate_limited":
                self.send_header("Retry-After", server.retry_after)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if act == "cut_connection":
                body = body[: len(body) // 2]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Handler


def _reply(asked: Asked, act: str, text: str) -> tuple[int, bytes]:
    """Status and body."""
    if act == "status_500":
        return 500, f"fault; you sent {asked.authorization}".encode()
    if act == "rate_limited":
        return 429, b"slow down"
    if act == "not_json":
        return 200, b'{"choices": [{"message": {"content": "It i'
    if act == "no_choices":
        return 200, b'{"choices": []}'
    if act == "huge":
        return 200, b"x" * HUGE_BYTES
    if act == "too_long":
        return 400, b'{"error": {"message": "This model\'s maximum context length is 10 tokens", "code": "context_length_exceeded"}}'
    if act == "refused":
        return 401, f"Incorrect API key provided: {asked.authorization}".encode()
    if act == "no_model":
        return 404, b'{"error": {"message": "The model does not exist", "code": "model_not_found"}}'
    if act == "unfit":
        return 400, b'{"error": {"message": "The image is smaller\nthan 28 pixels", "code": "invalid_image"}}'
    if act == "other_budget" and "max_tokens" in asked.body:
        return 400, b'{"error": {"message": "Unsupported parameter: \'max_tokens\'. Use \'max_completion_tokens\' instead."}}'
    return 200, json.dumps(_completion(act, text)).encode()


def _completion(act: str, text: str) -> dict[str, Any]:  # Any: JSON
    message: dict[str, Any] = {"role": "assistant", "content": text}
    finish_reason: str | None = "stop"
    if act == "reasoning":
        message["reasoning_content"] = "Let me think.\n"
    elif act == "cut_reasoning":
        message |= {"content": None, "reasoning_content": "Let me think and"}
        finish_reason = "length"
    elif act == "no_text":
        message["content"] = None
    elif act == "length":
        message["content"] = text[: len(text) // 2]
        finish_reason = "length"
    elif act == "filtered":
        finish_reason = "content_filter"
    elif act == "silent_end":
        finish_reason = None
    num_tokens: float = float("nan") if act == "odd_usage" else len(text.split())
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": num_tokens, "total_tokens": 10 + num_tokens},
    }
