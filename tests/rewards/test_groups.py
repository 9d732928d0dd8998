"""Rewards that value all completions of a prompt together, presets, checks and sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost import rewards
from vlmpost.config.schema import RewardTermConfig
from vlmpost.errors import ConfigError, GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards.binding import Schema, bind, schema_of
from vlmpost.rewards.table import Reward

GROUP = """
from collections.abc import Sequence
from vlmpost.records import Rollout

def rank(group: Sequence[Rollout], *, factor: float = 1.0) -> list[float]:
    lengths = sorted({len(rollout.text) for rollout in group})
    return [factor * lengths.index(len(rollout.text)) for rollout in group]

def short(group: list[Rollout]) -> list[float]:
    return [0.0]
"""


def rollout(example: str, text: str) -> Rollout:
    return Rollout(Example(example, "t", (), answer="7", answer_type="number"), text, (1,), "stop")


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(GROUP)


def totals(built: rewards.RewardSet, rollouts: Sequence[Rollout]) -> list[float | None]:
    return [score.total for score in built.score_all(rollouts)]


@pytest.mark.usefixtures("mine")
def test_completions_of_one_example_are_a_group_wherever_they_stand() -> None:
    built = rewards.build([RewardTermConfig(name="mine.py:rank", params={"factor": 2.0})])
    mixed = [rollout("a", "xx"), rollout("b", "xxxx"), rollout("a", "x"), rollout("a", "xxx")]
    assert built.per_group
    assert totals(built, mixed) == [2.0, 0.0, 0.0, 4.0]


@pytest.mark.usefixtures("mine")
def test_a_group_reward_cannot_score_one_completion() -> None:
    built = rewards.build([RewardTermConfig(name="mine.py:rank")])
    with pytest.raises(GraderError, match="score_all"):
        built.score(rollout("a", "x"))


@pytest.mark.usefixtures("mine")
def test_a_group_reward_gives_a_value_for_each_completion() -> None:
    built = rewards.build([RewardTermConfig(name="mine.py:short")])
    with pytest.raises(GraderError, match="for 2 completions"):
        built.score_all([rollout("a", "x"), rollout("a", "y")])


@given(st.permutations(range(6)))
def test_permuting_a_batch_permutes_the_scores(order: list[int]) -> None:
    batch = [
        rollout("ab"[place % 2], text) for place, text in enumerate([r"\boxed{7}", "8", "", r"<think> a </think> \boxed{7}", "7", "x"])
    ]
    built = rewards.build([RewardTermConfig(name="synergy")])
    straight = built.score_all(batch)
    assert built.score_all([batch[place] for place in order]) == [straight[place] for place in order]


def scaled(rollout: Rollout, *, low: float = 0.0, high: float = 1.0) -> float:
    return low + high


def ordered(arguments: Mapping[str, object], max_completion_length: int | None) -> list[str]:
    low, high = float(str(arguments["low"])), float(str(arguments["high"]))
    return [] if low < high else [f"params.low {low:g} is not below params.high {high:g}"]


SCALED = Reward(scaled, {"paper": {"low": -10.0, "high": 2.0}}, ordered)


def bound(params: dict[str, object]) -> tuple[dict[str, object], list[str]]:
    schema = schema_of(scaled)
    assert isinstance(schema, Schema)
    return bind(SCALED, schema, params, max_completion_length=None)


def test_a_preset_fills_the_params_and_the_recipe_replaces_them() -> None:
    assert bound({"preset": "paper"}) == ({"low": -10.0, "high": 2.0}, [])
    assert bound({"preset": "paper", "high": 3.0}) == ({"low": -10.0, "high": 3.0}, [])


def test_an_unknown_preset_is_a_fault_with_the_near_name() -> None:
    _, faults = bound({"preset": "papr"})
    assert faults == ["params.preset: there is no preset 'papr'; did you mean 'paper'? (it has: paper)"]


def test_parameters_are_checked_together_defaults_included() -> None:
    assert bound({"low": 2.0})[1] == ["params.low 2 is not below params.high 1"]


def test_an_unknown_profile_is_told_before_anything_is_judged() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'mathvision'"):
        rewards.build([RewardTermConfig(name="accuracy", params={"profile": "mathvison"})])


def test_a_sum_stands_for_its_parts_times_the_weight() -> None:
    built = rewards.build([RewardTermConfig(name="synergy", weight=2.0)])
    assert (built.names, built.weights) == (("accuracy", "format"), (1.8, 0.2))


def test_a_mistyped_sum_is_told_with_the_near_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'synergy'"):
        rewards.build([RewardTermConfig(name="sinergy")])


def test_a_sum_takes_no_params() -> None:
    with pytest.raises(ConfigError, match="write its parts"):
        rewards.build([RewardTermConfig(name="synergy", params={"mode": "strict"})])


def test_grpo_takes_no_discount_and_says_which_term_has_one() -> None:
    rewards.build([RewardTermConfig(name="synergy")]).check_undiscounted()
    with pytest.raises(ConfigError, match=r"ngram_repetition_per_token has the discount 0\.99"):
        rewards.build([RewardTermConfig(name="demystify")], max_completion_length=14336).check_undiscounted()


def test_every_preset_is_accepted_with_the_budget_of_its_source() -> None:
    from vlmpost.rewards.sums import SUMS
    from vlmpost.rewards.table import TABLE

    budgets = (1024, 512, 1000, 14336, 20480)
    names = [(name, {"preset": preset}) for name, reward in TABLE.items() for preset in reward.presets] + [(name, {}) for name in SUMS]
    refused = [(name, params) for name, params in names if not any(_builds(name, params, budget) for budget in budgets)]
    assert not refused


def _builds(name: str, params: dict[str, str], budget: int) -> bool:
    try:
        rewards.build([RewardTermConfig(name=name, params=params)], max_completion_length=budget)
    except ConfigError:
        return False
    return True
