"""Input items as a client writes them: messages with text, the long way and the short way."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from prompts.domain import InputText, OutputText, Part, Refusal, Role
from prompts.errors import InvalidRequest, unknown_item
from prompts.ids import MESSAGE, is_well_formed
from prompts.responses import NewMessage, StoredItem

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


class InputItem(Struct, forbid_unknown_fields=True):
    """A message, or with `type: "item_reference"` and its `id` a stored item of the owner's.

    `type` may be left out of a message. A message's own `id` or `status` is accepted and replaced by ours.
    """

    type: Literal["message", "item_reference"] = "message"
    role: Role | UnsetType = UNSET
    content: str | list[InputTextPart | OutputTextPart | RefusalPart] | UnsetType = UNSET
    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    phase: None = None  # not built yet; the SDK's own dumps of an item hold it as null


def read_items(items: Sequence[InputItem], *, param: str) -> list[NewMessage | StoredItem]:
    """What the client means. Raises InvalidRequest for what its type or role cannot hold."""
    return [_read_item(item, f"{param}[{index}]") for index, item in enumerate(items)]


def _read_item(item: InputItem, param: str) -> NewMessage | StoredItem:
    if item.type == "item_reference":
        return _read_reference(item, param)
    if item.role is UNSET:
        raise _missing(f"{param}.role")
    if item.content is UNSET:
        raise _missing(f"{param}.content")
    role, content = item.role, item.content
    if isinstance(content, str):
        return NewMessage(role, [_text(role, content)])
    return NewMessage(role, [_read_part(role, part, f"{param}.content[{i}]") for i, part in enumerate(content)])


def _read_reference(item: InputItem, param: str) -> StoredItem:
    if item.role is not UNSET or item.content is not UNSET:
        message = f"Invalid '{param}': an item_reference has an 'id' and nothing else."
        raise InvalidRequest(message, param=param)
    if item.id is None:
        raise _missing(f"{param}.id")
    if not is_well_formed(item.id, MESSAGE):
        raise unknown_item(item.id, param=f"{param}.id")
    return StoredItem(item.id)


def _missing(param: str) -> InvalidRequest:
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param)


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
