"""Input items as a client writes them, the long way and the short way."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from prompts.api.wire.ids import COMPACTION_TRIGGER, REFERENCE
from prompts.api.wire.parts import InputPart, SummaryTextPart
from prompts.api.wire.unknown import Unknown
from prompts.domain.item_kinds import KINDS_BY_TYPE
from prompts.domain.items import Phase, Role, ShellAction
from prompts.ports.sealing import SealKind

MAX_INPUT_ITEMS = 5_000  # docs/api.md, "Limits"
# Of POST /conversations and …/items. OpenAI takes 20, but its own Agents SDK sends a whole run at once.
MAX_ITEMS_A_CALL = 1_000

Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
CallId = Annotated[str, Meta(min_length=1, max_length=64)]
# OpenAI's rule for the names of functions and schemas.
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# Python's `$` also stands before a line break at the end; JavaScript's, which JSON Schema means, does not.
Name = Annotated[
    str,
    Meta(pattern=rf"\A{NAME.pattern}\Z", extra_json_schema={"pattern": f"^{NAME.pattern}$"}),
]
Namespace = Annotated[str, Meta(min_length=1, max_length=128)]


class ShellActionParam(ShellAction, frozen=True, tag="exec", forbid_unknown_fields=True):
    """A command, as in a history; what is not known of it is named."""


if TYPE_CHECKING:  # mypy knows no types that are computed
    InputItemType: TypeAlias = str
else:
    InputItemType = Literal[(*KINDS_BY_TYPE, REFERENCE, COMPACTION_TRIGGER)]

Unseal: TypeAlias = Callable[[SealKind, str, str], None]
"""Told a sealed text's kind, the text and its place; raises InvalidEncryptedContent for a seal that does not open."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends items: what they may unseal, and what of theirs is left out."""

    unseal: Unseal
    unknown: Unknown


class CommonFields(Struct, forbid_unknown_fields=True):
    """The fields of items that have one type wherever they stand, and those that code names.

    The order, and a null where one stands, are part of the hash by which a retry is known: new fields are unset.
    """

    type: InputItemType = "message"
    role: Role | UnsetType = UNSET
    content: str | list[InputPart] | UnsetType | None = UNSET
    id: str | None = None
    status: Any = None
    phase: Phase | None = None
    call_id: CallId | UnsetType | None = UNSET
    name: Any = UNSET
    arguments: Any = UNSET
    output: Any = UNSET
    summary: list[SummaryTextPart] | UnsetType = UNSET
    encrypted_content: str | UnsetType | None = UNSET


class InputItem(CommonFields, forbid_unknown_fields=True):
    """One item: a message, a call, what it gave, a thought, a compaction, or a reference to a stored item.

    `type` may be left out of a message and of a reference. An `item_reference` has the `id` of any stored item of the
    owner's; every other item's own `id` or `status` is accepted and replaced by ours.
    """


if not TYPE_CHECKING:  # the fields of all other kinds, as the table has them
    InputItem = msgspec.defstruct(
        "InputItem",
        [
            (name, Any, UNSET)
            for name in dict.fromkeys(name for kind in KINDS_BY_TYPE.values() for name in kind.fields)
            if name not in CommonFields.__struct_fields__
        ],
        bases=(CommonFields,),
        namespace={"__doc__": InputItem.__doc__},
        module=__name__,
        forbid_unknown_fields=True,
    )
