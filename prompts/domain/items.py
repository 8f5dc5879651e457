"""Items: the entries of a history, and the parts they are made of (Open Responses 2026-04-24, `ItemField` and its kin).

They are frozen msgspec structs with the specification's names, so that a value is also what goes on the wire. A field
that the wire may leave out is `UNSET`.
"""

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

from prompts.domain.hosted_records import HostedItem

Role: TypeAlias = Literal["user", "assistant", "system", "developer"]
ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]
SearchStatus: TypeAlias = Literal["in_progress", "searching", "completed", "incomplete", "failed"]
Phase: TypeAlias = Literal["commentary", "final_answer"]
ImageDetail: TypeAlias = str
"""`low`, `high`, `auto`, or what newer models know."""
Execution: TypeAlias = Literal["server", "client"]
Kept: TypeAlias = list[str] | UnsetType
"""What a model's server wants back with a call (`prompts/domain/kept_thoughts.py`), or what the files hold that an item
names by their ids (`prompts/domain/named_files.py`). Nobody is shown it."""
KEPT = "eps:kept"
"""Its name where it is stored."""


class InputText(Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text a person or a program gave."""

    text: str


class InputImage(Struct, frozen=True, tag_field="type", tag="input_image"):
    """An image by its address, as a `data:` URI, or by the id of an uploaded file; no address is opened here."""

    image_url: str | None = None
    """None, where there is a `file_id`; the specification wants it to be there all the same."""
    detail: ImageDetail = "auto"
    file_id: str | UnsetType = UNSET


class InputFile(Struct, frozen=True, tag_field="type", tag="input_file", omit_defaults=True):
    """A file by its address, as base64, or by the id of an uploaded one; no address is opened here."""

    filename: str | UnsetType = UNSET
    file_data: str | UnsetType = UNSET
    file_url: str | UnsetType = UNSET
    file_id: str | UnsetType = UNSET


class TopLogprob(Struct, frozen=True):
    """One of the likeliest tokens at a place."""

    token: str
    logprob: float
    bytes: list[int] = []


class Logprob(Struct, frozen=True):
    """A token of the answer, how likely it was (natural logarithm), and what else was likely."""

    token: str
    logprob: float
    bytes: list[int] = []
    top_logprobs: list[TopLogprob] = []


class OutputText(Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text the model wrote; both lists are always there."""

    text: str
    annotations: list[Any] = []
    logprobs: list[Logprob] = []


class Refusal(Struct, frozen=True, tag_field="type", tag="refusal"):
    """The model's refusal to answer, in its own words."""

    refusal: str


class ReasoningText(Struct, frozen=True, tag_field="type", tag="reasoning_text"):
    """What the model thought, in its own words."""

    text: str


class SummaryText(Struct, frozen=True, tag_field="type", tag="summary_text"):
    """What the model thought, in short."""

    text: str


GivenPart: TypeAlias = InputText | InputImage | InputFile
Part: TypeAlias = GivenPart | OutputText | Refusal


class Message(Struct, frozen=True, tag_field="type", tag="message"):
    """One message of a history, immutable once its status is not `in_progress`."""

    id: str
    status: ItemStatus
    role: Role
    content: list[Part]
    phase: Phase | UnsetType = UNSET
    kept: Kept = field(default=UNSET, name=KEPT)


class FunctionCall(Struct, frozen=True, tag_field="type", tag="function_call"):
    """The model wants a function called; `arguments` are JSON, as the model wrote them."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str
    namespace: str | UnsetType = UNSET
    kept: Kept = field(default=UNSET, name=KEPT)


class FunctionCallOutput(Struct, frozen=True, tag_field="type", tag="function_call_output"):
    """The output of a function call."""

    id: str
    status: ItemStatus
    call_id: str
    output: str | list[GivenPart]
    kept: Kept = field(default=UNSET, name=KEPT)


class Reasoning(Struct, frozen=True, tag_field="type", tag="reasoning"):
    """What the model thought before it answered; `encrypted_content` only when it was asked for."""

    id: str
    status: ItemStatus
    summary: list[SummaryText]
    content: list[ReasoningText] | UnsetType = UNSET
    encrypted_content: str | UnsetType | None = UNSET


class Compaction(Struct, frozen=True, tag_field="type", tag="compaction"):
    """A summary of a history, sealed with the server's key."""

    id: str
    encrypted_content: str


class FileSearchCall(Struct, frozen=True, tag_field="type", tag="file_search_call"):
    """The files were searched; `results` only for those who ask for them."""

    id: str
    status: SearchStatus
    queries: list[str]
    results: list[Any] | None = None


class CustomToolCall(Struct, frozen=True, tag_field="type", tag="custom_tool_call"):
    """The model wants a custom tool called; `input` is text as the model wrote it."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    input: str
    namespace: str | UnsetType = UNSET
    kept: Kept = field(default=UNSET, name=KEPT)


class CustomToolCallOutput(Struct, frozen=True, tag_field="type", tag="custom_tool_call_output"):
    """The output of a custom tool."""

    id: str
    status: ItemStatus
    call_id: str
    output: str | list[GivenPart]
    kept: Kept = field(default=UNSET, name=KEPT)


class ShellAction(Struct, frozen=True, tag_field="type", tag="exec"):
    """A program and its arguments, as they are: no shell reads them."""

    command: list[str]
    env: dict[str, str] = {}
    timeout_ms: int | UnsetType = UNSET
    user: str | UnsetType = UNSET
    working_directory: str | UnsetType = UNSET


class LocalShellCall(Struct, frozen=True, tag_field="type", tag="local_shell_call"):
    """The model wants a command run on the client's machine."""

    id: str
    status: ItemStatus
    call_id: str
    action: ShellAction
    kept: Kept = field(default=UNSET, name=KEPT)


class LocalShellCallOutput(Struct, frozen=True, tag_field="type", tag="local_shell_call_output"):
    """What a command gave, mostly as JSON."""

    id: str
    status: ItemStatus
    call_id: str
    output: str


class ToolSearchCall(Struct, frozen=True, tag_field="type", tag="tool_search_call"):
    """The model looks for tools; `arguments` are an object. Whoever searched by itself gives no `call_id`."""

    id: str
    status: ItemStatus
    arguments: Any
    call_id: str | None = None
    execution: Execution = "client"
    kept: Kept = field(default=UNSET, name=KEPT)


class ToolSearchOutput(Struct, frozen=True, tag_field="type", tag="tool_search_output"):
    """The tools that were found: they are offered from here on."""

    id: str
    status: ItemStatus
    tools: list[dict[str, Any]]
    call_id: str | None = None
    execution: Execution = "client"


class AdditionalTools(Struct, frozen=True, tag_field="type", tag="additional_tools"):
    """Tools that are offered from here on."""

    id: str
    tools: list[dict[str, Any]]
    role: Role = "developer"


Call: TypeAlias = FunctionCall | CustomToolCall | LocalShellCall | ToolSearchCall
"""A call that a client runs."""
Item: TypeAlias = (
    Message
    | FunctionCall
    | FunctionCallOutput
    | Reasoning
    | Compaction
    | FileSearchCall
    | CustomToolCall
    | CustomToolCallOutput
    | LocalShellCall
    | LocalShellCallOutput
    | ToolSearchCall
    | ToolSearchOutput
    | AdditionalTools
    | HostedItem
)


def text_of(item: Message) -> str:
    """The words of a message, its parts one after another."""
    return "".join(words_of(part) for part in item.content)


def words_of(part: Part | ReasoningText | SummaryText) -> str:
    """The words of one part; images and files have none."""
    match part:
        case Refusal(refusal):
            return refusal
        case InputImage() | InputFile():
            return ""
    return part.text
