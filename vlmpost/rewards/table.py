"""The rewards that come with vlmpost, by name: the function, its presets, and what its parameters must agree on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any

from vlmpost.config.user_code import find_object
from vlmpost.errors import ConfigError
from vlmpost.rewards import (
    box_sets,
    boxes,
    correctness,
    formats,
    general_points,
    judged,
    language,
    length_settings,
    lengths,
    navigation,
    noisy,
    numeric,
    permutation,
    repetition,
    silver,
    texts,
    verifier,
)
from vlmpost.rewards.sums import SUMS

RewardFunction = Callable[..., Any]  # Any: a number, None, a value per token, or for a group reward one of these per completion
Preset = Mapping[str, object]
"""Parameter name -> value, as JSON."""
Check = Callable[[Mapping[str, object], int | None], Sequence[str]]
"""(all arguments, the recipe's max_completion_length) -> what is wrong with them together, one clause per fault."""


@dataclass(frozen=True, slots=True)
class Reward:
    """One reward of the table, or a user's."""

    function: RewardFunction
    presets: Mapping[str, Preset] = field(default_factory=dict)
    """Preset name -> the parameters it stands for, each named after its source."""
    check: Check | None = None

    @property
    def meaning(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]


def _of(module: ModuleType, name: str, check: Check) -> Reward:
    """A reward of a module that keeps the presets of several in one mapping."""
    return Reward(getattr(module, name), module.PRESETS[name], check)


TABLE: Mapping[str, Reward] = MappingProxyType(
    {
        "accuracy": Reward(correctness.accuracy, check=correctness.check_profile),
        "box_average_precision": _of(box_sets, "box_average_precision", box_sets.check_sets),
        "box_confidence": _of(box_sets, "box_confidence", box_sets.check_sets),
        "box_overlap": Reward(boxes.box_overlap, boxes.OVERLAP_PRESETS, boxes.check_overlap),
        "box_set_iou": _of(box_sets, "box_set_iou", box_sets.check_sets),
        "box_set_score": _of(box_sets, "box_set_score", box_sets.check_sets),
        "boxed_format": Reward(formats.boxed_format),
        "classic_length": Reward(lengths.classic, length_settings.CLASSIC, length_settings.check_classic),
        "cosine_length": Reward(lengths.cosine, length_settings.COSINE, length_settings.check_cosine),
        "format": Reward(formats.format_think, formats.FORMAT_THINK),
        "format_tags": Reward(formats.format_tags, formats.FORMAT_TAGS),
        "general_points": Reward(general_points.general_points, general_points.PRESETS),
        "judged_accuracy": Reward(judged.judged_accuracy, check=correctness.check_profile),
        "language": Reward(language.language, language.LANGUAGE),
        "length_group": Reward(lengths.length_group, length_settings.LENGTH_GROUP, length_settings.check_length_group),
        "length_scaled": Reward(lengths.length_scaled, length_settings.LENGTH_SCALED, length_settings.check_length_scaled),
        "mean_relative_accuracy": _of(numeric, "mean_relative_accuracy", numeric.check_numeric),
        "navigation": Reward(navigation.navigation, navigation.NAVIGATION),
        "ngram_repetition": Reward(repetition.ngram_share, repetition.NGRAM_SHARE, repetition.check_ngram_share),
        "ngram_repetition_per_token": Reward(repetition.ngram_tokens, repetition.NGRAM_TOKENS, repetition.check_ngram_tokens),
        "ngram_repetition_total": Reward(repetition.ngram_total, repetition.NGRAM_TOTAL, repetition.check_ngram_tokens),
        "noisy_accuracy": Reward(noisy.noisy_accuracy, check=noisy.check_noisy),
        "numeric_closeness": _of(numeric, "numeric_closeness", numeric.check_numeric),
        "numeric_rounded": _of(numeric, "numeric_rounded", numeric.check_numeric),
        "numeric_within": _of(numeric, "numeric_within", numeric.check_numeric),
        "permutation": _of(permutation, "permutation", permutation.check_permutation),
        "point_in_box": Reward(boxes.point_in_box, boxes.POINT_PRESETS, boxes.check_point),
        "reasoning_steps": Reward(formats.reasoning_steps, formats.REASONING_STEPS, formats.check_reasoning_steps),
        "repeated_lines": Reward(repetition.repeated_lines, repetition.REPEATED_LINES, repetition.check_repeated_lines),
        "silver_accuracy": Reward(silver.silver_accuracy, silver.PRESETS, silver.check_silver),
        "soft_overlong": Reward(lengths.soft_overlong, length_settings.SOFT_OVERLONG, length_settings.check_soft_overlong),
        "tag_count": Reward(formats.tag_count, formats.TAG_COUNT),
        "text_match": _of(texts, "text_match", texts.check_texts),
        "text_similarity": _of(texts, "text_similarity", texts.check_texts),
        "transcription": _of(texts, "transcription", texts.check_texts),
        "verifier": Reward(verifier.verifier, verifier.VERIFIER, verifier.check_verifier),
        "verifier_per_turn": Reward(verifier.verifier_per_turn),
    }
)


def names() -> tuple[str, ...]:
    """Returns the names of the rewards that come with vlmpost, sorted."""
    return tuple(sorted(TABLE))


def find(name: str) -> Reward:
    """Returns the reward that `name` stands for; a user's module is imported.

    Raises:
        ConfigError: There is no such reward, file, module or function, or the user's module fails to import.
    """
    if name in TABLE:
        return TABLE[name]
    if ":" in name:
        return Reward(find_object(name, what="Reward", kind="function"))
    near = difflib.get_close_matches(name, (*names(), *SUMS), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"There is no reward {name!r}.{hint} Rewards: {', '.join(names())}; sums of rewards: {', '.join(SUMS)}; "
        "yours: package.module:function or path/to/file.py:function."
    )
