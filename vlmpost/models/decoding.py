"""Completions of many requests side by side, with each prompt read once.

Requests for the same prompt with the same history share one pass over it, images included (`prefill`); its logits give the first token
of each of them. From there on one call of the language model per step serves all rows in flight (`decoding_cache`). Rows that have
ended leave, waiting requests join, at most `generation.max_concurrent` at a time.

A row's tokens depend on its prompt, history and seed alone (`sampling`), not on when it joined or beside what. Where a model cannot be
driven this way, `plain_generation` does the work, and the log says so once.

Legend: R rows, V vocabulary, H width of the model.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, ProcessorMixin

from vlmpost.config.schema import GenerationConfig
from vlmpost.models import decoding_cache, plain_generation, prefill
from vlmpost.models.completion import Completion, end_token_ids, finished, suppressed_token_ids
from vlmpost.models.decoding_cache import DecodingCache
from vlmpost.models.families import FAMILIES
from vlmpost.models.modes import at_rest
from vlmpost.models.prefill import ReadPrompts
from vlmpost.models.prompts import EncodedPrompt, grown
from vlmpost.models.sampling import TokenSampler, check_finite, streams
from vlmpost.models.shared_prompt import support

LEAVING_SHARE = 8
"""Rows leave and join once one in so many has ended: each time, the cache is copied."""

Progress = Callable[[int, int], None]
"""Called with (completions so far, completions in all)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One completion to write."""

    prompt: EncodedPrompt
    seed: int
    """Of the completion's own stream, from `sampling.row_seed`."""
    history: tuple[int, ...] = ()
    """Tokens after the prompt: earlier replies and what stands between them (`models.turns`), or the beginning of this one."""
    max_tokens: int | None = None
    """Tokens that may be written, fewer than `generation.max_completion_length`. None: so many."""

    def limit(self, config: GenerationConfig) -> int:
        """The tokens that may be written."""
        return config.max_completion_length if self.max_tokens is None else min(self.max_tokens, config.max_completion_length)


def complete(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    requests: Sequence[Request],
    *,
    config: GenerationConfig,
    greedy: bool = False,
    keep_logps: bool = False,
    on_progress: Progress | None = None,
) -> list[Completion]:
    """Returns one completion per request, in their order.

    Args:
        model: The policy, or a wrapper (PEFT) around it; modes of its modules and gradients are left as they came.
        processor: Its processor.
        requests: What to write; those with the same prompt object and equal history share its reading.
        config: How to sample. `seeding: batch` draws from torch's global generator, and the seeds are not read.
        greedy: Take the most probable token at each step.
        keep_logps: Return log-probabilities, see `TokenSampler`.
        on_progress: Called when completions have ended.

    Raises:
        ModelError: The logits are not finite.
    """
    if not requests:
        return []
    with _reading(model):
        if (reason := unsupported(model)) is None:
            inner = support.known_model(model)
            sampler = TokenSampler(
                config,
                device=inner.device,
                suppress_token_ids=suppressed_token_ids(inner, processor),
                greedy=greedy,
                keep_logps=keep_logps,
            )
            return _Decoder(inner, processor, requests, sampler, on_progress or _ignore).run()
        _say_once(f"Completions come from transformers' generate, which reads a prompt once for each of them: {reason}.")
        prompts = [grown(request.prompt, request.history) for request in requests]
        seeds = [request.seed for request in requests]
        limits = [request.limit(config) for request in requests]
        completions = plain_generation.complete(
            model, processor, prompts, seeds, config=config, limits=limits, greedy=greedy, keep_logps=keep_logps
        )
        (on_progress or _ignore)(len(completions), len(completions))
        return completions


def unsupported(model: nn.Module) -> str | None:
    """Returns why completions of a model cannot share the reading of prompts, as the end of a sentence, or None if they can."""
    if any(isinstance(parameter, DTensor) or hasattr(parameter, "ds_id") for parameter in model.parameters()):
        return "its weights are spread over processes (FSDP2, ZeRO-3), so that its parts cannot be called one by one"
    return support.unsupported(model)


@dataclass(slots=True, eq=False)
class _Group:
    """Requests that share a prompt and a history."""

    prompt: EncodedPrompt
    """With the history."""
    waiting: deque[int] = field(default_factory=deque)
    """Requests that have not begun."""
    first_logits_V: torch.Tensor | None = None
    """Of the token after the prompt; None until it is read."""
    next_position: int = 0
    """Of that token."""


@dataclass(slots=True, eq=False)
class _Row:
    """A completion that is being written."""

    request: int
    group: _Group
    max_tokens: int
    token_ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    is_over: bool = False

    @property
    def next_position(self) -> int:
        """Of the last token written, which is read next."""
        return self.group.next_position + len(self.token_ids) - 1


class _Decoder:
    """One call of `complete`."""

    def __init__(
        self,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        requests: Sequence[Request],
        sampler: TokenSampler,
        on_progress: Progress,
    ) -> None:
        self._model = model
        self._language_model = model.get_submodule(FAMILIES[model.config.model_type].language_model)
        self._head = model.get_output_embeddings()
        self._tokenizer = processor.tokenizer
        self._ends = frozenset(end_token_ids(model, self._tokenizer))
        self._sampler = sampler
        self._max_length = sampler.config.max_completion_length
        self._draws_RT = None
        if sampler.config.seeding == "sample" and not sampler.greedy:
            self._draws_RT = streams([request.seed for request in requests], self._max_length, device="cpu")
        self._on_progress = on_progress
        self._num_requests = len(requests)
        self._limits = [request.limit(sampler.config) for request in requests]
        self._completions: dict[int, Completion] = {}
        self._waiting = deque(_grouped(requests))
        # What follows is of the rows in flight, those included that are over and have not left.
        self._rows: list[_Row] = []
        self._groups: list[_Group] = []
        self._cache = DecodingCache()
        self._tokens_R = self._positions_R = torch.empty(0, dtype=torch.long)
        self._seen_RV: torch.Tensor | None = None

    def run(self) -> list[Completion]:
        """Writes all completions."""
        decoding_cache.register()
        self._rearrange()
        while self._rows:
            self._step()
            if sum(row.is_over for row in self._rows) * LEAVING_SHARE >= len(self._rows):
                self._rearrange()
        return [self._completions[request] for request in range(self._num_requests)]

    def _step(self) -> None:
        """Writes one more token of each row."""
        self._cache.begin_step()
        with _attending(self._language_model):
            hidden_R1H = self._language_model(
                input_ids=self._tokens_R[:, None], position_ids=self._positions_R[:, None], use_cache=False, decoding=self._cache
            ).last_hidden_state
        self._positions_R += 1
        self._tokens_R = self._choose(self._head(hidden_R1H[:, 0]), self._rows, self._seen_RV)

    def _rearrange(self) -> None:
        """Lets rows that are over leave, and waiting requests join."""
        rows = [row for row in self._rows if not row.is_over]
        new_groups: list[_Group] = []
        new_prompts: list[ReadPrompts] = []
        while self._waiting and (room := self._sampler.config.max_concurrent - len(rows)) > 0:
            wanted = _first(self._waiting, room)
            unread = [group for group in wanted if group.first_logits_V is None]
            new_groups += unread
            new_prompts += [self._read(unread[part]) for part in prefill.batches([len(group.prompt.token_ids) for group in unread])]
            rows += self._begin(wanted, room)
        if rows:
            self._move(rows, new_groups, new_prompts)
        self._rows = rows

    def _move(self, rows: list[_Row], new_groups: Sequence[_Group], new_prompts: Sequence[ReadPrompts]) -> None:
        """Puts the rows from now on, sorted here by prompt, into the cache and into the next step's inputs."""
        before = {row: place for place, row in enumerate(self._rows)}
        needed = {row.group for row in rows} | set(self._waiting)
        kept = [place for place, group in enumerate(self._groups) if group in needed]
        self._groups = [*(self._groups[place] for place in kept), *new_groups]
        places = {group: place for place, group in enumerate(self._groups)}
        rows.sort(key=lambda row: places[row.group])
        self._cache.arrange(
            kept_prompts=kept,
            new_prompts=new_prompts,
            kept_rows=[before.get(row) for row in rows],
            groups=[places[row.group] for row in rows],
        )
        self._tokens_R = torch.tensor([row.token_ids[-1] for row in rows], device=self._model.device)
        self._positions_R = torch.tensor([row.next_position for row in rows], device=self._model.device)
        self._seen_RV = self._seen(rows)

    def _read(self, groups: Sequence[_Group]) -> ReadPrompts:
        found = prefill.read(self._model, [group.prompt for group in groups], pad_token_id=self._tokenizer.pad_token_id)
        for group, logits_V, next_position in zip(groups, found.logits_BV, found.next_positions, strict=True):
            group.first_logits_V, group.next_position = logits_V, next_position
        return found

    def _begin(self, groups: Sequence[_Group], room: int) -> list[_Row]:
        """Draws the first token of at most `room` requests; returns the rows that go on."""
        rows = [_Row(request, group, self._limits[request]) for group in groups for request in group.waiting][:room]
        for row in rows:
            row.group.waiting.popleft()
        while self._waiting and not self._waiting[0].waiting:
            self._waiting.popleft()
        self._choose(torch.stack([row.group.first_logits_V for row in rows]), rows, self._seen(rows))
        return [row for row in rows if not row.is_over]

    def _choose(self, logits_RV: torch.Tensor, rows: Sequence[_Row], seen_RV: torch.Tensor | None) -> torch.Tensor:
        """Returns the next token of each row, and writes it down where the row is not over.

        Raises:
            ModelError: A row's logits are not finite.
        """
        tokens_R, logps_R = self._sampler(logits_RV, uniforms_B=self._uniforms(rows, logits_RV.device), seen_BV=seen_RV)
        # One transfer per step: float64 holds token ids and float32 exactly.
        found = torch.stack([tokens_R.double(), tokens_R.double() if logps_R is None else logps_R.double()]).tolist()
        tokens = [int(token) for token in found[0]]
        check_finite(tokens)
        if seen_RV is not None:
            seen_RV.scatter_(1, tokens_R[:, None], True)
        num_before = len(self._completions)
        for row, token, logp in zip(rows, tokens, found[1], strict=True):
            if not row.is_over:
                row.token_ids.append(token)
                row.logps.append(logp)
                self._close(row)
        if len(self._completions) > num_before:
            self._on_progress(len(self._completions), self._num_requests)
        return tokens_R

    def _close(self, row: _Row) -> None:
        """Makes the completion if the row's last token ends it."""
        row.is_over = row.token_ids[-1] in self._ends or len(row.token_ids) == row.max_tokens
        if row.is_over:
            self._completions[row.request] = finished(
                row.token_ids,
                row.logps if self._sampler.keep_logps else None,
                num_prompt_tokens=len(row.group.prompt.token_ids),
                ends=self._ends,
                tokenizer=self._tokenizer,
            )

    def _uniforms(self, rows: Sequence[_Row], device: torch.device) -> torch.Tensor | None:
        """The next number of each row's stream; any for a row that is over."""
        if self._sampler.greedy:
            return None
        if self._draws_RT is None:
            return torch.rand(len(rows), dtype=torch.float64, device=device)
        steps = [min(len(row.token_ids), self._max_length - 1) for row in rows]
        return self._draws_RT[[row.request for row in rows], steps].to(device)

    def _seen(self, rows: Sequence[_Row]) -> torch.Tensor | None:
        """Which tokens each row holds, bool [R, V], prompt and completion, where a repetition penalty asks for it."""
        if not self._sampler.needs_seen:
            return None
        first_logits_V = rows[0].group.first_logits_V
        assert first_logits_V is not None, "a row begins after its prompt was read"
        seen_RV = torch.zeros(len(rows), len(first_logits_V), dtype=torch.bool)
        for place, row in enumerate(rows):
            seen_RV[place, [*row.group.prompt.token_ids, *row.token_ids]] = True
        return seen_RV.to(self._model.device)


def _grouped(requests: Sequence[Request]) -> list[_Group]:
    """Requests by prompt and history, longest first, so that prompts of like lengths are read together."""
    groups: dict[tuple[int, tuple[int, ...]], _Group] = {}
    for index, request in enumerate(requests):
        key = (id(request.prompt), request.history)
        if key not in groups:
            groups[key] = _Group(grown(request.prompt, request.history))
        groups[key].waiting.append(index)
    return sorted(groups.values(), key=lambda group: -len(group.prompt.token_ids))


def _first(groups: Sequence[_Group], num_requests: int) -> list[_Group]:
    """The first groups that have so many requests waiting, or all."""
    found: list[_Group] = []
    for group in groups:
        if num_requests <= 0:
            break
        found.append(group)
        num_requests -= len(group.waiting)
    return found


@contextmanager
def _attending(language_model: PreTrainedModel) -> Iterator[None]:
    """Attention through the decoding cache inside the block."""
    original = language_model.config._attn_implementation
    language_model.config._attn_implementation = decoding_cache.ATTENTION
    try:
        yield
    finally:
        language_model.config._attn_implementation = original


@contextmanager
def _reading(model: nn.Module) -> Iterator[None]:
    """No dropout, no gradient checkpointing and no graph inside the block."""
    # Not inference_mode: what a model keeps (rotary frequencies of long contexts) would be lost to training.
    with at_rest(model), torch.no_grad():
        yield


def _ignore(num_done: int, num_all: int) -> None:
    """Nobody asked for progress."""


@functools.cache
def _say_once(text: str) -> None:
    _log.warning("%s", text)
