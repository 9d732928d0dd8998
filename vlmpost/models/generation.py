"""Completions for prompts with images, text-only rows among them, sampled so that a row does not depend on its batch.

Encoding is left-padded and goes through the processor's chat template, once, with no special tokens added twice. The caller chooses
the batch: this module runs what it is given. vLLM is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers
from PIL import Image
from transformers import BatchFeature, PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from vlmpost.config.schema import GenerationConfig
from vlmpost.errors import DataError
from vlmpost.models.families import family_of, vision_token_ids
from vlmpost.models.sampling import SeededSampler, seeded_processors
from vlmpost.records import StopReason

NEUTRAL = {
    "diversity_penalty": 0.0,
    "early_stopping": False,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "length_penalty": 1.0,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    "num_beams": 1,
    "num_return_sequences": 1,
    "remove_invalid_values": False,
    "renormalize_logits": False,
    "repetition_penalty": 1.0,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
}
"""What transformers does where nothing is asked for; a field left out would be taken from the folder's generation_config.json."""

_PER_IMAGE = frozenset({"image_grid_thw", "image_sizes", "pixel_values", "pixel_attention_mask", "image_position_ids"})
"""Inputs whose rows are images, or patches, and not tokens."""

Prompt = Sequence[dict[str, object]]
"""Messages in transformers' form: role, and content as text or as {"type": "image"} / {"type": "text", "text": ...} blocks."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote after one prompt."""

    token_ids: tuple[int, ...]
    """The sampled tokens; the end-of-turn token included where there is one, padding not."""
    text: str
    """The tokens decoded, special ones left out."""
    stop_reason: StopReason
    logps: tuple[float, ...] | None = None
    """Log-probabilities in nats, see `SeededSampler.logps`; None where they were not asked for."""
    num_prompt_tokens: int | None = None
    """Tokens read before it, image tokens and history included, padding not; None where nobody counted."""


def generate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    prompts: Sequence[Prompt],
    images: Sequence[Sequence[Image.Image]],
    *,
    config: GenerationConfig,
    seeds: Sequence[int],
    histories: Sequence[Sequence[int]] | None = None,
    greedy: bool = False,
    keep_logps: bool = False,
) -> list[Completion]:
    """Returns one completion per prompt, all run as one batch.

    Args:
        model: The policy, or a PeftModel around it; left in the mode it came in.
        processor: Its processor.
        prompts: Conversations, each ending with the user's turn; a prompt asked k times stands k times.
        images: The images of each prompt, in the order of its slots; an empty list for a text-only prompt.
        config: How to sample. `seeding: batch` uses transformers' sampling and torch's global generator, `seeds` unused.
        seeds: One per prompt, from `sampling.row_seed`.
        histories: Tokens that follow each encoded prompt: earlier replies and what stands between them (`models.turns`).
        greedy: Take the most probable token at each step.
        keep_logps: Return log-probabilities; they are None with `seeding: batch`, where transformers samples.

    Raises:
        DataError: A prompt's image slots and images differ in number.
        ModelError: The logits are not finite.
    """
    assert len(prompts) == len(images) == len(seeds), f"{len(prompts)} prompts, {len(images)} image lists, {len(seeds)} seeds"
    inputs = encode(processor, prompts, images)
    tokenizer = processor.tokenizer
    if histories is not None and any(histories):
        inputs = grown(inputs, histories, pad_token_id=tokenizer.pad_token_id)
    inputs = inputs.to(model.device, dtype=model.dtype)
    suppressed = suppressed_token_ids(model, processor)
    sampled = config.seeding == "batch" and not greedy
    processors = None
    if not sampled:
        processors = seeded_processors(
            config,
            seeds,
            max_new_tokens=config.max_completion_length,
            device=model.device,
            suppress_token_ids=suppressed,
            pad_token_id=tokenizer.pad_token_id,
            greedy=greedy,
            keep_logps=keep_logps,
        )
    settings = generation_settings(model, tokenizer, config, seeded=not sampled, suppressed=suppressed)
    was_training = model.training
    model.eval()
    try:
        # Not inference_mode: Qwen models keep position offsets of the last prompt, which a later training step would meet.
        with torch.no_grad():
            ids_BT = model.generate(**inputs, generation_config=settings, logits_processor=processors)
    finally:
        model.train(was_training)
    rows = ids_BT[:, inputs["input_ids"].shape[1] :].tolist()
    logps = _logps_of(processors[0]) if processors is not None and keep_logps else [None] * len(rows)
    ends = set(end_token_ids(model, tokenizer))
    lengths = inputs["attention_mask"].sum(dim=1).tolist()
    return [
        replace(_completion(row, row_logps, ends=ends, tokenizer=tokenizer), num_prompt_tokens=length)
        for row, row_logps, length in zip(rows, logps, lengths, strict=True)
    ]


def encode(processor: ProcessorMixin, prompts: Sequence[Prompt], images: Sequence[Sequence[Image.Image]]) -> BatchFeature:
    """Returns the model's inputs for a batch of prompts, left-padded, ready for the answer.

    Raises:
        DataError: A prompt's image slots and images differ in number, or the processor refuses text or image.
    """
    for index, (prompt, own) in enumerate(zip(prompts, images, strict=True)):
        if (num_slots := _num_slots(prompt)) != len(own):
            raise DataError(f"Prompt {index} of the batch has {num_slots} image slots and {len(own)} images. Give one image per slot.")
    texts = [processor.apply_chat_template(list(prompt), add_generation_prompt=True, tokenize=False) for prompt in prompts]
    nested = [list(own) for own in images] if any(images) else None
    try:
        return processor(text=texts, images=nested, padding=True, padding_side="left", add_special_tokens=False, return_tensors="pt")
    except (ValueError, IndexError, StopIteration) as error:
        raise DataError(f"A batch of {len(prompts)} prompts cannot be encoded: {error}. Look for image markers in the text.") from error


def grown(inputs: BatchFeature, histories: Sequence[Sequence[int]], *, pad_token_id: int) -> BatchFeature:
    """Returns left-padded inputs with each row's tokens put after its prompt, padded anew; images stay as they are.

    Args:
        inputs: From `encode`; whatever has a value per token (token types) is 0 for the new tokens, which are text.
        histories: One list of token ids per row.
        pad_token_id: Fills the rows up.
    """
    num_rows, length = inputs["input_ids"].shape
    assert len(histories) == num_rows, f"{len(histories)} histories for {num_rows} rows"
    fills = {"input_ids": pad_token_id}
    changed = {}
    for name, values_BT in inputs.items():
        if not isinstance(values_BT, torch.Tensor) or values_BT.shape != (num_rows, length) or name in _PER_IMAGE:
            continue
        rows = []
        for row, history in enumerate(histories):
            kept = values_BT[row][inputs["attention_mask"][row].bool()]
            new = {"input_ids": torch.tensor(history, dtype=kept.dtype), "attention_mask": kept.new_ones(len(history))}
            rows.append(torch.cat([kept, new.get(name, kept.new_zeros(len(history)))]))
        longest = max(len(row) for row in rows)
        fill = fills.get(name, 0)
        changed[name] = torch.stack([torch.cat([row.new_full((longest - len(row),), fill), row]) for row in rows])
    return BatchFeature({**inputs, **changed})


def generation_settings(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    config: GenerationConfig,
    *,
    seeded: bool,
    suppressed: Sequence[int],
) -> transformers.GenerationConfig:
    """Returns transformers' settings for `generate`, complete, so that nothing of the folder's generation_config.json seeps in.

    A Qwen2.5-VL folder, for one, asks for a repetition penalty of 1.05 and a temperature of 1e-6. With `seeded` the sampler does
    all the work and the settings say do_sample=False.
    """
    # Any: keyword arguments of another library.
    settings: dict[str, Any] = dict(NEUTRAL)
    settings.update(
        max_new_tokens=config.max_completion_length,
        eos_token_id=list(end_token_ids(model, tokenizer)),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        do_sample=not seeded,
        disable_compile=True,
        use_cache=True,
    )
    if not seeded:
        settings.update(
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
            min_p=config.min_p or 0.0,
            repetition_penalty=config.repetition_penalty,
            suppress_tokens=list(suppressed) or None,
        )
    return transformers.GenerationConfig(**settings)


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Returns the tokens that end a completion: the tokenizer's, and those of the model's generation config."""
    named = model.generation_config.eos_token_id
    ids = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return tuple(sorted(index for index in ids if index is not None))


def suppressed_token_ids(model: PreTrainedModel, processor: ProcessorMixin) -> tuple[int, ...]:
    """Returns the tokens that no completion may hold: those that stand for images or video."""
    family = family_of(model.config.model_type, where="The model")
    return vision_token_ids(family, processor.tokenizer)


def _completion(row: list[int], logps: list[float] | None, *, ends: set[int], tokenizer: PreTrainedTokenizerBase) -> Completion:
    length = next((index + 1 for index, token in enumerate(row) if token in ends), None)
    kept = tuple(row[:length])
    return Completion(
        token_ids=kept,
        text=tokenizer.decode(kept, skip_special_tokens=True),
        stop_reason="length" if length is None else "stop",
        logps=None if logps is None else tuple(logps[: len(kept)]),
    )


def _logps_of(sampler: SeededSampler) -> list[list[float]]:
    return sampler.logps().tolist()


def _num_slots(prompt: Prompt) -> int:
    num_slots = 0
    for message in prompt:
        content = message["content"]
        if isinstance(content, list):
            num_slots += sum(block["type"] == "image" for block in content)
    return num_slots
