"""Decoding with shared prompts: the tokens of plain `generate` for the same seeds, whatever joins, leaves or stands beside a row."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import DynamicCache

from vlmpost.config.schema import GenerationConfig, ModelConfig
from vlmpost.errors import ModelError
from vlmpost.models import plain_generation, prefill
from vlmpost.models.completion import Completion
from vlmpost.models.decoding import Request, complete, unsupported
from vlmpost.models.decoding_cache import DecodingCache
from vlmpost.models.families import FAMILIES
from vlmpost.models.loader import LoadedModel, load
from vlmpost.models.prompts import collate, encode_prompts, grown

TinyModel = Callable[[str], Path]
Batch = tuple[list[list[dict[str, object]]], list[list[Image.Image]]]
HISTORY = (20, 21, 22, 23, 24)


def loaded_for_eval(folder: Path) -> LoadedModel:
    return load(ModelConfig(path=str(folder), device="cpu"), purpose="eval")


@pytest.fixture
def qwen(tiny_model: TinyModel) -> LoadedModel:
    return loaded_for_eval(tiny_model("qwen2_5_vl"))


def requests_for(loaded: LoadedModel, batch: Batch) -> list[Request]:
    """Nine requests: three of a prompt with one image, one with two images, two of text, two with a history and one with another."""
    one, two, text = encode_prompts(loaded.processor, *batch)
    owners = [(one, ()), (two, ()), (one, ()), (text, ()), (one, HISTORY), (text, ()), (one, ()), (one, HISTORY), (text, HISTORY[:2])]
    return [Request(prompt, seed=100 + index, history=history) for index, (prompt, history) in enumerate(owners)]


def plainly(loaded: LoadedModel, requests: Sequence[Request], config: GenerationConfig, **more: bool) -> list[Completion]:
    """What `generate` of transformers writes for the same requests, each prompt standing as often as it is asked."""
    prompts = [grown(request.prompt, request.history) for request in requests]
    seeds = [request.seed for request in requests]
    return plain_generation.complete(loaded.model, loaded.processor, prompts, seeds, config=config, **more)


def check_equal(ours: Sequence[Completion], theirs: Sequence[Completion]) -> None:
    assert [one.token_ids for one in ours] == [other.token_ids for other in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert (one.text, one.stop_reason, one.num_prompt_tokens) == (other.text, other.stop_reason, other.num_prompt_tokens)
        assert one.logps == (None if other.logps is None else pytest.approx(other.logps, abs=1e-5))


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_writes_what_plain_generate_writes(name: str, tiny_model: TinyModel, batch: Batch) -> None:
    loaded = loaded_for_eval(tiny_model(name))
    requests = requests_for(loaded, batch)
    config = GenerationConfig(max_completion_length=40)
    theirs = plainly(loaded, requests, config, keep_logps=True)
    check_equal(complete(loaded.model, loaded.processor, requests, config=config, keep_logps=True), theirs)
    few = GenerationConfig(max_completion_length=40, max_concurrent=2)
    check_equal(complete(loaded.model, loaded.processor, requests, config=few, keep_logps=True), theirs)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_vision_tower_reads_the_images_of_a_prompt_once(name: str, tiny_model: TinyModel, batch: Batch) -> None:
    loaded = loaded_for_eval(tiny_model(name))
    one, two, text = encode_prompts(loaded.processor, *batch)
    sizes: list[int] = []
    tower = loaded.model.get_submodule(FAMILIES[name].vision_tower)
    tower.register_forward_pre_hook(lambda _, given, named: sizes.append(next(iter((*given, *named.values()))).numel()), with_kwargs=True)
    with torch.no_grad():
        loaded.model(**collate([one, two], pad_token_id=loaded.processor.tokenizer.pad_token_id))
    requests = [Request(prompt, seed) for seed, prompt in enumerate([one, two, text, two, one, one, text])]
    complete(loaded.model, loaded.processor, requests, config=GenerationConfig(max_completion_length=3))
    assert len(sizes) == 2
    assert sizes[1] == sizes[0] > 0


def test_a_window_that_slides_over_prompt_and_completion_hides_what_it_hides_in_generate(copy_of: TinyModel, batch: Batch) -> None:
    folder = copy_of("gemma3")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["sliding_window"] = 9
    config["text_config"]["layer_types"] = ["sliding_attention", "full_attention"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    loaded = loaded_for_eval(folder)
    requests = requests_for(loaded, batch)
    for max_concurrent in (3, 100):
        settings = GenerationConfig(max_completion_length=20, max_concurrent=max_concurrent)
        ours = complete(loaded.model, loaded.processor, requests, config=settings, keep_logps=True)
        check_equal(ours, plainly(loaded, requests, settings, keep_logps=True))


@pytest.mark.parametrize(
    "fields",
    [
        {"repetition_penalty": 1.3},
        {"temperature": 0.6, "top_p": 0.9, "top_k": 50, "min_p": 0.01},
        {"max_completion_length": 1},
    ],
)
@pytest.mark.parametrize("greedy", [True, False])
def test_every_way_to_sample_is_that_of_plain_generate(fields: dict[str, float], greedy: bool, qwen: LoadedModel, batch: Batch) -> None:
    requests = requests_for(qwen, batch)
    config = GenerationConfig(**{"max_completion_length": 12, "max_concurrent": 4, **fields})
    ours = complete(qwen.model, qwen.processor, requests, config=config, greedy=greedy, keep_logps=True)
    check_equal(ours, plainly(qwen, requests, config, greedy=greedy, keep_logps=True))


def test_rows_end_at_any_step_from_the_first_on(qwen: LoadedModel, batch: Batch) -> None:
    requests = [Request(request.prompt, seed, request.history) for seed, request in enumerate(requests_for(qwen, batch) * 4)]
    qwen.model.generation_config.eos_token_id = list(range(0, len(qwen.processor.tokenizer), 5))
    config = GenerationConfig(max_completion_length=12, max_concurrent=16)
    ours = complete(qwen.model, qwen.processor, requests, config=config)
    lengths = {len(completion.token_ids) for completion in ours}
    assert {1, 2, 3, 12} <= lengths
    assert {completion.stop_reason for completion in ours} == {"stop", "length"}
    check_equal(ours, plainly(qwen, requests, config))


def test_a_row_is_the_same_alone_and_among_others(qwen: LoadedModel, batch: Batch) -> None:
    requests = requests_for(qwen, batch)
    config = GenerationConfig(max_completion_length=10)
    together = complete(qwen.model, qwen.processor, requests, config=config, keep_logps=True)
    for request, completion in zip(requests, together, strict=True):
        check_equal(complete(qwen.model, qwen.processor, [request], config=config, keep_logps=True), [completion])


def test_prompts_read_in_several_passes_give_the_same(qwen: LoadedModel, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = requests_for(qwen, batch)
    config = GenerationConfig(max_completion_length=6)
    at_once = complete(qwen.model, qwen.processor, requests, config=config, keep_logps=True)
    monkeypatch.setattr(prefill, "MAX_TOKENS", 1)
    num_passes = []
    read = prefill.read
    monkeypatch.setattr(prefill, "read", lambda *given, **named: num_passes.append(1) or read(*given, **named))
    check_equal(complete(qwen.model, qwen.processor, requests, config=config, keep_logps=True), at_once)
    assert len(num_passes) == 5  # three prompts, one of them with a history too, and the text with another


def test_an_adapter_is_part_of_the_model(tiny_model: TinyModel, batch: Batch) -> None:
    loaded = load(ModelConfig(path=str(tiny_model("qwen3_vl")), use_peft=True, device="cpu"), purpose="rl")
    config = GenerationConfig(max_completion_length=8)
    requests = requests_for(loaded, batch)
    without = complete(loaded.model, loaded.processor, requests, config=config)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in loaded.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.5, generator=generator)
    loaded.model.eval()
    ours = complete(loaded.model, loaded.processor, requests, config=config, keep_logps=True)
    assert [completion.token_ids for completion in ours] != [completion.token_ids for completion in without]
    check_equal(ours, plainly(loaded, requests, config, keep_logps=True))


def test_batch_seeding_takes_torchs_generator_and_no_seed(qwen: LoadedModel, batch: Batch) -> None:
    prompt = encode_prompts(qwen.processor, *batch)[0]
    config = GenerationConfig(max_completion_length=8, seeding="batch")

    def run(number: int, seeds: Sequence[int]) -> list[Completion]:
        torch.manual_seed(number)
        return complete(qwen.model, qwen.processor, [Request(prompt, seed) for seed in seeds], config=config)

    assert run(1, [1, 1]) == run(1, [2, 3]) != run(2, [1, 1])
    assert run(1, [1, 1])[0] != run(1, [1, 1])[1]


def test_progress_counts_up_to_all(qwen: LoadedModel, batch: Batch) -> None:
    requests = requests_for(qwen, batch)
    qwen.model.generation_config.eos_token_id = list(range(0, len(qwen.processor.tokenizer), 5))
    told: list[tuple[int, int]] = []
    config = GenerationConfig(max_completion_length=12, max_concurrent=3)
    complete(qwen.model, qwen.processor, requests, config=config, on_progress=lambda done, all_: told.append((done, all_)))
    assert len(told) > 2
    assert told == sorted(set(told))
    assert told[-1] == (9, 9)


def test_nothing_of_the_model_is_changed_and_no_cache_is_kept(qwen: LoadedModel, batch: Batch) -> None:
    model = qwen.model
    model.gradient_checkpointing_enable()
    model.train()
    model.model.visual.eval()
    model.lm_head.weight.grad = torch.ones_like(model.lm_head.weight)
    modes = [module.training for module in model.modules()]
    theirs = plainly(loaded_for_eval(qwen.path), requests_for(qwen, batch), GenerationConfig(max_completion_length=6))
    check_equal(complete(model, qwen.processor, requests_for(qwen, batch), config=GenerationConfig(max_completion_length=6)), theirs)
    assert [module.training for module in model.modules()] == modes
    assert model.model.rope_deltas is None
    assert model.model.language_model.config._attn_implementation == "sdpa"
    assert bool((model.lm_head.weight.grad == 1).all())
    assert [name for name, parameter in model.named_parameters() if parameter.grad is not None] == ["lm_head.weight"]
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, DecodingCache | DynamicCache)]


def test_nothing_is_asked_of_a_model_without_requests(qwen: LoadedModel) -> None:
    assert complete(qwen.model, qwen.processor, [], config=GenerationConfig()) == []


def test_logits_that_are_not_finite_stop_it(qwen: LoadedModel, batch: Batch) -> None:
    with torch.no_grad():
        qwen.model.lm_head.weight[100] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        complete(qwen.model, qwen.processor, requests_for(qwen, batch), config=GenerationConfig(max_completion_length=2))


def test_sharded_weights_fall_back_to_generate_and_the_log_says_so_once(
    qwen: LoadedModel, batch: Batch, caplog: pytest.LogCaptureFixture
) -> None:
    requests = requests_for(qwen, batch)
    config = GenerationConfig(max_completion_length=6, max_concurrent=4)
    shared = complete(qwen.model, qwen.processor, requests, config=config, keep_logps=True)
    assert unsupported(qwen.model) is None
    qwen.model.lm_head.weight.ds_id = 0  # as ZeRO-3 marks a parameter
    told: list[tuple[int, int]] = []
    for _ in range(2):
        plain = complete(
            qwen.model, qwen.processor, requests, config=config, keep_logps=True, on_progress=lambda *count: told.append(count)
        )
        check_equal(plain, shared)
    assert told == [(9, 9)] * 2
    assert [record.message for record in caplog.records if "spread over processes" in record.message] == caplog.messages[-1:]
