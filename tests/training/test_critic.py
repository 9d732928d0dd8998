"""The critic against sums by hand, and its head against the model that carries it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from trl.trainer.utils import add_fused_lm_head

from vlmpost.config.schema import AlgorithmConfig, RewardTermConfig
from vlmpost.errors import RunError
from vlmpost.models import value_head
from vlmpost.models.value_head import ValueHead
from vlmpost.records import Example, Message, Rollout, Score
from vlmpost.rewards import build
from vlmpost.training.critic import Critic, reply_ends, rewards_per_token, value_losses

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


@pytest.fixture
def critic(load_tiny):
    """Gives `critic(**model keys)`: a tiny policy with TRL's fused head and a value head whose weights are not 0."""

    def make(settings=PPO, *, lora=False):
        model = load_tiny("qwen2_5_vl").model
        add_fused_lm_head(model, outputs=("log_probs", "entropy"))
        if lora:
            model = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
        made = Critic(model, settings, seed=1)
        for parameter in made.head.parameters():
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(5))
        return model, made

    return make


def _inputs():
    ids = torch.tensor([[5, 6, 7, 8, 9], [7, 5, 8, 9, 6]])
    labels = ids.clone()
    labels[:, :2] = -100
    labels[1, 4] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels, "fused_lm_head": True}


@pytest.mark.parametrize("lora", [False, True])
def test_values_are_of_the_hidden_states_before_each_labelled_token(critic, lora):
    model, made = critic(lora=lora)
    base = made.base
    inputs = _inputs()
    found = model(**inputs).state_values
    hidden = base.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
    expected = made.head(hidden[:, :-1])
    assert found.shape == (2, 4)
    assert torch.allclose(found[0, 1:], expected[0, 1:]) and torch.allclose(found[1, 1:3], expected[1, 1:3])
    assert found[:, 0].tolist() == [0.0, 0.0] and found[1, 3] == 0


def test_the_backbone_learns_from_values_unless_the_head_is_alone(critic):
    model, made = critic()
    for alone in (False, True):
        model.zero_grad()
        made.head_alone = alone
        model(**_inputs()).state_values.sum().backward()
        assert all(parameter.grad is not None for parameter in made.head.parameters())
        assert (made.base.model.language_model.layers[0].mlp.up_proj.weight.grad is None) == alone


@pytest.mark.parametrize("lora", [False, True])
def test_a_saved_model_knows_nothing_of_its_head(critic, tmp_path, lora):
    model, made = critic(lora=lora)
    model.save_pretrained(tmp_path)
    from safetensors import safe_open

    (file,) = tmp_path.glob("*.safetensors")
    with safe_open(file, framework="pt") as opened:
        names = list(opened.keys())
    assert names and not any("value_head" in name for name in names)
    assert any("value_head" in name for name, _ in model.named_parameters())
    with made.taken_off():
        assert not any("value_head" in name for name, _ in model.named_parameters())


def test_a_head_of_its_own_rate_is_in_one_group_only(critic):
    model, made = critic()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    made.own_group(optimizer, learning_rate=0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    head = {id(parameter) for parameter in made.head.parameters()}
    assert {id(parameter) for parameter in optimizer.param_groups[1]["params"]} == head
    assert not any(id(parameter) in head for parameter in optimizer.param_groups[0]["params"])


def test_a_new_head_says_zero_and_draws_from_its_own_seed():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    one, same, other = ValueHead(8, sizes=[4], seed=1), ValueHead(8, sizes=[4], seed=1), ValueHead(8, sizes=[4], seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one(torch.randn(2, 3, 8)).tolist() == [[0.0] * 3] * 2
    assert torch.equal(one.layers[0].weight, same.layers[0].weight)
    assert not torch.equal(one.layers[0].weight, other.layers[0].weight)


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


def test_a_head_in_float32_reads_hidden_states_of_bfloat16():
    head = ValueHead(4, seed=0)
    torch.nn.init.constant_(head.layers[0].weight, 0.5)
    found = head(torch.ones(2, 4, dtype=torch.bfloat16))
    assert found.dtype == torch.float32 and found.tolist() == [2.0, 2.0]


def test_a_head_comes_back_from_its_file_and_no_other_does(tmp_path):
    head = ValueHead(4, sizes=[3], seed=0)
    torch.nn.init.normal_(head.layers[2].weight)
    value_head.save(head, tmp_path)
    again = ValueHead(4, sizes=[3], seed=9)
    value_head.load(again, tmp_path)
    assert all(torch.equal(one, two) for one, two in zip(head.parameters(), again.parameters(), strict=True))
    with pytest.raises(RunError, match="Resume with the recipe that wrote it"):
        value_head.load(ValueHead(4, seed=0), tmp_path)
    (tmp_path / value_head.FILE_NAME).write_bytes(b"torn")
    with pytest.raises(RunError, match="cannot be read"):
        value_head.load(again, tmp_path)


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
