"""The packed row gives the log-probabilities, entropies and gradients of TRL's padded batch, in float32.

Gradients are compared as one vector over all parameters: norm of the difference over norm.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional

from vlmpost.models.families import FAMILIES
from vlmpost.models.shared_prompt import pack, sharing

TRAINED = {"freeze_vision_tower": False, "freeze_multi_modal_projector": False}
NAMES = [*sorted(FAMILIES), "nano"]


def distance(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """Norm of the difference of two gradients over the norm of the second."""
    assert set(ours) == set(theirs)
    assert len(theirs) > 0
    difference = sum(float((ours[name] - theirs[name]).double().square().sum()) for name in theirs)
    return (difference / sum(float(gradient.double().square().sum()) for gradient in theirs.values())) ** 0.5


def with_moved_adapters(question):
    """New adapters are 0 in their second half, which would leave the first without a gradient."""
    with torch.no_grad():
        for name, parameter in question.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))) * 0.05)
    return question


@pytest.mark.parametrize("name", NAMES)
def test_logps_and_entropies_are_those_of_the_padded_batch(name, ask):
    question = ask(name)
    with torch.no_grad(), sharing(question.model):
        logps_NC, entropies_NC = question.shared()
    with torch.no_grad():
        expected_logps_NC, expected_entropies_NC = question.plain()
    assert logps_NC.shape == (8, 30)
    assert (logps_NC != 0).sum() == 5 + 3 + 7 + 1 + 4 + 6 + 5 + 30  # every completion token scored, 0 behind the ends
    # A float32 of 64 is 8e-6 from the next: the nano model finds random tokens that unlikely.
    torch.testing.assert_close(logps_NC, expected_logps_NC, atol=1e-5, rtol=2e-7)
    torch.testing.assert_close(entropies_NC, expected_entropies_NC, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_all_weights_are_those_of_the_padded_batch(name, ask):
    question = ask(name, **TRAINED)
    theirs = question.gradients(question.plain)
    assert distance(question.gradients(question.shared), theirs) < 1e-5
    vision = FAMILIES["qwen2_5_vl" if name == "nano" else name].vision_tower
    assert sum(key.startswith(vision) for key in theirs) > 5


@pytest.mark.parametrize("name", NAMES)
def test_gradients_past_a_frozen_vision_tower_are_those_of_the_padded_batch(name, ask):
    question = ask(name)
    theirs = question.gradients(question.plain)
    assert distance(question.gradients(question.shared), theirs) < 1e-5
    vision = FAMILIES["qwen2_5_vl" if name == "nano" else name].vision_tower
    assert not any(key.startswith(vision) for key in theirs)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_adapters_are_those_of_the_padded_batch(name, ask):
    question = with_moved_adapters(ask(name, use_peft=True, lora_r=4))
    theirs = question.gradients(question.plain)
    assert distance(question.gradients(question.shared), theirs) < 1e-5
    assert all("lora_" in key for key in theirs)


@pytest.mark.parametrize("settings", [TRAINED, {}, {"use_peft": True, "lora_r": 4}], ids=["trained", "frozen", "adapters"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_with_checkpointing_are_those_of_the_padded_batch_without(name, settings, ask):
    question = with_moved_adapters(ask(name, **settings))
    theirs = question.gradients(question.plain)
    question.model.train()
    question.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    calls = []
    attention = next(module for key, module in question.model.named_modules() if key.endswith("self_attn") and "vision" not in key)
    attention.register_forward_hook(lambda *_: calls.append(1))
    assert distance(question.gradients(question.shared), theirs) < 1e-5
    assert len(calls) == 2  # once forward, once more in backward


@pytest.mark.parametrize("name", ["gemma3", "qwen2_5_vl", "smolvlm"])
def test_a_group_split_over_two_rows_gives_the_whole_gradient(name, ask):
    question = ask(name)
    theirs = question.gradients(question.plain)
    weights_NC = torch.randn(8, 30, generator=torch.Generator().manual_seed(3))
    for part in (slice(0, 3), slice(3, 8)):
        with sharing(question.model):
            half = dataclasses.replace(question, owners=question.owners[part], completions=question.completions[part])
            logps_NC, _ = half.shared()
            (logps_NC * weights_NC[part, : logps_NC.shape[1]]).sum().backward()
    ours = {key: parameter.grad for key, parameter in question.model.named_parameters() if parameter.grad is not None}
    assert distance(ours, theirs) < 1e-5


@pytest.mark.parametrize(
    ("name", "module"), [("gemma3", "vision_tower"), ("qwen2_5_vl", "visual.patch_embed"), ("smolvlm", "vision_model")]
)
def test_the_vision_tower_sees_each_image_once(name, module, ask):
    question = ask(name)
    seen = []
    (tower,) = [found for key, found in question.model.named_modules() if key.endswith(module)]
    tower.register_forward_pre_hook(
        lambda _module, args, kwargs: seen.append(len(args[0] if args else kwargs["pixel_values"])), with_kwargs=True
    )
    with torch.no_grad(), sharing(question.model):
        question.shared()
    with torch.no_grad():
        question.plain()
    # Prompts 0, 1 and 3 have images and completions, 3, 2 and 1 of them; 4 has an image and no completion.
    rows = {index: _num_vision_rows(question.prompts[index].images) for index in (0, 1, 3)}
    assert seen == [rows[0] + rows[1] + rows[3], 3 * rows[0] + 2 * rows[1] + rows[3]]


def _num_vision_rows(images):
    pixels = images["pixel_values"]
    return pixels.shape[1] if pixels.dim() == 5 else len(pixels)


def test_the_row_holds_prompts_once_and_labels_completions(ask):
    question = ask("qwen2_5_vl")
    packed = pack(question.model, question.prompts, question.owners, question.completions, device="cpu", dtype=torch.float32)
    tokens_T, labels_T = packed.inputs["input_ids"][0].tolist(), packed.inputs["shift_labels"][0].tolist()
    num_prompt_tokens = sum(len(prompt.token_ids) - 1 for prompt in question.prompts[:4])
    assert len(tokens_T) == len(labels_T) == num_prompt_tokens + 61
    first, completion = question.prompts[0].token_ids, question.completions[0]
    length = len(first) - 1
    assert tokens_T[: length + 5] == [*first, *completion[:-1]]
    assert labels_T[: length + 5] == [-100] * length + completion
    assert sum(label != -100 for label in labels_T) == 61


def test_values_come_back_in_the_order_of_the_completions_with_their_gradients(ask):
    question = ask("qwen2_5_vl")
    packed = pack(question.model, question.prompts, [1, 0, 1], [[70, 71], [72, 73, 74], [75]], device="cpu", dtype=torch.float32)
    labels_1T = packed.inputs["shift_labels"].float().requires_grad_()
    padded_NC = packed.padded(labels_1T)
    assert padded_NC.tolist() == [[70, 71, 0], [72, 73, 74], [75, 0, 0]]
    padded_NC.sum().backward()
    assert torch.equal(labels_1T.grad, (labels_1T != -100).float())


def test_bfloat16_weights_read_a_packed_row(ask):
    question = ask("qwen2_5_vl", dtype="bfloat16")
    with torch.no_grad(), sharing(question.model):
        logps_NC, _ = question.shared()
    with torch.no_grad():
        expected_NC, _ = question.plain()
    # Eight bits of a number around 6: steps of 1/32.
    assert functional.l1_loss(logps_NC.float(), expected_NC.float()) < 0.05


def test_a_packed_row_goes_through_mixed_precision_and_back(ask):
    question = ask("gemma3")
    with torch.autocast("cpu", torch.bfloat16), sharing(question.model):
        logps_NC, _ = question.shared()
        logps_NC.sum().backward()
    with torch.no_grad():
        expected_NC, _ = question.plain()
    assert functional.l1_loss(logps_NC.float(), expected_NC) < 0.05
    assert all(parameter.grad is not None for parameter in question.model.parameters() if parameter.requires_grad)


def test_pixel_values_take_the_type_asked_for_and_grids_stay_whole_numbers(ask):
    question = ask("qwen2_5_vl")
    packed = pack(question.model, question.prompts, question.owners, question.completions, device="cpu", dtype=torch.bfloat16)
    assert packed.inputs["pixel_values"].dtype == torch.bfloat16
    assert packed.inputs["image_grid_thw"].dtype == torch.int64
