"""Examples as chat messages, in the conversational form that TRL and the processors' chat templates read.

Every content is a list of blocks, {"type": "image"} or {"type": "text", "text": ...}, so that a dataset has one schema. The
images themselves travel beside the messages, in the order of the image blocks.
"""

from __future__ import annotations

from vlmpost.records import IMAGE, Example, Message

Block = dict[str, str]
ChatMessage = dict[str, str | list[Block]]


def to_messages(example: Example, *, instruction: str | None) -> list[ChatMessage]:
    """The prompt of an example.

    Args:
        example: Its last message is the user's.
        instruction: Text put after the last user text, on a line of its own, unless that text ends with it already. None: nothing.
    """
    messages = [_message(message) for message in example.prompt]
    if instruction:
        messages[-1] = _instructed(messages[-1], instruction)
    return messages


def to_completion(example: Example) -> list[ChatMessage]:
    """The solution of an example as one assistant turn."""
    assert example.solution is not None, f"example {example.id} has no solution"
    return [{"role": "assistant", "content": [{"type": "text", "text": example.solution}]}]


def _message(message: Message) -> ChatMessage:
    blocks: list[Block] = [{"type": "image"} if part is IMAGE else {"type": "text", "text": str(part)} for part in message.content]
    return {"role": message.role, "content": blocks}


def _instructed(message: ChatMessage, instruction: str) -> ChatMessage:
    blocks = message["content"]
    assert isinstance(blocks, list)
    last = next((index for index in reversed(range(len(blocks))) if blocks[index]["type"] == "text"), None)
    if last is None:
        return {**message, "content": [*blocks, {"type": "text", "text": instruction}]}
    text = blocks[last]["text"]
    if text.rstrip().endswith(instruction.rstrip()):
        return message
    changed: Block = {"type": "text", "text": f"{text}\n{instruction}"}
    return {**message, "content": [*blocks[:last], changed, *blocks[last + 1 :]]}
