"""The gate between what generates and what trains: both have to read the same prompt and give its tokens the same probability.

A generator of its own (vLLM, or our decoder) may read a prompt in another way than the trainer, and nothing fails: rewards merely stay
low. So the token ids that it reports are compared with the trainer's, image tokens included, and its log-probabilities with the
trainer's scoring pass over the same completions. Pure functions; they know no trainer and no generator.

The bounds of `bounds` for half precision stand at three to four times what is public for a healthy pair of vLLM and a trainer in bfloat16:
a standard deviation of 0.050 nats per token and no difference above 0.48 in 3916 tokens (trl#6789), a root mean square of 0.031 (Fast-LLM
#525), a mean of 0.046 over 25 tokens (vllm#18352); and far below a broken one (a median of 2.8 under lossy weights). A trainer differs
from itself by as much when its micro-batches change (0.055, trl#6789). In float32 the same comparison gives 0.002.

Legend: B completions, C places of the padded completions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypedDict

import torch

from vlmpost.errors import ConfigError

LARGE_GAP_NATS = 0.5
"""A difference of one token that kernels alone do not make in half precision."""


class Bounds(TypedDict):
    """The keywords of `check_logps` that depend on the precision."""

    max_mean: float
    max_share: float
    large_nats: float


def bounds(dtype: torch.dtype) -> Bounds:
    """Returns what `check_logps` is to let through where the model computes in `dtype`: `check_logps(..., **bounds(dtype))`."""
    if dtype in {torch.float16, torch.bfloat16}:
        return {"max_mean": 0.15, "max_share": 0.05, "large_nats": LARGE_GAP_NATS}
    return {"max_mean": 0.005, "max_share": 0.01, "large_nats": 0.05}


@dataclass(frozen=True, slots=True)
class LogpGap:
    """How far the log-probabilities of a generator lie from the trainer's, token by token."""

    mean_nats: float
    """Mean of the absolute differences; 0 where nothing was compared."""
    max_nats: float
    large_share: float
    """Share of the compared tokens whose difference is above the bound for a large one."""
    num_tokens: int
    """Tokens that were compared."""

    def figures(self) -> dict[str, float]:
        """The names under which a trainer logs it; the doctor reads the first."""
        return {"sampler_gap_nats": self.mean_nats, "sampler_gap_max_nats": self.max_nats, "sampler_gap_share": self.large_share}


def logp_gap(generated_BC: torch.Tensor, scored_BC: torch.Tensor, mask_BC: torch.Tensor, *, large_nats: float = LARGE_GAP_NATS) -> LogpGap:
    """Returns how far two sets of log-probabilities lie apart.

    Args:
        generated_BC: The generator's, in nats; NaN where it told none, which is not compared.
        scored_BC: The trainer's, for the same tokens and temperature.
        mask_BC: Sampled tokens, bool or 0 / 1.
        large_nats: From where a difference counts as large.

    >>> gap = logp_gap(torch.tensor([[-1.0, -2.0, 9.0]]), torch.tensor([[-1.5, -2.0, 0.0]]), torch.tensor([[1, 1, 0]]), large_nats=0.25)
    >>> gap.mean_nats, gap.max_nats, gap.large_share, gap.num_tokens
    (0.25, 0.5, 0.5, 2)
    """
    assert generated_BC.shape == scored_BC.shape == mask_BC.shape, f"{generated_BC.shape}, {scored_BC.shape}, {mask_BC.shape}"
    compared_BC = mask_BC.bool() & ~generated_BC.isnan()
    gaps = (generated_BC.double() - scored_BC.double())[compared_BC].abs()
    if not len(gaps):
        return LogpGap(0.0, 0.0, 0.0, 0)
    return LogpGap(gaps.mean().item(), gaps.max().item(), (gaps > large_nats).double().mean().item(), len(gaps))


def check_logps(
    generated_BC: torch.Tensor,
    scored_BC: torch.Tensor,
    mask_BC: torch.Tensor,
    *,
    max_mean: float,
    max_share: float,
    large_nats: float = LARGE_GAP_NATS,
    generator: str = "vLLM",
) -> LogpGap:
    """Returns the gap of `logp_gap` if a generator and the trainer agree.

    Args:
        generated_BC: As `logp_gap`, and the next two.
        scored_BC: The trainer's.
        mask_BC: Sampled tokens.
        max_mean: Largest mean of the absolute differences, in nats.
        max_share: Largest share of tokens that differ by more than `large_nats`.
        large_nats: From where a difference counts as large.
        generator: What sampled, for the message: "vLLM" or "the decoder".

    Raises:
        ConfigError: They do not agree, a scored log-probability is not finite, or there is no token to compare.
    """
    gap = logp_gap(generated_BC, scored_BC, mask_BC, large_nats=large_nats)
    if not gap.num_tokens and bool(mask_BC.any()):
        raise ConfigError(f"{generator} told no log-probability of any token it sampled, so it cannot be compared. {_remedy(generator)}")
    within = gap.mean_nats <= max_mean and gap.large_share <= max_share  # False for NaN too
    if not within:
        raise ConfigError(
            f"{generator} and the trainer disagree about the tokens that were sampled: their log-probabilities differ by "
            f"{gap.mean_nats:.4f} nats on average ({max_mean:g} is let through), by more than {large_nats:g} in {gap.large_share:.1%} of "
            f"{gap.num_tokens} tokens ({max_share:.1%} is let through), and by {gap.max_nats:.4f} at most. {_remedy(generator)}"
        )
    return gap


def check_prompts(
    generator_ids: Sequence[Sequence[int]], trainer_ids: Sequence[Sequence[int]], *, names: Sequence[str], image_token_id: int | None
) -> None:
    """Passes if the generator read every prompt as the trainer will score it.

    Args:
        generator_ids: The token ids that the generator reports, one list per prompt.
        trainer_ids: The trainer's, image tokens expanded.
        names: The examples, for the message.
        image_token_id: The token that stands for a piece of an image; None: the model has none.

    Raises:
        ConfigError: Two prompts differ; the message says where, how long the runs of image tokens are, and what to do.
    """
    for name, generated, trained in zip(names, generator_ids, trainer_ids, strict=True):
        fault = prompt_fault(generated, trained, image_token_id=image_token_id)
        if fault is not None:
            raise ConfigError(f"Example {name!r} is not the same prompt for generator and trainer: {fault}")


def prompt_fault(generator_ids: Sequence[int], trainer_ids: Sequence[int], *, image_token_id: int | None) -> str | None:
    """Returns how two readings of one prompt differ and what to do, or None if they do not."""
    place = first_difference(generator_ids, trainer_ids)
    if place is None:
        return None
    tokens = f"{_token(generator_ids, place)} in the generator, {_token(trainer_ids, place)} in the trainer"
    said = f"they differ first at position {place} ({tokens})"
    generated, trained = run_lengths(generator_ids, image_token_id), run_lengths(trainer_ids, image_token_id)
    if generated != trained:
        return f"{said}, {runs_fault(generated, trained)}"
    return (
        f"{said}, with as many image tokens on both sides. The generator's tokenizer or text is not the trainer's: give it the "
        "tokenizer files of model.path, or leave trl.use_vllm out."
    )


def runs_fault(generated: Sequence[int], trained: Sequence[int]) -> str:
    """Returns what is wrong with runs of image tokens that differ, and what to do."""
    if len(generated) != len(trained):
        counts = f"{len(generated)} runs of image tokens in the generator, {len(trained)} in the trainer"
    else:
        run = next(index for index, (one, other) in enumerate(zip(generated, trained, strict=True)) if one != other)
        counts = f"in run {run + 1} there are {generated[run]} image tokens in the generator, {trained[run]} in the trainer"
    if list(generated) == doubled_runs(trained):
        return f"{counts}: expanded tokens were expanded again (trl#6294). Leave trl.use_vllm out with these versions of TRL and vLLM."
    return (
        f"{counts}: the generator scales images in another way. It reads the image processor of the model folder, not "
        "model.image_min_pixels and model.image_max_pixels: save the processor with that budget into model.path, or leave these keys out."
    )


def first_difference(one: Sequence[int], other: Sequence[int]) -> int | None:
    """Returns the first place where two lists differ, or None if they are equal.

    >>> first_difference([1, 2, 3], [1, 2])
    2
    """
    pairs = zip_longest(one, other)  # None, past the end of the shorter, is no token
    return next((place for place, (left, right) in enumerate(pairs) if left != right), None)


def run_lengths(ids: Sequence[int], token_id: int | None) -> list[int]:
    """Returns the lengths of the unbroken runs of a token, in order.

    >>> run_lengths([5, 9, 9, 9, 5, 9], 9)
    [3, 1]
    """
    runs: list[int] = []
    before: int | None = None
    for token in ids:
        if token == token_id and before == token_id:
            runs[-1] += 1
        elif token == token_id:
            runs.append(1)
        before = token
    return runs


def expand(ids: Sequence[int], *, image_token_id: int, counts: Sequence[int]) -> list[int]:
    """Returns a prompt as vLLM expands it where an image is one run: the next image token stands for the next image.

    vLLM looks for one placeholder per image, from left to right, and puts the image's tokens in its place; image tokens left over
    stay as they are. So ids that are expanded already come out too long: one of 3 tokens, of 3 + 3 - 1.

    Args:
        ids: Token ids.
        image_token_id: The placeholder, which is also what it is replaced with.
        counts: Tokens of each image.

    >>> expand([1, 9, 2], image_token_id=9, counts=[3])
    [1, 9, 9, 9, 2]
    >>> expand([1, 9, 9, 9, 2], image_token_id=9, counts=[3])
    [1, 9, 9, 9, 9, 9, 2]
    """
    remaining = iter(counts)
    expanded: list[int] = []
    for token in ids:
        num_copies = next(remaining, 1) if token == image_token_id else 1
        expanded += [token] * num_copies
    return expanded


def doubled_runs(runs: Sequence[int]) -> list[int]:
    """Returns the run lengths of a prompt that is expanded a second time.

    >>> doubled_runs([64])
    [127]
    """
    once = [token for length in runs for token in (*[1] * length, 0)]
    return run_lengths(expand(once, image_token_id=1, counts=runs), 1)


def _token(ids: Sequence[int], place: int) -> str:
    return f"token {ids[place]}" if place < len(ids) else "the end"


def _remedy(generator: str) -> str:
    if generator == "vLLM":
        return (
            "Check that vLLM serves model.path in model.dtype, that a server was started with --logprobs-mode processed_logprobs, and that "
            "its weights are updated; or leave trl.use_vllm out."
        )
    return "Set training.shared_prompt: off, which takes the plain path; if they agree then, this model cannot share prompts."
