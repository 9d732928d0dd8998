"""What can be wrong between the options of `vlmpost eval`, said before anything is read or loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmpost.errors import ConfigError

if TYPE_CHECKING:
    from vlmpost.rewards import RewardSet


def check_questions(data: Sequence[str], task: str | None, *, for_task: Mapping[str, object], for_data: Mapping[str, object]) -> None:
    """Says whether questions are named once, and only with the options that go with them.

    Args:
        data: The `--data` arguments.
        task: The `--task` argument.
        for_task: Flag -> value of the options that only go with `--task`; empty ones were not given.
        for_data: The same for `--data`.

    Raises:
        ConfigError: Both or neither are given, or an option goes with the other one.
    """
    if bool(data) == (task is not None):
        given = "both are given" if data else "neither is"
        raise ConfigError(f"Give questions by --data (asked once each) or by --task (played, in its variants); {given}.")
    kind, other, wrong = ("--data", "--task", for_task) if data else ("--task", "--data", for_data)
    flags = [flag for flag, value in wrong.items() if value not in (None, [], ())]
    if flags:
        raise ConfigError(f"{', '.join(flags)}: only with {other}; the questions are given by {kind}.")


def check_levels(write_levels: Path | None, *, num_samples: int) -> None:
    """Says before the work that it would be too little.

    Raises:
        ConfigError: Levels are asked for from too few samples.
    """
    from vlmpost.evaluation.levels import MIN_RUNS, REFERENCE_RUNS

    if write_levels is not None and num_samples < MIN_RUNS:
        message = f"--write-levels needs at least {MIN_RUNS} samples per question, got {num_samples}"
        raise ConfigError(f"{message}: add --num-samples {REFERENCE_RUNS}.")


def built_rewards(names: Sequence[str], *, max_completion_length: int) -> RewardSet | None:
    """The rewards to score each answer by; None where none is named.

    Raises:
        ConfigError: A reward is wrong, or values all answers to a question together.
    """
    from vlmpost import rewards
    from vlmpost.config.schema import RewardTermConfig

    if not names:
        return None
    built = rewards.build([RewardTermConfig(name=name) for name in names], max_completion_length=max_completion_length)
    if built.per_group:
        raise ConfigError("--reward: a reward that values all answers to a question together is for training and `vlmpost reward score`.")
    return built
