"""A conversation in short, as the model itself puts it.

It is given the conversation as the text of one message: a history of its own it would rather go on with, and of a
transcript no server asks that every call in it is answered.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from prompts.domain.items import (
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    Part,
    Reasoning,
    Role,
)
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Finished, Text
from prompts.domain.usage import Usage
from prompts.history.model_input import estimate_tokens, text_of
from prompts.ports.chat_model import ChatModel

INSTRUCTION = Path(__file__).with_name("summary_instruction.txt").read_text("utf-8")
END = "End of the transcript. Write the summary now."
# Some pages, and as much again for a model that thinks first. Small models like to go round in circles.
MAX_OUTPUT_TOKENS = 8_192
# What is longer than what it sums up sums nothing up; of a few words there may be a little more to say.
MIN_ALLOWED_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Summary:
    """What is to be kept, and what it cost to say so."""

    text: str
    usage: Usage


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
                        return Summary(text, usage or _estimate_usage(asked, text))
            if size > max_characters:
                return None
    return None


def compose_transcript(items: Sequence[Item]) -> str:
    """The items as text, each below a line that says whose it is."""
    return "\n\n".join([*_list_entries(items), END])


def _list_entries(items: Sequence[Item]) -> Iterator[str]:
    names: dict[str, str] = {}
    for item in items:
        match item:
            case Message(role=role, content=content):
                yield f"[{role}]\n{_write(content)}"
            case FunctionCall(call_id=call_id, name=name, arguments=arguments):
                names[call_id] = name
                yield f"[the assistant calls {name}]\n{arguments}"
            case FunctionCallOutput(call_id=call_id, output=output):
                told = output if isinstance(output, str) else _write(cast(list[Part], output))
                yield f"[{names.get(call_id, 'the function')} returns]\n{told}"
            case Reasoning(summary=summary, content=content) if summary or content:
                yield "[the assistant thinks]\n" + "".join(part.text for part in (*summary, *(content or ())))


def _write(content: Sequence[Part]) -> str:
    return "\n".join(_write_part(part) for part in content)


def _write_part(part: Part) -> str:
    match part:
        case InputImage():
            return "(an image)"
        case InputFile(filename=name):
            return f"(a file, {json.dumps(name)})" if name else "(a file)"
    return text_of(Message("", "completed", "user", [part]))


def _instruct(wish: str | None) -> str:
    return f"{INSTRUCTION}\nWhoever asked for this summary adds:\n\n{wish}" if wish else INSTRUCTION


def _message(role: Role, text: str) -> Message:
    return Message(id="", status="completed", role=role, content=[InputText(text)])


def _bare(request: ModelRequest) -> ModelRequest:
    """The same model on the same account; tools, format and limits are the answer's own."""
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
