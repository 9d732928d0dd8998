r"""How long completions would be if nothing cut them: the share that is cut, and the length that would let nearly all of them finish.

A completion that was cut at its budget would have gone on for nobody knows how long. Leaving it out, or taking its budget for its length,
makes completions look shorter than they are; survival analysis has the tools for what is only known to be longer than something
(censored). Among completions that reach length $t$, $n_t$ in all, $d_t$ end there; the share that is longer than $t$ is
$S(t) = \prod_{s \le t} (1 - d_s / n_s)$, where a cut one counts in $n$ up to its budget. The length asked for is the smallest $t$ with
$S(t) \le 1 -$ the wanted share.

Where more are cut than that leaves room for, S never falls so far and the data alone cannot answer. Then the tail is taken to end at a
steady rate per token, measured over the longer half of what was seen: an extrapolation, and called so. It is given up, and only
"above" said, where too few completions ended in that half, or it would reach beyond `MAX_REACH` times the longest one.

Source: Kaplan and Meier, J. Am. Stat. Assoc. 53 (1958), section 2; the rate is the maximum-likelihood one of an exponential tail under
censoring (ends over tokens at risk).
"""

from __future__ import annotations

import bisect
import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

WANTED_SHARE = 0.99
"""Completions that should finish."""
WINDOW_STEPS = 20
"""Newest batches that a proposal is made from: old ones were written by another policy."""
MIN_TAIL_ENDS = 10
"""Completions that have to end in the longer half before its rate is believed."""
MAX_REACH = 4.0
"""How far beyond the longest completion an extrapolation may go, as a multiple of it."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A budget for completions."""

    length: int
    """In tokens."""
    kind: Literal["measured", "extrapolated", "above"]
    """above: more than `length` is needed, and the completions seen do not tell how much more."""

    def figures(self) -> dict[str, float]:
        """The name under which a trainer logs it; the doctor reads both."""
        name = "completion_length_above" if self.kind == "above" else "proposed_completion_length"
        return {name: float(self.length)}


def survival(lengths: Sequence[int], cut: Sequence[bool]) -> list[tuple[int, float]]:
    """Returns (length, share of completions longer than it) at each length where one ended, by length.

    Args:
        lengths: Tokens of each completion.
        cut: Whether it was cut there and would have gone on.

    >>> survival([1, 2, 2, 3], [False, False, True, False])
    [(1, 0.75), (2, 0.5), (3, 0.0)]
    """
    ends = Counter(length for length, is_cut in zip(lengths, cut, strict=True) if not is_cut)
    by_length = sorted(lengths)
    share, steps = 1.0, []
    for length in sorted(ends):
        num_at_risk = len(by_length) - bisect.bisect_left(by_length, length)
        share *= 1 - ends[length] / num_at_risk
        steps.append((length, share))
    return steps


def proposed_length(lengths: Sequence[int], cut: Sequence[bool], *, wanted_share: float = WANTED_SHARE) -> Proposal:
    """Returns the budget under which the wanted share of completions would have finished.

    Args:
        lengths: Tokens of each completion, at least one.
        cut: Whether it was cut at its budget.
        wanted_share: Between 0 and 1.

    >>> proposed_length([10, 20, 30, 40], [False] * 4, wanted_share=0.5)
    Proposal(length=20, kind='measured')
    """
    steps = survival(lengths, cut)
    allowed = 1 - wanted_share + 1e-9  # a share of exactly the allowed one has gone through roundings
    for length, share in steps:
        if share <= allowed:
            return Proposal(length, "measured")
    longest = max(lengths)
    extra = _extra_tokens(lengths, cut, left=steps[-1][1] if steps else 1.0, allowed=1 - wanted_share)
    if extra is None or longest + extra > MAX_REACH * longest:
        return Proposal(longest, "above")
    return Proposal(math.ceil(longest + extra), "extrapolated")


def _extra_tokens(lengths: Sequence[int], cut: Sequence[bool], *, left: float, allowed: float) -> float | None:
    """The tokens beyond the longest completion in which the share still running falls from `left` to `allowed`; None if unknown."""
    middle = max(lengths) / 2
    num_ends = sum(length > middle and not is_cut for length, is_cut in zip(lengths, cut, strict=True))
    if num_ends < MIN_TAIL_ENDS or allowed <= 0:
        return None
    tokens_at_risk = sum(max(0.0, length - middle) for length in lengths)
    return math.log(left / allowed) * tokens_at_risk / num_ends


class TruncationWindow:
    """The lengths of the newest batches of completions, and what they propose.

    Args:
        num_steps: Batches that are kept.
        wanted_share: Completions that should finish.
    """

    def __init__(self, *, num_steps: int = WINDOW_STEPS, wanted_share: float = WANTED_SHARE) -> None:
        self.wanted_share = wanted_share
        self._batches: deque[tuple[list[int], list[bool]]] = deque(maxlen=num_steps)

    def add(self, lengths: Sequence[int], cut: Sequence[bool]) -> None:
        """Takes in a batch; of several processes all have to give the same, that of all."""
        assert len(lengths) == len(cut), f"{len(lengths)} lengths, {len(cut)} flags"
        self._batches.append(([int(length) for length in lengths], [bool(flag) for flag in cut]))

    def figures(self) -> dict[str, float]:
        """The share that is cut and the proposal, by the names of metrics; empty before the first completion."""
        lengths = [length for batch, _ in self._batches for length in batch]
        cut = [flag for _, batch in self._batches for flag in batch]
        if not lengths:
            return {}
        proposal = proposed_length(lengths, cut, wanted_share=self.wanted_share)
        return {"window_truncated_share": sum(cut) / len(cut), **proposal.figures()}

    def state_dict(self) -> dict[str, Any]:  # Any: JSON
        """All that is kept, as JSON values."""
        return {"batches": [{"lengths": lengths, "cut": cut} for lengths, cut in self._batches]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: JSON
        """Takes over what `state_dict` gave."""
        self._batches.clear()
        for batch in state["batches"]:
            self.add(batch["lengths"], batch["cut"])
