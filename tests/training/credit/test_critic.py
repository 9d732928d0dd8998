"""The critic against sums by hand, and its values against the model that carries it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors import safe_open
from trl.trainer.utils import add_fused_lm_head

from vlmpost.config.schema import AlgorithmConfig, RewardTermConfig
from vlmpost.models.prompts import encode_prompts
from vlmpost.models.shared_prompt import sharing
from vlmpost.records import Example, Message, Rollout, Score
from vlmpost.rewards import build
from vlmpost.training.credit.critic import Critic, reply_ends, rewards_per_token, value_loss, value_losses
from vlmpost.training.seams import check_adapter_fits
from vlmpost.training.update.experience import Experience
from vlmpost.training.update.scorer import Scorer

PPO = AlgorithmConfig(kind="ppo")


def _rollout(num_tokens, *reply_lengths):
    example = Example("e", "task", (Message("user", ("?",)),), answer="1")
    return Rollout(example, "", tuple(range(num_tokens)), "stop", reply_lengths=reply_lengths)


def _losses(value, old, target, cliprange):
    found, clipped = value_losses(torch.tensor([[value]]), torch.tensor([[old]]), torch.tensor([[target]]), cliprange=cliprange)
    return found.item(), clipped.item()


def test_a_value_within_its_range_has_half_its_squared_error():
    # (0.1 - 1) ^ 2 / 2 = 0.405
    assert _losses(0.1, 0.0, 1.0, 0.2) == (pytest.approx(0.405), False)


def test_a_value_that_ran_ahead_counts_as_if_held_back():
    # held at 0.2: (0.2 - 1) ^ 2 / 2 = 0.32 is worse than (0.9 - 1) ^ 2 / 2 = 0.005
    assert _losses(0.9, 0.0, 1.0, 0.2) == (pytest.approx(0.32), True)


def test_a_value_that_ran_the_wrong_way_keeps_its_own_worse_error():
    # (-0.5 - 1) ^ 2 / 2 = 1.125 is worse than held at -0.2: (-0.2 - 1) ^ 2 / 2 = 0.72
    assert _losses(-0.5, 0.0, 1.0, 0.2) == (pytest.approx(1.125), False)


def test_without_a_range_nothing_is_clipped():
    assert _losses(0.9, 0.0, 1.0, None) == (pytest.approx(0.005), False)


def test_a_clipped_value_has_no_gradient():
    values = torch.tensor([[0.9, 0.1]], requires_grad=True)
    losses, _ = value_losses(values, torch.zeros(1, 2), torch.ones(1, 2), cliprange=0.2)
    losses.sum().backward()
    assert values.grad.tolist() == [[0.0, pytest.approx(-0.9)]]


def test_a_reward_for_the_whole_completion_sits_on_its_last_sampled_token():
    rewards = build([RewardTermConfig(name="accuracy", weight=2.0), RewardTermConfig(name="boxed_format")])
    scores = [Score(1.5, {"accuracy": 1.0, "boxed_format": -0.5}), Score(None, {"accuracy": None, "boxed_format": None})]
    sampled = torch.tensor([[True, True, False, True], [True, False, False, False]])
    found = rewards_per_token([_rollout(3), _rollout(1)], scores, rewards, sampled_BC=sampled)
    assert found.tolist() == [[[0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, -0.5]], [[0.0] * 4, [0.0] * 4]]


def test_rewards_of_single_tokens_stay_with_their_tokens_around_the_environments():
    rewards = build([RewardTermConfig(name="accuracy", weight=0.5)])
    scores = [Score(4.0, {"accuracy": 4.0}, token_parts={"accuracy": (0.0, -1.0, 5.0)})]
    sampled = torch.tensor([[True, True, False, False, True]])
    found = rewards_per_token([_rollout(3, 2, 1)], scores, rewards, sampled_BC=sampled)
    assert found.tolist() == [[[0.0, -0.5, 0.0, 0.0, 2.5]]]


def test_replies_end_where_their_lengths_say():
    sampled = torch.tensor([[True, True, False, True, False], [True, True, True, False, False]])
    found = reply_ends([_rollout(3, 2, 1), _rollout(3)], sampled)
    assert found.tolist() == [[False, True, False, True, False], [False, False, True, False, False]]


def test_rewards_are_clipped_by_token_and_by_term_after_their_weights():
    # accuracy 0.5 * 4 = 2 -> 1 and 0.5 * -6 = -3 -> -1 in its own places; boxed_format 0.75 stays beside them: terms are not summed first
    rewards = build([RewardTermConfig(name="accuracy", weight=0.5), RewardTermConfig(name="boxed_format")])
    scores = [Score(0.0, {"accuracy": -6.0, "boxed_format": 0.75}, token_parts={"accuracy": (4.0, -6.0)})]
    found = rewards_per_token([_rollout(2)], scores, rewards, sampled_BC=torch.ones(1, 2, dtype=torch.bool), clip=1.0)
    assert found.tolist() == [[[1.0, -1.0], [0.0, 0.75]]]


def test_value_losses_of_micro_batches_add_up_to_those_of_the_step():
    # tokens: (1 + 2 + 6 + 0 + 3) / 6 = 2;  completions: ((1 + 2) / 2 + 6 / 1 + (0 + 3 + 0) / 3 + nothing) / 4 = 8.5 / 4
    losses = torch.tensor([[1.0, 2.0, 50.0], [6.0, 50.0, 50.0], [0.0, 3.0, 0.0], [50.0, 50.0, 50.0]])
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, True], [False, False, False]])
    for per_sequence, expected in ((False, 2.0), (True, 2.125)):
        for sizes in ((4,), (1, 3), (2, 2), (1, 1, 1, 1)):
            parts = [
                value_loss(part, chosen, num_rows=4, num_tokens=6, per_sequence=per_sequence)
                for part, chosen in zip(losses.split(sizes), mask.split(sizes), strict=True)
            ]
            assert float(sum(parts)) == pytest.approx(expected), (per_sequence, sizes)


SEPARATE = AlgorithmConfig(kind="ppo", critic="separate")
KINDS = pytest.mark.parametrize("settings", [PPO, SEPARATE], ids=["shared", "separate"])


@pytest.fixture
def critic(load_tiny):
    """Gives `critic(settings, lora=, family=)`: a tiny policy with TRL's fused head and a critic whose head is not 0."""

    def make(settings=PPO, *, lora=False, family="qwen2_5_vl", **keys):
        model = load_tiny(family, **keys).model
        add_fused_lm_head(model, outputs=("log_probs", "entropy"))
        if lora:
            model = get_peft_model(model, LoraConfig(target_modules=r".*language_model.*q_proj"))
        made = Critic(model, settings, seed=1)
        for parameter in made.head.parameters():
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(5))
        return model, made

    return make


def _labels():
    labels = IDS.clone()
    labels[:, :2] = -100
    labels[1, 4] = -100
    return labels


IDS = torch.tensor([[15, 16, 17, 18, 19], [17, 15, 18, 19, 16]])
READ = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
INPUTS = {**READ, "labels": _labels(), "fused_lm_head": True}
ALIGNED = {**READ, "shift_labels": torch.nn.functional.pad(_labels()[:, 1:], (0, 1), value=-100), "fused_lm_head": True}
"""The same labels, each under the state that predicts it."""


@KINDS
@pytest.mark.parametrize("lora", [False, True])
def test_values_are_of_the_hidden_states_before_each_labelled_token(critic, settings, lora):
    model, made = critic(settings, lora=lora)
    found = model(**INPUTS).state_values
    expected = made.head(made.base.model(**READ).last_hidden_state[:, :-1])  # a critic of its own starts as the policy
    assert found.shape == (2, 4)
    assert torch.allclose(found[0, 1:], expected[0, 1:], rtol=1e-5) and torch.allclose(found[1, 1:3], expected[1, 1:3], rtol=1e-5)
    assert found[:, 0].tolist() == [0.0, 0.0] and found[1, 3] == 0


@KINDS
@pytest.mark.parametrize("family", ["gemma3", "qwen2_5_vl"])
def test_labels_that_stand_under_their_states_have_the_same_values(critic, settings, family):
    model, _ = critic(settings, family=family)
    types = {"token_type_ids": torch.zeros_like(IDS)} if family == "gemma3" else {}
    shifted, aligned = model(**INPUTS, **types), model(**ALIGNED, **types)
    assert aligned.state_values.shape == aligned.log_probs.shape == (2, 5)
    assert torch.allclose(aligned.state_values[:, :4], shifted.state_values, rtol=1e-5)
    assert aligned.state_values[:, 4].tolist() == [0.0, 0.0]
    assert torch.allclose(aligned.log_probs[:, :4], shifted.log_probs, rtol=1e-5)
    assert shifted.state_values[0, 1:].unique().numel() == 3


@KINDS
@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm"])
@pytest.mark.parametrize("lora", [False, True])
def test_values_of_a_packed_row_are_those_of_plain_rows(load_tiny, settings, family, lora):
    loaded = load_tiny(family)
    model = loaded.model
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    if lora:
        model = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"]))
    made = Critic(model, settings, seed=1)
    torch.nn.init.normal_(made.head.layers[0].weight, generator=torch.Generator().manual_seed(5))
    asked = [_question("How many?", 1), _question("3 + 4 = ?", 0)]
    prompts = encode_prompts(loaded.processor, asked, [[Image.new("RGB", (56, 56), "red")], []])
    completions = [(15, 16, 17), (18, 15), (19,), (16, 17, 18, 19)]
    experience = Experience(tuple(prompts), (0, 0, 1, 1), tuple(completions))
    found = {}
    with sharing(model):
        for shared in (False, True):
            model.zero_grad()
            values = Scorer(shared, 0, torch.device("cpu"))(model, model, experience).values_BC
            values.square().sum().backward()
            found[shared] = values, {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    (plain, plain_gradients), (packed, packed_gradients) = found[False], found[True]
    assert packed.shape == (4, 4) and (plain[0, :3].abs() > 1e-3).all()
    assert torch.allclose(packed, plain, rtol=1e-4, atol=1e-5)
    assert packed_gradients.keys() == plain_gradients.keys()
    whole = torch.cat([gradient.flatten() for gradient in plain_gradients.values()])
    off = torch.cat([(packed_gradients[name] - gradient).flatten() for name, gradient in plain_gradients.items()])
    assert off.norm() < 2e-5 * whole.norm()


def _question(text, num_images):
    return [{"role": "user", "content": [*[{"type": "image"}] * num_images, {"type": "text", "text": text}]}]


def test_the_backbone_learns_from_values_unless_the_head_is_alone(critic):
    model, made = critic()
    for alone in (False, True):
        model.zero_grad()
        made.head_alone = alone
        model(**INPUTS).state_values.sum().backward()
        assert all(parameter.grad is not None for parameter in made.head.parameters())
        assert (made.base.model.language_model.layers[0].mlp.up_proj.weight.grad is None) == alone


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_a_critic_of_its_own_learns_from_values_alone_and_the_policy_from_its_loss_alone(critic, lora, alone):
    model, made = critic(SEPARATE, lora=lora)
    made.head_alone = alone
    policy = {name: one for name, one in made.base.named_parameters() if one.requires_grad and not name.startswith("critic.")}
    own = {name: one for name, one in made.network.named_parameters() if one.requires_grad}
    text = [name for name in own if "language_model.layers.0.self_attn.q_proj" in name and ("lora_B" in name or not lora)]
    model(**INPUTS).state_values.sum().backward()
    assert all(one.grad is None for one in policy.values())
    assert text and all(own[name].grad.abs().sum() > 0 for name in text)
    model.zero_grad()
    model(**INPUTS).log_probs.sum().backward()
    assert all(one.grad is None for one in own.values())
    assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in policy.values())


def test_values_of_a_critic_of_its_own_stay_when_the_policy_moves(critic):
    model, made = critic(SEPARATE)
    before = model(**INPUTS)
    with torch.no_grad():
        made.base.model.language_model.layers[0].mlp.up_proj.weight.add_(0.1)
    after = model(**INPUTS)
    assert torch.equal(after.state_values, before.state_values)
    assert not torch.allclose(after.log_probs, before.log_probs)


@KINDS
def test_gradient_checkpointing_changes_no_gradient(critic, settings):
    found = []
    for checkpointing in (False, True):
        model, _ = critic(settings)
        model.train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        output = model(**INPUTS)
        (output.state_values.square().sum() + output.log_probs.sum()).backward()
        found.append({name: one.grad for name, one in model.named_parameters() if one.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][name], found[1][name], rtol=1e-5, atol=1e-6) for name in found[0])


@KINDS
def test_a_critic_that_rests_is_not_run(critic, settings):
    model, made = critic(settings)
    calls = []
    for part in (made.network.head, made.network.backbone):
        if part is not None:
            part.register_forward_hook(lambda *_: calls.append(1))
    with made.resting():
        assert not hasattr(model(**INPUTS), "state_values")
    assert calls == []
    assert model(**INPUTS).state_values is not None
    assert len(calls) == (1 if made.network.backbone is None else 2)


def _saved_names(model, folder):
    model.save_pretrained(folder)
    (file,) = folder.glob("*.safetensors")
    with safe_open(file, framework="pt") as opened:
        return set(opened.keys())


@KINDS
@pytest.mark.parametrize("lora", [False, True])
def test_a_saved_model_knows_nothing_of_its_critic(critic, tmp_path, settings, lora):
    model, made = critic(settings, lora=lora)
    assert any("critic" in name for name, _ in model.named_parameters())
    with_critic = _saved_names(model, tmp_path / "with")
    with made.taken_off():
        assert not any("critic" in name for name, _ in model.named_parameters())
        assert _saved_names(model, tmp_path / "without") == with_critic
    assert with_critic and not any("critic" in name for name in with_critic)
    if lora:
        check_adapter_fits(model, tmp_path / "with")


@KINDS
def test_weights_of_the_critic_with_their_own_rate_are_in_no_other_group(critic, settings):
    model, made = critic(settings)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed, plain = [one for one in trained if one.ndim > 1], [one for one in trained if one.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.3}, {"params": plain, "weight_decay": 0.0}], lr=0.1)
    made.own_group(optimizer, learning_rate=0.5)
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.1, 0.3), (0.1, 0.0), (0.5, 0.3), (0.5, 0.0)]
    own = {id(parameter) for parameter in made.network.parameters()}
    assert {id(one) for group in optimizer.param_groups[2:] for one in group["params"]} == own
    assert not any(id(one) in own for group in optimizer.param_groups[:2] for one in group["params"])
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(trained)


@pytest.mark.parametrize(
    ("keys", "shapes"),
    [
        ({}, [[1, 64]]),
        ({"value_head": "mlp"}, [[1024, 64], [512, 1024], [1, 512]]),
        ({"value_head": "mlp", "value_head_sizes": [6]}, [[6, 64], [1, 6]]),
    ],
)
def test_the_head_has_the_layers_the_recipe_asks_for(critic, keys, shapes):
    _, made = critic(AlgorithmConfig(kind="ppo", **keys))
    found = [list(tensor.shape) for name, tensor in made.head.state_dict().items() if name.endswith("weight")]
    width = made.base.config.get_text_config().hidden_size
    assert found == [[width if size == 64 else size for size in shape] for shape in shapes]


def test_an_estimate_puts_discounts_of_rewards_and_turns_together(critic):
    # Two terms with discounts 1 and 0.5, gamma 1, between the replies a | b a further 0.5; rewards at b: 1 and 2; values 0.
    # a: 0.5 * 1 + 0.25 * 2 = 1;  b: 1 + 2 = 3
    _, made = critic(AlgorithmConfig(kind="ppo", lam=1.0, turn_gamma=0.5))
    valued = torch.tensor([[True, False, True]])
    found = made.estimate(
        torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]]]),
        torch.zeros(1, 3),
        ends_BC=torch.tensor([[True, False, True]]),
        valued_BC=valued,
        discounts=[1.0, 0.5],
    )
    assert found.advantages_BC.tolist() == [[1.0, 0.0, 3.0]]
    assert found.returns_BC.tolist() == [[1.0, 0.0, 3.0]]


def test_returns_are_advantages_and_values_together(critic):
    # lambda 0: a: V_b - V_a = 0.3, return V_b = 0.5;  b: 1 - 0.5 = 0.5, return 1
    _, made = critic(AlgorithmConfig(kind="ppo", lam=0.0))
    valued = torch.ones(1, 2, dtype=torch.bool)
    found = made.estimate(
        torch.tensor([[[0.0, 1.0]]]), torch.tensor([[0.2, 0.5]]), ends_BC=torch.tensor([[False, True]]), valued_BC=valued, discounts=[1.0]
    )
    assert np.allclose(found.advantages_BC, [[0.3, 0.5]]) and np.allclose(found.returns_BC, [[0.5, 1.0]])


def test_a_reply_valued_as_one_step_earns_the_rewards_of_all_its_tokens(critic):
    # Replies a b | x | c (x: the verifier's turn); rewards 0.5, 1 | 2; values where replies begin 0.2 and 0.4, elsewhere 9, unseen.
    # gamma 1 * 0.5, lambda 1 * 0.5 between replies: A_c = 2 - 0.4 = 1.6;  A_ab = 1.5 + 0.5 * 0.4 - 0.2 + 0.25 * 1.6 = 1.9
    _, made = critic(AlgorithmConfig(kind="ppo", lam=1.0, turn_gamma=0.5, turn_lam=0.5, value_at="reply"))
    found = made.estimate(
        torch.tensor([[[0.5, 1.0, 7.0, 2.0, 7.0]], [[0.0] * 5]]),
        torch.tensor([[0.2, 9.0, 9.0, 0.4, 9.0], [9.0] * 5]),
        ends_BC=torch.tensor([[False, True, False, True, False], [False, False, True, False, False]]),
        valued_BC=torch.tensor([[True, True, False, True, False], [False] * 5]),
        discounts=[1.0],
    )
    assert found.valued_BC.tolist() == [[True, False, False, True, False], [False] * 5]
    assert np.allclose(found.advantages_BC, [[1.9, 0, 0, 1.6, 0], [0] * 5])
    assert np.allclose(found.returns_BC, [[2.1, 0, 0, 2.0, 0], [0] * 5])
    assert np.allclose(found.for_tokens(found.advantages_BC), [[1.9, 1.9, 0, 1.6, 0], [0] * 5])


def test_tokens_with_values_of_their_own_go_by_them(critic):
    _, made = critic()
    found = made.estimate(
        torch.zeros(1, 1, 3),
        torch.zeros(1, 3),
        ends_BC=torch.tensor([[False, False, True]]),
        valued_BC=torch.ones(1, 3, dtype=torch.bool),
        discounts=[1.0],
    )
    assert found.for_tokens(torch.tensor([[3.0, 1.0, 2.0]])).tolist() == [[3.0, 1.0, 2.0]]
