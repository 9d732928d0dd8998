"""Examples as chat messages."""

from __future__ import annotations

from vlmpost.data.conversation import to_completion, to_messages
from vlmpost.records import IMAGE, Example, ImageRef, Message


def example(*content: object) -> Example:
    images = tuple(ImageRef(path=str(n)) for n, part in enumerate(content) if part is IMAGE)
    return Example(id="e", task="t", prompt=(Message("user", content),), images=images, solution="<think>x</think>y")  # type: ignore[arg-type]


def test_slots_and_texts_become_blocks_in_order() -> None:
    content = to_messages(example("a", IMAGE, "b"), instruction=None)[0]["content"]
    assert content == [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]


def test_the_instruction_stands_once_on_a_line_after_the_last_text() -> None:
    assert to_messages(example("a", IMAGE, "b", IMAGE), instruction="Think.")[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image"},
        {"type": "text", "text": "b\nThink."},
        {"type": "image"},
    ]
    assert to_messages(example("b\nThink."), instruction="Think.")[0]["content"] == [{"type": "text", "text": "b\nThink."}]


def test_an_image_alone_gets_the_instruction_as_its_text() -> None:
    assert to_messages(example(IMAGE), instruction="Think.")[0]["content"] == [{"type": "image"}, {"type": "text", "text": "Think."}]


def test_only_the_last_turn_is_instructed() -> None:
    turns = (Message("user", ("One",)), Message("assistant", ("Yes",)), Message("user", ("Two",)))
    messages = to_messages(Example(id="e", task="t", prompt=turns), instruction="Think.")
    assert [message["content"][0]["text"] for message in messages] == ["One", "Yes", "Two\nThink."]  # type: ignore[index]


def test_the_solution_is_one_assistant_turn() -> None:
    assert to_completion(example("a")) == [{"role": "assistant", "content": [{"type": "text", "text": "<think>x</think>y"}]}]
