"""Input items as a client writes them, the long way and the short way."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

from msgspec import UNSET, Meta, Struct, UnsetType

from prompts.api.wire.ids import REFERENCE
from prompts.api.wire.parts import (
    GivenInputPart,
    InputPart,
    ReasoningTextPart,
    SummaryTextPart,
    missing,
    read_content,
    read_given,
)
from prompts.api.wire.unknown import Unknown
from prompts.domain.item_kinds import TAKEN_KINDS, ItemKind, is_item_id
from prompts.domain.items import GivenPart, Item, Message, Part, Phase, ReasoningText, Role, SummaryText
from prompts.errors import InvalidEncryptedContent, InvalidRequest, UnknownCall, unknown_item
from prompts.ports.sealing import SealKind
from prompts.usecases.items import StoredItem

MAX_INPUT_ITEMS = 5_000  # docs/api.md, "Limits"
# Of POST /conversations and …/items. OpenAI takes 20, but its own Agents SDK sends a whole run at once.
MAX_ITEMS_A_CALL = 1_000

Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
CallId = Annotated[str, Meta(min_length=1, max_length=64)]
# OpenAI's rule for the names of functions and schemas.
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]

if TYPE_CHECKING:  # mypy knows no types that are computed
    InputItemType: TypeAlias = str
else:
    InputItemType = Literal[(*TAKEN_KINDS, REFERENCE)]

Unseal: TypeAlias = Callable[[SealKind, str, str], None]
"""Told a sealed text's kind, the text and its place; raises InvalidEncryptedContent for a seal that does not open."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends items: what they may unseal, and what of theirs is left out."""

    unseal: Unseal
    unknown: Unknown


class InputItem(Struct, forbid_unknown_fields=True):
    """One item: a message, a function call, what it gave, a thought, a compaction, or a reference to a stored item.

    `type` may be left out of a message. An `item_reference` has the `id` of any stored item of the owner's; every other
    item's own `id` or `status` is accepted and replaced by ours.
    """

    type: InputItemType = "message"
    role: Role | UnsetType = UNSET
    content: str | list[InputPart] | UnsetType | None = UNSET
    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    phase: Phase | None = None
    call_id: CallId | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    namespace: str | None = None
    arguments: str | UnsetType = UNSET
    output: str | list[GivenInputPart] | UnsetType = UNSET
    summary: list[SummaryTextPart] | UnsetType = UNSET
    encrypted_content: str | UnsetType | None = UNSET


def read_items(items: Sequence[InputItem], *, param: str, sender: Sender) -> list[Item | StoredItem]:
    """What the client means; ids are still to be given. Raises InvalidRequest for what its type or role cannot hold."""
    return [_read_item(item, f"{param}[{index}]", sender) for index, item in enumerate(items)]


def read_input(given: str | Sequence[InputItem] | None, *, sender: Sender) -> Sequence[Item | StoredItem]:
    """What the `input` of a body means; a string is one user message. Raises InvalidRequest."""
    if given is None or isinstance(given, str):
        return [] if given is None else [user_message(given)]
    return read_items(given, param="input", sender=sender)


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


# For each field: its name, whether an item of the kind has it, and whether it must be there.
_Rules: TypeAlias = Sequence[tuple[str, bool, bool]]
# Told the item, the field's place and its sender; gives the field's value.
_FieldReader: TypeAlias = Callable[[InputItem, str, Sender], Any]


class ItemReader:
    """Reads the items of one kind."""

    def __init__(self, kind: ItemKind[Any]) -> None:
        self._struct = kind.struct
        self._rules = _compose_rules(kind.fields, kind.needed)
        self._fields = [(name, name in kind.needed, _FIELD_READERS.get(name)) for name in kind.fields]
        given_here = {"id": "", "status": "completed"}
        self._given_here = {name: given_here[name] for name in kind.struct.__struct_fields__ if name in given_here}

    def read(self, item: InputItem, param: str, sender: Sender) -> Item:
        """What the client means. An optional field that is empty is left out. Raises InvalidRequest."""
        _check_fields(item, param, self._rules, sender.unknown)
        values: dict[str, Any] = dict(self._given_here)
        for name, is_needed, read_field in self._fields:
            value = getattr(item, name)
            if is_needed and (value is None or value is UNSET):
                raise missing(f"{param}.{name}")
            if value or is_needed:
                values[name] = value if read_field is None else read_field(item, f"{param}.{name}", sender)
        return cast(Item, self._struct(**values))


def _read_item(item: InputItem, param: str, sender: Sender) -> Item | StoredItem:
    if item.type == REFERENCE:
        return _read_reference(item, param, sender)
    return _READERS[item.type].read(item, param, sender)


def _compose_rules(own: Sequence[str], needed: Sequence[str]) -> _Rules:
    names = [name for name in InputItem.__struct_fields__ if name not in ("type", "id", "status")]
    return [(name, name in own, name in needed) for name in names]


def _check_fields(item: InputItem, param: str, rules: _Rules, unknown: Unknown) -> None:
    for name, is_own, is_needed in rules:
        value = getattr(item, name)
        if value is UNSET:
            if is_needed:
                raise missing(f"{param}.{name}")
        elif not is_own and value is not None:
            unknown.leave_out(f"{param}.{name}", "item_field")


def _read_reference(item: InputItem, param: str, sender: Sender) -> StoredItem:
    _check_fields(item, param, _REFERENCE_RULES, sender.unknown)
    if item.id is None:
        raise missing(f"{param}.id")
    if not is_item_id(item.id):
        raise unknown_item(item.id, param=f"{param}.id")
    return StoredItem(item.id, param=f"{param}.id")


def _read_content(item: InputItem, param: str, _: Sender) -> list[Part] | list[ReasoningText]:
    assert item.content is not UNSET
    assert item.content is not None
    if item.type == "reasoning":
        return list(_read_thoughts(item.content, param))
    assert item.role is not UNSET
    return read_content(item.role, item.content, param)


def _read_thoughts(content: str | Sequence[InputPart], param: str) -> Iterator[ReasoningText]:
    for index, part in enumerate(content):
        if not isinstance(part, ReasoningTextPart):
            place = f"{param}[{index}].type"
            raise InvalidRequest(f"Invalid '{place}': a thought holds 'reasoning_text' only.", param=place)
        yield ReasoningText(part.text)


def _read_phase(item: InputItem, param: str, _: Sender) -> Phase | None:
    if item.role != "assistant":
        raise InvalidRequest(f"Invalid '{param}': only an 'assistant' message has a phase.", param=param)
    return item.phase


def _read_output(item: InputItem, param: str, _: Sender) -> str | list[GivenPart]:
    assert item.output is not UNSET
    return item.output if isinstance(item.output, str) else read_given(item.output, param)


def _read_summary(item: InputItem, _param: str, _: Sender) -> list[SummaryText]:
    assert item.summary is not UNSET
    return [SummaryText(part.text) for part in item.summary]


def _read_sealed(item: InputItem, param: str, sender: Sender) -> str | UnsetType:
    """The seal; that of a thought which others have sealed is left out, because nobody here can read it."""
    assert isinstance(item.encrypted_content, str)
    try:
        sender.unseal(cast(SealKind, item.type), item.encrypted_content, param)
    except InvalidEncryptedContent:
        if item.type != "reasoning" or sender.unknown.rules.is_strict:
            raise
        sender.unknown.leave_out(param, "item_field")
        return UNSET
    return item.encrypted_content


# Fields that are not taken as they are.
_FIELD_READERS: dict[str, _FieldReader] = {
    "content": _read_content,
    "phase": _read_phase,
    "output": _read_output,
    "summary": _read_summary,
    "encrypted_content": _read_sealed,
}
_READERS = {name: ItemReader(kind) for name, kind in TAKEN_KINDS.items()}
_REFERENCE_RULES = _compose_rules((), ())
