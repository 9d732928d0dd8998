"""Silver labels: the share of agreeing responses, the paper's filter, and the reward under both."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers import Reference, symbolic
from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards import silver
from vlmpost.rewards.binding import Schema, bind, schema_of
from vlmpost.rewards.silver import Agreement, agreement_of, check_silver, keeps, silver_accuracy, with_agreement
from vlmpost.rewards.table import Reward

RIGHT, WRONG = r"So \boxed{7}.", r"So \boxed{8}."


def rollout(text: str, agreement: object = 0.5, *, answer: str | None = "7") -> Rollout:
    meta = {} if agreement is None else {"agreement": agreement}
    return Rollout(Example("q1", "web", (), answer=answer, answer_type="number", meta=meta), text, (), "stop")


@pytest.mark.parametrize(
    ("responses", "num_agreeing", "share"),
    [((RIGHT, WRONG), 1, 0.5), ((RIGHT, RIGHT), 2, 1.0), ((WRONG, "no idea"), 0, 0.0), ((RIGHT, WRONG, RIGHT, "7"), 3, 0.75)],
)
def test_agreement_is_the_share_of_responses_with_the_silver_answer(responses: tuple[str, ...], num_agreeing: int, share: float) -> None:
    agreement = agreement_of(responses, Reference("7", "number"))
    assert agreement == Agreement(len(responses), num_agreeing, 0)
    assert agreement.share == share


def test_a_response_that_cannot_be_compared_is_left_out_of_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> symbolic.Comparison:
        return "timeout"

    monkeypatch.setattr(symbolic, "compare", stopped)
    reference = Reference("x^2+1", "latex")
    agreement = agreement_of([r"\boxed{x^2+1}", r"\boxed{\sin(x)^x}"], reference)
    assert agreement == Agreement(2, 1, 1)
    assert agreement.share == 1.0
    assert Agreement(2, 0, 2).share is None


def test_no_response_at_all_is_an_error() -> None:
    with pytest.raises(GraderError, match="'q7' has no teacher response"):
        agreement_of([], Reference("7", "number", id="q7"))


def test_the_paper_keeps_what_one_of_two_responses_confirms() -> None:
    assert [keeps(Agreement(2, n, 0)) for n in (0, 1, 2)] == [False, True, True]
    assert [keeps(Agreement(2, n, 0), min_agreeing=2) for n in (0, 1, 2)] == [False, False, True]


def test_the_share_is_written_where_the_reward_reads_it() -> None:
    example = with_agreement(Example("q1", "web", (), answer="7", answer_type="number", meta={"unit": "m"}), Agreement(4, 3, 0))
    assert example.meta == {"unit": "m", "agreement": 0.75}
    assert silver_accuracy(Rollout(example, RIGHT, (), "stop"), weighting="agreement") == 0.75
    with pytest.raises(GraderError, match="none of 2 teacher responses"):
        with_agreement(example, Agreement(2, 0, 2))


@pytest.mark.parametrize(
    ("agreement", "min_agreement", "right", "wrong"),
    [(0.0, 0.0, 1.0, 0.0), (0.5, 0.5, 1.0, 0.0), (0.49, 0.5, None, None), (0.0, 0.5, None, None), (1, 1.0, 1.0, 0.0)],
)
def test_the_reward_applies_from_the_least_agreement_on(
    agreement: float, min_agreement: float, right: float | None, wrong: float | None
) -> None:
    assert silver_accuracy(rollout(RIGHT, agreement), min_agreement=min_agreement) == right
    assert silver_accuracy(rollout(WRONG, agreement), min_agreement=min_agreement) == wrong


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_weighted_reward_is_the_share_for_right_answers_and_0_for_wrong_ones(share: float, least: float) -> None:
    right = silver_accuracy(rollout(RIGHT, share), min_agreement=least, weighting="agreement")
    wrong = silver_accuracy(rollout(WRONG, share), min_agreement=least, weighting="agreement")
    assert (right, wrong) == ((None, None) if share < least else (share, 0.0))


def test_an_example_without_answer_gets_no_reward() -> None:
    assert silver_accuracy(rollout(RIGHT, None, answer=None)) is None


@pytest.mark.parametrize("agreement", [None, "0.5", True, -0.1, 1.1, math.nan, [0.5]])
def test_an_example_without_a_share_is_named(agreement: object) -> None:
    with pytest.raises(GraderError, match=r"Example 'q1'.*meta\.agreement"):
        silver_accuracy(rollout(RIGHT, agreement))


def test_presets_bind_and_pass_their_check() -> None:
    schema = schema_of(silver_accuracy)
    assert isinstance(schema, Schema)
    assert sorted(silver.PRESETS) == ["demystify_filtered", "demystify_unfiltered"]
    reward = Reward(silver_accuracy, silver.PRESETS, check_silver)
    for name, preset in silver.PRESETS.items():
        arguments, faults = bind(reward, schema, {"preset": name}, max_completion_length=None)
        assert (arguments, faults) == (dict(preset), [])
        assert check_silver(arguments, None) == []
    assert check_silver({"min_agreement": 1.5}, None) == ["min_agreement 1.5 is not a share: it must be from 0 to 1"]
