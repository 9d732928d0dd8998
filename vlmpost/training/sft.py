"""SFT on TRL's trainer: ours are the order of the examples and exact resume.

The loss is cross-entropy on the tokens of the completion, the end-of-turn token included.

Departure from TRL 1.16: it is divided by the completion tokens of the whole step, over all forward passes and processes. TRL does so only
for model classes that say they accept a token count; most VLM classes say no, and get the mean of the means of their forward passes, so
that a long answer's tokens count less and the result depends on the number of processes.
"""

from __future__ import annotations

from typing import Any

from trl import SFTTrainer

from vlmpost.training.exact import ExactTrainer
from vlmpost.training.order import StepSampler


class SupervisedTrainer(ExactTrainer, SFTTrainer):
    """`SFTTrainer` with an order that does not depend on the number of processes.

    Args:
        examples_per_step: Examples behind one optimizer step, all processes together.
    """

    def __init__(self, *, examples_per_step: int, **kwargs: Any) -> None:  # Any: the arguments of ExactTrainer and SFTTrainer
        super().__init__(**kwargs)
        self.model_accepts_loss_kwargs = True  # TRL computes the loss itself, so the model never sees the count
        self.order = StepSampler(len(self.train_dataset), examples_per_step=examples_per_step, seed=self.args.seed)

    def _get_train_sampler(self, train_dataset: Any = None) -> StepSampler:  # Any: as transformers
        return self.order
