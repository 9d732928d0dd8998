"""A teacher that gives one reply to each question, over any chat: a server's model or one that is loaded here."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import islice

from vlmpost.curation.chats import Chat, Reply, Turn
from vlmpost.curation.records import Answer, Ask, Failure
from vlmpost.data.conversation import to_messages


class ChatTeacher:
    """One reply to each question.

    Args:
        chat: Who answers.
        instruction: Text added to each question.
        think_tags: Put thinking that comes apart between <think> tags before the answer; else it is left out.
    """

    def __init__(self, chat: Chat, *, instruction: str | None = None, think_tags: bool = True) -> None:
        self._chat = chat
        self._instruction = instruction
        self._think_tags = think_tags

    @property
    def name(self) -> str:
        """The model's name."""
        return self._chat.name

    def answer(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Answer | Failure]]:
        """Yields what came of each ask, as they finish; closing the iterator ends the turns under way.

        Raises:
            ConfigError: The chat's server refuses the key, knows no such address or model, or was never there.
        """
        waiting = enumerate(asks)
        under_way: dict[Hashable, Ask] = {}
        with self._chat.open() as replies:
            while True:
                for place, ask in islice(waiting, self._chat.max_concurrent - len(under_way)):
                    under_way[place] = ask
                    replies.put(place, self._turn(ask))
                if not under_way:
                    return
                key, reply = replies.take()
                yield under_way.pop(key), self._answer(reply)

    def _turn(self, ask: Ask) -> Turn:
        return Turn(tuple(to_messages(ask.example, instruction=self._instruction)), ask.example.images, ask.seed)

    def _answer(self, reply: Reply | Failure) -> Answer | Failure:
        if isinstance(reply, Failure):
            return reply
        text = with_thinking(reply) if self._think_tags else reply.text
        return Answer(text, reply.num_tokens, reply.stop_reason, self.name)


def with_thinking(reply: Reply) -> str:
    """Returns a reply with its thinking between tags before the text; a reply that was cut while thinking has no closing tag.

    Example:
        >>> with_thinking(Reply("7", "3 + 4", None, "stop"))
        '<think>\\n3 + 4\\n</think>\\n\\n7'
    """
    if not reply.thinking:
        return reply.text
    thinking = reply.thinking.strip("\n")
    if reply.stop_reason == "length" and not reply.text:
        return f"<think>\n{thinking}"
    return f"<think>\n{thinking}\n</think>\n\n{reply.text.lstrip(chr(10))}"
