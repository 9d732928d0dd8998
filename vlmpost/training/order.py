"""The order in which examples are seen: the same for one process and many, before and after a resume.

Each sampler knows its epoch and nothing else changes inside it, so that a resumed run picks up the order where it stopped. In the
first epoch both give the order that TRL 1.16 gives for the same seed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class StepSampler(Sampler[int]):
    """Indices for SFT: each epoch a permutation, filled up from its beginning to whole steps.

    Args:
        num_examples: Size of the dataset.
        examples_per_step: Examples behind one optimizer step, all processes together.
        seed: Seed of the order.
    """

    def __init__(self, num_examples: int, *, examples_per_step: int, seed: int) -> None:
        assert num_examples >= examples_per_step, f"{num_examples} examples, {examples_per_step} per step"
        self.num_examples = num_examples
        self.num_filled = -num_examples % examples_per_step
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_examples + self.num_filled

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        indices = torch.randperm(self.num_examples, generator=generator).tolist()
        yield from indices + indices[: self.num_filled]


class PromptSampler(Sampler[int]):
    """Indices for RL: each prompt `num_generations` times in a row, each batch of prompts once per pass over it.

    Prompts that do not fill a batch are left out of the epoch, others in each epoch.

    Args:
        num_examples: Size of the dataset.
        prompts_per_step: Prompts rolled out together.
        num_generations: Completions per prompt.
        num_repeats: How often TRL's loader asks for one batch of prompts.
        seed: Seed of the order.
    """

    def __init__(self, num_examples: int, *, prompts_per_step: int, num_generations: int, num_repeats: int, seed: int) -> None:
        assert num_examples >= prompts_per_step, f"{num_examples} examples, {prompts_per_step} per step"
        self.num_examples = num_examples
        self.prompts_per_step = prompts_per_step
        self.num_generations = num_generations
        self.num_repeats = num_repeats
        self.seed = seed
        self.epoch = 0

    @property
    def num_batches(self) -> int:
        """Batches of prompts in one epoch."""
        return self.num_examples // self.prompts_per_step

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_batches * self.prompts_per_step * self.num_generations * self.num_repeats

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.epoch):  # TRL draws one permutation per epoch from one generator
            torch.randperm(self.num_examples, generator=generator)
        indices = torch.randperm(self.num_examples, generator=generator).tolist()
        for batch in range(self.num_batches):
            prompts = indices[batch * self.prompts_per_step : (batch + 1) * self.prompts_per_step]
            for _ in range(self.num_repeats):
                for index in prompts:
                    yield from [index] * self.num_generations
