"""From rewards to advantages: each way by hand, and the ways without groups through the real trainer."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch

from vlmpost.config.schema import AlgorithmConfig
from vlmpost.models.prompts import grown
from vlmpost.records import Example, Rollout, Score
from vlmpost.rewards.sets import RewardSet, Term
from vlmpost.training.credit.estimators import CriticEstimator, GroupEstimator, ReturnEstimator, make_estimator, reward_matrix
from vlmpost.training.executor import run_rl
from vlmpost.training.policy import PolicyTrainer
from vlmpost.training.rollouts.batch import RolloutBatch
from vlmpost.training.update.experience import Experience

sys.path.insert(0, str(Path(__file__).parents[1]))
from watching import Watch, figures, resumed, same_run, two_processes

HERE = Path(__file__).parents[1]
COIN = f"{HERE / 'coin_reward.py'}:even"


class Alone:
    """One process."""

    index, count = 0, 1

    def gather(self, rows):
        return rows

    def sum(self, numbers):
        return numbers


class Second(Alone):
    """The second of two processes, beside one whose rewards are known."""

    index, count = 1, 2

    def __init__(self, rows_of_the_first):
        self.first = rows_of_the_first

    def gather(self, rows):
        return torch.cat([self.first, rows])


def _terms(**weights_and_discounts):
    """Reward terms by name, each with (weight, discount)."""
    return RewardSet([Term(name, name, weight, {}, lambda rollout: None, gamma) for name, (weight, gamma) in weights_and_discounts.items()])


ONE_TERM = _terms(a=(1.0, 1.0))


def _batch(parts, lengths):
    """A batch of completions with these values of the term `a`, or of several terms by name."""
    example = Example(id="x", task="t", prompt=())
    values = [part if isinstance(part, dict) else {"a": part} for part in parts]
    totals = [None if all(value is None for value in own.values()) else sum(filter(None, own.values())) for own in values]
    scores = [Score(total, own) for total, own in zip(totals, values, strict=True)]
    rollouts = [Rollout(example, "", tuple(range(length)), "stop") for length in lengths]
    return RolloutBatch(rollouts, scores, [None] * len(rollouts))


def _experience(lengths, **tensors):
    width = max(lengths)
    sampled = torch.tensor([[place < length for place in range(width)] for length in lengths])
    return Experience((None,), (0,) * len(lengths), tuple((1,) * length for length in lengths), {"sampled": sampled, **tensors})


def test_a_term_that_does_not_apply_is_nan_in_the_matrix_and_not_zero():
    found = reward_matrix(_batch([1.0, None], [1, 1]), ONE_TERM)
    assert found[0].item() == 1.0 and math.isnan(found[1].item())


def test_a_group_that_lies_across_processes_is_compared_whole():
    # Rewards 1, 0 here and 3, 0 on the first process are one group of four: mean 1, and the last two of it are ours.
    algorithm = AlgorithmConfig(num_generations=4, scale_rewards="none")
    estimator = GroupEstimator(algorithm, ONE_TERM, Second(torch.tensor([[3.0], [0.0]])))
    found = estimator(_batch([1.0, 0.0], [2, 2]), _experience([2, 2]))
    assert found.tensors["advantages"].tolist() == pytest.approx([0.0, -1.0])
    assert found.tensors["flat"].tolist() == [False, False]


def test_a_flat_group_is_told_from_one_beside_it():
    algorithm = AlgorithmConfig(num_generations=2, scale_rewards="none")
    found = GroupEstimator(algorithm, ONE_TERM, Alone())(_batch([1.0, 1.0, 0.0, 2.0], [1] * 4), _experience([1] * 4))
    assert found.tensors["flat"].tolist() == [True, True, False, False]
    assert found.tensors["advantages"].tolist() == pytest.approx([0.0, 0.0, -1.0, 1.0])


REINFORCE = {"advantage_estimator": "reinforce_plus_plus", "num_generations": 1}


def test_returns_are_discounted_by_term_and_whitened_over_all_tokens():
    # Term a earns 4 at the end of three tokens with discount 1/2: 1, 2, 4. Term b earns 1 with discount 1: 1, 1, 1. Together 2, 3, 5.
    # The second completion earns 0 and 2 for its one token: 2. Mean of 2, 3, 5, 2 is 3; squares 1, 0, 4, 1: deviation sqrt(1.5).
    terms = _terms(a=(1.0, 0.5), b=(1.0, 1.0))
    batch = _batch([{"a": 4.0, "b": 1.0}, {"a": 0.0, "b": 2.0}], [3, 1])
    found = ReturnEstimator(AlgorithmConfig(**REINFORCE), terms, Alone())(batch, _experience([3, 1]))
    size = 1.5**0.5
    assert found.tensors["advantages"][0].tolist() == pytest.approx([-1 / size, 0.0, 2 / size], abs=1e-6)
    assert found.tensors["advantages"][1].tolist() == pytest.approx([-1 / size, 0.0, 0.0], abs=1e-6)
    assert found.figures == pytest.approx({"advantage_std": size, "return": 3.0})


def test_the_kl_term_is_taken_off_each_token_and_counted_once_for_several_terms():
    # A reward of 1 at the end; old - reference is 0.5 and 0.25: with beta 2 the tokens earn -1 and -0.5 besides: returns -0.5 and 0.5.
    algorithm = AlgorithmConfig(**REINFORCE, beta=2.0, kl_in="reward")
    known = {"old_logps": torch.tensor([[-1.0, -1.0]]), "ref_logps": torch.tensor([[-1.5, -1.25]])}
    batch = _batch([{"a": 1.0, "b": 0.0}], [2])
    found = ReturnEstimator(algorithm, _terms(a=(1.0, 1.0), b=(1.0, 1.0)), Alone())(batch, _experience([2], **known))
    assert found.tensors["advantages"].tolist() == [pytest.approx([-1.0, 1.0])]
    assert found.figures == pytest.approx({"advantage_std": 0.5, "return": 0.0})
    assert found.sums == {"kl_reward": (-1.5, 1.0)}


def test_a_completion_that_no_reward_applies_to_neither_moves_nor_counts():
    found = ReturnEstimator(AlgorithmConfig(**REINFORCE), ONE_TERM, Alone())(_batch([1.0, None, 3.0], [1, 1, 1]), _experience([1, 1, 1]))
    assert found.tensors["advantages"].flatten().tolist() == pytest.approx([-1.0, 0.0, 1.0])
    assert found.figures["return"] == 2.0


def test_the_recipe_chooses_the_way():
    groups, returns = AlgorithmConfig(), AlgorithmConfig(**REINFORCE)
    assert isinstance(make_estimator(groups, ONE_TERM, Alone(), None), GroupEstimator)
    assert isinstance(make_estimator(returns, ONE_TERM, Alone(), None), ReturnEstimator)
    assert isinstance(make_estimator(AlgorithmConfig(kind="ppo"), ONE_TERM, Alone(), object()), CriticEstimator)


# --- through the trainer ---


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch)


@pytest.fixture
def recipe(tiny_model, rl_recipe):
    """Gives `recipe(algorithm, section__key=value, ...)`: four steps, checkpoints at two and four."""

    def make(algorithm, **changes):
        base = {
            "algorithm": algorithm,
            "rewards": [{"name": COIN}, {"name": f"{HERE / 'length_reward.py'}:vowels", "params": {}}],
            "training": {"learning_rate": 1e-3, "prompts_per_step": 4, "max_steps": 4, "lr_scheduler_type": "constant"},
            "checkpoints": {"save_steps": 2, "save_total_limit": None},
        }
        return rl_recipe(tiny_model("qwen2_5_vl"), **base | changes)

    return make


CHARGED = REINFORCE | {"beta": 0.1, "kl_in": "reward", "gamma": 0.9, "loss_type": "dapo"}
"""REINFORCE++ with a KL term in the reward and a discount."""


@pytest.mark.train
def test_the_reinforce_loss_is_the_one_worked_out_token_by_token(recipe, new_run, tmp_path, watch, monkeypatch):
    hands = []
    compute = PolicyTrainer.compute_loss

    def beside(trainer, model, inputs, *args, **kwargs):
        with torch.no_grad():
            hands.append(_loss_by_hand(trainer, inputs))
        return compute(trainer, model, inputs, *args, **kwargs)

    monkeypatch.setattr(PolicyTrainer, "compute_loss", beside)
    config = recipe(CHARGED | {"num_iterations": 2}, training__prompts_per_step=3)
    run_rl(config, new_run(tmp_path / "run", config))
    assert watch.losses == pytest.approx(hands, abs=1e-5)
    # The first pass over a batch has ratios of 1 and whitened returns: its loss is 0. The second one has neither.
    assert [abs(loss) > 1e-3 for loss in watch.losses] == [False, True, False, True]


def _loss_by_hand(trainer, batch):
    """The clipped loss (0.2), mean over all tokens, of whitened returns: discounted by 0.9, each token charged 0.1 of its log-ratio."""
    known, experience = batch.experience.tensors, batch.experience
    returns = {}
    for row, completion in enumerate(experience.completions):
        parts, after = trainer.last_batch.scores[row].parts, 0.0
        for place in reversed(range(len(completion))):
            earned = parts["even"] + parts["vowels"] if place == len(completion) - 1 else 0.0
            after = earned - 0.1 * float(known["old_logps"][row, place] - known["ref_logps"][row, place]) + 0.9 * after
            returns[row, place] = after
    mean = sum(returns.values()) / len(returns)
    deviation = (sum((value - mean) ** 2 for value in returns.values()) / len(returns)) ** 0.5
    total = 0.0
    for row, logps in enumerate(_logps(trainer.model, experience)):
        for place, logp in enumerate(logps):
            ratio = math.exp(logp - float(known["old_logps"][row, place]))
            advantage = (returns[row, place] - mean) / deviation
            total -= min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage)
    return total / len(returns)


def _logps(model, experience):
    """The log-probability of each token, from plain logits, one completion at a time."""
    for owner, completion in zip(experience.owners, experience.completions, strict=True):
        prompt = experience.prompts[owner]
        inputs = grown(prompt, completion)
        fields = dict(inputs.images) | {name: types[None] for name, types in inputs.token_types.items()}
        logits = model(input_ids=torch.tensor([inputs.token_ids]), **fields).logits[0, len(prompt.token_ids) - 1 : -1]
        yield [float(torch.log_softmax(row, 0)[token]) for row, token in zip(logits, completion, strict=True)]


@pytest.mark.train
@pytest.mark.parametrize("name", ["reinforce", "sft_vs_rl", "demystify"])
def test_a_resumed_run_goes_on_bit_for_bit(name, recipe, new_run, tmp_path):
    algorithms = {
        "reinforce": CHARGED | {"num_iterations": 2},
        "sft_vs_rl": {"preset": "sft_vs_rl", "num_iterations": 2, "value_head_sizes": [16]},
        "demystify": {"preset": "demystify", "num_generations": 2},
    }
    config = recipe(algorithms[name])
    straight = new_run(tmp_path / "straight", config)
    run_rl(config, straight)
    assert len(figures(straight, "loss")) == 4 and all(map(math.isfinite, figures(straight, "loss")))
    assert same_run(resumed(straight, config, at_step=2, last_step=4), straight, last_step=4)


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.parametrize("name", ["reinforce", "demystify"])
def test_two_processes_give_the_losses_of_one(name, recipe, new_run, tmp_path):
    config = recipe({"reinforce": CHARGED, "demystify": {"preset": "demystify", "num_generations": 2}}[name])
    one = new_run(tmp_path / "one", config)
    run_rl(config, one)
    two = two_processes(config, tmp_path / "two")
    names = ("loss", "advantage_std", "return") + (("value_loss",) if name == "demystify" else ())
    for figure in names:
        assert len(figures(one, figure)) == 4, figure
        assert figures(two, figure) == pytest.approx(figures(one, figure), abs=1e-5), figure
