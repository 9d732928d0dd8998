"""The state machine of action prompting: one thought after another, until the problem is solved. No model, no text of prompts.

The model's replies choose what comes next within `LEGAL`; this file reacts, keeps the log (append-only) and the goals.

Source: Demystifying Long CoT, arXiv 2502.03373, section 6 and appendix, which name the five actions, what each reads and returns, the
append-only log and the goal tree; there is no code of it. Ours, since the paper does not say:

1. Which action follows which: clarify, decompose, solution_step, reflection; after a reflection, `answer` where the parent goal is
   achieved, `decompose` where the current one is, else `solution_step` with the new goal.
2. The parent goal is the one that clarify names, and every subgoal is its child: a tree of two levels.
3. Of the three sentences of decompose the first is the subgoal that is worked on. All three are the thought; `thinking` is not.
4. A current goal that failed counts as timed out, and the new goal takes its place; the thought ends with the new goal, so that the
   solution does not turn without a word.
5. Thoughts are joined by `JOINER`.
6. A solution that has had `max_actions` thoughts without an answer is given up by its caller, never cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

Action = Literal["clarify", "decompose", "solution_step", "reflection", "answer"]
Status = Literal["current", "finished", "timed_out"]

JOINER = "\n\n"
LEGAL: Mapping[Action, tuple[Action, ...]] = {
    "clarify": ("decompose",),
    "decompose": ("solution_step",),
    "solution_step": ("reflection",),
    "reflection": ("answer", "decompose", "solution_step"),
    "answer": (),
}
"""What may follow each action."""


@dataclass(frozen=True, slots=True)
class Clarified:
    """What clarify returned."""

    clarification: str
    goal: str


@dataclass(frozen=True, slots=True)
class Decomposed:
    """What decompose returned."""

    thinking: str
    sentences: tuple[str, str, str]
    """A tentative next subgoal, and two that open with "Alternatively,"."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """What solution_step returned."""

    text: str


@dataclass(frozen=True, slots=True)
class Reflected:
    """What reflection returned."""

    verification: str
    is_current_achieved: bool
    is_parent_achieved: bool
    new_goal: str | None
    """None: a goal was achieved."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What answer returned."""

    text: str


Said = Clarified | Decomposed | Stepped | Reflected | Answered


@dataclass(frozen=True, slots=True)
class Thought:
    """One entry of the log."""

    action: Action
    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """The thoughts so far; entries are added, never changed."""

    thoughts: tuple[Thought, ...] = ()

    def with_thought(self, action: Action, text: str) -> Log:
        """Returns the log with one more entry."""
        return Log((*self.thoughts, Thought(action, text)))

    @property
    def text(self) -> str:
        """The thoughts in order."""
        return JOINER.join(thought.text for thought in self.thoughts)

    @property
    def prior_step(self) -> str | None:
        """The last thought of a solution_step. None: there was none."""
        return next((thought.text for thought in reversed(self.thoughts) if thought.action == "solution_step"), None)


@dataclass(frozen=True, slots=True)
class Subgoal:
    """A child of the parent goal."""

    text: str
    status: Status


@dataclass(frozen=True, slots=True)
class Goals:
    """The goal tree."""

    parent: str | None = None
    """None: clarify has not named it."""
    is_parent_finished: bool = False
    subgoals: tuple[Subgoal, ...] = ()
    """In the order in which they were set; at most one is current."""

    @property
    def current(self) -> str | None:
        """The subgoal that is worked on. None: there is none."""
        return next((subgoal.text for subgoal in self.subgoals if subgoal.status == "current"), None)

    def with_status(self, status: Status) -> Goals:
        """Returns the goals with the current one finished or timed out."""
        changed = (replace(subgoal, status=status) if subgoal.status == "current" else subgoal for subgoal in self.subgoals)
        return replace(self, subgoals=tuple(changed))

    def with_current(self, text: str) -> Goals:
        """Returns the goals with a new current one."""
        assert self.current is None, f"{self.current!r} is not over"
        return replace(self, subgoals=(*self.subgoals, Subgoal(text, "current")))


@dataclass(frozen=True, slots=True)
class Solution:
    """How far a solution is."""

    action: Action = "clarify"
    """What comes next; where the solution is over, what came last."""
    log: Log = field(default_factory=Log)
    goals: Goals = field(default_factory=Goals)
    is_over: bool = False


def advance(solution: Solution, said: Said) -> Solution:
    """Returns the solution after what its action returned.

    Args:
        solution: Not over.
        said: Of the kind that belongs to `solution.action`.
    """
    assert not solution.is_over, "the answer was given"
    action, goals = solution.action, solution.goals
    match said:
        case Clarified(clarification, goal):
            return _went_on(solution, "clarify", clarification, "decompose", replace(goals, parent=goal))
        case Decomposed(_, sentences):
            return _went_on(solution, "decompose", " ".join(sentences), "solution_step", goals.with_current(sentences[0]))
        case Stepped(text):
            return _went_on(solution, "solution_step", text, "reflection", goals)
        case Reflected():
            return _reflected(solution, said)
        case Answered(text):
            assert action == "answer", f"an answer came to {action}"
            return Solution("answer", solution.log.with_thought("answer", text), goals, is_over=True)
        case _:
            assert_never(said)


def _reflected(solution: Solution, said: Reflected) -> Solution:
    goals = solution.goals.with_status("finished" if said.is_current_achieved else "timed_out")
    if said.is_parent_achieved:
        return _went_on(solution, "reflection", said.verification, "answer", replace(goals, is_parent_finished=True))
    if said.is_current_achieved:
        return _went_on(solution, "reflection", said.verification, "decompose", goals)
    assert said.new_goal is not None, "a reflection that failed names a new goal"
    thought = JOINER.join((said.verification, said.new_goal))
    return _went_on(solution, "reflection", thought, "solution_step", goals.with_current(said.new_goal))


def _went_on(solution: Solution, action: Action, thought: str, following: Action, goals: Goals) -> Solution:
    assert solution.action == action, f"what {action} returns came to {solution.action}"
    assert following in LEGAL[action], f"{following} cannot follow {action}"
    return Solution(following, solution.log.with_thought(action, thought), goals)
