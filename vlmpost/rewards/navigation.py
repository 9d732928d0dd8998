"""The reward for one reply of a navigator, and the whole verdict on it: outcome, offence, feedback, what was recognised.

A reply is an object with `current observation`, `current instruction` and `action`; the point of the route that it answers to stands
in `Example.meta`: `rail`, the points, and `point`, the number of this one.

| outcome | reward | when |
|---|--:|---|
| CORRECT_ACTION | +1 | `action` is exactly the expert's: case, blanks and quotes matter; nothing else is looked at |
| INCORRECT_OBS | -1.5 | the action is wrong, and so is the observation |
| INCORRECT_ACTION | -1 | the action is wrong |

Table `repo` reads and checks as LeslieTrue/SFTvsRL at 5a6ea55 does (utils_rl.py: step_rewards_virl, utils_general.py: re_match). Table
`paper` departs from it:

1. Observation, `obs_check: fixed`: the whole observation is checked, as arXiv 2501.17161 says of failed landmark detection: it has to
   name the landmark and its side as they are, no other landmark, and an intersection exactly where one is to be observed. The released
   code checks the lower-case word "intersection" alone, and looks for the truth in the landmark's text rather than at the point, so
   that a true report of an intersection is charged and a missed one is not. `obs_check: official` keeps that under both tables.
2. A reply without an observation, or with one that is no text, claims nothing: it is charged for its action. The released code takes
   the literal text "None" for it, and fails on numbers.
3. Reading: what follows the last `</think>` is read where the whole reply is not one JSON object; fields of text that is not JSON may
   have any blanks around the colon and escaped quotes in them. The released code takes the first `"action": "..."` wherever it
   stands, with exactly one blank.

Under both: a point whose prompt asks for the bare action (`prompt_style: compact`) takes that as the action, and has no observation to
check; where a rail does not say what is to be observed (`untold`), `fixed` charges only an intersection on the road, where by the rules
there is none. The declared class INCORRECT_INSTRUCTION is not used there, nor here.

Source: arXiv 2501.17161, section 3 and appendix; LeslieTrue/SFTvsRL at 5a6ea55.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.errors import GraderError
from vlmpost.records import Rollout

Table = Literal["paper", "repo"]
ObservationCheck = Literal["fixed", "official"]
CORRECT_ACTION: Final = "CORRECT_ACTION"
INCORRECT_OBS: Final = "INCORRECT_OBS"
INCORRECT_ACTION: Final = "INCORRECT_ACTION"
REWARDS: Final[Mapping[str, float]] = MappingProxyType({CORRECT_ACTION: 1.0, INCORRECT_ACTION: -1.0, INCORRECT_OBS: -1.5})
NAVIGATION: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType({"paper": {"table": "paper"}, "repo": {"table": "repo"}})
"""Presets of the reward."""
OBSERVATION, INSTRUCTION, ACTION = "current observation", "current instruction", "action"
"""Keys of a reply."""
NO_LANDMARK: Final = "No landmarks nearby"

_OFFICIAL_FIELDS: Final = MappingProxyType({key: re.compile(f'"{key}": "(.*?)"') for key in (OBSERVATION, ACTION)})
_TEXT_FIELDS: Final = MappingProxyType(
    {key: re.compile(rf'"{key}"\s{{0,20}}:\s{{0,20}}"((?:[^"\\]|\\.)*+)"') for key in (OBSERVATION, ACTION)}
)
_ABSENT: Final = "None"
_CLAIM: Final = re.compile(r"\b(?:is|are) on (?:your|my|the) (?:front|right|left|behind)\b")
_DENIAL: Final = re.compile(r"\b(?:no|not (?:at |see )?(?:an?|any)) intersections?\b")
_INTERSECTION: Final = re.compile(r"\bintersections?\b")
_REASONS: Final = MappingProxyType(
    {
        "no intersection": "there is no intersection here. Do not observe one",
        "intersection": "there is an intersection here. Do not miss it",
        "landmark": "what you report to observe is not what is here. Look again",
        "action": "the action is not the right one here. Do not repeat it",
    }
)


@dataclass(frozen=True, slots=True)
class PointTruth:
    """What the verifier knows of the point that a reply answers to."""

    action: str
    """The expert's."""
    landmark: str | None = None
    """What is said of the landmark, such as "Heron Cafe is on your left". None: there is none."""
    intersection: bool = False
    untold: Collection[str] = ()
    """What the rail does not say: "landmark", whether there is one; "intersection", whether the turns are at intersections."""
    bare: bool = False
    """Whether the prompt asks for the action alone."""
    pictured: bool = False
    """Whether the landmark has to be recognised in a picture."""
    check: ObservationCheck | None = None
    """How observations are checked. None: as the table does."""


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one reply."""

    outcome: str
    reward: float
    extracted: str | None
    """The action that was read. None: none."""
    recognised: bool | None = None
    """Whether the observation is true. None: there is no picture, or it is not asked for."""
    feedback: str | None = None
    """What the navigator is told. None after a right action."""


def navigation(rollout: Rollout, *, table: Table = "paper") -> float | None:
    """1 for the expert's action, -1.5 for a wrong one after a wrong observation, -1 for any other; None where there is no rail.

    Args:
        rollout: What is judged.
        table: "paper": the whole observation is checked. "repo": as the released code checks it.

    Raises:
        GraderError: The example has a rail that does not say what is to be done.

    Source: see the module.
    """
    truth = point_truth(rollout.example.meta, where=rollout.example.id)
    return None if truth is None else grade(rollout.text, truth, table=table).reward


def point_truth(meta: Mapping[str, object], *, where: str) -> PointTruth | None:
    """Returns what an example's `meta` says of its point; None where it is no point of a rail.

    Raises:
        GraderError: There are a rail and a point, but not the one in the other, or the point lacks its action.
    """
    points, number = meta.get("rail"), meta.get("point")
    if points is None or number is None:
        return None
    if not isinstance(points, list | tuple) or type(number) is not int or not 0 <= number < len(points):
        raise GraderError(f"{where}: meta.point must be the number of a point of the list meta.rail, got {number!r:.80}.")
    point = points[number]
    if not isinstance(point, Mapping) or not isinstance(point.get("action"), str):
        raise GraderError(f"{where}: meta.rail[{number}] lacks its action, the expert's: {point!r:.200}.")
    landmark = point.get("landmark")
    check, untold = meta.get("obs_check"), meta.get("untold")
    return PointTruth(
        action=point["action"],
        landmark=landmark if isinstance(landmark, str) and landmark else None,
        intersection=point.get("intersection") is True,
        untold=untold if isinstance(untold, list | tuple) else (),
        bare=meta.get("prompt_style") == "compact",
        pictured=meta.get("mode") == "vision",
        check="fixed" if check == "fixed" else "official" if check == "official" else None,
    )


def grade(reply: str, truth: PointTruth, *, table: str = "paper") -> Grade:
    """Returns the verdict on a reply, whatever text it is."""
    said = _official_fields(reply) if table == "repo" else _fields(reply)
    if truth.bare and said[ACTION] is None:
        said[ACTION] = reply.rpartition("</think>")[2].strip()
    action, observation = said[ACTION], said[OBSERVATION]
    extracted = action if isinstance(action, str) else None
    recognised = _recognised(observation, truth)
    if action == truth.action:
        return Grade(CORRECT_ACTION, REWARDS[CORRECT_ACTION], extracted, recognised)
    check = truth.check or ("official" if table == "repo" else "fixed")
    reason = None if truth.bare else _official_fault(observation, truth) if check == "official" else _fault(observation, truth)
    outcome = INCORRECT_OBS if reason else INCORRECT_ACTION
    return Grade(outcome, REWARDS[outcome], extracted, recognised, feedback=_feedback(reason or "action", truth))


# --- reading a reply ---


def _official_fields(reply: str) -> dict[str, object]:
    """The fields as the released code reads them: of JSON, else the first that look like fields; None where it takes "None"."""
    whole = _object(reply)
    return {key: whole[key] if key in whole else _first(pattern, reply) for key, pattern in _OFFICIAL_FIELDS.items()}


def _fields(reply: str) -> dict[str, object]:
    whole = _object(reply)
    text = reply if whole else reply.rpartition("</think>")[2]
    whole = whole or _object(text)
    return {key: whole[key] if key in whole else _unescaped(_first(pattern, text)) for key, pattern in _TEXT_FIELDS.items()}


def _object(text: str) -> dict[str, object]:
    """The JSON object that a text is; empty where it is none, or one too large to read."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return None if found is None else found.group(1)


def _unescaped(value: str | None) -> str | None:
    return None if value is None else value.replace('\\"', '"')


# --- checking an observation ---


def _official_fault(observation: object, truth: PointTruth) -> str | None:
    told = _ABSENT if observation is None else observation
    mentioned = "intersection" in told if isinstance(told, str | list | dict) else False
    true = "intersection" in (truth.landmark or NO_LANDMARK)
    if mentioned == true:
        return None
    return "no intersection" if mentioned else "intersection"


def _fault(observation: object, truth: PointTruth) -> str | None:
    """What is wrong with an observation; None: nothing, or nothing was claimed."""
    if not isinstance(observation, str):
        return None
    told = _plain(observation)
    if truth.landmark:
        named = re.compile(rf"(?<!\w){re.escape(_plain(truth.landmark))}(?!\w)(?! (?:front|behind)\b)")
        told, times = named.subn(" ", told)
        if not times:
            return "landmark"
    if "landmark" not in truth.untold and _CLAIM.search(told):
        return "landmark"
    mentioned = _INTERSECTION.search(_DENIAL.sub(" ", told)) is not None
    if mentioned == truth.intersection or (truth.intersection and "intersection" in truth.untold):
        return None
    return "no intersection" if mentioned else "intersection"


def _recognised(observation: object, truth: PointTruth) -> bool | None:
    if not truth.pictured or truth.bare or "landmark" in truth.untold:
        return None
    return isinstance(observation, str) and _fault(observation, truth) is None


def _plain(text: str) -> str:
    """The text in small letters with single blanks."""
    return " ".join(text.casefold().split())


# --- answering ---


def _feedback(reason: str, truth: PointTruth) -> str:
    form = "Answer with one action alone." if truth.bare else f"Try again in the same form:\n{reply_form(pictured=truth.pictured)}"
    return f"This attempt failed: {_REASONS[reason]}. {form}"


def reply_form(*, pictured: bool) -> str:
    """Returns the form of a reply with its fields explained."""
    source = "what the street views show now" if pictured else "the latest observation of the sequence"
    return (
        "{\n"
        f'  "{OBSERVATION}": "{source}",\n'
        f'  "{INSTRUCTION}": "the sentence of the instruction that is to be carried out now",\n'
        f'  "{ACTION}": "the one action to take, from the action space"\n'
        "}"
    )
