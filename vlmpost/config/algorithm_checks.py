"""Faults between the keys of `algorithm` and of `signal`, each of which is right by itself.

Only keys that the recipe gives are blamed: what a preset sets beside them is not its writer's doing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vlmpost.config.presets import PRESETS
from vlmpost.config.schema import PPO_KEYS, AlgorithmConfig, SignalConfig
from vlmpost.config.yaml_text import Fault

Given = frozenset[str]
"""The keys of a section that the recipe gives."""

_GROUP_KEYS: Final = ("multi_objective_aggregation", "scale_rewards")
"""Keys that say how the completions of a group are compared."""
_RETURN_KEYS: Final = ("gamma", "kl_in", "reward_clip", "turn_gamma")
"""Keys that count where each token has a return of its own."""
_PPO_LOSSES: Final = ("bnpo", "dapo", "dr_grpo", "grpo")
_LEVELS: Final = {"luspo": "sequence", "vespo": "token"}
"""Losses that know one importance_sampling_level only."""
_POOLS: Final = ("unseen", "useful", "hard", "easy")
_SIGNAL_OWNERS: Final = {
    "max_sampling_rounds": "dynamic_sampling",
    "pool_shares": "prompt_pools",
    "replay_max_age": "replay_size",
}
"""Keys that count only where another one is on."""


def algorithm_faults(algorithm: AlgorithmConfig, *, given: Given) -> list[Fault]:
    """What is wrong between the keys of `algorithm`."""
    misplaced = list(_preset_faults(algorithm, given))
    if misplaced:
        return misplaced  # all else would follow from it
    by_kind = _ppo_faults(algorithm, given) if algorithm.kind == "ppo" else _no_critic_faults(algorithm, given)
    return [*_loss_faults(algorithm, given), *_clip_faults(algorithm, given), *by_kind]


def signal_faults(signal: SignalConfig, *, given: Given, algorithm: AlgorithmConfig | None) -> Iterator[Fault]:
    """What is wrong between the keys of `signal`.

    Args:
        signal: The section.
        given: Its keys that the recipe gives.
        algorithm: Whose groups they are; None where that section is wrong by itself.
    """
    for name, owner in _SIGNAL_OWNERS.items():
        if name in given and not getattr(signal, owner):
            switch = f"{owner}: 64" if owner == "replay_size" else f"{owner}: true"
            yield Fault(("signal", name), f"has no effect without {switch}; add that, or leave it out.")
    missing = [pool for pool in _POOLS if pool not in signal.pool_shares]
    if missing:
        yield Fault(("signal", "pool_shares"), f"must name every pool; missing: {', '.join(missing)} (0 is a share).")
    wrong = {pool: share for pool, share in signal.pool_shares.items() if not 0 <= share <= 1}
    for pool, share in wrong.items():
        yield Fault(("signal", "pool_shares", pool), f"expected a share from 0 to 1, got {share:g}.")
    if not missing and not wrong and sum(signal.pool_shares.values()) == 0:
        yield Fault(("signal", "pool_shares"), "every share is 0, so that no pool gives a prompt; give one a share.")
    comparing = algorithm is None or (algorithm.kind == "grpo" and algorithm.advantage_estimator != "reinforce_plus_plus")
    for name in ("drop_flat_groups", "dynamic_sampling", "prompt_pools", "replay_size"):
        if getattr(signal, name) and not comparing:
            why = "looks for groups whose completions earn the same, and here completions are not compared"
            yield Fault(("signal", name), f"{why}. Leave it out, or take kind: grpo with another advantage_estimator.")


def _preset_faults(algorithm: AlgorithmConfig, given: Given) -> Iterator[Fault]:
    """A preset is of one kind of algorithm; another kind would leave most of its settings without effect."""
    if algorithm.preset is None:
        return
    settings = PRESETS[algorithm.preset].settings
    for name in ("kind", "advantage_estimator"):
        if name in given and name in settings and getattr(algorithm, name) != settings[name]:
            message = f"preset {algorithm.preset} has {settings[name]}, got {getattr(algorithm, name)}; leave it out, or take another."
            yield Fault(("algorithm", name), message)


def _loss_faults(algorithm: AlgorithmConfig, given: Given) -> Iterator[Fault]:
    loss, level = algorithm.loss_type, algorithm.importance_sampling_level
    if loss in _LEVELS and level != _LEVELS[loss]:
        key = _first_given(given, "importance_sampling_level", "loss_type")
        yield Fault(("algorithm", key), f"loss_type {loss} needs importance_sampling_level: {_LEVELS[loss]}.")


def _clip_faults(algorithm: AlgorithmConfig, given: Given) -> Iterator[Fault]:
    low, high, bound = algorithm.epsilon, algorithm.epsilon_high, algorithm.delta
    if high is not None and high < low:
        if _first_given(given, "epsilon_high", "epsilon") == "epsilon_high":
            message = f"is below epsilon ({high:g} < {low:g}); the upper clip is the wider one."
            yield Fault(("algorithm", "epsilon_high"), message)
        else:
            message = f"is above epsilon_high ({low:g} > {high:g}, from preset {algorithm.preset}); give that too: it is the wider one."
            yield Fault(("algorithm", "epsilon"), message)
    if bound is not None and bound <= 1 + low:
        message = f"must be above 1 + epsilon ({1 + low:g}), got {bound:g}."
        yield Fault(("algorithm", _first_given(given, "delta", "epsilon")), f"{'' if 'delta' in given else 'delta '}{message}")


def _no_critic_faults(algorithm: AlgorithmConfig, given: Given) -> Iterator[Fault]:
    """What is wrong without a critic."""
    estimator = algorithm.advantage_estimator
    for name in PPO_KEYS:
        if name in given:
            yield Fault(("algorithm", name), "is for kind: ppo, and there is no critic here; add that, or leave it out.")
    if estimator != "reinforce_plus_plus":
        for name in _RETURN_KEYS:
            if name in given:
                message = "is for returns of tokens: add kind: ppo or advantage_estimator: reinforce_plus_plus, or leave it out."
                yield Fault(("algorithm", name), message)
        if algorithm.num_generations == 1:
            key = _first_given(given, "num_generations", "advantage_estimator", "kind")
            message = (
                f"num_generations 1 leaves advantage_estimator {estimator} nothing to compare a completion with; "
                "give 2 or more, advantage_estimator: reinforce_plus_plus, or kind: ppo."
            )
            yield Fault(("algorithm", key), message)
    elif "kl_in" in given:
        yield from _kl_faults(algorithm)
    if estimator != "group":
        for name in _GROUP_KEYS:
            if name in given:
                yield Fault(("algorithm", name), f"has no effect with advantage_estimator: {estimator}; leave it out.")


def _ppo_faults(algorithm: AlgorithmConfig, given: Given) -> Iterator[Fault]:
    """What is wrong with a critic."""
    for name in (*_GROUP_KEYS, "advantage_estimator"):
        if name in given:
            message = "has no effect with kind: ppo, whose advantages come from a critic, not from groups; leave it out."
            yield Fault(("algorithm", name), message)
    if algorithm.loss_type not in _PPO_LOSSES:
        message = f"kind: ppo has the clipped loss; choose one of {', '.join(_PPO_LOSSES)}, got {algorithm.loss_type!r}."
        yield Fault(("algorithm", "loss_type"), message)
    if "value_head_sizes" in given and algorithm.value_head_sizes is not None and algorithm.value_head != "mlp":
        yield Fault(("algorithm", "value_head_sizes"), "is for value_head: mlp; add that, or leave it out.")
    if any(size < 1 for size in algorithm.value_head_sizes or ()):
        yield Fault(("algorithm", "value_head_sizes"), f"needs numbers from 1, got {algorithm.value_head_sizes}.")
    if "kl_in" in given:
        yield from _kl_faults(algorithm)


def _kl_faults(algorithm: AlgorithmConfig) -> Iterator[Fault]:
    if algorithm.kl_in == "reward" and not algorithm.beta:
        yield Fault(("algorithm", "kl_in"), "has no effect while beta is 0; give beta, or leave it out.")


def _first_given(given: Given, *names: str) -> str:
    """The first of the keys that the recipe gives; the preset, where it gives none of them."""
    return next((name for name in names if name in given), "preset")
