"""One problem being worked on: several attempts with the verifier's words in between, and the states that follow.

Sequential revision as in arXiv 2501.17161, section 3: the model sees the first prompt and every earlier reply and message of the same
state. As chat: user(prompt, images first), assistant(reply), user(what failed), assistant(...). Images stand once, in the first turn.
A state has `verify_iterations` graded attempts. After a right reply the chat restarts with the next state, where the task has one,
and the attempts are refilled.

Departures from LeslieTrue/SFTvsRL at 5a6ea55, chosen by the reward table:
1. `paper`: the episode ends after the last graded attempt. `repo`: one more reply is asked for and not graded: -1.
2. A reply beyond the attempts that is given all the same (a stored one) gets outcome STEP_LIMIT and -1 under both, and so does every
   one after it; there the counter runs past its limit and grades again.
"""

from __future__ import annotations

from dataclasses import replace

from vlmpost.records import Example, Message, Step
from vlmpost.tasks.task import Task

STEP_LIMIT = "STEP_LIMIT"
STEP_LIMIT_REWARD = -1.0
OVER = "EPISODE_OVER"


class Episode:
    """The play of one example.

    Args:
        task: Whose problem it is.
        example: The first state.
        verify_iterations: Graded attempts at each state.
        rewards: The reward table; None: the task's default.
        through: Go on to the states that follow; False: the first right reply ends it, as in training, where each state is a
            prompt of its own.

    Attributes:
        example: The present state.
        steps: Every graded reply so far, of all states.
        succeeded: Whether the last state's right reply was given.
    """

    def __init__(
        self, task: Task, example: Example, *, verify_iterations: int = 1, rewards: str | None = None, through: bool = True
    ) -> None:
        assert verify_iterations >= 1, verify_iterations
        self.task = task
        self.example = example
        self.verify_iterations = verify_iterations
        self.rewards = task.reward_tables[0] if rewards is None else rewards
        self.through = through
        self.steps: list[Step] = []
        self.state = 0
        self.succeeded = False
        self._attempts: list[Step] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        """The chat of the present state up to where the next reply starts."""
        turns = list(self.example.prompt)
        for step in self._attempts:
            turns += [Message("assistant", (step.text,)), Message("user", (step.feedback or "",))]
        return tuple(turns)

    @property
    def wants_reply(self) -> bool:
        """Whether the model is to be asked again."""
        ungraded = 1 if self.rewards == "repo" else 0
        return not self.succeeded and len(self._attempts) < self.verify_iterations + ungraded

    def step(self, reply: str) -> Step:
        """Grades a reply and moves on.

        The step says whether the episode ended: `terminated` by the right reply to the last state, `truncated` by the attempts.
        """
        step = replace(self._graded(reply), state=self.state)
        following = self.task.following(self.example) if step.correct and self.through else None
        if step.correct and following is None:
            step = replace(step, terminated=True)
            self.succeeded = True
        self.steps.append(step)
        if following is None:
            self._attempts.append(step)
        else:
            self.example, self.state, self._attempts = following, self.state + 1, []
        return step

    def _graded(self, reply: str) -> Step:
        if self.succeeded:
            return Step(reply, OVER, 0.0, correct=False, terminated=True)
        if len(self._attempts) >= self.verify_iterations:
            return Step(reply, STEP_LIMIT, STEP_LIMIT_REWARD, correct=False, truncated=True)
        return self.task.verify(self.example, reply, rewards=self.rewards)
