"""How RL is guided by stored traces: six knobs and how they are turned into optimizer steps.

    traces      what an expert wrote for each question            pass_rate   how often the policy answers a question right
    gate        which questions are guided                        hint        how much of the trace the policy is given to go on from
    losses      what is learnt from tokens of each role           grouping    which rollouts an advantage compares

A token is of one role: the prompt's, of a hint (the part of a trace that a rollout goes on from), generated, or of a trace (a row that
is only read). A preset (`guidance_presets`) sets knobs that a recipe leaves open. The names are those of the papers' formulas in
`guidance_presets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from vlmpost.config import guidance_presets
from vlmpost.config.schedules import Weight
from vlmpost.config.section import Section

Role = Literal["hint", "generated", "trace"]
ROLES: Final[tuple[Role, ...]] = ("hint", "generated", "trace")


class TracesConfig(Section):
    """Where traces come from, and how they enter a batch."""

    path: str | None = None
    """JSONL rows {id, solution} or {id, solutions: [...]}, keyed by question id. null: each example's own solution."""
    choose: Literal["shortest", "longest", "first", "random"] = "shortest"
    """Which of several traces of a question is used; random draws anew at every use."""
    rows: Literal["none", "in_place", "beside", "stream"] = "none"
    """none: traces are only cut into hints. in_place: a guided question's trace stands in for its rollouts, which leave the loss.
    beside: the trace joins the question's rollouts. stream: `per_step` traces are drawn from all, whatever the batch asks."""
    per_step: int = Field(64, gt=0)
    """stream: traces of one optimizer step, all processes together."""
    missing: Literal["error", "unguided"] = "error"
    """What a training question without a trace is: an error, or never guided."""
    max_length: int | None = Field(None, gt=0)
    """Longest trace in tokens, its end included; longer ones count as missing, and are never cut. null: any."""


class PassRateConfig(Section):
    """How often the policy answers a question right: judged answers of rollouts without a hint, never rewards."""

    source: Literal["group", "table"] = "group"
    """group: the question's rollouts of this very batch. table: all that is known from before, stored rates and unhinted rollouts."""
    path: str | None = None
    """table: stored rates to begin with, JSONL rows {id, num_right, num_tried}. null: nothing is known at first."""


class GateConfig(Section):
    """Which questions are guided."""

    questions: Literal["all", "at_most", "none"] = "at_most"
    """at_most: those whose pass rate is known and at most `pass_rate`; 0 is zero pass."""
    pass_rate: float = Field(0.0, ge=0, le=1)
    """The highest pass rate of a guided question."""
    delay_steps: int = Field(0, ge=0)
    """Optimizer steps at the start in which nothing is guided."""


class HintConfig(Section):
    """How much of a guided question's trace its rollouts begin with; a cut is made between tokens of the stored trace."""

    law: Literal["none", "schedule", "binomial", "uniform", "ascending", "binary"] = "none"
    """none: no hint. schedule: `share` of the trace. binomial: each segment counts with probability `share`. uniform: a share between
    `share` and `upper`. ascending: the first of `levels` at which a rollout is right. binary: the shortest number of segments at which
    the share of right rollouts lies in `band`, by binary search."""
    share: Weight = 1.0
    """Share of the trace, or of its segments; see `law`."""
    upper: float = Field(0.95, ge=0, le=1)
    """uniform: the largest share."""
    num_segments: int | None = Field(None, gt=0)
    """Cuts are made at the ends of this many equal parts of the trace (fewer where it has fewer tokens). null: after any token."""
    levels: list[float] = Field(default=[0.0], min_length=1)
    """ascending: shares to try, smallest first."""
    band: list[float] = Field(default=[0.01, 0.75], min_length=2, max_length=2)
    """binary: lowest and highest share of right rollouts of a length that will do."""
    stop_on: Literal["correct", "reward"] = "correct"
    """ascending: a level will do when a rollout is judged right, or when one has a reward above 0."""
    rollouts: int | None = Field(None, gt=0)
    """How many rollouts of a guided group begin with the hint; the others are plain. null: all."""
    placement: Literal["reply", "prompt"] = "reply"
    """reply: the hint begins the reply, token by token. prompt: its text stands at the end of the question."""
    num_steps: int | None = Field(None, gt=0)
    """Optimizer steps after which there are no hints. null: the law alone decides."""
    num_left: int = Field(0, ge=0)
    """Tokens of the trace that a hint always leaves; 0 lets it be the whole trace, end included, with nothing left to generate."""


class LossTermConfig(Section):
    """What is learnt from tokens of one role."""

    role: Role
    """The tokens."""
    loss: Literal["policy", "cross_entropy", "dft", "chord_phi", "shaped"]
    """policy: the algorithm's, with the rollout's advantage. cross_entropy: -log p. dft: -p log p, p(1 - p) in chord_phi, the factor
    detached. shaped: -A p / (p + gamma), with the trace's advantage."""
    weight: Weight = 1.0
    """Factor, over the run."""
    per: Literal["sequence", "token", "length"] = "sequence"
    """What a cross-entropy is averaged over: tokens of each sequence and then sequences, tokens of the step, or max_completion_length
    of each sequence."""
    count: Literal["own", "questions", "rows"] = "own"
    """What a mean over sequences divides by: sequences with this role in the step, questions behind the step, or all its rows."""
    gamma: float = Field(0.1, gt=0)
    """shaped: where the probability counts half."""
    entropy_coef: float = Field(0.0, ge=0)
    """This much of the mean entropy of the tokens is taken off the loss."""
    sequence_weight: Literal["none", "exp_minus_entropy"] = "none"
    """Factor of each sequence, detached: e to the power of minus the mean entropy of its tokens."""
    top_entropy_share: float = Field(1.0, gt=0, le=1)
    """policy on a hint: share of its tokens, the most uncertain ones, that keep a gradient."""


class GroupingConfig(Section):
    """Which rollouts an advantage compares."""

    kind: Literal["rollouts", "with_trace", "plain_baseline", "signed"] = "rollouts"
    """rollouts: those of a question, hinted alike. with_trace: and its trace, scored as a rollout. plain_baseline: rollouts without a
    hint are compared among themselves, hinted ones with the mean of those. signed: right ones get +, wrong ones -, nothing is compared."""
    continuation: Literal["centred", "raw"] = "centred"
    """plain_baseline: what generated tokens after a hint get: the reward less the mean of the plain ones, or the bare reward."""
    right_weight: float = Field(0.1, ge=0)
    """signed: a right rollout's advantage is this times e to the power of its mean entropy; a wrong one's is -1."""


class StepsConfig(Section):
    """How losses are laid out over optimizer steps."""

    kind: Literal["joint", "alternate", "drawn"] = "joint"
    """joint: one step with all losses. alternate: steps on rollouts, then one on the batch's traces. drawn: each batch is either
    rollouts or traces, by chance."""
    buffer_size: int = Field(0, ge=0)
    """alternate: traces are kept until there are this many, and then learnt in one step; 0: each batch's own."""
    num_warmup_steps: int = Field(0, ge=0)
    """drawn: steps on traces alone at the start; the mean of their gradient norms is G."""
    gamma: float = Field(1.0, gt=0)
    """drawn: a step is on traces with probability g / (g + gamma G), g the gradient norm of the last step on traces."""


class GuidanceConfig(Section):
    """The six knobs, and the steps."""

    preset: str | None = None
    """A method's knobs for the keys that are not given (`vlmpost combine --strategies` lists them)."""
    traces: TracesConfig = TracesConfig()
    """What an expert wrote."""
    pass_rate: PassRateConfig = PassRateConfig()
    """What the policy can do."""
    gate: GateConfig = GateConfig()
    """Which questions are guided."""
    hint: HintConfig = HintConfig()
    """What rollouts begin with."""
    losses: list[LossTermConfig] = Field(default=[LossTermConfig(role="generated", loss="policy")], min_length=1)
    """What is learnt from tokens of each role; a role that is not named carries no loss."""
    grouping: GroupingConfig = GroupingConfig()
    """What is compared."""
    steps: StepsConfig = StepsConfig()
    """What a step holds."""

    @model_validator(mode="before")
    @classmethod
    def _filled_from_preset(cls, given: Any) -> Any:  # Any: what a recipe holds, before it is checked
        return guidance_presets.filled(given) if isinstance(given, Mapping) else given

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        return name if name is None else guidance_presets.known(name)
