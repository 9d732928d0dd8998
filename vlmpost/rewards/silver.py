"""Rewards on noisy ("silver") labels: reference answers that a model extracted, trusted as far as teacher responses agree with them.

`agreement_of` measures the trust of one example offline, `keeps` is the filter of the paper, and `silver_accuracy` is the reward
that reads the measured share from `example.meta["agreement"]` (written by `with_agreement`). Nothing here asks a model.

Departures from the paper: (1) the paper filters the prompts before training; here the same examples may also stay in the set and
the reward does not apply to them. (2) Weighting by the agreement is ours.

Source: arXiv 2502.03373, section 5: WebInstruct, 2 responses of QwQ-32B-Preview per prompt, kept where at least one agrees.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.answers import Reference, judge_reference
from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards.correctness import verdict_of

PRESETS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "demystify_filtered": MappingProxyType({"min_agreement": 0.5, "weighting": "none"}),
        "demystify_unfiltered": MappingProxyType({"min_agreement": 0.0, "weighting": "none"}),
    }
)
"""The paper's two settings, for shares of 2 responses: 0.5 is one of two."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many of the teacher's responses give the silver answer."""

    num_responses: int
    num_agreeing: int
    num_uncertain: int
    """Responses that could not be compared; they agree with nothing and are left out of the share."""

    @property
    def share(self) -> float | None:
        """The share of agreeing responses among those that could be compared, in [0, 1]; None where none could."""
        num_compared = self.num_responses - self.num_uncertain
        return self.num_agreeing / num_compared if num_compared else None


def agreement_of(responses: Sequence[str], reference: Reference) -> Agreement:
    """Returns how far the responses of a teacher to one question agree with its silver answer, by the generic judge.

    Raises:
        GraderError: There is no response, or the reference answer cannot be judged.
    """
    if not responses:
        raise GraderError(f"Question {reference.id!r} has no teacher response; its agreement cannot be measured.")
    outcomes = [judge_reference(response, reference).outcome for response in responses]
    return Agreement(len(outcomes), outcomes.count("correct"), outcomes.count("uncertain"))


def keeps(agreement: Agreement, *, min_agreeing: int = 1) -> bool:
    """Returns whether an example stays in the filtered set: at least `min_agreeing` of the teacher's responses agree.

    Source: arXiv 2502.03373, section 5.1 (1 of 2).

    >>> keeps(Agreement(num_responses=2, num_agreeing=1, num_uncertain=0))
    True
    """
    return agreement.num_agreeing >= min_agreeing


def with_agreement(example: Example, agreement: Agreement) -> Example:
    """Returns the example with the share under `meta["agreement"]`, where `silver_accuracy` looks for it.

    Raises:
        GraderError: No response could be compared, so that there is no share.
    """
    if agreement.share is None:
        raise GraderError(
            f"Example {example.id!r}: none of {agreement.num_responses} teacher responses could be compared with the silver answer. "
            "Leave the example out, or ask the teacher again."
        )
    return dataclasses.replace(example, meta={**example.meta, "agreement": agreement.share})


def silver_accuracy(rollout: Rollout, *, min_agreement: float = 0.0, weighting: Literal["none", "agreement"] = "none") -> float | None:
    """1.0 where the answer is the silver one, else 0.0; None where the label is trusted too little or there is none.

    Args:
        rollout: What is judged; its example needs `meta["agreement"]`, the share of teacher responses that gave the answer.
        min_agreement: The least share, in [0, 1], at which the reward applies; an example at exactly this share counts.
        weighting: "agreement" scales the reward by the share, so that 1.0 becomes the share; "none" does not.

    Raises:
        GraderError: The example has no share of agreement, or one that is not in [0, 1]; or its answer cannot be judged.

    Source: arXiv 2502.03373, section 5 (filter); the weighting is ours.
    """
    if rollout.example.answer is None:
        return None
    share = _share(rollout.example)
    if share < min_agreement:
        return None
    verdict = verdict_of(rollout)
    assert verdict is not None, f"example {rollout.example.id!r} has an answer"
    return float(verdict.correct) * (share if weighting == "agreement" else 1.0)


def check_silver(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `silver_accuracy`."""
    least = arguments["min_agreement"]
    fits = isinstance(least, int | float) and 0 <= least <= 1
    return [] if fits else [f"min_agreement {least} is not a share: it must be from 0 to 1"]


def _share(example: Example) -> float:
    if "agreement" not in example.meta:
        raise GraderError(
            f"Example {example.id!r} has no meta.agreement, the share of teacher responses that gave its answer. "
            "Measure it first (rewards.silver.agreement_of), or use the reward accuracy."
        )
    share = example.meta["agreement"]
    if isinstance(share, bool) or not isinstance(share, int | float) or math.isnan(share) or not 0 <= share <= 1:
        raise GraderError(f"Example {example.id!r}: meta.agreement must be a share from 0 to 1, got {share!r}.")
    return float(share)
