"""Generation: every family, mixed batches, and rows that do not depend on their batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from vlmpost.config.schema import GenerationConfig, ModelConfig
from vlmpost.errors import DataError
from vlmpost.models import generation
from vlmpost.models.completion import suppressed_token_ids
from vlmpost.models.families import FAMILIES
from vlmpost.models.generation import encode, generate
from vlmpost.models.loader import LoadedModel, load
from vlmpost.models.prompts import EncodedPrompt

TinyModel = Callable[[str], Path]
Batch = tuple[list[list[dict[str, object]]], list[list[Image.Image]]]
SEEDS = [11, 12, 13]


def loaded_for_eval(folder: Path) -> LoadedModel:
    return load(ModelConfig(path=str(folder), device="cpu"), purpose="eval")


@pytest.fixture
def qwen(tiny_model: TinyModel) -> LoadedModel:
    return loaded_for_eval(tiny_model("qwen2_5_vl"))


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_logits_of_a_row_are_the_same_alone_and_in_a_padded_batch(name: str, tiny_model: TinyModel, batch: Batch) -> None:
    loaded = loaded_for_eval(tiny_model(name))
    prompts, images = batch
    with torch.no_grad():
        together = loaded.model(**encode(loaded.processor, prompts, images)).logits
        for row in range(3):
            alone = loaded.model(**encode(loaded.processor, [prompts[row]], [images[row]])).logits[0]
            torch.testing.assert_close(together[row, -len(alone) :], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_seeded_completion_is_the_same_alone_and_in_a_batch(name: str, tiny_model: TinyModel, batch: Batch) -> None:
    loaded = loaded_for_eval(tiny_model(name))
    prompts, images = batch
    config = GenerationConfig(max_completion_length=12)
    together = generate(loaded.model, loaded.processor, prompts, images, config=config, seeds=SEEDS, keep_logps=True)
    suppressed = set(suppressed_token_ids(loaded.model, loaded.processor))
    for row, completion in enumerate(together):
        alone = generate(loaded.model, loaded.processor, [prompts[row]], [images[row]], config=config, seeds=[SEEDS[row]], keep_logps=True)
        assert alone[0].token_ids == completion.token_ids
        assert alone[0].logps == pytest.approx(completion.logps, abs=1e-4)
        assert 1 <= len(completion.token_ids) <= 12
        assert not suppressed & set(completion.token_ids)


def test_logps_are_those_of_a_plain_forward_pass(qwen: LoadedModel, batch: Batch) -> None:
    prompts, images = batch
    config = GenerationConfig(max_completion_length=6, temperature=0.7, top_k=30)
    completion = generate(qwen.model, qwen.processor, prompts[:1], images[:1], config=config, seeds=[5], keep_logps=True)[0]
    inputs = encode(qwen.processor, prompts[:1], images[:1])
    answer = torch.tensor([completion.token_ids])
    length = inputs["input_ids"].shape[1]
    for name, fill in (("input_ids", answer), ("attention_mask", torch.ones_like(answer)), ("mm_token_type_ids", torch.zeros_like(answer))):
        inputs[name] = torch.cat([inputs[name], fill], dim=1)
    with torch.no_grad():
        logits = qwen.model(**inputs).logits[0, length - 1 : -1] / 0.7
    expected = logits.log_softmax(dim=1).gather(1, answer[0][:, None])[:, 0]
    assert completion.logps == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_image_matters(qwen: LoadedModel, batch: Batch) -> None:
    prompts, _ = batch
    both = [[Image.new("RGB", (56, 56), colour)] for colour in ("white", "black")]
    config = GenerationConfig(max_completion_length=1)
    white, black = generate(qwen.model, qwen.processor, prompts[:1] * 2, both, config=config, seeds=[1, 1], keep_logps=True)
    assert white.logps != pytest.approx(black.logps, abs=1e-3)


def test_a_longer_budget_extends_the_same_completion(qwen: LoadedModel, batch: Batch) -> None:
    short, long = (
        generate(qwen.model, qwen.processor, *batch, config=GenerationConfig(max_completion_length=length), seeds=SEEDS)
        for length in (4, 9)
    )
    for first, second in zip(short, long, strict=True):
        assert second.token_ids[:4] == first.token_ids
        assert first.stop_reason == "length"


def test_completions_end_at_the_first_end_token_which_is_kept(qwen: LoadedModel, batch: Batch) -> None:
    vocabulary = range(len(qwen.processor.tokenizer))
    ends = [index for index in vocabulary if index % 3 == 0]
    qwen.model.generation_config.eos_token_id = ends
    completions = generate(qwen.model, qwen.processor, *batch, config=GenerationConfig(max_completion_length=40), seeds=SEEDS)
    ends_at_all = {*ends, qwen.processor.tokenizer.eos_token_id}
    assert len({len(completion.token_ids) for completion in completions}) > 1  # rows end at different steps
    for completion in completions:
        assert completion.stop_reason == "stop"
        assert completion.token_ids[-1] in ends_at_all
        assert not ends_at_all & set(completion.token_ids[:-1])


def test_greedy_is_transformers_own_greedy(qwen: LoadedModel, batch: Batch) -> None:
    inputs = encode(qwen.processor, *batch)
    with torch.no_grad():
        expected = qwen.model.generate(**inputs, do_sample=False, max_new_tokens=6)[:, inputs["input_ids"].shape[1] :]
    assert not set(suppressed_token_ids(qwen.model, qwen.processor)) & set(expected.flatten().tolist())
    config = GenerationConfig(max_completion_length=6)
    ours = generate(qwen.model, qwen.processor, *batch, config=config, seeds=SEEDS, greedy=True)
    assert [list(completion.token_ids) for completion in ours] == expected.tolist()


def test_the_folders_generation_config_does_not_seep_in(qwen: LoadedModel, batch: Batch) -> None:
    config = GenerationConfig(max_completion_length=8)

    def run() -> list[tuple[int, ...]]:
        return [completion.token_ids for completion in generate(qwen.model, qwen.processor, *batch, config=config, seeds=SEEDS)]

    before = run()
    qwen.model.generation_config.update(repetition_penalty=9.0, temperature=1e-6, top_k=1, do_sample=True, no_repeat_ngram_size=1)
    assert run() == before


def test_a_prompt_that_is_asked_twice_is_encoded_and_read_once(qwen: LoadedModel, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, images = batch
    asked = [prompts[0], [dict(message) for message in prompts[0]], prompts[0], prompts[1]]
    shown = [images[0], images[0], [images[0][0].copy()], images[1]]
    seen: list[list[int]] = []
    encode_prompts = generation.encode_prompts

    def counted(processor: object, prompts: object, images: list[list[Image.Image]]) -> list[EncodedPrompt]:
        seen.append([id(own[0]) for own in images])
        return encode_prompts(processor, prompts, images)

    monkeypatch.setattr(generation, "encode_prompts", counted)
    config = GenerationConfig(max_completion_length=6)
    shared = generate(qwen.model, qwen.processor, asked, shown, config=config, seeds=[1, 1, 1, 2])
    assert seen == [[id(images[0][0]), id(shown[2][0]), id(images[1][0])]]  # equal pictures that are other objects are not compared
    assert shared[0] == shared[1] == shared[2]
    assert shared[0].num_prompt_tokens == len(encode(qwen.processor, prompts[:1], images[:1])["input_ids"][0])


def test_batch_seeding_uses_torchs_generator(qwen: LoadedModel, batch: Batch) -> None:
    config = GenerationConfig(max_completion_length=8, seeding="batch")

    def run(seed: int) -> list[tuple[int, ...]]:
        torch.manual_seed(seed)
        return [completion.token_ids for completion in generate(qwen.model, qwen.processor, *batch, config=config, seeds=SEEDS)]

    assert run(1) == run(1) != run(2)


def test_the_models_mode_comes_back(qwen: LoadedModel, batch: Batch) -> None:
    for training in (True, False):
        qwen.model.train(training)
        generate(qwen.model, qwen.processor, *batch, config=GenerationConfig(max_completion_length=1), seeds=SEEDS)
        assert qwen.model.training is training


def test_an_adapted_model_generates(tiny_model: TinyModel, batch: Batch) -> None:
    plain = loaded_for_eval(tiny_model("qwen3_vl"))
    adapted = load(ModelConfig(path=str(tiny_model("qwen3_vl")), use_peft=True, device="cpu"), purpose="rl")
    config = GenerationConfig(max_completion_length=5)
    first, second = (generate(each.model, each.processor, *batch, config=config, seeds=SEEDS) for each in (plain, adapted))
    assert [completion.token_ids for completion in first] == [completion.token_ids for completion in second]


def test_a_count_of_images_that_differs_from_the_slots_is_refused(qwen: LoadedModel, batch: Batch) -> None:
    prompts, images = batch
    with pytest.raises(DataError, match="Prompt 1 of 3 has 2 image slots and 1 images"):
        encode(qwen.processor, prompts, [images[0], images[1][:1], []])


@pytest.mark.parametrize(("text", "size"), [("What is <|image_pad|> here?", (56, 56)), ("?", (4000, 10))])
def test_what_the_processor_refuses_is_a_data_error(text: str, size: tuple[int, int], qwen: LoadedModel) -> None:
    prompt: list[dict[str, object]] = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]
    with pytest.raises(DataError, match="cannot be encoded"):
        encode(qwen.processor, [prompt], [[Image.new("RGB", size)]])


def test_a_template_that_writes_its_own_start_token_has_it_once(tiny_model: TinyModel, batch: Batch) -> None:
    loaded = loaded_for_eval(tiny_model("gemma3"))
    ids = encode(loaded.processor, *batch)["input_ids"]
    assert (ids == loaded.processor.tokenizer.bos_token_id).sum(dim=1).tolist() == [1, 1, 1]
