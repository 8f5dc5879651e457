"""Input items as a client writes them, the long way and the short way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from prompts.api.wire.parts import (
    GivenInputPart,
    InputPart,
    ReasoningTextPart,
    SummaryTextPart,
    missing,
    read_content,
    read_given,
)
from prompts.domain.ids import ITEMS, is_well_formed
from prompts.domain.items import (
    Compaction,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Phase,
    Reasoning,
    ReasoningText,
    Role,
    SummaryText,
)
from prompts.errors import InvalidRequest, UnknownCall, unknown_item
from prompts.ports.sealing import SealKind
from prompts.usecases.responses import StoredItem

MAX_INPUT_ITEMS = 5_000  # API.md: "more than 5,000 input items"
MAX_ITEMS_A_CALL = 20  # OpenAI's limit for POST /conversations and …/items

Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
CallId = Annotated[str, Meta(min_length=1, max_length=64)]
# OpenAI's rule for the names of functions and schemas.
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]

Unseal: TypeAlias = Callable[[SealKind, str, str], None]
"""Told a sealed text's kind, the text and its place; raises InvalidRequest when the seal is not ours, or not theirs."""


class InputItem(Struct, forbid_unknown_fields=True):
    """One item: a message, a function call, what it gave, a thought, a compaction, or a reference to a stored item.

    `type` may be left out of a message. An `item_reference` has the `id` of any stored item of the owner's; every other
    item's own `id` or `status` is accepted and replaced by ours.
    """

    type: Literal["message", "function_call", "function_call_output", "reasoning", "compaction", "item_reference"] = (
        "message"
    )
    role: Role | UnsetType = UNSET
    content: str | list[InputPart] | UnsetType | None = UNSET
    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    phase: Phase | None = None
    call_id: CallId | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    output: str | list[GivenInputPart] | UnsetType = UNSET
    summary: list[SummaryTextPart] | UnsetType = UNSET
    encrypted_content: str | UnsetType | None = UNSET


# What each kind of item is made of, beside `type`, `id` and `status`.
ITEM_FIELDS: dict[str, tuple[str, ...]] = {
    "message": ("role", "content", "phase"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "reasoning": ("summary", "content", "encrypted_content"),
    "compaction": ("encrypted_content",),
    "item_reference": (),
}
OPTIONAL_FIELDS = ("phase", "encrypted_content")
_ALL = tuple(dict.fromkeys(name for names in ITEM_FIELDS.values() for name in names))


def read_items(items: Sequence[InputItem], *, param: str, unseal: Unseal) -> list[Item | StoredItem]:
    """What the client means; ids are still to be given. Raises InvalidRequest for what its type or role cannot hold."""
    return [_read_item(item, f"{param}[{index}]", unseal) for index, item in enumerate(items)]


def read_input(given: str | Sequence[InputItem] | None, *, unseal: Unseal) -> Sequence[Item | StoredItem]:
    """What the `input` of a body means; a string is one user message. Raises InvalidRequest."""
    if given is None or isinstance(given, str):
        return [] if given is None else [user_message(given)]
    return read_items(given, param="input", unseal=unseal)


def user_message(text: str) -> Item:
    """A string input is one user message."""
    return Message(id="", status="completed", role="user", content=read_content("user", text, ""))


@contextmanager
def placing_calls(items: str | Sequence[InputItem] | None, *, param: str) -> Iterator[None]:
    """Say where the output stands of a call that nobody made."""
    try:
        yield
    except UnknownCall as error:
        given = () if isinstance(items, str) else items or ()
        index = next((index for index, item in enumerate(given) if item.call_id == error.call_id), 0)
        raise UnknownCall(error.call_id, param=f"{param}[{index}].call_id") from None


def _read_item(item: InputItem, param: str, unseal: Unseal) -> Item | StoredItem:
    _check_fields(item, param)
    match item.type:
        case "item_reference":
            return _read_reference(item, param)
        case "message":
            return _read_message(item, param)
        case "function_call":
            return _read_call(item)
        case "function_call_output":
            return _read_output(item, param)
        case "reasoning":
            return _read_reasoning(item, param, unseal)
        case "compaction":
            return _read_compaction(item, param, unseal)


def _check_fields(item: InputItem, param: str) -> None:
    own = ITEM_FIELDS[item.type]
    for name in _ALL:
        value = getattr(item, name)
        if name not in own and value is not UNSET and value is not None:
            raise InvalidRequest(
                f"Unknown parameter: '{param}.{name}'. An item of the type '{item.type}' has none.",
                param=f"{param}.{name}",
            )
        is_needed = name in own and name not in OPTIONAL_FIELDS and (item.type, name) != ("reasoning", "content")
        if is_needed and value is UNSET:
            raise missing(f"{param}.{name}")


def _read_reference(item: InputItem, param: str) -> StoredItem:
    if item.id is None:
        raise missing(f"{param}.id")
    if not any(is_well_formed(item.id, kind) for kind in ITEMS):
        raise unknown_item(item.id, param=f"{param}.id")
    return StoredItem(item.id, param=f"{param}.id")


def _read_message(item: InputItem, param: str) -> Message:
    assert item.role is not UNSET
    if item.content is None or item.content is UNSET:
        raise missing(f"{param}.content")
    content = read_content(item.role, item.content, f"{param}.content")
    if item.phase is not None and item.role != "assistant":
        message = f"Invalid '{param}.phase': only an 'assistant' message has a phase."
        raise InvalidRequest(message, param=f"{param}.phase")
    return Message(id="", status="completed", role=item.role, content=content, phase=item.phase or UNSET)


def _read_call(item: InputItem) -> FunctionCall:
    assert item.call_id is not UNSET
    assert item.name is not UNSET
    assert item.arguments is not UNSET
    return FunctionCall("", "completed", item.call_id, item.name, item.arguments)


def _read_output(item: InputItem, param: str) -> FunctionCallOutput:
    assert item.call_id is not UNSET
    assert item.output is not UNSET
    output = item.output if isinstance(item.output, str) else read_given(item.output, f"{param}.output")
    return FunctionCallOutput("", "completed", item.call_id, output)


def _read_reasoning(item: InputItem, param: str, unseal: Unseal) -> Reasoning:
    assert item.summary is not UNSET
    content = [] if item.content is UNSET or item.content is None else item.content
    for index, part in enumerate(content):
        if not isinstance(part, ReasoningTextPart):
            place = f"{param}.content[{index}].type"
            raise InvalidRequest(f"Invalid '{place}': a thought holds 'reasoning_text' only.", param=place)
    if item.encrypted_content:
        unseal("reasoning", item.encrypted_content, f"{param}.encrypted_content")
    return Reasoning(
        id="",
        status="completed",
        summary=[SummaryText(part.text) for part in item.summary],
        content=[ReasoningText(part.text) for part in content if isinstance(part, ReasoningTextPart)] or UNSET,
        encrypted_content=item.encrypted_content or UNSET,
    )


def _read_compaction(item: InputItem, param: str, unseal: Unseal) -> Compaction:
    if item.encrypted_content is UNSET or item.encrypted_content is None:
        raise missing(f"{param}.encrypted_content")
    unseal("compaction", item.encrypted_content, f"{param}.encrypted_content")
    return Compaction("", item.encrypted_content)
