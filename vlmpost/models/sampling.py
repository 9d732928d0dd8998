"""Seeded sampling: each completion draws from a stream of its own, so it does not depend on batch size or number of processes.

A `TokenSampler` forms the policy's distribution, takes the next uniform of each row's stream, and finds the token by inverting the
cumulative distribution. The stream of a row depends on its seed alone; a longer budget extends it. `models.decoding` calls it with
rows at different steps. A `SeededSampler` is the same as a transformers LogitsProcessor: it leaves only the chosen token possible,
and `generate` with do_sample=False then "chooses" it.

Order of the parts: repetition penalty, suppressed tokens, temperature, top_k, top_p, min_p, draw. They act as transformers' own
processors do, with two departures:
1. Padding is never counted as seen by the repetition penalty, which would make a row depend on its neighbours' lengths.
2. Ties at the edge of top_k are all kept.

Legend: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from vlmpost.config.schema import GenerationConfig
from vlmpost.errors import ModelError

UNIT = 2.0**-53

NOT_FINITE = -1
"""Stands for a token where none can be chosen; `check_finite` turns it into an error once the tokens are read."""


def row_seed(seed: int, purpose: str | int, example_id: str, sample: int) -> int:
    """Returns the 63-bit seed of one completion: a stable hash, the same on every machine and in every process.

    Args:
        seed: The run's seed.
        purpose: What is sampled, e.g. "eval", or the training step.
        example_id: The question.
        sample: Which completion of the question, from 0.

    Example:
        >>> row_seed(42, "eval", "cards/7", 0) == row_seed(42, "eval", "cards/7", 0)
        True
        >>> row_seed(42, "eval", "cards/7", 0) == row_seed(42, "eval", "cards/7", 1)
        False
    """
    text = "\0".join((str(seed), str(purpose), example_id, str(sample)))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1


def uniforms(seed: int, num_draws: int) -> np.ndarray:
    """Returns the first `num_draws` numbers of a seed's stream, float64 in [0, 1).

    Philox words are used directly: their values are fixed by the algorithm, not by a library's version.
    """
    words = np.random.Philox(key=seed).random_raw(num_draws)
    return (words >> np.uint64(11)) * UNIT


def streams(seeds: Sequence[int], num_draws: int, *, device: torch.device | str) -> torch.Tensor:
    """Returns the first numbers of each seed's stream, float64 [B, num_draws]."""
    return torch.from_numpy(np.stack([uniforms(seed, num_draws) for seed in seeds])).to(device)


def seeded_processors(
    config: GenerationConfig,
    seeds: Sequence[int],
    *,
    max_new_tokens: int,
    device: torch.device | str,
    suppress_token_ids: Sequence[int] = (),
    pad_token_id: int | None = None,
    greedy: bool = False,
    keep_logps: bool = False,
) -> LogitsProcessorList:
    """Returns the processors that make `generate(do_sample=False, logits_processor=...)` sample by seed; good for one call.

    Args:
        config: Temperature, filters, and `seeding`: with `batch` the numbers come from torch's global generator.
        seeds: One per row, in the order of the rows; with `seeding: batch` only their number counts.
        max_new_tokens: Longest completion.
        device: Where the logits are.
        suppress_token_ids: Tokens that must not be sampled.
        pad_token_id: Needed with a repetition penalty: leading runs of it are padding.
        greedy: Take the most probable token in place of a draw.
        keep_logps: Keep log-probabilities; read them with `SeededSampler.logps`.
    """
    sampler = TokenSampler(config, device=device, suppress_token_ids=suppress_token_ids, greedy=greedy, keep_logps=keep_logps)
    seeded = SeededSampler(sampler, seeds, max_new_tokens=max_new_tokens, device=device, pad_token_id=pad_token_id)
    return LogitsProcessorList([seeded])


class TokenSampler:
    """Chooses one token per row: the policy's distribution, and a draw from it or its most probable token. Knows nothing of any row.

    Args:
        config: Temperature and filters.
        device: Where the logits are.
        suppress_token_ids: Tokens that must not be sampled.
        greedy: Take the most probable token in place of a draw.
        keep_logps: Return log-probabilities.
    """

    def __init__(
        self,
        config: GenerationConfig,
        *,
        device: torch.device | str,
        suppress_token_ids: Sequence[int] = (),
        greedy: bool = False,
        keep_logps: bool = False,
    ) -> None:
        self.config = config
        self.greedy = greedy
        self.keep_logps = keep_logps
        self._suppressed = torch.tensor(sorted(suppress_token_ids), dtype=torch.long, device=device)

    @property
    def needs_seen(self) -> bool:
        """Whether it must be told which tokens each row holds already."""
        return self.config.repetition_penalty != 1.0

    def __call__(
        self, logits_BV: torch.Tensor, *, uniforms_B: torch.Tensor | None = None, seen_BV: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Returns the tokens (B,), `NOT_FINITE` where the logits are not, and their log-probabilities (B,), or None.

        The log-probabilities, in nats, float32, are those of the temperature-scaled softmax over the whole vocabulary, before
        penalty, suppression and filters: what TRL's loss computes for the same tokens.

        Args:
            logits_BV: Any float type.
            uniforms_B: float64 in [0, 1), the next number of each row's stream; not read if greedy.
            seen_BV: bool, the tokens that each row holds, prompt and completion; read if `needs_seen`.
        """
        logits_BV = policy_BV = logits_BV.float()
        if self.needs_seen:
            assert seen_BV is not None, "a repetition penalty needs the tokens of each row"
            policy_BV = penalize(policy_BV, seen_BV, penalty=self.config.repetition_penalty)
        if len(self._suppressed):
            policy_BV = policy_BV.index_fill(1, self._suppressed, -torch.inf)
        if self.greedy:
            largest_B, tokens_B = policy_BV.max(dim=1)
            tokens_B = tokens_B.masked_fill(~largest_B.isfinite(), NOT_FINITE)
        else:
            assert uniforms_B is not None, "a draw needs uniforms"
            tokens_B = draw(warp(policy_BV, self.config), uniforms_B)
        if not self.keep_logps:
            return tokens_B, None
        logps_BV = (logits_BV / self.config.temperature).log_softmax(dim=1)
        return tokens_B, logps_BV.gather(1, tokens_B.clamp(min=0)[:, None])[:, 0]


class SeededSampler(LogitsProcessor):
    """A `TokenSampler` as transformers' `generate` calls it, each row with its own stream; built by `seeded_processors`."""

    def __init__(
        self,
        sampler: TokenSampler,
        seeds: Sequence[int],
        *,
        max_new_tokens: int,
        device: torch.device | str,
        pad_token_id: int | None,
    ) -> None:
        self._sampler = sampler
        self._pad_token_id = pad_token_id
        self._num_rows = len(seeds)
        self._draws_BT = streams(seeds, max_new_tokens, device=device) if sampler.config.seeding == "sample" else None
        self._prompt_length: int | None = None
        self._seen_BV: torch.Tensor | None = None
        self._logps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Returns `scores` (B, V) in float32 with all but the sampled token of each row at minus infinity.

        Raises:
            ModelError: A row's logits are not finite.
        """
        if self._prompt_length is None:
            self._prompt_length = input_ids.shape[1]
        step = input_ids.shape[1] - self._prompt_length
        assert input_ids.shape[0] == self._num_rows, f"{input_ids.shape[0]} rows for {self._num_rows} seeds"
        seen_BV = self._mark_seen(input_ids, scores.shape) if self._sampler.needs_seen else None
        tokens_B, logps_B = self._sampler(scores, uniforms_B=self._uniforms(step, scores.device), seen_BV=seen_BV)
        check_finite(tokens_B.tolist())
        if logps_B is not None:
            self._logps.append(logps_B)
        return torch.full_like(scores, -torch.inf, dtype=torch.float32).scatter_(1, tokens_B[:, None], 0.0)

    def logps(self) -> torch.Tensor:
        """Returns the log-probabilities (B, T) of the tokens sampled so far; columns after a row's end are meaningless."""
        assert self._logps, "built without keep_logps, or not called yet"
        return torch.stack(self._logps, dim=1)

    def _uniforms(self, step: int, device: torch.device) -> torch.Tensor | None:
        if self._sampler.greedy:
            return None
        if self._draws_BT is None:
            return torch.rand(self._num_rows, dtype=torch.float64, device=device)
        assert step < self._draws_BT.shape[1], f"step {step} of {self._draws_BT.shape[1]}: a sampler serves one call of generate"
        return self._draws_BT[:, step]

    def _mark_seen(self, input_ids: torch.LongTensor, shape: torch.Size) -> torch.Tensor:
        """Which tokens each row holds (B, V), prompt and completion, padding left out; kept up to date step by step."""
        if self._seen_BV is None:
            assert self._pad_token_id is not None, "a repetition penalty needs pad_token_id"
            is_real_BT = (input_ids != self._pad_token_id).cumsum(dim=1) > 0
            counts_BV = torch.zeros(shape, dtype=torch.int32, device=input_ids.device)
            self._seen_BV = counts_BV.scatter_add_(1, input_ids, is_real_BT.int()) > 0
        else:
            self._seen_BV.scatter_(1, input_ids[:, -1:], True)
        return self._seen_BV


def penalize(logits_BV: torch.Tensor, seen_BV: torch.Tensor, *, penalty: float) -> torch.Tensor:
    """Returns logits in which seen tokens are less probable: positive ones divided by `penalty`, negative ones multiplied.

    Source: arXiv 1909.05858, section 4.1, as transformers' RepetitionPenaltyLogitsProcessor has it.
    """
    penalized_BV = torch.where(logits_BV < 0, logits_BV * penalty, logits_BV / penalty)
    return torch.where(seen_BV, penalized_BV, logits_BV)


def warp(logits_BV: torch.Tensor, config: GenerationConfig) -> torch.Tensor:
    """Returns the logits (B, V) after temperature, top_k, top_p and min_p; removed tokens are at minus infinity."""
    if config.temperature != 1.0:
        logits_BV = logits_BV / config.temperature
    if 0 < config.top_k < logits_BV.shape[1]:
        lowest_B1 = logits_BV.topk(config.top_k, dim=1).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < lowest_B1, -torch.inf)
    if config.top_p < 1.0:
        logits_BV = _keep_top_p(logits_BV, top_p=config.top_p)
    if config.min_p:
        probs_BV = logits_BV.softmax(dim=1)
        logits_BV = logits_BV.masked_fill(probs_BV < config.min_p * probs_BV.amax(dim=1, keepdim=True), -torch.inf)
    return logits_BV


def draw(logits_BV: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    """Returns one token per row (B,): the first whose cumulative probability exceeds the row's uniform.

    A row whose logits are not finite gets `NOT_FINITE`: on a GPU, asking here would wait for the device at every step.

    Args:
        logits_BV: Any float type; minus infinity is never drawn.
        uniforms_B: float64 in [0, 1).

    Example:
        >>> logits = torch.tensor([[0.25, 0.25, 0.5]] * 3).log()
        >>> draw(logits, torch.tensor([0.1, 0.3, 0.9], dtype=torch.float64)).tolist()
        [0, 1, 2]
    """
    # In float64: over 150 000 tokens a float32 sum drifts by more than rare tokens weigh.
    cumulative_BV = logits_BV.softmax(dim=1).cumsum(dim=1, dtype=torch.float64)
    total_B = cumulative_BV[:, -1]
    below_total_B = torch.nextafter(total_B, torch.zeros_like(total_B))
    target_B = torch.minimum(uniforms_B * total_B, below_total_B)
    tokens_B = torch.searchsorted(cumulative_BV, target_B[:, None], right=True)[:, 0]
    return tokens_B.masked_fill(~total_B.isfinite(), NOT_FINITE)


def check_finite(token_ids: Sequence[int]) -> None:
    """Refuses tokens of a step among which one could not be chosen.

    Raises:
        ModelError: A row's logits were not finite.
    """
    if NOT_FINITE in token_ids:
        raise ModelError(
            "The model's logits are not finite (NaN or infinite), so nothing can be sampled: its weights are broken. "
            "Take another checkpoint, and train with a lower training.learning_rate."
        )


def _keep_top_p(logits_BV: torch.Tensor, *, top_p: float) -> torch.Tensor:
    """Keeps the smallest set of most probable tokens whose sum reaches `top_p`, at least one."""
    ordered_BV, order_BV = logits_BV.sort(dim=1, descending=True, stable=True)
    probs_BV = ordered_BV.softmax(dim=1)
    before_BV = probs_BV.cumsum(dim=1, dtype=torch.float64) - probs_BV
    removed_BV = (before_BV >= top_p).scatter(1, order_BV, before_BV >= top_p)
    removed_BV.scatter_(1, order_BV[:, :1], False)
    return logits_BV.masked_fill(removed_BV, -torch.inf)
