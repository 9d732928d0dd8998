"""The loss of a step: which rows it needs, and the entropy's two parts in it through the real trainer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from vlmpost.config.schema import AlgorithmConfig
from vlmpost.training.executor import run_rl
from vlmpost.training.update.entropy import EntropyCoefficient
from vlmpost.training.update.experience import Experience
from vlmpost.training.update.losses import PolicyLoss
from vlmpost.training.update.step_loss import StepLoss

sys.path.insert(0, str(Path(__file__).parents[1]))
from watching import Watch, figures, resumed, same_run, two_processes

HERE = Path(__file__).parents[1]


def _step_loss(*, critic=None, **settings):
    return StepLoss(AlgorithmConfig(), PolicyLoss(**settings), EntropyCoefficient(0.0), critic, None, lambda entropies: entropies)


def _experience(advantages, **tensors):
    count = len(advantages)
    known = {"advantages": torch.tensor(advantages), "sampled": torch.ones(count, 2, dtype=torch.bool), **tensors}
    return Experience((None,), (0,) * count, ((1, 2),) * count, known)


def test_rows_without_advantage_are_left_out_where_nothing_else_moves():
    assert _step_loss().moving_rows(_experience([0.0, 1.0, 0.0, -1.0])) == [1, 3]


def test_a_row_out_of_the_policy_term_or_without_a_trained_token_is_left_out_too():
    kept = torch.tensor([True, False, True])
    sampled = torch.tensor([[True, True], [True, True], [False, False]])
    assert _step_loss().moving_rows(_experience([1.0, 1.0, 1.0], policy_rows=kept, sampled=sampled)) == [0]


def test_one_row_remains_where_none_moves():
    assert _step_loss().moving_rows(_experience([0.0, 0.0])) == [0]


def test_a_token_with_its_own_advantage_keeps_its_row():
    assert _step_loss().moving_rows(_experience([[0.0, 0.0], [0.0, 0.5]])) == [1]


@pytest.mark.parametrize("settings", [{"beta": 0.1}, {"has_entropy_bonus": True}, {"top_entropy_quantile": 0.5}, {"critic": object()}])
def test_every_row_counts_where_all_have_something_to_say(settings):
    assert _step_loss(**settings).moving_rows(_experience([0.0, 1.0])) == [0, 1]


def test_a_pass_needs_all_processes_only_for_the_entropies_of_all():
    assert _step_loss(top_entropy_quantile=0.5).needs_all_processes
    assert not _step_loss().needs_all_processes


# --- through the trainer ---

ENTROPIES = {
    "mask": {"algorithm": {"num_generations": 2, "top_entropy_quantile": 0.5}},
    "bonus": {"trl": {"entropy_coef": 0.01}},
    "adaptive": {
        "trl": {"use_adaptive_entropy": True, "entropy_coef": 0.01, "entropy_target": 4.4, "entropy_coef_delta": 0.005},
    },
    "mask-and-bonus": {"algorithm": {"num_generations": 2, "top_entropy_quantile": 0.5}, "trl": {"entropy_coef": 0.01}},
}
"""What entropy may decide; the random model's is about 5 nats."""


@pytest.fixture
def recipe(tiny_model, rl_recipe):
    """Gives `recipe(name, section__key=value, ...)`: four steps, two mini-batches of one group, a forward pass for each completion."""

    def make(name, **changes):
        base = {
            "algorithm": {"num_generations": 2},
            "rewards": [{"name": f"{HERE / 'length_reward.py'}:vowels"}],
            "training": {
                "learning_rate": 1e-3,
                "prompts_per_step": 2,
                "num_mini_batches": 2,
                "max_steps": 4,
                "per_device_train_batch_size": 1,
            },
            "checkpoints": {"save_steps": 2, "save_total_limit": None},
        }
        return rl_recipe(tiny_model("qwen2_5_vl"), **base | ENTROPIES[name] | changes)

    return make


@pytest.mark.train
@pytest.mark.parametrize("name", ENTROPIES)
def test_a_resumed_run_goes_on_bit_for_bit(name, recipe, new_run, tmp_path):
    config = recipe(name)
    straight = new_run(tmp_path / "straight", config)
    run_rl(config, straight)
    assert same_run(resumed(straight, config, at_step=2, last_step=4), straight, last_step=4)


@pytest.mark.train
def test_an_adaptive_coefficient_follows_the_target(recipe, new_run, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    config = recipe("adaptive")
    run = new_run(tmp_path / "run", config)
    run_rl(config, run)
    value, expected = 0.01, watch.trainer.step_loss.entropy_coefficient.value
    for entropy in figures(run, "bonus_entropy"):
        value += 0.005 if entropy <= 4.4 else -0.005
        value = min(max(value, 0.0), 1.0)
    assert expected == pytest.approx(value)
    assert len(figures(run, "bonus_entropy")) == 4


@pytest.mark.train
def test_the_bonus_raises_the_entropy_that_is_left(recipe, new_run, tmp_path):
    # No advantage (a reward that all earn alike): the bonus alone moves the weights, towards more entropy.
    changes = {"rewards": [{"name": f"{HERE / 'turn_rewards.py'}:one"}], "training__learning_rate": 1e-2, "training__max_steps": 6}
    run = new_run(tmp_path / "run", config := recipe("bonus", **changes))
    run_rl(config, run)
    entropies = figures(run, "entropy")
    assert entropies[-1] > entropies[0]


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.parametrize("name", ["mask", "adaptive"])
def test_processes_with_nothing_to_learn_keep_step_with_the_others(name, recipe, new_run, tmp_path):
    # Of two groups each process has one, and each mini-batch is one group: in every step one process is idle, the other has two passes.
    two = two_processes(recipe(name), tmp_path / "two", timeout_seconds=120)
    assert len(figures(two, "loss")) == 4
    one = new_run(tmp_path / "one", config := recipe(name))
    run_rl(config, one)
    assert figures(two, "loss") == pytest.approx(figures(one, "loss"), abs=1e-5)
