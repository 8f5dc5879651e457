"""Records of hosted tools: items of a history that another server's tools have made, and that nobody runs here.

A field holds what was sent, whatever that is, so that it comes back without loss. Their order and names are those of
OpenAI's reference (`ResponseInputItemParam` of its SDK). No call among them must have an output.
"""

from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType

Given: TypeAlias = Any | UnsetType


class HostedRecord(Struct, frozen=True, tag_field="type"):
    """What all of them have."""

    id: str


class RecordWithStatus(HostedRecord, frozen=True):
    """What most of them have: how far it came, in the other server's words."""

    status: str = "completed"


class WebSearchCall(RecordWithStatus, frozen=True, tag="web_search_call"):
    """The web was searched, or a page of it read."""

    action: Given = UNSET


class ImageGenerationCall(RecordWithStatus, frozen=True, tag="image_generation_call"):
    """An image was made; `result` is the image in base64."""

    revised_prompt: Given = UNSET
    result: Given = UNSET
    action: Given = UNSET
    background: Given = UNSET
    error: Given = UNSET
    output_format: Given = UNSET
    quality: Given = UNSET
    size: Given = UNSET
    svg_usage: Given = UNSET


class CodeInterpreterCall(RecordWithStatus, frozen=True, tag="code_interpreter_call"):
    """Code was run in a container."""

    code: Given = UNSET
    outputs: Given = UNSET
    container_id: Given = UNSET


class ComputerCall(RecordWithStatus, frozen=True, tag="computer_call"):
    """Something was to be done on a screen."""

    call_id: Given = UNSET
    action: Given = UNSET
    actions: Given = UNSET
    pending_safety_checks: Given = UNSET


class ComputerCallOutput(RecordWithStatus, frozen=True, tag="computer_call_output"):
    """What the screen showed then."""

    call_id: Given = UNSET
    output: Given = UNSET
    acknowledged_safety_checks: Given = UNSET


class McpCall(RecordWithStatus, frozen=True, tag="mcp_call"):
    """A tool of an MCP server was called, and what it gave."""

    server_label: Given = UNSET
    name: Given = UNSET
    arguments: Given = UNSET
    output: Given = UNSET
    error: Given = UNSET
    approval_request_id: Given = UNSET


class McpListTools(HostedRecord, frozen=True, tag="mcp_list_tools"):
    """The tools of an MCP server."""

    server_label: Given = UNSET
    tools: Given = UNSET
    error: Given = UNSET


class McpApprovalRequest(HostedRecord, frozen=True, tag="mcp_approval_request"):
    """Somebody was asked whether a tool of an MCP server may be called."""

    server_label: Given = UNSET
    name: Given = UNSET
    arguments: Given = UNSET


class McpApprovalResponse(HostedRecord, frozen=True, tag="mcp_approval_response"):
    """What they said."""

    approval_request_id: Given = UNSET
    approve: Given = UNSET
    reason: Given = UNSET


class ShellCall(RecordWithStatus, frozen=True, tag="shell_call"):
    """Commands were to be run in a shell."""

    call_id: Given = UNSET
    action: Given = UNSET
    environment: Given = UNSET
    caller: Given = UNSET


class ShellCallOutput(RecordWithStatus, frozen=True, tag="shell_call_output"):
    """What the commands gave."""

    call_id: Given = UNSET
    output: Given = UNSET
    max_output_length: Given = UNSET
    caller: Given = UNSET


class ApplyPatchCall(RecordWithStatus, frozen=True, tag="apply_patch_call"):
    """A file was to be changed."""

    call_id: Given = UNSET
    operation: Given = UNSET
    caller: Given = UNSET


class ApplyPatchCallOutput(RecordWithStatus, frozen=True, tag="apply_patch_call_output"):
    """How that went."""

    call_id: Given = UNSET
    output: Given = UNSET
    caller: Given = UNSET


class Program(HostedRecord, frozen=True, tag="program"):
    """A program that calls tools."""

    call_id: Given = UNSET
    code: Given = UNSET
    fingerprint: Given = UNSET


class ProgramOutput(RecordWithStatus, frozen=True, tag="program_output"):
    """What it gave."""

    call_id: Given = UNSET
    result: Given = UNSET


class ConfigurationUpdate(HostedRecord, frozen=True, tag="configuration_update"):
    """From here on the model was to think or write in another way."""

    reasoning: Given = UNSET
    text: Given = UNSET


HostedItem: TypeAlias = (
    WebSearchCall
    | ImageGenerationCall
    | CodeInterpreterCall
    | ComputerCall
    | ComputerCallOutput
    | McpCall
    | McpListTools
    | McpApprovalRequest
    | McpApprovalResponse
    | ShellCall
    | ShellCallOutput
    | ApplyPatchCall
    | ApplyPatchCallOutput
    | Program
    | ProgramOutput
    | ConfigurationUpdate
)
