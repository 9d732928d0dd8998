"""Rollouts of one process: prompts in, sampled and scored completions out, episodes of several replies included.

Knows no trainer and no loss. How tokens are sampled is the caller's: `sample` may be the decoder of this process or a server.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from transformers import ProcessorMixin

from vlmpost.config.schema import RlConfig
from vlmpost.errors import DataError
from vlmpost.models.completion import Completion
from vlmpost.models.decoding import Request
from vlmpost.models.prompts import EncodedPrompt, encode_prompts
from vlmpost.models.sampling import row_seed
from vlmpost.models.turns import TurnRenderer
from vlmpost.records import Rollout, Score
from vlmpost.rewards import RewardSet
from vlmpost.training.rollouts.batch import RolloutBatch, judge_all, make_rollouts, played
from vlmpost.training.rollouts.episodes import EpisodeBatch
from vlmpost.training.rollouts.vllm import Source
from vlmpost.training.update.experience import owners_of

Row = dict[str, Any]
"""A row of the dataset: messages, PIL images, the example, its index."""


class Sample(Protocol):
    """How completions are sampled."""

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        """Returns a completion for each request."""


@dataclass(frozen=True, slots=True)
class Hint:
    """The part of a stored trace that a rollout begins with, or is shown."""

    token_ids: tuple[int, ...] = ()
    """What the reply begins with; empty where the hint stands in the prompt."""
    share: float = 0.0
    """Of the trace."""


UNHINTED = Hint()


@dataclass(frozen=True, slots=True)
class Collected:
    """Completions of a batch of rows with what was thought of them."""

    prompts: tuple[EncodedPrompt, ...]
    owners: tuple[int, ...]
    """Which prompt each row asks."""
    indices: tuple[int, ...]
    """Each row's example in the dataset."""
    completions: tuple[tuple[int, ...], ...]
    """All tokens after the prompt: a hint, replies, and between them the environment's."""
    masks: tuple[tuple[int, ...], ...]
    """1 for a token that was sampled, 0 for one of a hint or of the environment."""
    logps: tuple[tuple[float, ...], ...] | None
    """Of the sampler, 0 for tokens that were not sampled; None where it tells none."""
    batch: RolloutBatch

    def __len__(self) -> int:
        return len(self.completions)

    def split(self, sizes: Sequence[int]) -> list[Collected]:
        """The rows in parts of these sizes, which add up to all of them."""
        ends = list(itertools.accumulate(sizes))
        return [self._part(slice(end - size, end)) for end, size in zip(ends, sizes, strict=True)]

    def _part(self, rows: slice) -> Collected:
        used = sorted(set(self.owners[rows]))
        return Collected(
            prompts=tuple(self.prompts[owner] for owner in used),
            owners=tuple(used.index(owner) for owner in self.owners[rows]),
            indices=self.indices[rows],
            completions=self.completions[rows],
            masks=self.masks[rows],
            logps=None if self.logps is None else self.logps[rows],
            batch=RolloutBatch(self.batch.rollouts[rows], self.batch.scores[rows], self.batch.verdicts[rows]),
        )


class Collector:
    """Makes rollouts.

    Args:
        config: The recipe.
        rewards: Scores every rollout.
        processor: Encodes the prompts.
        sample: Samples replies.
        score: Scores rollouts, where a group lies across processes with the help of the others.
        stop_ids: Tokens that end a reply.
        context_length: Tokens that the model can read.
        anywhere: Whether something is so on any process; None: processes need not keep step while they sample.
    """

    def __init__(
        self,
        config: RlConfig,
        *,
        rewards: RewardSet,
        processor: ProcessorMixin,
        sample: Sample,
        score: Callable[[Sequence[Rollout]], list[Score]],
        stop_ids: Collection[int],
        context_length: int,
        anywhere: Callable[[bool], bool] | None = None,
    ) -> None:
        self.config = config
        self.rewards = rewards
        self._processor = processor
        self._sample = sample
        self._score = score
        self._stop_ids = frozenset(stop_ids)
        self._context_length = context_length
        self._anywhere = anywhere
        self._sources: dict[EncodedPrompt, Source] = {}
        self._renderer = None if config.episode is None else TurnRenderer(processor)

    def collect(
        self, rows: Sequence[Row], *, samples: Sequence[int], step: int, hints: Sequence[Hint] | None = None, attempt: int = 0
    ) -> Collected:
        """Returns a scored completion for each row.

        Args:
            rows: Rows of one example follow each other, and share its object.
            samples: Which completion of its prompt each row is.
            step: Optimizer steps done; part of each completion's seed.
            hints: What each row's reply begins with; it is part of the completion, and its tokens count against the budget.
            attempt: Which round of rollouts of this step it is, from 0; part of the seed.

        Raises:
            DataError: A reply does not fit behind what stands before it.
        """
        examples = [row["example"] for row in rows]
        firsts, owners = owners_of(examples)
        prompts = self.encode([rows[row] for row in firsts])
        given = [UNHINTED] * len(rows) if hints is None else list(hints)
        self._sources = {prompt: Source(examples[row].id, rows[row]["images"]) for prompt, row in zip(prompts, firsts, strict=True)}

        def ask(places: Sequence[int], histories: Sequence[Sequence[int]], turn: int) -> list[Completion]:
            requests = [
                Request(
                    prompt=prompts[owners[place]],
                    seed=row_seed(self.config.training.seed, _moment(step, turn, attempt), examples[place].id, samples[place]),
                    history=tuple(history),
                    max_tokens=self._room(given[place]),
                )
                for place, history in zip(places, histories, strict=True)
            ]
            self._check_context(requests, [examples[place].id for place in places], turn)
            return self._sample(requests)

        replies = [
            self._with_hint(hint, reply)
            for hint, reply in zip(given, ask(range(len(rows)), [hint.token_ids for hint in given], 0), strict=True)
        ]
        if self.config.episode is None:
            completions = tuple(reply.token_ids for reply in replies)
            masks = tuple(
                (0,) * len(hint.token_ids) + (1,) * (len(ids) - len(hint.token_ids)) for hint, ids in zip(given, completions, strict=True)
            )
            logps = _known([reply.logps for reply in replies])
            rollouts = [
                replace(rollout, hint_share=hint.share)
                for rollout, hint in zip(self._rollouts(examples, replies, samples), given, strict=True)
            ]
        else:
            episodes = self._play(examples, replies, ask)
            completions = tuple(map(tuple, episodes.completion_ids))
            masks = tuple(map(tuple, episodes.masks))
            logps = _known(episodes.logps)
            rollouts = self._rollouts(examples, replies, samples)
            rollouts = played(rollouts, replies=episodes.replies, steps=episodes.steps)
        verdicts = judge_all(rollouts, profile=self.rewards.profile)
        return Collected(
            prompts=tuple(prompts),
            owners=tuple(owners),
            indices=tuple(row["index"] for row in rows),
            completions=completions,
            masks=masks,
            logps=logps,
            batch=RolloutBatch(rollouts, self._score(rollouts), verdicts),
        )

    def _room(self, hint: Hint) -> int | None:
        """The tokens that are left for a reply behind its hint; None: the whole budget."""
        if not hint.token_ids:
            return None
        room = self.config.generation.max_completion_length - len(hint.token_ids)
        assert room > 0, f"a hint of {len(hint.token_ids)} tokens"
        return room

    def _with_hint(self, hint: Hint, reply: Completion) -> Completion:
        """The reply with its beginning."""
        if not hint.token_ids:
            return reply
        ids = (*hint.token_ids, *reply.token_ids)
        logps = None if reply.logps is None else (*(0.0,) * len(hint.token_ids), *reply.logps)
        return replace(reply, token_ids=ids, text=self.decoded(ids), logps=logps)

    def source_of(self, prompt: EncodedPrompt) -> Source:
        """Where a prompt that is being asked comes from."""
        return self._sources[prompt]

    def encode(self, rows: Sequence[Row]) -> list[EncodedPrompt]:
        """Returns the prompt of each row."""
        return encode_prompts(self._processor, [row["prompt"] for row in rows], [row["images"] for row in rows])

    def _rollouts(self, examples: Sequence[Any], replies: Sequence[Completion], samples: Sequence[int]) -> list[Rollout]:
        return make_rollouts(
            examples,
            texts=[reply.text for reply in replies],
            token_ids=[reply.token_ids for reply in replies],
            samples=samples,
            stop_ids=self._stop_ids,
        )

    def _play(self, examples: Sequence[Any], replies: Sequence[Completion], ask: Callable[..., list[Completion]]) -> EpisodeBatch:
        """The episodes of the rows, from their first replies to their ends."""
        assert self.config.episode is not None and self._renderer is not None
        episodes = EpisodeBatch(examples, config=self.config.episode, renderer=self._renderer, decode=self.decoded)
        episodes.add(range(len(examples)), [reply.token_ids for reply in replies], _logps_or_none(replies))
        turn = 1
        while self._goes_on(episodes):
            places = episodes.live or [0]  # a process that has done its own keeps step with the others: sharded weights need all
            replies = ask(places, episodes.histories(places), turn)
            if episodes.live:
                episodes.add(places, [reply.token_ids for reply in replies], _logps_or_none(replies))
            turn += 1
        return episodes

    def _goes_on(self, episodes: EpisodeBatch) -> bool:
        here = bool(episodes.live)
        return here if self._anywhere is None else self._anywhere(here)

    def decoded(self, ids: Sequence[int]) -> str:
        """Returns what tokens say, special ones left out."""
        return str(self._processor.tokenizer.decode(ids, skip_special_tokens=True))

    def check_trace(self, example_id: str, prompt: EncodedPrompt, token_ids: Sequence[int]) -> None:
        """Passes if the model can read a stored trace behind its prompt.

        Raises:
            DataError: It is too long for that.
        """
        length = len(prompt.token_ids) + len(token_ids)
        if length > self._context_length:
            raise DataError(
                f"The trace of {example_id!r} has {len(token_ids)} tokens, {length} with its prompt, but the model reads "
                f"{self._context_length}. Leave longer traces out (guidance.traces: {{max_length: TOKENS, missing: unguided}}), or lower "
                "data.max_prompt_length or model.image_max_pixels."
            )

    def _check_context(self, requests: Sequence[Request], ids: Sequence[str], turn: int) -> None:
        """Passes if every reply fits behind what stands before it; positions past the model's last one would be read, but wrongly."""
        lengths = [len(request.prompt.token_ids) + len(request.history) for request in requests]
        budget = self.config.generation.max_completion_length
        rooms = [budget if request.max_tokens is None else request.max_tokens for request in requests]
        longest = max(range(len(requests)), key=lambda row: lengths[row] + rooms[row])
        if lengths[longest] + rooms[longest] > self._context_length:
            raise DataError(
                f"Example {ids[longest]!r} has {lengths[longest]} tokens before reply {turn + 1}, and a reply may have {rooms[longest]} "
                f"(generation.max_completion_length), but the model reads {self._context_length}. Lower that, episode.verify_iterations, "
                "data.max_prompt_length or model.image_max_pixels."
            )


def _moment(step: int, turn: int, attempt: int) -> str | int:
    """When a reply is sampled, as a part of its seed."""
    later = (f"/attempt{attempt}" if attempt else "") + (f"/turn{turn}" if turn else "")
    return f"{step}{later}" if later else step


def _logps_or_none(replies: Sequence[Completion]) -> list[tuple[float, ...]] | None:
    known = [reply.logps for reply in replies if reply.logps is not None]
    return known if len(known) == len(replies) else None


def _known(logps: Sequence[Sequence[float | None] | None] | None) -> tuple[tuple[float, ...], ...] | None:
    """The log-probabilities with 0 at the environment's tokens; None where the sampler tells none."""
    if logps is None or any(row is None for row in logps):
        return None
    return tuple(tuple(0.0 if value is None else value for value in row) for row in logps if row is not None)
