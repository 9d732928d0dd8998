r"""Rewards for the form of a response, whatever its answer: thinking block first, then the answer.

All of them are linear in the text: no regular expression that could run away on model text. Published forms are regular expressions
with backtracking; what is here accepts the same texts, found by searching for the tags. Weights (MM-Eureka's 0.5, the 0.1 of
EasyR1) belong to the recipe.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.answers import answer_region, last_box
from vlmpost.records import Rollout

Presets = Mapping[str, Mapping[str, object]]

FORMAT_THINK: Final[Presets] = MappingProxyType({"synergy": {"mode": "synergy"}, "visual_jigsaw": {"mode": "synergy"}})
FORMAT_TAGS: Final[Presets] = MappingProxyType(
    {name: {"mode": name} for name in ("easy_r1", "mm_eureka", "open_r1", "r1_v", "trl")} | {"vlm_r1": {"mode": "r1_v"}}
)
TAG_COUNT: Final[Presets] = MappingProxyType({"open_r1": {"line_breaks": True}})
REASONING_STEPS: Final[Presets] = MappingProxyType({"open_r1": {"num_wanted": 3, "numbered": "start_of_text"}})

_OPEN, _CLOSE = "<think>", "</think>"
_ANSWER, _ANSWERED = "<answer>", "</answer>"
_CLOSE_ANSWER = re.compile(r"</think>\s*<answer>")
_BRACKET = re.compile(r"([<>/])")
_STEP = r"Step \d+:|\n-|\n\*|First,|Second,|Next,|Finally,|^\d+\."
_STEPS = {"start_of_text": re.compile(_STEP), "each_line": re.compile(_STEP, re.MULTILINE)}


def format_think(rollout: Rollout, *, mode: Literal["strict", "lenient", "synergy"] = "strict") -> float:
    r"""1.0 where the response is a thinking block and then an answer, else 0.0.

    Args:
        rollout: What is looked at; only its text.
        mode: "strict": nothing before one `<think>` block that is not blank, then text that is not blank, no further tags.
            "lenient": some `</think>` with text before and after it. "synergy": as in the Synergy Dilemma study, the
            response starts with `<think>`, then `</think>`, then `\boxed{` and a closing brace; anything between.

    Source: "synergy" is verl's geometry reward (`<think>.*</think>.*\\boxed\{.*\}.*`, full match), as arXiv 2507.07562 is
        understood to have used; the full match has no anchor of its own at the end, so trailing text is allowed there too. Visual
        Jigsaw's repository (penghao-wu/visual_jigsaw 78f8421) has the same pattern.
    """
    text = rollout.text
    if mode == "synergy":
        return float(_is_synergy(text))
    if mode == "lenient":
        thought, closed, answer = text.rpartition(_CLOSE)
        return float(bool(closed) and bool(thought.replace(_OPEN, "").strip()) and bool(answer.strip()))
    text = text.strip()
    if not text.startswith(_OPEN) or text.count(_OPEN) != 1 or text.count(_CLOSE) != 1:
        return 0.0
    thought, _, answer = text[len(_OPEN) :].partition(_CLOSE)
    return float(bool(thought.strip()) and bool(answer.strip()))


def boxed_format(rollout: Rollout) -> float:
    r"""1.0 where a closed `\boxed{}` that is not blank stands after the thinking block (or there is none), else 0.0."""
    region = answer_region(rollout.text)
    box = None if region.fault else last_box(rollout.text, region.start, region.end)
    return float(box is not None and bool(rollout.text[slice(*box)].strip()))


def format_tags(
    rollout: Rollout, *, mode: Literal["strict", "lenient", "easy_r1", "mm_eureka", "open_r1", "r1_v", "trl"] = "strict"
) -> float:
    r"""1.0 where the response has its thinking and its answer in tags as `mode` wants them, else 0.0.

    Args:
        rollout: What is looked at; only its text.
        mode: "strict": one `<think>` block and one `<answer>` block, neither blank, with white space at most before, between and
            after, and no further tags. "lenient": somewhere after the first `</think>`, which has text before it, an `<answer>` block that
            is not blank. "open_r1": from the first character, each tag on a line of its own, no line between the blocks; more
            may follow. "r1_v" (VLM-R1 and EasyR1's too): the whole response is `<think>`, `</think>`, white space, `<answer>`,
            `</answer>`, with anything inside. "mm_eureka": each of the four tags exactly once, in this order, nothing but white
            space between the blocks, neither empty, anything around. "trl": starts with `<think>`, no second one, `</think>`
            somewhere; no answer tags. "easy_r1": white space around <, > and / dropped, then as `format_think`'s "synergy".

    Source: huggingface/open-r1 1416fa0; Deep-Agent/R1-V bbbbe3d; om-ai-lab/VLM-R1 90052f4; ModalMinds/MM-EUREKA bccddd7;
        hiyouga/EasyR1 b44b311, reward_function/math.py; trl 1.16.0, rewards/format_rewards.py.
    """
    return float(_TAG_FORMS[mode](rollout.text))


def tag_count(rollout: Rollout, *, line_breaks: bool = True) -> float:
    """0.25 for each of the four tags of thinking and answer that stands exactly once; in [0, 1].

    Args:
        rollout: What is looked at; only its text.
        line_breaks: Whether a tag counts only with its line breaks: after `<think>`, before and after `</think>` and `<answer>`,
            before `</answer>`.

    Source: huggingface/open-r1 1416fa0, `tag_count_reward` (with line breaks).
    """
    tags = ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")
    return 0.25 * sum(rollout.text.count(tag if line_breaks else tag.strip()) == 1 for tag in tags)


def reasoning_steps(rollout: Rollout, *, num_wanted: int = 3, numbered: Literal["each_line", "start_of_text"] = "each_line") -> float:
    """The share of `num_wanted` steps that the response shows, at most 1; in [0, 1].

    A step is "Step 4:", a line that starts with "-" or "*", "First,", "Second,", "Next,", "Finally,", or a number and a full stop.

    Args:
        rollout: What is looked at; only its text.
        num_wanted: From how many steps on it is 1.
        numbered: Whether a number counts at the start of each line, or only at the start of the text, as in open-r1, where a list
            of any length is one step.

    Source: huggingface/open-r1 1416fa0, `reasoning_steps_reward`.
    """
    found = sum(1 for _ in _STEPS[numbered].finditer(rollout.text))
    return min(1.0, found / num_wanted)


def check_reasoning_steps(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `reasoning_steps`."""
    num_wanted = arguments["num_wanted"]
    return [f"num_wanted {num_wanted} is below 1"] if isinstance(num_wanted, int) and num_wanted < 1 else []


def _is_synergy(text: str) -> bool:
    if not text.startswith(_OPEN):
        return False
    closed = text.find(_CLOSE, len(_OPEN))
    boxed = text.find("\\boxed{", closed + len(_CLOSE)) if closed >= 0 else -1
    return boxed >= 0 and text.find("}", boxed + len("\\boxed{")) >= 0


def _is_strict(text: str) -> bool:
    blocks = _blocks(text)
    if blocks is None:
        return False
    before, thought, answer, after = blocks
    return not before.strip() and bool(thought.strip()) and bool(answer.strip()) and not after.strip()


def is_think_answer(text: str) -> bool:
    """Whether a response is one thinking block, which may be empty, and one answer block, with nothing around them."""
    blocks = _blocks(text)
    return blocks is not None and not blocks[0].strip() and bool(blocks[2].strip()) and not blocks[3].strip()


def _is_mm_eureka(text: str) -> bool:
    blocks = _blocks(text)
    return blocks is not None and bool(blocks[1]) and bool(blocks[2])


def _blocks(text: str) -> tuple[str, str, str, str] | None:
    """What stands before, in and after the two blocks; None unless each tag stands once, in order, the blocks side by side."""
    if any(text.count(tag) != 1 for tag in (_OPEN, _CLOSE, _ANSWER, _ANSWERED)):
        return None
    joint = _CLOSE_ANSWER.search(text)
    if joint is None:
        return None
    before, opened, thought = text[: joint.start()].partition(_OPEN)
    answer, closed, after = text[joint.end() :].partition(_ANSWERED)
    return (before, thought, answer, after) if opened and closed else None


def _is_lenient(text: str) -> bool:
    thought, closed, rest = text.partition(_CLOSE)
    if not closed or not thought.replace(_OPEN, "").strip():
        return False
    last = rest.rfind(_ANSWERED)
    opened = rest.find(_ANSWER)
    return 0 <= opened < last and bool(rest[opened:last].replace(_ANSWER, "").replace(_ANSWERED, "").strip())


def _is_open_r1(text: str) -> bool:
    if not text.startswith(f"{_OPEN}\n"):
        return False
    joint = f"\n{_CLOSE}\n{_ANSWER}\n"
    joined = text.find(joint, len(_OPEN) + 1)
    if joined < 0:
        return False
    ending = f"\n{_ANSWERED}"
    start = joined + len(joint)
    return text.find(f"{ending}\n", start) >= 0 or text.endswith(ending, start)


def _is_r1_v(text: str) -> bool:
    joint = _CLOSE_ANSWER.search(text, len(_OPEN)) if text.startswith(_OPEN) else None
    return joint is not None and text.endswith(_ANSWERED, joint.end())


def _is_trl(text: str) -> bool:
    return text.startswith(_OPEN) and text.find(_OPEN, 1) < 0 and _CLOSE in text


def _is_easy_r1(text: str) -> bool:
    first, *rest = _BRACKET.split(text)
    if rest:
        first, rest = first.rstrip(), [*(piece.strip() for piece in rest[:-1]), rest[-1].lstrip()]
    return _is_synergy("".join((first, *rest)))


_TAG_FORMS: Final[Mapping[str, Callable[[str], bool]]] = MappingProxyType(
    {
        "strict": _is_strict,
        "lenient": _is_lenient,
        "easy_r1": _is_easy_r1,
        "mm_eureka": _is_mm_eureka,
        "open_r1": _is_open_r1,
        "r1_v": _is_r1_v,
        "trl": _is_trl,
    }
)
