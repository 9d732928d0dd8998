"""Built-in rewards, binding of parameters, sums, and users' own functions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy
import pytest

from vlmpost import rewards
from vlmpost.config.schema import RewardTermConfig
from vlmpost.errors import ConfigError, GraderError
from vlmpost.records import Example, Rollout


def rollout(text: str, *, answer: str | None = "7") -> Rollout:
    return Rollout(Example("q1", "sums", (), answer=answer, answer_type="number"), text, (1, 2, 3), "stop")


def term(name: str, weight: float = 1.0, **params: object) -> RewardTermConfig:
    return RewardTermConfig(name=name, weight=weight, params=params)


def value(name: str, text: str, **params: object) -> float | None:
    return rewards.build([term(name, 1.0, **params)]).score(rollout(text)).total


def test_accuracy_is_one_zero_or_none() -> None:
    built = rewards.build([term("accuracy")])
    assert built.score(rollout(r"\boxed{7}")).parts == {"accuracy": 1.0}
    assert built.score(rollout(r"\boxed{8}")).total == 0.0
    unjudged = built.score(rollout(r"\boxed{7}", answer=None))
    assert (unjudged.total, unjudged.skipped) == (None, ("accuracy",))


@pytest.mark.parametrize(
    ("text", "strict", "lenient", "synergy"),
    [
        (r"<think> 3 + 4 </think> \boxed{7}", 1, 1, 1),
        ("<think> 3 + 4 </think> 7", 1, 1, 0),
        (r"well <think> a </think> \boxed{7}", 0, 1, 0),
        (r"<think> </think> \boxed{7}", 0, 0, 1),
        ("<think> a </think>", 0, 0, 0),
        (r"<think> a \boxed{7}", 0, 0, 0),
        (r"\boxed{7}", 0, 0, 0),
        (r"<think> a </think> b </think> \boxed{7", 0, 1, 0),
        (r"<think> <think> a </think> \boxed{7}", 0, 1, 1),
        (r"<think> \boxed{7} </think> 7", 1, 1, 0),
    ],
)
def test_format_modes(text: str, strict: int, lenient: int, synergy: int) -> None:
    assert [value("format", text, mode=mode) for mode in ("strict", "lenient", "synergy")] == [strict, lenient, synergy]


def test_boxed_format_looks_after_the_thinking() -> None:
    texts = [r"<think>a</think> \boxed{7}", r"\boxed{7}", r"<think>\boxed{7}</think> 7", r"\boxed{ }", r"\boxed{7"]
    assert [value("boxed_format", text) for text in texts] == [1, 1, 0, 0, 0]


def test_synergy_sum_keeps_accuracy_apart() -> None:
    built = rewards.build([term("accuracy", 0.9), term("format", 0.1, mode="synergy")])
    assert (built.names, built.weights) == (("accuracy", "format"), (0.9, 0.1))
    right = built.score(rollout(r"<think>a</think> \boxed{7}"))
    assert math.isclose(right.total, 0.9 * 1 + 0.1 * 1)
    wrong = built.score(rollout(r"<think>a</think> \boxed{8}"))
    assert (wrong.total, dict(wrong.parts)) == (0.1, {"accuracy": 0.0, "format": 1.0})


def test_all_faults_come_in_one_message_with_near_names() -> None:
    with pytest.raises(ConfigError) as caught:
        rewards.build([term("acuracy"), term("format", 1.0, mod="strict"), term("format", 1.0, mode="loose")])
    message = str(caught.value)
    for part in ("Did you mean 'accuracy'?", "did you mean 'mode'?", "'strict', 'lenient' or 'synergy'", "rewards[2]"):
        assert part in message


def test_two_terms_of_one_name_are_kept_apart() -> None:
    built = rewards.build([term("format"), term("format", 1.0, mode="lenient")])
    assert built.names == ("format", "format_2")


USER = """
def half(rollout, *, factor: float = 0.5, shape: tuple[int, ...] = (), max_completion_length: int = 0):
    return factor * (rollout.text == "yes") + max_completion_length
def strict(rollout, *, count: int): return count
def bad(rollout): raise ValueError("no such thing")
def several(rollout): return [1.0, 2.0]
def words(rollout): return ["a", "b", "c"]
def nan(rollout): return float("nan")
def single(rollout, *, kind: str = "f"):
    import numpy
    return {"f": numpy.float32(0.25), "b": numpy.bool_(True), "i": numpy.int64(3), "a": numpy.array(1.5), "t": True, "n": None}[kind]
async def later(rollout): return 1.0
def nothing(): return 1.0
def late(rollout, other): return 1.0
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(USER)
    return Path("mine.py")


def test_a_users_function_is_called_with_its_parameters(module: Path) -> None:
    built = rewards.build([term("mine.py:half", 2.0, factor=0.25, shape=[1, 2])])
    assert built.names == ("half",)
    assert built.score(rollout("yes")).total == 0.5
    assert built.terms[0].arguments == {"factor": 0.25, "shape": (1, 2)}


def test_the_token_budget_is_filled_in_where_the_function_asks_for_it(module: Path) -> None:
    assert rewards.build([term("mine.py:half")], max_completion_length=64).score(rollout("no")).total == 64
    assert rewards.build([term("mine.py:half", 1.0, max_completion_length=8)], max_completion_length=64).score(rollout("no")).total == 8


@pytest.mark.parametrize(("kind", "expected"), [("f", 0.25), ("b", 1.0), ("i", 3.0), ("a", 1.5), ("t", 1.0), ("n", None)])
def test_scalars_of_numpy_and_bools_are_numbers(module: Path, kind: str, expected: float | None) -> None:
    total = rewards.build([term("mine.py:single", 1.0, kind=kind)]).score(rollout("")).total
    assert total == expected
    assert not isinstance(total, numpy.generic)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("bad", "ValueError: no such thing"),
        ("several", "returned 2 values for 3 tokens"),
        ("words", "returned list"),
        ("nan", "returned nan"),
    ],
)
def test_a_failing_reward_names_reward_example_and_cause(module: Path, name: str, cause: str) -> None:
    built = rewards.build([term(f"mine.py:{name}")])
    with pytest.raises(GraderError) as caught:
        built.score(rollout("x"))
    for part in (f"mine.py:{name}", "'q1'", cause):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "params", "cause"),
    [
        ("mine.py:gone", {}, "has no function 'gone'. It has: bad, half"),
        ("gone.py:f", {}, "there is no file"),
        ("nowhere_at_all:f", {}, "module 'nowhere_at_all' cannot be found"),
        ("mine:half", {}, "write mine.py:half"),
        ("mine.py:later", {}, "asynchronous"),
        ("mine.py:nothing", {}, "must take the rollout"),
        ("mine.py:late", {}, "keyword-only"),
        ("mine.py:strict", {}, "params.count must be given"),
        ("mine.py:strict", {"count": 1.5}, "params.count is 1.5"),
        ("mine.py:strict", {"count": "1"}, "params.count is '1'"),
        ("broken.py:f", {}, "SyntaxError"),
        ("raising.py:f", {}, "RuntimeError: boom"),
    ],
)
def test_what_cannot_be_a_reward_is_said_before_anything_runs(module: Path, name: str, params: dict, cause: str) -> None:
    Path("broken.py").write_text("def f(:\n")
    Path("raising.py").write_text("raise RuntimeError('boom')\n")
    with pytest.raises(ConfigError) as caught:
        rewards.build([term(name, 1.0, **params)])
    assert cause in str(caught.value)


def test_a_reference_that_cannot_be_judged_is_an_error_with_the_example() -> None:
    built = rewards.build([term("accuracy")])
    with pytest.raises(GraderError, match=r"'q1'.*not a number"):
        built.score(rollout("7", answer="apple pie"))
