"""Rollouts of one process: prompts in, sampled and scored completions out, episodes of several replies included.

Knows no trainer and no loss. How tokens are sampled is the caller's: `sample` may be the decoder of this process or a server.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
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
class Collected:
    """Completions of a batch of rows with what was thought of them."""

    prompts: tuple[EncodedPrompt, ...]
    owners: tuple[int, ...]
    """Which prompt each row asks."""
    indices: tuple[int, ...]
    """Each row's example in the dataset."""
    completions: tuple[tuple[int, ...], ...]
    """All tokens after the prompt: replies, and between them the environment's."""
    masks: tuple[tuple[int, ...], ...]
    """1 for a token that was sampled, 0 for one of the environment."""
    logps: tuple[tuple[float, ...], ...] | None
    """Of the sampler, 0 for the environment's tokens; None where it tells none."""
    batch: RolloutBatch

    def __len__(self) -> int:
        return len(self.completions)


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

    def collect(self, rows: Sequence[Row], *, samples: Sequence[int], step: int) -> Collected:
        """Returns a scored completion for each row.

        Args:
            rows: Rows of one example follow each other, and share its object.
            samples: Which completion of its prompt each row is.
            step: Optimizer steps done; part of each completion's seed.

        Raises:
            DataError: A reply does not fit behind what stands before it.
        """
        examples = [row["example"] for row in rows]
        firsts, owners = owners_of(examples)
        prompts = self.encode([rows[row] for row in firsts])
        self._sources = {prompt: Source(examples[row].id, rows[row]["images"]) for prompt, row in zip(prompts, firsts, strict=True)}

        def ask(places: Sequence[int], histories: Sequence[Sequence[int]], turn: int) -> list[Completion]:
            when: str | int = step if turn == 0 else f"{step}/turn{turn}"
            requests = [
                Request(
                    prompt=prompts[owners[place]],
                    seed=row_seed(self.config.training.seed, when, examples[place].id, samples[place]),
                    history=tuple(history),
                )
                for place, history in zip(places, histories, strict=True)
            ]
            self._check_context(requests, [examples[place].id for place in places], turn)
            return self._sample(requests)

        replies = ask(range(len(rows)), [()] * len(rows), 0)
        if self.config.episode is None:
            completions = tuple(reply.token_ids for reply in replies)
            masks = tuple((1,) * len(ids) for ids in completions)
            logps = _known([reply.logps for reply in replies])
            rollouts = self._rollouts(examples, replies, samples)
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
        episodes = EpisodeBatch(examples, config=self.config.episode, renderer=self._renderer, decode=self._decoded)
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

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._processor.tokenizer.decode(ids, skip_special_tokens=True))

    def _check_context(self, requests: Sequence[Request], ids: Sequence[str], turn: int) -> None:
        """Passes if every reply fits behind what stands before it; positions past the model's last one would be read, but wrongly."""
        lengths = [len(request.prompt.token_ids) + len(request.history) for request in requests]
        longest = max(range(len(requests)), key=lengths.__getitem__)
        budget = self.config.generation.max_completion_length
        if lengths[longest] + budget > self._context_length:
            raise DataError(
                f"Example {ids[longest]!r} has {lengths[longest]} tokens before reply {turn + 1}, and a reply may have {budget} "
                f"(generation.max_completion_length), but the model reads {self._context_length}. Lower that, episode.verify_iterations, "
                "data.max_prompt_length or model.image_max_pixels."
            )


def _logps_or_none(replies: Sequence[Completion]) -> list[tuple[float, ...]] | None:
    known = [reply.logps for reply in replies if reply.logps is not None]
    return known if len(known) == len(replies) else None


def _known(logps: Sequence[Sequence[float | None] | None] | None) -> tuple[tuple[float, ...], ...] | None:
    """The log-probabilities with 0 at the environment's tokens; None where the sampler tells none."""
    if logps is None or any(row is None for row in logps):
        return None
    return tuple(tuple(0.0 if value is None else value for value in row) for row in logps if row is not None)
