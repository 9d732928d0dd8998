"""What a model wrote after one prompt, and which tokens may stand in it or end it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from vlmpost.models.families import family_of, vision_token_ids
from vlmpost.records import StopReason


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote after one prompt."""

    token_ids: tuple[int, ...]
    """The sampled tokens; the end-of-turn token included where there is one, padding not."""
    text: str
    """The tokens decoded, special ones left out."""
    stop_reason: StopReason
    logps: tuple[float, ...] | None = None
    """Log-probabilities in nats, see `sampling.TokenSampler`; None where they were not asked for."""
    num_prompt_tokens: int | None = None
    """Tokens read before it, image tokens and history included, padding not; None where nobody counted."""


def finished(
    token_ids: Sequence[int],
    logps: Sequence[float] | None,
    *,
    num_prompt_tokens: int,
    ends: Collection[int],
    tokenizer: PreTrainedTokenizerBase,
) -> Completion:
    """Returns the completion that a row of sampled tokens holds: up to its first end token, or all of it.

    Args:
        token_ids: At least one; what follows the first end token is left out.
        logps: One per token, or None.
        num_prompt_tokens: Tokens read before them.
        ends: From `end_token_ids`.
        tokenizer: The model's.
    """
    length = next((index + 1 for index, token in enumerate(token_ids) if token in ends), None)
    kept = tuple(token_ids[:length])
    return Completion(
        token_ids=kept,
        text=tokenizer.decode(kept, skip_special_tokens=True),
        stop_reason="length" if length is None else "stop",
        logps=None if logps is None else tuple(logps[: len(kept)]),
        num_prompt_tokens=num_prompt_tokens,
    )


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Returns the tokens that end a completion: the tokenizer's, and those of the model's generation config."""
    named = model.generation_config.eos_token_id
    ids = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return tuple(sorted(index for index in ids if index is not None))


def suppressed_token_ids(model: PreTrainedModel, processor: ProcessorMixin) -> tuple[int, ...]:
    """Returns the tokens that no completion may hold: those that stand for images or video."""
    family = family_of(model.config.model_type, where="The model")
    return vision_token_ids(family, processor.tokenizer)
