"""Batches of chosen groups, through the real trainer: what they hold, what they cost, and that a resumed run goes on exactly."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vlmpost.config.schema import RlConfig
from vlmpost.errors import ConfigError
from vlmpost.training.executor import run_rl
from vlmpost.training.rollouts.batch_maker import BatchMaker, Group
from vlmpost.training.signal.flat import GroupReport
from vlmpost.training.signal.replay import KeptGroup

sys.path.insert(0, str(Path(__file__).parents[1]))
from watching import Watch, figures, resumed, rows, same_run, two_processes

HERE = Path(__file__).parents[1]
ALL_OF_IT = {"drop_flat_groups": True, "dynamic_sampling": True, "max_sampling_rounds": 2, "prompt_pools": True, "replay_size": 6}


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch)


@pytest.fixture
def recipe(tiny_model, rl_recipe):
    """Gives `recipe(section__key=value, ...)`: eight steps of groups of two, half of which are flat, with all of `signal` on."""

    def make(**changes) -> RlConfig:
        base = {
            "data": {"train": [{"task": "card_sums", "num_examples": 10}]},
            "rewards": [{"name": f"{HERE / 'coin_reward.py'}:even"}],
            "signal": ALL_OF_IT,
            "training": {"learning_rate": 1e-4, "prompts_per_step": 2, "max_steps": 8},
            "checkpoints": {"save_steps": 4, "save_total_limit": None},
            "logging": {"rollout_steps": 1},
        }
        return rl_recipe(tiny_model("qwen2_5_vl"), **base | changes)

    return make


@pytest.fixture
def made(monkeypatch):
    """The batches that were made, each with the groups that the replay held before it."""
    seen = []
    make = BatchMaker.make

    def watched(maker, rows, *, step):
        held = [entry.group for entry in maker.state.replay._entries]
        batch = make(maker, rows, step=step)
        seen.append((batch, held))
        return batch

    monkeypatch.setattr(BatchMaker, "make", watched)
    return seen


@pytest.mark.train
@pytest.mark.parametrize("beta", [0.0, 0.02])
def test_a_batch_holds_useful_groups_within_its_budget_and_used_ones_as_they_were(beta, recipe, new_run, tmp_path, watch, made):
    config = recipe(algorithm={"num_generations": 2, "beta": beta})
    run = new_run(tmp_path / "run", config)
    run_rl(config, run)
    assert len(made) == len(watch.batches) == 8
    for (batch, held), learned in zip(made, watch.batches, strict=True):
        known = learned.experience.tensors
        assert len(learned.experience) == 2 * (len(batch.trained) + len(batch.replayed)) == 4
        assert 1 <= len(batch.sampled) <= 2
        flat = [group.report.flat for group in batch.trained for _ in range(2)] + [False] * 2 * len(batch.replayed)
        assert known["policy_rows"].tolist() == [not one for one in flat]
        assert learned.policy_totals.num_rows == sum(not one for one in flat) and learned.totals.num_rows == 4
        for place, group in enumerate(batch.replayed, start=len(batch.trained)):
            assert group in held
            for row, logps in enumerate(group.logps, start=2 * place):
                assert known["old_logps"][row][: len(logps)].tolist() == list(logps)
            assert known["advantages"][2 * place : 2 * place + 2].tolist() == list(group.advantages)
            assert learned.experience.completions[2 * place : 2 * place + 2] == group.completions
        for place, group in enumerate(batch.trained):
            # Rewards 1 and 0 lie 0.5 from their mean; the deviation of a group of two is sqrt(0.5).
            rewards = [score.total for score in group.scores]
            expected = [0.0, 0.0] if group.report.flat else [(reward - 0.5) / (0.5**0.5 + 1e-4) for reward in rewards]
            assert known["advantages"][2 * place : 2 * place + 2].tolist() == pytest.approx(expected, rel=1e-4)
            assert group.report.flat == (rewards[0] == rewards[1])
    assert {len(batch.sampled) for batch, _ in made} == {1, 2}, "nothing was refilled"
    assert any(batch.replayed for batch, _ in made), "nothing was replayed"
    assert any(group.report.flat for batch, _ in made for group in batch.trained), "no batch held a flat group"


RESUMED = {
    "one-reply": {"training__max_tokens_per_forward": 200},
    "episodes": {
        "data": {"train": [{"task": f"{HERE / 'lucky_task.py'}:Lucky", "num_examples": 10}]},
        "episode": {"verify_iterations": 2},
        "rewards": [{"name": "verifier"}],
    },
    "two-passes": {"algorithm": {"num_generations": 2, "num_iterations": 2}, "training__num_mini_batches": 2, "training__max_steps": 8},
}


@pytest.mark.train
@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_run_goes_on_bit_for_bit(name, recipe, new_run, tmp_path, made):
    config = recipe(**RESUMED[name])
    straight = new_run(tmp_path / "straight", config)
    run_rl(config, straight)
    if name == "one-reply":
        assert any(batch.replayed for batch, _ in made[4:]), "nothing was replayed after the checkpoint"
    cut = resumed(straight, config, at_step=4, last_step=8)
    assert same_run(cut, straight, last_step=8)


@pytest.mark.train
@pytest.mark.parametrize("beta", [0.0, 0.02])
def test_a_batch_of_flat_groups_alone_has_the_kl_term_for_its_loss_or_nothing(beta, recipe, new_run, tmp_path):
    rewards = [{"name": f"{HERE / 'turn_rewards.py'}:one"}]
    config = recipe(algorithm={"num_generations": 2, "beta": beta}, rewards=rewards, training__max_steps=3)
    run = new_run(tmp_path / "run", config)
    run_rl(config, run)
    assert figures(run, "flat_group_share") == [1.0] * 3
    assert figures(run, "loss") == pytest.approx([0.0] * 3, abs=1e-6)  # the policy is the reference: its KL term is 0 too
    assert figures(run, "sampling_rounds") == [2.0] * 3


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.parametrize("beta", [0.0, 0.02])
def test_two_processes_choose_and_learn_as_one_does(beta, recipe, new_run, tmp_path, made):
    # Beta 0: a process may have flat groups alone, and nothing to learn.
    algorithm = {"num_generations": 2, "beta": beta}
    config = recipe(algorithm=algorithm, training__seed=2)
    one = new_run(tmp_path / "one", config)
    run_rl(config, one)
    assert any(batch.surplus for batch, _ in made) and any(batch.replayed for batch, _ in made)
    two = two_processes(config, tmp_path / "two")
    names = ("loss", "flat_group_share", "useful_groups", "surplus_groups", "replayed_groups", "sampling_rounds", "sampled_tokens")
    for name in names:
        assert len(figures(one, name)) == 8, name
        assert figures(two, name) == pytest.approx(figures(one, name), abs=1e-5), name
    told = [[(row["step"], row["text"], row["reward"]) for row in rows(run.rollouts_path)] for run in (one, two)]
    assert told[0] == told[1]


class Process:
    """One of several."""

    def __init__(self, index, count):
        self.index, self.count = index, count


def _maker(process, *, prompts_per_step=4, **signal):
    recipe = {
        "data": {"train": [{"task": "card_sums", "num_examples": 4}]},
        "rewards": [{"name": "accuracy"}],
        "training": {"prompts_per_step": prompts_per_step},
        "algorithm": {"num_generations": 2},
        "signal": signal,
    }
    config = RlConfig.model_validate(recipe)
    return BatchMaker(config, rewards=None, collector=None, dataset=range(20), processes=process)


def _group(index, *, flat):
    report = GroupReport(index, flat, reward=0.5, correct=None, num_tokens=4)
    return Group(index, ((1,), (2,)), ((1,), (1,)), None, (), (), (), report)


def test_prompts_that_do_not_divide_among_the_processes_are_refused():
    with pytest.raises(ConfigError, match=r"4 prompts \(training.prompts_per_step\) do not divide among 3 processes"):
        _maker(Process(0, 3))


def test_every_process_trains_equally_many_groups_and_none_is_trained_twice():
    # Useful are 1, 2, 4, 6, 7: four places for the first four, and 7 is surplus. Each of two processes trains two.
    groups = [_group(index, flat=index in (0, 3, 5)) for index in range(8)]
    batches = [_maker(Process(index, 2), dynamic_sampling=True)._chosen(groups, [], num_rounds=2, step=0) for index in (0, 1)]
    assert [[group.index for group in batch.trained] for batch in batches] == [[1, 2], [4, 6]]
    assert [[group.index for group in batch.surplus] for batch in batches] == [[7], []]
    assert [batch.first for batch in batches] == [0, 2]
    assert [group.index for group in batches[0].everywhere] == [1, 2, 4, 6]
    assert batches[0].figures == batches[1].figures


def test_used_groups_stand_in_for_the_last_flat_ones_wherever_these_lie():
    # Useful 0, flat 1, 2, 3: two kept groups take the places of 2 and 3, on the second process.
    groups = [_group(index, flat=index > 0) for index in range(4)]
    batches = []
    for index in (0, 1):
        maker = _maker(Process(index, 2), replay_size=4)
        kept = [KeptGroup(place, 0, ((1,), (2,)), ((1,), (1,)), ((-1.0,), (-1.0,)), (0.0, 1.0), (-1.0, 1.0)) for place in (10, 11)]
        maker.state.keep(kept)
        batches.append(maker._chosen(groups, [], num_rounds=1, step=3))
    assert [[group.index for group in batch.trained] for batch in batches] == [[0, 1], []]
    assert batches[0].replayed == () and {group.index for group in batches[1].replayed} == {10, 11}
    assert BatchMaker.flat_rows(batches[0].trained) == [False, False, True, True]
