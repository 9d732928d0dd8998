"""The rows of a guided batch, and the `Experience` they make.

Roles of tokens: a hint's, generated, a trace's; the prompt's are no part of a row. Legend: B rows, C tokens of the longest one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vlmpost.config.guidance import ROLES
from vlmpost.models.prompts import EncodedPrompt
from vlmpost.records import Rollout, Score
from vlmpost.training.guidance.traces import Trace
from vlmpost.training.rollouts.collector import Collected
from vlmpost.training.update.experience import Experience, owners_of, padded
from vlmpost.training.update.imitation import ROLE_CODES

HINT, GENERATED, TRACE = (ROLE_CODES[role] for role in ROLES)
"""Values of the tensor `roles`; 0 is padding, and what carries no loss at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One row."""

    place: int
    """Of its question among those of the batch, all processes together."""
    prompt: EncodedPrompt
    completion: tuple[int, ...]
    roles: tuple[int, ...]
    sampled: tuple[int, ...]
    """1 for a token that carries the policy loss."""
    logps: tuple[float, ...] | None = None
    """Of the sampler, 0 for what it did not sample."""
    rollout: Rollout | None = None
    """None: there is nothing to score."""
    score: Score | None = None
    is_correct: bool = False
    weight: float = 1.0
    """Among the sequences whose cross-entropy is averaged: a hint counts once for its question."""
    is_rollout: bool = False
    """Whether the policy loss counts it as one."""
    in_trace_step: bool = False
    """Whether the step on traces learns it."""

    @property
    def is_trace(self) -> bool:
        """Whether it is read from the store from end to end."""
        return TRACE in self.roles

    @property
    def is_hinted(self) -> bool:
        """Whether it is a rollout that was given a part of a trace."""
        return self.rollout is not None and self.rollout.hint_share > 0 and not self.is_trace


def rollout_lines(place: int, collected: Collected, *, drops_truncated: bool) -> list[Line]:
    """Returns the rows of one question's rollouts.

    Args:
        place: Of the question.
        collected: Its rollouts.
        drops_truncated: Whether the tokens of a reply that was cut by its budget carry no policy loss.
    """
    batch = collected.batch
    hinted = sum(rollout.hint_share > 0 for rollout in batch.rollouts)
    lines = []
    for row, (ids, mask, rollout, score, verdict) in enumerate(
        zip(collected.completions, collected.masks, batch.rollouts, batch.scores, batch.verdicts, strict=True)
    ):
        cut = drops_truncated and rollout.stop_reason == "length"
        lines.append(
            Line(
                place=place,
                prompt=collected.prompts[collected.owners[row]],
                completion=ids,
                roles=tuple(GENERATED if sampled else HINT for sampled in mask),
                sampled=(0,) * len(mask) if cut else mask,
                logps=None if collected.logps is None else collected.logps[row],
                rollout=rollout,
                score=score,
                is_correct=verdict is not None and verdict.correct,
                weight=1 / hinted if rollout.hint_share > 0 else 1.0,
                is_rollout=True,
            )
        )
    return lines


def hint_line(place: int, prompt: EncodedPrompt, trace: Trace) -> Line:
    """Returns the row of a hint that is the whole trace, with nothing left to generate."""
    return _read(place, prompt, trace, role=HINT)


def trace_line(
    place: int,
    prompt: EncodedPrompt,
    trace: Trace,
    *,
    rollout: Rollout | None = None,
    score: Score | None = None,
    is_correct: bool = False,
    in_trace_step: bool = False,
) -> Line:
    """Returns the row of a trace; with a score it is compared with the rollouts, and counts as one."""
    line = _read(place, prompt, trace, role=TRACE)
    return Line(
        place=line.place,
        prompt=line.prompt,
        completion=line.completion,
        roles=line.roles,
        sampled=line.sampled,
        logps=line.logps,
        rollout=rollout,
        score=score,
        is_correct=is_correct,
        is_rollout=score is not None,
        in_trace_step=in_trace_step,
    )


def idle_line(place: int, prompt: EncodedPrompt) -> Line:
    """Returns a row without loss, for a process that has nothing of its own and goes along."""
    return Line(place=place, prompt=prompt, completion=(0,), roles=(0,), sampled=(0,), logps=(0.0,), weight=0.0)


def _read(place: int, prompt: EncodedPrompt, trace: Trace, *, role: int) -> Line:
    length = len(trace.token_ids)
    return Line(place, prompt, trace.token_ids, roles=(role,) * length, sampled=(0,) * length, logps=(0.0,) * length)


def experience_of(lines: Sequence[Line], *, device: torch.device) -> Experience:
    """Returns the rows as an experience, before it is scored.

    Beside `sampled` it has `roles` int8 [B, C], `row_weights` float32 [B], `rollout_rows` bool [B], `groups` int64 [B] and
    `in_trace_step` bool [B].
    """
    firsts, owners = owners_of([line.prompt for line in lines])
    tensors = {
        "sampled": padded([line.sampled for line in lines], dtype=torch.bool),
        "roles": padded([line.roles for line in lines], dtype=torch.int8),
        "row_weights": torch.tensor([line.weight for line in lines]),
        "rollout_rows": torch.tensor([line.is_rollout for line in lines]),
        "groups": torch.tensor([line.place for line in lines]),
        "in_trace_step": torch.tensor([line.in_trace_step for line in lines]),
    }
    return Experience(
        prompts=tuple(lines[row].prompt for row in firsts),
        owners=tuple(owners),
        completions=tuple(line.completion for line in lines),
        tensors={name: tensor.to(device) for name, tensor in tensors.items()},
    )


def sampler_logps(lines: Sequence[Line]) -> list[tuple[float, ...]] | None:
    """Returns the sampler's log-probabilities of all rows; None where it tells none."""
    known = [line.logps for line in lines if line.logps is not None]
    return known if len(known) == len(lines) else None


def uncertain_hint_tokens(roles_BC: torch.Tensor, entropies_BC: torch.Tensor | None, *, share: float) -> torch.Tensor:
    """Returns bool [B, C]: the hint tokens of each row that are among its most uncertain ones, at least one where there is any.

    Args:
        roles_BC: int8 [B, C].
        entropies_BC: float [B, C], in nats; None where all are taken.
        share: Of each row's hint tokens, rounded up.
    """
    hints_BC = roles_BC == HINT
    if share == 1:
        return hints_BC
    assert entropies_BC is not None, "a share of the tokens is chosen by entropy"
    chosen_BC = torch.zeros_like(hints_BC)
    for row in hints_BC.any(1).nonzero().flatten().tolist():
        places = hints_BC[row].nonzero().flatten()
        order = entropies_BC[row, places].argsort(descending=True, stable=True)
        chosen_BC[row, places[order[: math.ceil(share * len(places))]]] = True
    return chosen_BC
