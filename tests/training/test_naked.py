"""The naked scripts as oracles: the same losses, advantages and values as in the package, and training that trains."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from vlmpost.training.credit import advantages
from vlmpost.training.credit.baselines import group_advantages
from vlmpost.training.credit.critic import value_losses
from vlmpost.training.update.losses import LossType, PolicyLoss, StepTotals, kl_to_reference

SCRIPTS = Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import naked_grpo  # noqa: E402
import naked_guided  # noqa: E402
import naked_ppo  # noqa: E402

MASK_BC = torch.arange(9) < torch.tensor([9, 4, 1, 6, 9, 2])[:, None]
CLOSE = {"rtol": 1e-6, "atol": 1e-7}


def numbers(seed: int, *, scale: float = 1.0) -> torch.Tensor:
    """Random [6, 9]."""
    return scale * torch.randn(6, 9, generator=torch.Generator().manual_seed(seed))


def made_up() -> dict[str, torch.Tensor]:
    """Log-probabilities now, as sampled and of the reference, and advantages; drifts that are clipped on both sides."""
    logps = -numbers(0).abs()
    return {
        "logps_BC": logps,
        "old_logps_BC": logps + numbers(1, scale=0.4),
        "ref_logps_BC": logps + numbers(2, scale=0.3),
        "advantages": torch.tensor([1.3, -0.6, 0.2, -1.1, 0.0, 0.7]),
    }


@pytest.mark.parametrize("loss_type", get_args(LossType))
def test_policy_losses_and_their_gradients_agree(loss_type: LossType) -> None:
    """Every loss type at every level, with and without the KL term."""
    for level, beta in itertools.product(("token", "sequence", "reply"), (0.0, 0.05)):
        given = made_up()
        mine, theirs = given["logps_BC"].clone().requires_grad_(), given["logps_BC"].clone().requires_grad_()
        loss = PolicyLoss(loss_type, level, epsilon=0.2, epsilon_high=0.28, beta=beta, max_completion_length=12)
        ours = loss(
            logps_BC=mine,
            old_logps_BC=given["old_logps_BC"],
            ref_logps_BC=given["ref_logps_BC"] if beta else None,
            entropies_BC=torch.zeros_like(mine),
            mask_BC=MASK_BC,
            advantages_BC=given["advantages"],
            totals=StepTotals.of(MASK_BC),
        ).loss
        naked = naked_grpo.policy_loss(
            loss_type,
            theirs,
            given["old_logps_BC"],
            given["advantages"],
            MASK_BC,
            given["ref_logps_BC"],
            beta,
            level=level,
            high=0.28,
            max_completion_length=12,
        )
        ours.backward()
        naked.backward()
        assert ours.item() == pytest.approx(naked.item(), rel=1e-6), (level, beta)
        assert mine.grad is not None and theirs.grad is not None
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-6, atol=1e-6 * float(theirs.grad.abs().max())), (level, beta)


def test_the_kl_estimate_agrees() -> None:
    """k3 of each token."""
    given = made_up()
    pair = (given["logps_BC"], given["ref_logps_BC"])
    assert torch.allclose(kl_to_reference(*pair), naked_grpo.kl(*pair), **CLOSE)


WAYS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {}),
    ({"scale_rewards": "batch"}, {"scale": "batch"}),
    ({"scale_rewards": "none"}, {"scale": "none"}),
    ({"aggregation": "normalize_then_sum"}, {"estimator": "gdpo"}),
    ({"estimator": "rloo"}, {"estimator": "rloo"}),
    ({"estimator": "reinforce_plus_plus_baseline"}, {"estimator": "reinforce_plus_plus_baseline"}),
]


@pytest.mark.parametrize(("ours", "naked"), WAYS, ids=lambda settings: "-".join(settings.values()) or "group")
def test_advantages_agree(ours: dict[str, Any], naked: dict[str, str]) -> None:
    """Six groups of four, three terms with weights."""
    rewards = torch.rand(24, 3, generator=torch.Generator().manual_seed(4))
    weights = [1.0, 0.5, -2.0]
    found = group_advantages(rewards, weights, 4, **ours).advantages_B
    assert torch.allclose(found, naked_grpo.advantages(rewards, torch.tensor(weights), 4, **naked), rtol=1e-6, atol=1e-6)


def test_log_probabilities_are_of_the_tokens() -> None:
    """Logits (0, ln 3): probabilities 1/4 and 3/4."""
    logits = torch.tensor([[[1.0, 3.0], [1.0, 3.0]]]).log()
    assert naked_grpo.token_logps(logits, torch.tensor([[0, 1]])).exp().tolist() == [pytest.approx([0.25, 0.75])]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (1.0, 0.95), (0.9, 0.5)])
def test_generalized_advantages_agree(gamma: float, lam: float) -> None:
    """On rows of different lengths."""
    rewards, values = numbers(5) * MASK_BC, numbers(6) * MASK_BC
    places = torch.ones_like(values)
    ours = advantages.generalized_advantages(rewards, values, MASK_BC, gamma_BC=gamma * places, lam_BC=lam * places)
    assert torch.allclose(ours, naked_ppo.gae(rewards, values, MASK_BC, gamma, lam), **CLOSE)


def test_whitening_agrees() -> None:
    """Over the sampled tokens."""
    mean, variance = advantages.mean_and_variance(advantages.moments(numbers(7), MASK_BC))
    ours = advantages.whitened(numbers(7), MASK_BC, mean=mean, variance=variance)
    assert torch.allclose(ours, naked_ppo.whitened(numbers(7), MASK_BC), **CLOSE)


def test_value_losses_agree() -> None:
    """Some values clipped, some not."""
    values, old, returns = numbers(8), numbers(8) + numbers(9, scale=0.3), numbers(10)
    ours, clipped = value_losses(values, old, returns, cliprange=0.2)
    assert 0 < int((clipped & MASK_BC).sum()) < int(MASK_BC.sum())
    naked = naked_ppo.value_loss(values, old, returns, MASK_BC, 0.2)
    assert ((ours * MASK_BC).sum() / MASK_BC.sum()).item() == pytest.approx(naked.item(), rel=1e-6)


def test_ppos_policy_loss_is_the_mean_over_tokens_with_an_advantage_each() -> None:
    """As dapo and bnpo have it in one optimizer step."""
    given, each = made_up(), numbers(11)
    ours = PolicyLoss("dapo")(
        logps_BC=given["logps_BC"],
        old_logps_BC=given["old_logps_BC"],
        entropies_BC=torch.zeros_like(each),
        mask_BC=MASK_BC,
        advantages_BC=each,
        totals=StepTotals.of(MASK_BC),
    ).loss
    naked = naked_ppo.policy_loss(given["logps_BC"], given["old_logps_BC"], each, MASK_BC, 0.2)
    assert ours.item() == pytest.approx(naked.item(), rel=1e-6)


def test_the_score_is_earned_by_the_last_token_and_the_kl_by_each() -> None:
    """Score 2 on the last of two tokens; 0.1 (old - reference) off each; nothing at padding."""
    mask = torch.tensor([[True, True, False]])
    old, ref = torch.tensor([[-1.0, -2.0, -9.0]]), torch.tensor([[-2.0, -1.0, 0.0]])
    found = naked_ppo.token_rewards(torch.tensor([2.0]), old, ref, mask, 0.1)
    assert found.tolist() == [pytest.approx([-0.1, 2.1, 0.0])]


def test_each_script_is_one_page_without_a_trainer() -> None:
    """Under 250 lines; neither TRL nor our own training."""
    for script in (naked_grpo, naked_ppo, naked_guided):
        text = Path(script.__file__).read_text(encoding="utf-8")
        assert len(text.splitlines()) < 250
        assert "import trl" not in text and "from trl" not in text
        assert "vlmpost.training import" not in text and "import vlmpost.training" not in text and "from vlmpost.training." not in text


@pytest.mark.train
@pytest.mark.parametrize("name", ["naked_grpo.py", "naked_ppo.py"])
def test_each_script_runs(name: str) -> None:
    """Two small steps, a line for each."""
    small = ["--steps", "2", "--prompts-per-step", "2", "--num-generations", "4", "--max-completion-length", "12"]
    run = subprocess.run([sys.executable, str(SCRIPTS / name), *small], capture_output=True, text=True, check=True)
    assert [line.split("reward")[0].strip() for line in run.stdout.splitlines()] == ["step 1", "step 2"]


@pytest.mark.train
def test_the_guided_script_runs() -> None:
    """Two steps of progressive, a line for each."""
    small = ["--way", "progressive", "--steps", "2", "--prompts-per-step", "2", "--num-generations", "4", "--max-completion-length", "40"]
    run = subprocess.run([sys.executable, str(SCRIPTS / "naked_guided.py"), *small], capture_output=True, text=True, check=True)
    assert [line.split("losses")[0].strip() for line in run.stdout.splitlines()] == ["step 1", "step 2"]
