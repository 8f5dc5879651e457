"""Reading input items: each kind by the table of kinds, field by field."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, TypeAlias, cast, get_args, get_type_hints

from msgspec import UNSET, UnsetType

from prompts.api.wire.ids import COMPACTION_TRIGGER, REFERENCE
from prompts.api.wire.items import CallId, CommonFields, InputItem, Name, Namespace, Sender, ShellActionParam
from prompts.api.wire.parts import GivenInputPart, InputPart, ReasoningTextPart, missing, read_content, read_given
from prompts.api.wire.shapes import convert
from prompts.api.wire.unknown import Unknown
from prompts.domain.item_kinds import KINDS_BY_TYPE, ItemKind, is_item_id
from prompts.domain.items import (
    GivenPart,
    InputText,
    Item,
    ItemStatus,
    Message,
    Part,
    Phase,
    ReasoningText,
    SummaryText,
)
from prompts.domain.nesting import MAX_DEPTH, is_too_deep
from prompts.errors import InvalidEncryptedContent, InvalidRequest, UnknownCall, unknown_item
from prompts.ports.sealing import SealKind
from prompts.usecases.items import StoredItem


def read_items(items: Sequence[InputItem], *, param: str, sender: Sender) -> list[Item | StoredItem]:
    """What the client means; ids are still to be given. Raises InvalidRequest for what its type or role cannot hold."""
    return [_read_item(item, f"{param}[{index}]", sender) for index, item in enumerate(items)]


def read_input(given: str | Sequence[InputItem] | UnsetType | None, *, sender: Sender) -> Sequence[Item | StoredItem]:
    """What the `input` of a body means; a string is one user message. Raises InvalidRequest."""
    if given is None or given is UNSET:
        return []
    if isinstance(given, str):
        return [user_message(given)]
    return read_items(given, param="input", sender=sender)


def split_trigger(
    given: str | Sequence[InputItem] | UnsetType | None,
) -> tuple[str | Sequence[InputItem] | UnsetType | None, bool]:
    """The input of a response without the item that asks for a compaction, and whether it was there.

    Anywhere but at the end it is refused when the items are read.
    """
    if not given or isinstance(given, str) or given[-1].type != COMPACTION_TRIGGER:
        return given, False
    return given[:-1], True


def user_message(text: str) -> Item:
    """A string input is one user message."""
    return Message(id="", status="completed", role="user", content=[InputText(text)])


def place_call(error: UnknownCall, items: str | Sequence[InputItem] | UnsetType | None, *, param: str) -> UnknownCall:
    """The error that says where the output stands of a call that nobody made."""
    given = () if isinstance(items, str) else items or ()
    index = next((index for index, item in enumerate(given) if item.call_id == error.call_id), 0)
    return UnknownCall(error.call_id, param=f"{param}[{index}].call_id")


# Told the item, the field's place and its sender; gives the field's value.
_FieldReader: TypeAlias = Callable[[InputItem, str, Sender], Any]


class ItemReader:
    """Reads the items of one kind."""

    def __init__(self, kind: ItemKind[Any]) -> None:
        self._kind = kind
        self._given_here = {"id": ""} if "id" in kind.struct.__struct_fields__ else {}
        self._has_status = "status" in kind.struct.__struct_fields__
        self._fields = [(name, name in kind.needed, _find_reader(kind, name)) for name in kind.fields]
        self._foreign = _Foreign((*kind.fields, *_EVERYWHERE))
        self._statuses = (*get_args(ItemStatus), *_OTHER_STATUSES.get(kind.type, ()))

    def read(self, item: InputItem, param: str, sender: Sender) -> Item:
        """What the client means. An optional field that is empty is left out. Raises InvalidRequest."""
        self._foreign.name(item, param, sender.unknown)
        values: dict[str, Any] = dict(self._given_here)
        if self._has_status:
            values["status"] = self._read_status(item, f"{param}.status")
        for name, is_needed, read_field in self._fields:
            value = getattr(item, name)
            if value is None or value is UNSET:
                if name == "call_id" and self._kind.may_have_id_as_call_id:
                    value = _get_id_as_call_id(item, param)
                elif is_needed:
                    raise missing(f"{param}.{name}")
                else:
                    continue
                values[name] = value
            elif value or is_needed or self._kind.is_record:
                values[name] = value if read_field is None else read_field(item, f"{param}.{name}", sender)
        return cast(Item, self._kind.struct(**values))

    def _read_status(self, item: InputItem, param: str) -> str:
        """Ours is `completed`; a record of another server's tool keeps the status it has."""
        if self._kind.is_record:
            return item.status if isinstance(item.status, str) else "completed"
        if item.status is not None and item.status not in self._statuses:
            raise InvalidRequest(f"Invalid '{param}': must be 'in_progress', 'completed' or 'incomplete'.", param=param)
        return "completed"


def get_field_type(kind: ItemKind[Any], name: str) -> Any:
    """The type of one field of a kind on the wire."""
    if (kind.type, name) in _OWN_TYPES:
        return _OWN_TYPES[kind.type, name]
    if name in _TYPES and not kind.is_record:
        return _TYPES[name]
    common = get_type_hints(CommonFields, include_extras=True).get(name, Any)
    return get_type_hints(kind.struct, include_extras=True)[name] if common is Any else common


def _find_reader(kind: ItemKind[Any], name: str) -> _FieldReader | None:
    """What reads the field; None where the struct's own type has said all there is to say."""
    if name in _FIELD_READERS and not kind.is_record:
        return _FIELD_READERS[name]
    wanted = get_field_type(kind, name)
    if kind.is_record or name in _DECODED:
        return None

    def read(item: InputItem, param: str, sender: Sender) -> Any:
        value = convert(getattr(item, name), wanted, param, sender.unknown)
        if name == "arguments":
            _refuse_deep(value, param)
        return value

    return read


def _read_item(item: InputItem, param: str, sender: Sender) -> Item | StoredItem:
    if item.type == REFERENCE or _is_bare_reference(item):
        return _read_reference(item, param, sender)
    if item.type == COMPACTION_TRIGGER:
        message = f"Invalid '{param}.type': a compaction_trigger may only be the last item of a response's input."
        raise InvalidRequest(message, param=f"{param}.type")
    return _READERS[item.type].read(item, param, sender)


def _is_bare_reference(item: InputItem) -> bool:
    """Whether it is a reference whose type was left out."""
    is_empty = item.type == "message" and item.role is UNSET and item.content is UNSET
    return is_empty and item.id is not None and is_item_id(item.id)


class _Foreign:
    """The fields of items that do not belong to one kind."""

    def __init__(self, own: Sequence[str]) -> None:
        self._names = [name for name in InputItem.__struct_fields__ if name not in own]
        self._pick = attrgetter(*self._names)  # dozens, of which an item has none: a loop would be dear

    def name(self, item: InputItem, param: str, unknown: Unknown) -> None:
        """Name those that the item has."""
        values = self._pick(item)
        if values.count(UNSET) + values.count(None) == len(values):
            return
        for name, value in zip(self._names, values, strict=True):
            if value is not UNSET and value is not None:
                unknown.leave_out(f"{param}.{name}", "item_field")


def _read_reference(item: InputItem, param: str, sender: Sender) -> StoredItem:
    _FOREIGN_TO_REFERENCE.name(item, param, sender.unknown)
    if item.id is None:
        raise missing(f"{param}.id")
    if not is_item_id(item.id):
        raise unknown_item(item.id, param=f"{param}.id")
    return StoredItem(item.id, param=f"{param}.id")


def _get_id_as_call_id(item: InputItem, param: str) -> str:
    if not item.id:
        raise missing(f"{param}.call_id")
    return str(convert(item.id, CallId, f"{param}.id", Unknown()))


def _read_content(item: InputItem, param: str, sender: Sender) -> list[Part] | list[ReasoningText]:
    assert item.content is not UNSET
    assert item.content is not None
    if item.type == "reasoning":
        return list(_read_thoughts(item.content, param))
    if item.role is UNSET:
        raise missing(f"{param.removesuffix('.content')}.role")
    return read_content(item.role, item.content, param, sender.unknown.rules.media_hosts)


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


def _read_output(item: InputItem, param: str, sender: Sender) -> str | list[GivenPart]:
    if isinstance(item.output, str):
        return item.output
    if item.type == "local_shell_call_output":
        return cast(str, convert(item.output, str, param, sender.unknown))
    given = convert(item.output, _OUTPUT, param, sender.unknown)
    return read_given(given, param, sender.unknown.rules.media_hosts)


def _refuse_deep(arguments: Any, param: str) -> None:
    """What a model server cannot read would make it fail at every later turn as well."""
    if isinstance(arguments, str) and is_too_deep(arguments):
        message = f"Invalid '{param}': it is nested more than {MAX_DEPTH} levels deep. Send it flatter."
        raise InvalidRequest(message, param=param)


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


# What OpenAI's reference knows besides, of a kind that is no record.
_OTHER_STATUSES = {"file_search_call": ("searching", "failed")}
_EVERYWHERE = ("type", "id", "status")
_OUTPUT = str | list[GivenInputPart]
# Types that are narrower on the wire than in a history.
_TYPES: dict[str, Any] = {"name": Name, "namespace": Namespace}
_OWN_TYPES: dict[tuple[str, str], Any] = {
    ("function_call_output", "output"): _OUTPUT,
    ("custom_tool_call_output", "output"): _OUTPUT,
    ("local_shell_call", "action"): ShellActionParam,
}
# Fields whose type is checked when the body is decoded.
_DECODED = tuple(name for name, hint in get_type_hints(CommonFields).items() if hint is not Any)
# Fields that are not taken as they are.
_FIELD_READERS: dict[str, _FieldReader] = {
    "content": _read_content,
    "phase": _read_phase,
    "output": _read_output,
    "summary": _read_summary,
    "encrypted_content": _read_sealed,
}
_READERS = {name: ItemReader(kind) for name, kind in KINDS_BY_TYPE.items()}
_FOREIGN_TO_REFERENCE = _Foreign(_EVERYWHERE)
