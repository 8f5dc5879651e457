"""Reads messages as plain turns, and finds where an unfinished answer must be continued.

A client asks for a continuation in one of two ways. The last message is the assistant's unfinished text; or that text
is followed by a user or system message that asks to continue exactly where it stopped.
"""

import hashlib
import re

import msgspec

from standin.answers.attachments import Attachment
from standin.chat_completions.content import File, Image, Text
from standin.chat_completions.request import Message
from standin.control.directives import strip_directives
from standin.tokens import count_tokens

_CONTINUE = re.compile(
    r"\bcontinue\b.*\b(exactly|stopped|left off|broke off|broken off|cut off|interrupted)\b", re.IGNORECASE | re.DOTALL
)
_ATTACHMENT_TOKENS = 85  # OpenAI's price of an image at low detail
_INSTRUCTION_CHARS = 600  # an instruction to continue is shorter; a document with these words is longer


class Turn(msgspec.Struct, frozen=True):
    """One message as plain text, without directives. `tool` is the tool whose result it is."""

    role: str
    text: str
    tool: str = ""
    attachments: tuple[Attachment, ...] = ()


def get_text(message: Message) -> str:
    """The text parts of a message, joined. Images and files have no text."""
    if isinstance(message.content, list):
        texts = [part.text for part in message.content if isinstance(part, Text)]
        return ("" if message.role == "assistant" else "\n").join(texts)
    return message.content or ""


def list_attachments(message: Message) -> tuple[Attachment, ...]:
    parts = message.content if isinstance(message.content, list) else ()
    return tuple(part for part in parts if isinstance(part, Image | File))


def read_turns(messages: list[Message]) -> list[Turn]:
    """The messages as turns. A tool result gets the tool's name from the call it answers."""
    names = {call.id: call.function.name for message in messages for call in message.tool_calls or ()}
    return [
        Turn(
            message.role,
            strip_directives(get_text(message)),
            names.get(message.tool_call_id or "", ""),
            list_attachments(message),
        )
        for message in messages
    ]


def find_last_user_text(messages: list[Message]) -> str:
    """The text of the last user message with its directives; empty when there is none."""
    return next((get_text(message) for message in reversed(messages) if message.role == "user"), "")


def get_question(turns: list[Turn]) -> str:
    """The last user turn's text; empty when there is none."""
    return next((turn.text for turn in reversed(turns) if turn.role == "user"), "")


def split_continuation(messages: list[Message]) -> tuple[list[Message], str | None]:
    """The messages to answer, and the beginning of the answer in a continuation (else None)."""
    last = messages[-1]
    if _is_partial(last):
        return messages[:-1], get_text(last)
    if len(messages) > 1 and _is_partial(messages[-2]) and _asks_to_continue(last):
        return messages[:-2], get_text(messages[-2])
    return messages, None


def compute_fingerprint(messages: list[Message]) -> str:
    """A short hash of a conversation."""
    return hashlib.blake2b(msgspec.json.encode(messages), digest_size=12).hexdigest()


def count_prompt_tokens(messages: list[Message]) -> int:
    """The tokens of all messages: text, arguments of calls, images and files."""
    calls = (call.function.arguments for message in messages for call in message.tool_calls or ())
    attached = _ATTACHMENT_TOKENS * sum(len(list_attachments(message)) for message in messages)
    return attached + sum(map(count_tokens, calls)) + sum(count_tokens(get_text(message)) for message in messages)


def _is_partial(message: Message) -> bool:
    return message.role == "assistant" and not message.tool_calls


def _asks_to_continue(message: Message) -> bool:
    text = get_text(message)
    is_short = message.role not in {"assistant", "tool"} and len(text) < _INSTRUCTION_CHARS
    return is_short and _CONTINUE.search(text) is not None
