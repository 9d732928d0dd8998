"""From a recipe to who answers."""

from __future__ import annotations

from vlmpost.config.curate import CurateConfig
from vlmpost.curation.action_teacher import ActionTeacher
from vlmpost.curation.chat_teacher import ChatTeacher
from vlmpost.curation.chats import Chat
from vlmpost.curation.endpoint import EndpointChat
from vlmpost.curation.records import Teacher


def teacher_of(config: CurateConfig) -> Teacher:
    """Returns who answers; a model is loaded here.

    Raises:
        ModelError: It cannot be loaded.
        ConfigError: The server is not named.
    """
    chat, teacher = chat_of(config), config.teacher
    if teacher.prompting == "actions":
        return ActionTeacher(chat, max_actions=teacher.max_actions, instruction=config.instruction)
    return ChatTeacher(chat, instruction=config.instruction, think_tags=teacher.think_tags)


def chat_of(config: CurateConfig) -> Chat:
    """Returns the model behind a teacher.

    Raises:
        ModelError: It cannot be loaded.
        ConfigError: The server is not named.
    """
    if config.teacher.kind == "endpoint":
        return EndpointChat(config.teacher, generation=config.generation)
    from vlmpost.curation.local_chat import LocalChat
    from vlmpost.models import loader

    return LocalChat(loader.load(config.model, purpose="eval"), config.generation)
