"""Forms of a response against the published patterns, which run here with backtracking on short texts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.records import Example, Rollout
from vlmpost.rewards import formats
from vlmpost.rewards.binding import Schema, bind, schema_of
from vlmpost.rewards.table import Reward

MODES = ("strict", "lenient", "easy_r1", "mm_eureka", "open_r1", "r1_v", "trl")
OPEN_R1 = "<think>\nsum\n</think>\n<answer>\n7\n</answer>"
R1_V = "<think>sum</think><answer>7</answer>"


def rollout(text: str) -> Rollout:
    return Rollout(Example("q1", "sums", ()), text, (), "stop")


@pytest.mark.parametrize(
    ("text", "strict", "lenient", "easy_r1", "mm_eureka", "open_r1", "r1_v", "trl"),
    [
        (OPEN_R1, 1, 1, 0, 1, 1, 1, 1),
        (f"{OPEN_R1}\n", 1, 1, 0, 1, 1, 0, 1),
        (f"{OPEN_R1} so", 0, 1, 0, 1, 0, 0, 1),
        (f"{OPEN_R1}\n{OPEN_R1}", 0, 1, 0, 0, 1, 1, 0),  # open-r1 and R1-V let a doubled response pass
        (f"\n{OPEN_R1}", 1, 1, 0, 1, 0, 0, 0),
        (R1_V, 1, 1, 0, 1, 0, 1, 1),
        ("<think>sum</think> \n <answer>7</answer>", 1, 1, 0, 1, 0, 1, 1),
        ("<think>sum</think> so <answer>7</answer>", 0, 1, 0, 0, 0, 0, 1),
        (f"Well. {R1_V} Done.", 0, 1, 0, 1, 0, 0, 0),
        ("<think></think><answer></answer>", 0, 0, 0, 0, 0, 1, 1),
        ("<think> </think><answer> </answer>", 0, 0, 0, 1, 0, 1, 1),
        ("<think>\n\n</think>\n<answer>\n\n</answer>", 0, 0, 0, 1, 1, 1, 1),
        ("<think>\n</think>\n<answer>\n</answer>", 0, 0, 0, 1, 0, 1, 1),
        ("<think>a<think>b</think><answer>7</answer>", 0, 1, 0, 0, 0, 1, 0),
        ("<think>a</think>b</think><answer>7</answer>", 0, 1, 0, 0, 0, 1, 1),
        ("<think>a</think><answer>7</answer><answer>8</answer>", 0, 1, 0, 0, 0, 1, 1),
        ("<answer>7</answer><think>a</think>", 0, 0, 0, 0, 0, 0, 0),
        ("<think>a</think><answer>7", 0, 0, 0, 0, 0, 0, 1),
        ("<think>a</think>7", 0, 0, 0, 0, 0, 0, 1),
        ("<answer>7</answer>", 0, 0, 0, 0, 0, 0, 0),
        ("<THINK>a</THINK><answer>7</answer>", 0, 0, 0, 0, 0, 0, 0),
        (r"< think > a < / think > \boxed{7}", 0, 0, 1, 0, 0, 0, 0),
        (r"<think>a</think>\boxed{7} and more", 0, 0, 1, 0, 0, 0, 1),
        (r"<think>a \boxed{7}</think> 7", 0, 0, 0, 0, 0, 0, 1),
        ("", 0, 0, 0, 0, 0, 0, 0),
    ],
)
def test_table_of_tag_forms(text: str, strict: int, lenient: int, easy_r1: int, mm_eureka: int, open_r1: int, r1_v: int, trl: int) -> None:
    got = [formats.format_tags(rollout(text), mode=mode) for mode in MODES]
    assert got == [strict, lenient, easy_r1, mm_eureka, open_r1, r1_v, trl]


def pattern(*tags: str, start: str = "", end: str = r"\Z", fill: str = ".*?") -> re.Pattern[str]:
    """The tags in order with anything between, as the sources write it."""
    return re.compile(start + fill.join(tags) + end, re.DOTALL)


IN_LINES = pattern("<think>\n", "\n</think>\n<answer>\n", "\n</answer>", end=r"(?=\n|\Z)")
IN_BLOCKS = pattern("<think>", r"</think>\s*<answer>", "</answer>")
BOXED = pattern("<think>", "</think>", r"\\boxed\{", r"\}", end=r".*\Z")
SIDE_BY_SIDE = pattern("<think>", r"</think>\s*<answer>", "</answer>", end="", fill=".+?")
PUBLISHED: dict[str, Callable[[str], bool]] = {
    "open_r1": lambda text: IN_LINES.match(text) is not None,
    "r1_v": lambda text: IN_BLOCKS.match(text) is not None,
    "easy_r1": lambda text: BOXED.match(re.sub(r"\s*([</>])\s*", r"\1", text)) is not None,
    "mm_eureka": lambda text: (
        all(text.count(tag) == 1 for tag in ("<think>", "</think>", "<answer>", "</answer>")) and SIDE_BY_SIDE.search(text) is not None
    ),
}
pieces = st.lists(
    st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "\n", " ", "a", "< think >", "\\boxed{", "}", "/", "\x1c"]),
    max_size=14,
).map("".join)
wrapped = st.builds(
    "<think>{}</think>{}<answer>{}</answer>{}".format,
    pieces,
    st.sampled_from(["", "\n", " \n", "a"]),
    pieces,
    st.sampled_from(["", "\n", "a"]),
)
lined = st.builds("<think>\n{}\n</think>\n<answer>\n{}\n</answer>{}".format, pieces, pieces, st.sampled_from(["", "\n", "a", "\na"]))


@given(pieces | wrapped | lined)
def test_tag_forms_accept_what_the_published_patterns_accept(text: str) -> None:
    for mode, published in PUBLISHED.items():
        assert formats.format_tags(rollout(text), mode=mode) == float(published(text)), mode  # type: ignore[arg-type]


@given(pieces | wrapped)
def test_the_synergy_form_is_the_published_pattern(text: str) -> None:
    assert formats.format_think(rollout(text), mode="synergy") == float(BOXED.match(text) is not None)


@given(pieces | wrapped)
def test_the_trl_form_equals_trls_reward(text: str) -> None:
    from trl.rewards import think_format_reward

    assert formats.format_tags(rollout(text), mode="trl") == think_format_reward([[{"content": text}]])[0]


@given(pieces | wrapped | lined)
def test_what_is_strict_is_lenient_and_has_all_four_tags(text: str) -> None:
    if formats.format_tags(rollout(text)):
        assert formats.format_tags(rollout(text), mode="lenient") == 1
        assert formats.tag_count(rollout(text), line_breaks=False) == 1
        assert formats.format_tags(rollout(text), mode="mm_eureka") == 1


@pytest.mark.parametrize(
    ("text", "with_breaks", "without"),
    [
        (OPEN_R1, 1.0, 1.0),
        (R1_V, 0.0, 1.0),
        ("<think>\nsum\n</think>\n7", 0.5, 0.5),
        ("<think>\nsum</think>\n<answer>\n7\n</answer>", 0.75, 1.0),
        ("<think>\nsum\n</think>\n<answer>7\n</answer>", 0.75, 1.0),
        (f"{OPEN_R1}\n{OPEN_R1}", 0.0, 0.0),
        ("7", 0.0, 0.0),
    ],
)
def test_tag_count(text: str, with_breaks: float, without: float) -> None:
    assert formats.tag_count(rollout(text), **formats.TAG_COUNT["open_r1"]) == with_breaks
    assert formats.tag_count(rollout(text), line_breaks=False) == without


@pytest.mark.parametrize(
    ("text", "each_line", "start_of_text"),
    [
        ("", 0, 0),
        ("1. add\n2. take\n3. done", 3, 1),
        ("so\n1. add\n2. take", 2, 0),
        ("Step 1: add. Step 22: take.", 2, 2),
        ("Step one: add. step 1: take.", 0, 0),
        ("- add\n- take\n* done", 2, 2),  # a mark counts after a line break
        ("First, add. Second, take. Next, halve. Finally, 7.", 4, 4),
        ("first, add", 0, 0),
        ("3.14 is pi", 1, 1),
    ],
)
def test_reasoning_steps_are_counted_up_to_three(text: str, each_line: int, start_of_text: int) -> None:
    assert formats.reasoning_steps(rollout(text)) == min(1.0, each_line / 3)
    assert formats.reasoning_steps(rollout(text), **formats.REASONING_STEPS["open_r1"]) == min(1.0, start_of_text / 3)


@given(st.text(alphabet="Step 12:.-*\nFirst,", max_size=80), st.integers(1, 5))
def test_reasoning_steps_equal_open_r1s_count(text: str, num_wanted: int) -> None:
    found = sum(text.count(sign) for sign in ("\n-", "\n*", "First,", "Second,", "Next,", "Finally,"))
    found += len(re.findall(r"Step \d+:", text)) + (re.match(r"\d+\.", text) is not None)
    got = formats.reasoning_steps(rollout(text), num_wanted=num_wanted, numbered="start_of_text")
    assert got == min(1.0, found / num_wanted)
    assert got <= formats.reasoning_steps(rollout(text), num_wanted=num_wanted) <= 1


def test_every_preset_fits_its_function() -> None:
    seen = 0
    for function, presets, check in (
        (formats.format_think, formats.FORMAT_THINK, None),
        (formats.format_tags, formats.FORMAT_TAGS, None),
        (formats.tag_count, formats.TAG_COUNT, None),
        (formats.reasoning_steps, formats.REASONING_STEPS, formats.check_reasoning_steps),
    ):
        schema = schema_of(function)
        assert isinstance(schema, Schema)
        for name in presets:
            assert bind(Reward(function, presets, check), schema, {"preset": name}, max_completion_length=64)[1] == []
            seen += 1
    assert seen == 2 + 6 + 1 + 1
    schema = schema_of(formats.reasoning_steps)
    assert isinstance(schema, Schema)
    steps = Reward(formats.reasoning_steps, {}, formats.check_reasoning_steps)
    assert bind(steps, schema, {"num_wanted": 0}, max_completion_length=64)[1] == ["num_wanted 0 is below 1"]


def test_the_table_of_this_file_has_every_mode() -> None:
    hints = schema_of(formats.format_tags)
    assert isinstance(hints, Schema)
    assert sorted(get_args(hints.parameters[0].annotation)) == sorted(MODES)


@pytest.mark.parametrize(
    "piece", [" ", "<think>", "</think>", "</think> ", "</think>\n<answer>\n", "\n</answer>a", "<", "Step 1", "\n", "\\boxed{", "1"]
)
def test_long_texts_take_time_in_proportion(piece: str) -> None:
    text = "<think>\n" + piece * (2_000_000 // len(piece))
    started = time.monotonic()
    for mode in MODES:
        formats.format_tags(rollout(text), mode=mode)  # type: ignore[arg-type]  # one of the modes
    formats.tag_count(rollout(text))
    formats.reasoning_steps(rollout(text))
    assert time.monotonic() - started < 30
