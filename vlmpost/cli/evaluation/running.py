"""Loads the model of an evaluation, runs its parts one after another, and says how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmpost.cli.evaluation.questions import Part
    from vlmpost.config.schema import EpisodeConfig, GenerationConfig, ModelConfig
    from vlmpost.evaluation import EvalResult
    from vlmpost.evaluation.runner import Progress
    from vlmpost.rewards import RewardSet


@dataclass(frozen=True)
class Sampling:
    """How each part's answers are made and scored."""

    generation: GenerationConfig
    num_samples: int
    seed: int
    batch_size: int = 64
    rewards: RewardSet | None = None
    instruction: str | None = None
    greedy: bool = False


def run_parts(
    model: ModelConfig,
    parts: Sequence[Part],
    sampling: Sampling,
    *,
    episode: EpisodeConfig | None = None,
    own_tasks: Collection[str] = (),
) -> list[EvalResult]:
    """Returns the result of each part; the model is loaded once.

    Raises:
        UserError: As `evaluation.runner.evaluate` and `models.loader.load`.
    """
    from vlmpost.evaluation.runner import evaluate
    from vlmpost.models import loader

    loaded = loader.load(model, purpose="eval")
    return [
        evaluate(
            loaded,
            part.examples,
            generation=sampling.generation,
            num_samples=sampling.num_samples,
            seed=sampling.seed,
            out_path=part.out_path,
            batch_size=sampling.batch_size,
            rewards=sampling.rewards,
            instruction=sampling.instruction,
            greedy=sampling.greedy,
            name=part.name,
            progress=_progress("answers" if episode is None else f"episodes ({part.name})"),
            episode=episode,
            own_tasks=own_tasks,
        )
        for part in parts
    ]


def _progress(what: str) -> Progress:
    """Says how far it is on standard error: in place on a terminal, else a line every ten seconds."""
    start = said = time.monotonic()
    on_terminal = sys.stderr.isatty()

    def say(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if not on_terminal and now - said < 10.0 and done < total:
            return
        said = now
        print(
            f"evaluated {done}/{total} {what} in {now - start:.0f} s", file=sys.stderr, end="\r" if on_terminal and done < total else "\n"
        )

    return say
