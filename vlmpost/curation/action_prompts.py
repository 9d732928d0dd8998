r"""The texts of action prompting, and how replies to them are read. The wording is ours; what each action reads and returns is the paper's.

| action | reads | returns |
| clarify | the problem | `clarification`, `goal` |
| decompose | current goal, parent goal, solution so far | `thinking`, three times `sentence` |
| solution_step | current goal, solution so far, the step before | text |
| reflection | current goal, parent goal, goal tree, solution so far | `verification`, `current_` and `parent_goal_achieved`, `new_goal` |
| answer | solution, format | the answer |

Departures from the paper (arXiv 2502.03373, appendix; no code exists):

1. Every action sees the problem with its images before its own text: the paper's log begins with the prompt, and what a picture shows
   is in no thought.
2. Tags are read strictly: each exactly once, none empty, nothing guessed. A reply that lacks something is asked for again once.
3. The answer must hold a box (\boxed{...}), whatever else the recipe's instruction asks for.
4. What a model thinks before its reply (up to </think>) is not part of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vlmpost.curation.actions import Action, Answered, Clarified, Decomposed, Goals, Reflected, Said, Solution, Stepped

ALTERNATIVELY = "Alternatively,"
BOXED = "Put the final answer in \\boxed{}."

_TAGS: Mapping[Action, Mapping[str, int]] = {
    "clarify": {"clarification": 1, "goal": 1},
    "decompose": {"thinking": 1, "sentence": 3},
    "solution_step": {},
    "reflection": {"verification": 1, "current_goal_achieved": 1, "parent_goal_achieved": 1},
    "answer": {},
}
"""The tags that a reply must have, and how often; `new_goal` only where nothing was achieved."""
_STATUS_WORDS = {"current": "being worked on", "finished": "done", "timed_out": "given up"}

_CLARIFY = """\
You are thinking aloud about the problem above. You have only just read it: do not solve any of it yet.
Say in your own words what is given and what is asked, naming what the picture shows where there is one, and state what you have to assume.
Then name in one line what has to be reached.
Reply with exactly these tags and nothing else:
<clarification>what is given, what is asked, what is assumed</clarification>
<goal>what has to be reached, in one line</goal>"""

_DECOMPOSE = """\
You are thinking aloud about the problem above. This is what you have so far:
{solution}

The goal of the whole: {parent}
The goal you worked on last: {current}

Choose what to do next. First weigh the possibilities. Then write three sentences: one that proposes the next small goal, \
and two other proposals, each of which opens with "Alternatively,". Propose nothing that was done already, no checking of \
earlier results, and no software.
Reply with exactly these tags and nothing else:
<thinking>your weighing</thinking>
<sentence>the next small goal</sentence>
<sentence>Alternatively, ...</sentence>
<sentence>Alternatively, ...</sentence>"""

_SOLUTION_STEP = """\
You are thinking aloud about the problem above. This is what you have so far:
{solution}

Your last step was:
{prior_step}

The goal you work on now: {current}

Go on where the text stops, and reach this goal and no other. Be brief, show every calculation, and do not repeat your last step.
Reply with the text of this step alone."""

_REFLECTION = """\
You are thinking aloud about the problem above. This is what you have so far:
{solution}

The goals:
{tree}

The goal of the whole: {parent}
The goal you worked on now: {current}

Check your last result quickly and in another way than it was found: by another method, by putting it in, or backwards from the result. \
Say again what the result is. Then decide whether the goal you worked on is achieved, and whether the goal of the whole is. \
If neither is, propose another goal in one sentence that opens with "Alternatively,"; else leave new_goal out.
Reply with exactly these tags and nothing else:
<verification>your check</verification>
<current_goal_achieved>true or false</current_goal_achieved>
<parent_goal_achieved>true or false</parent_goal_achieved>
<new_goal>Alternatively, ...</new_goal>"""

_ANSWER = """\
You have thought aloud about the problem above, and this is your solution:
{solution}

Now state the final answer in one or two sentences, without new calculations. {format}
Reply with these sentences alone."""

_TEXTS: Mapping[Action, str] = {
    "clarify": _CLARIFY,
    "decompose": _DECOMPOSE,
    "solution_step": _SOLUTION_STEP,
    "reflection": _REFLECTION,
    "answer": _ANSWER,
}


@dataclass(frozen=True, slots=True)
class Unfit:
    """A reply that cannot be used."""

    faults: tuple[str, ...]
    """What is missing or wrong, as the model is told."""

    @property
    def request(self) -> str:
        """Asks for the reply again."""
        return f"Your reply cannot be used: {'; '.join(self.faults)}. Reply to the same task once more, with everything it asks for."


def text_for(solution: Solution, *, instruction: str | None = None) -> str:
    """Returns what the next action asks, to be put after the problem.

    Args:
        solution: How far it is.
        instruction: The recipe's, which `answer` obeys beside our own format.
    """
    return _TEXTS[solution.action].format_map(
        {
            "solution": solution.log.text,
            "parent": solution.goals.parent,
            "current": solution.goals.current or "none yet",
            "prior_step": solution.log.prior_step or "(none)",
            "tree": tree_of(solution.goals),
            "format": f"{BOXED} {instruction}" if instruction else BOXED,
        }
    )


def tree_of(goals: Goals) -> str:
    """Returns the goal tree as an indented list.

    Example:
        >>> print(tree_of(Goals("Find x.").with_current("Add.").with_status("finished").with_current("Halve.")))
        - Find x. (being worked on)
          - Add. (done)
          - Halve. (being worked on)
    """
    lines = [f"- {goals.parent} ({_STATUS_WORDS['finished' if goals.is_parent_finished else 'current']})"]
    return "\n".join((*lines, *(f"  - {subgoal.text} ({_STATUS_WORDS[subgoal.status]})" for subgoal in goals.subgoals)))


def read(action: Action, reply: str) -> Said | Unfit:
    """Returns what a reply says, or what is wrong with it."""
    text = reply.rpartition("</think>")[2].strip()
    if "<think>" in text:
        return Unfit(("the thinking was not closed",))
    found = {tag: [one.strip() for one in re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)] for tag in (*_TAGS[action], "new_goal")}
    faults = [fault for tag, times in _TAGS[action].items() if (fault := _fault_of(tag, found[tag], times))]
    if not text:
        faults.append("it is empty")
    if faults:
        return Unfit(tuple(faults))
    match action:
        case "clarify":
            return _clarified(found)
        case "decompose":
            return _decomposed(found)
        case "solution_step":
            return Stepped(text)
        case "reflection":
            return _reflected(found)
        case "answer":
            return Answered(text) if re.search(r"\\boxed\s*\{\s*[^\s}]", text) else Unfit(("there is no final answer in \\boxed{}",))


def _fault_of(tag: str, found: list[str], times: int) -> str | None:
    if len(found) != times:
        return f"<{tag}>...</{tag}> stands there {_times(len(found))} and has to stand there {_times(times)}"
    return None if all(found) else f"<{tag}> is empty"


def _times(number: int) -> str:
    return {0: "not at all", 1: "once"}.get(number, f"{number} times")


def _clarified(found: Mapping[str, list[str]]) -> Said | Unfit:
    goal = found["goal"][0]
    return Clarified(found["clarification"][0], goal) if "\n" not in goal else Unfit(("<goal> has more than one line",))


def _decomposed(found: Mapping[str, list[str]]) -> Said | Unfit:
    first, second, third = found["sentence"]
    if first.startswith(ALTERNATIVELY):
        return Unfit(('the first <sentence> opens with "Alternatively,"',))
    if not (second.startswith(ALTERNATIVELY) and third.startswith(ALTERNATIVELY)):
        return Unfit(('the second and the third <sentence> have to open with "Alternatively,"',))
    return Decomposed(found["thinking"][0], (first, second, third))


def _reflected(found: Mapping[str, list[str]]) -> Said | Unfit:
    verdicts = {tag: found[tag][0].lower() for tag in ("current_goal_achieved", "parent_goal_achieved")}
    faults = [f"<{tag}> has to be true or false" for tag, word in verdicts.items() if word not in ("true", "false")]
    if faults:
        return Unfit(tuple(faults))
    is_current, is_parent = (word == "true" for word in verdicts.values())
    if is_current or is_parent:
        return Reflected(found["verification"][0], is_current, is_parent, None)
    if (fault := _fault_of("new_goal", found["new_goal"], 1)) or not found["new_goal"][0].startswith(ALTERNATIVELY):
        return Unfit((fault or '<new_goal> has to open with "Alternatively,"',))
    return Reflected(found["verification"][0], is_current, is_parent, found["new_goal"][0])
