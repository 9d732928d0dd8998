"""What a batch of rollouts is to the update: the prompts, the completions, and what the loss wants to know of each token.

Legend: B completions, C tokens of the longest one. A completion holds all its tokens: those the policy sampled, and between the
replies of an episode those of the environment; `sampled` tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional

from vlmpost.models.prompts import EncodedPrompt


@dataclass(frozen=True, slots=True)
class Experience:
    """The completions of one process.

    The tensors have one row per completion, [B] or [B, C] with 0 after its end: `sampled` (bool: a token of the policy that may carry
    loss), `advantages`, and where they are needed `reply_starts`, `old_logps`, `ref_logps`, `sampling_ratio`, `policy_rows` (bool [B]:
    rows whose policy term counts), `old_values`, `returns` and `valued`.
    """

    prompts: tuple[EncodedPrompt, ...]
    owners: tuple[int, ...]
    """Which of the prompts each completion answers."""
    completions: tuple[tuple[int, ...], ...]
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.completions)

    def with_tensors(self, **tensors: torch.Tensor) -> Experience:
        """The same completions with more known of them."""
        return Experience(self.prompts, self.owners, self.completions, self.tensors | tensors)

    def take(self, rows: Sequence[int]) -> Experience:
        """Some of the completions, in this order, padded to the longest of them; prompts without completions are left out."""
        used = sorted({self.owners[row] for row in rows})
        place = {owner: index for index, owner in enumerate(used)}
        completions = tuple(self.completions[row] for row in rows)
        longest = max(map(len, completions), default=0)
        chosen = {name: value[list(rows)] for name, value in self.tensors.items()}
        return Experience(
            prompts=tuple(self.prompts[owner] for owner in used),
            owners=tuple(place[self.owners[row]] for row in rows),
            completions=completions,
            tensors={name: value[:, :longest] if value.ndim > 1 and value.shape[1] > 1 else value for name, value in chosen.items()},
        )

    def described(self) -> dict[str, torch.Tensor]:
        """All of it as tensors, for the file that is saved when a step goes wrong."""
        ids = {f"prompt_{index}_ids": torch.tensor(prompt.token_ids) for index, prompt in enumerate(self.prompts)}
        pixels = {f"prompt_{index}_{name}": value for index, prompt in enumerate(self.prompts) for name, value in prompt.images.items()}
        return {
            **ids,
            **pixels,
            "owners": torch.tensor(self.owners),
            "completion_ids": padded(self.completions, dtype=torch.int64),
            **self.tensors,
        }


def joined(first: Experience, second: Experience) -> Experience:
    """The completions of both, one after the other; they know the same of their tokens."""
    width = max(map(len, (*first.completions, *second.completions)))

    def stacked(name: str) -> torch.Tensor:
        parts = [one.tensors[name] for one in (first, second)]
        per_token = any(part.ndim > 1 and part.shape[1] > 1 for part in parts)  # [B, 1] beside longer completions: one for each of them
        return torch.cat([functional.pad(part, (0, width - part.shape[1])) if per_token else part for part in parts])

    assert first.tensors.keys() == second.tensors.keys(), f"{sorted(first.tensors)} and {sorted(second.tensors)}"
    return Experience(
        prompts=first.prompts + second.prompts,
        owners=first.owners + tuple(len(first.prompts) + owner for owner in second.owners),
        completions=first.completions + second.completions,
        tensors={name: stacked(name) for name in first.tensors},
    )


def padded(rows: Sequence[Sequence[float]], *, dtype: torch.dtype, width: int | None = None) -> torch.Tensor:
    """Returns [B, C]: the rows with 0 after their ends.

    >>> padded([[1, 2], [3]], dtype=torch.int64).tolist()
    [[1, 2], [3, 0]]
    """
    filled = torch.zeros(len(rows), max(map(len, rows), default=0) if width is None else width, dtype=dtype)
    for target, row in zip(filled, rows, strict=True):
        target[: len(row)] = torch.as_tensor(row, dtype=dtype)
    return filled


def completion_mask(completions: Sequence[Sequence[int]]) -> torch.Tensor:
    """Returns bool [B, C]: where a completion has a token."""
    lengths = torch.tensor([len(row) for row in completions])
    return torch.arange(int(lengths.max()) if len(lengths) else 0) < lengths.unsqueeze(1)


def owners_of(keys: Sequence[object]) -> tuple[list[int], list[int]]:
    """Returns (the rows that come first with their key, which of them each row belongs to), by identity.

    >>> one, two = object(), object()
    >>> owners_of([one, one, two])
    ([0, 2], [0, 0, 1])
    """
    firsts: dict[int, int] = {}
    for row, key in enumerate(keys):
        firsts.setdefault(id(key), row)
    place = {key: index for index, key in enumerate(firsts)}
    return list(firsts.values()), [place[id(key)] for key in keys]
