"""TRL's own vLLM code around a stand-in for the engine, which expands image tokens as vLLM does. No vLLM is installed or run."""

from __future__ import annotations

import inspect
import math
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from transformers import AutoConfig
from trl.generation import vllm_client, vllm_generation
from trl.generation.vllm_generation import VLLMGeneration

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import ConfigError
from vlmpost.models import families, loader
from vlmpost.models.decoding import Request
from vlmpost.models.prompts import encode_prompts
from vlmpost.training.rollouts.vllm import NEVER, ONE_RUN_FAMILIES, Source, VllmSampler, Vocabulary

END, TOKEN = 2, 40
"""What the stand-in engine writes."""


class Engine:
    """A stand-in for `vllm.LLM`: reads prompts as vLLM does, through the folder's own processor, and answers `TOKEN END`."""

    def __init__(self, processor):
        self.processor = processor
        self.calls = []
        self.resets = 0
        self.reads = lambda ids, images: self._expanded(ids, images)

    def _expanded(self, ids, images):
        text = self.processor.tokenizer.decode(ids)
        nested = [images] if images else None
        return self.processor(text=[text], images=nested, add_special_tokens=False)["input_ids"][0]

    def generate(self, prompts, sampling_params, use_tqdm):
        self.calls.append((prompts, sampling_params))
        outputs = []
        for prompt in prompts:
            data = prompt.get("multi_modal_data", {}).get("image", [])
            read = self.reads(prompt["prompt_token_ids"], data if isinstance(data, list) else [data])
            outputs.append(SimpleNamespace(prompt_token_ids=read, outputs=[self._answer()]))
        return outputs

    def _answer(self):
        logps = [{TOKEN: SimpleNamespace(logprob=-0.25, rank=1)}, {END: SimpleNamespace(logprob=math.nan, rank=1)}]
        return SimpleNamespace(token_ids=[TOKEN, END], logprobs=logps)

    def reset_prefix_cache(self):
        self.resets += 1


class Server:
    """A stand-in for TRL's `VLLMClient`: counts image tokens in a conversation of its own, and gives prompts back as they came."""

    def __init__(self, processor, image):
        self.processor = processor
        self.image = image
        self.sent = []
        self.extra = 0

    def image_features(self, images, max_concurrent_requests=64):
        features = []
        for own in images:
            text = "".join(f"x{self.processor.image_token}" for _ in own or [])
            ids = self.processor(text=[text], images=[own], add_special_tokens=False)["input_ids"][0] if own else []
            runs = [len(run.split()) for run in "".join("i " if token == self.image else "," for token in ids).split(",") if run]
            ranges = [{"offset": 0, "length": length + self.extra} for length in runs]
            features.append({"mm_placeholders": {"image": ranges}, "mm_hashes": {}} if own else None)
        return features

    def generate(self, prompts, features=None, n=1, **sampling):
        self.sent.append((prompts, features, n, sampling))
        num = len(prompts) * n
        return {
            "prompt_ids": list(prompts),
            "completion_ids": [[TOKEN + index, END] for index in range(num)],
            "logprobs": [[[-0.25, -0.5], [-0.125]]] * num,
            "logprob_token_ids": [[[1, TOKEN + index], [END]] for index in range(num)],
        }


def _trl_generation(processor, mode, monkeypatch):
    """TRL's object as `_init_vllm` leaves it, but for the engine."""
    monkeypatch.setattr(vllm_generation, "SamplingParams", lambda **settings: settings, raising=False)
    monkeypatch.setattr(VLLMGeneration, "_init_vllm", lambda self: None)
    monkeypatch.setattr(VLLMGeneration, "sync_weights", lambda self: self.syncs.append(len(self.syncs)))
    generation = VLLMGeneration(
        torch.nn.Linear(1, 1), Accelerator(cpu=True), processor, mode=mode, generation_kwargs={"suppress_tokens": [1]}
    )
    generation.syncs = []
    return generation


class Bench:
    """A sampler, its engine, and prompts of one family."""

    def __init__(self, folder, family, mode, monkeypatch, *, num_generations=2, around=None):
        self.processor = loader.load_processor(ModelConfig(path=str(folder)))
        self.image = AutoConfig.from_pretrained(folder).image_token_id
        self.generation = _trl_generation(self.processor, mode, monkeypatch)
        self.engine = self.generation.llm = Engine(self.processor)
        self.server = self.generation.vllm_client = Server(self.processor, self.image)
        self.step = 0
        self.sources = {}
        suppressed = families.vision_token_ids(families.FAMILIES[family], self.processor.tokenizer)
        self.sampler = VllmSampler(
            self.generation,
            tokenizer=self.processor.tokenizer,
            family=family,
            vocabulary=Vocabulary(ends=[END], suppressed=suppressed, image=self.image),
            num_generations=num_generations,
            source_of=self.sources.__getitem__,
            step=lambda: self.step,
            **({"around": around} if around else {}),
        )

    def prompt(self, name, *sizes):
        images = [Image.fromarray(np.full((height, width, 3), 90, np.uint8)) for width, height in sizes]
        blocks = [block for _ in sizes for block in ({"type": "image"}, {"type": "text", "text": "How many circles are there?"})]
        messages = [{"role": "user", "content": blocks or [{"type": "text", "text": "3 + 4 ="}]}]
        (prompt,) = encode_prompts(self.processor, [messages], [images])
        self.sources[prompt] = Source(name, images)
        return prompt


def _requests(*prompts, history=()):
    return [Request(prompt=prompt, seed=7, history=tuple(history)) for prompt in prompts]


@pytest.fixture
def bench(tiny_model, monkeypatch):
    """Gives `bench(family, mode, **settings) -> Bench`."""
    return lambda family, mode, **settings: Bench(tiny_model(family), family, mode, monkeypatch, **settings)


def test_trls_signatures_are_those_that_the_stand_ins_have():
    assert list(inspect.signature(VLLMGeneration.generate).parameters) == ["self", "prompts", "images", "num_generations", "profiler"]
    assert list(inspect.signature(vllm_client.VLLMClient.image_features).parameters) == ["self", "images", "max_concurrent_requests"]
    assert list(inspect.signature(vllm_client.VLLMClient.generate).parameters)[:4] == ["self", "prompts", "features", "n"]


@pytest.mark.parametrize("family", sorted(families.FAMILIES))
def test_colocate_sends_prompts_that_are_not_expanded_and_gets_back_the_trainers(bench, family):
    one = bench(family, "colocate")
    prompt = one.prompt("circles/1", (84, 56), (56, 56))
    completions = one.sampler(_requests(prompt, prompt))
    ((sent, _),) = one.engine.calls
    assert [len(row["multi_modal_data"]["image"]) for row in sent] == [2, 2]
    text = prompt.text
    assert [one.processor.tokenizer.decode(row["prompt_token_ids"]) for row in sent] == [text, text]
    assert len(sent[0]["prompt_token_ids"]) < len(prompt.token_ids)
    assert [completion.num_prompt_tokens for completion in completions] == [len(prompt.token_ids)] * 2


@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl"])
def test_prompts_sent_as_trl_sends_them_are_caught(bench, family, monkeypatch):
    one = bench(family, "colocate")
    monkeypatch.setattr(one.sampler, "_unexpanded", lambda request: list(request.prompt.token_ids))
    one.engine.reads = lambda ids, images: _expanded_again(ids, one.image, num_images=len(images))
    prompt = one.prompt("circles/1", (112, 56))
    num_tokens = prompt.token_ids.count(one.image)
    assert num_tokens > 1
    with pytest.raises(
        ConfigError, match=rf"'circles/1'.*{2 * num_tokens - 1} image tokens in the generator, {num_tokens} in the trainer.*trl#6294"
    ):
        one.sampler(_requests(prompt))


def _expanded_again(ids, image, *, num_images):
    """The first placeholder of a run becomes as many as the image has; here one image has the whole run."""
    assert num_images == 1
    first = ids.index(image)
    return [*ids[:first], *[image] * ids.count(image), *ids[first + 1 :]]


def test_a_generator_with_another_pixel_budget_is_caught(bench):
    one = bench("qwen2_5_vl", "colocate")
    prompt = one.prompt("circles/1", (112, 56))
    one.engine.processor.image_processor.size = {"shortest_edge": 28 * 28, "longest_edge": 28 * 28}
    with pytest.raises(ConfigError, match=r"1 image tokens in the generator, \d+ in the trainer.*model\.image_max_pixels"):
        one.sampler(_requests(prompt))


def test_a_completion_has_its_tokens_their_log_probabilities_and_its_end(bench):
    one = bench("qwen2_5_vl", "colocate")
    completion, _ = one.sampler(_requests(one.prompt("a", (56, 56)), one.prompt("b")))
    assert completion.token_ids == (TOKEN, END)
    assert completion.stop_reason == "stop"
    assert completion.logps[0] == -0.25 and math.isnan(completion.logps[1])  # TRL gives None where vLLM gave NaN
    assert completion.text == one.processor.tokenizer.decode([TOKEN, END], skip_special_tokens=True)
    one.generation.max_completion_length = 1
    one.engine._answer = _one_token
    (cut,) = one.sampler(_requests(one.prompt("b")))
    assert (cut.token_ids, cut.stop_reason, cut.logps) == ((TOKEN,), "length", (-1.0,))


def test_a_completion_that_ends_neither_by_itself_nor_at_its_budget_is_told(bench):
    one = bench("qwen2_5_vl", "colocate")
    one.engine._answer = _one_token
    prompt = one.prompt("b")
    said = rf"example 'b' after 1 of 16 tokens, behind {len(prompt.token_ids)} tokens of prompt\. Raise trl\.vllm_max_model_length"
    with pytest.raises(ConfigError, match=said):
        one.sampler(_requests(prompt))


def _one_token():
    return SimpleNamespace(token_ids=[TOKEN], logprobs=[{TOKEN: SimpleNamespace(logprob=-1.0, rank=1)}])


def test_text_only_rows_travel_without_image_data(bench):
    one = bench("qwen2_5_vl", "colocate")
    one.sampler(_requests(one.prompt("a", (56, 56)), one.prompt("b")))
    one.sampler(_requests(one.prompt("b")))
    (mixed, _), (alone, _) = one.engine.calls
    assert ["multi_modal_data" in row for row in mixed] == [True, False]
    assert list(alone[0]) == ["prompt_token_ids"]


def test_what_was_said_before_follows_the_prompt_on_both_sides(bench):
    one = bench("qwen2_5_vl", "colocate")
    prompt = one.prompt("a", (112, 56))
    (completion,) = one.sampler(_requests(prompt, history=[TOKEN, END, 50]))
    ((sent, _),) = one.engine.calls
    assert sent[0]["prompt_token_ids"][-3:] == [TOKEN, END, 50]
    assert completion.num_prompt_tokens == len(prompt.token_ids) + 3


def test_vision_tokens_are_biased_away_and_settings_that_vllm_lacks_are_not_sent(bench):
    one = bench("qwen2_5_vl", "colocate")
    one.sampler(_requests(one.prompt("a")))
    settings = one.engine.calls[0][1]
    assert "suppress_tokens" not in settings and "seed" not in settings
    assert settings["stop_token_ids"] == [END]
    assert settings["logit_bias"] == dict.fromkeys(range(3, 8), NEVER)  # families.QWEN_TOKENS: <|vision_start|> to <|video_pad|>
    assert settings["logprobs"] == 0 and settings["n"] == 1


def test_weights_are_sent_once_per_step_and_within_the_block(bench):
    held = []

    @contextmanager
    def around():
        held.append("in")
        yield
        held.append("out")

    one = bench("qwen2_5_vl", "colocate", around=around)
    prompt = one.prompt("a")
    one.generation.sync_weights = lambda: held.append("sync")
    for step in (0, 0, 1):
        one.step = step
        one.sampler(_requests(prompt))
    assert held == ["in", "sync", "out", "in", "out", "in", "sync", "out"]


@pytest.mark.parametrize("family", ONE_RUN_FAMILIES)
def test_a_server_gets_each_prompt_of_whole_groups_once_expanded_with_features_on_its_runs(bench, family):
    one = bench(family, "server")
    first, second = one.prompt("a", (84, 56), (56, 56)), one.prompt("b", (112, 56))
    completions = one.sampler(_requests(first, first, second, second))
    ((prompts, features, n, settings),) = one.server.sent
    assert (prompts, n) == ([list(first.token_ids), list(second.token_ids)], 2)
    placed = [[(range_["offset"], range_["length"]) for range_ in one["mm_placeholders"]["image"]] for one in features]
    runs = second.token_ids.count(one.image)
    assert placed[1] == [(second.token_ids.index(one.image), runs)]
    assert len(placed[0]) == 2
    assert [completion.token_ids[0] for completion in completions] == [TOKEN, TOKEN + 1, TOKEN + 2, TOKEN + 3]
    assert completions[0].logps == (-0.5, -0.125)  # a more probable token stands before the first one
    assert settings["generation_kwargs"]["stop_token_ids"] == [END]


def test_a_server_that_counts_other_image_tokens_is_caught_by_name(bench):
    one = bench("qwen2_5_vl", "server")
    first, second = one.prompt("a"), one.prompt("b", (56, 56))
    one.server.extra = 3
    num_tokens = second.token_ids.count(one.image)
    with pytest.raises(ConfigError, match=rf"'b'.*{num_tokens + 3} image tokens in the generator, {num_tokens} in the trainer"):
        one.sampler(_requests(first, first, second, second))
    one.server.extra = 0
    assert len(one.sampler(_requests(second, second))) == 2  # and nothing is left of the failed call


def test_parts_of_groups_are_sent_one_by_one(bench):
    one = bench("qwen2_5_vl", "server")
    first, second = one.prompt("a", (56, 56)), one.prompt("b", (56, 56))
    one.sampler(_requests(first, second))
    one.sampler([*_requests(first, history=[TOKEN]), *_requests(first, history=[END])])
    assert [(len(prompts), n) for prompts, _, n, _ in one.server.sent] == [(2, 1), (2, 1)]


def test_a_process_with_fewer_requests_repeats_its_first_and_drops_the_answers(bench, monkeypatch):
    one = bench("qwen2_5_vl", "server")
    prompt = one.prompt("a", (56, 56))
    # TRL cuts the answers into parts of this process's length: another process with four requests is there too
    target = "vlmpost.training.rollouts.vllm.gather_object"
    monkeypatch.setattr(target, lambda mine: mine if isinstance(mine[0], str) else [*mine, (4, True)])
    completions = one.sampler(_requests(prompt, prompt))
    assert len(completions) == 2
    assert [(len(prompts), n) for prompts, _, n, _ in one.server.sent] == [(2, 2)]
    completions = one.sampler(_requests(prompt))
    assert len(completions) == 1
    assert [(len(prompts), n) for prompts, _, n, _ in one.server.sent[1:]] == [(4, 1)]


@pytest.mark.parametrize("family", sorted(set(families.FAMILIES) - set(ONE_RUN_FAMILIES)))
def test_a_server_is_refused_for_images_that_are_not_one_run(bench, family):
    with pytest.raises(ConfigError, match=rf"server cannot take images of {family}.*qwen2_5_vl.*vllm_mode: colocate"):
        bench(family, "server")


def test_that_completions_are_not_seeded_is_said_once(bench, caplog):
    with caplog.at_level("INFO", logger="vlmpost.training.rollouts.vllm"):
        one = bench("qwen2_5_vl", "colocate")
        for _ in range(2):
            one.sampler(_requests(one.prompt("a")))
    assert sum("no seeds of their own" in record.getMessage() for record in caplog.records) == 1


def test_the_vocabulary_of_a_model_is_its_own(tiny_qwen):
    model, processor = tiny_qwen
    # families.QWEN_TOKENS: 0 <|endoftext|>, 1 <|im_start|>, 2 <|im_end|>, 3 to 7 vision, 6 of them <|image_pad|>
    assert Vocabulary.of(model, processor) == Vocabulary(ends=(2,), suppressed=(3, 4, 5, 6, 7), image=6)
