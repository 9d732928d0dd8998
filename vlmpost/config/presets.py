"""Presets of the RL algorithm: the settings of a study, or of a method of the GRPO family, under one name.

`algorithm: {preset: NAME, key: value}` takes the preset's settings for the keys that are not given. A preset holds keys of
`algorithm` only; what its source sets elsewhere (learning rate, temperature, rewards) stands in `beside`, in words, and is not set.
What is not named by a preset keeps the schema's default. Knows no schema: `AlgorithmConfig` reads the table through `filled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydantic_core import PydanticKnownError

Setting = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings of `algorithm` that belong together."""

    meaning: str
    source: str
    settings: Mapping[str, Setting]
    departures: tuple[str, ...] = ()
    """Where vlmpost does otherwise than the source with these settings."""
    beside: tuple[str, ...] = ()
    """What the source sets outside `algorithm`."""


_CLIPPED_BY_COMPLETION: Final[Mapping[str, Setting]] = MappingProxyType({"loss_type": "grpo", "epsilon": 0.2})
"""The clipped loss, as a mean over completions of means over their tokens."""

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "sft_vs_rl": Preset(
            "PPO over replies: one ratio and one value for each, discounts between replies, no KL term",
            "SFT Memorizes, RL Generalizes, arXiv 2501.17161; LeslieTrue/SFTvsRL 5a6ea55",
            {
                "kind": "ppo",
                "num_generations": 1,
                "loss_type": "grpo",
                "beta": 0.0,
                "epsilon": 0.1,
                "delta": 10.0,
                "num_iterations": 4,
                "importance_sampling_level": "reply",
                "gamma": 1.0,
                "lam": 1.0,
                "turn_gamma": 0.9,
                "turn_lam": 0.95,
                "vf_coef": 0.5,
                "cliprange_value": 0.1,
                "whiten_advantages": True,
                "critic": "shared",
                "value_at": "reply",
                "value_head": "mlp",
            },
            departures=(
                "in an episode of several replies each counts by its tokens; in the study each reply is a sample of its own",
                "all tokens of a reply count alike in its ratio; the study halves the log-probabilities before the answer's key",
                "advantages are whitened over all processes; the study whitens in each",
                "an episode that runs out of attempts ends its returns; in the study's code values of the next episode leak in",
            ),
            beside=(
                "rewards: [{name: verifier_per_turn}] with episode: {verify_iterations: 5} (V-IRL: 2)",
                "generation: temperature 0.2, max_completion_length 512",
                "training: learning_rate 1e-6 (V-IRL-VL 1e-7), max_grad_norm 0.01, num_mini_batches 2, about 2048 replies a batch",
                "trl: adam_epsilon 1e-7",
                "model: nothing frozen",
            ),
        ),
        "demystify": Preset(
            "PPO over tokens with a critic of its own, lambda 1 and the KL term in the reward; rewards may have their own discounts",
            "Demystifying Long Chain-of-Thought Reasoning, arXiv 2502.03373; eddycmu/demystify-long-cot e90cf9b",
            {
                "kind": "ppo",
                "num_generations": 8,
                "loss_type": "grpo",
                "beta": 0.01,
                "kl_in": "reward",
                "epsilon": 0.2,
                "num_iterations": 1,
                "reward_clip": 10.0,
                "gamma": 1.0,
                "lam": 1.0,
                "vf_coef": 1.0,
                "cliprange_value": 0.2,
                "whiten_advantages": True,
                "critic": "separate",
                "value_head": "linear",
                "value_learning_rate": 9e-6,
            },
            departures=(
                "rewards are clipped by term; the study clips their sum where they share one discount",
                "one gradient norm is taken of policy and critic; the study clips each by its own",
            ),
            beside=(
                "rewards: [{name: demystify}] (cosine length and repetition with discounts 1 and 0.99), or classic_length",
                "generation: temperature 1, max_completion_length 14336; data: max_prompt_length 2048",
                "training: learning_rate 5e-7 (value_learning_rate 4.5e-6 in section 4.1), cosine, warmup_share 0.03, max_grad_norm 1",
                "training: prompts_per_step 512 in mini-batches of 512 completions (num_mini_batches = num_generations), 8 epochs",
                "algorithm: 4 or 16 completions in some studies; lam 0.95 from the base model (section 6)",
            ),
        ),
        "demystify_reinforce": Preset(
            "REINFORCE++ as a check that the findings do not hang on PPO: no critic, clip 0.1",
            "Demystifying Long Chain-of-Thought Reasoning, arXiv 2502.03373, section 7.3",
            {
                "kind": "grpo",
                "num_generations": 8,
                "advantage_estimator": "reinforce_plus_plus",
                "loss_type": "grpo",
                "beta": 0.01,
                "kl_in": "reward",
                "epsilon": 0.1,
                "num_iterations": 1,
                "reward_clip": 10.0,
                "gamma": 1.0,
            },
            departures=("rewards are clipped by term; the study clips their sum where they share one discount",),
            beside=(
                "rewards: [{name: classic_length, params: {preset: demystify}}]",
                "generation: temperature 1, max_completion_length 14336; data: max_prompt_length 2048",
                "training: learning_rate 5e-7, cosine, warmup_share 0.03, prompts_per_step 512, num_mini_batches 8",
            ),
        ),
        "synergy": Preset(
            "GRPO with a light KL term, which keeps easy questions in place",
            "The Synergy Dilemma of Long-CoT SFT and RL, arXiv 2507.07562, section 3",
            {
                **_CLIPPED_BY_COMPLETION,
                "kind": "grpo",
                "num_generations": 8,
                "advantage_estimator": "group",
                "scale_rewards": "group",
                "beta": 0.005,
                "num_iterations": 1,
            },
            departures=("the paper prints neither its clip nor its KL estimate: 0.2 and k3 here, as in the framework it used",),
            beside=(
                "rewards: [{name: synergy}] (0.9 accuracy + 0.1 format)",
                "generation: temperature 1, max_completion_length 4096 (16384 after long-CoT SFT)",
                "training: learning_rate 1e-6, prompts_per_step 128, num_mini_batches 2, num_train_epochs 2",
            ),
        ),
        "difficulty": Preset(
            "GRPO on questions chosen by difficulty, with a small KL term",
            "arXiv 2511.06722, scripts (ms-swift 3.7.2)",
            {
                **_CLIPPED_BY_COMPLETION,
                "kind": "grpo",
                "num_generations": 8,
                "advantage_estimator": "group",
                "scale_rewards": "group",
                "beta": 0.001,
                "num_iterations": 1,
            },
            departures=("the clip is not printed: 0.2 here, its framework's default",),
            beside=(
                "rewards: accuracy alone, no format reward",
                "generation: temperature 1, max_completion_length 1024; model: image_max_pixels 1254400",
                "training: learning_rate 5e-7, warmup_share 0.01, prompts_per_step 8, num_train_epochs 1",
            ),
        ),
        "visual_jigsaw": Preset(
            "GRPO with groups of 16, loss by token, no KL term, ratios of bad completions bounded at 3",
            "Visual Jigsaw, arXiv 2509.25190, appendix and scripts (verl)",
            {
                "kind": "grpo",
                "num_generations": 16,
                "advantage_estimator": "group",
                "scale_rewards": "group",
                "loss_type": "dapo",
                "beta": 0.0,
                "epsilon": 0.2,
                "delta": 3.0,
                "num_iterations": 1,
            },
            beside=(
                "rewards: [{name: permutation, params: {preset: paper}}]",
                "generation: temperature 1, max_completion_length 2048; data: max_prompt_length 8192",
                "training: learning_rate 1e-6, prompts_per_step 256 (images) or 128, 1000 steps (depth: 800)",
            ),
        ),
        "grpo": Preset(
            "The clipped loss, mean by completion; rewards by mean and standard deviation of their group; KL term k3",
            "DeepSeekMath, arXiv 2402.03300",
            {**_CLIPPED_BY_COMPLETION, "kind": "grpo", "advantage_estimator": "group", "scale_rewards": "group", "beta": 0.04},
            beside=("algorithm: num_generations 64", "training: learning_rate 1e-6; generation: max_completion_length 1024"),
        ),
        "dr_grpo": Preset(
            "GRPO without its two divisors: neither the group's standard deviation nor the completion's length",
            "Understanding R1-Zero-Like Training, arXiv 2503.20783",
            {
                "kind": "grpo",
                "advantage_estimator": "group",
                "scale_rewards": "none",
                "loss_type": "dr_grpo",
                "beta": 0.0,
                "epsilon": 0.2,
            },
        ),
        "dapo": Preset(
            "Loss by token, a wider upper clip, no KL term",
            "DAPO, arXiv 2503.14476",
            {
                "kind": "grpo",
                "advantage_estimator": "group",
                "scale_rewards": "group",
                "loss_type": "dapo",
                "beta": 0.0,
                "epsilon": 0.2,
                "epsilon_high": 0.28,
            },
            beside=(
                "signal: dynamic_sampling true",
                "rewards: [{name: dapo}] (right 1, else -1, and the soft penalty on overlong answers)",
                "algorithm: num_generations 16; training: prompts_per_step 512, num_mini_batches 16",
            ),
        ),
        "bnpo": Preset(
            "Loss by token, divided by the tokens of each process by itself",
            "TRL's loss of this name (it divides by the tokens of the local batch)",
            {
                "kind": "grpo",
                "advantage_estimator": "group",
                "scale_rewards": "group",
                "loss_type": "bnpo",
                "beta": 0.0,
                "epsilon": 0.2,
            },
            departures=("it is the loss that TRL calls so; the paper BNPO (arXiv 2506.02864) normalises rewards by a Beta distribution",),
        ),
        "cispo": Preset(
            "Importance weights are clipped, not gradients: every token learns",
            "MiniMax-M1, arXiv 2506.13585; the bound is ScaleRL's, arXiv 2510.13786",
            {
                "kind": "grpo",
                "advantage_estimator": "group",
                "scale_rewards": "group",
                "loss_type": "cispo",
                "beta": 0.0,
                "epsilon_high": 5.0,
            },
        ),
        "gspo": Preset(
            "The ratio is the geometric mean over the completion, with a narrow clip",
            "GSPO, arXiv 2507.18071, section 5.1",
            {
                "kind": "grpo",
                "advantage_estimator": "group",
                "scale_rewards": "group",
                "loss_type": "grpo",
                "importance_sampling_level": "sequence",
                "beta": 0.0,
                "epsilon": 3e-4,
                "epsilon_high": 4e-4,
            },
            beside=("training: num_mini_batches 4",),
        ),
        "sapo": Preset(
            "A soft gate in place of the clip, falling off faster for bad completions",
            "SAPO, arXiv 2511.20347",
            {"kind": "grpo", "advantage_estimator": "group", "scale_rewards": "group", "loss_type": "sapo", "beta": 0.0},
            beside=("trl: sapo_temperature_pos 1.0, sapo_temperature_neg 1.05 (the defaults)",),
        ),
        "rloo": Preset(
            "REINFORCE over whole replies, each compared with the mean of the others of its group",
            "Back to Basics, arXiv 2402.14740",
            {
                **_CLIPPED_BY_COMPLETION,
                "kind": "grpo",
                "advantage_estimator": "rloo",
                "importance_sampling_level": "reply",
                "beta": 0.0,
            },
            departures=(
                "the paper takes a KL term off the reward of a reply; beta here adds k3 to the loss, and is 0",
                "the ratio is clipped as in TRL's RLOOTrainer; with one optimizer step a batch it is 1",
            ),
        ),
        "reinforce_plus_plus": Preset(
            "Discounted returns of each token with the KL term in the reward, whitened over the batch; no group, no critic",
            "REINFORCE++, arXiv 2501.03262; the KL weight is OpenRLHF's default",
            {
                **_CLIPPED_BY_COMPLETION,
                "kind": "grpo",
                "num_generations": 1,
                "advantage_estimator": "reinforce_plus_plus",
                "beta": 0.01,
                "kl_in": "reward",
                "gamma": 1.0,
            },
        ),
        "reinforce_plus_plus_baseline": Preset(
            "The group's mean is taken off, then the batch's standard deviation divides",
            "REINFORCE++, arXiv 2501.03262",
            {**_CLIPPED_BY_COMPLETION, "kind": "grpo", "advantage_estimator": "reinforce_plus_plus_baseline", "beta": 0.0},
            departures=("the paper's KL term in the loss is k2; beta here adds k3, and is 0",),
        ),
        "gdpo": Preset(
            "Each reward term is normalised in its group before they are summed, and the sum over the batch",
            "GDPO, arXiv 2601.05242",
            {
                **_CLIPPED_BY_COMPLETION,
                "kind": "grpo",
                "advantage_estimator": "group",
                "multi_objective_aggregation": "normalize_then_sum",
                "beta": 0.0,
            },
        ),
    }
)
"""By name: the studies first, then the GRPO family."""


def known(name: str) -> str:
    """Returns the name of a preset as it is.

    Raises:
        PydanticKnownError: There is no such preset; the recipe's faults list the others, the nearest first.
    """
    if name not in PRESETS:
        raise PydanticKnownError("literal_error", {"expected": ", ".join(sorted(PRESETS))})
    return name


def filled(given: Mapping[str, object]) -> dict[str, object]:
    """Returns the keys given with the rest of the named preset's beside them; as they are where no preset of ours is named.

    >>> filled({"preset": "gdpo", "beta": 0.1})["beta"], filled({"preset": "gdpo"})["beta"]
    (0.1, 0.0)
    """
    name = given.get("preset")
    preset = PRESETS.get(name) if isinstance(name, str) else None
    return {**preset.settings, **given} if preset is not None else dict(given)
