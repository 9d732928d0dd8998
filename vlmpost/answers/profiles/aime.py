r"""The rule for AIME: an integer from 0 to 999, leading zeros of no meaning, in a box, after "Answer:", or between dollar signs.

AIME has no official scorer of model text; the places are those of two public harnesses, the reading of an integer is ours:
1. the last `\boxed{}` or `\fbox{}` that is closed (both harnesses; also `\boxed 25`);
2. the text after the last "Answer:" up to the end of its line, or the next line that is not empty (lmms-eval takes all that follows);
3. the text between the first and the last dollar sign (lm-evaluation-harness);
4. the text as a whole (lm-evaluation-harness).
The first place that is there decides, whatever it holds.

Source: EleutherAI/lm-evaluation-harness @ 051f98fb, lm_eval/tasks/aime/utils.py; EvolvingLMMs-Lab/lmms-eval @ 75571cfe,
lmms_eval/tasks/aime/utils.py.
"""

from __future__ import annotations

import re
from typing import Final

from vlmpost.answers.reference import Reference
from vlmpost.answers.spans import last_box
from vlmpost.errors import GraderError
from vlmpost.records import Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "Leading zeros have no meaning on either side: lm-evaluation-harness compares strings, by which 25 is not 025.",
    "No model is asked: lmms-eval hands what is not a plain integer to GPT-4o-mini where it has a key.",
    "After 'Answer:' one line counts, of the last such line; lmms-eval takes everything after the first, so that 'Answer: 25. Checked.' is "
    "wrong without GPT.",
    "Dollar signs, blanks, a full stop, a unit, a text wrapper and a name as in 'x = 25' are passed over around the integer, some "
    "of which are read by only one of the two harnesses.",
    "An integer above 999 or below 0, and whatever is not an integer, is wrong where it stands in a box or after 'Answer:', and unparsed "
    "elsewhere; the harnesses call all of it wrong. The score is the same.",
)
MAX_ANSWER: Final = 999
MAX_ANSWER_CHARACTERS: Final = 200
"""Nothing longer is read as an integer."""
_ANSWER = re.compile(r"answer\s*:", re.IGNORECASE)
_UNIT: Final = "\\text{ "
"""What opens with a blank is a unit, as lm-evaluation-harness has it."""
_WRAPPED = re.compile(r"\\(?:text[a-z]*|math(?:rm|bf|it)|mbox)\{([^{}]*)\}")
_NOISE = re.compile(r"\\[!,;: ()\[\]$%]|[\s$*%]|\^\{?\\circ\}?|\u00b0|\{,\}")
_INTEGER = re.compile(r"(?:[A-Za-z]=)?\+?0*([0-9]{1,3})\.?")


def aime(text: str, reference: Reference) -> Verdict:
    """An integer from 0 to 999 in the last box, after "Answer:" or between dollar signs (lm-evaluation-harness and lmms-eval).

    Raises:
        GraderError: The reference answer is not an integer from 0 to 999.
    """
    golds = {_gold(answer) for answer in reference.answers}
    rule, start, end = _place(text)
    written = text[start:end].strip() if end - start <= MAX_ANSWER_CHARACTERS else ""
    value = _integer(written)
    if value is None and rule in ("dollar_signs", "whole_text"):
        return Verdict("unparsed", None, rule)
    return Verdict("correct" if value in golds else "wrong", written or None, rule, (start, end), None if value is None else str(value))


def _gold(answer: str) -> int:
    value = _integer(answer)
    if value is None:
        raise GraderError(f"The reference answer {answer[:80]!r} is not an integer from 0 to {MAX_ANSWER}, as AIME's are.")
    return value


def _place(text: str) -> tuple[str, int, int]:
    """The rule that applies, and where the answer stands by it."""
    box = last_box(text) or _bare_box(text)
    if box is not None:
        return "last_box", *box
    line = _answer_line(text)
    if line is not None:
        return "answer_line", *line
    first, last = text.find("$"), text.rfind("$")
    if first < last:
        return "dollar_signs", first + 1, last
    return "whole_text", 0, len(text)


def _bare_box(text: str) -> tuple[int, int] | None:
    r"""What follows the last `\boxed` that has no braces, up to a dollar sign or the end of its line."""
    place = text.rfind("\\boxed ")
    if place < 0:
        return None
    start = place + len("\\boxed ")
    ends = [end for end in (text.find("$", start), text.find("\n", start)) if end >= 0]
    return start, min(ends, default=len(text))


def _answer_line(text: str) -> tuple[int, int] | None:
    last = None
    for match in _ANSWER.finditer(text):
        last = match
    if last is None:
        return None
    start = last.end()
    while start < len(text) and (text[start].isspace() or text[start] == "*"):
        start += 1
    end = text.find("\n", start)
    return start, len(text) if end < 0 else end


def _integer(written: str) -> int | None:
    """The integer from 0 to 999 that the text is, or None."""
    if len(written) > MAX_ANSWER_CHARACTERS:
        return None
    bare = written.partition(_UNIT)[0]
    match = _INTEGER.fullmatch(_NOISE.sub("", _WRAPPED.sub(r"\1", bare)))
    return int(match.group(1)) if match else None
