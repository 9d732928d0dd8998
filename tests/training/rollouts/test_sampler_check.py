"""Whether a sampler's log-probabilities agree with the trainer's, and the correction of what is left."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from vlmpost.config.schema import RlConfig
from vlmpost.errors import ConfigError
from vlmpost.training.rollouts.sampler_check import SamplerCheck
from vlmpost.training.update.experience import Experience


class Alone:
    def anywhere(self, here):
        return here

    def means(self, sums):
        return {name: float(value) / float(count) for name, (value, count) in sums.items() if float(count)}


def _check(*, bf16=False, dtype=torch.float32, correct=True, **generation):
    config = RlConfig.model_validate(
        {"data": {"train": [{"task": "card_sums", "num_examples": 1}]}, "rewards": [{"name": "accuracy"}], "generation": generation}
    )
    args = SimpleNamespace(
        bf16=bf16,
        vllm_importance_sampling_correction=correct,
        vllm_importance_sampling_mode="sequence_mask",
        vllm_importance_sampling_clip_min=None,
        vllm_importance_sampling_clip_max=3.0,
    )
    return SamplerCheck(config, args, dtype, Alone())


def _experience(old_logps, sampled):
    known = {"old_logps": torch.tensor(old_logps), "sampled": torch.tensor(sampled)}
    return Experience((None,), (0,) * len(old_logps), tuple((1,) * len(row) for row in old_logps), known)


def test_a_sampler_that_agrees_is_checked_once():
    check = _check()
    assert check.is_due
    check.verify(_experience([[-1.0, -2.0]], [[True, True]]), [[-1.0, -2.001]], generator="The decoder")
    assert not check.is_due


def test_a_sampler_that_disagrees_stops_the_run():
    with pytest.raises(ConfigError, match=r"The decoder and the trainer disagree .* 0\.1000 nats on average"):
        _check().verify(_experience([[-1.0, -2.0]], [[True, True]]), [[-1.1, -2.1]], generator="The decoder")


@pytest.mark.parametrize("half", [{"bf16": True}, {"dtype": torch.bfloat16}])
def test_half_precision_has_wider_bounds(half):
    check = _check(**half)
    check.verify(_experience([[-1.0, -2.0]], [[True, True]]), [[-1.1, -2.1]], generator="The decoder")
    assert not check.is_due  # passed, where float32 stops the run


def test_a_batch_without_a_token_to_compare_leaves_the_check_due():
    check = _check()
    check.verify(_experience([[-1.0]], [[False]]), [[-9.0]], generator="The decoder")
    assert check.is_due


def test_a_narrowed_distribution_is_not_compared():
    assert not _check(top_k=5).is_due


def test_tokens_of_the_environment_are_not_compared():
    check = _check()
    check.verify(_experience([[-1.0, -7.0, -2.0]], [[True, False, True]]), [[-1.0, 0.0, -2.0]], generator="The decoder")
    assert not check.is_due  # passed, where a sampled token that far off stops the run
    with pytest.raises(ConfigError, match="disagree"):
        _check().verify(_experience([[-1.0, -7.0, -2.0]], [[True, True, True]]), [[-1.0, 0.0, -2.0]], generator="The decoder")


def test_the_correction_is_one_ratio_for_a_completion_and_none_beyond_the_bound():
    # Log-ratios 0.5 + 0.5 = 1: e, within 3. And 2 + 0: e^2 is beyond it and masked. The environment's token does not count.
    experience = _experience([[-1.0, -1.0, -4.0], [-1.0, -1.0, 0.0]], [[True, True, False], [True, True, False]])
    found = _check().corrected(experience, [[-1.5, -1.5, 0.0], [-3.0, -1.0]])
    assert found.tensors["sampling_ratio"].flatten().tolist() == pytest.approx([2.7182818, 0.0])
    assert found.tensors["sampling_logps"].tolist() == [[-1.5, -1.5, 0.0], [-3.0, -1.0, 0.0]]
    # Differences 0.5, 0.5, 2 and 0 over four tokens.
    assert found.figures["sampler_gap_nats"] == pytest.approx(0.75)
    assert found.figures["sampler_gap_max_nats"] == pytest.approx(2.0)


def test_without_the_correction_the_gap_is_told_all_the_same():
    found = _check(correct=False).corrected(_experience([[-1.0]], [[True]]), [[-1.25]])
    assert list(found.tensors) == ["sampling_logps"] and found.figures["sampler_gap_nats"] == 0.25
