"""Faults between the keys of `guidance`, and between them and the rest of an RL recipe; each key is right by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vlmpost.config.guidance import GuidanceConfig, LossTermConfig
from vlmpost.config.schedules import Schedule, Weight
from vlmpost.config.schema import AlgorithmConfig, SignalConfig
from vlmpost.config.yaml_text import Fault, Key

_ESTIMATORS: Final = ("group", "rloo")
"""Estimators of advantage that know groups of which some rows are hinted or replaced."""
_CHOOSERS: Final = {"dynamic_sampling": False, "prompt_pools": False, "replay_size": 0}
"""Keys of `signal` that choose what a batch holds, with their values where they are off."""
_TERM_KEYS: Final = {
    "gamma": ("shaped",),
    "per": ("cross_entropy", "dft", "chord_phi", "shaped"),
    "count": ("cross_entropy", "dft", "chord_phi", "shaped"),
    "entropy_coef": ("cross_entropy", "dft", "chord_phi", "shaped"),
    "sequence_weight": ("cross_entropy", "dft", "chord_phi", "shaped"),
    "top_entropy_share": ("policy",),
}
"""Keys of a loss term, each with the losses that read it."""
_LAW_KEYS: Final = {
    "upper": ("uniform",),
    "levels": ("ascending",),
    "stop_on": ("ascending",),
    "band": ("binary",),
    "share": ("schedule", "binomial", "uniform"),
}
"""Keys of a hint, each with the laws that read it."""
_STEP_KEYS: Final = {"buffer_size": "alternate", "num_warmup_steps": "drawn", "gamma": "drawn"}
_GROUPING_KEYS: Final = {"continuation": "plain_baseline", "right_weight": "signed"}


def guidance_faults(
    guidance: GuidanceConfig, *, algorithm: AlgorithmConfig | None, signal: SignalConfig | None, plays: bool
) -> Iterator[Fault]:
    """What is wrong between the keys of `guidance` and of the sections that it works with.

    Args:
        guidance: The section, its preset filled in.
        algorithm: None where that section is wrong by itself.
        signal: None where that section is wrong by itself.
        plays: Whether the recipe has a section `episode`.
    """
    if plays:
        yield Fault(("guidance",), "traces are of one reply, and episode plays several turns; leave one of them out.")
    if algorithm is not None:
        yield from _algorithm(guidance, algorithm)
    for name, off in _CHOOSERS.items():
        if signal is not None and getattr(signal, name) != off:
            yield Fault(("signal", name), "chooses what a batch holds by itself, and so does guidance; leave one of them out.")
    yield from _schedules(guidance)
    yield from _losses(guidance)
    yield from _hint(guidance)
    yield from _rest(guidance)


def _algorithm(guidance: GuidanceConfig, algorithm: AlgorithmConfig) -> Iterator[Fault]:
    if algorithm.kind == "ppo":
        yield Fault(
            ("algorithm", "kind"), "guidance compares rollouts of a group, and ppo has a critic instead; use grpo, or leave guidance out."
        )
        return
    if algorithm.advantage_estimator not in _ESTIMATORS:
        message = f"guidance knows {' and '.join(_ESTIMATORS)}, got {algorithm.advantage_estimator}."
        yield Fault(("algorithm", "advantage_estimator"), message)
    if algorithm.scale_rewards == "batch":
        yield Fault(("algorithm", "scale_rewards"), "guidance compares rollouts within groups only; use group or none, got batch.")
    hinted = guidance.hint.rollouts
    if hinted is not None and guidance.hint.law != "none" and hinted > algorithm.num_generations:
        message = f"is above algorithm.num_generations ({hinted} > {algorithm.num_generations})."
        yield Fault(("guidance", "hint", "rollouts"), message)
    if algorithm.multi_objective_aggregation == "normalize_then_sum":
        message = "normalize_then_sum scales by the whole batch, and guidance compares rollouts within groups only; use sum_then_normalize."
        yield Fault(("algorithm", "multi_objective_aggregation"), message)
    if guidance.grouping.kind == "plain_baseline" and guidance.hint.law != "none":
        yield from _plain_baseline(guidance, algorithm)


def _plain_baseline(guidance: GuidanceConfig, algorithm: AlgorithmConfig) -> Iterator[Fault]:
    hinted = guidance.hint.rollouts
    if hinted is None or hinted == algorithm.num_generations:
        message = (
            "grouping.kind: plain_baseline compares with rollouts without a hint, and there are none; give fewer than num_generations."
        )
        yield Fault(("guidance", "hint", "rollouts"), message)
    if algorithm.advantage_estimator == "rloo":
        yield Fault(("guidance", "grouping", "kind"), "plain_baseline needs algorithm.advantage_estimator: group, got rloo.")


def _schedules(guidance: GuidanceConfig) -> Iterator[Fault]:
    """Moments of schedules that never come, or come in the wrong order."""
    weights: list[tuple[Key, Weight]] = [(("guidance", "hint", "share"), guidance.hint.share)]
    weights += [(("guidance", "losses", index, "weight"), term.weight) for index, term in enumerate(guidance.losses)]
    for key, weight in weights:
        if not isinstance(weight, Schedule) or weight.kind == "constant":
            continue
        if weight.begin > weight.until:
            yield Fault((*key, "begin"), f"is after until ({weight.begin:g} > {weight.until:g}); swap or change them.")
        if weight.unit == "share" and weight.until > 1:
            message = f"is a share of the run, at most 1, got {weight.until:g}; for optimizer steps add unit: step."
            yield Fault((*key, "until"), message)


def _losses(guidance: GuidanceConfig) -> Iterator[Fault]:
    seen: set[tuple[str, str]] = set()
    policy_weights: dict[str, Weight] = {}
    for index, term in enumerate(guidance.losses):
        key: Key = ("guidance", "losses", index)
        if (term.role, term.loss) in seen:
            yield Fault(key, f"{term.role} has the loss {term.loss} above already; give each once.")
        seen.add((term.role, term.loss))
        if term.loss == "policy":
            policy_weights[term.role] = term.weight
        yield from _term(key, term, guidance)
    if "hint" in policy_weights and policy_weights.get("generated") != policy_weights["hint"]:
        message = "the policy loss is one over a rollout's tokens: its weight on hints must be that on generated tokens."
        yield Fault(("guidance", "losses"), message)


def _term(key: Key, term: LossTermConfig, guidance: GuidanceConfig) -> Iterator[Fault]:
    if term.role == "generated" and term.loss != "policy":
        yield Fault((*key, "loss"), f"generated tokens have the loss policy, got {term.loss}; imitation is of hints and traces.")
    if term.role == "trace" and term.loss == "policy":
        yield Fault((*key, "loss"), "a trace was not sampled, so the policy loss has no ratio for it; use shaped, or a cross-entropy.")
    if term.role == "hint" and term.loss == "shaped":
        yield Fault((*key, "loss"), "shaped is for traces; a hint's tokens have the loss policy, or a cross-entropy.")
    for name, losses in _TERM_KEYS.items():
        if name in term.model_fields_set and term.loss not in losses and getattr(term, name) != type(term).model_fields[name].default:
            yield Fault((*key, name), f"is for {', '.join(losses)}, and has no effect on {term.loss}; leave it out.")
    if term.role != "hint" and term.top_entropy_share < 1:
        yield Fault((*key, "top_entropy_share"), "is for tokens of hints; for generated ones there is algorithm.top_entropy_quantile.")
    if term.role == "trace" and guidance.traces.rows == "none":
        yield Fault(key, "a loss on traces, and guidance.traces.rows: none puts no trace into a batch; give in_place, beside or stream.")
    if term.role == "hint" and guidance.hint.law == "none":
        yield Fault(key, "a loss on hints, and guidance.hint.law: none gives none; choose a law.")
    if term.per == "token" and term.count != "own":
        yield Fault((*key, "count"), f"is for means over sequences, and per: token has none; leave it out, got {term.count}.")
    if term.role == "hint" and guidance.hint.placement == "prompt":
        yield Fault(key, "a loss on hints, which stand in the prompt (guidance.hint.placement); use placement: reply, or leave it out.")
    if _bounds(term.weight)[0] < 0:
        yield Fault((*key, "weight"), "a negative weight would unlearn; give 0 or more.")


def _hint(guidance: GuidanceConfig) -> Iterator[Fault]:
    hint = guidance.hint
    key: Key = ("guidance", "hint")
    if hint.law != "none" and guidance.gate.questions == "none":
        yield Fault(("guidance", "gate", "questions"), "none lets no question have a hint, and guidance.hint.law asks for them.")
    for name, laws in _LAW_KEYS.items():
        if name in hint.model_fields_set and hint.law not in laws:
            yield Fault((*key, name), f"is for law {' and '.join(laws)}, got {hint.law}; leave it out.")
    if hint.law == "binary" and hint.num_segments is None:
        yield Fault((*key, "num_segments"), "law binary searches numbers of segments: give one, e.g. 10.")
    if hint.law == "ascending" and hint.levels != sorted(set(hint.levels)):
        yield Fault((*key, "levels"), f"must rise, got {hint.levels}.")
    if hint.law == "ascending" and not all(0 <= level <= 1 for level in hint.levels):
        yield Fault((*key, "levels"), f"are shares of the trace, from 0 to 1, got {hint.levels}.")
    if hint.law == "ascending" and max(hint.levels) <= 0:
        yield Fault((*key, "levels"), f"have none above 0, so no rollout would be hinted; give some, e.g. [0.0, 0.5], got {hint.levels}.")
    if hint.law == "ascending" and hint.levels[-1] == 1 and not hint.num_left:
        message = "1 is the whole trace, with nothing left to generate that could be right; give less, or guidance.hint.num_left."
        yield Fault((*key, "levels"), message)
    if hint.law == "binary" and not 0 <= hint.band[0] <= hint.band[1] <= 1:
        yield Fault((*key, "band"), f"is the lowest and the highest share of right rollouts, from 0 to 1, got {hint.band}.")
    low, high = _bounds(hint.share)
    if hint.law in _LAW_KEYS["share"] and not 0 <= low <= high <= 1:
        yield Fault((*key, "share"), f"is a share from 0 to 1, got {low:g} to {high:g}.")
    if hint.law == "uniform" and high > hint.upper:
        yield Fault((*key, "upper"), f"is the largest share, and hint.share reaches {high:g}; got {hint.upper:g}.")
    if hint.placement == "prompt" and hint.rollouts is not None:
        yield Fault((*key, "rollouts"), "a hint in the prompt (placement) is there for all rollouts of a question; leave it out.")
    if hint.law in ("ascending", "binary") and hint.rollouts is not None:
        yield Fault((*key, "rollouts"), f"law {hint.law} tries whole groups; leave it out.")


def _rest(guidance: GuidanceConfig) -> Iterator[Fault]:
    rows, steps, grouping = guidance.traces.rows, guidance.steps, guidance.grouping
    yield from _traces(guidance)
    for name, kind in _STEP_KEYS.items():
        if getattr(steps, name) != type(steps).model_fields[name].default and steps.kind != kind:
            yield Fault(("guidance", "steps", name), f"is for kind: {kind}, got {steps.kind}; leave it out.")
    if steps.kind == "drawn" and steps.num_warmup_steps == 0:
        yield Fault(("guidance", "steps", "num_warmup_steps"), "kind: drawn compares gradients with those of a warm-up; give 1 or more.")
    if steps.kind != "joint" and rows == "none":
        yield Fault(("guidance", "steps", "kind"), f"{steps.kind} has steps on traces, and guidance.traces.rows: none gives none.")
    for name, kind in _GROUPING_KEYS.items():
        if getattr(grouping, name) != type(grouping).model_fields[name].default and grouping.kind != kind:
            yield Fault(("guidance", "grouping", name), f"is for kind: {kind}, got {grouping.kind}; leave it out.")
    if grouping.kind == "with_trace" and rows != "beside":
        yield Fault(
            ("guidance", "grouping", "kind"), f"with_trace needs the trace beside the rollouts (guidance.traces.rows: beside), got {rows}."
        )
    if any(term.loss == "shaped" for term in guidance.losses) and grouping.kind not in ("with_trace", "signed"):
        message = f"the loss shaped needs the trace's advantage, and {grouping.kind} gives it none; use with_trace or signed."
        yield Fault(("guidance", "grouping", "kind"), message)
    if rows != "none" and rows != "stream" and guidance.gate.questions == "none" and steps.kind != "drawn":
        yield Fault(("guidance", "gate", "questions"), f"none lets no question have a trace, and guidance.traces.rows is {rows}.")
    if guidance.hint.law != "none" and guidance.gate.questions == "at_most" and guidance.pass_rate.source == "group":
        message = "group knows a question's rate after its rollouts, and a hint comes before them; use source: table."
        yield Fault(("guidance", "pass_rate", "source"), message)
    if guidance.pass_rate.path is not None and guidance.pass_rate.source != "table":
        yield Fault(("guidance", "pass_rate", "path"), "is for source: table; add that, or leave it out.")


def _traces(guidance: GuidanceConfig) -> Iterator[Fault]:
    """Rows of traces that nothing is learnt from, or that come in a way that their steps do not know."""
    rows, steps, compares = guidance.traces.rows, guidance.steps, guidance.grouping.kind == "with_trace"
    key: Key = ("guidance", "traces", "rows")
    on_traces = {term.loss for term in guidance.losses if term.role == "trace"}
    if rows != "none" and not on_traces and not compares:
        yield Fault(key, f"{rows} puts traces into a batch, and guidance.losses has none on them; add one with role: trace.")
    if "shaped" in on_traces and rows != "beside":
        yield Fault(key, f"the loss shaped is of a trace that is compared with its question's rollouts; use beside, got {rows}.")
    if compares and steps.kind != "joint":
        yield Fault(
            ("guidance", "steps", "kind"), f"grouping.kind: with_trace learns a trace with its rollouts; use joint, got {steps.kind}."
        )
    if steps.buffer_size and rows == "stream":
        yield Fault(("guidance", "steps", "buffer_size"), "keeps traces of guided questions, and a stream brings its own; leave it out.")
    if steps.kind == "drawn" and rows not in ("none", "in_place"):
        yield Fault(key, f"drawn steps are on the batch's own traces or its rollouts; use in_place, got {rows}.")
    if rows == "in_place" and guidance.gate.questions == "all" and steps.kind != "drawn":
        message = "all has a trace stand in for every question's rollouts, sampled for nothing; use at_most, or traces.rows: beside."
        yield Fault(("guidance", "gate", "questions"), message)


def _bounds(weight: Weight) -> tuple[float, float]:
    """The lowest and the highest value of a number or a schedule."""
    if not isinstance(weight, Schedule):
        return float(weight), float(weight)
    ends = (weight.start,) if weight.kind == "constant" else (weight.start, weight.end)
    return min(ends), max(ends)
