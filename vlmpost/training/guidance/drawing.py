r"""Whether a step is on rollouts or on traces, by chance: the steps of SASR.

The run begins with `num_warmup_steps` steps on traces; $G$ is the mean norm of their gradients. Each later step is on traces with
probability $g / (g + \gamma G)$, $g$ the gradient norm of the last step on traces: the less they teach, the rarer they are.

Source: SASR, arXiv 2505.13026, whose abstract names gradient norms and the divergence from the original distribution; the formula is
from memory, and not verified against paper or code.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from vlmpost.config.guidance import StepsConfig
from vlmpost.errors import ConfigError


def trace_probability(last_norm: float, warmup_norm: float, gamma: float) -> float:
    """Returns the probability that a step is on traces; 0 once their gradient is 0.

    Args:
        last_norm: Gradient norm of the last step on traces, g.
        warmup_norm: Mean gradient norm of the warm-up, G.
        gamma: How much the warm-up weighs.

    >>> trace_probability(1.0, 3.0, 1.0)
    0.25
    """
    return last_norm / (last_norm + gamma * warmup_norm) if last_norm else 0.0


class StepDraw:
    """Draws the kind of each step; the same on every process that is told the same norms.

    Args:
        config: steps.kind drawn.
        seed: The run's.

    Raises:
        ConfigError: There is no warm-up, so nothing to compare a gradient with.
    """

    def __init__(self, config: StepsConfig, *, seed: int) -> None:
        if config.num_warmup_steps < 1:
            raise ConfigError(
                "guidance.steps.kind is drawn, which compares gradients with those of a warm-up on traces, and "
                "guidance.steps.num_warmup_steps is 0. Give 1 or more."
            )
        self._num_warmup_steps, self._gamma, self._seed = config.num_warmup_steps, config.gamma, seed
        self._warmup_sum, self._num_recorded = 0.0, 0
        self._last_norm: float | None = None

    def probability(self, step: int) -> float:
        """Returns the probability that a step is on traces: 1 in the warm-up, which goes on until a step had traces.

        Args:
            step: Optimizer steps done, from 0.
        """
        if step < self._num_warmup_steps or self._last_norm is None:
            return 1.0
        return trace_probability(self._last_norm, self._warmup_sum / self._num_recorded, self._gamma)

    def is_on_traces(self, step: int) -> bool:
        """Returns whether a step is on traces, drawn from the seed and the step."""
        return random.Random(f"steps/{self._seed}/{step}").random() < self.probability(step)

    def record(self, norm: float, *, step: int) -> None:
        """Notes the gradient norm of a step on traces, before clipping, of all processes together; a step without any has none."""
        if step < self._num_warmup_steps or not self._num_recorded:
            self._warmup_sum += norm
            self._num_recorded += 1
        self._last_norm = norm

    def state_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Returns the norms."""
        return {"warmup_sum": self._warmup_sum, "num_recorded": self._num_recorded, "last_norm": self._last_norm}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: JSON values
        """Goes on from a state of `state_dict`."""
        self._warmup_sum, self._num_recorded = state["warmup_sum"], state["num_recorded"]
        self._last_norm = state["last_norm"]
