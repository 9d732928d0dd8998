"""How good a model is: samples per question, episodes of tasks, verdicts kept one by one, accuracy with honest intervals, levels."""

from __future__ import annotations

from vlmpost.evaluation.figures import EpisodeFigures, episode_figures
from vlmpost.evaluation.levels import assign_levels, join_levels, read_levels, same_runs, write_levels
from vlmpost.evaluation.results import EvalResult, Records, read_result, summarize
from vlmpost.evaluation.statistics import Difference, Estimate, level_of, paired_difference, paired_ratio, ratio, wilson

__all__ = [
    "Difference",
    "EpisodeFigures",
    "Estimate",
    "EvalResult",
    "Records",
    "assign_levels",
    "episode_figures",
    "evaluate",
    "join_levels",
    "level_of",
    "paired_difference",
    "paired_ratio",
    "ratio",
    "read_levels",
    "read_result",
    "same_runs",
    "summarize",
    "wilson",
    "write_levels",
]


def __getattr__(name: str) -> object:
    """`evaluate` comes with torch, so it is imported when it is asked for."""
    if name == "evaluate":
        from vlmpost.evaluation.runner import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
