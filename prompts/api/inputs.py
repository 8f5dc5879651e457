"""Input items as a client writes them: messages with text, the long way and the short way."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from prompts.domain import InputText, OutputText, Part, Refusal, Role
from prompts.errors import InvalidRequest
from prompts.responses import NewMessage

MAX_INPUT_ITEMS = 5_000  # API.md: "more than 5,000 input items"
MAX_ITEMS_A_CALL = 20  # OpenAI's limit for POST /conversations and …/items

Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]


class InputTextPart(Struct, tag_field="type", tag="input_text", forbid_unknown_fields=True):
    """Text from a person or a program."""

    text: str


class OutputTextPart(Struct, tag_field="type", tag="output_text", forbid_unknown_fields=True):
    """Text a model wrote earlier, as it was received; what was noted beside it is not sent to the model again."""

    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class RefusalPart(Struct, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    """A model's earlier refusal."""

    refusal: str


class InputMessage(Struct, tag_field="type", tag="message", forbid_unknown_fields=True):
    """A message; `type` may be left out. A given `id` or `status` is accepted and replaced by ours."""

    role: Role
    content: str | list[InputTextPart | OutputTextPart | RefusalPart]
    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    phase: None = None  # not built yet; the SDK's own dumps of an item hold it as null


def read_messages(messages: Sequence[InputMessage], *, param: str) -> list[NewMessage]:
    """What the client means. Raises InvalidRequest for a part its role cannot hold."""
    return [_read_message(message, f"{param}[{index}]") for index, message in enumerate(messages)]


def _read_message(message: InputMessage, param: str) -> NewMessage:
    if isinstance(message.content, str):
        return NewMessage(message.role, [_text(message.role, message.content)])
    parts = [_read_part(message.role, part, f"{param}.content[{i}]") for i, part in enumerate(message.content)]
    return NewMessage(message.role, parts)


def _read_part(role: Role, part: InputTextPart | OutputTextPart | RefusalPart, param: str) -> Part:
    if isinstance(part, InputTextPart):
        return _text(role, part.text)  # clients write an assistant's earlier words either way
    if role != "assistant":
        kind = "output_text" if isinstance(part, OutputTextPart) else "refusal"
        message = f"Invalid '{param}.type': only an 'assistant' message can hold '{kind}'. Use 'input_text'."
        raise InvalidRequest(message, param=f"{param}.type")
    return Refusal(part.refusal) if isinstance(part, RefusalPart) else OutputText(part.text)


def _text(role: Role, text: str) -> Part:
    return OutputText(text) if role == "assistant" else InputText(text)
