"""The input items of a Responses request: messages, calls, results and reasoning."""

from typing import Any, Literal

import msgspec

from standin.chat_completions.content import Detail

Status = Literal["in_progress", "completed", "incomplete"]


class InputText(msgspec.Struct, frozen=True, tag_field="type", tag="input_text", forbid_unknown_fields=True):
    """Text in a message to the model, or in a tool's result."""

    text: str


class InputImage(msgspec.Struct, frozen=True, tag_field="type", tag="input_image", forbid_unknown_fields=True):
    image_url: str | None = None
    file_id: str | None = None
    detail: Detail | None = None


class InputFile(msgspec.Struct, frozen=True, tag_field="type", tag="input_file", forbid_unknown_fields=True):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(msgspec.Struct, frozen=True, tag_field="type", tag="output_text", forbid_unknown_fields=True):
    """Text that the model wrote."""

    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class OutputRefusal(msgspec.Struct, frozen=True, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    """The model's refusal."""

    refusal: str


InputPart = InputText | InputImage | InputFile
OutputPart = OutputText | OutputRefusal


class MessageItem(msgspec.Struct, frozen=True, tag_field="type", tag="message", forbid_unknown_fields=True):
    """A message. The assistant's content is what the model wrote; all others hold what was sent to it."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | InputImage | InputFile | OutputText | OutputRefusal]
    id: str | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class CallItem(msgspec.Struct, frozen=True, tag_field="type", tag="function_call", forbid_unknown_fields=True):
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: Status | None = None
    caller: Any = None
    namespace: str | None = None


class ResultItem(msgspec.Struct, frozen=True, tag_field="type", tag="function_call_output", forbid_unknown_fields=True):
    """The result of a call."""

    call_id: str
    output: str | list[InputPart]
    id: str | None = None
    status: Status | None = None


class CustomCallItem(msgspec.Struct, frozen=True, tag_field="type", tag="custom_tool_call", forbid_unknown_fields=True):
    """A call of a custom tool."""

    call_id: str
    name: str
    input: str
    id: str | None = None
    status: Status | None = None
    caller: Any = None
    namespace: str | None = None


class CustomResultItem(
    msgspec.Struct, frozen=True, tag_field="type", tag="custom_tool_call_output", forbid_unknown_fields=True
):
    """The result of a custom tool."""

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
    """The model's reasoning. A `status` is refused: OpenAI sometimes sends one, but never takes it back."""

    summary: list[SummaryText]
    id: str | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None


class ReferenceItem(msgspec.Struct, frozen=True, tag_field="type", tag="item_reference", forbid_unknown_fields=True):
    """A reference to a stored item."""

    id: str


Item = MessageItem | CallItem | ResultItem | CustomCallItem | CustomResultItem | ReasoningItem | ReferenceItem


def add_message_type(given: Any) -> Any:
    """The items, with `type: "message"` added where a message leaves it out."""
    if not isinstance(given, list):
        return given
    return [{"type": "message", **one} if isinstance(one, dict) and "role" in one else one for one in given]
