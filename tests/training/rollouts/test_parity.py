"""The gate between generator and trainer: equal prompts, equal probabilities, and messages that say what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig

from vlmpost.config.schema import GenerationConfig, ModelConfig
from vlmpost.errors import ConfigError
from vlmpost.models import decoding, loader, prompts
from vlmpost.training.rollouts import parity

IMAGE = 9
NAN = float("nan")


def _messages(num_images):
    blocks = [block for _ in range(num_images) for block in ({"type": "image"}, {"type": "text", "text": "How many circles are there?"})]
    return [{"role": "user", "content": blocks}]


def _picture(width, height):
    return Image.fromarray(np.full((height, width, 3), 90, np.uint8))


def _read(processor, images):
    """The chat template's tokens, and the processor's."""
    text = processor.apply_chat_template(_messages(len(images)), add_generation_prompt=True, tokenize=False)
    short = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return short, processor(text=[text], images=[images], add_special_tokens=False)["input_ids"][0]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen2_vl", "qwen3_vl"])
def test_expanding_the_templates_tokens_gives_the_processors(tiny_model, family):
    folder = tiny_model(family)
    processor = loader.load_processor(ModelConfig(path=str(folder)))
    images = [_picture(84, 56), _picture(28, 28)]
    grids = processor.image_processor(images=images)["image_grid_thw"].tolist()
    counts = [frames * height * width // 4 for frames, height, width in grids]  # 2 x 2 patches become one token
    short, long = _read(processor, images)
    image = AutoConfig.from_pretrained(folder).image_token_id
    assert parity.run_lengths(short, image) == [1, 1]
    assert len(counts) == 2 and counts[0] > 1
    assert parity.expand(short, image_token_id=image, counts=counts) == long


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen2_vl", "qwen3_vl"])
def test_expanding_the_processors_tokens_again_is_the_bug_and_is_named(tiny_model, family):
    folder = tiny_model(family)
    processor = loader.load_processor(ModelConfig(path=str(folder)))
    _, long = _read(processor, [_picture(112, 56)])
    image = AutoConfig.from_pretrained(folder).image_token_id
    (count,) = parity.run_lengths(long, image)
    assert count > 1
    twice = parity.expand(long, image_token_id=image, counts=[count])
    assert len(twice) == len(long) + count - 1
    with pytest.raises(ConfigError, match=rf"{2 * count - 1} image tokens in the generator, {count} in the trainer.*expanded again"):
        parity.check_prompts([twice], [long], names=["circles/3"], image_token_id=image)


def test_a_run_of_64_that_becomes_127_is_told_with_example_and_position():
    trained = [1, 2, *[IMAGE] * 64, 3, 4]
    generated = [1, 2, *[IMAGE] * 127, 3, 4]  # 64 for the first, and the 63 left over
    assert parity.expand(trained, image_token_id=IMAGE, counts=[64]) == generated
    with pytest.raises(ConfigError) as caught:
        parity.check_prompts([[7], generated], [[7], trained], names=["charts/1", "charts/2"], image_token_id=IMAGE)
    said = str(caught.value)
    assert "Example 'charts/2'" in said
    assert "first at position 66 (token 9 in the generator, token 3 in the trainer)" in said  # 2 + 64 tokens are equal
    assert "127 image tokens in the generator, 64 in the trainer" in said
    assert "trl#6294" in said and "Leave trl.use_vllm out" in said


def test_another_pixel_budget_is_told_from_a_second_expansion():
    said = parity.prompt_fault([1, *[IMAGE] * 16, 2], [1, *[IMAGE] * 4, 2], image_token_id=IMAGE)
    assert said is not None
    assert "16 image tokens in the generator, 4 in the trainer" in said
    assert "model.image_max_pixels" in said and "again" not in said


def test_images_that_are_lost_are_counted_in_runs():
    said = parity.prompt_fault([1, 2], [1, IMAGE, IMAGE, 2], image_token_id=IMAGE)
    assert said is not None and "0 runs of image tokens in the generator, 1 in the trainer" in said


def test_another_template_is_told_by_its_first_token():
    said = parity.prompt_fault([1, 5, 2], [1, 2], image_token_id=IMAGE)
    assert said is not None and "position 1 (token 5 in the generator, token 2 in the trainer)" in said and "tokenizer" in said
    said = parity.prompt_fault([1], [1, 2], image_token_id=None)
    assert said is not None and "position 1 (the end in the generator, token 2 in the trainer)" in said


def test_equal_prompts_pass_and_a_missing_one_does_not():
    parity.check_prompts([[1, IMAGE]], [(1, IMAGE)], names=["a"], image_token_id=IMAGE)
    with pytest.raises(ValueError, match="zip"):
        parity.check_prompts([[1]], [[1], [2]], names=["a", "b"], image_token_id=IMAGE)


def test_two_images_expanded_again_take_two_tokens_of_the_first_run():
    # the first token becomes 4, the second 3, the two that are left stay: 4 + 3 + 2 = 9; the second run keeps its 3
    assert parity.doubled_runs([4, 3]) == [9, 3]


def test_the_gap_is_over_masked_tokens_that_the_generator_told():
    generated = torch.tensor([[-1.0, NAN, -3.0], [-0.5, -9.0, -9.0]])
    scored = torch.tensor([[-1.1, -2.0, -3.0], [-1.5, -1.0, -1.0]])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    gap = parity.logp_gap(generated, scored, mask, large_nats=0.5)
    assert gap.num_tokens == 3  # four are sampled, one of them is NaN
    assert gap.mean_nats == pytest.approx(1.1 / 3)  # (0.1 + 0 + 1) / 3
    assert gap.max_nats == pytest.approx(1.0)
    assert gap.large_share == pytest.approx(1 / 3)
    assert gap.figures() == {"sampler_gap_nats": gap.mean_nats, "sampler_gap_max_nats": gap.max_nats, "sampler_gap_share": gap.large_share}


def _noisy(std):
    torch.manual_seed(0)
    scored = -torch.rand(32, 100) * 3
    return scored + std * torch.randn(32, 100), scored, torch.ones(32, 100)


def test_the_noise_of_half_precision_passes_and_that_of_other_weights_does_not():
    half = parity.bounds(torch.bfloat16)
    gap = parity.check_logps(*_noisy(0.055), **half)  # trl#6789: the trainer against itself in other micro-batches
    assert gap.mean_nats == pytest.approx(0.055 * 0.798, rel=0.05)  # the mean of |x| is sqrt(2 / pi) standard deviations
    with pytest.raises(ConfigError, match="--logprobs-mode processed_logprobs"):
        parity.check_logps(*_noisy(0.4), **half)
    with pytest.raises(ConfigError, match="disagree"):
        parity.check_logps(*_noisy(0.055), **parity.bounds(torch.float32))


def test_a_few_tokens_that_are_far_off_are_enough():
    generated, scored, mask = _noisy(0.0)
    generated[:, :6] += 2.0  # 6 of 100 tokens: a mean of 0.12 would pass
    with pytest.raises(ConfigError, match=r"0\.1200 nats on average \(0\.15 .*by more than 0\.5 in 6\.0% of 3200 tokens \(5\.0% "):
        parity.check_logps(generated, scored, mask, **parity.bounds(torch.bfloat16))


@pytest.mark.parametrize("bad", [NAN, float("-inf"), float("inf")])
def test_a_score_that_is_not_finite_never_agrees(bad):
    with pytest.raises(ConfigError, match="disagree"):
        parity.check_logps(torch.zeros(1, 2), torch.tensor([[0.0, bad]]), torch.ones(1, 2), max_mean=1e9, max_share=0.4)


def test_a_generator_that_tells_nothing_is_refused_and_no_sampled_token_is_no_fault():
    with pytest.raises(ConfigError, match="told no log-probability"):
        parity.check_logps(torch.full((1, 2), NAN), torch.zeros(1, 2), torch.ones(1, 2), max_mean=1.0, max_share=1.0)
    assert parity.check_logps(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2), max_mean=0.0, max_share=0.0).num_tokens == 0


def test_the_decoder_is_told_of_by_its_own_remedy():
    with pytest.raises(ConfigError, match=r"The decoder and the trainer disagree.*training\.shared_prompt: off"):
        parity.check_logps(torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 1), max_mean=0.1, max_share=1.0, generator="The decoder")


def test_the_decoder_agrees_with_a_forward_pass_over_its_tokens():
    loaded = loader.load(ModelConfig(device="cpu"), purpose="eval")
    config = GenerationConfig(max_completion_length=12, temperature=0.7)
    (prompt,) = prompts.encode_prompts(loaded.processor, [_messages(1)], [[_picture(64, 64)]])
    (reply,) = decoding.complete(loaded.model, loaded.processor, [decoding.Request(prompt, seed=1)], config=config, keep_logps=True)
    inputs = prompts.collate([prompts.grown(prompt, reply.token_ids)], pad_token_id=loaded.processor.tokenizer.pad_token_id)
    with torch.no_grad():
        logits_CV = loaded.model(**inputs).logits[0, -len(reply.token_ids) - 1 : -1] / config.temperature
    scored_1C = logits_CV.log_softmax(1).gather(1, torch.tensor(reply.token_ids)[:, None]).T
    generated_1C, mask_1C = torch.tensor([reply.logps]), torch.ones_like(scored_1C)
    gap = parity.check_logps(generated_1C, scored_1C, mask_1C, **parity.bounds(torch.float32), generator="The decoder")
    assert gap.num_tokens == len(reply.token_ids) > 2
    with pytest.raises(ConfigError, match="disagree"):  # as if the decoder had forgotten a part of the temperature
        parity.check_logps(generated_1C * 0.7, scored_1C, mask_1C, **parity.bounds(torch.float32), generator="The decoder")
