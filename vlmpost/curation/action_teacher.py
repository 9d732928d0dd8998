"""A teacher that writes long solutions by action prompting: many state machines (`actions`) side by side over one chat.

Each thought is a conversation of its own: the problem with its images, then what the action asks (`action_prompts`). A reply that
cannot be read, or was cut, is asked for again once in the same conversation, with what was wrong; a second one ends the solution as a
failure. A solution that is not finished after `max_actions` thoughts is a lasting failure, "unfinished", never an answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from vlmpost.curation.action_prompts import Unfit, read, text_for
from vlmpost.curation.actions import Solution, advance
from vlmpost.curation.chats import Chat, Reply, Turn
from vlmpost.curation.records import Answer, Ask, Failure
from vlmpost.data.conversation import ChatMessage, to_messages

UNFINISHED = "unfinished"
"""The reason of solutions that had all their thoughts without an answer."""
_CUT = Unfit(("it was cut by its token budget, be briefer",))


@dataclass(frozen=True, slots=True)
class _Work:
    """A solution under way."""

    ask: Ask
    solution: Solution = field(default_factory=Solution)
    num_replies: int = 0
    """Replies so far, refused ones included."""
    refused: tuple[str, Unfit] | None = None
    """The last reply and what was wrong with it. None: it was used."""


class ActionTeacher:
    """Long solutions, thought by thought.

    Args:
        chat: Who replies; turns of reflection are marked, and may go to another model.
        max_actions: Thoughts of one solution.
        instruction: Text that the final answer obeys. None: only our own format.
    """

    def __init__(self, chat: Chat, *, max_actions: int, instruction: str | None = None) -> None:
        self._chat = chat
        self._max_actions = max_actions
        self._instruction = instruction

    @property
    def name(self) -> str:
        """Who replies, and how it is asked."""
        return f"{self._chat.name}, actions"

    def answer(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Answer | Failure]]:
        """Yields what came of each ask, as solutions end; closing the iterator ends the turns under way.

        Raises:
            ConfigError: The chat's endpoint refuses the key, knows no such address or model, or was never there.
        """
        waiting = enumerate(asks)
        under_way: dict[Hashable, _Work] = {}
        with self._chat.open() as replies:
            while True:
                for place, ask in islice(waiting, self._chat.max_concurrent - len(under_way)):
                    under_way[place] = _Work(ask)
                    replies.put(place, self._turn(under_way[place]))
                if not under_way:
                    return
                key, reply = replies.take()
                work = under_way.pop(key)
                after = self._after(work, reply)
                if isinstance(after, _Work):
                    under_way[key] = after
                    replies.put(key, self._turn(after))
                else:
                    yield work.ask, after

    def _after(self, work: _Work, reply: Reply | Failure) -> _Work | Answer | Failure:
        if isinstance(reply, Failure):
            return replace(reply, teacher=self.name)
        said = _CUT if reply.stop_reason == "length" else read(work.solution.action, reply.text)
        if isinstance(said, Unfit):
            if work.refused is not None:
                reason = f"{work.solution.action}: the reply cannot be read"
                return Failure(reason, self.name, lasting=self._chat.is_repeatable)
            return replace(work, num_replies=work.num_replies + 1, refused=(reply.text, said))
        solution = advance(work.solution, said)
        if solution.is_over:
            return self._answer(solution)
        if len(solution.log.thoughts) >= self._max_actions:
            return Failure(UNFINISHED, self.name, lasting=True)
        return _Work(work.ask, solution, work.num_replies + 1)

    def _answer(self, solution: Solution) -> Answer:
        text = solution.log.text
        actions = tuple((thought.action, thought.text) for thought in solution.log.thoughts)
        return Answer(text, self._chat.num_tokens(text), "stop", self.name, actions)

    def _turn(self, work: _Work) -> Turn:
        example = work.ask.example
        messages = _with_text(to_messages(example, instruction=None), text_for(work.solution, instruction=self._instruction))
        if work.refused is not None:
            reply, unfit = work.refused
            messages += [_said("assistant", reply), _said("user", unfit.request)]
        seed = _seed(work.ask.seed, work.num_replies)
        return Turn(tuple(messages), example.images, seed, reflects=work.solution.action == "reflection")


def _with_text(messages: Sequence[ChatMessage], text: str) -> list[ChatMessage]:
    """A problem with what is asked of it at its end."""
    *earlier, last = messages
    blocks = last["content"]
    assert isinstance(blocks, list), "a prompt's content is a list of blocks"
    return [*earlier, {**last, "content": [*blocks, {"type": "text", "text": f"\n\n{text}"}]}]


def _said(role: str, text: str) -> ChatMessage:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _seed(seed: int, num_replies: int) -> int:
    """The 63-bit seed of one reply of a solution."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{num_replies}".encode(), digest_size=8).digest(), "big") >> 1
