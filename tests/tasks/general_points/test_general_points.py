"""The task as a whole: dealing, splits, shifts, solutions, wrong replies, determinism."""

from __future__ import annotations

import hashlib
import itertools
import random
import subprocess
import sys

import pytest

from vlmpost import tasks
from vlmpost.answers.formulas import is_solvable
from vlmpost.errors import ConfigError
from vlmpost.records import IMAGE, Example
from vlmpost.tasks.episode import Episode

TASK = tasks.find("general_points")
TEXT = {"mode": "text"}
SMALL = {"mode": "vision", "resolution": 112}
COMPACT = {"mode": "text", "prompt_style": "compact", "reply_style": "formula"}


def drawn(num: int, split: str = "train", shift: str = "none", **options: object) -> list[Example]:
    return list(tasks.stream("general_points", split=split, num_examples=num, options=options, shift=shift))


@pytest.mark.parametrize("options", [TEXT, SMALL, COMPACT, {**TEXT, "num_cards": 3, "target": 12}, {**TEXT, "dealer": "deck"}])
@pytest.mark.parametrize("shift", tasks.SHIFTS)
def test_every_hand_is_solvable_by_its_rule_and_its_solutions_verify(options: dict[str, object], shift: str) -> None:
    for example in drawn(12, shift=shift, **options):
        assert is_solvable(example.meta["values"], example.meta["target"])
        for style in ("answer", "reasoned"):
            step = TASK.verify(example, TASK.solve(example, style=style), rewards="paper")
            assert (step.outcome, step.reward) == ("CORRECT_SOLUTION", 5.0)
        assert example.solution == TASK.solve(example, style="answer")


def test_solutions_verify_under_repo_in_text_and_never_in_vision() -> None:
    for example in drawn(60, **TEXT):
        if sorted(example.meta["values"]) != [3, 3, 8, 8]:
            for style in ("answer", "reasoned"):
                assert TASK.verify(example, TASK.solve(example, style=style), rewards="repo").reward == 5.0
    for example in drawn(3, **SMALL):
        assert TASK.verify(example, TASK.solve(example), rewards="repo").outcome == "INCORRECT_VISION"


@pytest.mark.parametrize(("shift", "faces"), [("none", [10, 10, 10]), ("rule", [11, 12, 13]), ("visual", [10, 10, 10])])
def test_values_follow_the_face_rule_of_the_shift(shift: str, faces: list[int]) -> None:
    plain = {"A": 1, **{str(number): number for number in range(2, 11)}}
    for example in drawn(80, shift=shift, **TEXT):
        assert example.meta["face_values"] == faces
        worth = plain | dict(zip("JQK", faces, strict=True))
        assert example.meta["values"] == [worth[label] for label in example.meta["cards"]]


def test_rule_shift_always_deals_a_face_and_the_plain_deal_does_not() -> None:
    with_face = [any(label in "JQK" for label in example.meta["cards"]) for example in drawn(150, shift="rule", **TEXT)]
    assert all(with_face)
    plain = [any(label in "JQK" for label in example.meta["cards"]) for example in drawn(150, **TEXT)]
    assert 60 < sum(plain) < 140  # 1 - (10/13)**4 = 0.65 of raw deals


@pytest.mark.parametrize(
    ("options", "shift", "suits"),
    [
        ({}, "none", "SC"),
        ({}, "rule", "SC"),
        ({}, "visual", "HD"),
        ({"colours": "red"}, "none", "HD"),
        ({"colours": "black"}, "none", "SC"),
        ({"colours": "mixed"}, "none", "SCHD"),
    ],
)
def test_colours_never_yield_another_colour(options: dict[str, object], shift: str, suits: str) -> None:
    seen = {suit for example in drawn(40, shift=shift, **SMALL, **options) for suit in example.meta["suits"]}
    assert seen == set(suits)


def test_a_deck_deals_no_card_twice_and_draws_with_replacement_do() -> None:
    def twins(dealer: str) -> int:
        hands = drawn(200, dealer=dealer, colours="black", **SMALL)
        return sum(len(set(zip(hand.meta["cards"], hand.meta["suits"], strict=True))) < 4 for hand in hands)

    assert twins("deck") == 0
    assert twins("replacement") > 10  # of 26 cards: about 6 / 26 of hands


def test_splits_share_no_hand_under_any_variant() -> None:
    # J, Q and K are one key with ten, so that no test hand is a training hand by the rule ten either.
    keys = {
        split: {
            tuple(sorted(min(int({"A": 1, "J": 10, "Q": 10, "K": 10}.get(label, label)), 10) for label in example.meta["cards"]))
            for shift in tasks.SHIFTS
            for options in (TEXT, {**TEXT, "dealer": "deck"}, {**TEXT, "prompt_style": "varied", "face_rule": "ten"})
            for example in drawn(40, split=split, shift=shift, **({**options, "face_rule": "rank"} if shift == "rule" else options))
        }
        for split in tasks.SPLITS
    }
    for one, other in itertools.combinations(tasks.SPLITS, 2):
        assert not keys[one] & keys[other]
    assert min(map(len, keys.values())) > 20


def test_same_arguments_give_the_same_example_in_another_process() -> None:
    def digest() -> str:
        shown = [
            repr(
                (
                    example.id,
                    example.prompt,
                    example.meta,
                    example.solution,
                    example.images[:1] and hashlib.sha256(example.images[0].data).hexdigest(),
                )
            )
            for options in (TEXT, SMALL, {**TEXT, "prompt_style": "varied", "face_rule": "varied"}, {"layout": "strip"})
            for example in drawn(3, split="test", **options)
        ]
        return hashlib.sha256("".join(shown).encode()).hexdigest()

    program = (
        "import hashlib\nfrom vlmpost import tasks\n"
        "def drawn(num, split='train', shift='none', **options):\n"
        "    return list(tasks.stream('general_points', split=split, num_examples=num, options=options, shift=shift))\n"
        "shown = [repr((e.id, e.prompt, e.meta, e.solution, e.images[:1] and hashlib.sha256(e.images[0].data).hexdigest()))"
        " for options in ({'mode': 'text'}, {'mode': 'vision', 'resolution': 112},"
        " {'mode': 'text', 'prompt_style': 'varied', 'face_rule': 'varied'}, {'layout': 'strip'})"
        " for e in drawn(3, split='test', **options)]\n"
        "print(hashlib.sha256(''.join(shown).encode()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert done.stdout.strip() == digest()


def test_seed_and_index_change_the_hand() -> None:
    hands = {
        tuple(tasks.make("general_points", split="train", index=index, seed=seed, options=TEXT).meta["cards"])
        for index in range(5)
        for seed in range(5)
    }
    assert len(hands) > 20


def test_picture_stands_before_the_text_and_only_in_vision() -> None:
    (text,), (vision,) = drawn(1, **TEXT), drawn(1, **SMALL)
    assert text.images == () and IMAGE not in text.prompt[0].content
    assert len(vision.images) == 1 and vision.prompt[0].content[0] is IMAGE


@pytest.mark.parametrize("options", [TEXT, SMALL, COMPACT])
def test_wrong_replies_are_wrong_in_several_ways(options: dict[str, object]) -> None:
    outcomes = set()
    for example in drawn(10, **options):
        for seed in range(100 * example.meta["index"], 100 * example.meta["index"] + 15):
            reply = TASK.wrong_reply(example, random.Random(seed))
            assert reply == TASK.wrong_reply(example, random.Random(seed))
            step = TASK.verify(example, reply)
            assert not step.correct and step.feedback
            outcomes.add(step.outcome)
    expected = {"NO_SOLUTION", "INCORRECT_NUMBER", "ILLEGAL_FORMULA", "PARTIAL_SOLUTION"}
    assert outcomes == (expected | {"INCORRECT_VISION"} if options is SMALL else expected)


def test_reasoned_solutions_try_and_reject_before_they_find() -> None:
    example = TASK.from_row({"cards": ["4", "3", "2", "K"]})
    thoughts, _, answer = TASK.solve(example, style="reasoned").partition("</think>")
    assert thoughts.startswith("<think>The cards are 4, 3, 2, K, so the numbers are 4, 3, 2, 10. Try ")
    assert ", not 24. Try " in thoughts and thoughts.endswith("=24. That is 24.")
    assert answer.strip() == TASK.solve(example, style="answer")


def test_bare_solutions_think_tersely() -> None:
    example = TASK.from_row({"cards": ["3", "3", "8", "8"], "reply_style": "formula"})
    # Of +, - and * in the order 3 3 8 8 the nearest miss is 3*3+8+8 = 25.
    assert TASK.solve(example, style="reasoned") == (
        "<think>3 3 8 8: 3 3 8 8. 3*3+8+8: 3*3=9, 9+8=17, 17+8=25. 8/(3-8/3): 8/3=(8/3), 3-(8/3)=(1/3), 8/(1/3)=24</think>\n8/(3-8/3)=24"
    )


def test_an_unsolvable_hand_has_no_solution_and_no_right_reply() -> None:
    example = TASK.from_row({"cards": ["A", "A", "A", "A"]})
    assert example.solution is None
    with pytest.raises(ConfigError, match="A, A, A, A cannot make 24"):
        TASK.solve(example)
    assert TASK.verify(example, '{"formula": "(1+1+1)*1"}').outcome == "NO_SOLUTION"
    assert not TASK.verify(example, TASK.wrong_reply(example, random.Random(0))).correct


def test_episode_ends_at_the_right_reply_or_after_the_attempts() -> None:
    example = TASK.from_row({"cards": ["4", "3", "2", "K"]})
    right, wrong = TASK.solve(example), '{"formula": "4+3+2+10"}'
    episode = Episode(TASK, example, verify_iterations=3, rewards="repo")
    steps = [episode.step(reply) for reply in (wrong, right)]
    assert [(step.outcome, step.terminated, step.truncated) for step in steps] == [
        ("NO_SOLUTION", False, False),
        ("CORRECT_SOLUTION", True, False),
    ]
    assert episode.succeeded
    episode = Episode(TASK, example, verify_iterations=2, rewards="repo")
    last = [episode.step(reply) for reply in (wrong, wrong, right)][-1]
    assert (last.outcome, last.reward, last.truncated, episode.succeeded) == ("STEP_LIMIT", -1.0, True, False)


def test_an_unknown_reward_table_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no reward table 'papers'"):
        TASK.verify(drawn(1, **TEXT)[0], "", rewards="papers")
