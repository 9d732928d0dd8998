"""The losses on hints and traces: every number by hand in plain floats."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from vlmpost.config.guidance import GuidanceConfig, LossTermConfig
from vlmpost.config.schema import AlgorithmConfig
from vlmpost.models.prompts import EncodedPrompt
from vlmpost.training.update.entropy import EntropyCoefficient
from vlmpost.training.update.experience import Experience
from vlmpost.training.update.imitation import GuidedTotals, Imitation, RoleTotals, guided_counts, token_losses
from vlmpost.training.update.losses import PolicyLoss
from vlmpost.training.update.mini_batch import chosen, counts, mini_batches
from vlmpost.training.update.step_loss import StepLoss

PROMPT = EncodedPrompt((1,), {}, {})
CODES = {" ": 0, "h": 1, "g": 2, "t": 3}
PROBS = [[0.5, 0.25, 0.125, 0.5], [0.5, 0.25, 0.125, 0.125], [0.8, 0.4, 0.5, 0.1], [0.2, 0.5, 0.9, 0.6], [0.3, 0.6, 0.9, 0.7]]
ENTROPIES = [[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.5, 0.6], [0.7, 0.8, 0.9, 1.0], [1.1, 1.2, 1.3, 1.4], [0.2, 0.3, 0.4, 0.5]]


def _experience(rows="hhgg hhg hhh tt tttt", **tensors):
    """Question 0: two rollouts from one hint of two tokens. Question 1: a hint of three, nothing to generate. Questions 2 and 3: traces."""
    roles = torch.tensor([[CODES[role] for role in row.ljust(4)] for row in rows.split()], dtype=torch.int8)
    known = {
        "roles": roles,
        "sampled": roles == 2,
        "row_weights": torch.tensor([0.5, 0.5, 1.0, 1.0, 1.0], dtype=torch.float64),
        "rollout_rows": torch.tensor([True, True, False, False, False]),
        "groups": torch.tensor([0, 0, 1, 2, 3]),
        "advantages": torch.tensor([1.0, -1.0, 0.0, 0.5, -0.25], dtype=torch.float64),
        "logps": torch.tensor(PROBS, dtype=torch.float64).log(),
        "entropies": torch.tensor(ENTROPIES, dtype=torch.float64),
    }
    completions = tuple(tuple(range(len(row))) for row in rows.split())
    return Experience((PROMPT,) * 4, (0, 0, 1, 2, 3), completions, known | tensors)


def _imitation(*terms, **more):
    losses = [{"role": "generated", "loss": "policy"}, *terms]
    return Imitation.of(GuidanceConfig.model_validate({"losses": losses}), max_completion_length=more.get("length", 8))


def _share(imitation, experience, totals, *, step=0, num_steps=10):
    """The loss of some rows, and its gradients by log-probability and entropy."""
    logps = experience.tensors["logps"].clone().requires_grad_()
    entropies = experience.tensors["entropies"].clone().requires_grad_()
    loss, figures = imitation(experience, logps_BC=logps, entropies_BC=entropies, totals=totals, step=step, num_steps=num_steps)
    (loss + 0 * logps.sum() + 0 * entropies.sum()).backward()
    return loss.item(), logps.grad, entropies.grad, figures


def _loss(*terms, **more):
    """Of the whole example as one step."""
    experience = _experience()
    return _share(_imitation(*terms, **more), experience, GuidedTotals.of(guided_counts(experience)))


# --- tokens ---

TOKENS = {
    # of p = 0.5 and p = 0.2 with advantages 1 and -0.5: the losses, and their derivatives by log p, the factors held
    "cross_entropy": ([-log(0.5), -log(0.2)], [-1.0, -1.0]),
    "dft": ([-0.5 * log(0.5), -0.2 * log(0.2)], [-0.5, -0.2]),
    "chord_phi": ([-0.25 * log(0.5), -0.16 * log(0.2)], [-0.25, -0.16]),
    # p / (p + 0.1): 5/6 and 2/3; its derivative by log p is 0.1 p / (p + 0.1)^2: 0.05 / 0.36 and 0.02 / 0.09
    "shaped": ([-5 / 6, 0.5 * 2 / 3], [-0.05 / 0.36, 0.5 * 0.02 / 0.09]),
}


@pytest.mark.parametrize("loss", TOKENS)
def test_a_token_costs_and_pulls_what_the_formula_says(loss):
    assert len(TOKENS) == 4
    logps = torch.tensor([[0.5], [0.2]], dtype=torch.float64).log().requires_grad_()
    found = token_losses(LossTermConfig(role="trace", loss=loss), logps, torch.tensor([1.0, -0.5], dtype=torch.float64))
    found.sum().backward()
    losses, gradients = TOKENS[loss]
    assert found.flatten().tolist() == pytest.approx(losses, abs=1e-12)
    assert logps.grad.flatten().tolist() == pytest.approx(gradients, abs=1e-12)


def test_shaped_takes_gamma_and_an_advantage_of_each_token():
    # 0.5 / (0.5 + 0.5) = 1/2 and 0.25 / (0.25 + 0.5) = 1/3
    logps = torch.tensor([[0.5, 0.25]], dtype=torch.float64).log()
    term = LossTermConfig(role="hint", loss="shaped", gamma=0.5)
    assert token_losses(term, logps, torch.tensor([[2.0, 3.0]], dtype=torch.float64)).tolist() == [pytest.approx([-1.0, -1.0])]


# --- a step: sums and divisors ---


def test_a_step_is_counted_by_role_with_a_shared_hint_counted_once():
    # Hints: sequences 1/2 + 1/2 + 1 = 2, tokens 2/2 + 2/2 + 3 = 5. Traces: 2 with 2 + 4 tokens. Four questions, five rows, 2 + 1 generated.
    assert guided_counts(_experience()) == [2, 5, 2, 6, 4, 5, 3]


LN2 = log(2)
HINT_ROW, WHOLE_HINT = 3 * LN2, -log(0.8 * 0.4 * 0.5)  # of each sequence's tokens: 1/2 and 1/4; 0.8, 0.4 and 0.5
SHORT, LONG = -log(0.2 * 0.5), -log(0.3 * 0.6 * 0.9 * 0.7)
MEANS = {
    # the two rows of the first hint are the same tokens and weigh 1/2 each: one sequence
    ("hint", "sequence", "own"): (HINT_ROW / 2 + WHOLE_HINT / 3) / 2,
    ("hint", "sequence", "questions"): (HINT_ROW / 2 + WHOLE_HINT / 3) / 4,
    ("hint", "sequence", "rows"): (HINT_ROW / 2 + WHOLE_HINT / 3) / 5,
    ("hint", "token", "own"): (HINT_ROW + WHOLE_HINT) / 5,
    ("hint", "length", "own"): (HINT_ROW + WHOLE_HINT) / 8 / 2,
    ("trace", "sequence", "own"): (SHORT / 2 + LONG / 4) / 2,
    ("trace", "sequence", "questions"): (SHORT / 2 + LONG / 4) / 4,
    ("trace", "token", "own"): (SHORT + LONG) / 6,
    ("trace", "length", "own"): (SHORT + LONG) / 8 / 2,
    ("trace", "length", "questions"): (SHORT + LONG) / 8 / 4,
    ("trace", "length", "rows"): (SHORT + LONG) / 8 / 5,
}


@pytest.mark.parametrize(("role", "per", "count"), MEANS)
def test_a_cross_entropy_is_the_mean_that_per_and_count_say(role, per, count):
    loss, *_ = _loss({"role": role, "loss": "cross_entropy", "per": per, "count": count})
    assert loss == pytest.approx(MEANS[role, per, count], abs=1e-12)


def test_only_tokens_of_the_role_pull_and_a_shared_hint_by_halves():
    # Per sequence: each hint token of question 0 weighs 1/2 (row) 1/2 (its mean) 1/2 (two hints), of question 1 1 (1/3) (1/2).
    _, gradient, entropy_gradient, _ = _loss({"role": "hint", "loss": "cross_entropy"})
    first, whole = [-1 / 8, -1 / 8, 0, 0], [-1 / 6, -1 / 6, -1 / 6, 0]
    expected = torch.tensor([first, first, whole, [0] * 4, [0] * 4], dtype=torch.float64)
    assert torch.allclose(gradient, expected, rtol=0, atol=1e-12)
    assert not entropy_gradient.any()


def test_a_weight_multiplies_and_may_change_over_the_run():
    term = {"role": "trace", "loss": "cross_entropy", "weight": {"kind": "linear", "start": 1.0, "end": 0.0}}
    experience = _experience()
    totals = GuidedTotals.of(guided_counts(experience))
    whole = (SHORT / 2 + LONG / 4) / 2
    for step, weight in ((0, 1.0), (5, 0.5), (10, 0.0)):
        assert _share(_imitation(term), experience, totals, step=step)[0] == pytest.approx(weight * whole, abs=1e-12)


def test_terms_of_two_roles_add_up():
    loss, *_ = _loss({"role": "hint", "loss": "cross_entropy", "weight": 0.2}, {"role": "trace", "loss": "dft", "per": "token"})
    dft = sum(-p * log(p) for p in (0.2, 0.5, 0.3, 0.6, 0.9, 0.7)) / 6
    assert loss == pytest.approx(0.2 * (HINT_ROW / 2 + WHOLE_HINT / 3) / 2 + dft, abs=1e-12)


def test_the_mean_entropy_of_the_terms_tokens_is_taken_off_by_the_same_divisors():
    # Traces' mean entropies: (1.1 + 1.2) / 2 = 1.15 and (0.2 + 0.3 + 0.4 + 0.5) / 4 = 0.35; per token 3.7 / 6.
    term = {"role": "trace", "loss": "cross_entropy", "entropy_coef": 0.1}
    loss, _, gradient, _ = _loss(term)
    assert loss == pytest.approx((SHORT / 2 + LONG / 4) / 2 - 0.1 * (1.15 + 0.35) / 2, abs=1e-12)
    assert gradient[3].tolist() == pytest.approx([-0.1 / 4, -0.1 / 4, 0, 0])
    assert gradient[4].tolist() == pytest.approx([-0.1 / 8] * 4)
    assert _loss({**term, "per": "token"})[0] == pytest.approx((SHORT + LONG) / 6 - 0.1 * 3.7 / 6, abs=1e-12)


def test_a_sequence_may_weigh_less_the_less_sure_the_policy_is_and_the_weight_has_no_gradient():
    loss, gradient, entropy_gradient, _ = _loss({"role": "trace", "loss": "cross_entropy", "sequence_weight": "exp_minus_entropy"})
    assert loss == pytest.approx((exp(-1.15) * SHORT / 2 + exp(-0.35) * LONG / 4) / 2, abs=1e-12)
    assert gradient[3].tolist() == pytest.approx([-exp(-1.15) / 4] * 2 + [0, 0])
    assert not entropy_gradient.any()


def test_a_step_without_the_role_has_exactly_no_loss_and_no_gradient():
    experience = _experience().take([0, 1, 2])
    totals = GuidedTotals.of(guided_counts(experience))
    assert totals.by_role["trace"] == RoleTotals(0, 0)
    for per in ("sequence", "token", "length"):
        loss, gradient, _, _ = _share(_imitation({"role": "trace", "loss": "cross_entropy", "per": per}), experience, totals)
        assert loss == 0.0 and not gradient.any()


# --- micro-batches and processes ---

TERMS = (
    {"role": "hint", "loss": "cross_entropy", "weight": 0.2},
    {"role": "trace", "loss": "shaped", "per": "length", "count": "rows"},
    {"role": "trace", "loss": "chord_phi", "per": "token", "entropy_coef": 0.1},
    {"role": "hint", "loss": "dft", "count": "questions", "sequence_weight": "exp_minus_entropy"},
)


@pytest.mark.parametrize("parts", [[[0], [1], [2], [3], [4]], [[4, 0], [2, 1, 3]]])
def test_however_a_step_is_cut_its_passes_add_up_to_the_same_loss_and_gradient(parts):
    whole, gradient, *_ = _loss(*TERMS)
    experience = _experience()
    totals = GuidedTotals.of(guided_counts(experience))
    shares = [_share(_imitation(*TERMS), experience.take(rows), totals) for rows in parts]
    assert sum(loss for loss, *_ in shares) == pytest.approx(whole, abs=1e-12)
    for rows, (_, part, *_) in zip(parts, shares, strict=True):
        width = part.shape[1]
        assert torch.allclose(part, gradient[rows][:, :width], atol=1e-12) and not gradient[rows][:, width:].any()


@pytest.mark.parametrize("places", [[[0, 1], [2, 3, 4]], [[0, 1, 2, 3], [], [4]]])
def test_processes_change_no_number_and_one_without_a_row_weighs_nothing(places):
    whole, *_ = _loss(*TERMS)
    parts = [chosen(_experience(), rows) for rows in places]
    sums = sum(counts(part) for part in parts)
    assert sums.tolist() == [2, 3, 2, 3, 0, 2, 5, 2, 6, 4, 5, 3]
    [batch] = mini_batches(parts[:1], sums[None] / len(parts))
    shares = [_share(_imitation(*TERMS), part, batch.guided)[0] for part in parts]
    assert sum(shares) / len(parts) == pytest.approx(whole, abs=1e-12)  # as gradients are averaged
    assert all(share == 0.0 for share, rows in zip(shares, places, strict=True) if not rows)


def test_a_row_that_leaves_the_loss_is_no_rollout_and_no_token_of_it_is_counted():
    # Rollout 1 left out: rows and tokens of the policy are those of rollout 0; its hint keeps half the weight until the maker says 1.
    kept = torch.tensor([True, False, False, False, False])
    assert counts(_experience(rollout_rows=kept)).tolist()[:5] == [1, 2, 1, 2, 0]
    assert guided_counts(_experience(rollout_rows=kept))[-2:] == [5, 2]
    weights = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    assert guided_counts(_experience(rollout_rows=kept, row_weights=weights)) == [2, 5, 2, 6, 4, 4, 2]


def test_flat_groups_leave_the_policys_totals_and_stay_rollouts():
    flat = torch.tensor([False, True, False, False, False])
    assert counts(_experience(policy_rows=~flat)).tolist()[:5] == [2, 3, 1, 2, 0]


def test_a_row_that_only_goes_along_is_no_question():
    known = {"roles": torch.tensor([[0, 0, 0, 0]] * 4 + [[3, 3, 3, 3]], dtype=torch.int8), "rollout_rows": torch.zeros(5, dtype=torch.bool)}
    assert guided_counts(_experience(**known)) == [0, 0, 1, 4, 1, 1, 0]


def test_the_items_of_the_policys_steps_are_shared_by_those_and_not_by_the_step_on_traces():
    # Two steps on rollouts with 10 and 6 tokens, then one on traces: 16 / 2, not 16 / 3.
    guided = [0.0] * 7
    totals = torch.tensor([[4, 10, 4, 10, 0, *guided], [2, 6, 2, 4, 0, *guided], [0, 0, 0, 0, 0, *guided]], dtype=torch.float64)
    batches = mini_batches([_experience()] * 3, totals, num_rollout_steps=2)
    assert [(batch.totals.num_items, batch.policy_totals.num_items) for batch in batches] == [(8, 7)] * 3


# --- what else is said ---


def test_rows_move_by_a_token_of_a_terms_role_and_by_shaped_only_with_an_advantage():
    experience = _experience()
    assert _imitation().moving_rows(experience).tolist() == [False] * 5
    assert _imitation({"role": "hint", "loss": "dft"}).moving_rows(experience).tolist() == [True, True, True, False, False]
    shaped = {"role": "trace", "loss": "shaped"}
    level = _experience(advantages=torch.tensor([1.0, -1.0, 0.0, 0.0, -0.25]))
    assert _imitation(shaped).moving_rows(level).tolist() == [False, False, False, False, True]
    assert _imitation({**shaped, "entropy_coef": 0.1}).moving_rows(level).tolist() == [False, False, False, True, True]
    weights = torch.tensor([0.5, 0.5, 1.0, 0.0, 1.0])
    assert _imitation({"role": "trace", "loss": "dft"}).moving_rows(_experience(row_weights=weights)).tolist() == [False] * 4 + [True]


def test_rows_that_left_the_loss_are_not_read_though_others_have_a_kl_term():
    algorithm, imitation = AlgorithmConfig(), _imitation({"role": "trace", "loss": "dft"})
    loss = StepLoss(algorithm, PolicyLoss(beta=0.1), EntropyCoefficient(0.0), None, None, lambda entropies: entropies, imitation)
    kept = torch.tensor([False, True, False, False, False])
    assert loss.moving_rows(_experience(rollout_rows=kept)) == [1, 3, 4]


def test_figures_are_means_over_the_tokens_of_the_role():
    *_, figures = _loss({"role": "trace", "loss": "cross_entropy"}, {"role": "hint", "loss": "dft"})
    assert figures["trace_cross_entropy_loss"].tolist() == pytest.approx([SHORT + LONG, 6])
    assert figures["trace_token_prob"].tolist() == pytest.approx([0.2 + 0.5 + 0.3 + 0.6 + 0.9 + 0.7, 6])
    assert figures["hint_token_prob"].tolist() == pytest.approx([0.5 + 0.25 + 0.8 + 0.4 + 0.5, 5])
    assert sorted(figures) == ["hint_dft_loss", "hint_token_prob", "trace_cross_entropy_loss", "trace_token_prob"]


def test_tokens_of_each_role_are_told_for_all_processes_together():
    totals = GuidedTotals.of([number / 2 for number in guided_counts(_experience())])
    assert totals.figures(num_processes=2) == {"hint_tokens": 5, "trace_tokens": 6, "generated_tokens": 3}


def test_the_policys_weight_is_that_of_generated_tokens_and_none_without_them():
    assert _imitation({"role": "hint", "loss": "policy"}).terms == ()
    assert _imitation().policy_weight == 1.0
    alone = GuidanceConfig.model_validate({"losses": [{"role": "trace", "loss": "cross_entropy"}]})
    assert Imitation.of(alone, max_completion_length=8).policy_weight == 0.0
