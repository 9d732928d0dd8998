"""What is measured of played episodes, from their records: success, accuracy per reply, recognition, classes of outcomes.

Success is of episodes, everything else of replies, each revision a reply of its own. A reply that the verifier did not grade because
the attempts were used up counts as a wrong one. Recognition looks only at the replies of which the verifier can tell.

Departures from LeslieTrue/SFTvsRL at 5a6ea55, which counts each reply under the one class that has its total reward:
1. A reply counts under the class that the verifier gave, so that the ungraded one is STEP_LIMIT and no NO_SOLUTION.
2. Offences are counted one by one, where the official code puts their sums under one name.
3. Recognition leaves out the replies of which it is not known; the official code counts them as right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from vlmpost.evaluation.statistics import Count, Estimate, ratio

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class EpisodeFigures:
    """What the replies of played episodes come to."""

    per_step: Estimate
    """Right replies of all replies."""
    recognition: Estimate | None
    """True reports of what is to be seen, of the replies where that can be told. None: of none."""
    outcome_shares: Mapping[str, float]
    """Share of all replies by outcome."""
    violation_shares: Mapping[str, float]
    """Share of all replies that were charged with an offence, by its name."""
    num_episodes: int
    num_replies: int
    mean_replies: float
    """Replies per episode."""
    step_counts: Mapping[str, Count] = field(default_factory=dict, repr=False)
    """Question id -> (right replies, replies), for paired differences."""
    recognition_counts: Mapping[str, Count] = field(default_factory=dict, repr=False)
    """Question id -> (recognised, replies where it can be told); runs may be 0."""

    def to_json(self) -> dict[str, object]:
        """Returns the figures as JSON values, counts by question left out."""
        return {
            "per_step": asdict(self.per_step),
            "recognition": None if self.recognition is None else asdict(self.recognition),
            "outcome_shares": dict(self.outcome_shares),
            "violation_shares": dict(self.violation_shares),
            "num_episodes": self.num_episodes,
            "num_replies": self.num_replies,
            "mean_replies": self.mean_replies,
        }


def episode_figures(rows: Iterable[Row]) -> EpisodeFigures | None:
    """Returns the figures of the records that are of played episodes; None where there are none."""
    played = [(str(row["id"]), steps) for row in rows if (steps := steps_of(row))]
    if not played:
        return None
    replies = [step for _, steps in played for step in steps]
    step_counts = _counts(played, lambda step: bool(step["correct"]))
    recognition_counts = _counts(played, lambda step: step["recognised"])
    per_step = ratio(step_counts.values())
    assert per_step is not None, "an episode has replies"
    return EpisodeFigures(
        per_step=per_step,
        recognition=ratio(recognition_counts.values()),
        outcome_shares=_outcome_shares(replies),
        violation_shares=_violation_shares(replies),
        num_episodes=len(played),
        num_replies=len(replies),
        mean_replies=len(replies) / len(played),
        step_counts=step_counts,
        recognition_counts=recognition_counts,
    )


def steps_of(row: Row) -> Sequence[Row]:
    """Returns the graded replies of a record; none where it is not of a played episode."""
    steps = row.get("steps")
    return [step for step in steps if isinstance(step, Mapping)] if isinstance(steps, list) else ()


def _counts(played: Sequence[tuple[str, Sequence[Row]]], good: Callable[[Row], object]) -> dict[str, Count]:
    """Question id -> (replies that are good, replies of which it is known); `good` gives None where it is not."""
    sums: dict[str, list[int]] = {}
    for question, steps in played:
        known = [bool(found) for step in steps if (found := good(step)) is not None]
        here = sums.setdefault(question, [0, 0])
        here[0] += sum(known)
        here[1] += len(known)
    return {question: (num_good, num_known) for question, (num_good, num_known) in sums.items()}


def _outcome_shares(replies: Sequence[Row]) -> dict[str, float]:
    counts = Counter(str(step["outcome"]) for step in replies)
    return {outcome: counts[outcome] / len(replies) for outcome in sorted(counts)}


def _violation_shares(replies: Sequence[Row]) -> dict[str, float]:
    """An offence charged twice in one reply counts once."""
    counts: Counter[str] = Counter()
    for step in replies:
        charged = step["violations"]
        counts.update({str(name) for name in charged} if isinstance(charged, list | tuple) else ())
    return {name: counts[name] / len(replies) for name in sorted(counts)}
