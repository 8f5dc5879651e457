"""A conversation in short, as the model itself puts it.

It is given the conversation as the text of one message: a history of its own it would rather go on with, and of a
transcript no server asks that every call in it is answered.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from prompts.domain.item_kinds import ITEM_KINDS, Body, ItemKinds
from prompts.domain.items import (
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    Part,
    ReasoningText,
    Role,
    SummaryText,
    words_of,
)
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Finished, Text
from prompts.domain.usage import Usage, complete_usage
from prompts.history.estimates import estimate_tokens
from prompts.ports.chat_model import ChatModel

INSTRUCTION = Path(__file__).with_name("summary_instruction.txt").read_text("utf-8")
END = "End of the transcript. Write the summary now."
# Some pages, and as much again for a model that thinks first; it also stops a model that repeats itself.
MAX_OUTPUT_TOKENS = 8_192
# A summary longer than its text is useless; short texts are allowed this much.
MIN_ALLOWED_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Summary:
    """What is to be kept, and what it cost to say so."""

    text: str
    usage: Usage
    is_estimated: bool = False
    """Whether the model's server did not report all of the cost."""


async def summarize(
    items: Sequence[Item], *, request: ModelRequest, model: ChatModel, wish: str | None = None
) -> Summary | None:
    """What is to be kept of these items; `wish` is what the client asks to be minded besides.

    `request` says which model is asked and on whose account. None when the model gave nothing that can be used: it
    refused, or came to no end. Raises RateLimited, UpstreamError, UpstreamTimeout, InvalidPrompt.
    """
    transcript = compose_transcript(items)
    asked = [_message("system", _instruct(wish)), _message("user", transcript)]
    max_characters = max(MIN_ALLOWED_CHARACTERS, len(transcript))
    pieces: list[str] = []
    size = 0
    async with model.stream(_bare(request), asked) as answer:
        async for signals in answer:
            for signal in signals:
                match signal:
                    case Text(text):
                        pieces.append(text)
                        size += len(text)
                    case Finished("stop", usage) if any(map(str.strip, pieces)):
                        text = "".join(pieces).strip()
                        return Summary(text, *complete_usage(usage, _estimate_usage(asked, text)))
            if size > max_characters:
                return None
    return None


def compose_transcript(items: Sequence[Item], kinds: ItemKinds = ITEM_KINDS) -> str:
    """The items as text, each below a line that says whose it is."""
    return "\n\n".join([*_list_entries(items, kinds), END])


def _list_entries(items: Sequence[Item], kinds: ItemKinds) -> Iterator[str]:
    names: dict[str, str] = {}
    for item in cast(Sequence[Any], items):
        kind = kinds[type(item)]
        name, body = kind.name(item), kind.body(item)
        if kind.pairing == "call":
            names[item.call_id] = name
        elif kind.pairing == "output":
            name = names.get(item.call_id, name)
        if kind.transcript_title is not None and body is not None:
            yield f"[{kind.transcript_title.format(name=name)}]\n{_write(body, kind.joint)}"


def _write(body: Body, joint: str) -> str:
    return body if isinstance(body, str) else joint.join(map(_write_part, body))


def _write_part(part: Part | ReasoningText | SummaryText) -> str:
    match part:
        case InputImage():
            return "(an image)"
        case InputFile(filename=name):
            return f"(a file, {json.dumps(name)})" if name else "(a file)"
    return words_of(part)


def _instruct(wish: str | None) -> str:
    return f"{INSTRUCTION}\nWhoever asked for this summary adds:\n\n{wish}" if wish else INSTRUCTION


def _message(role: Role, text: str) -> Message:
    return Message(id="", status="completed", role=role, content=[InputText(text)])


def _bare(request: ModelRequest) -> ModelRequest:
    """A request to the same model on the same account, without the answer's tools, format and limits."""
    return ModelRequest(
        model=request.model,
        max_output_tokens=MAX_OUTPUT_TOKENS,
        service_tier=request.service_tier,
        safety_identifier=request.safety_identifier,
        prompt_cache_key=request.prompt_cache_key,
        user=request.user,
    )


def _estimate_usage(asked: Sequence[Item], text: str) -> Usage:
    """For a server that reports none."""
    sent, said = sum(map(estimate_tokens, asked)), estimate_tokens(_message("assistant", text))
    return Usage(sent, said, sent + said)
