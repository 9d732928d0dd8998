"""How the completions of one optimizer step are cut into forward passes.

The parts add up to one loss whatever the cut (`losses.py`), so only memory and speed depend on it: the completions of a prompt stay
together where they fit, and completions of like length share a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one forward pass may hold."""

    max_rows: int
    """Completions."""
    max_tokens: int | None = None
    """Tokens; None: any number."""
    shared: bool = True
    """Whether a prompt counts once for all its completions, and nothing is padded."""


def micro_batches(
    lengths: Sequence[int], owners: Sequence[int], prompt_lengths: Sequence[int], limits: Limits, *, at_least: int = 1
) -> list[list[int]]:
    """Returns the parts as lists of rows; every row is in one of them.

    A completion that alone is over the limit is a part of its own. Where fewer rows than parts wanted are left, the last parts are empty.

    Args:
        lengths: Tokens of each completion, at least one completion.
        owners: Which prompt each completion answers.
        prompt_lengths: Tokens of each prompt.
        limits: Of one part.
        at_least: Parts wanted, where processes must take equally many passes.

    >>> micro_batches([5, 9, 5, 9], [0, 1, 0, 1], [10, 10], Limits(max_rows=2))
    [[1, 3], [0, 2]]
    """
    groups: dict[int, list[int]] = {}
    for row, owner in enumerate(owners):
        groups.setdefault(owner, []).append(row)
    units = [unit for group in groups.values() for unit in _fitting(group, lengths, owners, prompt_lengths, limits)]
    if not _fits([row for unit in units for row in unit], lengths, owners, prompt_lengths, limits):
        units.sort(key=lambda unit: -max(lengths[row] for row in unit))
    parts: list[list[int]] = []
    for unit in units:
        if parts and _fits(parts[-1] + unit, lengths, owners, prompt_lengths, limits):
            parts[-1] += unit
        else:
            parts.append(list(unit))
    while len(parts) < min(at_least, len(lengths)):
        widest = max(range(len(parts)), key=lambda index: len(parts[index]))
        half = len(parts[widest]) // 2
        parts[widest : widest + 1] = [parts[widest][:half], parts[widest][half:]]
    return parts + [[] for _ in range(len(parts), at_least)]


def _fitting(
    group: list[int], lengths: Sequence[int], owners: Sequence[int], prompt_lengths: Sequence[int], limits: Limits
) -> list[list[int]]:
    """The rows of a group, longest first, in as few pieces as fit."""
    if _fits(group, lengths, owners, prompt_lengths, limits):
        return [group]
    pieces: list[list[int]] = []
    for row in sorted(group, key=lambda row: -lengths[row]):
        if pieces and _fits([*pieces[-1], row], lengths, owners, prompt_lengths, limits):
            pieces[-1].append(row)
        else:
            pieces.append([row])
    return pieces


def _fits(rows: Sequence[int], lengths: Sequence[int], owners: Sequence[int], prompt_lengths: Sequence[int], limits: Limits) -> bool:
    if len(rows) > limits.max_rows:
        return False
    return limits.max_tokens is None or num_tokens(rows, lengths, owners, prompt_lengths, shared=limits.shared) <= limits.max_tokens


def num_tokens(rows: Sequence[int], lengths: Sequence[int], owners: Sequence[int], prompt_lengths: Sequence[int], *, shared: bool) -> int:
    """Returns the tokens that a forward pass over these rows reads, padding included where there is any.

    >>> num_tokens([0, 1], [5, 9], [0, 0], [10], shared=True), num_tokens([0, 1], [5, 9], [0, 0], [10], shared=False)
    (24, 38)
    """
    used = {owners[row] for row in rows}
    if shared:
        return sum(prompt_lengths[owner] for owner in used) + sum(lengths[row] for row in rows)
    return len(rows) * (max(prompt_lengths[owner] for owner in used) + max(lengths[row] for row in rows))
