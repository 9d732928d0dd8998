r"""The reward for putting shuffled pieces in order (visual jigsaw): 1 for the exact order, a discounted share for a part of it.

Gold: `meta.order`, a list of the labels 1..K in their true order, else the text of `Example.answer` ("3,1,2"). An example whose
answer is an option, a number or a formula has no order: the reward does not apply. (Labels count from 1 in the order shown; with
the shuffle `drawn[s]` = original piece in shown slot s, both from 0, the truth at i is the place of i in `drawn`, plus 1.)

The value is, with $m$ right places of $K$: `format_bonus` + (1 if exact; `partial_weight` $\cdot m / K$ if valid; else 0) +
`repeat_penalty` if one long line is repeated; and 0 altogether where the form of the response is wrong.

Presets:

- `paper`: think and answer tags (no thought need stand between them) or nothing; bonus 0.2; any true permutation of 1..K earns
  0.2 m / K, whatever K.
- `repo`: `<think>` at the first character, `</think>`, later a box, or nothing; bonus 0.2; the last box, split at commas, every
  item a whole number as Python reads it (plus signs, leading zeros, underscores, full-width digits); valid are K *different*
  numbers, so that [1..9] with a 10 for a 7 earns 0.178 and the truth followed by a repeated item 0.2; partial credit only for
  K > 4, which the author found harmful for 2 x 2; -0.5 for a line of 7 or more words more than 3 times in a row.
- `repo_nothink`: as `repo`, with no form wanted, no bonus, and the whole response split at commas.

A valid order that is not exact has at most K - 2 right places: at most 0.1556 (K = 9), 0.1333 (K = 6), 0.175 (K = 16) beside the
bonus. A guess has one right place on average: 0.0222 (K = 9), 0.0333 (K = 6); a mean that stays at 0.2 to 0.25 says that nothing
is learnt but the form.

Departures from the code: a list of more than 100,000 characters is invalid unread; partial credit is counted over the answer's
first K items, as there.

Source: arXiv 2509.25190, section 3.1; penghao-wu/visual_jigsaw at b3224c6, verl/utils/reward_score/visual_jigsaw.py, and issue 9
for K <= 4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards.formats import format_think, is_think_answer
from vlmpost.rewards.places import answer_place
from vlmpost.rewards.repetition import longest_line_run

Form = Literal["any", "think_answer", "think_box", "bare"]
Validity = Literal["permutation", "distinct"]
OrderClass = Literal["EXACT", "PARTIAL", "INVALID", "ILLEGAL_FORMAT"]
MAX_CHARACTERS: Final = 100_000
"""A longer list is not read."""
_REPO: Final[Mapping[str, object]] = MappingProxyType(
    {"validity": "distinct", "partial_weight": 0.2, "min_partial_items": 5, "repeat_penalty": -0.5}
)
PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, object]]]] = MappingProxyType(
    {
        "permutation": {
            "paper": {
                "form": "think_answer",
                "format_bonus": 0.2,
                "partial_weight": 0.2,
                "min_partial_items": 2,
                "validity": "permutation",
            },
            "repo": {"form": "think_box", "format_bonus": 0.2, **_REPO},
            "repo_nothink": {"form": "bare", "format_bonus": 0.0, **_REPO},
        }
    }
)
_ARROW: Final = re.compile(r"->|\u2192|\\(?:rightarrow|to)(?![A-Za-z])")
_DECORATION: Final = re.compile(r"\\[A-Za-z]{1,20}|[\[\](){}<>$*`\"'\\]")
_ITEM: Final = re.compile(r"(?:(?:tile|clip|piece|patch|image|segment|point|frame)s?\s*+)?#?([0-9]{1,6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OrderGrade:
    """What became of one response to a question about an order."""

    outcome: OrderClass
    """PARTIAL: a valid order that is not the true one, whatever it earns. INVALID: no valid order."""
    value: float
    items: tuple[int, ...]
    """The labels read; empty where none could be, or the form is wrong."""
    repeated: bool
    """Whether the penalty for a repeated line was charged."""


def permutation(
    rollout: Rollout,
    *,
    form: Form = "any",
    format_bonus: float = 0.0,
    partial_weight: float = 0.2,
    min_partial_items: int = 5,
    validity: Validity = "permutation",
    repeat_penalty: float = 0.0,
    repeat_words: int = 7,
    max_repeats: int = 3,
) -> float | None:
    """1 for the exact order, `partial_weight` times the share of right places for another valid one; None without a gold order.

    Args:
        rollout: What is judged.
        form: "any": the last answer tag, else the last box, else the last line; nothing else wanted. "think_answer": one thinking
            block and one answer block and nothing around them, else 0. "think_box": the released code's pattern, else 0. "bare": the
            whole response is the list.
        format_bonus: Added to every response of the right form.
        partial_weight: What the share of right places is multiplied by; 0: only the exact order counts.
        min_partial_items: Partial credit needs at least this many pieces.
        validity: "permutation": every label of 1..K once. "distinct": K different numbers.
        repeat_penalty: Added, 0 or negative, where a line is repeated.
        repeat_words: A line of fewer words is never a repetition.
        max_repeats: How often in a row one line may stand, case aside, blank lines not counted.

    Raises:
        GraderError: The gold is not a permutation of 1..K.

    Source: see the module. The limits are those of arXiv 2509.25190.
    """
    gold = gold_order(rollout.example)
    if gold is None:
        return None
    return grade_order(
        rollout,
        gold,
        form=form,
        format_bonus=format_bonus,
        partial_weight=partial_weight,
        min_partial_items=min_partial_items,
        validity=validity,
        repeat_penalty=repeat_penalty,
        repeat_words=repeat_words,
        max_repeats=max_repeats,
    ).value


def grade_order(
    rollout: Rollout,
    gold: Sequence[int],
    *,
    form: Form = "any",
    format_bonus: float = 0.0,
    partial_weight: float = 0.2,
    min_partial_items: int = 5,
    validity: Validity = "permutation",
    repeat_penalty: float = 0.0,
    repeat_words: int = 7,
    max_repeats: int = 3,
) -> OrderGrade:
    """Returns the value that `permutation` gives, with the class it was given for.

    Args:
        rollout: What is judged.
        gold: The true order, a permutation of 1..K.
        form: This and the others as in `permutation`.
    """
    if not _has_form(rollout, form):
        return OrderGrade("ILLEGAL_FORMAT", 0.0, (), repeated=False)
    items = tuple(_items(rollout.text, form))
    outcome = _outcome(items, gold, validity)
    value = format_bonus + (1.0 if outcome == "EXACT" else 0.0)
    if outcome == "PARTIAL" and len(gold) >= min_partial_items:
        value += partial_weight * sum(given == true for given, true in zip(items[: len(gold)], gold, strict=True)) / len(gold)
    repeated = bool(repeat_penalty) and longest_line_run(rollout.text, min_words=repeat_words) > max_repeats
    return OrderGrade(outcome, value + (repeat_penalty if repeated else 0.0), items, repeated)


def check_permutation(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Says what is wrong with the parameters of `permutation` together, one clause per fault."""
    faults = []
    weight, penalty, bonus = (arguments.get(key) for key in ("partial_weight", "repeat_penalty", "format_bonus"))
    if isinstance(weight, int | float) and not 0.0 <= weight <= 1.0:
        faults.append(f"partial_weight {weight} must be from 0 to 1: a part of the order is not worth more than the whole")
    if isinstance(penalty, int | float) and penalty > 0:
        faults.append(f"repeat_penalty {penalty} would reward repetition; it must be 0 or negative")
    if isinstance(bonus, int | float) and bonus and arguments.get("form") in ("any", "bare"):
        faults.append(f"format_bonus {bonus} goes to every response, as form is {arguments['form']!r}; use think_answer or think_box")
    for key, least in (("min_partial_items", 2), ("repeat_words", 1), ("max_repeats", 1)):
        value = arguments.get(key)
        if isinstance(value, int) and value < least:
            faults.append(f"{key} {value} must be at least {least}")
    return faults


def gold_order(example: Example) -> tuple[int, ...] | None:
    """Returns the true order of an example's pieces; None where it is not a question about an order.

    Raises:
        GraderError: It is not a permutation of 1..K with K of at least 2.
    """
    order: object = example.meta.get("order")
    if order is None:
        if example.answer is None or example.answer_type != "text":
            return None
        order = _plain_items(example.answer)
    whole = isinstance(order, list | tuple) and all(type(label) is int for label in order)
    labels = tuple(order) if whole and isinstance(order, list | tuple) else ()
    if len(labels) < 2 or sorted(labels) != list(range(1, len(labels) + 1)):
        given = example.meta.get("order") or example.answer
        raise GraderError(
            f"Example {example.id!r}: the gold order must hold every label of 1..K once (meta.order, or answer), got {given!r:.200}."
        )
    return labels


def _has_form(rollout: Rollout, form: Form) -> bool:
    if form == "think_box":
        return format_think(rollout, mode="synergy") == 1.0
    return form != "think_answer" or is_think_answer(rollout.text)


def _outcome(items: Sequence[int], gold: Sequence[int], validity: Validity) -> OrderClass:
    if list(items) == list(gold):
        return "EXACT"
    if validity == "permutation":
        valid = sorted(items) == list(range(1, len(gold) + 1))
    else:
        valid = len(set(items)) == len(gold)
    return "PARTIAL" if valid else "INVALID"


def _items(text: str, form: Form) -> list[int]:
    """The labels that the response lists; empty where they cannot be read."""
    if form == "think_box":
        return _python_items(_last_box(text))
    if form == "bare":
        return _python_items(text)
    place = answer_place(text)
    if place.fault:
        return []
    content = text[place.start : place.end]
    if place.rule == "whole_text":
        content = content.rstrip().rpartition("\n")[2].rpartition(":")[2]
    return _plain_items(content) or []


def _last_box(text: str) -> str:
    r"""What the last `\boxed{` holds up to its brace, escaped braces counted too; "None" where it stays open."""
    opened = text.rfind("\\boxed{")
    start = opened + len("\\boxed{")
    depth = 1
    for match in re.finditer(r"[{}]", text[start:]):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return text[start : start + match.start()].strip()
    return "None"


def _python_items(content: str) -> list[int]:
    """Comma-separated whole numbers as Python's int reads them; empty where one is none."""
    if len(content) > MAX_CHARACTERS:
        return []
    try:
        return [int(item.strip()) for item in content.split(",")]
    except ValueError:
        return []


def _plain_items(content: str) -> list[int] | None:
    """The labels of "3, 1, 2", "[3,1,2]" or "3 -> 1 -> 2"; None where there is anything else."""
    if len(content) > MAX_CHARACTERS:
        return None
    plain = _DECORATION.sub(" ", _ARROW.sub(",", content)).strip(" .,\n\t")
    parts = re.split(r"[,;\uff0c\u3001]" if re.search(r"[,;\uff0c\u3001]", plain) else r"\s+", plain)
    matches = [_ITEM.fullmatch(part.strip()) for part in parts]
    if not all(matches):
        return None
    return [int(match.group(1)) for match in matches if match is not None]
