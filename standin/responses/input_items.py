"""The input items of a Responses request: what was said, called and thought, as it comes over the wire."""

from typing import Any, Literal

import msgspec

from standin.chat_completions.content import Detail

Status = Literal["in_progress", "completed", "incomplete"]


class InputText(msgspec.Struct, frozen=True, tag_field="type", tag="input_text", forbid_unknown_fields=True):
    """A stretch of text in a message to the model, or in a tool's result."""

    text: str


class InputImage(msgspec.Struct, frozen=True, tag_field="type", tag="input_image", forbid_unknown_fields=True):
    """An image to look at."""

    image_url: str | None = None
    file_id: str | None = None
    detail: Detail | None = None


class InputFile(msgspec.Struct, frozen=True, tag_field="type", tag="input_file", forbid_unknown_fields=True):
    """A file to read."""

    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(msgspec.Struct, frozen=True, tag_field="type", tag="output_text", forbid_unknown_fields=True):
    """A stretch of text that the model wrote."""

    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class OutputRefusal(msgspec.Struct, frozen=True, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    """What the model said instead of an answer."""

    refusal: str


InputPart = InputText | InputImage | InputFile
OutputPart = OutputText | OutputRefusal


class MessageItem(msgspec.Struct, frozen=True, tag_field="type", tag="message", forbid_unknown_fields=True):
    """A message; the assistant's holds what the model wrote, all others what was sent to it."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | InputImage | InputFile | OutputText | OutputRefusal]
    id: str | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class CallItem(msgspec.Struct, frozen=True, tag_field="type", tag="function_call", forbid_unknown_fields=True):
    """A call that the model made."""

    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: Status | None = None
    caller: Any = None
    namespace: str | None = None


class ResultItem(msgspec.Struct, frozen=True, tag_field="type", tag="function_call_output", forbid_unknown_fields=True):
    """What a call gave."""

    call_id: str
    output: str | list[InputPart]
    id: str | None = None
    status: Status | None = None


class SummaryText(msgspec.Struct, frozen=True, tag_field="type", tag="summary_text", forbid_unknown_fields=True):
    """A part of a reasoning summary."""

    text: str


class ReasoningText(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning_text", forbid_unknown_fields=True):
    """A part of the reasoning itself."""

    text: str


class ReasoningItem(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning", forbid_unknown_fields=True):
    """What the model thought. A `status` is refused here: OpenAI gives one sometimes, and never takes it back."""

    summary: list[SummaryText]
    id: str | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None


class ReferenceItem(msgspec.Struct, frozen=True, tag_field="type", tag="item_reference", forbid_unknown_fields=True):
    """An item that somebody is supposed to have kept."""

    id: str


Item = MessageItem | CallItem | ResultItem | ReasoningItem | ReferenceItem


def add_message_type(given: Any) -> Any:
    """The items as they came, where a message that does not say what it is now does."""
    if not isinstance(given, list):
        return given
    return [{"type": "message", **one} if isinstance(one, dict) and "role" in one else one for one in given]
