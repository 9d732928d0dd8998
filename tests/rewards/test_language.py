"""Scripts of letters and words, what is left out, and the reward made of them."""

from __future__ import annotations

import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.records import Example, Message, Rollout
from vlmpost.rewards import language as languages
from vlmpost.rewards.binding import Schema, bind, schema_of
from vlmpost.rewards.language import count_scripts, language
from vlmpost.rewards.prose import prose
from vlmpost.rewards.table import Reward


def rollout(text: str, *, prompt: str | None = None) -> Rollout:
    messages = () if prompt is None else (Message("user", (prompt,)),)
    return Rollout(Example("q1", "sums", messages), text, (), "stop")


SAMPLES = {
    "arabic": "\u0627\u0644\u062c\u0648\u0627\u0628",
    "armenian": "\u057a\u0561\u057f",
    "bengali": "\u0989\u09a4\u09cd\u09a4\u09b0",
    "cyrillic": "\u043e\u0442\u0432\u0435\u0442",
    "devanagari": "\u0909\u0924\u094d\u0924\u0930",
    "ethiopic": "\u1218\u120d\u1235",
    "georgian": "\u10de\u10d0\u10e1",
    "greek": "\u03b1\u03c0\u03cc",
    "gujarati": "\u0a9c\u0ab5\u0abe\u0aac",
    "gurmukhi": "\u0a1c\u0a35\u0a3e\u0a2c",
    "han": "\u7b54\u6848",
    "hangul": "\ub2f5\uc740",
    "hebrew": "\u05ea\u05e9\u05d5\u05d1\u05d4",
    "japanese": "\u7b54\u3048\u306f\u30c6\u30b9\u30c8",
    "kannada": "\u0c89\u0ca4\u0ccd\u0ca4\u0cb0",
    "khmer": "\u1785\u1798\u17d2\u179b",
    "lao": "\u0e84\u0eb3",
    "latin": "answer",
    "malayalam": "\u0d09\u0d24\u0d4d\u0d24\u0d30",
    "myanmar": "\u1021\u1016\u103c\u1031",
    "sinhala": "\u0db4\u0dd2\u0dc5",
    "tamil": "\u0baa\u0ba4\u0bbf\u0bb2\u0bcd",
    "telugu": "\u0c1c\u0c35\u0c3e\u0c2c\u0c41",
    "thai": "\u0e04\u0e33\u0e15\u0e2d\u0e1a",
    "tibetan": "\u0f63\u0f53",
}


def test_every_script_knows_its_own_letters_and_no_others() -> None:
    assert sorted(SAMPLES) == sorted(get_args(languages.Script))
    compared = 0
    for wanted in SAMPLES:
        for written, text in SAMPLES.items():
            expected = float(wanted == written)
            if (wanted, written) == ("japanese", "han"):
                expected = 1.0
            if (wanted, written) == ("han", "japanese"):
                expected = 1 / 6
            for unit in ("letters", "words"):
                assert language(rollout(text), script=wanted, unit=unit) == pytest.approx(expected), (wanted, written)  # type: ignore[arg-type]
                compared += 1
    assert compared == 2 * 25 * 25


@pytest.mark.parametrize(
    ("text", "letters", "words"),
    [
        ("It is five.", {"latin": 8}, {"latin": 3}),
        ("don't re-do na\u00efve cafe\u0301", {"latin": 4 + 4 + 5 + 4}, {"latin": 5}),
        ("\u6240\u4ee5 the answer \u662f 7", {"han": 3, "latin": 9}, {"han": 3, "latin": 2}),
        ("\u7b54\u6848\u662fB\u3002", {"han": 3}, {"han": 3}),  # an option letter
        ("so x = 5 and y = 6 in \u03b1", {"latin": 7}, {"latin": 3}),  # variables
        ("\uff46\uff55\uff4c\uff4c \U0001d400\U0001d401 \ufb01t", {"latin": 4 + 2 + 2}, {"latin": 3}),  # wide, styled, ligature
        ("\uff8a\uff9b\uff70", {"kana": 3}, {"kana": 3}),
        ("\u3005\u3105", {"han": 2}, {"han": 2}),
        ("\U00010330\U00010331 ok", {"other": 2, "latin": 2}, {"other": 1, "latin": 1}),  # Gothic
        ("12 + 30 = 42 %", {}, {}),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902", {"devanagari": 4}, {"devanagari": 2}),  # marks join, and are no letters
        ("", {}, {}),
    ],
)
def test_letters_and_words_by_hand(text: str, letters: dict[str, int], words: dict[str, int]) -> None:
    assert dict(count_scripts(text)) == letters
    assert dict(count_scripts(text, unit="words")) == words


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a ```py\nprint(1)\n``` b", "a b"),
        ("a ```py\nprint(1)", "a"),
        ("a `code` b", "a b"),
        ("a `b\nc` d", "a `b c` d"),
        ("so $x + y$ is", "so is"),
        ("so $$x\n\n+ y$$ is", "so is"),
        (r"so \(x\) and \[y\] are", "so and are"),
        (r"so \begin{align*} a &= b \end{align*} is", "so is"),
        (r"so \begin{align} a is", "so {align} a is"),
        (r"so \boxed{seven} is", "so {seven} is"),
        ("for $5 or $6 each", "for $5 or $6 each"),
        (r"for \$5 or \$x", r"for \$5 or \$x"),
        ("an open $x here", "an open $x here"),
        ("<think>so</think> <answer>it</answer><|im_end|>", "so it"),
        ("x < y > z", "x < y > z"),
        ("see https://a.example/b?c=d for", "see for"),
    ],
)
def test_what_is_no_prose_is_left_out(text: str, left: str) -> None:
    assert prose(text).split() == left.split()


HAN = "\u7b54\u6848\u662f\u4e03"


def test_parts_of_the_response() -> None:
    text = f"<think>{HAN} so</think> the answer"
    assert language(rollout(text), script="han") == 4 / 15
    assert language(rollout(text), script="han", part="thinking") == 4 / 6
    assert language(rollout(text), script="han", part="thinking", unit="words") == 4 / 5
    assert language(rollout(text), script="han", part="answer") == 0.0
    assert language(rollout(HAN), script="han", part="thinking") == 1.0
    assert language(rollout(f"<think>{HAN}"), script="han", part="thinking") == 1.0
    assert language(rollout(f"<think>{HAN}"), script="han", part="answer") is None
    assert language(rollout("<think></think> seven"), part="thinking") is None


def test_where_nothing_can_be_counted_the_reward_does_not_apply() -> None:
    for text in ("", "42", r"\boxed{7}", "$x + y$", "B"):
        assert language(rollout(text)) is None


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("How many cats are there?", "Seven cats", 1.0),
        ("\u6709\u591a\u5c11\u53ea\u732b?", "Seven cats", 0.0),
        ("\u6709\u591a\u5c11\u53ea\u732b?", HAN, 1.0),
        ("\u732b\u306f\u4f55\u5339\u3067\u3059\u304b", "\u7b54\u3048\u306f seven", 3 / 8),  # Japanese: Han and kana
        ("<image> $2 + 3$", "Seven", None),
        (None, "Seven", None),
    ],
)
def test_the_script_may_be_the_questions(prompt: str | None, text: str, expected: float | None) -> None:
    assert language(rollout(text, prompt=prompt), script="prompt") == expected


@given(st.text(max_size=80))
def test_the_share_is_in_zero_to_one_and_is_divided_among_the_scripts(text: str) -> None:
    shares = [language(rollout(text), script=script) for script in get_args(languages.Script) if script != "japanese"]
    if shares[0] is None:
        assert set(shares) == {None}
    else:
        assert all(0 <= share <= 1 for share in shares if share is not None)
        assert sum(share for share in shares if share is not None) <= 1 + 1e-9
    words = language(rollout(text), unit="words")
    assert (words is None) == (shares[0] is None)


def test_the_preset_fits_the_function() -> None:
    schema = schema_of(language)
    assert isinstance(schema, Schema)
    assert sorted(languages.LANGUAGE) == ["deepseek_r1"]
    reward = Reward(language, languages.LANGUAGE)
    arguments, faults = bind(reward, schema, {"preset": "deepseek_r1"}, max_completion_length=64)
    assert faults == []
    assert language(rollout(f"<think>it is {HAN}</think> {HAN}"), **arguments) == 2 / 6
    assert bind(reward, schema, {"script": "french"}, max_completion_length=64)[1] != []


@pytest.mark.parametrize(
    "piece", ["$a ", "`\n", "\\(", "\\[ ", "$$", "```", "\\begin{align}", "<a", "http://", "\u7b54", " ", "$ `\n\\( ", "\\", "'"]
)
def test_long_texts_take_time_in_proportion(piece: str) -> None:
    started = time.monotonic()
    count_scripts(piece * (1_000_000 // len(piece)), unit="words")
    assert time.monotonic() - started < 30
