"""Completions by transformers' own `generate`: one padded batch, each prompt read once for each of its completions.

For models whose parts cannot be called one by one (`decoding.unsupported`), and what `decoding` is measured against in tests. The
sampler is the same, so the tokens are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from vlmpost.config.schema import GenerationConfig
from vlmpost.models.completion import Completion, end_token_ids, finished, suppressed_token_ids
from vlmpost.models.prompts import EncodedPrompt, collate
from vlmpost.models.sampling import seeded_processors

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


def complete(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    prompts: Sequence[EncodedPrompt],
    seeds: Sequence[int],
    *,
    config: GenerationConfig,
    limits: Sequence[int] | None = None,
    greedy: bool = False,
    keep_logps: bool = False,
) -> list[Completion]:
    """Returns one completion per prompt; at most `config.max_concurrent` prompts are one batch. The model is in eval mode.

    Args:
        model: Any model or PeftModel with `generate`.
        processor: Its processor.
        prompts: With their histories; a prompt asked k times stands k times.
        seeds: One per prompt; not read with `seeding: batch`.
        config: How to sample.
        limits: Tokens that each completion may have, at most `config.max_completion_length`; None: so many.
        greedy: Take the most probable token at each step.
        keep_logps: Return log-probabilities.

    Raises:
        ModelError: The logits are not finite.
    """
    completions: list[Completion] = []
    limits = [config.max_completion_length] * len(prompts) if limits is None else limits
    for start in range(0, len(prompts), config.max_concurrent):
        part = slice(start, start + config.max_concurrent)
        completions += _one_batch(
            model, processor, prompts[part], seeds[part], limits[part], config=config, greedy=greedy, keep_logps=keep_logps
        )
    return completions


def _one_batch(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    prompts: Sequence[EncodedPrompt],
    seeds: Sequence[int],
    limits: Sequence[int],
    *,
    config: GenerationConfig,
    greedy: bool,
    keep_logps: bool,
) -> list[Completion]:
    tokenizer = processor.tokenizer
    inputs = collate(prompts, pad_token_id=tokenizer.pad_token_id).to(model.device, dtype=model.dtype)
    processors = seeded_processors(
        config,
        seeds,
        max_new_tokens=max(limits),
        device=model.device,
        suppress_token_ids=suppressed_token_ids(model, processor),
        pad_token_id=tokenizer.pad_token_id,
        greedy=greedy,
        keep_logps=keep_logps,
    )
    settings = generation_settings(model, tokenizer, max_new_tokens=max(limits))
    with torch.no_grad():
        ids_BT = model.generate(**inputs, generation_config=settings, logits_processor=processors)
    rows = ids_BT[:, inputs["input_ids"].shape[1] :].tolist()
    logps = processors[0].logps().tolist() if keep_logps else [None] * len(rows)
    ends = frozenset(end_token_ids(model, tokenizer))
    return [
        finished(row[:limit], row_logps and row_logps[:limit], num_prompt_tokens=len(prompt.token_ids), ends=ends, tokenizer=tokenizer)
        for row, row_logps, prompt, limit in zip(rows, logps, prompts, limits, strict=True)
    ]


def generation_settings(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_new_tokens: int
) -> transformers.GenerationConfig:
    """Returns settings for `generate` in which the sampler does all the work, complete, so that nothing of the folder's seeps in.

    A Qwen2.5-VL folder, for one, asks for a repetition penalty of 1.05 and a temperature of 1e-6 in its generation_config.json.
    """
    return transformers.GenerationConfig(
        **NEUTRAL,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(end_token_ids(model, tokenizer)),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        do_sample=False,
        disable_compile=True,
        use_cache=True,
    )
