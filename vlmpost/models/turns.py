"""What stands between two replies of one chat: the end of the assistant's turn, the user's next turn, and the opening of the next reply.

A chat of several turns grows by token ids. What the model sampled is kept as it was sampled, never decoded and encoded again; only
what the environment says is encoded, once, in the form that the chat template gives it. Training and evaluation both grow chats here,
so that they see the same tokens. Works for every template that renders an assistant's turn in the middle; none needs to know tools.

Departure from re-rendering the whole chat: a template that changes earlier assistant turns (Qwen3 drops their thinking) is not asked
to; the model goes on reading what it wrote.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from transformers import ProcessorMixin

from vlmpost.errors import ModelError

_QUESTION = "Q7"
_REPLY = "reply7f3a"
_FEEDBACK = "feedback7f3a"
_NUM_REMEMBERED = 4096


class TurnRenderer:
    """Encodes the turns between replies under one processor's chat template.

    Args:
        processor: Of the model that replies.

    Raises:
        ModelError: Its template cannot go on after an assistant's turn.
    """

    def __init__(self, processor: ProcessorMixin) -> None:
        self._tokenizer = processor.tokenizer
        before, after = _around_feedback(processor)
        end = self._encode(before)[:1]
        if not end or self._tokenizer.convert_ids_to_tokens(end[0]) not in self._tokenizer.get_added_vocab():
            raise ModelError(
                f"The chat template ends an assistant's turn with {before[:40]!r}, which is no control token: a chat of several turns "
                "cannot be continued from sampled tokens. Give the folder a template that closes its turns with one."
            )
        self.end_of_turn: int = end[0]
        """The token that closes an assistant's turn."""
        self._before, self._after = before, after
        self._controls = tuple(token for token in self._tokenizer.get_added_vocab() if "think" not in token.lower())
        self._rendered = functools.lru_cache(maxsize=_NUM_REMEMBERED)(self._render)

    def between(self, reply_ids: Sequence[int], feedback: str) -> tuple[int, ...]:
        """Returns the tokens from the end of a reply to where the next reply starts.

        Args:
            reply_ids: The sampled tokens. Where the reply was cut, or ended by another token than the template's, the turn is closed.
            feedback: The user's next turn; control tokens spelled out in it stay text.
        """
        ids = self._rendered(feedback)
        return ids[1:] if reply_ids and reply_ids[-1] == self.end_of_turn else ids

    def _render(self, feedback: str) -> tuple[int, ...]:
        for control in self._controls:
            feedback = feedback.replace(control, f"{control[0]} {control[1:]}")
        return tuple(self._encode(f"{self._before}{feedback}{self._after}"))

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return ids


def _around_feedback(processor: ProcessorMixin) -> tuple[str, str]:
    """The template's text between a reply and the feedback, and from there to where the next reply starts."""
    chat = [
        {"role": role, "content": [{"type": "text", "text": text}]}
        for role, text in (("user", _QUESTION), ("assistant", _REPLY), ("user", _FEEDBACK))
    ]
    text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    if text.count(_REPLY) != 1 or text.count(_FEEDBACK) != 1:
        raise ModelError(
            "The chat template does not render an assistant's turn between two user turns as it is: several attempts need that."
        )
    before, after = text.split(_REPLY)[1].split(_FEEDBACK)
    return before, after
