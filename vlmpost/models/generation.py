"""Completions for prompts with images, text-only rows among them, sampled so that a row does not depend on its batch.

The door for callers that hold chats and pictures. Each distinct prompt goes through the processor's chat template once, with no special
tokens added twice, and is read once by the model (`decoding`). vLLM is not here.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from transformers import BatchFeature, PreTrainedModel, ProcessorMixin

from vlmpost.config.schema import GenerationConfig
from vlmpost.models.completion import Completion
from vlmpost.models.decoding import Request, complete
from vlmpost.models.prompts import EncodedPrompt, Prompt, collate, encode_prompts


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
    """Returns one completion per prompt.

    Args:
        model: The policy, or a PeftModel around it; left in the mode it came in.
        processor: Its processor.
        prompts: Conversations, each ending with the user's turn; a prompt asked k times stands k times.
        images: The images of each prompt, in the order of its slots; an empty list for a text-only prompt.
        config: How to sample. `seeding: batch` draws from torch's global generator, `seeds` unused.
        seeds: One per prompt, from `sampling.row_seed`.
        histories: Tokens that follow each encoded prompt: earlier replies and what stands between them (`models.turns`).
        greedy: Take the most probable token at each step.
        keep_logps: Return log-probabilities.

    Raises:
        DataError: A prompt's image slots and images differ in number, or the processor refuses text or image.
        ModelError: The logits are not finite.
    """
    assert len(prompts) == len(images) == len(seeds), f"{len(prompts)} prompts, {len(images)} image lists, {len(seeds)} seeds"
    told = [()] * len(prompts) if histories is None else histories
    requests = [
        Request(prompt, seed, tuple(history))
        for prompt, seed, history in zip(_encoded_once(processor, prompts, images), seeds, told, strict=True)
    ]
    return complete(model, processor, requests, config=config, greedy=greedy, keep_logps=keep_logps)


def encode(processor: ProcessorMixin, prompts: Sequence[Prompt], images: Sequence[Sequence[Image.Image]]) -> BatchFeature:
    """Returns the model's inputs for a batch of prompts, left-padded, ready for the answer.

    Raises:
        DataError: A prompt's image slots and images differ in number, or the processor refuses text or image.
    """
    return collate(encode_prompts(processor, prompts, images), pad_token_id=processor.tokenizer.pad_token_id)


def _encoded_once(processor: ProcessorMixin, prompts: Sequence[Prompt], images: Sequence[Sequence[Image.Image]]) -> list[EncodedPrompt]:
    """The prompts as the model reads them; rows with equal messages and the same image objects share one."""
    numbers: dict[tuple[str, tuple[int, ...]], int] = {}
    rows = [numbers.setdefault((repr(prompt), tuple(map(id, own))), len(numbers)) for prompt, own in zip(prompts, images, strict=True)]
    firsts = [rows.index(number) for number in range(len(numbers))]
    encoded = encode_prompts(processor, [prompts[row] for row in firsts], [images[row] for row in firsts])
    return [encoded[number] for number in rows]
