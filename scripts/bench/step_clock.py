"""The clock that both sides of a speed comparison carry: seconds by phase, wall and CPU, and the peak memory of the update, step by step.

A phase inside another is taken off the outer one. "update" is forward and backward pass of the loss, without the optimizer's own step.

Memory is what tensors hold, not the process: on a GPU torch's own peak, on a CPU the running sum of the allocations and releases that
torch's profiler records in one step (which is slow, so that step's times mean nothing). The resident set of the process would also
hold what the C library keeps of earlier phases.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from vlmpost.training.callbacks import memory_bytes
from vlmpost.training.exact import PhaseClock

UPDATE = "update"
REST = "optimizer and rest"
"""What no phase holds: the optimizer's step, the data loader, logging."""


class StepClock(PhaseClock):
    """`PhaseClock` that also counts CPU seconds and memory and keeps a row for each step.

    Args:
        memory_step: The step, from 1, in which a CPU's allocations are recorded; None: in none.
    """

    def __init__(self, *, memory_step: int | None = None) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []  # Any: numbers, and numbers by phase
        self._memory_step = memory_step
        self._open: list[str] = [REST]
        self._wall: dict[str, float] = defaultdict(float)
        self._cpu: dict[str, float] = defaultdict(float)
        self._last = _now()
        self._meter: _Meter | None = None
        self._update_bytes: int | None = None
        self._peak_bytes = 0

    @property
    def inside(self) -> str:
        """The innermost open phase."""
        return self._open[-1]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time of the block to `name`."""
        self._turn([*self._open, name])
        try:
            yield
        finally:
            self._turn(self._open[:-1])

    def drain(self) -> dict[str, float]:
        """The wall seconds by phase since the last call, which begin a new row."""
        self._turn(self._open)
        seconds = dict(self._wall)
        self.rows.append(
            {"wall": sum(seconds.values()), "cpu": sum(self._cpu.values()), "phases": seconds, "phases_cpu": dict(self._cpu)}
            | {"update_bytes": self._update_bytes, "peak_bytes": self._peak(), "recorded": self._records}
        )
        self._wall, self._cpu, self._update_bytes = defaultdict(float), defaultdict(float), None
        self._peak_bytes = 0
        if _on_gpu():
            torch.cuda.reset_peak_memory_stats()
        return {name: value for name, value in seconds.items() if name != REST}

    def note(self, **figures: object) -> None:
        """Adds figures to the last row."""
        self.rows[-1].update(figures)

    def write(self, path: Path) -> None:
        """The rows as JSON."""
        path.write_text(json.dumps(self.rows), encoding="utf-8")

    def _turn(self, names: list[str]) -> None:
        """Gives the time since the last turn to the phase that was open, and opens another."""
        self._synchronize()
        now = _now()
        self._wall[self.inside] += now[0] - self._last[0]
        self._cpu[self.inside] += now[1] - self._last[1]
        if self._meter is not None and names[-1] != UPDATE:
            self._update_bytes = max(self._update_bytes or 0, self._meter.stop())
            self._meter = None
        if self._meter is None and names[-1] == UPDATE and (_on_gpu() or self._records):
            self._peak_bytes = self._peak()
            self._meter = _Meter()
        self._open = list(names)
        self._last = _now()

    @property
    def _records(self) -> bool:
        """Whether a CPU's allocations are recorded in this step, which makes it slow."""
        return self._memory_step == len(self.rows) + 1 and not _on_gpu()

    def _peak(self) -> int:
        """The most bytes held in this step: on a GPU by tensors; on a CPU by the process, since it began."""
        return max(self._peak_bytes, memory_bytes())

    def _synchronize(self) -> None:
        if _on_gpu():
            torch.cuda.synchronize()


class _Meter:
    """The most bytes that tensors hold from its making to `stop`, above those at its making."""

    def __init__(self) -> None:
        self._before = 0
        self._profile: profile | None = None
        if _on_gpu():
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
            self._profile.start()

    def stop(self) -> int:
        if self._profile is None:
            return torch.cuda.max_memory_allocated() - self._before
        self._profile.stop()
        assert self._profile.profiler is not None and self._profile.profiler.kineto_results is not None, "the profiler has run"
        events = [event for event in self._profile.profiler.kineto_results.events() if event.name() == "[memory]"]
        events.sort(key=lambda event: event.start_ns())
        return max(accumulate((event.nbytes() for event in events), initial=0))


def split_generation(clock: StepClock) -> None:
    """Makes generation by any Qwen2.5-VL three phases: "vision", "prefill", and "generate", which is the decoding that is left."""
    from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as family

    _timed_inside(clock, family.Qwen2_5_VisionTransformerPretrainedModel, "vision", _always)
    _timed_inside(clock, family.Qwen2_5_VLTextModel, "prefill", _reads_several_tokens)


def _timed_inside(clock: StepClock, kind: type[torch.nn.Module], name: str, applies: Callable[..., bool]) -> None:
    """Counts this module's forward as a phase of its own where it runs inside "generate"."""
    plain = kind.forward

    def forward(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:  # Any: the module's own arguments and result
        if clock.inside != "generate" or not applies(**kwargs):
            return plain(self, *args, **kwargs)
        with clock.phase(name):
            return plain(self, *args, **kwargs)

    kind.forward = forward  # type: ignore[method-assign]


def _always(**fields: Any) -> bool:  # noqa: ARG001  # Any: as the module, here and below
    return True


def _reads_several_tokens(inputs_embeds: torch.Tensor | None = None, **fields: Any) -> bool:  # noqa: ARG001
    return inputs_embeds is not None and inputs_embeds.shape[1] > 1


def _on_gpu() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_initialized()


def _now() -> tuple[float, float]:
    """Wall and CPU seconds."""
    return time.perf_counter(), time.process_time()
