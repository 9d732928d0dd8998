"""What the processes of a run do together, on an accelerator."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from vlmpost.training.rollouts.batch import Sums


class Processes:
    """All processes of a run; every method is called by all of them at the same place.

    Args:
        accelerator: The trainer's.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    @property
    def count(self) -> int:
        """How many they are."""
        return int(self._accelerator.num_processes)

    @property
    def index(self) -> int:
        """Which this one is."""
        return int(self._accelerator.process_index)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows of all processes, in their order; each has equally many."""
        gathered: torch.Tensor = self._accelerator.gather(rows)
        return gathered

    def gather_uneven(self, numbers_N: torch.Tensor, *, padding: float) -> torch.Tensor:
        """The numbers of all processes, however many each has; `padding` is none of them."""
        gathered = self.gather(self._accelerator.pad_across_processes(numbers_N, pad_index=padding))
        return gathered[gathered != padding]

    def gather_objects(self, objects: list[Any]) -> list[Any]:
        """The objects of all processes, in their order."""
        gathered: list[Any] = gather_object(objects)
        return gathered

    def sum(self, numbers: torch.Tensor) -> torch.Tensor:
        """The sum over the processes."""
        summed: torch.Tensor = self._accelerator.reduce(numbers, reduction="sum")
        return summed

    def means(self, sums: Sums) -> dict[str, float]:
        """The quotients of sums and counts over all processes; a figure that nobody counted is left out."""
        local = torch.tensor(list(sums.values()), dtype=torch.float64, device=self._accelerator.device)
        total = self.sum(local) if sums else local
        return {name: value / count for name, (value, count) in zip(sums, total.tolist(), strict=True) if count}

    def anywhere(self, here: bool) -> bool:
        """Whether it is so on any process."""
        return bool(self.sum(torch.tensor([here], dtype=torch.int32, device=self._accelerator.device)).item())

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers."""
        return int(self.gather(torch.tensor([number], device=self._accelerator.device)).max())
