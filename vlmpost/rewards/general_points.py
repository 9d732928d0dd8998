"""Grades one reply to a GeneralPoints hand: make the target from the values of the cards, each used once.

A reply is checked in this order; vision and illegal characters end the check.

    class               when                                                                         paper   repo
    INCORRECT_VISION    vision: the labels in `cards` are not the hand's, in any order                -1.5   -1.5
    ILLEGAL_FORMULA     left of "=" stands anything but digits and +-*/(), or nothing can be read       -3     -3
    ILLEGAL_FORMULA     a number, operator or bracket stands in a wrong place                           -3     -3 each
    INCORRECT_NUMBER    a number not in the hand, or used too often; a number not used often enough     -2     -2 each of the two
    CORRECT_SOLUTION    the value is the target; what stands right of "=" is not looked at              +5     +5
    PARTIAL_SOLUTION    it is incomplete, and some solution begins so                                   -3     +1
    NO_SOLUTION         anything else: another value, no value                                          -1     -1

The outcome is the first class that fits, by this order. `violations` has every offence against the rules, so that a substituted number
counts as two; a formula within the rules that misses the target has none. Under `repo` the reward of a reply with offences is their sum.
Under `paper` (arXiv 2501.17161, appendix A.3) it is the outcome's, charged once.
`number` is never checked, and `cards` not in text mode.

What `repo` has and `paper` mends (LeslieTrue/SFTvsRL at 5a6ea55, utils_rl.py and utils_general.py):
1. Charges add up: -4 for a substituted number, -6 for `2(3+4)+4`, and so on.
2. A strictly valid JSON list of cards is always wrong, as are four whole numbers with ", " between them and double-quoted labels; only
   single-quoted labels, or bare ones of which one has a letter, are read. `paper` reads them all.
3. Values are compared in floating point: 8/(3-8/3) is not 24. `paper` is exact.
4. A solution by the exact solver that misses in floating point earns 0, with an empty message.
5. Digits of other scripts are numbers, and end as NO_SOLUTION. In `paper` they are illegal characters.
6. An incomplete formula that some solution begins with earns +1. The paper has no such class: it is an illegal equation, -3.
7. A field in text that is no JSON is found with exactly one blank after its colon. `paper` takes any number of blanks.

Departures from the released code under both tables:
8. A formula that is no text (a number, a list, null), where the released code crashes, is ILLEGAL_FORMULA.
9. So is one beyond the limits of `answers/formulas/tokens.py`, whatever it holds.
10. Feedback is in our own words, each reason once; it names the same numbers (the first eight) and the same beginning of a solution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.answers.formulas import FormulaError, is_start_of_solution, misplacements, tokens_of, value_of
from vlmpost.answers.formulas.listing import MAX_NUMBER, MAX_TARGET
from vlmpost.answers.formulas.solver import MAX_NUMBERS
from vlmpost.answers.formulas.tokens import is_number
from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout, Step
from vlmpost.rewards.general_points_reply import Fields, ReplyStyle, Rewards, fields_of

Mode = Literal["text", "vision"]
PRESETS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType({"paper": {"table": "paper"}, "repo": {"table": "repo"}})
PAPER: Final[Mapping[str, float]] = MappingProxyType(
    {
        "CORRECT_SOLUTION": 5.0,
        "PARTIAL_SOLUTION": -3.0,
        "NO_SOLUTION": -1.0,
        "INCORRECT_VISION": -1.5,
        "INCORRECT_NUMBER": -2.0,
        "ILLEGAL_FORMULA": -3.0,
    }
)
"""Outcome -> reward."""
REPO: Final[Mapping[str, float]] = MappingProxyType({**PAPER, "PARTIAL_SOLUTION": 1.0})
"""Outcome or violation -> what it adds to the reward."""
_MAX_LISTED: Final = 8
_KEYS: Final = ("cards", "mode", "reply_style", "target", "values")


@dataclass(frozen=True, slots=True)
class Hand:
    """What a reply is graded against."""

    labels: tuple[str, ...]
    """A, 2 to 10, J, Q, K."""
    values: tuple[int, ...]
    """What the labels count as."""
    target: int
    mode: Mode = "text"
    reply_style: ReplyStyle = "json"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is the matter with a formula, or that nothing is."""

    outcome: str
    violations: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def general_points(rollout: Rollout, *, table: Rewards = "paper") -> float | None:
    """The verifier's reward of a reply to a GeneralPoints hand; None where the example is none.

    Args:
        rollout: Its example's `meta` holds the hand, as the task `general_points` writes it.
        table: "paper": one class, one reward. "repo": charges add up, with the defects of the released code.

    Raises:
        GraderError: The hand in `meta` is broken.

    Source: see the module.
    """
    if not is_hand(rollout.example):
        return None
    return grade(rollout.text, hand_of(rollout.example), rewards=table).reward


def grade(reply: str, hand: Hand, *, rewards: Rewards) -> Step:
    """Returns what one reply to a hand is worth, whatever it holds."""
    fields = fields_of(reply, style=hand.reply_style, rewards=rewards)
    looked_at = hand.mode == "vision" and hand.reply_style == "json"
    recognised = sorted(fields.labels or ()) == sorted(hand.labels) if looked_at else None
    finding = _UNSEEN if recognised is False else _finding(fields, hand, rewards)
    correct = finding.outcome == "CORRECT_SOLUTION"
    return Step(
        text=reply,
        outcome=finding.outcome,
        reward=_reward(finding, rewards),
        correct=correct,
        violations=finding.violations,
        recognised=recognised,
        feedback=None if correct else f"This attempt failed because {', '.join(finding.reasons)}.",
        extracted=fields.formula,
    )


def is_hand(example: Example) -> bool:
    """Whether an example is a GeneralPoints hand."""
    return all(key in example.meta for key in _KEYS)


def hand_of(example: Example) -> Hand:
    """Returns the hand that an example holds.

    Raises:
        GraderError: Its `meta` lacks something or holds what cannot be.
    """
    labels, mode, style, target, values = (example.meta.get(key) for key in _KEYS)
    if (
        not (isinstance(labels, list | tuple) and all(isinstance(label, str) for label in labels))
        or not (isinstance(values, list | tuple) and all(type(value) is int and 1 <= value <= MAX_NUMBER for value in values))
        or len(labels) != len(values)
        or not 1 <= len(values) <= MAX_NUMBERS
        or type(target) is not int
        or not 1 <= target <= MAX_TARGET
        or mode not in ("text", "vision")
        or style not in ("json", "formula")
    ):
        given = {key: example.meta.get(key) for key in _KEYS}
        raise GraderError(f"Example {example.id!r}: its meta holds no GeneralPoints hand, got {given!r:.300}.")
    return Hand(tuple(labels), tuple(values), target, mode, style)


_UNSEEN: Final = Finding("INCORRECT_VISION", ("INCORRECT_VISION",), ("the cards were not recognised as they are",))


def _finding(fields: Fields, hand: Hand, rewards: Rewards) -> Finding:
    tokens = None
    if fields.formula is not None:
        tokens = tokens_of(fields.formula, digits="unicode" if rewards == "repo" else "ascii")
    if tokens is None:
        return Finding("ILLEGAL_FORMULA", ("ILLEGAL_FORMULA",), ("the formula holds what may not stand in it, or there is none",))
    misplaced = misplacements(tokens)
    miscounted = _miscounted([int(token) for token in tokens if is_number(token)], hand.values)
    violations = ("ILLEGAL_FORMULA",) * len(misplaced) + ("INCORRECT_NUMBER",) * len(miscounted)
    if violations:
        reasons = dict.fromkeys(fault.value for fault in misplaced)
        return Finding(violations[0], violations, (*reasons, *miscounted))
    return _worth(tokens, hand, rewards)


def _miscounted(used: Sequence[int], held: Sequence[int]) -> list[str]:
    """At most two reasons: numbers that may not be used (so often), and numbers that are not used (often enough)."""
    used_counts, held_counts = Counter(used), Counter(held)
    foreign = [number for number in used_counts if number not in held_counts]
    overused = [number for number in used_counts if used_counts[number] > held_counts[number]]
    unused = [number for number in held_counts if used_counts[number] < held_counts[number]]
    reasons = []
    if foreign:
        reasons.append(f"these numbers are not in the hand: {_listed(foreign)}")
    elif overused:
        reasons.append(f"these numbers were used too often: {_listed(overused)}")
    if unused:
        reasons.append(f"these numbers were left over: {_listed(unused)}")
    return reasons


def _listed(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - _MAX_LISTED} more" if len(numbers) > _MAX_LISTED else ""
    return f"{list(numbers[:_MAX_LISTED])}{more}"


def _worth(tokens: Sequence[str], hand: Hand, rewards: Rewards) -> Finding:
    """What a formula of the right numbers in the right places comes to."""
    try:
        if value_of(tokens, arithmetic="float" if rewards == "repo" else "exact") == hand.target:
            return Finding("CORRECT_SOLUTION")
    except FormulaError:
        if is_start_of_solution("".join(tokens), hand.values, hand.target):
            charged = () if rewards == "repo" else ("ILLEGAL_FORMULA",)
            return Finding("PARTIAL_SOLUTION", charged, ("the formula is only the beginning of a solution",))
    shared = _shared_start(tokens, hand)
    if len(shared) == len(tokens):
        return Finding("NO_SOLUTION")
    if not shared:
        return Finding("NO_SOLUTION", reasons=("no solution begins like the formula",))
    return Finding("NO_SOLUTION", reasons=(f"some solution begins with {''.join(shared)} but none goes on like the formula",))


def _shared_start(tokens: Sequence[str], hand: Hand) -> Sequence[str]:
    """The longest run of first tokens that some solution begins with."""
    for length in range(1, len(tokens) + 1):
        if not is_start_of_solution("".join(tokens[:length]), hand.values, hand.target):
            return tokens[: length - 1]
    return tokens


def _reward(finding: Finding, rewards: Rewards) -> float:
    if rewards == "paper":
        return PAPER[finding.outcome]
    if finding.violations:
        return float(sum(REPO[violation] for violation in finding.violations))
    if finding.outcome == "NO_SOLUTION" and not finding.reasons:
        return 0.0  # defect 4
    return REPO[finding.outcome]
