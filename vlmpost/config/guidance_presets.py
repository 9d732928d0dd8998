r"""Presets of `guidance`: the ways of the Synergy Dilemma paper and its published relatives, each under one name.

`guidance: {preset: NAME, key: value}` takes the preset's knobs for the keys that are not given, section by section; `losses` is taken
whole. A preset may also set keys of `algorithm` that its method needs, for those that the recipe leaves open. Knows no schema.

Notation of `formula`: q a question, y* its stored trace, o a rollout, R its reward, A its advantage, CE the mean cross-entropy over
tokens, p the probability of a token, H the mean entropy of a sequence's tokens, t the step, T the number of steps, sg stops gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from pydantic_core import PydanticKnownError

Settings = Mapping[str, Any]  # Any: values of a recipe


@dataclass(frozen=True, slots=True)
class GuidancePreset:
    """Knobs that belong together."""

    meaning: str
    source: str
    formula: str
    settings: Settings
    """Keys of `guidance`."""
    algorithm: Settings = field(default_factory=dict)
    """Keys of `algorithm`."""
    departures: tuple[str, ...] = ()
    """Where vlmpost does otherwise than the source with these settings."""
    unverified: tuple[str, ...] = ()
    """What is told of the method elsewhere and was not checked against its paper or code."""
    beside: tuple[str, ...] = ()
    """What the source sets outside `guidance` and `algorithm`; not set here."""


_SYNERGY: Final = "The Synergy Dilemma of Long-CoT SFT and RL, arXiv 2507.07562, section 4"
_UNPUBLISHED: Final = "the study's training code is not published; what its text leaves open is chosen here"
_UNIFY: Final = "TsinghuaC3I/Unify-Post-Training"
_PASS_MEANS: Final = (
    "each loss is a mean over the optimizer step; theirs are taken in each forward pass and added up: policy losses summed over its tokens "
    "and divided by max_completion_length, not by rows, cross-entropies averaged over its trace tokens"
)
_UFT_SEGMENTS: Final = (
    "segments are equal numbers of tokens of the whole trace, of which a hint leaves the last token; theirs are of its sentences without "
    "the final answer"
)
_POLICY: Final = {"role": "generated", "loss": "policy"}
_TRACE_FOR_ZERO_PASS: Final = {
    "traces": {"rows": "in_place"},
    "pass_rate": {"source": "group"},
    "gate": {"questions": "at_most", "pass_rate": 0.0},
    "losses": [_POLICY, {"role": "trace", "loss": "cross_entropy", "weight": 1.0}],
}

PRESETS: Final[Mapping[str, GuidancePreset]] = MappingProxyType(
    {
        "interleaved": GuidancePreset(
            "A step of RL on the questions that a rollout solves, then a step of SFT on the traces of the others",
            _SYNERGY,
            "pass rate of the batch's group 0: CE(y*); else L_RL",
            {**_TRACE_FOR_ZERO_PASS, "steps": {"kind": "alternate"}},
            departures=(
                _UNPUBLISHED,
                "the pass rate is that of the batch's own rollouts",
                "SFT steps take RL's learning rate and optimizer, weight 1, no KL term",
                "a batch without such questions has no SFT step",
            ),
        ),
        "interleaved_joint": GuidancePreset(
            "As interleaved, with both losses in one step",
            _SYNERGY,
            "L_RL over solved questions + CE(y*) over the others",
            {**_TRACE_FOR_ZERO_PASS, "steps": {"kind": "joint"}},
            departures=(_UNPUBLISHED,),
        ),
        "interleaved_buffered": GuidancePreset(
            "As interleaved, with one SFT step whenever 128 traces are due",
            _SYNERGY,
            "L_RL over solved questions; CE(y*) over 128 others once there are so many",
            {**_TRACE_FOR_ZERO_PASS, "steps": {"kind": "alternate", "buffer_size": 128}},
            departures=(_UNPUBLISHED,),
        ),
        "sft_on_all": GuidancePreset(
            "The study's ablation: an SFT step on the traces of all questions after each RL step",
            _SYNERGY,
            "L_RL, then CE(y*) over all questions of the batch",
            {
                "traces": {"rows": "beside"},
                "gate": {"questions": "all"},
                "losses": [_POLICY, {"role": "trace", "loss": "cross_entropy", "weight": 1.0}],
                "steps": {"kind": "alternate"},
            },
            departures=(_UNPUBLISHED,),
        ),
        "progressive": GuidancePreset(
            "Unsolved questions go from the whole trace over ever shorter prefixes to plain RL",
            _SYNERGY,
            "0.2 CE(y*_{<c} | q) + L_RL(o | q, y*_{<c}), c = round(rho(t) |y*|); questions with pass rate 0 only",
            {
                "traces": {"rows": "none"},
                "pass_rate": {"source": "table"},
                "gate": {"questions": "at_most", "pass_rate": 0.0},
                "hint": {"law": "schedule", "share": {"kind": "cosine", "start": 1.0, "end": 0.0, "begin": 0.05, "until": 0.7}},
                "losses": [_POLICY, {"role": "hint", "loss": "cross_entropy", "weight": 0.2}],
            },
            departures=(
                _UNPUBLISHED,
                "rho is 1 for 5 % of the steps, then falls as a cosine to 0 at 70 %",
                "the cross-entropy counts once for each question, as the mean over the tokens of its prefix",
                "pass rates are stored ones of the start, refreshed by rollouts without a hint; a question once solved is no more hinted",
            ),
        ),
        "hpt": GuidancePreset(
            "Hybrid post-training: a question is learnt by RL or by its trace, by what its rollouts show",
            f"HPT; {_UNIFY} at ae332f5, exp_scripts/train.sh",
            "a L_RL + b CE(y*), (a, b) = (1, 0) if the group's accuracy > g else (0, 1); g = 0",
            {**_TRACE_FOR_ZERO_PASS, "steps": {"kind": "joint"}},
            algorithm={"scale_rewards": "none", "beta": 0.0, "epsilon": 1e6},
            departures=(
                "the mean over questions is taken apart for the two losses, each over its own questions",
                _PASS_MEANS,
                "steps whose gradient norm is above 80 are taken; theirs are skipped",
            ),
            beside=(
                "training: learning_rate 5e-6",
                "trl: {entropy_coef: 0.001}, there over traces too",
                "g 2/8 for LLaMA (gate.pass_rate 0.25), weight 0.3 for a 1.5B model",
            ),
        ),
        "relift": GuidancePreset(
            "RL, and an SFT step on unsolved questions whenever 128 of them are due",
            "ReLIFT; TheRoadQaQ/ReLIFT at eb95454, examples/math-7b/train.sh",
            "L_RL; CE(y*) - 0.001 entropy over 128 buffered questions whose answers were all wrong",
            {
                **_TRACE_FOR_ZERO_PASS,
                "losses": [_POLICY, {"role": "trace", "loss": "cross_entropy", "weight": 1.0, "entropy_coef": 0.001}],
                "steps": {"kind": "alternate", "buffer_size": 128},
            },
            algorithm={"scale_rewards": "none", "beta": 0.0, "epsilon": 1e6},
            departures=(
                "SFT steps share RL's optimizer; theirs have one of their own at the same learning rate",
                "unsolved questions leave the RL loss; with group advantages only a KL term would differ",
                "unsolved is: no rollout judged right; theirs: every reward exactly 0, so that one badly formatted reply keeps it out",
                "the oldest questions are learnt first and none waits twice; theirs the newest, as often as they came",
                _PASS_MEANS,
            ),
            beside=("training: learning_rate 1e-6", "trl: {entropy_coef: 0.001}"),
        ),
        "luffy": GuidancePreset(
            "The trace is one more member of the group, off policy, with its probabilities shaped",
            "LUFFY, arXiv 2504.14945; ElliottYan/LUFFY at 01f4ae0, exp_scripts/train.sh",
            "-sum A f(p(y*_t)) over the trace, f(x) = x / (x + 0.1), - sum A w over rollouts, over a constant length; A = R - mean of all",
            {
                "traces": {"rows": "beside"},
                "gate": {"questions": "all"},
                "grouping": {"kind": "with_trace"},
                "losses": [_POLICY, {"role": "trace", "loss": "shaped", "gamma": 0.1, "per": "length", "count": "rows"}],
            },
            algorithm={"num_generations": 7, "loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0, "epsilon": 1e6},
            departures=(
                "the sum is divided by the step's rows too; theirs by max_completion_length alone: more beside the entropy bonus",
                "the entropy bonus is of rollouts; theirs of the trace too",
            ),
            beside=("training: learning_rate 1e-6", "trl: {entropy_coef: 0.001}"),
        ),
        "srft": GuidancePreset(
            "One stage of SFT and RL, weighed by the entropy of each sequence",
            f"SRFT; the re-implementation in {_UNIFY} at ae332f5, exp_scripts/train_srft.sh",
            "0.5 sg(e^-H) CE(y*) - A f(p(y*_t)) - 0.1 sg(e^H) log p of right rollouts + log p of wrong ones",
            {
                "traces": {"rows": "beside"},
                "gate": {"questions": "all"},
                "grouping": {"kind": "signed", "right_weight": 0.1},
                "losses": [
                    _POLICY,
                    {"role": "trace", "loss": "cross_entropy", "weight": 0.5, "sequence_weight": "exp_minus_entropy"},
                    {"role": "trace", "loss": "shaped", "gamma": 0.1},
                ],
            },
            algorithm={"num_generations": 7, "loss_type": "cispo", "scale_rewards": "none", "beta": 0.0, "epsilon_high": 5.0},
            departures=(
                "the entropy behind a rollout's weight is that of its sampling, before the step",
                "a rollout's token is weighed by its ratio, at most 5; theirs by nothing, which is the same in a batch's first step",
                "three means: over rollouts' tokens, over traces for the cross-entropy and for A f(p); theirs divides the first and last "
                "together by max_completion_length",
                _PASS_MEANS,
            ),
            beside=("training: learning_rate 1e-6", "trl: {entropy_coef: 0.001}"),
            unverified=("the weight of right rollouts: one secondary account prints e^-H, the code uses e^H, as here",),
        ),
        "chord_mu": GuidancePreset(
            "SFT on a stream of traces beside RL, its share falling over the run",
            "CHORD, arXiv 2508.11408; code and configurations of modelscope/ms-swift and modelscope/Trinity-RFT",
            "(1 - mu) L_RL + mu CE(y*), mu 0.9 -> 0.05 as a cosine over 200 steps",
            {
                "traces": {"rows": "stream", "per_step": 64},
                "gate": {"questions": "none"},
                "losses": [
                    {**_POLICY, "weight": {"kind": "cosine", "start": 0.1, "end": 0.95, "until": 200, "unit": "step"}},
                    {
                        "role": "trace",
                        "loss": "cross_entropy",
                        "per": "token",
                        "weight": {"kind": "cosine", "start": 0.9, "end": 0.05, "until": 200, "unit": "step"},
                    },
                ],
            },
            algorithm={"beta": 0.0},
            beside=("training: prompts_per_step 32, 64 traces beside them",),
        ),
        "chord_phi": GuidancePreset(
            "SFT on a stream of traces beside RL, each token weighed by how undecided the policy is",
            "CHORD, arXiv 2508.11408; code and configurations of modelscope/ms-swift and modelscope/Trinity-RFT",
            "(1 - mu) L_RL - mu sg(p (1 - p)) log p, mu = 0.1",
            {
                "traces": {"rows": "stream", "per_step": 64},
                "gate": {"questions": "none"},
                "losses": [{**_POLICY, "weight": 0.9}, {"role": "trace", "loss": "chord_phi", "weight": 0.1, "per": "token"}],
            },
            algorithm={"beta": 0.0},
            beside=("training: prompts_per_step 32, 64 traces beside them",),
        ),
        "uft": GuidancePreset(
            "Every question gets a hint of random length, which grows shorter; the hint is learnt a little too",
            "UFT; liumy2010/UFT at ad3c8ec, run.py",
            "L_RL + 0.001 CE(hint), l ~ Binomial(min(5, |y*|), p_t), p_t = 0.05 + 0.45 (1 + cos(pi t / 300)), no hint after 300 steps",
            {
                "gate": {"questions": "all"},
                "hint": {
                    "law": "binomial",
                    "num_segments": 5,
                    "share": {"kind": "cosine", "start": 0.95, "end": 0.05, "until": 300, "unit": "step"},
                    "num_steps": 300,
                    "num_left": 1,
                },
                "losses": [_POLICY, {"role": "hint", "loss": "cross_entropy", "weight": 0.001}],
            },
            algorithm={"num_generations": 4, "beta": 0.001},
            departures=(
                _UFT_SEGMENTS,
                "the cross-entropy counts once for each question, as the mean over its hint; theirs over a pass's hint tokens",
            ),
            beside=("training: max_steps 500, learning_rate 1e-6",),
        ),
        "uft_staged": GuidancePreset(
            "Every question gets a hint that loses a segment in equal stages",
            "a sibling in UFT's code; liumy2010/UFT at ad3c8ec, run.py",
            "L_RL + 0.001 CE(hint), l falls by one of 5 segments every 300 / 6 steps",
            {
                "gate": {"questions": "all"},
                "hint": {
                    "law": "schedule",
                    "num_segments": 5,
                    "share": {"kind": "staged", "start": 1.0, "end": 0.0, "until": 300, "unit": "step", "num_stages": 6},
                    "num_left": 1,
                },
                "losses": [_POLICY, {"role": "hint", "loss": "cross_entropy", "weight": 0.001}],
            },
            algorithm={"num_generations": 4, "beta": 0.001},
            departures=(_UFT_SEGMENTS,),
            beside=("training: max_steps 500, learning_rate 1e-6",),
        ),
        "r3": GuidancePreset(
            "Every question gets a hint of a random number of segments, which carries no loss",
            "R3, as a sibling in UFT's code; liumy2010/UFT at ad3c8ec, run.py",
            "L_RL, l uniform over 0..min(5, |y*|) segments",
            {
                "gate": {"questions": "all"},
                "hint": {"law": "uniform", "num_segments": 5, "share": 0.0, "upper": 1.0, "num_left": 1},
                "losses": [_POLICY],
            },
            algorithm={"num_generations": 4, "beta": 0.001},
            departures=(_UFT_SEGMENTS,),
            beside=("training: max_steps 500, learning_rate 1e-6",),
        ),
        "prefix_rft": GuidancePreset(
            "One rollout of each group goes on from a prefix of the trace, whose uncertain tokens are learnt with its advantage",
            "Prefix-RFT, arXiv 2507.01679; ZeroYuHuang/prefix_rft at 5f5d2a1, notes on version 3 of the paper",
            "prefix share ~ U(low_t, 0.95), low_t 0.95 -> 0.05 as a cosine; prefix and continuation: R - mean of the 7 plain rollouts",
            {
                "gate": {"questions": "all"},
                "hint": {
                    "law": "uniform",
                    "share": {"kind": "cosine", "start": 0.95, "end": 0.05},
                    "upper": 0.95,
                    "rollouts": 1,
                    "num_left": 1,
                },
                "grouping": {"kind": "plain_baseline", "continuation": "centred"},
                "losses": [_POLICY, {"role": "hint", "loss": "policy", "top_entropy_share": 0.2}],
            },
            algorithm={"num_generations": 8, "scale_rewards": "none"},
            departures=(
                "the continuation is centred on the plain rollouts; theirs gets its bare reward (grouping.continuation: raw)",
                "the entropies that choose prefix tokens are those before the step, in each row; theirs of all prefixes of a forward pass",
                "prefix tokens that are not chosen leave the mean; theirs stay in its divisor",
            ),
            unverified=("the shares 0.95 and 0.05 and the fifth of the tokens: the repository holds no configuration of the paper's runs",),
        ),
        "hint_grpo": GuidancePreset(
            "Groups with none, a third and two thirds of the trace; the least hinted one with a reward is learnt",
            "Hint-GRPO; hqhQAQ/Hint-GRPO at 1ad557f",
            "L_RL on the first of the groups hinted by 0, 1/3, 2/3 that has a positive reward, else on the unhinted one; no loss on hints",
            {
                "gate": {"questions": "all"},
                "hint": {"law": "ascending", "levels": [0.0, 0.3333333333333333, 0.6666666666666666], "stop_on": "reward"},
                "losses": [_POLICY],
            },
            departures=(
                "a more hinted group is sampled only where the less hinted ones have no reward; theirs samples all and drops the rest",
                "three groups; the released commands have two (levels [0.0, 0.5])",
                "shares are of the trace's tokens; theirs of its reasoning steps, rounded down",
            ),
            beside=("algorithm: {loss_type: grpo, beta: 0.04, num_generations: 4}, TRL's defaults then and the released commands",),
        ),
        "bread": GuidancePreset(
            "Unsolved questions go on from the shortest prefix of the trace from which some rollouts succeed",
            "BREAD, arXiv 2506.17211, by two accounts of it",
            "no right rollout: binary search over 10 segments for the shortest prefix whose group succeeds in a band; L_RL on that group",
            {
                "gate": {"questions": "all"},
                "hint": {"law": "binary", "num_segments": 10, "band": [0.01, 0.75], "num_left": 1},
                "losses": [_POLICY],
            },
            unverified=("the band of success rates: 0 < share <= 0.75 is chosen here",),
        ),
        "ghpo": GuidancePreset(
            "Unsolved questions get a share of the solution in the prompt, more while they stay unsolved",
            "GHPO, arXiv 2507.10628, by reviews",
            "all wrong: a share 1/4, 1/2, 3/4 of y* in the prompt, the first that helps; L_RL on that group; off for 20 steps",
            {
                "gate": {"questions": "all", "delay_steps": 20},
                "hint": {"law": "ascending", "levels": [0.0, 0.25, 0.5, 0.75], "placement": "prompt"},
                "losses": [_POLICY],
            },
            unverified=("the stages 1/4, 1/2, 3/4 are from memory",),
        ),
        "sasr": GuidancePreset(
            "Each step is SFT or RL by chance: SFT the more, the larger its gradient still is",
            "SASR, arXiv 2505.13026, by its abstract; the formula from memory",
            "after a warm-up of SFT: SFT with probability g / (g + gamma G), g the last SFT gradient norm, G its mean in the warm-up",
            {
                "traces": {"rows": "in_place"},
                "gate": {"questions": "none"},
                "losses": [_POLICY, {"role": "trace", "loss": "cross_entropy", "weight": 1.0}],
                "steps": {"kind": "drawn", "num_warmup_steps": 20, "gamma": 1.0},
            },
            unverified=("the formula", "the length of the warm-up, chosen here"),
        ),
        "dft": GuidancePreset(
            "As interleaved_joint, each trace token's cross-entropy times its own probability",
            "DFT, TRL's paper index; the same in SFT as trl: {loss_type: dft}",
            "-sg(p) log p in the place of CE",
            {
                **_TRACE_FOR_ZERO_PASS,
                "losses": [_POLICY, {"role": "trace", "loss": "dft", "weight": 1.0}],
                "steps": {"kind": "joint"},
            },
            departures=("the mean over a trace's tokens, then over traces (per: token is the SFT method's mean over all tokens)",),
        ),
    }
)
"""By name: the study's ways first, then their relatives."""


def known(name: str) -> str:
    """Returns the name of a preset as it is.

    Raises:
        PydanticKnownError: There is no such preset; the recipe's faults list the others, the nearest first.
    """
    if name not in PRESETS:
        raise PydanticKnownError("literal_error", {"expected": ", ".join(sorted(PRESETS))})
    return name


def filled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys given with the named preset's beside them, section by section; as they are where no preset of ours is named.

    >>> filled({"preset": "hpt", "gate": {"pass_rate": 0.25}})["gate"]
    {'questions': 'at_most', 'pass_rate': 0.25}
    """
    name = given.get("preset")
    preset = PRESETS.get(name) if isinstance(name, str) else None
    if preset is None:
        return dict(given)
    result: dict[str, Any] = {**preset.settings, **given}
    for key, section in preset.settings.items():
        own = given.get(key)
        if isinstance(section, Mapping) and isinstance(own, Mapping):
            result[key] = {**section, **own}
    return result


def with_algorithm(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an RL recipe with the keys of `algorithm` that its guidance preset sets, where the recipe leaves them open."""
    guidance, algorithm = recipe.get("guidance"), recipe.get("algorithm", {})
    name = guidance.get("preset") if isinstance(guidance, Mapping) else None
    preset = PRESETS.get(name) if isinstance(name, str) else None
    if preset is None or not preset.algorithm or not isinstance(algorithm, Mapping) or "preset" in algorithm:
        return dict(recipe)
    return {**recipe, "algorithm": {**preset.algorithm, **algorithm}}
