"""The kinds of items: what the service has to know of each, in one table.

A new kind is its struct in `prompts.domain.items`, its entry here, and a case in each of the two modules that put items
into a model's protocol. Its fields on the wire follow from the entry (`prompts.api.wire.item_reader`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from msgspec import Struct

from prompts.domain import hosted_records as hosted
from prompts.domain import ids
from prompts.domain.item_words import write_json, write_record, write_tools
from prompts.domain.items import (
    AdditionalTools,
    Compaction,
    CustomToolCall,
    CustomToolCallOutput,
    FileSearchCall,
    FunctionCall,
    FunctionCallOutput,
    Item,
    LocalShellCall,
    LocalShellCallOutput,
    Message,
    Part,
    Reasoning,
    ReasoningText,
    Role,
    SummaryText,
    ToolSearchCall,
    ToolSearchOutput,
)
from prompts.domain.kept_thoughts import measure_kept

Speaker: TypeAlias = Literal["model", "person", "program"]
Size: TypeAlias = tuple[int, Sequence[Part]]
"""How many characters of text, and the parts that are estimated one by one."""
Body: TypeAlias = str | Sequence[Part | ReasoningText | SummaryText]
"""Code or data as it is, or parts."""

AnyItem = TypeVar("AnyItem", bound=Struct)

_ROLE_SPEAKERS: dict[Role, Speaker] = {
    "user": "person",
    "assistant": "model",
    "system": "program",
    "developer": "program",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemKind(Generic[AnyItem]):
    """One kind of item.

    `needed` and `optional` are its fields on the wire besides `type`, `id` and `status`, in the order in which they are
    checked. A field without a value of its own there has the struct's default.
    """

    struct: type[AnyItem]
    id_prefix: str
    said_by: Speaker | Callable[[AnyItem], Speaker]
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    pairing: Literal["call", "output"] | None = None
    """A call must have an output with its `call_id` before a model is asked again.

    Which kind the output is does not matter: agents answer a `local_shell_call` with a `function_call_output`.
    """
    may_have_id_as_call_id: bool = False
    """Whether its `id` is the call's when it has no `call_id`."""
    is_hidden: bool = False
    """Whether `GET /responses/{id}/input_items` leaves it out."""
    size: Callable[[AnyItem], Size]
    """What the estimate of its tokens is made from."""
    body: Callable[[AnyItem], Body | None]
    """What a person, or a model that sums up, is shown of it; None when nothing of it can be read."""
    name: Callable[[AnyItem], str] = lambda _: ""
    """The name that its titles hold; of an output, when its call is unknown."""
    transcript_title: str | None
    """Stands above the body in the transcript of which a summary is made; None leaves the item out."""
    export_title: str
    """Stands above the body in an export, for people."""
    joint: str = "\n"
    """Stands between the parts of the body in a transcript."""

    @property
    def type(self) -> str:
        """The value of `type` on the wire."""
        return str(self.struct.__struct_config__.tag)

    @property
    def is_record(self) -> bool:
        """Whether it only records what another server's tool did: its fields and its status are kept as they came."""
        return issubclass(self.struct, hosted.HostedRecord)

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields on the wire besides `type`, `id` and `status`."""
        return (*self.needed, *self.optional)


ItemKinds: TypeAlias = Mapping[type[Struct], ItemKind[Any]]
"""Kinds by their structs."""


def index_kinds(*kinds: ItemKind[Any]) -> dict[type[Struct], ItemKind[Any]]:
    """A table of these kinds."""
    return {kind.struct: kind for kind in kinds}


def _measure_output(item: FunctionCallOutput | CustomToolCallOutput) -> Size:
    return (len(item.output), ()) if isinstance(item.output, str) else (0, item.output)


def _list_thoughts(item: Reasoning) -> list[ReasoningText | SummaryText]:
    return [*item.summary, *(item.content or ())]


def _describe_record(
    struct: type[hosted.HostedRecord], id_prefix: str, said_by: Speaker, transcript_title: str | None, export_title: str
) -> ItemKind[Any]:
    """A kind of record of a hosted tool."""
    own = tuple(name for name in struct.__struct_fields__ if name not in ("id", "status"))
    return ItemKind(
        struct=struct,
        id_prefix=id_prefix,
        said_by=said_by,
        needed=(),
        optional=own,
        size=lambda item: (len(write_record(item) or ""), ()),
        body=lambda item: write_record(item) or (),
        transcript_title=transcript_title,
        export_title=export_title,
    )


ITEM_KINDS: ItemKinds = index_kinds(
    ItemKind(
        struct=Message,
        id_prefix=ids.MESSAGE,
        said_by=lambda item: _ROLE_SPEAKERS[item.role],
        needed=("role", "content"),
        optional=("phase",),
        size=lambda item: (0, item.content),
        body=lambda item: item.content,
        name=lambda item: item.role,
        transcript_title="{name}",
        export_title="{name}",
    ),
    ItemKind(
        struct=FunctionCall,
        id_prefix=ids.FUNCTION_CALL,
        said_by="model",
        needed=("call_id", "name", "arguments"),
        optional=("namespace",),
        pairing="call",
        size=lambda item: (len(item.name) + len(item.arguments) + measure_kept(item), ()),
        body=lambda item: item.arguments,
        name=lambda item: item.name,
        transcript_title="the assistant calls {name}",
        export_title="Called {name}",
    ),
    ItemKind(
        struct=FunctionCallOutput,
        id_prefix="fco",
        said_by="program",
        needed=("call_id", "output"),
        pairing="output",
        size=_measure_output,
        body=lambda item: item.output,
        name=lambda _: "the function",
        transcript_title="{name} returns",
        export_title="It gave",
    ),
    ItemKind(
        struct=Reasoning,
        id_prefix=ids.REASONING,
        said_by="model",
        needed=("summary",),
        optional=("content", "encrypted_content"),
        # A seal is what goes back of a thought that was not shown.
        size=lambda item: (
            sum(len(part.text) for part in _list_thoughts(item)) or len(item.encrypted_content or ""),
            (),
        ),
        body=lambda item: _list_thoughts(item) or None,  # some are sealed as a whole
        transcript_title="the assistant thinks",
        export_title="Thought",
        joint="",
    ),
    ItemKind(
        struct=FileSearchCall,
        id_prefix=ids.FILE_SEARCH_CALL,
        said_by="model",
        needed=("queries",),
        optional=("results",),
        size=lambda item: (sum(map(len, item.queries)), ()),
        body=lambda item: "\n".join(item.queries) or None,
        transcript_title="the assistant searches the files",
        export_title="Searched the files",
    ),
    ItemKind(
        struct=Compaction,
        id_prefix=ids.COMPACTION,
        said_by="program",
        needed=("encrypted_content",),
        is_hidden=True,
        # A seal is deflated, which halves prose, and base64, which adds a third: two of its characters stand for three.
        size=lambda item: (len(item.encrypted_content) * 3 // 2, ()),
        body=lambda _: (),
        transcript_title=None,  # the transcript has its notes instead
        export_title="What was said before was summed up for the model",
    ),
    ItemKind(
        struct=CustomToolCall,
        id_prefix=ids.CUSTOM_TOOL_CALL,
        said_by="model",
        needed=("call_id", "name", "input"),
        optional=("namespace",),
        pairing="call",
        size=lambda item: (len(item.name) + len(item.input) + measure_kept(item), ()),
        body=lambda item: item.input,
        name=lambda item: item.name,
        transcript_title="the assistant calls {name}",
        export_title="Called {name}",
    ),
    ItemKind(
        struct=CustomToolCallOutput,
        id_prefix="ctco",
        said_by="program",
        needed=("call_id", "output"),
        pairing="output",
        size=_measure_output,
        body=lambda item: item.output,
        name=lambda _: "the tool",
        transcript_title="{name} returns",
        export_title="It gave",
    ),
    ItemKind(
        struct=LocalShellCall,
        id_prefix=ids.LOCAL_SHELL_CALL,
        said_by="model",
        needed=("call_id", "action"),
        pairing="call",
        size=lambda item: (len(write_json(item.action)) + measure_kept(item), ()),
        body=lambda item: " ".join(item.action.command),
        name=lambda _: "the shell",
        transcript_title="the assistant calls {name}",
        export_title="Called {name}",
    ),
    ItemKind(
        struct=LocalShellCallOutput,
        id_prefix="lsho",
        said_by="program",
        needed=("call_id", "output"),
        pairing="output",
        may_have_id_as_call_id=True,  # in OpenAI's reference it has no other field for it
        size=lambda item: (len(item.output), ()),
        body=lambda item: item.output,
        name=lambda _: "the shell",
        transcript_title="{name} returns",
        export_title="It gave",
    ),
    ItemKind(
        struct=ToolSearchCall,
        id_prefix=ids.TOOL_SEARCH_CALL,
        said_by="model",
        needed=("arguments",),
        optional=("call_id", "execution"),
        pairing="call",
        size=lambda item: (len(write_json(item.arguments)) + measure_kept(item), ()),
        body=lambda item: write_json(item.arguments),
        name=lambda _: "the search for tools",
        transcript_title="the assistant calls {name}",
        export_title="Called {name}",
    ),
    ItemKind(
        struct=ToolSearchOutput,
        id_prefix="tso",
        said_by="program",
        needed=("tools",),
        optional=("call_id", "execution"),
        pairing="output",
        size=lambda item: (len(write_json(item.tools)), ()),
        body=lambda item: write_tools(item.tools),
        name=lambda _: "the search for tools",
        transcript_title="{name} returns",
        export_title="It gave",
    ),
    ItemKind(
        struct=AdditionalTools,
        id_prefix="at",
        said_by="program",
        needed=("tools",),
        optional=("role",),
        size=lambda item: (len(write_json(item.tools)), ()),
        body=lambda item: write_tools(item.tools) or None,
        transcript_title="more tools are offered",
        export_title="More tools were offered",
    ),
    _describe_record(hosted.WebSearchCall, "ws", "model", "the assistant searches the web", "Searched the web"),
    _describe_record(hosted.ImageGenerationCall, "ig", "model", "the assistant makes an image", "Made an image"),
    _describe_record(hosted.CodeInterpreterCall, "ci", "model", "the assistant runs code", "Ran code"),
    _describe_record(hosted.ComputerCall, "cu", "model", "the assistant uses a computer", "Used a computer"),
    _describe_record(hosted.ComputerCallOutput, "cuo", "program", None, "It showed its screen"),
    _describe_record(hosted.McpCall, "mcp", "model", "the assistant calls a tool", "Called a tool"),
    _describe_record(hosted.McpListTools, "mcpl", "program", None, "Tools were listed"),
    _describe_record(hosted.McpApprovalRequest, "mcpr", "model", "the assistant asks to call a tool", "Asked to call"),
    _describe_record(hosted.McpApprovalResponse, "mcpa", "person", "the user decides on the call", "The answer"),
    _describe_record(hosted.ShellCall, "sh", "model", "the assistant runs commands", "Ran commands"),
    _describe_record(hosted.ShellCallOutput, "sho", "program", "the commands return", "They gave"),
    _describe_record(hosted.ApplyPatchCall, "apc", "model", "the assistant changes a file", "Changed a file"),
    _describe_record(hosted.ApplyPatchCallOutput, "apco", "program", "the change returns", "It gave"),
    _describe_record(hosted.Program, "prog", "model", "the assistant runs a program", "Ran a program"),
    _describe_record(hosted.ProgramOutput, "progo", "program", "the program returns", "It gave"),
    _describe_record(hosted.ConfigurationUpdate, "cfg", "program", None, "Settings were changed"),
)
KINDS_BY_TYPE: Mapping[str, ItemKind[Any]] = {kind.type: kind for kind in ITEM_KINDS.values()}
ITEM_ID_PREFIXES = tuple(kind.id_prefix for kind in ITEM_KINDS.values())
HIDDEN_TYPES = frozenset(kind.type for kind in ITEM_KINDS.values() if kind.is_hidden)


def find_speaker(item: Item, kinds: ItemKinds = ITEM_KINDS) -> Speaker:
    """Who said it."""
    said_by = kinds[type(item)].said_by
    return said_by(item) if callable(said_by) else said_by


def find_made_call(item: Item, kinds: ItemKinds = ITEM_KINDS) -> str | None:
    """The `call_id` of the call that this item makes, if it makes one."""
    return _get_call_id(item) if kinds[type(item)].pairing == "call" else None


def find_answered_call(item: Item, kinds: ItemKinds = ITEM_KINDS) -> str | None:
    """The `call_id` of the call whose output this item is, if it is one."""
    return _get_call_id(item) if kinds[type(item)].pairing == "output" else None


def _get_call_id(item: Any) -> str | None:
    """The field that all kinds with a pairing have; without a value there is nothing to pair."""
    return item.call_id or None


def is_item_id(public_id: str) -> bool:
    """Whether this could be the id of an item of ours."""
    return any(ids.is_well_formed(public_id, prefix) for prefix in ITEM_ID_PREFIXES)
