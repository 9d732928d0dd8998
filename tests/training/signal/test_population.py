"""Pools and dynamic sampling against plain sampling on a drawn population: each prompt has a pass rate that never changes."""

from __future__ import annotations

import random
from dataclasses import dataclass

from vlmpost.config.schema import SignalConfig
from vlmpost.training.signal.flat import GroupReport, signal_figures
from vlmpost.training.signal.refill import Refill
from vlmpost.training.signal.state import SignalState

NUM_GENERATIONS, PROMPTS_PER_STEP, TOKENS_PER_GROUP = 8, 16, 240
PASS_RATES = [0.0] * 200 + [1.0] * 140 + [0.1, 0.3, 0.5, 0.7] * 15
"""400 prompts: half hopeless, a third trivial, 60 that can go both ways; not in this order, as the pools and the stream shuffle."""


@dataclass(frozen=True)
class Outcome:
    """Sums over some steps."""

    num_useful: float
    num_groups: int
    num_full: int


def play(config: SignalConfig, *, num_steps: int, counted_from: int) -> Outcome:
    """Rolls out `num_steps` batches as the trainer does and counts those after the first `counted_from`."""
    state = SignalState(config, num_examples=len(PASS_RATES), seed=0)
    refill = Refill.of(config, num_groups=PROMPTS_PER_STEP, num_processes=1)
    luck = random.Random(0)
    num_useful, num_groups, num_full = 0.0, 0, 0
    for step in range(num_steps):
        reports = [rolled_out(index, luck) for index in state.source.take(PROMPTS_PER_STEP)]
        num_rounds = 1
        while more := refill.num_more(flags(reports), num_rounds=num_rounds, num_left=len(PASS_RATES) - len(reports)):
            asked = [report.index for report in reports]
            reports += [rolled_out(index, luck) for index in state.source.take(more, exclude=asked)]
            num_rounds += 1
        chosen = refill.choose(flags(reports))
        figures = signal_figures(reports, state.note(reports), num_rounds=num_rounds, num_replayed=0, num_surplus=len(chosen.surplus))
        if step >= counted_from:
            num_useful += figures["useful_groups"]
            num_groups += len(reports)
            num_full += figures["useful_groups"] == PROMPTS_PER_STEP
    return Outcome(num_useful, num_groups, num_full)


def rolled_out(index: int, luck: random.Random) -> GroupReport:
    num_right = sum(luck.random() < PASS_RATES[index] for _ in range(NUM_GENERATIONS))
    return GroupReport(
        index=index,
        flat=num_right in (0, NUM_GENERATIONS),
        reward=num_right / NUM_GENERATIONS,
        correct=num_right == NUM_GENERATIONS,
        num_tokens=TOKENS_PER_GROUP,
    )


def flags(reports: list[GroupReport]) -> list[bool]:
    return [not report.flat for report in reports]


def test_pools_with_dynamic_sampling_give_over_twice_as_many_useful_groups_per_token():
    # Plain: 60 of 400 prompts, useful with probability 1 - p^8 - (1 - p)^8 = 0.57, 0.94, 0.99, 0.94: 0.15 * 0.86 = 0.13 of all groups.
    # Pools: the useful pool's share of 0.4 times 0.86 is 0.34, and 0.5 * 0.13 of the unseen ones comes on top: 0.41, 3 times as much.
    plain = play(SignalConfig(), num_steps=75, counted_from=25)
    pooled = play(SignalConfig(prompt_pools=True, dynamic_sampling=True), num_steps=75, counted_from=25)
    assert 0.10 < plain.num_useful / plain.num_groups < 0.16
    assert pooled.num_useful / pooled.num_groups > 2.0 * plain.num_useful / plain.num_groups


def test_it_pays_from_the_first_step_on():
    # Before anything is known of the prompts pools sample as plain sampling does; they must win soon enough to make up for it.
    plain = play(SignalConfig(), num_steps=50, counted_from=0)
    pooled = play(SignalConfig(prompt_pools=True), num_steps=50, counted_from=0)
    assert pooled.num_useful / pooled.num_groups > 2.0 * plain.num_useful / plain.num_groups


def test_dynamic_sampling_fills_batches_that_pools_alone_leave_half_empty():
    pooled = play(SignalConfig(prompt_pools=True), num_steps=60, counted_from=30)
    filled = play(SignalConfig(prompt_pools=True, dynamic_sampling=True), num_steps=60, counted_from=30)
    assert filled.num_useful > 1.2 * pooled.num_useful
    assert filled.num_full > 20 > 5 > pooled.num_full
