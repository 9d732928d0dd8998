"""Keys and values while completions are written: each prompt's once, however many completions it has, each completion's own beside them.

A step asks one query per row. The queries of all rows of a prompt meet its keys in one product, each row's own keys meet its own
query, and one softmax goes over both; nothing of a prompt is repeated in memory. Attention reaches the cache through `ATTENTION`, a
name in transformers' AttentionInterface, and the keyword `decoding` of the language model's call.

Rows may be at different steps. Their own columns are right-aligned: all end at the same column, and a row that began later has fewer.
So a step writes one column, and a mask is needed only where lengths differ, or where a layer's window slides over the edge.

In half precision scores are rounded as in transformers' eager attention, the softmax is of float32.

Legend: R rows, G prompts (groups of rows), S most rows of one prompt, H key-value heads, Q query heads per key-value head, D size of a
head, P prompt columns, C completion columns. Keys are stored with D before P or C, as the product reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface

from vlmpost.models.prefill import ReadPrompts

ATTENTION = "vlmpost_decoding"
MIN_COLUMNS = 32
"""Columns that a new buffer of completions holds; it grows by doubling."""


@dataclass(slots=True)
class LayerCache:
    """One layer's keys and values."""

    prompt_keys_GHDP: torch.Tensor
    prompt_values_GHPD: torch.Tensor
    own_keys_RHDC: torch.Tensor
    own_values_RHCD: torch.Tensor


class DecodingCache:
    """What the rows in flight attend to. `arrange` says which rows there are, `begin_step` makes room for a token of each."""

    def __init__(self) -> None:
        self._layers: list[LayerCache] = []
        self._prompt_lengths: list[int] = []
        self._groups: list[int] = []
        self._row_lengths: list[int] = []
        self._num_columns = 0
        self._num_slots = 0
        self._places_R: torch.Tensor | None = None
        self._biases: dict[int | None, torch.Tensor | None] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(
            tensor.nbytes
            for layer in self._layers
            for tensor in (layer.prompt_keys_GHDP, layer.prompt_values_GHPD, layer.own_keys_RHDC, layer.own_values_RHCD)
        )

    def arrange(
        self,
        *,
        kept_prompts: Sequence[int],
        new_prompts: Sequence[ReadPrompts],
        kept_rows: Sequence[int | None],
        groups: Sequence[int],
    ) -> None:
        """Lets rows and prompts leave and join.

        Args:
            kept_prompts: Indices of the prompts that stay, in their new order.
            new_prompts: Prompts that follow after them.
            kept_rows: For each row from now on its index so far, or None for a row that begins.
            groups: For each row from now on its prompt, ascending.
        """
        if not self._layers:
            self._layers = [_empty_layer(*layer) for layer in new_prompts[0].layers]
        num_prompts = len(self._prompt_lengths)
        prompt_lengths = [self._prompt_lengths[index] for index in kept_prompts]
        prompt_lengths += [length for prompts in new_prompts for length in prompts.lengths]
        row_lengths = [0 if row is None else self._row_lengths[row] for row in kept_rows]
        columns = slice(self._num_columns - max(row_lengths), self._num_columns)
        for index, layer in enumerate(self._layers):
            if new_prompts or len(kept_prompts) < num_prompts:
                _join_prompts(layer, kept_prompts, [prompts.layers[index] for prompts in new_prompts], max(prompt_lengths))
            _select_rows(layer, kept_rows, columns)
        self._prompt_lengths, self._row_lengths, self._groups = prompt_lengths, row_lengths, list(groups)
        self._num_columns = max(row_lengths)
        self._number_slots()

    def begin_step(self) -> None:
        """Makes room for one more token of each row."""
        if self._num_columns == self._layers[0].own_values_RHCD.shape[2]:
            for layer in self._layers:
                layer.own_keys_RHDC = functional.pad(layer.own_keys_RHDC, (0, self._num_columns))
                layer.own_values_RHCD = functional.pad(layer.own_values_RHCD, (0, 0, 0, self._num_columns))
        self._num_columns += 1
        self._row_lengths = [length + 1 for length in self._row_lengths]
        self._biases.clear()

    def attend(
        self,
        layer_index: int,
        query_RHQD: torch.Tensor,
        key_RHD: torch.Tensor,
        value_RHD: torch.Tensor,
        *,
        scaling: float,
        window: int | None,
    ) -> torch.Tensor:
        """Returns what each row's token reads, [R, H, Q, D], and keeps its key and value; it reads itself too.

        Args:
            layer_index: Of the language model.
            query_RHQD: Of the rows in the order of `arrange`.
            key_RHD: Of the same tokens.
            value_RHD: Of the same tokens.
            scaling: Factor of the scores.
            window: Tokens that the layer reads back, its own included; None: all.
        """
        layer, end = self._layers[layer_index], self._num_columns
        layer.own_keys_RHDC[..., end - 1] = key_RHD
        layer.own_values_RHCD[:, :, end - 1] = value_RHD
        query_RHQD = query_RHQD * scaling
        num_columns = layer.prompt_values_GHPD.shape[2]
        scores_RHQP = self._by_row(self._by_group(query_RHQD) @ layer.prompt_keys_GHDP)
        scores_RHQC = query_RHQD @ layer.own_keys_RHDC[..., :end]
        scores = torch.cat([scores_RHQP, scores_RHQC], dim=-1)
        if (bias := self._bias(window, scores)) is not None:
            scores += bias
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(value_RHD.dtype)
        prompt_part_RHQD = self._by_row(self._by_group(weights[..., :num_columns]) @ layer.prompt_values_GHPD)
        return prompt_part_RHQD + weights[..., num_columns:] @ layer.own_values_RHCD[:, :, :end]

    def _by_group(self, values_RHQX: torch.Tensor) -> torch.Tensor:
        """[R, H, Q, X] as [G, H, S * Q, X]; slots without a row are 0."""
        _, num_heads, num_queries, size = values_RHQX.shape
        num_groups = len(self._prompt_lengths)
        if self._places_R is not None:
            empty = values_RHQX.new_zeros(num_groups * self._num_slots, num_heads, num_queries, size)
            values_RHQX = empty.index_copy_(0, self._places_R, values_RHQX)
        values_GSHQX = values_RHQX.view(num_groups, self._num_slots, num_heads, num_queries, size)
        return values_GSHQX.transpose(1, 2).reshape(num_groups, num_heads, self._num_slots * num_queries, size)

    def _by_row(self, values_GHMX: torch.Tensor) -> torch.Tensor:
        """The inverse of `_by_group`."""
        num_groups, num_heads, num_queries, size = values_GHMX.shape
        values_GHSQX = values_GHMX.view(num_groups, num_heads, self._num_slots, num_queries // self._num_slots, size)
        values_RHQX = values_GHSQX.transpose(1, 2).flatten(0, 1)
        return values_RHQX if self._places_R is None else values_RHQX[self._places_R]

    def _number_slots(self) -> None:
        """Gives each row a place among the S of its prompt; None where rows fill all places in order."""
        slots, seen = [], dict.fromkeys(range(len(self._prompt_lengths)), 0)
        for group in self._groups:
            slots.append(seen[group])
            seen[group] += 1
        self._num_slots = max(seen.values(), default=0)
        places = [group * self._num_slots + slot for group, slot in zip(self._groups, slots, strict=True)]
        is_full = places == list(range(len(self._prompt_lengths) * self._num_slots))
        device = self._layers[0].own_values_RHCD.device
        self._places_R = None if is_full else torch.tensor(places, device=device)

    def _bias(self, window: int | None, like: torch.Tensor) -> torch.Tensor | None:
        """0 where a row may look and minus infinity elsewhere, [R, 1, 1, P + C]; None where it may look everywhere."""
        if window not in self._biases:
            self._biases[window] = self._new_bias(window, like)
        return self._biases[window]

    def _new_bias(self, window: int | None, like: torch.Tensor) -> torch.Tensor | None:
        num_prompt_columns = self._layers[0].prompt_values_GHPD.shape[2]
        num_own = self._num_columns
        has_equal_lengths = min(self._prompt_lengths) == num_prompt_columns and min(self._row_lengths) == num_own
        if has_equal_lengths and (window is None or num_prompt_columns + num_own <= window):
            return None
        lengths_R1 = torch.tensor(self._row_lengths, device=like.device)[:, None]
        prompt_lengths_R1 = torch.tensor([self._prompt_lengths[group] for group in self._groups], device=like.device)[:, None]
        # Tokens between the query and a key: 0 for the query's own.
        own_C = torch.arange(num_own - 1, -1, -1, device=like.device)
        prompt_P = torch.arange(num_prompt_columns - 1, -1, -1, device=like.device)
        hidden_RC = own_C >= lengths_R1
        hidden_RP = prompt_P >= prompt_lengths_R1
        if window is not None:
            hidden_RC = hidden_RC | (own_C >= window)
            hidden_RP = hidden_RP | (prompt_P + lengths_R1 >= window)
        hidden = torch.cat([hidden_RP, hidden_RC], dim=1)[:, None, None]
        return torch.zeros(hidden.shape, dtype=like.dtype, device=like.device).masked_fill_(hidden, -torch.inf)


def register() -> None:
    """Makes `ATTENTION` known to transformers; it has no mask of its own, so none is built for it."""
    AttentionInterface.register(ATTENTION, decoding_attention)


def decoding_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 (None: the cache knows what a row may read)
    *,
    decoding: DecodingCache,
    scaling: float,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attention in the form that transformers calls: query [R, H * Q, 1, D], key and value [R, H, 1, D]; returns [R, 1, H * Q, D]."""
    num_rows, num_heads, _, size = key.shape
    query_RHQD = query.reshape(num_rows, num_heads, -1, size)
    read_RHQD = decoding.attend(module.layer_idx, query_RHQD, key[:, :, 0], value[:, :, 0], scaling=scaling, window=sliding_window)
    return read_RHQD.reshape(num_rows, 1, -1, size), None


def _empty_layer(keys_BHPD: torch.Tensor, values_BHPD: torch.Tensor) -> LayerCache:
    """A layer without prompts and rows, of the shapes and types of these keys and values."""
    keys_0H0D, values_0H0D = keys_BHPD[:0, :, :0], values_BHPD[:0, :, :0]
    return LayerCache(keys_0H0D.transpose(2, 3), values_0H0D, keys_0H0D.transpose(2, 3), values_0H0D)


def _join_prompts(layer: LayerCache, kept: Sequence[int], new: Sequence[tuple[torch.Tensor, torch.Tensor]], longest: int) -> None:
    """Leaves the kept prompts and the new ones, left-padded to `longest` columns."""
    keys = [layer.prompt_keys_GHDP[list(kept)], *(keys.transpose(2, 3) for keys, _ in new)]
    values = [layer.prompt_values_GHPD[list(kept)], *(values for _, values in new)]
    # A negative number of columns to add takes padding away, where a longer prompt has left.
    layer.prompt_keys_GHDP = torch.cat([functional.pad(part, (longest - part.shape[3], 0)) for part in keys])
    layer.prompt_values_GHPD = torch.cat([functional.pad(part, (0, 0, longest - part.shape[2], 0)) for part in values])


def _select_rows(layer: LayerCache, kept: Sequence[int | None], columns: slice) -> None:
    """Leaves the kept rows' columns, with room for more; rows that begin are 0."""
    places = [place for place, row in enumerate(kept) if row is not None]
    sources = [row for row in kept if row is not None]
    num_columns = columns.stop - columns.start
    capacity = max(MIN_COLUMNS, 1 << (2 * num_columns - 1).bit_length()) if num_columns else MIN_COLUMNS
    keys = layer.own_keys_RHDC.new_zeros(len(kept), *layer.own_keys_RHDC.shape[1:3], capacity)
    values = layer.own_values_RHCD.new_zeros(len(kept), layer.own_values_RHCD.shape[1], capacity, layer.own_values_RHCD.shape[3])
    if places:
        keys[places, ..., :num_columns] = layer.own_keys_RHDC[sources, ..., columns]
        values[places, :, :num_columns] = layer.own_values_RHCD[sources, :, columns]
    layer.own_keys_RHDC, layer.own_values_RHCD = keys, values
