"""A language model behind an OpenAI-compatible endpoint (vLLM, SGLang, llama.cpp, a provider).

Address and key come from the environment and are written nowhere. Requests run side by side with a limit on each; a request that
fails is tried again where that may help, and is a `Failure` in the end, never an answer.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from vlmpost.errors import ConfigError
from vlmpost.rewards.model_judge import Failure

if TYPE_CHECKING:
    import httpx2

BASE_URL, API_KEY = "VLMPOST_JUDGE_BASE_URL", "VLMPOST_JUDGE_API_KEY"
"""Environment variables: the address up to and with /v1, and the key where one is needed."""
MAX_REPLY_BYTES = 1 << 20
MAX_PAUSE_SECONDS = 30.0
_REFUSED = {401: "the key is refused", 403: "the key is refused", 404: "there is no such address or model"}
_TRY_AGAIN = frozenset((408, 409, 425, 429, 500, 502, 503, 504))

_log = logging.getLogger(__name__)


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
        address = base_url or os.environ.get(BASE_URL)
        if not address:
            raise ConfigError(f"The model judge {model!r} needs an address: set {BASE_URL}, e.g. to http://localhost:8000/v1.")
        self.model = model
        self.max_tokens = max_tokens
        self.max_concurrent = max_concurrent
        self.max_seconds = max_seconds
        self.max_tries = max_tries
        self.pause_seconds = pause_seconds
        self._url = f"{address.rstrip('/')}/chat/completions"

    @property
    def name(self) -> str:
        """The model and what changes its replies."""
        return f"{self.model}, greedy, {self.max_tokens} tokens"

    def complete(self, prompts: Sequence[str]) -> list[str | Failure]:
        """Returns one reply per prompt, in order.

        Raises:
            ConfigError: The endpoint refuses the key, or knows no such address or model.
        """
        import httpx2

        key = os.environ.get(API_KEY)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        pool = ThreadPoolExecutor(self.max_concurrent, thread_name_prefix="judge")
        with httpx2.Client(headers=headers, timeout=self.max_seconds) as client:
            try:
                return list(pool.map(lambda prompt: self._ask(client, prompt), prompts))
            finally:
                pool.shutdown(cancel_futures=True)  # what has not begun is not asked; what has ends at its limit

    def _ask(self, client: httpx2.Client, prompt: str) -> str | Failure:
        import httpx2

        failure = Failure("not tried")
        for attempt in range(self.max_tries):
            if attempt:
                time.sleep(min(MAX_PAUSE_SECONDS, self.pause_seconds * 2 ** (attempt - 1)) * random.uniform(0.8, 1.2))
            try:
                status, body = self._post(client, prompt)
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                failure = Failure(f"{type(error).__name__}: {error}")
                continue
            if status in _REFUSED:
                raise ConfigError(
                    f"The model judge's endpoint answers {status} for {self.model!r}: {_REFUSED[status]}. Check {BASE_URL}, {API_KEY}."
                )
            if status == 200:
                return _reply_in(body)
            failure = Failure(f"status {status}: {body[:200].decode(errors='replace')}")
            if status not in _TRY_AGAIN:
                break
        _log.warning("the model judge gave no reply: %s", failure.reason)
        return failure

    def _post(self, client: httpx2.Client, prompt: str) -> tuple[int, bytes]:
        """Status and body; a body that is too long or too slow counts as a failed transport."""
        import httpx2

        payload = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self.max_tokens,
        }
        deadline = time.monotonic() + self.max_seconds
        body = b""
        with client.stream("POST", self._url, json=payload) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_REPLY_BYTES:
                    raise httpx2.ReadError(f"the reply is longer than {MAX_REPLY_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout(f"the reply took longer than {self.max_seconds:g} s")
            return response.status_code, body


def _reply_in(body: bytes) -> str | Failure:
    """The text of the first choice."""
    try:
        parsed: Any = json.loads(body)  # Any: whatever the endpoint sent
        text = parsed["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        return Failure(f"not a chat completion ({type(error).__name__}): {body[:200].decode(errors='replace')}")
    return text if isinstance(text, str) else Failure("the reply has no text")
