"""The policy losses, by hand on a 2 x 3 example and against TRL's own code."""

from __future__ import annotations

import copy
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from accelerate import Accelerator
from trl import GRPOConfig, GRPOTrainer

from vlmpost.training.update.entropy import EntropyCoefficient, entropy_threshold
from vlmpost.training.update.losses import CLIPPED, LossParts, LossType, PolicyLoss, StepTotals, log_importance

LOSS_TYPES = get_args(LossType)

# Ratios 1.5, 1, 0.5 with advantage 1; ratios 0.5, 2 with advantage -1, and padding.
RATIOS_BC = torch.tensor([[1.5, 1.0, 0.5], [0.5, 2.0, 7.0]])
LOGPS_BC = torch.tensor([[-1.0, -2.0, -1.0], [-2.0, -1.0, -5.0]])
MASK_BC = torch.tensor([[True, True, True], [True, True, False]])
ADVANTAGES_B = torch.tensor([1.0, -1.0])
ENTROPIES_BC = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 9.0]])

BY_HAND = {
    # clipped to 0.8 .. 1.2: row 0 is -(1.2 + 1 + 0.5) = -2.7, row 1 is 0.8 + 2 = 2.8, together 0.1
    "grpo": (-2.7 / 3 + 2.8 / 2) / 2,
    "dr_grpo": 0.1 / (2 * 4),
    "dapo": 0.1 / 5,
    "bnpo": 0.1 / 5,
    "luspo": 0.1 / 2,
    # weights at most 1.2: row 0 is -(1.2 * -1 + 1 * -2 + 0.5 * -1) = 3.7, row 1 is 0.5 * -2 + 1.2 * -1 = -2.2
    "cispo": (3.7 - 2.2) / 5,
    # row 0, t = 1: sigmoid(0.5) + sigmoid(0) + sigmoid(-0.5) = 1.5, times -4; row 1, t = 1.05: (4 / 1.05) (0.371683 + 0.740775)
    "sapo": (-6 / 3 + 4 / 1.05 * (1 / (1 + math.exp(0.525)) + 1 / (1 + math.exp(-1.05))) / 2) / 2,
    # row 0, w = 0.75: phi = e^3 0.75^2 e^(-2.25), times 4; row 1, w = 1: phi = 1, times -3
    "vespo": (0.5625 * math.exp(0.75) * 4 - 3) / 5,
}


def small(loss: PolicyLoss, **changes: Any) -> LossParts:
    """The loss of the example above."""
    given = {
        "logps_BC": LOGPS_BC,
        "old_logps_BC": LOGPS_BC - RATIOS_BC.log(),
        "entropies_BC": ENTROPIES_BC,
        "mask_BC": MASK_BC,
        "advantages_BC": ADVANTAGES_B,
        "totals": StepTotals.of(MASK_BC),
    }
    return loss(**(given | changes))


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_each_loss_type_is_its_sum_by_hand(loss_type: LossType) -> None:
    """All eight, with the sums shown above."""
    assert len(BY_HAND) == len(LOSS_TYPES) == 8
    high = 1.2 if loss_type == "cispo" else 0.2
    parts = small(PolicyLoss(loss_type, epsilon_high=high, max_completion_length=4))
    assert parts.loss.item() == pytest.approx(BY_HAND[loss_type], rel=1e-6, abs=2e-7)  # sapo's rows all but cancel


def test_a_sequence_ratio_is_the_geometric_mean_and_a_reply_ratio_the_product() -> None:
    """Row 0: (1.5 * 1 * 0.5) = 0.75, its third root 0.90856; row 1: 0.5 * 2 = 1 both ways; nothing is clipped."""
    sequence = small(PolicyLoss("grpo", "sequence")).loss.item()
    assert sequence == pytest.approx((-(0.75 ** (1 / 3)) + 1) / 2, rel=1e-6)
    # 0.75 is under 0.8, but with a positive advantage the smaller one counts
    assert small(PolicyLoss("grpo", "reply")).loss.item() == pytest.approx((-0.75 + 1) / 2, rel=1e-6)
    # luspo: each row times its length
    assert small(PolicyLoss("luspo", "sequence")).loss.item() == pytest.approx((-3 * 0.75 ** (1 / 3) + 2) / 2, rel=1e-6)


def test_a_reply_ratio_over_delta_counts_clipped_only() -> None:
    """Ratio 12 with advantage -1: free, its loss would pull at 12 times the gradient; held at 10 it has none. Under 10 it pulls."""
    for ratio, pulls in ((12.0, False), (9.0, True)):
        logps = torch.tensor([[-1.0, -1.0]], requires_grad=True)
        old = logps.detach() - math.log(ratio) / 2
        mask = torch.ones(1, 2)
        loss = PolicyLoss("grpo", "reply", delta=10.0)
        given = {"entropies_BC": torch.zeros(1, 2), "mask_BC": mask, "advantages_BC": torch.tensor([-1.0]), "totals": StepTotals.of(mask)}
        loss(logps_BC=logps, old_logps_BC=old, **given).loss.backward()
        assert logps.grad is not None
        assert bool(logps.grad.abs().sum() > 0) == pulls


def test_kl_is_k3_and_the_bias_correction_weighs_it_by_the_ratio() -> None:
    """d = ln 2 at every token: k3 = 2 - ln 2 - 1 = 0.306853; dapo: over 5 tokens, ratios 1.5 + 1 + 0.5 + 0.5 + 2 = 5.5."""
    ref = LOGPS_BC + math.log(2)
    k3 = 1 - math.log(2)
    plain = small(PolicyLoss("dapo", beta=0.1, use_bias_correction_kl=False), ref_logps_BC=ref)
    assert plain.loss.item() == pytest.approx(0.02 + 0.1 * k3, rel=1e-6)
    assert plain.sums["kl"].tolist() == pytest.approx([5 * k3, 5], rel=1e-6)
    weighed = small(PolicyLoss("dapo", beta=0.1), ref_logps_BC=ref)
    assert weighed.loss.item() == pytest.approx(0.02 + 0.1 * k3 * 5.5 / 5, rel=1e-6)


def test_clipping_is_counted_by_side() -> None:
    """Row 0 (A = 1): 1.5 is clipped above, one of three. Row 1 (A = -1): 0.5 is clipped below, one of two."""
    parts = small(PolicyLoss("grpo"))
    assert parts.sums["clip_ratio/high_mean"].tolist() == [1, 5]
    assert parts.sums["clip_ratio/low_mean"].tolist() == [1, 5]
    assert parts.sums["clip_ratio/region_mean"].tolist() == [2, 5]
    assert parts.smallest["clip_ratio/low_min"].item() == 0
    assert parts.largest["clip_ratio/high_max"].item() == pytest.approx(1 / 3)


def test_rows_left_out_leave_the_divisor_too_and_keep_their_kl() -> None:
    """Row 1 left out of the policy term: -2.7 over 3 tokens of one row; the KL term is over both."""
    ref = LOGPS_BC + math.log(2)
    left = {"policy_mask_B": torch.tensor([True, False]), "policy_totals": StepTotals(1.0, 3.0, 3.0), "ref_logps_BC": ref}
    kl = 0.1 * (1 - math.log(2))
    for loss_type, policy in (("grpo", -0.9), ("dapo", -0.9), ("bnpo", -0.9), ("luspo", -2.7), ("dr_grpo", -2.7 / 4)):
        parts = small(PolicyLoss(loss_type, beta=0.1, use_bias_correction_kl=False, max_completion_length=4), **left)
        share = {"luspo": 5 / 2, "dr_grpo": 5 / 8}.get(loss_type, 1.0)
        assert parts.loss.item() == pytest.approx(policy + kl * share, rel=1e-6), loss_type


def test_totals_of_processes_may_be_fractions_and_nothing_left_is_no_loss() -> None:
    """One row of two processes: half a row to each, -0.9 / 0.5 here and nothing there, whose mean is -0.9."""
    here, there = torch.tensor([True, False]), torch.tensor([False, False])
    found = [small(PolicyLoss("grpo"), policy_mask_B=mask, policy_totals=StepTotals(0.5, 1.5, 1.5)).loss.item() for mask in (here, there)]
    assert found == [pytest.approx(-1.8, rel=1e-6), 0]
    for loss_type in LOSS_TYPES:
        assert small(PolicyLoss(loss_type), policy_mask_B=there, policy_totals=StepTotals(0.0, 0.0, 0.0)).loss.item() == 0


def test_the_threshold_is_the_quantile_of_the_entropies_given() -> None:
    """The upper 40 % of 0.1 .. 0.5 begin at the 0.6 quantile, 0.34; without tokens nothing is uncertain enough."""
    assert entropy_threshold(ENTROPIES_BC[MASK_BC], share=0.4).item() == pytest.approx(0.34)
    assert entropy_threshold(torch.zeros(0), share=0.4).item() == math.inf
    # 0.4 and 0.5 stay: row 1, 0.8 + 2 = 2.8, over all 5 tokens
    loss = small(PolicyLoss("dapo", top_entropy_quantile=0.4), entropy_threshold=torch.tensor(0.34)).loss
    assert loss.item() == pytest.approx(2.8 / 5, rel=1e-6)


def test_the_entropy_bonus_is_the_mean_entropy() -> None:
    """(0.1 + 0.2 + 0.3 + 0.4 + 0.5) / 5 = 0.3, taken off at weight 0.5; policy_loss does without it."""
    parts = small(PolicyLoss("dapo", has_entropy_bonus=True), entropy_coef=0.5)
    assert parts.loss.item() == pytest.approx(0.02 - 0.15, rel=1e-6)
    assert parts.policy_loss.item() == pytest.approx(0.02, rel=1e-5)
    assert parts.bonus_entropy.tolist() == pytest.approx([1.5, 5])


def test_an_adaptive_coefficient_follows_its_target_and_survives_a_checkpoint() -> None:
    """Up a step at the target or below, down above; nothing counts before the first entropy is known, or above the target."""
    coefficient = EntropyCoefficient(0.1, adaptive=True, step=0.05, target=0.2, highest=0.17)
    assert coefficient.current == 0
    assert coefficient.state_dict() == {"entropy_coef": 0.1, "last_world_entropy": None}
    coefficient.update(0.2)
    coefficient.update(0.1)
    assert coefficient.current == 0.17
    coefficient.update(0.3)
    assert (coefficient.current, coefficient.value) == (0, pytest.approx(0.12))
    again = EntropyCoefficient(0.1, adaptive=True, step=0.05, target=0.2, highest=0.17)
    again.load_state_dict(coefficient.state_dict())
    assert again == coefficient


def test_rows_without_an_advantage_may_miss_the_forward_pass_for_every_loss_type() -> None:
    """Zero loss and zero gradient at any ratio; with a KL term, an entropy bonus or an entropy mask none may."""
    still = torch.tensor([0.0, -1.0])
    for loss_type in LOSS_TYPES:
        loss = PolicyLoss(loss_type)
        assert loss.has_no_gradient(still, MASK_BC).tolist() == [True, False]
        logps = LOGPS_BC.clone().requires_grad_()
        both = small(loss, logps_BC=logps, advantages_BC=still)
        both.loss.backward()
        assert logps.grad is not None
        assert logps.grad[0].tolist() == [0, 0, 0]
        second = {"logps_BC": LOGPS_BC[1:], "old_logps_BC": (LOGPS_BC - RATIOS_BC.log())[1:], "entropies_BC": ENTROPIES_BC[1:]}
        alone = small(loss, **second, mask_BC=MASK_BC[1:], advantages_BC=still[1:])
        assert alone.loss.item() == pytest.approx(both.loss.item(), rel=1e-6)
    for held in (PolicyLoss(beta=0.1), PolicyLoss(has_entropy_bonus=True), PolicyLoss(top_entropy_quantile=0.5)):
        assert not held.has_no_gradient(still, MASK_BC).any()
    dropped = PolicyLoss().has_no_gradient(torch.ones(2), MASK_BC, policy_mask_B=torch.tensor([True, False]))
    assert dropped.tolist() == [False, True]


# --- against TRL ---


def made_up(seed: int, *, num_rows: int = 6, length: int = 7) -> dict[str, torch.Tensor]:
    """Tensors of a forward pass, one row without a token to train, drifts large enough to be clipped on both sides."""
    torch.manual_seed(seed)
    lengths = torch.tensor([length, 3, 1, 5, 0, 6])[:num_rows]
    logps = -torch.rand(num_rows, length) * 3
    return {
        "logps_BC": logps,
        "old_logps_BC": logps + 0.4 * torch.randn(num_rows, length),
        "ref_logps_BC": logps + 0.3 * torch.randn(num_rows, length),
        "entropies_BC": torch.rand(num_rows, length) * 2,
        "mask_BC": torch.arange(length) < lengths[:, None],
        "advantages_BC": torch.tensor([1.2, -0.7, 0.0, -1.5, 0.4, 0.9])[:num_rows],
    }


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    """One process on the CPU."""
    return Accelerator(cpu=True)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> GRPOConfig:
    """TRL's defaults."""
    return GRPOConfig(output_dir=str(tmp_path_factory.mktemp("trl")), use_cpu=True, bf16=False, report_to="none", max_completion_length=9)


def trl_loss(args: Any, given: dict[str, torch.Tensor], accelerator: Accelerator, *, ratio: torch.Tensor | None = None) -> Any:
    """What `GRPOTrainer._compute_loss` makes of the tensors: (loss, metrics)."""
    stand_in = SimpleNamespace(
        args=args,
        accelerator=accelerator,
        model=SimpleNamespace(training=True),
        epsilon_low=args.epsilon,
        epsilon_high=args.epsilon if args.epsilon_high is None else args.epsilon_high,
        use_vllm=ratio is not None,
        vllm_importance_sampling_correction=True,
        aux_loss_enabled=False,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=args.entropy_coef != 0,
        _metrics={"train": defaultdict(list)},
        get_off_policy_mask=GRPOTrainer.get_off_policy_mask,
        get_gamma_weights=GRPOTrainer.get_gamma_weights,
        _get_per_token_logps_and_entropies=lambda *_, **__: (given["logps_BC"], given["entropies_BC"], None),
    )
    for name in ("loss_type", "importance_sampling_level", "beta", "top_entropy_quantile", "off_policy_mask_threshold"):
        setattr(stand_in, name, getattr(args, name))
    for name in ("entropy_coef", "use_adaptive_entropy", "max_completion_length"):
        setattr(stand_in, name, getattr(args, name))
    stand_in.get_high_entropy_mask = GRPOTrainer.get_high_entropy_mask.__get__(stand_in)
    ids = torch.zeros(given["mask_BC"].shape, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": ids[:, :1] + 1,
        "completion_ids": ids,
        "completion_mask": given["mask_BC"].long(),
        "advantages": given["advantages_BC"],
        "old_per_token_logps": given["old_logps_BC"],
        "ref_per_token_logps": given["ref_logps_BC"],
        "num_items_in_batch": given["mask_BC"].sum(),
    }
    if ratio is not None:
        inputs["importance_sampling_ratio"] = ratio
    return GRPOTrainer._compute_loss(stand_in, None, inputs), stand_in._metrics["train"]


def settings() -> Iterator[dict[str, Any]]:
    """Every combination of what a recipe can set beside the loss type."""
    choices = {
        "importance_sampling_level": ["token", "sequence"],
        "beta": [0.0, 0.04],
        "use_bias_correction_kl": [True, False],
        "epsilon_high": [None, 0.28],
        "delta": [None, 1.4],
        "off_policy_mask_threshold": [None, 0.05],
        "top_entropy_quantile": [1.0, 0.4],
        "entropy_coef": [0.0, 0.01],
    }
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def ours(args: Any, given: dict[str, torch.Tensor], **more: Any) -> LossParts:
    """The same from `PolicyLoss`."""
    loss = PolicyLoss.from_arguments(args)
    chosen = {name: value for name, value in given.items() if name != "ref_logps_BC" or args.beta}
    if args.top_entropy_quantile < 1:
        more["entropy_threshold"] = entropy_threshold(given["entropies_BC"][given["mask_BC"]], share=args.top_entropy_quantile)
    return loss(**({"totals": StepTotals.of(given["mask_BC"]), "entropy_coef": args.entropy_coef} | chosen | more))


def leaf(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors with gradients to log-probabilities and entropies."""
    return given | {name: given[name].clone().requires_grad_() for name in ("logps_BC", "entropies_BC")}


def same_gradients(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether the gradients agree to 1e-6 of the largest."""
    for name in ("logps_BC", "entropies_BC"):
        mine, theirs = (torch.zeros_like(side[name]) if side[name].grad is None else side[name].grad for side in (one, other))
        if not torch.allclose(mine, theirs, rtol=1e-6, atol=1e-6 * float(theirs.abs().max())):
            return False
    return True


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_loss_gradient_and_metrics_are_those_of_trl(loss_type: LossType, arguments: GRPOConfig, accelerator: Accelerator) -> None:
    """256 settings each: levels, KL, clips, masks and bonus."""
    num_settings = 0
    for number, setting in enumerate(settings()):
        args = copy.copy(arguments)
        vars(args).update(setting | {"loss_type": loss_type})
        given = made_up(number)
        mine, theirs = leaf(given), leaf(given)
        parts = ours(args, mine)
        expected, metrics = trl_loss(args, theirs, accelerator)
        parts.loss.backward()
        expected.backward()
        assert parts.loss.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-7), setting
        assert same_gradients(mine, theirs), setting
        assert_same_metrics(parts, metrics, setting)
        num_settings += 1
    assert num_settings == 256


def assert_same_metrics(parts: LossParts, metrics: dict[str, list[float]], setting: dict[str, Any]) -> None:
    """Every metric that TRL notes is among the parts, and the other way round."""
    found = {name: (pair[0] / pair[1].clamp(min=1)).item() for name, pair in parts.sums.items()}
    found |= {name: value.item() for name, value in (*parts.smallest.items(), *parts.largest.items())}
    if setting["entropy_coef"]:
        found |= {"policy_loss": parts.policy_loss.item(), "entropy_coef": setting["entropy_coef"]}
    expected = {name: values[-1] for name, values in metrics.items()}
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-7), setting


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_the_samplers_ratio_counts_as_with_trl(loss_type: LossType, arguments: GRPOConfig, accelerator: Accelerator) -> None:
    """Per token, one masked out at 0, and 1 at padding as TRL leaves it; per completion where TRL allows that."""
    args = copy.copy(arguments)
    vars(args).update({"loss_type": loss_type, "beta": 0.04})
    given = made_up(3)
    per_token = torch.where(given["mask_BC"], torch.rand_like(given["logps_BC"]) * 2, 1.0)
    per_token[0, 0] = 0.0
    for ratio in (per_token, per_token[:, 1:2]):
        if loss_type == "vespo" and ratio.shape[1] == 1:
            continue
        mine, theirs = leaf(given), leaf(given)
        loss = ours(args, mine, sampling_ratio_BX=ratio).loss
        expected, _ = trl_loss(args, theirs, accelerator, ratio=ratio)
        loss.backward()
        expected.backward()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
        assert same_gradients(mine, theirs)


def test_advantages_may_differ_from_token_to_token(arguments: GRPOConfig, accelerator: Accelerator) -> None:
    """As PPO's do; TRL takes them too."""
    for loss_type in LOSS_TYPES:
        args = copy.copy(arguments)
        args.loss_type = loss_type
        given = made_up(5)
        given["advantages_BC"] = torch.randn_like(given["logps_BC"])
        assert ours(args, given).loss.item() == pytest.approx(trl_loss(args, given, accelerator)[0].item(), rel=1e-6)


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_a_step_is_one_loss_however_it_is_cut(loss_type: LossType, arguments: GRPOConfig) -> None:
    """Six rows at once, and as 1 + 3 + 2 with the padding of each part cut off: same loss, gradient and figures."""
    args = copy.copy(arguments)
    vars(args).update({"loss_type": loss_type, "beta": 0.04, "entropy_coef": 0.01, "off_policy_mask_threshold": 0.05})
    given = made_up(8)
    whole, parts = leaf(given), leaf(given)
    totals = StepTotals.of(given["mask_BC"])
    policy = torch.tensor([True, True, True, False, True, False])
    left = {"policy_mask_B": policy, "policy_totals": StepTotals.of(given["mask_BC"][policy])}
    at_once = ours(args, whole, **left)
    at_once.loss.backward()
    pieces = []
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        length = int(given["mask_BC"][rows].sum(1).max())
        piece = {name: value[rows] if value.dim() == 1 else value[rows, :length] for name, value in parts.items()}
        pieces.append(ours(args, piece, totals=totals, policy_mask_B=policy[rows], policy_totals=left["policy_totals"]))
        pieces[-1].loss.backward()
    assert sum(piece.loss.item() for piece in pieces) == pytest.approx(at_once.loss.item(), rel=1e-6)
    assert sum(piece.policy_loss.item() for piece in pieces) == pytest.approx(at_once.policy_loss.item(), rel=1e-6)
    assert same_gradients(parts, whole)
    for name, pair in at_once.sums.items():
        assert torch.stack([piece.sums[name] for piece in pieces]).sum(0).tolist() == pytest.approx(pair.tolist(), rel=1e-6), name
    assert loss_type in CLIPPED or not at_once.smallest


def test_each_reply_of_an_episode_has_a_ratio_of_its_own() -> None:
    """Replies of two tokens and one: 0.1 + 0.2 = 0.3, and 0.4; the environment's token between them, 9, is nobody's."""
    log_ratios = torch.tensor([[0.1, 0.2, 9.0, 0.4]])
    trained = torch.tensor([[1.0, 1.0, 0.0, 1.0]])
    starts = torch.tensor([[0, 0, 7, 3]])  # of a token that is not trained any place may stand, also one beyond a cut row
    found = log_importance(log_ratios, trained, level="reply", reply_starts_BC=starts)
    assert found[trained.bool()].tolist() == pytest.approx([0.3, 0.3, 0.4])
