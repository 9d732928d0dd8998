"""Every preset of `guidance`: loss and gradient of a small batch against its formula, written out token by token.

The batches are what the makers hand on: rollouts, perhaps begun by a hint, rollouts that a trace stands in for, and traces, with
advantages put down by hand. The model is a table of logits over five tokens. Nothing of the update's code is in the expected values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, exp, pi

import pytest
import torch

from vlmpost.config.guidance import GuidanceConfig
from vlmpost.config.guidance_presets import PRESETS, with_algorithm
from vlmpost.config.schema import AlgorithmConfig
from vlmpost.models.prompts import EncodedPrompt
from vlmpost.training.update.entropy import EntropyCoefficient
from vlmpost.training.update.experience import Experience
from vlmpost.training.update.imitation import Imitation
from vlmpost.training.update.losses import PolicyLoss
from vlmpost.training.update.mini_batch import Noted, chosen, counts, mini_batches
from vlmpost.training.update.scorer import TokenScores
from vlmpost.training.update.step_loss import StepLoss

PROMPT = EncodedPrompt((1,), {}, {})
CODES = {"h": 1, "g": 2, "t": 3}
LENGTH = 4
"""max_completion_length."""
DRIFTS = (0.1, -0.3, 0.0, 0.25, -0.1)
"""Logarithms of ratios: 0.74 and 1.28 are beyond the clip of 0.8 .. 1.2."""


@dataclass(frozen=True)
class Row:
    """One row of a batch."""

    question: int
    roles: str
    """h hint, g generated, t trace."""
    advantage: float | tuple[float, ...] = 0.0
    weight: float = 1.0
    rollout: bool = True
    policy: bool = True
    sampled: str = ""
    """1 for a token with the policy loss; empty: generated ones."""


def replaced(question: int, roles: str) -> Row:
    """A rollout of a question that its trace took over; its advantage must not matter."""
    return Row(question, roles, 0.7, rollout=False)


def trace(question: int, roles: str, advantage: float = 0.0, *, compared: bool = False) -> Row:
    """A trace; compared: scored as a rollout."""
    return Row(question, roles, advantage, rollout=compared)


class Table:
    """Rows, and a model's logits for each of their tokens."""

    def __init__(self, rows: Sequence[Row]) -> None:
        generator = torch.Generator().manual_seed(7)
        shape = (len(rows), max(len(row.roles) for row in rows))
        self.rows = rows
        self.logits = torch.randn(*shape, 5, generator=generator, dtype=torch.float64, requires_grad=True)
        self.tokens = torch.randint(5, shape, generator=generator)
        self.drifts = torch.tensor(DRIFTS, dtype=torch.float64).repeat(shape[0] * shape[1])[: shape[0] * shape[1]].view(shape)

    def distribution(self, row: int, place: int) -> torch.Tensor:
        return self.logits[row, place].log_softmax(-1)

    def logp(self, row: int, place: int) -> torch.Tensor:
        return self.distribution(row, place)[self.tokens[row, place]]

    def entropy(self, row: int, place: int) -> torch.Tensor:
        logps = self.distribution(row, place)
        return -(logps.exp() * logps).sum()

    def ratio(self, row: int, place: int) -> torch.Tensor:
        """Of new to old probability: e to the drift, with the gradient of log p."""
        logp = self.logp(row, place)
        return (logp - logp.detach() + self.drifts[row, place]).exp()

    def kl(self, row: int, place: int) -> torch.Tensor:
        """k3 to a reference whose log-probability is 0.2 higher, times the ratio."""
        logp = self.logp(row, place)
        difference = logp.detach() + 0.2 - logp
        return (difference.exp() - difference - 1) * self.ratio(row, place)

    def places(self, row: int, roles: str) -> list[int]:
        return [place for place, role in enumerate(self.rows[row].roles) if role in roles]

    def experience(self, chosen_rows: Sequence[int]) -> Experience:
        rows = [self.rows[index] for index in chosen_rows]
        width = self.tokens.shape[1]
        roles = torch.tensor([[CODES[role] for role in row.roles] + [0] * (width - len(row.roles)) for row in rows], dtype=torch.int8)
        own = [[mark == "1" for mark in row.sampled.ljust(width, "0")] for row in rows]
        sampled = [given if row.sampled else (line == 2).tolist() for row, given, line in zip(rows, own, roles, strict=True)]
        per_token = [row.advantage if isinstance(row.advantage, tuple) else (row.advantage,) * width for row in rows]
        everywhere = self.logits.detach().log_softmax(-1).gather(2, self.tokens[..., None])[..., 0]
        inside = roles > 0
        return Experience(
            (PROMPT,) * len(rows),
            tuple(range(len(rows))),
            tuple(tuple(range(len(row.roles))) for row in rows),
            {
                "roles": roles,
                "sampled": torch.tensor(sampled),
                "advantages": torch.tensor([line + (0.0,) * (width - len(line)) for line in per_token], dtype=torch.float64),
                "row_weights": torch.tensor([row.weight for row in rows], dtype=torch.float64),
                "rollout_rows": torch.tensor([row.rollout for row in rows]),
                "policy_rows": torch.tensor([row.policy for row in rows]),
                "groups": torch.tensor([row.question for row in rows]),
                "old_logps": (everywhere - self.drifts)[list(chosen_rows)] * inside,
                "ref_logps": (everywhere + 0.2)[list(chosen_rows)] * inside,
                "row": torch.tensor(list(chosen_rows)),
            },
        ).take(range(len(rows)))

    def score(self, forward: object, model: object, part: Experience) -> TokenScores:
        """Stands in for a forward pass."""
        rows, inside = part.tensors["row"], part.tensors["roles"] > 0
        if "idle" in part.tensors:
            inside = torch.ones_like(inside)
        width = inside.shape[1]
        logps = self.logits[rows, :width].log_softmax(-1)
        own = logps.gather(2, self.tokens[rows, :width, None])[..., 0]
        return TokenScores(own * inside, -(logps.exp() * logps).sum(-1) * inside)


# --- the pieces of the formulas ---

Formula = Callable[[Table], torch.Tensor]
Total = torch.Tensor | float


def clipped(table: Table, row: int, place: int, advantage: float) -> torch.Tensor:
    """-min(w A, clip(w) A)."""
    ratio = table.ratio(row, place)
    return -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)


def unclipped(table: Table, advantages: dict[int, float]) -> torch.Tensor:
    """-w A, as in the scripts that descend from LUFFY's: the mean over these rows' generated tokens."""
    losses = [-table.ratio(row, place) * advantage for row, advantage in advantages.items() for place in table.places(row, "g")]
    return sum(losses) / len(losses)


def rl(table: Table, advantages: dict[int, float], *, beta: float = 0.0, num_tokens: int = 0) -> torch.Tensor:
    """L_RL: the mean over generated tokens of these rows, or their sum over `num_tokens`."""
    tokens = [(row, place) for row in advantages for place in table.places(row, "g")]
    total = sum(clipped(table, row, place, advantages[row]) + beta * table.kl(row, place) for row, place in tokens)
    return total / (num_tokens or len(tokens))


def ce(table: Table, row: int, role: str, factor: Callable[[torch.Tensor], Total] = lambda p: 1.0) -> torch.Tensor:
    """CE: the mean of -log p over a row's tokens of a role, perhaps with a factor of each, which has no gradient."""
    places = table.places(row, role)
    return sum(-factor(table.logp(row, place).detach().exp()) * table.logp(row, place) for place in places) / len(places)


def shaped(table: Table, row: int, advantage: float) -> torch.Tensor:
    """-A f(p) over a trace's tokens, f(x) = x / (x + 0.1)."""
    probs = [table.logp(row, place).exp() for place in table.places(row, "t")]
    return sum(-advantage * p / (p + 0.1) for p in probs)


def mean_entropy(table: Table, row: int, role: str) -> torch.Tensor:
    places = table.places(row, role)
    return sum(table.entropy(row, place) for place in places) / len(places)


# --- the batches ---


@dataclass(frozen=True)
class Case:
    """A batch under a preset: the rows of its optimizer steps, and the loss of each step."""

    preset: str
    steps: tuple[tuple[Row, ...], ...]
    expected: tuple[Formula, ...]
    beta: float = 0.0
    step: int = 0
    num_rollout_steps: int | None = None


SOLVED = (Row(0, "gg", 1.0), Row(0, "ggg", -1.0))
"""A question that one of two rollouts solves; rows 0 and 1, five tokens."""
ZERO_PASS = (replaced(1, "gg"), replaced(1, "g"), replaced(2, "ggg"), replaced(2, "g"))
"""Two that none solves, which their traces take over; rows 2 to 5."""
TRACES = (trace(1, "ttt"), trace(2, "t"))
"""Rows 6 and 7 behind the others."""
A = {0: 1.0, 1: -1.0}


def traces_mean(table: Table, rows: Sequence[int], one: Callable[[int], torch.Tensor]) -> torch.Tensor:
    return sum(one(row) for row in rows) / len(rows)


def alternating(preset: str, *, beta: float = 0.0) -> Case:
    """A step on the rollouts of solved questions, one on the traces of the others."""

    def learnt(table: Table) -> torch.Tensor:
        return (ce(table, 6, "t") + ce(table, 7, "t")) / 2

    return Case(preset, ((*SOLVED, *ZERO_PASS), TRACES), (lambda table: rl(table, A, beta=beta), learnt), beta=beta, num_rollout_steps=1)


def in_one_step(preset: str, factor: Callable[[torch.Tensor], Total] = lambda p: 1.0, *, beta: float = 0.0) -> Case:
    """Both in one: KL on rollouts that stay, and neither KL nor loss on those that leave."""

    def expected(table: Table) -> torch.Tensor:
        return rl(table, A, beta=beta) + (ce(table, 6, "t", factor) + ce(table, 7, "t", factor)) / 2

    return Case(preset, ((*SOLVED, *ZERO_PASS, *TRACES),), (expected,), beta=beta)


# Question 0 plain; question 1 from a hint of two tokens that both rollouts share; question 2 from the whole trace, nothing generated.
PROGRESSIVE = (*SOLVED, Row(1, "hhg", 0.5, weight=0.5), Row(1, "hhgg", -0.5, weight=0.5), Row(2, "hhhh", rollout=False))
HINTED = (Row(0, "hgg", 1.0, weight=0.5), Row(0, "hg", -1.0, weight=0.5), Row(1, "hhg", 0.5, weight=0.5), Row(1, "hhgg", -0.5, weight=0.5))
HINTED_A = {0: 1.0, 1: -1.0, 2: 0.5, 3: -0.5}


def progressive(beta: float) -> Case:
    def expected(table: Table) -> torch.Tensor:
        hints = ((ce(table, 2, "h") + ce(table, 3, "h")) / 2 + ce(table, 4, "h")) / 2
        return 0.2 * hints + rl(table, {**A, 2: 0.5, 3: -0.5}, beta=beta)

    return Case("progressive", (PROGRESSIVE,), (expected,), beta=beta)


def with_loss_on_hints(preset: str, beta: float = 0.0) -> Case:
    """0.001 CE of each question's hint, once, and then the mean over the two."""

    def expected(table: Table) -> torch.Tensor:
        hints = ((ce(table, 0, "h") + ce(table, 1, "h")) / 2 + (ce(table, 2, "h") + ce(table, 3, "h")) / 2) / 2
        return rl(table, HINTED_A, beta=beta) + 0.001 * hints

    return Case(preset, (HINTED,), (expected,), beta=beta)


def without_loss_on_hints(preset: str) -> Case:
    return Case(preset, (HINTED,), (lambda table: rl(table, HINTED_A),))


# LUFFY: 7 rollouts and a trace. Question 0: 3 right and the trace, R - 4/8; question 1: the trace alone, R - 1/8.
LUFFY_A = (*[0.5] * 3, *[-0.5] * 4, 0.5, *[-0.125] * 7, 0.875)
LUFFY = tuple(
    trace(row // 8, "tt" if row < 8 else "t", advantage, compared=True) if row % 8 == 7 else Row(row // 8, "g" * (1 + row % 3), advantage)
    for row, advantage in enumerate(LUFFY_A)
)


def luffy(table: Table) -> torch.Tensor:
    """Neither clipped nor averaged over lengths: the sum over 16 rows of at most 4 tokens, ratios of traces to 1."""
    rollouts = [row for row in range(16) if row % 8 != 7]
    on_policy = sum(-LUFFY_A[row] * table.ratio(row, place) for row in rollouts for place in table.places(row, "g"))
    return (on_policy + shaped(table, 7, 0.5) + shaped(table, 15, 0.875)) / (16 * LENGTH)


# SRFT: question 0 has two right ones, sampled at mean entropies 0.4 and 0.9, a wrong one and the trace, 1 - 3/4; question 1 none, 1 - 1/3.
RIGHT = (0.1 * exp(0.4), 0.1 * exp(0.9))
SRFT = (
    *(Row(0, "gg", RIGHT[0]), Row(0, "g", RIGHT[1]), Row(0, "ggg", -1.0), trace(0, "ttt", 0.25, compared=True)),
    *(Row(1, "g", -1.0), Row(1, "gg", -1.0), trace(1, "t", 2 / 3, compared=True)),
)


def srft(table: Table) -> torch.Tensor:
    """Rollouts by -A log p, each token by its ratio without gradient, over their 9 tokens; traces by two means over sequences."""
    weights = {0: RIGHT[0], 1: RIGHT[1], 2: -1.0, 4: -1.0, 5: -1.0}
    on_policy = sum(
        -table.ratio(row, place).detach() * weight * table.logp(row, place)
        for row, weight in weights.items()
        for place in table.places(row, "g")
    )
    learnt = sum((-mean_entropy(table, row, "t").detach()).exp() * ce(table, row, "t") for row in (3, 6)) / 2
    compared = (shaped(table, 3, 0.25) / 3 + shaped(table, 6, 2 / 3) / 1) / 2
    return on_policy / 9 + 0.5 * learnt + compared


STREAM = (*SOLVED, trace(7, "ttt"), trace(9, "t"))


def chord(preset: str, mu: float, factor: Callable[[torch.Tensor], Total] = lambda p: 1.0, *, step: int = 0) -> Case:
    """(1 - mu) L_RL + mu times the mean over the four tokens of two traces that were drawn from all."""

    def expected(table: Table) -> torch.Tensor:
        return (1 - mu) * rl(table, A) + mu * (3 * ce(table, 2, "t", factor) + ce(table, 3, "t", factor)) / 4

    return Case(preset, (STREAM,), (expected,), step=step)


# Prefix-RFT: a prefix of five tokens, of which the most uncertain fifth, the second, is learnt; rewards 1, and 0, 1 and 1 of plain ones:
# 1 - 2/3 for the second token and the continuation; -2/3 and 1/3.
PREFIX = (
    Row(0, "hhhhhgg", (0.0, 1 / 3, 0.0, 0.0, 0.0, 1 / 3, 1 / 3), sampled="0100011"),
    Row(0, "gg", -2 / 3),
    Row(0, "g", 1 / 3),
    Row(0, "ggg", 1 / 3),
)


def prefix_rft(table: Table) -> torch.Tensor:
    """The mean over 3 + 2 + 1 + 3 tokens."""
    right, wrong = [(0, 1), (0, 5), (0, 6), (2, 0), (3, 0), (3, 1), (3, 2)], [(1, 0), (1, 1)]
    return (sum(clipped(table, *token, 1 / 3) for token in right) + sum(clipped(table, *token, -2 / 3) for token in wrong)) / 9


def relift(table: Table) -> torch.Tensor:
    """CE - 0.001 entropy of each trace, then their mean."""
    return sum(ce(table, row, "t") - 0.001 * mean_entropy(table, row, "t") for row in (6, 7)) / 2


# All rollouts of question 3 are right: no policy loss where flat groups are left out of it, and their KL term stays.
FLAT = (*SOLVED, Row(3, "g", policy=False), Row(3, "ggg", policy=False), *ZERO_PASS, *TRACES)


def with_flat_group(table: Table) -> torch.Tensor:
    """The policy's mean over the 5 tokens of question 0, the KL term's over 9."""
    kl = sum(table.kl(row, place) for row in (0, 1, 2, 3) for place in table.places(row, "g")) / 9
    return rl(table, A) + 0.05 * kl + (ce(table, 8, "t") + ce(table, 9, "t")) / 2


CASES = {
    "interleaved": alternating("interleaved"),
    "interleaved, KL": alternating("interleaved", beta=0.05),
    "interleaved_joint": in_one_step("interleaved_joint"),
    "interleaved_joint, KL": in_one_step("interleaved_joint", beta=0.05),
    "interleaved_joint, KL, flat": Case("interleaved_joint", (FLAT,), (with_flat_group,), beta=0.05),
    "interleaved_buffered": alternating("interleaved_buffered"),
    "sft_on_all": Case(
        "sft_on_all",
        ((*SOLVED, Row(1, "g", 0.5), Row(1, "g", -0.5)), (trace(0, "tt"), trace(1, "ttt"))),
        (lambda table: rl(table, {**A, 2: 0.5, 3: -0.5}), lambda table: (ce(table, 4, "t") + ce(table, 5, "t")) / 2),
        num_rollout_steps=1,
    ),
    "progressive": progressive(0.0),
    "progressive, KL": progressive(0.05),
    "hpt": Case(
        "hpt", ((*SOLVED, *ZERO_PASS, *TRACES),), (lambda table: unclipped(table, A) + (ce(table, 6, "t") + ce(table, 7, "t")) / 2,)
    ),
    "relift": Case("relift", ((*SOLVED, *ZERO_PASS), TRACES), (lambda table: unclipped(table, A), relift), num_rollout_steps=1),
    "luffy": Case("luffy", (LUFFY,), (luffy,)),
    "srft": Case("srft", (SRFT,), (srft,)),
    "chord_mu, at first": chord("chord_mu", 0.9),
    "chord_mu, step 50": chord("chord_mu", 0.05 + 0.85 * (1 + cos(pi / 4)) / 2, step=50),
    "chord_mu, at last": chord("chord_mu", 0.05, step=300),
    "chord_phi": chord("chord_phi", 0.1, lambda p: p * (1 - p)),
    "uft": with_loss_on_hints("uft"),
    "uft, KL": with_loss_on_hints("uft", 0.05),
    "uft_staged": with_loss_on_hints("uft_staged"),
    "r3": without_loss_on_hints("r3"),
    "prefix_rft": Case("prefix_rft", (PREFIX,), (prefix_rft,)),
    "hint_grpo": without_loss_on_hints("hint_grpo"),
    "bread": without_loss_on_hints("bread"),
    "ghpo": Case("ghpo", (SOLVED,), (lambda table: rl(table, A),)),  # the hint is part of the question
    "sasr, rollouts": Case("sasr", (SOLVED,), (lambda table: rl(table, A),)),
    "sasr, traces": Case("sasr", (TRACES,), (lambda table: (ce(table, 0, "t") + ce(table, 1, "t")) / 2,)),
    "dft": in_one_step("dft", lambda p: p),
}


def test_every_preset_is_here() -> None:
    assert {case.preset for case in CASES.values()} == set(PRESETS)
    assert len(PRESETS) == 20 and len(CASES) == 28


# --- the code under test ---


def _step_loss(case: Case, table: Table) -> StepLoss:
    guidance = GuidanceConfig(preset=case.preset)
    algorithm = AlgorithmConfig.model_validate(with_algorithm({"guidance": {"preset": case.preset}}).get("algorithm", {}))
    policy = PolicyLoss(
        loss_type=algorithm.loss_type,
        epsilon=algorithm.epsilon,
        epsilon_high=algorithm.epsilon if algorithm.epsilon_high is None else algorithm.epsilon_high,
        beta=case.beta,
        max_completion_length=LENGTH,
    )
    imitation = Imitation.of(guidance, max_completion_length=LENGTH)
    return StepLoss(algorithm, policy, EntropyCoefficient(0.0), None, table.score, lambda entropies: entropies, imitation)


def _of_step(rows: Sequence[int], table: Table, num_processes: int) -> list[Experience]:
    """Each process has whole questions, perhaps none."""
    whole = table.experience(rows)
    return [
        chosen(whole, [place for place, row in enumerate(rows) if table.rows[row].question % num_processes == process])
        for process in range(num_processes)
    ]


def _losses(case: Case, table: Table, *, one_by_one: bool, num_processes: int) -> list[torch.Tensor]:
    """The loss of each optimizer step, as processes average them and passes add up."""
    ends = [sum(map(len, case.steps[: number + 1])) for number in range(len(case.steps))]
    steps = [_of_step(range(end - len(rows), end), table, num_processes) for end, rows in zip(ends, case.steps, strict=True)]
    totals = torch.stack([sum(counts(part) for part in parts) / num_processes for parts in steps])
    loss = _step_loss(case, table)
    losses = []
    for number, parts in enumerate(steps):
        shares = []
        for part in parts:
            batch = mini_batches([one[0] for one in steps], totals, num_rollout_steps=case.num_rollout_steps)[number]
            moving = part.take(loss.moving_rows(part))
            passes = [[row] for row in range(len(moving))] if one_by_one else [list(range(len(moving)))]
            shares += [loss(None, None, moving.take(rows), batch, Noted(), step=case.step, num_steps=1000) for rows in passes]
        losses.append(sum(shares) / num_processes)
    return losses


@pytest.mark.parametrize(("one_by_one", "num_processes"), [(False, 1), (True, 1), (False, 2), (True, 3)])
@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_of_each_step_are_those_of_the_formula(name: str, one_by_one: bool, num_processes: int) -> None:
    case = CASES[name]
    table = Table([row for rows in case.steps for row in rows])
    found = _losses(case, table, one_by_one=one_by_one, num_processes=num_processes)
    assert len(found) == len(case.expected) == len(case.steps)
    for ours, formula in zip(found, case.expected, strict=True):
        by_hand = formula(table)
        assert ours.item() == pytest.approx(by_hand.item(), abs=1e-9)
        [gradient] = torch.autograd.grad(ours, table.logits, retain_graph=True)
        [expected] = torch.autograd.grad(by_hand, table.logits, retain_graph=True)
        assert expected.abs().max() > 1e-3
        assert torch.allclose(gradient, expected, rtol=0, atol=1e-9)
