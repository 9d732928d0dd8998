"""The batch arithmetic, by hand and for every size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.config.batch import plan_rl, plan_sft
from vlmpost.config.schema import AlgorithmConfig, RlTrainingConfig, SftTrainingConfig
from vlmpost.errors import ConfigError


def test_the_default_recipe_is_128_completions_in_two_passes() -> None:
    plan = plan_rl(RlTrainingConfig(), AlgorithmConfig(), world_size=1)
    # 16 prompts x 8 completions = 128; at most 64 in one pass, so 2 passes.
    assert (plan.generation_batch_size, plan.per_device_train_batch_size, plan.gradient_accumulation_steps) == (128, 64, 2)
    assert plan.steps_per_generation == 2
    assert plan.prompts_per_step == 16


def test_mini_batches_and_processes_divide_the_step() -> None:
    training = RlTrainingConfig(prompts_per_step=8, num_mini_batches=2, per_device_train_batch_size=4)
    plan = plan_rl(training, AlgorithmConfig(num_generations=8, num_iterations=3), world_size=2)
    # 64 completions; 32 per optimizer step; 16 per process; 4 passes of 4; 8 passes over the whole batch.
    assert plan.gradient_accumulation_steps == 4
    assert plan.steps_per_generation == 8
    assert plan.generation_batch_size == 64
    # 20 prompts make 2 batches of rollouts (4 prompts are left out) of 2 mini-batches, 3 times each.
    assert plan.num_steps(num_examples=20, num_train_epochs=1.0, max_steps=None) == 12
    assert plan.num_steps(num_examples=20, num_train_epochs=1.0, max_steps=5) == 5


def test_sft_keeps_a_short_last_step() -> None:
    plan = plan_sft(SftTrainingConfig(examples_per_step=32), world_size=1)
    assert (plan.per_device_train_batch_size, plan.gradient_accumulation_steps) == (32, 1)
    assert plan.num_steps(num_examples=100, num_train_epochs=1.5, max_steps=None) == 6  # 4 steps an epoch


def test_a_micro_batch_that_does_not_divide_lists_those_that_do() -> None:
    training = RlTrainingConfig(prompts_per_step=2, per_device_train_batch_size=5)
    with pytest.raises(ConfigError, match=r"12 completions .* 5 does not divide 12; choose one of 1, 2, 3, 4, 6, 12, or leave it out"):
        plan_rl(training, AlgorithmConfig(num_generations=6), world_size=1)


def test_processes_that_do_not_divide_the_step_list_what_would() -> None:
    with pytest.raises(
        ConfigError, match=r"examples_per_step: 32 examples .* 3 processes; make a multiple of 3, or start one of 1, 2, 4, 8, 16, 32"
    ):
        plan_sft(SftTrainingConfig(), world_size=3)
    with pytest.raises(
        ConfigError, match=r"prompts_per_step: 128 completions .* 3 processes; make .* a multiple of 3, or start one of 1, 2, 4"
    ):
        plan_rl(RlTrainingConfig(), AlgorithmConfig(), world_size=3)


def test_mini_batches_that_do_not_divide_the_prompts_list_what_would() -> None:
    with pytest.raises(ConfigError, match=r"prompts_per_step \(6\) is not a multiple of it; got 4, choose one of 1, 2, 3, 6"):
        plan_rl(RlTrainingConfig(prompts_per_step=6, num_mini_batches=4), AlgorithmConfig(), world_size=1)


def test_the_lines_state_the_products() -> None:
    lines = plan_rl(RlTrainingConfig(prompts_per_step=4, num_mini_batches=2), AlgorithmConfig(num_generations=8), world_size=1).lines()
    assert lines == [
        "completions sampled together  32 = 4 prompts x 8 completions",
        "completions per optimizer step 16 = 16 in one forward pass x 1 accumulated x 1 process",
        "optimizer steps per rollout   2 (2 mini-batches)",
    ]


def test_one_completion_for_each_prompt_is_rl_and_not_sft() -> None:
    algorithm = AlgorithmConfig(kind="ppo", num_generations=1, num_iterations=2)
    plan = plan_rl(RlTrainingConfig(prompts_per_step=8, num_mini_batches=2), algorithm, world_size=1)
    assert (plan.kind, plan.generation_batch_size, plan.steps_per_generation) == ("rl", 8, 2)
    # 20 prompts make 2 batches of 8 (4 prompts are left out) of 2 mini-batches, 2 times each; SFT would keep the rest as a third batch.
    assert plan.num_steps(num_examples=20, num_train_epochs=1.0, max_steps=None) == 8
    assert plan.lines()[0] == "completions sampled together  8 = 8 prompts x 1 completion"
    assert plan_sft(SftTrainingConfig(examples_per_step=8), world_size=1).kind == "sft"


@given(
    prompts=st.integers(1, 40),
    generations=st.integers(1, 20),
    parts=st.integers(1, 6),
    world=st.integers(1, 8),
    micro=st.none() | st.integers(1, 70),
)
def test_a_plan_always_multiplies_to_what_the_user_stated(
    prompts: int, generations: int, parts: int, world: int, micro: int | None
) -> None:
    training = RlTrainingConfig(prompts_per_step=prompts, num_mini_batches=parts, per_device_train_batch_size=micro)
    try:
        plan = plan_rl(training, AlgorithmConfig(num_generations=generations), world_size=world)
    except ConfigError as error:
        share = prompts * generations / parts / world
        assert prompts % parts or share != int(share) or (micro is not None and share % micro), str(error)
        return
    assert plan.per_device_train_batch_size * plan.steps_per_generation * world == prompts * generations
    assert plan.gradient_accumulation_steps * parts == plan.steps_per_generation
    assert plan.generation_batch_size % generations == 0
    assert plan.prompts_per_step == prompts
    assert micro is not None or plan.per_device_train_batch_size <= 64
