r"""How an answer is asked for and given: in answer tags, in a box, or bare.

Each form is the one that a reward table wants: `answer` for `paper` (arXiv 2509.25190, appendix A.5), `boxed` for `repo` (the released
reward reads \boxed{}, whatever the paper's prompt says), `bare` for `repo_nothink`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

AnswerForm = Literal["answer", "boxed", "bare"]

FOOTERS: Final[Mapping[AnswerForm, str]] = MappingProxyType(
    {
        "answer": "Think first, inside <think></think>; then give the final answer inside <answer></answer>, and nothing else.",
        "boxed": "Think first, inside <think></think>; then give the final answer inside \\boxed{}.",
        "bare": "Answer with the numbers alone.",
    }
)


def listed(labels: Sequence[int]) -> str:
    """Returns labels as a prompt and an answer show them.

    >>> listed([2, 3, 1])
    '2, 3, 1'
    """
    return ", ".join(map(str, labels))


def sample_answer(num_things: int) -> str:
    """Returns an answer of the right form that tells nothing: the second half of the labels, then the first.

    >>> sample_answer(6)
    '4, 5, 6, 1, 2, 3'
    """
    half = num_things // 2
    return listed([*range(half + 1, num_things + 1), *range(1, half + 1)])


def reply(labels: Sequence[int], *, form: AnswerForm, thought: str) -> str:
    r"""Returns an answer in its form, after a thought where the form has one.

    >>> reply([2, 1], form="boxed", thought="Left is right.")
    '<think>Left is right.</think>\\boxed{2, 1}'
    """
    if form == "bare":
        return listed(labels)
    answer = f"<answer>{listed(labels)}</answer>" if form == "answer" else f"\\boxed{{{listed(labels)}}}"
    return f"<think>{thought}</think>{answer}"
