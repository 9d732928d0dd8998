"""The seeded sampler: the right distribution, the same tokens for the same seed, whatever the neighbours."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from vlmpost.config.schema import GenerationConfig
from vlmpost.errors import ModelError
from vlmpost.models.sampling import (
    NOT_FINITE,
    SeededSampler,
    TokenSampler,
    check_finite,
    draw,
    penalize,
    row_seed,
    seeded_processors,
    streams,
    uniforms,
    warp,
)

PINNED_SEED = 2544926869209934818
PINNED_STREAM = [0.011546754286331562, 0.24154919656271812, 0.11142585551493822]
PROBS = torch.tensor([0.5, 0.25, 0.125, 0.125])


def sampler(config: GenerationConfig, seeds: list[int], **more: object) -> SeededSampler:
    processors = seeded_processors(config, seeds, **{"max_new_tokens": 8, "device": "cpu", **more})
    assert len(processors) == 1
    return processors[0]


def chosen(scores_BV: torch.Tensor) -> list[int]:
    """The only token each row leaves possible."""
    assert torch.equal((scores_BV == 0).sum(dim=1), torch.ones(len(scores_BV), dtype=torch.long))
    assert torch.equal(torch.isneginf(scores_BV).sum(dim=1), torch.full((len(scores_BV),), scores_BV.shape[1] - 1))
    return scores_BV.argmax(dim=1).tolist()


def test_row_seeds_are_stable_and_differ_in_every_argument() -> None:
    assert row_seed(42, "eval", "cards/7", 0) == PINNED_SEED
    others = {row_seed(43, "eval", "cards/7", 0), row_seed(42, "rl", "cards/7", 0), row_seed(42, "eval", "cards/8", 0)}
    assert len(others | {row_seed(42, "eval", "cards/7", 1), PINNED_SEED}) == 5


def test_row_seeds_do_not_run_their_arguments_together() -> None:
    assert row_seed(1, "2", "3", 4) != row_seed(12, "", "3", 4)
    assert row_seed(0, "a", "b", 11) != row_seed(0, "a", "b1", 1)


def test_a_stream_is_pinned_and_a_longer_one_extends_a_shorter() -> None:
    assert uniforms(0, 3).tolist() == PINNED_STREAM
    assert np.array_equal(uniforms(7, 100)[:10], uniforms(7, 10))
    assert not np.array_equal(uniforms(7, 10), uniforms(7 + 2**40, 10))  # no fold to 32 bits


def test_draws_follow_the_distribution() -> None:
    # 20000 draws: the standard deviation of a share p is sqrt(p (1-p) / 20000) <= 0.0036; five of them are 0.018.
    num_draws = 20000
    seeds = torch.from_numpy(np.concatenate([uniforms(seed, 1) for seed in range(num_draws)]))
    tokens = draw(PROBS.log().expand(num_draws, 4), seeds)
    shares = torch.bincount(tokens, minlength=4) / num_draws
    torch.testing.assert_close(shares, PROBS, atol=0.018, rtol=0)


def test_the_ends_of_the_unit_interval_never_give_an_impossible_token() -> None:
    logits = torch.tensor([[-math.inf, 0.0, 0.0, -math.inf]]).expand(2, 4)
    assert draw(logits, torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)).tolist() == [1, 2]


@settings(max_examples=200, deadline=None)
@given(weights=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=12), uniform=st.floats(0, 1, exclude_max=True))
def test_the_drawn_token_holds_the_uniform_in_its_interval(weights: list[float], uniform: float) -> None:
    if sum(weights) == 0:
        weights[0] = 1.0
    token = int(draw(torch.tensor([weights]).log(), torch.tensor([uniform], dtype=torch.float64)))
    below, total = sum(weights[:token]), sum(weights)
    assert weights[token] > 0
    assert below / total - 1e-6 <= uniform <= (below + weights[token]) / total + 1e-6


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("greedy", [True, False])
def test_logits_that_are_not_finite_are_an_error(bad: float, greedy: bool) -> None:
    logits = torch.tensor([[0.0, bad], [0.0, -math.inf]])
    tokens, _ = TokenSampler(GenerationConfig(), device="cpu", greedy=greedy)(logits, uniforms_B=torch.zeros(2, dtype=torch.float64))
    assert tokens.tolist() == [NOT_FINITE, 0]
    with pytest.raises(ModelError, match="not finite"):
        sampler(GenerationConfig(), [1, 2], greedy=greedy)(torch.zeros(2, 1, dtype=torch.long), logits)


def test_finite_tokens_pass() -> None:
    check_finite([0, 5])


def test_rows_at_different_steps_draw_the_numbers_of_their_own_step() -> None:
    # PROBS sums up to 0.5, 0.75, 0.875, 1; seed 0 begins 0.0115, 0.2415, 0.1114: token 0 each time. The other row's number is 0.8.
    draws = torch.stack([streams([0], 3, device="cpu")[0, 2], torch.tensor(0.8, dtype=torch.float64)])
    tokens, logps = TokenSampler(GenerationConfig(), device="cpu", keep_logps=True)(PROBS.log().expand(2, 4), uniforms_B=draws)
    assert tokens.tolist() == [0, 2]
    assert logps is not None
    assert logps.tolist() == pytest.approx([math.log(0.5), math.log(0.125)])


def test_batch_seeding_takes_the_numbers_of_torchs_generator_and_greedy_takes_none() -> None:
    ids, logits = torch.zeros(64, 1, dtype=torch.long), PROBS.log().expand(64, 4)
    torch.manual_seed(3)
    numbers = torch.rand(64, dtype=torch.float64)
    torch.manual_seed(3)
    tokens = chosen(sampler(GenerationConfig(seeding="batch"), [0] * 64)(ids, logits))
    assert tokens == [sum(bound <= number for bound in (0.5, 0.75, 0.875)) for number in numbers.tolist()]
    state = torch.get_rng_state()
    sampler(GenerationConfig(seeding="batch"), [0] * 64, greedy=True)(ids, logits)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_warps_by_hand() -> None:
    logits = PROBS.log()[None]
    removed = -math.inf

    def kept(**fields: float) -> list[float]:
        return warp(logits, GenerationConfig(**fields)).softmax(dim=1)[0].tolist()

    assert kept(top_k=1) == [1, 0, 0, 0]
    assert kept(top_k=2) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert kept(top_p=0.5) == [1, 0, 0, 0]  # 0.5 reaches 0.5
    assert kept(top_p=0.51) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert kept(min_p=0.4) == pytest.approx([2 / 3, 1 / 3, 0, 0])  # 0.4 x 0.5 = 0.2
    assert kept(temperature=0.5) == pytest.approx([x / 0.34375 for x in (0.25, 0.0625, 0.015625, 0.015625)])
    assert warp(logits, GenerationConfig(top_k=1))[0].tolist()[1:] == [removed] * 3


def test_the_warps_agree_with_transformers() -> None:
    logits = torch.randn(16, 50, generator=torch.Generator().manual_seed(0)) * 3
    ids = torch.zeros(16, 1, dtype=torch.long)
    config = GenerationConfig(temperature=0.7, top_k=20, top_p=0.8, min_p=0.05)
    expected = logits / 0.7
    for warper in (TopKLogitsWarper(20), TopPLogitsWarper(0.8), MinPLogitsWarper(0.05)):
        expected = warper(ids, expected)
    torch.testing.assert_close(warp(logits, config), expected)
    assert 16 < torch.isfinite(expected).sum() < 16 * 20


def test_the_penalty_divides_positive_and_multiplies_negative_logits_of_seen_tokens() -> None:
    seen = torch.tensor([[True, True, False, False]])
    assert penalize(torch.tensor([[2.0, -2.0, 2.0, -2.0]]), seen, penalty=2.0).tolist() == [[1.0, -4.0, 2.0, -2.0]]


def test_the_penalty_counts_prompt_and_completion_but_no_padding() -> None:
    # Token 0 pads the first row and is text in the second. Greedy on logits 4, 3, 2 with penalty 2.
    config = GenerationConfig(repetition_penalty=2.0)
    greedy = sampler(config, [0, 0], greedy=True, pad_token_id=0)
    logits = torch.tensor([[4.0, 3.0, 2.5]] * 2)
    assert chosen(greedy(torch.tensor([[0, 0, 2], [2, 0, 2]]), logits)) == [0, 1]  # 4, 3, 1.25 and 2, 3, 1.25
    assert chosen(greedy(torch.tensor([[0, 0, 2, 0], [2, 0, 2, 1]]), logits)) == [1, 0]  # 2, 3, 1.25 and 2, 1.5, 1.25


def test_a_row_draws_the_same_tokens_alone_and_among_others() -> None:
    logits = torch.randn(5, 3, 40, generator=torch.Generator().manual_seed(1))

    def run(rows: list[int]) -> list[list[int]]:
        together = sampler(GenerationConfig(top_p=0.9), [100 + row for row in rows])
        ids = torch.zeros(len(rows), 6, dtype=torch.long)
        steps = []
        for step in range(5):
            steps.append(chosen(together(ids, logits[step, rows])))
            ids = torch.cat([ids, torch.tensor(steps[-1])[:, None]], dim=1)
        return [list(tokens) for tokens in zip(*steps, strict=True)]

    together = run([0, 1, 2])
    assert [run([row])[0] for row in range(3)] == together
    assert run([2, 0]) == [together[2], together[0]]
    assert len({tuple(tokens) for tokens in together}) == 3


def test_suppressed_tokens_are_never_sampled_even_if_most_probable() -> None:
    logits = torch.tensor([[10.0, 0.0, 0.0]]).expand(64, 3)
    ids = torch.zeros(64, 1, dtype=torch.long)
    tokens = chosen(sampler(GenerationConfig(), list(range(64)), suppress_token_ids=[0])(ids, logits))
    assert set(tokens) == {1, 2}


def test_logps_are_of_the_temperature_scaled_distribution_before_the_filters() -> None:
    # PROBS at temperature 1/2: squares over their sum 0.34375.
    kept = sampler(GenerationConfig(temperature=0.5, top_k=1), [3], keep_logps=True, suppress_token_ids=[2])
    assert chosen(kept(torch.zeros(1, 1, dtype=torch.long), PROBS.log()[None])) == [0]
    assert kept.logps().tolist() == [[pytest.approx(math.log(0.25 / 0.34375))]]


def test_half_precision_logits_are_sampled_in_float32() -> None:
    scores = torch.zeros(1, 300, dtype=torch.bfloat16)
    kept = sampler(GenerationConfig(), [3], keep_logps=True)
    kept(torch.zeros(1, 1, dtype=torch.long), scores)
    assert kept.logps().item() == pytest.approx(-math.log(300), rel=1e-6)
