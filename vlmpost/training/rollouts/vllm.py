"""Completions from vLLM through TRL's `VLLMGeneration`: requests in, completions out, as the decoder of this process gives them.

What a prompt is sent as depends on the mode, since TRL 1.16 sends one form in both and corrupts prompts in one (trl#6294):
- colocate: the chat template's tokens, image tokens not expanded, and the images beside them. vLLM expands them, once, and reports the
  ids it read, which have to be the trainer's.
- server: expanded tokens. The images are processed on the server and TRL lays their features on the runs of image tokens that it finds,
  one run per image, so only families that write an image as one run can take it. The server gives back the ids that it got, which shows
  nothing; in their place the number of tokens that it counts for each image has to be the length of that image's run.

Departures from TRL 1.16: 1. prompts in colocate mode, as above; 2. vision tokens are kept out by `logit_bias`, where `suppress_tokens` is
no setting of vLLM; the ends of a completion are given, not read from the folder; 3. with several processes, one with fewer requests
repeats its first, since TRL cuts the answers of all into equal parts.

Not as the decoder does it: TRL has no seed per request, so vLLM draws from its own state. A completion depends on its batch then, and a
resumed run samples anew. Nothing in this file was run against a real vLLM: the tests run TRL's code around a stand-in for the engine.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from accelerate.utils import gather_object
from PIL import Image
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin
from trl.generation.vllm_generation import VLLMGeneration

from vlmpost.errors import ConfigError
from vlmpost.models.completion import Completion, end_token_ids, finished, suppressed_token_ids
from vlmpost.models.decoding import Request
from vlmpost.models.prompts import EncodedPrompt
from vlmpost.training.rollouts import parity

logger = logging.getLogger(__name__)

NEVER = -100.0
"""The logit bias that keeps a token out; vLLM bounds it at this."""
ONE_RUN_FAMILIES = ("qwen2_5_vl", "qwen2_vl", "qwen3_vl")
"""Families whose prompts hold one unbroken run of image tokens for each image, and whose features vLLM lays on that run alone."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an encoded prompt comes from."""

    example_id: str
    images: Sequence[Image.Image]
    """As the processor got them."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens that sampling and the parity gate have to know."""

    ends: Sequence[int]
    """They end a completion."""
    suppressed: Sequence[int]
    """They stand for images and are never sampled."""
    image: int
    """It stands for a piece of an image in an expanded prompt."""

    @classmethod
    def of(cls, model: PreTrainedModel, processor: ProcessorMixin) -> Vocabulary:
        """The vocabulary of a model, bare of adapters and wrappers."""
        ends = end_token_ids(model, processor.tokenizer)
        return cls(ends=ends, suppressed=suppressed_token_ids(model, processor), image=model.config.image_token_id)


class VllmSampler:
    """Samples with vLLM; called with requests, returns their completions.

    Args:
        generation: TRL's, with vLLM up. Its extra sampling parameters are replaced.
        tokenizer: The policy's.
        family: The `model_type` of the policy.
        vocabulary: Its special tokens.
        num_generations: Completions per prompt; in server mode a batch of whole groups sends each prompt once.
        source_of: Gives the example and the images of a prompt.
        step: Gives the optimizer steps done; weights are sent once for each.
        around: Holds while weights are sent and tokens sampled; a critic on the policy's backbone takes its head off.

    Raises:
        ConfigError: A server, and a family whose images are not one run of tokens.
    """

    def __init__(
        self,
        generation: VLLMGeneration,
        *,
        tokenizer: PreTrainedTokenizerBase,
        family: str,
        vocabulary: Vocabulary,
        num_generations: int,
        source_of: Callable[[EncodedPrompt], Source],
        step: Callable[[], int],
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        if generation.mode == "server" and family not in ONE_RUN_FAMILIES:
            raise ConfigError(
                f"trl.vllm_mode server cannot take images of {family}, which are not one run of tokens each, as they are in: "
                f"{', '.join(ONE_RUN_FAMILIES)}. Set trl.vllm_mode: colocate."
            )
        self.generation = generation
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.num_generations = num_generations
        self.source_of = source_of
        self.step = step
        self.around = around
        self._synced_at: int | None = None
        bias = {"logit_bias": dict.fromkeys(vocabulary.suppressed, NEVER)} if vocabulary.suppressed else {}
        generation.generation_kwargs = {"stop_token_ids": list(vocabulary.ends), **bias}
        logger.info("vLLM samples from its own random state: completions have no seeds of their own, and a resumed run samples anew.")

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        """Returns a completion for each request, in their order; every process has to take part.

        Raises:
            ConfigError: vLLM read a prompt in another way than the trainer, or had no room for a whole completion.
        """
        sent, group_size = self._agreed(requests)
        expanded = [[*request.prompt.token_ids, *request.history] for request in sent]
        sources = [self.source_of(request.prompt) for request in sent]
        names = [source.example_id for source in sources]
        by_server = self.generation.mode == "server"
        with self.around():
            self._sync()
            with self._runs_checked(names, group_size) if by_server else nullcontext():
                prompt_ids, completion_ids, logps, logp_ids = self.generation.generate(
                    prompts=expanded if by_server else [self._unexpanded(request) for request in sent],
                    images=_images_or_none([source.images for source in sources]),
                    num_generations=group_size,
                )
        parity.check_prompts(prompt_ids, expanded, names=names, image_token_id=self.vocabulary.image)
        completions = [
            self._completion(ids, _logps_of(ids, row, row_ids), num_prompt_tokens=len(prompt))
            for ids, row, row_ids, prompt in zip(completion_ids, logps, logp_ids, expanded, strict=True)
        ]
        for name, completion in zip(names, completions, strict=True):
            self._check_end(name, completion)
        return [self._within(completion, request) for completion, request in zip(completions, requests, strict=False)]

    def _within(self, completion: Completion, request: Request) -> Completion:
        """The completion cut where its own budget ends: TRL knows one budget for all."""
        if request.max_tokens is None or len(completion.token_ids) <= request.max_tokens:
            return completion
        kept = slice(request.max_tokens)
        assert completion.num_prompt_tokens is not None and completion.logps is not None, completion
        return self._completion(completion.token_ids[kept], completion.logps[kept], num_prompt_tokens=completion.num_prompt_tokens)

    def _unexpanded(self, request: Request) -> list[int]:
        """The prompt as its chat template writes it, and what follows it, which holds no image token."""
        ids = self.tokenizer(request.prompt.text, add_special_tokens=False)["input_ids"]
        return [*ids, *request.history]

    def _sync(self) -> None:
        if self._synced_at != self.step():
            self.generation.sync_weights()
            self._synced_at = self.step()

    def _agreed(self, requests: Sequence[Request]) -> tuple[list[Request], int]:
        """The requests, as many as the process with the most has, and the completions that each prompt gets by being sent once."""
        if self.generation.mode == "colocate" and self.generation.tensor_parallel_size == 1:
            return list(requests), 1  # TRL samples these alone, one by one
        assert requests, "a process without requests of its own sends one all the same: the others wait for it"
        everywhere = gather_object([(len(requests), self._in_whole_groups(requests))])
        longest = max(count for count, _ in everywhere)
        whole = all(whole for _, whole in everywhere)
        group_size = self.num_generations if whole else 1
        repeats = (longest - len(requests)) // group_size
        return [*requests, *list(requests[:group_size]) * repeats], group_size

    def _in_whole_groups(self, requests: Sequence[Request]) -> bool:
        """Whether each prompt stands `num_generations` times in a row, followed by the same tokens."""
        size = self.num_generations
        groups = [requests[first : first + size] for first in range(0, len(requests), size)]
        return all(len(group) == size and all(_ask_the_same(group[0], one) for one in group) for group in groups)

    @contextmanager
    def _runs_checked(self, names: Sequence[str], group_size: int) -> Iterator[None]:
        """Inside the block the server's count of tokens for each image has to be the length of its run.

        Features are placed in the first process, for the prompts of all in order. See `VLLMGeneration._place_features` in `seams.SEAMS`.
        """
        remaining = iter(gather_object(list(names))[::group_size])
        original = self.generation._place_features

        def place(features: dict[str, Any] | None, prompt_ids: list[int]) -> dict[str, Any] | None:  # Any: the server's JSON
            counted = [] if features is None else [range_["length"] for range_ in features["mm_placeholders"]["image"]]
            runs = parity.run_lengths(prompt_ids, self.vocabulary.image)
            name = next(remaining)
            if counted != runs:
                raise ConfigError(f"Example {name!r} is not the same prompt for generator and trainer: {parity.runs_fault(counted, runs)}")
            return original(features, prompt_ids)

        self.generation._place_features = place
        try:
            yield
        finally:
            del self.generation._place_features

    def _completion(self, ids: Sequence[int], logps: Sequence[float], *, num_prompt_tokens: int) -> Completion:
        return finished(ids, logps, num_prompt_tokens=num_prompt_tokens, ends=self.vocabulary.ends, tokenizer=self.tokenizer)

    def _check_end(self, name: str, completion: Completion) -> None:
        """Passes if a completion has its end or its whole budget: vLLM also stops, without a word, where its context is full."""
        budget = self.generation.max_completion_length
        if completion.stop_reason == "length" and len(completion.token_ids) < budget:
            raise ConfigError(
                f"vLLM stopped a completion of example {name!r} after {len(completion.token_ids)} of {budget} tokens, behind "
                f"{completion.num_prompt_tokens} tokens of prompt. Raise trl.vllm_max_model_length (a server: --max-model-len), or lower "
                "generation.max_completion_length."
            )


def _ask_the_same(one: Request, other: Request) -> bool:
    return one.prompt is other.prompt and one.history == other.history


def _logps_of(ids: Sequence[int], logps: Sequence[Sequence[float | None]], logp_ids: Sequence[Sequence[int]]) -> list[float]:
    """The log-probabilities of the tokens of a completion among those that each place has; NaN where vLLM knows none."""
    places = zip(ids, logps, logp_ids, strict=True)
    sampled = [place[place_ids.index(token)] for token, place, place_ids in places]
    return [math.nan if logp is None else logp for logp in sampled]


def _images_or_none(images: Sequence[Sequence[Image.Image]]) -> list[list[Image.Image] | None] | None:
    """The images as TRL takes them: None for a prompt without any, and None alone where no prompt has any."""
    lists = [list(own) or None for own in images]
    return lists if any(lists) else None
