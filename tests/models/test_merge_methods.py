"""The formulas of merging against sums done by hand, against PEFT's, and over drawn shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft.utils import merge_utils

from vlmpost.models.merging import blocks
from vlmpost.models.merging.arithmetic import generator_of, magnitude_drop
from vlmpost.models.merging.blocks import cut_of
from vlmpost.models.merging.methods import METHODS, Formula

BASE = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
FIRST = torch.tensor([[3.0, 0.0, 1.0], [2.0, 6.0, 1.0]])  # minus the base: [[2, -1, 0], [0, 4, -1]]
SECOND = torch.tensor([[2.0, 4.0, 1.0], [1.0, 0.0, 5.0]])  # minus the base: [[1, 3, 0], [-1, -2, 3]]


def formula_of(method: str, weights: Sequence[float], **numbers: Any) -> Formula:
    return Formula(METHODS[method], tuple(weights), **{"normalize": METHODS[method].normalizes, **numbers})


def reading(tensor: torch.Tensor) -> blocks.Read:
    return lambda start, stop: tensor.flatten()[start:stop].to(torch.float32, copy=True)


def merged(formula: Formula, tensors: Sequence[torch.Tensor], base: torch.Tensor | None, *, name: str = "w") -> torch.Tensor:
    """The whole tensor, out of its blocks."""
    shape = tensors[0].shape
    parts = list(blocks.merged(formula, list(map(reading, tensors)), None if base is None else reading(base), shape=shape, name=name))
    return torch.cat(parts).view(shape) if parts else torch.zeros(shape)


def slerp(first: torch.Tensor, second: torch.Tensor, *, share: float) -> torch.Tensor:
    return merged(formula_of("slerp", (1 - share, share)), [first, second], None)


def trimmed(delta: torch.Tensor, *, density: float) -> list[float]:
    result: list[float] = merged(formula_of("ties", (1.0,), density=density), [delta], torch.zeros(delta.shape)).tolist()
    return result


def result(method: str, weights: Sequence[float] = (0.5, 0.5), **numbers: Any) -> list[list[float]]:
    tensor = merged(formula_of(method, weights, **numbers), [FIRST, SECOND], BASE)
    assert tensor.dtype == torch.float32
    whole: list[list[float]] = tensor.tolist()
    return whole


def test_linear_divides_by_the_sum_of_the_weights() -> None:
    # (1 * first + 3 * second) / 4, e.g. (1 * 3 + 3 * 2) / 4 = 2.25
    assert result("linear", (1.0, 3.0)) == [[2.25, 3.0, 1.0], [1.25, 1.5, 4.0]]


def test_task_arithmetic_adds_weighted_differences_times_lambda() -> None:
    # base + 2 * (0.5 * [[2, -1, 0], [0, 4, -1]] + 1 * [[1, 3, 0], [-1, -2, 3]])
    assert result("task_arithmetic", (0.5, 1.0), lam=2.0) == [[5.0, 6.0, 1.0], [0.0, 2.0, 7.0]]


def test_ties_trims_elects_and_averages_those_that_agree() -> None:
    # Trimmed to 3 of 6, of equal magnitudes the first: [[2, -1, 0], [0, 4, 0]] and [[0, 3, 0], [0, -2, 3]].
    # Sums times 0.5: [[1, 1, 0], [0, 1, 1.5]]: all plus.
    # Means of the positive entries: [[2, 3, 0], [0, 4, 3]].
    assert result("ties", density=0.5) == [[3.0, 4.0, 1.0], [2.0, 6.0, 5.0]]


def test_ties_weighs_both_the_election_and_the_mean() -> None:
    # 3 * first + 1 * second: [[7, 0, 0], [-1, 10, 0]]: signs + + + / - + +, 0 counts as plus.
    # Entries that agree: (3*2 + 1*1) / 4 = 1.75; 3; none / -1; 4; 3
    assert result("ties", (3.0, 1.0)) == [[2.75, 4.0, 1.0], [1.0, 6.0, 5.0]]


def test_slerp_of_right_angles_goes_along_the_circle() -> None:
    third = slerp(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]]), share=1 / 3)
    # sin(60 deg) * (2, 0) + sin(30 deg) * (0, 1), divided by sin(90 deg) = 1
    torch.testing.assert_close(third, torch.tensor([[2 * math.sqrt(3) / 2, 0.5]]))


def test_slerp_on_task_vectors_takes_the_angle_between_the_differences() -> None:
    # Differences: dot = 2 - 3 + 0 + 0 - 8 - 3 = -12; squares 4 + 1 + 16 + 1 = 22 and 1 + 9 + 1 + 4 + 9 = 24.
    angle = math.acos(-12 / math.sqrt(22 * 24))
    part = math.sin(0.5 * angle) / math.sin(angle)
    expected = [[1 + 3 * part, 1 + 2 * part, 1.0], [2 - 1 * part, 2 + 2 * part, 2 + 2 * part]]
    torch.testing.assert_close(torch.tensor(result("slerp_task")), torch.tensor(expected))


@pytest.mark.parametrize(
    ("first", "second"),
    [([1.0, 2.0], [2.0, 4.0]), ([1.0, 2.0], [-2.0, -4.0]), ([0.0, 0.0], [2.0, 4.0]), ([0.0, 0.0], [0.0, 0.0])],
    ids=["parallel", "opposite", "one zero", "both zero"],
)
def test_slerp_is_linear_where_there_is_no_arc(first: list[float], second: list[float]) -> None:
    expected = [0.75 * one + 0.25 * other for one, other in zip(first, second, strict=True)]
    assert slerp(torch.tensor(first), torch.tensor(second), share=0.25).tolist() == expected


def test_dare_drops_or_divides_by_the_density() -> None:
    row = torch.arange(1.0, 10_001.0)
    kept = merged(formula_of("dare_linear", (1.0,), density=0.25), [row], torch.zeros(10_000)) / row
    assert set(kept.tolist()) == {0.0, 4.0}
    # Binomial: 2500 kept, standard deviation sqrt(10000 * 0.25 * 0.75) = 43; five of them either way.
    assert abs(int((kept != 0).sum()) - 2500) < 217


@pytest.mark.parametrize("normalize", [False, True])
def test_dare_with_signs_takes_what_the_masks_left(normalize: bool) -> None:
    masks = [torch.rand(6, generator=generator_of("w", index=index, seed=7)).view(2, 3) < 0.5 for index in (0, 1)]
    deltas = [(FIRST - BASE) * masks[0] * 2, (SECOND - BASE) * masks[1] * 2]
    expected = BASE.clone()
    for row in range(2):
        for column in range(3):
            entries = [float(delta[row, column]) for delta in deltas]
            sign = 1 if sum(entries) >= 0 else -1
            agreeing = [entry for entry in entries if entry * sign > 0]
            expected[row, column] += sum(agreeing) / max(1, len(agreeing)) if normalize else sum(agreeing) / 2
    assert result("dare_ties", density=0.5, seed=7, normalize=normalize) == expected.tolist()


def test_normalize_divides_by_the_weights_that_were_added() -> None:
    # 1 * [[2, -1, 0], [0, 4, -1]] + 3 * [[1, 3, 0], [-1, -2, 3]] = [[5, 8, 0], [-3, -2, 8]]; over 4: [[1.25, 2, 0], [-0.75, -0.5, 2]]
    assert result("task_arithmetic", (1.0, 3.0), normalize=True) == [[2.25, 3.0, 1.0], [1.25, 1.5, 4.0]]
    assert result("dare_linear", (1.0, 3.0), normalize=True) == result("task_arithmetic", (1.0, 3.0), normalize=True)
    # 1 * first + 3 * second
    assert result("linear", (1.0, 3.0), normalize=False) == [[9.0, 12.0, 4.0], [5.0, 6.0, 16.0]]
    # Signs + + + / - - +: 1 * 2 + 3 * 1, 3 * 3, none / 3 * -1, 3 * -2, 3 * 3
    assert result("ties", (1.0, 3.0), normalize=False) == [[6.0, 10.0, 1.0], [-1.0, -4.0, 11.0]]


def test_defaults_of_normalize_are_those_of_mergekit() -> None:
    # merge_methods/registry.py of mergekit 0.1.5, `default_normalize`, and merge_methods/linear.py
    theirs = {"dare_linear": False, "dare_ties": False, "della": True, "linear": True, "task_arithmetic": False, "ties": True}
    assert {name: METHODS[name].normalizes for name in theirs} == theirs
    assert METHODS.keys() - theirs.keys() == {"slerp", "slerp_task"}


def test_della_keeps_larger_entries_with_higher_probability_and_divides_by_it() -> None:
    # Ranks of (-1, 8, 3) are 0, 2, 1: probabilities 0.5 - 0.2, 0.5 + 0.2 and 0.5.
    rows = torch.tensor([-1.0, 8.0, 3.0]).repeat(40_000)
    kept = magnitude_drop(rows, row=3, density=0.5, epsilon=0.4, generator=generator_of("w", index=0, seed=0)).view(-1, 3)
    for column, (value, prob) in enumerate(zip((-1.0, 8.0, 3.0), (0.3, 0.7, 0.5), strict=True)):
        found = kept[:, column]
        torch.testing.assert_close(found[found != 0], torch.full_like(found[found != 0], value / prob))
        # Standard deviation of the share: sqrt(0.25 / 40000) = 0.0025.
        assert abs(float((found != 0).float().mean()) - prob) < 0.0125


def test_della_of_rows_with_one_entry_keeps_with_the_density_itself() -> None:
    kept = magnitude_drop(torch.ones(10_000), row=1, density=0.5, epsilon=0.4, generator=generator_of("w", index=0, seed=0))
    assert set(kept.flatten().tolist()) == {0.0, 2.0}


def test_trimming_keeps_exactly_the_share_even_among_equal_magnitudes() -> None:
    assert trimmed(torch.tensor([1.0, -1.0, 1.0, 1.0]), density=0.5) == [1.0, -1.0, 0.0, 0.0]
    assert trimmed(torch.tensor([3.0]), density=0.1) == [3.0]


def test_equal_magnitudes_are_counted_over_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 2)
    # 4 of 7 stay: 5 and 3, then two of the four 2s, the first ones, which lie in different blocks.
    assert trimmed(torch.tensor([1.0, 2.0, 5.0, -2.0, 2.0, -3.0, 2.0]), density=0.6) == [0.0, 2.0, 5.0, -2.0, 0.0, -3.0, 0.0]


@settings(max_examples=60)
@given(
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    density=st.floats(0.01, 1.0),
)
def test_the_cut_is_that_of_sorting(values: list[float], density: float) -> None:
    tensor = torch.tensor(values)
    in_order = sorted(map(abs, tensor.tolist()), reverse=True)
    num_kept = max(1, int(density * len(values)))
    cut = cut_of(reading(tensor), num_entries=len(values), density=density)
    assert cut.magnitude == in_order[num_kept - 1]
    assert cut.num_equal == num_kept - sum(value > cut.magnitude for value in in_order)


@pytest.mark.filterwarnings("ignore:The density 1.0")
def test_formulas_agree_with_those_of_peft_where_both_have_them() -> None:
    deltas = [torch.randn(5, 7, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2, 3)]
    ones, zero = torch.ones(3), torch.zeros(5, 7)
    for name, theirs in (
        ("ties", merge_utils.ties(deltas, ones, density=0.4)),
        ("task_arithmetic", merge_utils.task_arithmetic(deltas, ones)),
        ("dare_linear", merge_utils.dare_linear(deltas, ones, density=1.0)),
        ("dare_ties", merge_utils.dare_ties(deltas, ones, density=1.0)),
    ):
        density = 0.4 if name == "ties" else 1.0
        signs = METHODS[name].elects_signs  # PEFT always divides by the number of those that agree
        ours = merged(formula_of(name, (1.0, 1.0, 1.0), density=density, normalize=signs), deltas, zero)
        torch.testing.assert_close(ours, theirs, msg=name)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della"])
def test_what_is_dropped_hangs_on_seed_name_and_model_alone(method: str) -> None:
    tensor = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))

    def drawn(name: str, seed: int) -> list[list[float]]:
        return merged(formula_of(method, (1.0,), density=0.5, seed=seed), [tensor], torch.zeros(64, 64), name=name).tolist()

    first = drawn("a", 1)
    torch.rand(3)  # the global stream plays no part
    assert drawn("a", 1) == first
    assert drawn("b", 1) != first != drawn("a", 2)
    swapped = merged(formula_of(method, (0.0, 1.0), density=0.5, seed=1), [tensor, tensor], torch.zeros(64, 64), name="a")
    assert swapped.tolist() != first


def test_blocks_change_no_sum_and_no_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (torch.randn(9, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        dropped = merged(formula_of("della", (1.0,), density=0.5, epsilon=0.2), [first], torch.zeros(9, 4))
        return slerp(first, second, share=0.3), dropped

    whole = both()
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 8)
    torch.testing.assert_close(both(), whole)


@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(0, 4), max_size=4),
    method=st.sampled_from(sorted(METHODS)),
    density=st.sampled_from([0.3, 0.5, 1.0]),
    seed=st.integers(0, 2**16),
)
def test_every_method_keeps_the_shape_and_what_the_models_agree_on(shape: list[int], method: str, density: float, seed: int) -> None:
    base = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    formula = formula_of(method, (0.4, 0.6), density=density, seed=seed)
    same = merged(formula, [base.bfloat16(), base.bfloat16()], base.bfloat16())
    assert (same.shape, same.dtype) == (base.shape, torch.float32)
    torch.testing.assert_close(same, base.bfloat16().float())


@settings(max_examples=60)
@given(shape=st.lists(st.integers(1, 4), max_size=3), share=st.floats(0.01, 0.99), seed=st.integers(0, 2**16))
def test_linear_and_slerp_read_the_same_from_either_end(shape: list[int], share: float, seed: int) -> None:
    first, second = (torch.randn(shape, generator=torch.Generator().manual_seed(seed + add)) for add in (0, 1))
    for method in ("linear", "slerp"):
        there = merged(formula_of(method, (1 - share, share)), [first, second], None)
        back = merged(formula_of(method, (share, 1 - share)), [second, first], None)
        torch.testing.assert_close(there, back)
