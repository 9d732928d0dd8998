"""Where each token of a packed row stands: pure index arithmetic, no model.

One row holds all prompts and completions of a batch, without padding. For each prompt `p_1 .. p_P` with its completions it holds
`p_1 .. p_{P-1}`, then for each completion `c_1 .. c_n` the tokens `p_P, c_1 .. c_{n-1}`: the last prompt token is repeated once per
completion, so that every token whose successor is scored stands with its completion.

    row      a1 a2 | a3 x1 x2 | a3 y1 | b1 | b2 z1        prompts a (3 tokens) and b (2); completions x (3), y (2) of a, z (2) of b
    scores           x1 x2 x3   y1 y2        z1 z2

Attention is quadratic, so only there tokens are put into padded blocks: prompts of like lengths together, completions of like lengths
together. A block is made so large only that padding costs little.

Legend: T tokens of the row, S slots of all blocks one after another, B prompts of a block, P their padded length, N completions of a
block, C their padded length.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

MAX_PADDED_WORK = 1.25
"""A block's attention may cost this many times what its members cost alone, ..."""
FREE_WORK = 2**20
"""... beside so many pairs of tokens, where one call is cheaper than several exact ones."""

TEXT = -1
"""Image number of a token that is no image's."""

Masks = dict[tuple[int, int | None, torch.dtype], torch.Tensor]


@dataclass(slots=True)
class PromptBlock:
    """Prompts whose tokens, the last one of each left out, are attended to in one call; filled up on the right."""

    lengths_B: torch.Tensor
    """int64."""
    num_prompts: int
    length: int
    """P."""
    image_numbers_BP: torch.Tensor | None = None
    """Which image of its prompt a token belongs to, -1 for text; tokens of one image see each other. None: plainly causal."""

    def to(self, device: torch.device | str) -> PromptBlock:
        """The same block on a device."""
        numbers_BP = None if self.image_numbers_BP is None else self.image_numbers_BP.to(device)
        return PromptBlock(self.lengths_B.to(device), self.num_prompts, self.length, numbers_BP)


@dataclass(slots=True)
class CompletionBlock:
    """Completions that are attended to in one call, all of prompts of one prompt block; filled up on the right."""

    prompt_block: int
    """Index of the block that their prompts stand in."""
    owners_N: torch.Tensor
    """int64, the row in that block of each completion's prompt."""
    prompt_lengths_N1: torch.Tensor
    """int64, without the last token."""
    num_completions: int
    length: int
    """C."""
    per_prompt: int | None
    """Completions of each prompt where they are equally many for every prompt of the block, and in its order."""
    has_equal_prompts: bool
    """Whether their prompts are as long as the prompt block, so that one mask serves all."""

    def to(self, device: torch.device | str) -> CompletionBlock:
        """The same block on a device."""
        return replace(self, owners_N=self.owners_N.to(device), prompt_lengths_N1=self.prompt_lengths_N1.to(device))


# Not frozen: sharded wrappers take dataclasses among a call's arguments apart and set their fields anew.
@dataclass(slots=True)
class Layout:
    """The order of the packed row, and the blocks that its tokens are put into for attention."""

    slots_S: torch.Tensor
    """int64, the token in each slot, prompt blocks first; a slot that only fills up names token 0."""
    places_T: torch.Tensor
    """int64, the slot of each token."""
    fills_S: torch.Tensor | None
    """bool, slots that only fill up; None where there are none."""
    prompt_blocks: list[PromptBlock]
    completion_blocks: list[CompletionBlock]
    masks: Masks = field(default_factory=dict)
    """Made at first use: additive masks by block, sliding window and type."""

    def to(self, device: torch.device | str) -> Layout:
        """The same layout with its index tensors on a device."""
        return Layout(
            slots_S=self.slots_S.to(device),
            places_T=self.places_T.to(device),
            fills_S=None if self.fills_S is None else self.fills_S.to(device),
            prompt_blocks=[block.to(device) for block in self.prompt_blocks],
            completion_blocks=[block.to(device) for block in self.completion_blocks],
        )


@dataclass(frozen=True, slots=True)
class Spans:
    """Where prompts and completions start in the packed row."""

    prompt_starts: tuple[int, ...]
    completion_starts: tuple[int, ...]
    num_tokens: int


def spans(prompt_lengths: Sequence[int], owners: Sequence[int], completion_lengths: Sequence[int]) -> Spans:
    """Returns the first place of each prompt and completion.

    Args:
        prompt_lengths: Tokens of each prompt, the last one left out.
        owners: The prompt of each completion.
        completion_lengths: Tokens of each completion.

    Example:
        >>> spans([2, 1], [0, 0, 1], [3, 2, 2])
        Spans(prompt_starts=(0, 7), completion_starts=(2, 5, 8), num_tokens=10)
    """
    members: list[list[int]] = [[] for _ in prompt_lengths]
    for completion, owner in enumerate(owners):
        members[owner].append(completion)
    prompt_starts, completion_starts, place = [], [0] * len(completion_lengths), 0
    for prompt_length, own in zip(prompt_lengths, members, strict=True):
        prompt_starts.append(place)
        place += prompt_length
        for completion in own:
            completion_starts[completion] = place
            place += completion_lengths[completion]
    return Spans(tuple(prompt_starts), tuple(completion_starts), place)


def lay_out(
    prompt_lengths: Sequence[int],
    owners: Sequence[int],
    completion_lengths: Sequence[int],
    *,
    image_numbers: Sequence[torch.Tensor] | None = None,
) -> Layout:
    """Returns the blocks of a packed row.

    Args:
        prompt_lengths: Tokens of each prompt, the last one left out; at least 1.
        owners: The prompt of each completion.
        completion_lengths: Tokens of each completion; at least 1.
        image_numbers: int64 per prompt, see `PromptBlock`; None for plainly causal prompts.
    """
    where = spans(prompt_lengths, owners, completion_lengths)
    prompt_blocks: list[PromptBlock] = []
    completion_blocks: list[CompletionBlock] = []
    prompt_slots: list[torch.Tensor] = []
    completion_slots: list[torch.Tensor] = []
    for prompts in alike(prompt_lengths, lambda length: length * length):
        lengths = [prompt_lengths[prompt] for prompt in prompts]
        block = _prompt_block(lengths, None if image_numbers is None else [image_numbers[prompt] for prompt in prompts])
        prompt_slots.append(_slots([where.prompt_starts[prompt] for prompt in prompts], lengths))
        row_of = {prompt: row for row, prompt in enumerate(prompts)}
        own = [completion for completion, owner in enumerate(owners) if owner in row_of]
        for chosen in alike([completion_lengths[completion] for completion in own], functools.partial(_completion_work, block.length)):
            members = [own[index] for index in chosen]
            lengths = [completion_lengths[completion] for completion in members]
            rows = [row_of[owners[completion]] for completion in members]
            completion_blocks.append(_completion_block(len(prompt_blocks), block, rows, max(lengths)))
            completion_slots.append(_slots([where.completion_starts[completion] for completion in members], lengths))
        prompt_blocks.append(block)
    return _joined(torch.cat(prompt_slots + completion_slots), where.num_tokens, prompt_blocks, completion_blocks)


def alike(lengths: Sequence[int], work: Callable[[int], int]) -> list[list[int]]:
    """Returns the indices of `lengths` in groups of like length, each in rising order of index, longest group first.

    Args:
        lengths: One per member.
        work: What a member of a length costs alone; in a group each costs what the longest does.

    Example:
        >>> alike([3, 1, 3], lambda length: length * length)     # all small: one group
        [[0, 1, 2]]
        >>> alike([3000, 10, 3000], lambda length: length * length)
        [[0, 2], [1]]
    """
    groups: list[list[int]] = []
    exact = longest = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        own = work(lengths[index])
        if groups and (len(groups[-1]) + 1) * longest <= MAX_PADDED_WORK * (exact + own) + FREE_WORK:
            groups[-1].append(index)
            exact += own
        else:
            groups.append([index])
            exact = longest = own
    return [sorted(group) for group in groups]


def _completion_work(prompt_length: int, length: int) -> int:
    return length * (prompt_length + length)


def _prompt_block(lengths: Sequence[int], image_numbers: Sequence[torch.Tensor] | None) -> PromptBlock:
    longest = max(lengths)
    numbers_BP = None
    if image_numbers is not None:
        numbers_BP = torch.full((len(lengths), longest), TEXT)
        for row, own_P in enumerate(image_numbers):
            numbers_BP[row, : len(own_P)] = own_P
    return PromptBlock(torch.tensor(lengths), len(lengths), longest, numbers_BP)


def _completion_block(index: int, prompts: PromptBlock, rows: Sequence[int], length: int) -> CompletionBlock:
    owners_N = torch.tensor(rows)
    lengths_N1 = prompts.lengths_B[owners_N].unsqueeze(1)
    per_prompt = len(rows) // prompts.num_prompts
    is_regular = list(rows) == [row for row in range(prompts.num_prompts) for _ in range(per_prompt)]
    return CompletionBlock(
        prompt_block=index,
        owners_N=owners_N,
        prompt_lengths_N1=lengths_N1,
        num_completions=len(rows),
        length=length,
        per_prompt=per_prompt if is_regular else None,
        has_equal_prompts=bool((lengths_N1 == prompts.length).all()),
    )


def _slots(starts: Sequence[int], lengths: Sequence[int]) -> torch.Tensor:
    """The token in each slot of a block, row after row, -1 where a slot only fills up."""
    steps_L = torch.arange(max(lengths))
    slots_BL = torch.tensor(starts)[:, None] + steps_L
    return slots_BL.masked_fill(steps_L >= torch.tensor(lengths)[:, None], -1).flatten()


def _joined(slots_S: torch.Tensor, num_tokens: int, prompt_blocks: list[PromptBlock], completion_blocks: list[CompletionBlock]) -> Layout:
    fills_S = slots_S < 0
    places_T = torch.full((num_tokens,), -1)
    places_T[slots_S[~fills_S]] = torch.arange(len(slots_S))[~fills_S]
    assert bool((places_T >= 0).all()), f"{int((places_T < 0).sum())} of {num_tokens} tokens stand in no block"
    return Layout(
        slots_S=slots_S.clamp(min=0),
        places_T=places_T,
        fills_S=fills_S if bool(fills_S.any()) else None,
        prompt_blocks=prompt_blocks,
        completion_blocks=completion_blocks,
    )
