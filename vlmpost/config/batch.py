"""Batch arithmetic: what the user states (prompts, group) to what TRL wants (micro-batch, accumulation).

In RL one batch of rollouts is prompts_per_step x num_generations completions, shared by num_mini_batches optimizer steps. TRL counts
*completions* in per_device_train_batch_size, wants the batch of rollouts to be a multiple of num_generations (it is, by construction)
and lets a group be spread over micro-batches and processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vlmpost.config.guidance import GuidanceConfig
from vlmpost.config.schema import AlgorithmConfig, RlTrainingConfig, SftTrainingConfig, TrainingConfig
from vlmpost.errors import ConfigError

MAX_DEFAULT_MICRO_BATCH = 64
"""Sequences in one forward pass when the recipe leaves it open."""


@dataclass(frozen=True)
class BatchPlan:
    """How one optimizer step is cut into forward passes."""

    per_device_train_batch_size: int
    """Sequences in one forward pass of one process; completions in RL."""
    gradient_accumulation_steps: int
    """Forward passes of one process behind one optimizer step."""
    world_size: int
    """Processes."""
    kind: Literal["sft", "rl"] = "sft"
    """Whether the sequences are examples or sampled completions."""
    num_generations: int = 1
    """Completions per prompt; 1 in SFT."""
    num_mini_batches: int = 1
    """Optimizer steps that share one batch of rollouts."""
    num_iterations: int = 1
    """Passes over one batch of rollouts."""
    num_trace_steps: int = 0
    """Optimizer steps on stored traces after those on a batch of rollouts."""

    @property
    def cycle_steps(self) -> int:
        """Optimizer steps that belong to one batch of rollouts."""
        return self.num_mini_batches * self.num_iterations + self.num_trace_steps

    @property
    def sequences_per_optimizer_step(self) -> int:
        """Sequences behind one optimizer step, all processes together."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps * self.world_size

    @property
    def generation_batch_size(self) -> int:
        """Completions sampled together, all processes together."""
        return self.sequences_per_optimizer_step * self.num_mini_batches

    @property
    def steps_per_generation(self) -> int:
        """Forward passes of one process over one batch of rollouts."""
        return self.gradient_accumulation_steps * self.num_mini_batches

    @property
    def prompts_per_step(self) -> int:
        """Prompts (RL) or examples (SFT) taken from the data together, all processes together."""
        return self.generation_batch_size // self.num_generations

    def num_steps(self, *, num_examples: int, num_train_epochs: float, max_steps: int | None) -> int:
        """Optimizer steps of a run over `num_examples` examples.

        RL leaves out the last prompts of a pass that do not fill a batch of rollouts, as TRL's sampler does; SFT keeps a short last step.

        >>> BatchPlan(8, 2, 1).num_steps(num_examples=100, num_train_epochs=1.0, max_steps=None)
        7
        """
        if max_steps is not None:
            return max_steps
        if self.kind == "sft":
            return math.ceil(num_train_epochs * math.ceil(num_examples / self.prompts_per_step))
        return math.ceil(num_train_epochs * (num_examples // self.prompts_per_step) * self.cycle_steps)

    def lines(self) -> list[str]:
        """The arithmetic in words, one line each."""
        cut = (
            f"{self.sequences_per_optimizer_step} = {self.per_device_train_batch_size} in one forward pass"
            f" x {self.gradient_accumulation_steps} accumulated x {self.world_size} process{'es' if self.world_size > 1 else ''}"
        )
        if self.kind == "sft":
            return [f"examples per optimizer step   {cut}"]
        each = f"{self.num_generations} completion{'s' if self.num_generations > 1 else ''}"
        rollouts = f"{self.generation_batch_size} = {self.prompts_per_step} prompts x {each}"
        uses = self.num_mini_batches * self.num_iterations
        parts = f"{self.num_mini_batches} mini-batch{'es' if self.num_mini_batches > 1 else ''}"
        passes = f", {self.num_iterations} passes" if self.num_iterations > 1 else ""
        traces = ", then one on traces" if self.num_trace_steps else ""
        return [
            f"completions sampled together  {rollouts}",
            f"completions per optimizer step {cut}",
            f"optimizer steps per rollout   {uses} ({parts}{passes}){traces}",
        ]


def plan_sft(training: SftTrainingConfig, *, world_size: int) -> BatchPlan:
    """How SFT cuts `examples_per_step` into forward passes.

    Raises:
        ConfigError: The examples do not divide among the processes, or the micro-batch does not divide a process's share.

    >>> plan_sft(SftTrainingConfig(examples_per_step=96), world_size=1).per_device_train_batch_size
    48
    """
    total = training.examples_per_step
    micro, accumulation = _cut(total, training, world_size=world_size, what="examples_per_step", unit="example", times=1)
    return BatchPlan(per_device_train_batch_size=micro, gradient_accumulation_steps=accumulation, world_size=world_size)


def plan_rl(
    training: RlTrainingConfig, algorithm: AlgorithmConfig, *, world_size: int, guidance: GuidanceConfig | None = None
) -> BatchPlan:
    """How RL cuts `prompts_per_step` times `num_generations` completions into forward passes.

    Raises:
        ConfigError: The completions of an optimizer step do not divide among the processes, or the micro-batch does not divide a
            process's share.

    >>> plan = plan_rl(RlTrainingConfig(prompts_per_step=16, num_mini_batches=2), AlgorithmConfig(num_generations=8), world_size=1)
    >>> plan.per_device_train_batch_size, plan.steps_per_generation
    (64, 2)
    """
    prompts, parts = training.prompts_per_step, training.num_mini_batches
    if prompts % parts:
        raise ConfigError(
            f"training.num_mini_batches: prompts_per_step ({prompts}) is not a multiple of it; got {parts}, "
            f"choose one of {_divisors_text(prompts)}."
        )
    total = prompts // parts * algorithm.num_generations
    micro, accumulation = _cut(
        total, training, world_size=world_size, what="prompts_per_step", unit="completion", times=algorithm.num_generations
    )
    return BatchPlan(
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        world_size=world_size,
        kind="rl",
        num_generations=algorithm.num_generations,
        num_mini_batches=parts,
        num_iterations=algorithm.num_iterations,
        num_trace_steps=int(guidance is not None and guidance.steps.kind == "alternate"),
    )


def _cut(total: int, training: TrainingConfig, *, world_size: int, what: str, unit: str, times: int) -> tuple[int, int]:
    """Micro-batch and accumulation of one process for `total` sequences per optimizer step."""
    if total % world_size:
        step = world_size // math.gcd(world_size, times)
        choices = f"a multiple of {step}" if unit == "example" else f"prompts_per_step / num_mini_batches a multiple of {step}"
        raise ConfigError(
            f"training.{what}: {total} {unit}s per optimizer step do not divide among {world_size} processes; "
            f"make {choices}, or start one of {_divisors_text(total)} processes."
        )
    share = total // world_size
    micro = training.per_device_train_batch_size
    if micro is None:
        micro = max(divisor for divisor in _divisors(share) if divisor <= MAX_DEFAULT_MICRO_BATCH)
    elif share % micro:
        raise ConfigError(
            f"training.per_device_train_batch_size: {share} {unit}s of an optimizer step fall to each process, and {micro} does not "
            f"divide {share}; choose one of {_divisors_text(share)}, or leave it out."
        )
    return micro, share // micro


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def _divisors_text(number: int) -> str:
    return ", ".join(str(divisor) for divisor in _divisors(number))
