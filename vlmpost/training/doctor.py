"""The doctor: rules on the metrics of a run that say what is going wrong, how it shows, and what to do.

Pure: rows of metrics.jsonl in, findings out. A finding is given once, and again only after its cause was gone for a while.
A fatal finding is one that more steps cannot mend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

MetricsRow = Mapping[str, object]

WINDOW = 5
"""Logged rows that a rule averages over."""
FLAT_SHARE = 0.9
NUM_HOPELESS_ROWS = 50
"""Rows in a row without a single group that tells good from bad."""
NUM_ZERO_GRADIENT_ROWS = 3
TRUNCATED_SHARE = 0.5
PARSE_FAILURE_SHARE = 0.5
LENGTH_COLLAPSE_SHARE = 0.25
ENTROPY_FLOOR = 0.01
"""Mean entropy per token, in nats, under which sampling no longer explores."""
SAMPLER_GAP_NATS = 0.3
"""Mean difference between the log-probabilities of sampler and trainer that no rounding makes: six times that of a healthy pair."""
REPLAYED_SHARE = 0.5
NUM_BAD_CRITIC_ROWS = 20
"""Rows in a row in which a critic tells less than a constant would: a new one needs some steps."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a run."""

    name: str
    evidence: str
    remedy: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}. {self.remedy}"


Rule = Callable[[Sequence[MetricsRow]], Finding | None]


class Doctor:
    """Keeps the rows of a run and examines each new one.

    Args:
        history: Rows of the run so far, when it is resumed.
    """

    def __init__(self, history: Iterable[MetricsRow] = ()) -> None:
        self._rows: list[MetricsRow] = []
        self._said: set[tuple[str, bool]] = set()
        for row in history:
            self.examine(row)

    def examine(self, row: MetricsRow) -> list[Finding]:
        """The findings that are new with this row."""
        self._rows.append(row)
        found = [finding for rule in RULES if (finding := rule(self._rows)) is not None]
        new = [finding for finding in found if (finding.name, finding.fatal) not in self._said]
        self._said = {(finding.name, finding.fatal) for finding in found}
        return new


def nonfinite_loss(rows: Sequence[MetricsRow]) -> Finding | None:
    """The loss of the last row is not a number."""
    loss = rows[-1].get("loss")
    if not isinstance(loss, float) or math.isfinite(loss):
        return None
    return Finding(
        "non-finite loss",
        f"the loss is {loss} at step {_step(rows)}",
        "Lower training.learning_rate in another run; its model.path may be a checkpoint of this one.",
        fatal=True,
    )


def emitted_image_tokens(rows: Sequence[MetricsRow]) -> Finding | None:
    """A completion holds a vision placeholder, which no image stands behind."""
    share = _number(rows[-1], "image_token_share")
    if not share:
        return None
    return Finding(
        "emitted image tokens",
        f"{share:.1%} of the completions of step {_step(rows)} hold a vision token",
        "The model's placeholders are not suppressed in sampling: check the tokenizer's special tokens against the model's config.",
        fatal=True,
    )


def zero_gradients(rows: Sequence[MetricsRow]) -> Finding | None:
    """Gradients are exactly zero although some group had something to learn from (SFT: always).

    With stored traces a step may hold no rollout: whole traces as hints, or a step on traces when none is due.
    """
    last = rows[-NUM_ZERO_GRADIENT_ROWS:]
    if len(last) < NUM_ZERO_GRADIENT_ROWS or any(_number(row, "grad_norm") != 0.0 for row in last):
        return None
    if any(_number(row, "flat_group_share") == 1.0 or _number(row, "generated_tokens") == 0.0 or _is_unrewarded(row) for row in last):
        return None
    return Finding(
        "zero gradients",
        f"the gradient norm was exactly 0 in the last {len(last)} rows, to step {_step(rows)}",
        "Nothing trains: check model.freeze_vision_tower and model.lora_target_modules, and that completions hold trainable tokens.",
        fatal=True,
    )


def flat_groups(rows: Sequence[MetricsRow]) -> Finding | None:
    """Nearly all groups have one reward throughout, so that they teach nothing; those without any reward are `no_rewards`' matter."""
    if _is_unrewarded(rows[-1]):
        return None
    hopeless = rows[-NUM_HOPELESS_ROWS:]
    if len(hopeless) == NUM_HOPELESS_ROWS and all(_number(row, "flat_group_share") == 1.0 for row in hopeless):
        return Finding(
            "flat groups",
            f"every group of the last {NUM_HOPELESS_ROWS} rows had equal rewards, so no step changed the weights",
            _FLAT_REMEDY,
            fatal=True,
        )
    share = _mean(rows, "flat_group_share")
    if share is None or share < FLAT_SHARE:
        return None
    reward = _mean(rows, "reward")
    mean = "" if reward is None else f", at a mean reward of {reward:.2f}"
    return Finding("flat groups", f"{share:.0%} of the groups had equal rewards over the last {WINDOW} rows{mean}", _FLAT_REMEDY)


_FLAT_REMEDY = (
    "Set signal.dynamic_sampling or signal.prompt_pools: true, use questions of middling difficulty, more algorithm.num_generations, "
    "a higher generation.temperature, or SFT first."
)


def no_rewards(rows: Sequence[MetricsRow]) -> Finding | None:
    """No reward applies to any completion, so that nothing is good or bad."""
    hopeless = len(rows) >= NUM_HOPELESS_ROWS and all(map(_is_unrewarded, rows[-NUM_HOPELESS_ROWS:]))
    if not hopeless and (len(rows) < WINDOW or not all(map(_is_unrewarded, rows[-WINDOW:]))):
        return None
    return Finding(
        "no rewards",
        f"no reward applied to any completion of the last {NUM_HOPELESS_ROWS if hopeless else WINDOW} rows, to step {_step(rows)}",
        "Each reward gave None: check that the rows hold what it reads (`vlmpost data check`), or add one that always applies.",
        fatal=hopeless,
    )


def truncation(rows: Sequence[MetricsRow]) -> Finding | None:
    """Many completions are cut by their budget and cannot be right."""
    share = _mean(rows, "truncated_share")
    if share is None or share < TRUNCATED_SHARE:
        return None
    return Finding(
        "truncation",
        f"{share:.0%} of the completions were cut at their budget over the last {WINDOW} rows",
        f"Raise generation.max_completion_length{_wanted_length(rows[-1])}, or set algorithm.mask_truncated_completions: true.",
    )


def _wanted_length(row: MetricsRow) -> str:
    """What `truncation.Proposal` says of the budget, in words."""
    about, above = _number(row, "proposed_completion_length"), _number(row, "completion_length_above")
    if about is not None:
        return f" to about {about:.0f}"
    return "" if above is None else f" above {above:.0f} (how far above cannot be told from what was cut)"


def parse_failures(rows: Sequence[MetricsRow]) -> Finding | None:
    """Many completions hold no answer that can be read."""
    share = _mean(rows, "parse_failure_share")
    if share is None or share < PARSE_FAILURE_SHARE:
        return None
    return Finding(
        "parse failures",
        f"no answer could be read in {share:.0%} of the completions over the last {WINDOW} rows",
        "State the answer format in data.instruction, add a format reward, or look at `vlmpost rollouts`.",
    )


def length_collapse(rows: Sequence[MetricsRow]) -> Finding | None:
    """Completions became much shorter than at the start."""
    first, last = _mean(rows[:WINDOW], "length_tokens"), _mean(rows, "length_tokens")
    if first is None or last is None or len(rows) < 2 * WINDOW or last >= LENGTH_COLLAPSE_SHARE * first:
        return None
    return Finding(
        "length collapse",
        f"completions have {last:.0f} tokens on average, {first:.0f} at the start",
        "Lower training.learning_rate, or check whether a reward term pays for short answers.",
    )


def entropy_collapse(rows: Sequence[MetricsRow]) -> Finding | None:
    """Sampling became all but deterministic, so that groups will turn flat. SFT is let alone: there low entropy is the aim."""
    entropy = _mean(rows, "entropy")
    if entropy is None or entropy >= ENTROPY_FLOOR or "reward" not in rows[-1]:
        return None
    return Finding(
        "entropy collapse",
        f"the mean entropy per token is {entropy:.4f} nats over the last {WINDOW} rows",
        "Lower training.learning_rate, raise algorithm.epsilon_high or algorithm.beta, or stop here: the policy no longer explores.",
    )


def sampler_gap(rows: Sequence[MetricsRow]) -> Finding | None:
    """The engine that samples and the trainer do not give the same tokens the same probability: they are not the same model."""
    gap = _mean(rows, "sampler_gap_nats")
    if gap is None or gap < SAMPLER_GAP_NATS:
        return None
    return Finding(
        "sampler gap",
        f"the log-probabilities of sampler and trainer differ by {gap:.2f} nats per token on average over the last {WINDOW} rows",
        "The sampler runs other weights, reads other prompts or another temperature: check trl.vllm_mode and the server's flags, or leave "
        "trl.use_vllm out.",
        fatal=True,
    )


def useless_critic(rows: Sequence[MetricsRow]) -> Finding | None:
    """The critic's values lie further from the returns than their mean does (PPO)."""
    explained = [_number(row, "explained_variance") for row in rows[-NUM_BAD_CRITIC_ROWS:]]
    known = [value for value in explained if value is not None and value < 0]
    if len(known) < NUM_BAD_CRITIC_ROWS:
        return None
    return Finding(
        "useless critic",
        f"the explained variance was below 0 in each of the last {NUM_BAD_CRITIC_ROWS} rows, {known[-1]:.2f} at step {_step(rows)}",
        "Its advantages add noise: raise algorithm.num_value_warmup_steps, set algorithm.value_learning_rate or algorithm.vf_coef anew, "
        "or use algorithm.kind: grpo.",
    )


def stale_signal(rows: Sequence[MetricsRow]) -> Finding | None:
    """Most of what trains was sampled by an older policy."""
    replayed, useful = _mean(rows, "replayed_groups"), _mean(rows, "useful_groups")
    if not replayed or useful is None or (share := replayed / (replayed + useful)) < REPLAYED_SHARE:
        return None
    return Finding(
        "stale signal",
        f"{share:.0%} of the useful groups were kept from earlier steps over the last {WINDOW} rows",
        "Fresh rollouts hardly teach: use questions of middling difficulty or signal.prompt_pools: true, and lower signal.replay_max_age.",
    )


RULES: tuple[Rule, ...] = (
    nonfinite_loss,
    emitted_image_tokens,
    zero_gradients,
    flat_groups,
    no_rewards,
    truncation,
    parse_failures,
    length_collapse,
    entropy_collapse,
    sampler_gap,
    useless_critic,
    stale_signal,
)


def _number(row: MetricsRow, key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_unrewarded(row: MetricsRow) -> bool:
    """Whether completions were made and none was rewarded; rows of SFT have no reward at all."""
    reward = row.get("reward", 0.0)
    return reward is None or (isinstance(reward, float) and math.isnan(reward))


def _mean(rows: Sequence[MetricsRow], key: str) -> float | None:
    """The mean over the last WINDOW rows; None unless all of them have the key."""
    values = [_number(row, key) for row in rows[-WINDOW:]]
    known = [value for value in values if value is not None]
    return sum(known) / WINDOW if len(known) == WINDOW else None


def _step(rows: Sequence[MetricsRow]) -> object:
    return rows[-1].get("step")
