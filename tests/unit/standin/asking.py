"""Asks the stand-in without a server: `ask("My name is Ada.", "What is my name?")` returns its answer."""

from typing import Any

import msgspec

from standin.answers.answer import Answer, compose_answer
from standin.chat_completions.request import ChatRequest
from standin.control.directives import Directives

Said = str | tuple[str, str] | dict[str, Any]


def build_request(*said: Said, **fields: Any) -> ChatRequest:
    """A request with these messages. A plain text is the user's; a pair is (role, text)."""
    return msgspec.convert(
        {"model": "stand-in", "messages": [_build_message(one) for one in said], **fields}, ChatRequest
    )


def answer(*said: Said, directives: Directives | None = None, **fields: Any) -> Answer:
    """The whole answer to these messages."""
    return compose_answer(build_request(*said, **fields), directives or Directives())


def ask(*said: Said, **fields: Any) -> str:
    """The text of the answer to these messages."""
    return answer(*said, **fields).text


def _build_message(said: Said) -> dict[str, Any]:
    if isinstance(said, dict):
        return said
    role, text = ("user", said) if isinstance(said, str) else said
    return {"role": role, "content": text}
