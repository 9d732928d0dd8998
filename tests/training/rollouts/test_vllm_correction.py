"""The importance-sampling correction by hand, and against what TRL's trainer does with the same numbers."""

from __future__ import annotations

import inspect
import math
from types import SimpleNamespace

import pytest
import torch
from trl import GRPOTrainer

from vlmpost.training.rollouts.vllm_correction import correction_figures, importance_ratio

NAN = float("nan")
TRAINER = torch.tensor([[-1.0, -1.0, -2.0], [-1.0, -1.0, -1.0]])
SAMPLER = torch.tensor([[-1.0 - math.log(2), -1.0 + math.log(4), -9.0], [-1.0 - math.log(3), -1.0 - math.log(3), NAN]])
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])
# ratios of the tokens: 2, 1/4, padding; 3, 3, unknown. Of the completions: 2 * 1/4 = 0.5; 3 * 3 = 9.


@pytest.mark.parametrize(
    ("mode", "clip_min", "clip_max", "expected"),
    [
        ("token_truncate", None, 2.5, [[2, 0.25, 1], [2.5, 2.5, 1]]),
        ("token_truncate", 0.5, None, [[2, 0.5, 1], [3, 3, 1]]),
        ("token_mask", None, 2.5, [[2, 0.25, 1], [0, 0, 1]]),
        ("token_mask", 0.5, 2.5, [[2, 0, 1], [0, 0, 1]]),
        ("token_mask", None, None, [[2, 0.25, 1], [3, 3, 1]]),
        ("sequence_truncate", None, 2.5, [[0.5], [2.5]]),
        ("sequence_truncate", 0.75, 2.5, [[0.75], [2.5]]),
        ("sequence_mask", None, 3.0, [[0.5], [0]]),
        ("sequence_mask", 0.75, 10.0, [[0], [9]]),
    ],
)
def test_ratios_by_hand(mode, clip_min, clip_max, expected):
    ratio = importance_ratio(TRAINER, SAMPLER, MASK, mode=mode, clip_min=clip_min, clip_max=clip_max)
    torch.testing.assert_close(ratio, torch.tensor(expected, dtype=torch.float32))


def test_a_bound_itself_is_inside():
    one, equal = torch.zeros(1, 1), torch.zeros(1, 1)
    assert importance_ratio(one, equal, torch.ones(1, 1), mode="token_mask", clip_min=1.0, clip_max=1.0).item() == 1.0


def test_an_unknown_log_probability_behind_the_mask_changes_nothing():
    ratio = importance_ratio(
        torch.zeros(1, 2), torch.tensor([[0.0, NAN]]), torch.tensor([[1, 0]]), mode="sequence_mask", clip_min=None, clip_max=3.0
    )
    assert ratio.tolist() == [[1.0]]


def _trls(trainer, sampler, mask, *, mode, clip_min, clip_max):
    """The lines of TRL's trainer that make the ratio, run as they stand."""
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    first = source.index("                per_token_logps_diff = (old_per_token_logps - sampling_per_token_logps) * mask")
    last = source.index("            # Compute the per-token log probabilities for the reference model")
    names = {
        "vllm_importance_sampling_mode": mode,
        "vllm_importance_sampling_clip_min": clip_min,
        "vllm_importance_sampling_clip_max": clip_max,
    }
    scope = {
        "torch": torch,
        "math": math,
        "self": SimpleNamespace(**names),
        "old_per_token_logps": trainer,
        "sampling_per_token_logps": sampler,
        "mask": mask,
    }
    exec("if True:\n" + source[first:last], scope)  # noqa: S102  # the text of an installed package
    return scope["vllm_importance_sampling_ratio"]


@pytest.mark.parametrize("mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
@pytest.mark.parametrize(("clip_min", "clip_max"), [(None, 3.0), (0.5, 2.0), (0.8, None)])
def test_the_ratio_is_trls_to_the_last_bit(mode, clip_min, clip_max):
    torch.manual_seed(0)
    trainer, sampler = -torch.rand(16, 9) * 3, -torch.rand(16, 9) * 3
    sampler[3, 2] = sampler[5, 8] = NAN
    mask = torch.arange(9) < torch.randint(1, 10, (16, 1))
    ours = importance_ratio(trainer, sampler, mask, mode=mode, clip_min=clip_min, clip_max=clip_max)
    theirs = _trls(trainer, sampler, mask, mode=mode, clip_min=clip_min, clip_max=clip_max)
    assert torch.equal(ours, theirs)


def test_the_figures_are_sums_over_what_has_a_ratio():
    tokens = importance_ratio(TRAINER, SAMPLER, MASK, mode="token_mask", clip_min=None, clip_max=2.5)
    # 2, 1/4, 0, 0, 1 over the five sampled tokens
    assert correction_figures(tokens, MASK) == {"sampler_ratio": (pytest.approx(3.25), 5.0), "sampler_masked_share": (2.0, 5.0)}
    whole = importance_ratio(TRAINER, SAMPLER, MASK, mode="sequence_mask", clip_min=None, clip_max=3.0)
    assert correction_figures(whole, MASK) == {"sampler_ratio": (pytest.approx(0.5), 2.0), "sampler_masked_share": (1.0, 2.0)}
