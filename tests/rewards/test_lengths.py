"""Rewards by length against the printed formulas, the sources' own functions, and their documented bounds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.errors import ConfigError
from vlmpost.records import Example, Rollout
from vlmpost.rewards import length_settings as settings
from vlmpost.rewards import lengths
from vlmpost.rewards.binding import Schema, bind, schema_of
from vlmpost.rewards.table import Reward

RIGHT, WRONG = r"\boxed{7}", r"\boxed{8}"
EDGES = (0, 1, -16, -15, -1, 0, 1)
"""0 and 1, then L - 16, L - 15, L - 1, L and L + 1, as `edges` makes them."""


def rollout(text: str, num_tokens: int = 0, *, answer: str | None = "7") -> Rollout:
    return Rollout(Example("q1", "sums", (), answer=answer, answer_type="number"), text, (5,) * num_tokens, "stop")


def characters(length: int, *, right: bool) -> Rollout:
    """A text of so many characters that answers 7 or 8; a single character is the answer itself, none is no answer."""
    digit = "7" if right else "8"
    return rollout(digit if length == 1 else f"\\boxed{{{digit}}}".rjust(length, "\n") if length else "")


def edges(limit: int) -> list[int]:
    return [0, 1, *(limit + offset for offset in EDGES[2:])]


def printed(length: float, limit: float, low: float, high: float) -> float:
    """CosFn of appendix C.1: low + (high - low)(1 + cos(pi t / T)) / 2, which is `high` at 0 and `low` at T."""
    return low + 0.5 * (high - low) * (1.0 + math.cos(length * math.pi / limit))


def reward(name: str) -> Reward:
    return {
        "classic": Reward(lengths.classic, settings.CLASSIC, settings.check_classic),
        "cosine": Reward(lengths.cosine, settings.COSINE, settings.check_cosine),
        "length_scaled": Reward(lengths.length_scaled, settings.LENGTH_SCALED, settings.check_length_scaled),
        "soft_overlong": Reward(lengths.soft_overlong, settings.SOFT_OVERLONG, settings.check_soft_overlong),
        "length_group": Reward(lengths.length_group, settings.LENGTH_GROUP, settings.check_length_group),
    }[name]


def bound(name: str, params: Mapping[str, object], budget: int | None) -> tuple[dict[str, object], list[str]]:
    found = reward(name)
    schema = schema_of(found.function)
    assert isinstance(schema, Schema)
    return bind(found, schema, params, max_completion_length=budget)


def preset(name: str, which: str, budget: int | None = None) -> dict[str, object]:
    arguments, faults = bound(name, {"preset": which}, budget)
    assert not faults
    return arguments


# The cosine reward.

VALUES = {
    # Preset: (right at 0, right at L, wrong at 0, wrong at L, over-length or None, margin), from table 1.1 and the sources.
    "demystify_paper": (2, 1, -10, 0, -10, 0),
    "demystify": (2, 1, -10, 0, -10, 16),
    "demystify_repo": (2, 1, -10, 0, -10, 16),
    "demystify_defaults": (1, 0, -1, 0, 0, 16),
    "demystify_a": (0, 10, 0, 0, -10, 16),
    "demystify_b": (6, 5, -10, 0, -10, 16),
    "demystify_c": (10, 9, -10, 0, -10, 16),
    "trl": (1, 0.5, -1, -0.5, None, 0),
    "ms_swift": (1, 0.5, -0.5, 0, None, 0),
}


def test_every_cosine_preset_is_in_the_tables_of_this_file() -> None:
    assert set(settings.COSINE) == {*VALUES, "open_r1", "open_r1_script"}


@pytest.mark.parametrize("limit", [1024, 14336])
@pytest.mark.parametrize("name", sorted(VALUES))
def test_token_presets_equal_the_printed_formula_at_the_edges(name: str, limit: int) -> None:
    right_0, right_l, wrong_0, wrong_l, over, margin = VALUES[name]
    arguments = preset("cosine", name, limit)
    compared = 0
    for length in edges(limit):
        held = min(length, limit) if name == "trl" else length
        expected = [printed(held, limit, right_l, right_0), printed(held, limit, wrong_l, wrong_0)]
        if over is not None and length + margin >= limit:
            expected = [over, over]
        got = [lengths.cosine(rollout(text, length), **arguments) for text in (RIGHT, WRONG)]
        assert got == pytest.approx(expected, rel=0, abs=1e-9), (name, length)
        compared += 2
    assert compared == 14


@pytest.mark.parametrize(
    ("length", "right", "wrong"),
    [
        # L = 1200: 1 + cos is 2, 1 + sqrt(3)/2, 1 + sqrt(2)/2, 3/2, 1, 1/2 at 0, 30, 45, 60, 90 and 120 degrees.
        (0, 2.0, -10.0),
        (200, 1.5 + math.sqrt(3) / 4, -5.0 - 2.5 * math.sqrt(3)),
        (300, 1.5 + math.sqrt(2) / 4, -5.0 - 2.5 * math.sqrt(2)),
        (400, 1.75, -7.5),
        (600, 1.5, -5.0),
        (800, 1.25, -2.5),
        (1200, -10.0, -10.0),
    ],
)
def test_the_papers_values_by_hand(length: int, right: float, wrong: float) -> None:
    arguments = preset("cosine", "demystify_paper", 1200)
    assert lengths.cosine(rollout(RIGHT, length), **arguments) == pytest.approx(right, rel=0, abs=1e-9)
    assert lengths.cosine(rollout(WRONG, length), **arguments) == pytest.approx(wrong, rel=0, abs=1e-9)


def test_paper_and_code_part_sixteen_tokens_before_the_end() -> None:
    paper, code = (preset("cosine", name, 14336) for name in ("demystify_paper", "demystify_repo"))
    for length, apart in [(14319, False), (14320, True), (14335, True), (14336, False), (14337, False)]:
        values = [lengths.cosine(rollout(RIGHT, length), **arguments) for arguments in (paper, code)]
        assert (values[0] != values[1]) is apart, length
    assert lengths.cosine(rollout(RIGHT, 14319), **code) > 1.0
    assert lengths.cosine(rollout(RIGHT, 14320), **code) == -10.0


def test_over_length_may_leave_right_answers_their_cosine() -> None:
    arguments = {**preset("cosine", "demystify_paper", 100), "over_length_for": "wrong"}
    assert lengths.cosine(rollout(RIGHT, 100), **arguments) == pytest.approx(1.0)
    assert lengths.cosine(rollout(WRONG, 100), **arguments) == -10.0


@pytest.mark.parametrize(("name", "wrong_0"), [("open_r1", -1.0), ("open_r1_script", 0.0)])
def test_open_r1_counts_characters_and_is_not_held_at_the_end(name: str, wrong_0: float) -> None:
    arguments = preset("cosine", name)
    compared = 0
    for length in [*edges(1000), 1500, 2000]:
        for right in (True, False):
            got = lengths.cosine(characters(length, right=right), **arguments)
            answered = right and length > 0
            low, high = (0.5, 1.0) if answered else (-0.5, wrong_0)
            assert got == pytest.approx(printed(length, 1000, low, high), rel=0, abs=1e-9), (length, right)
            compared += 1
    assert compared == 18
    # At 2 L the wave has come back to where it began.
    assert lengths.cosine(characters(2000, right=True), **arguments) == pytest.approx(1.0)
    assert lengths.cosine(characters(2000, right=True), **{**arguments, "clamp": True}) == pytest.approx(0.5)


def test_cosine_equals_trls_on_random_lengths() -> None:
    from trl.rewards import get_cosine_scaled_reward

    draw = random.Random(7)
    compared = 0
    for _ in range(12):
        low_wrong, high_wrong = sorted(draw.uniform(-3, 0) for _ in range(2))
        low_right, high_right = sorted(draw.uniform(0, 3) for _ in range(2))
        limit = draw.randint(1, 300)
        theirs = get_cosine_scaled_reward(limit, low_wrong, high_wrong, low_right, high_right)
        sizes = [draw.randint(0, 600) for _ in range(8)]
        texts = [draw.choice((RIGHT, WRONG)) for _ in sizes]
        expected = theirs([[{"content": text}] for text in texts], ["7"] * len(texts), [[1] * size for size in sizes])
        got = [
            lengths.cosine(
                rollout(text, size),
                correct_at_zero=high_right,
                correct_at_max=low_right,
                wrong_at_zero=low_wrong,
                wrong_at_max=high_wrong,
                max_length=limit,
            )
            for text, size in zip(texts, sizes, strict=True)
        ]
        assert got == pytest.approx(expected, rel=0, abs=1e-9)
        compared += len(got)
    assert compared == 96


values = st.floats(-10, 10)


@given(values, values, values, values, st.none() | values, st.integers(0, 400), st.integers(1, 200), st.booleans(), st.booleans())
def test_cosine_stays_between_its_values(
    right_0: float, right_l: float, wrong_0: float, wrong_l: float, over: float | None, length: int, limit: int, clamp: bool, right: bool
) -> None:
    got = lengths.cosine(
        rollout(RIGHT if right else WRONG, length),
        correct_at_zero=right_0,
        correct_at_max=right_l,
        wrong_at_zero=wrong_0,
        wrong_at_max=wrong_l,
        over_length=over,
        max_length=limit,
        clamp=clamp,
    )
    ends = [right_0, right_l] if right else [wrong_0, wrong_l]
    ends += [] if over is None else [over]
    assert got is not None
    assert min(ends) - 1e-9 <= got <= max(ends) + 1e-9


@pytest.mark.parametrize("name", ["demystify_paper", "demystify_repo"])
def test_the_demystify_presets_are_in_minus_ten_to_two(name: str) -> None:
    arguments = preset("cosine", name, 200)
    found = [lengths.cosine(rollout(text, length), **arguments) for text in (RIGHT, WRONG) for length in range(260)]
    assert (min(found), max(found)) == (-10.0, 2.0)


# Classic and length-scaled.


@pytest.mark.parametrize(
    ("name", "text", "length", "expected"),
    [
        ("demystify", RIGHT, 0, 1.0),
        ("demystify", WRONG, 1, 0.0),
        ("demystify", "I cannot tell.", 1, 0.0),
        ("demystify", RIGHT, 983, 1.0),
        ("demystify", RIGHT, 984, 0.0),  # L - 16
        ("demystify", RIGHT, 1000, 0.0),
        ("demystify", WRONG, 1001, 0.0),
        ("section6", RIGHT, 1000, 1.0),
        ("section6", WRONG, 0, -0.5),
        ("section6", "", 0, -1.0),
        ("section6", r"so it is \boxed{", 1000, -1.0),
        ("section6", "I'm sorry, I cannot determine the answer from this picture.", 20, -1.0),
    ],
)
def test_classic_presets(name: str, text: str, length: int, expected: float) -> None:
    assert lengths.classic(rollout(text, length), **preset("classic", name, 1000)) == expected


def test_classic_with_the_papers_test_of_over_length_begins_at_l() -> None:
    for length, expected in [(984, 1.0), (999, 1.0), (1000, -3.0), (1001, -3.0)]:
        assert lengths.classic(rollout(RIGHT, length), over_length=-3.0, max_length=1000) == expected


@pytest.mark.parametrize("length", edges(1000))
def test_length_scaled_equals_its_formula(length: int) -> None:
    share = length / 1000
    right, wrong = (0.5 + 0.5 * share) * (1 - share), -1 + share
    if length >= 984:
        right = wrong = 0.0
    arguments = preset("length_scaled", "demystify_repo", 1000)
    got = [lengths.length_scaled(rollout(text, length), **arguments) for text in (RIGHT, WRONG)]
    assert got == pytest.approx([right, wrong], rel=0, abs=1e-9)


@given(st.integers(0, 300), st.integers(17, 200), st.floats(0, 1), st.booleans())
def test_length_scaled_is_in_minus_one_to_one(length: int, limit: int, risk: float, right: bool) -> None:
    got = lengths.length_scaled(rollout(RIGHT if right else WRONG, length), risk=risk, max_length=limit)
    assert got is not None
    assert (0 if right else -1) <= got <= (1 if right else 0)


# Soft overlong.


def test_dapo_and_verl_at_the_edges() -> None:
    # L = 20480, C = 4096, L - C = 16384: one token further costs 1/4096.
    table = {
        0: (0.0, 0.0),
        1: (0.0, 0.0),
        16384: (0.0, 0.0),
        16385: (-1 / 4096, -1 / 4096),
        20464: (-4080 / 4096, -4080 / 4096),
        20479: (-4095 / 4096, -4095 / 4096),
        20480: (-1.0, -1.0),
        20481: (-1.0, -4097 / 4096),
        24576: (-1.0, -2.0),
    }
    dapo, verl = (preset("soft_overlong", name, 20480) for name in ("dapo", "verl"))
    for length, expected in table.items():
        got = tuple(lengths.soft_overlong(rollout("", length), **arguments) for arguments in (dapo, verl))
        assert got == pytest.approx(expected, rel=0, abs=1e-9), length


@pytest.mark.parametrize("name", ["open_r1", "trl"])
def test_open_r1_and_trl_at_the_edges(name: str) -> None:
    arguments = preset("soft_overlong", name, 16384)
    table = {0: 0.0, 1: 0.0, 12288: 0.0, 12289: -1 / 4096, 16368: -4080 / 4096, 16383: -4095 / 4096, 16384: -1.0, 16385: -1.0}
    for length, expected in table.items():
        assert lengths.soft_overlong(rollout("", length), **arguments) == pytest.approx(expected, rel=0, abs=1e-9), length


@given(st.integers(1, 300), st.data())
def test_soft_overlong_equals_trls_and_is_in_minus_one_to_zero(limit: int, data: st.DataObject) -> None:
    from trl.rewards import get_soft_overlong_punishment

    cache, length = data.draw(st.integers(0, limit - 1)), data.draw(st.integers(0, 400))
    got = lengths.soft_overlong(rollout("", length), cache=cache, max_length=limit)
    assert got == pytest.approx(get_soft_overlong_punishment(limit, cache)([[1] * length])[0], rel=0, abs=1e-9)
    assert -1 <= got <= 0


# The length reward of a group.


def test_kimi_by_hand() -> None:
    # Lengths 10 to 50: lambda is 0.5 - (n - 10) / 40.
    group = [rollout(RIGHT, 10), rollout(WRONG, 20), rollout(RIGHT, 40), rollout(WRONG, 50), rollout(RIGHT, 50), rollout(WRONG, 40)]
    got = lengths.length_group(group, **preset("length_group", "kimi"))
    assert got == pytest.approx([0.5, 0.0, -0.25, -0.5, -0.5, -0.25], rel=0, abs=1e-9)


def test_a_group_of_one_length_or_one_completion_is_zero_and_without_an_answer_is_none() -> None:
    assert lengths.length_group([rollout(RIGHT, 5), rollout(WRONG, 5)]) == [0.0, 0.0]
    assert lengths.length_group([rollout(RIGHT, 5)]) == [0.0]
    assert lengths.length_group([rollout(RIGHT, 5, answer=None), rollout(WRONG, 9, answer=None)]) == [None, None]


def test_open_r1_measures_the_group_in_characters() -> None:
    group = [characters(length, right=right) for length, right in [(20, True), (60, True), (100, False), (30, False)]]
    got = lengths.length_group(group, **preset("length_group", "open_r1"))
    assert got == pytest.approx([0.5, 0.0, -0.5, 0.0], rel=0, abs=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50)), min_size=1, max_size=4))
def test_permuting_a_group_permutes_its_values_which_are_bounded(members: list[tuple[bool, int]]) -> None:
    group = [rollout(RIGHT if right else WRONG, length) for right, length in members]
    got = lengths.length_group(group)
    assert all(value is not None and -0.5 <= value <= (0.5 if right else 0) for value, (right, _) in zip(got, members, strict=True))
    for order in permutations(range(len(group))):
        assert lengths.length_group([group[place] for place in order]) == [got[place] for place in order]


def test_a_group_reward_is_known_by_its_signature() -> None:
    schema = schema_of(lengths.length_group)
    assert isinstance(schema, Schema)
    assert schema.per_group


# Presets and checks.


def test_every_preset_fits_its_function_and_the_budget_of_its_source() -> None:
    budgets = {"open_r1": None, "open_r1_script": None, "dapo": 20480, "verl": 20480}
    seen = 0
    for name in ("classic", "cosine", "length_scaled", "soft_overlong", "length_group"):
        for which in reward(name).presets:
            preset(name, which, budgets.get(which, 14336))
            seen += 1
    assert seen == 2 + 11 + 1 + 4 + 2


@pytest.mark.parametrize(
    ("name", "params", "budget", "clause"),
    [
        ("cosine", {}, None, "max_length must be given"),
        ("cosine", {"wrong_at_zero": 0.5}, 100, "wrong_at_zero 0.5 is positive"),
        ("cosine", {"wrong_at_max": 0.25}, 100, "wrong_at_max 0.25 is positive"),
        ("cosine", {"correct_at_max": -0.6}, 100, "correct_at_max -0.6 is below wrong_at_max -0.5"),
        ("cosine", {"over_length": 1.0}, 100, "over_length 1.0 is positive"),
        ("cosine", {"preset": "demystify_repo"}, 16, "margin 16 is not below max_length 16"),
        ("cosine", {"preset": "demystify_repo", "max_length": 1000}, 4096, "max_length 1000 is below max_completion_length 4096"),
        ("cosine", {"preset": "demystify_paper", "max_length": 14336}, 4096, "max_length 14336 is above max_completion_length 4096"),
        ("cosine", {"preset": "open_r1"}, 4096, "max_length 1000 characters is below max_completion_length 4096"),
        ("cosine", {"preset": "ms_swift", "max_length": 1000}, 4096, "the cosine rises again"),
        ("cosine", {"margin": -1, "over_length": -1.0}, 100, "margin -1 is negative"),
        ("cosine", {"max_length": 0}, 100, "max_length 0 is not a length"),
        ("cosine", {"correct_at_zero": math.inf}, 100, "not finite"),
        ("cosine", {"profile": "mathvisoin"}, 100, "params.profile"),
        ("classic", {"over_length": 0.0}, None, "max_length must be given"),
        ("classic", {"over_length": 0.0, "max_length": 2048}, 1024, "is above max_completion_length 1024"),
        ("classic", {"wrong": 1.0}, 100, "wrong 1.0 is not below correct 1.0"),
        ("classic", {"unanswered": 2.0}, 100, "unanswered 2.0 is not below correct 1.0"),
        ("length_scaled", {"risk": 1.5}, 100, "risk 1.5 is not between 0 and 1"),
        ("soft_overlong", {}, 100, "params.cache must be given"),
        ("soft_overlong", {"cache": 100}, 100, "cache 100 is not below max_length 100"),
        ("soft_overlong", {"cache": -1}, 100, "cache -1 is negative"),
        ("soft_overlong", {"cache": 0, "floored": False}, 100, "cache 0 has no slope"),
        ("soft_overlong", {"preset": "dapo"}, 4096, "no completion would be penalised"),
        ("soft_overlong", {"cache": 10}, None, "max_length must be given"),
        ("length_group", {"profile": "kimi"}, 100, "params.profile"),
    ],
)
def test_parameters_that_do_not_fit_together_are_told(name: str, params: dict[str, object], budget: int | None, clause: str) -> None:
    _, faults = bound(name, params, budget)
    assert any(clause in fault for fault in faults), faults
    assert not any(fault.endswith(".") for fault in faults)


@pytest.mark.parametrize(
    ("name", "params", "budget"),
    [
        ("cosine", {"max_length": 1000}, 4096),  # held at its end
        ("cosine", {"preset": "open_r1", "clamp": True}, 4096),
        ("cosine", {"preset": "open_r1"}, 800),
        ("cosine", {"preset": "trl", "max_length": 8192}, 4096),  # only the first half of the wave
        ("cosine", {"preset": "demystify_repo", "max_length": 4112}, 4096),  # L - 16 is the budget
        ("cosine", {"preset": "demystify_repo", "max_length": 500}, None),
        ("classic", {}, None),
        ("classic", {"wrong": -1.0, "unanswered": 0.0}, None),  # an abstention pays better than a wrong answer
        ("soft_overlong", {"preset": "dapo"}, 16385),
        ("soft_overlong", {"preset": "trl"}, 20480),
        ("soft_overlong", {"cache": 0, "max_length": 50}, 100),
    ],
)
def test_what_is_only_unusual_is_let_pass(name: str, params: dict[str, object], budget: int | None) -> None:
    assert bound(name, params, budget)[1] == []


@pytest.mark.parametrize("function", [lengths.cosine, lengths.length_scaled])
def test_without_an_answer_a_reward_does_not_apply_and_without_a_length_it_cannot_be_had(function: Callable[..., float | None]) -> None:
    assert function(rollout(RIGHT, 3, answer=None), max_length=10) is None
    assert lengths.classic(rollout(RIGHT, 3, answer=None)) is None
    with pytest.raises(ConfigError, match="max_length"):
        function(rollout(RIGHT, 3))
