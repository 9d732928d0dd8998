"""Curves of a plan: values by the laws of training, stages one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.strategies.conftest import RL
from vlmpost.config.combine import CombineConfig
from vlmpost.config.schema import TrainingConfig
from vlmpost.strategies import plan
from vlmpost.strategies.schedules import learning_rate, panels, spans

Make = Callable[..., CombineConfig]


def curves(config: CombineConfig, num_steps: dict[str, int]) -> dict[str, dict[float, float]]:
    drawn = panels(plan(config, Path("/run")), num_steps)
    return {curve.name: {step: value for step, value in curve.points if not math.isnan(value)} for panel in drawn for curve in panel.curves}


@pytest.mark.parametrize(
    ("kind", "step", "rate"),
    [
        ("constant", 1, 2.0),  # no warm-up, as transformers' constant
        ("constant_with_warmup", 1, 1.0),  # 2 * 1 / 2
        ("constant_with_warmup", 5, 2.0),
        ("linear", 1, 1.0),
        ("linear", 6, 1.0),  # 2 * (1 - 4 / 8)
        ("cosine", 6, 1.0),  # 2 * (1 + cos(pi / 2)) / 2
        ("cosine", 4, 2 * (1 + math.sqrt(0.5)) / 2),  # cos(pi / 4)
    ],
)
def test_learning_rates_are_those_of_the_schedulers(kind: str, step: int, rate: float) -> None:
    training = TrainingConfig.model_validate({"learning_rate": 2.0, "lr_scheduler_type": kind, "warmup_share": 0.2})
    assert learning_rate(training, step, num_steps=10) == pytest.approx(rate)


def test_the_learning_rate_is_what_transformers_makes_of_the_same_settings() -> None:
    import torch
    from transformers import get_scheduler

    for kind in ("constant", "constant_with_warmup", "linear", "cosine"):
        training = TrainingConfig.model_validate({"learning_rate": 0.5, "lr_scheduler_type": kind, "warmup_share": 0.25})
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        scheduler = get_scheduler(kind, optimizer, num_warmup_steps=3, num_training_steps=12)  # 0.25 of 12
        for step in range(12):
            assert learning_rate(training, step, num_steps=12) == pytest.approx(scheduler.get_last_lr()[0]), (kind, step)
            optimizer.step()
            scheduler.step()


def test_progressive_falls_from_the_whole_trace_to_none(combine_config: Make) -> None:
    found = curves(combine_config("progressive", sft=None), {"01_rl": 100})
    # rho: 1 for 5 % of the steps, then a cosine to 0 at 70 %; halfway, at 37.5 %, it is 0.5.
    assert [found["share"][step] for step in (0, 5, 70, 99)] == [1, 1, 0, 0]
    assert (found["share"][37] + found["share"][38]) / 2 == pytest.approx(0.5, abs=1e-6)
    assert set(found["cross-entropy on hint"].values()) == {0.2}
    assert set(found["policy on generated"].values()) == {1.0}


def test_weights_of_chord_add_up_to_one(combine_config: Make) -> None:
    found = curves(combine_config("chord_mu", sft=None), {"01_rl": 400})
    policy, traces = found["policy on generated"], found["cross-entropy on trace"]
    assert (traces[0], traces[200], traces[399]) == (pytest.approx(0.9), pytest.approx(0.05), pytest.approx(0.05))
    assert all(policy[step] + traces[step] == pytest.approx(1) for step in policy)


def test_hints_of_uft_are_over_after_their_last_step(combine_config: Make) -> None:
    found = curves(combine_config("uft", sft=None), {"01_rl": 400})["expected share"]
    # p_t = 0.05 + 0.45 (1 + cos(pi t / 300)): 0.95 at 0, 0.5 at 150.
    assert (found[0], found[150], found[299] > 0, found[300]) == (pytest.approx(0.95), pytest.approx(0.5), True, 0)


def test_a_search_for_hints_has_no_curve_and_a_band_has_two(combine_config: Make) -> None:
    assert not {"share", "at least"} & set(curves(combine_config("bread", sft=None), {"01_rl": 8}))
    found = curves(combine_config("r3", sft=None), {"01_rl": 8})
    assert (found["at least"][0], found["at most"][0]) == (0.0, 1.0)


def test_stages_follow_each_other_on_the_axis(combine_config: Make) -> None:
    config = combine_config("two_stage", rl={**RL, "algorithm": {"beta": 0.25}})
    steps = {"01_sft": 4, "02_rl": 6}
    assert [(span.name, span.start, span.end) for span in spans(plan(config, Path("/run")), steps)] == [("01_sft", 0, 4), ("02_rl", 4, 10)]
    found = curves(config, steps)
    assert (min(found["cross-entropy on solutions"]), max(found["cross-entropy on solutions"])) == (0, 4)
    assert (min(found["policy on generated"]), max(found["policy on generated"])) == (4, 10)
    assert set(found["KL to the reference"].values()) == {0.25}
