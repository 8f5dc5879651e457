"""Pure: items that hold data, in words: for people, and for models whose protocol does not know such items.

The data is as somebody sent it: of any shape.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from prompts.domain.hosted_records import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    CodeInterpreterCall,
    ComputerCall,
    ComputerCallOutput,
    ConfigurationUpdate,
    HostedRecord,
    ImageGenerationCall,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    Program,
    ProgramOutput,
    ShellCall,
    ShellCallOutput,
    WebSearchCall,
)

encode = msgspec.json.Encoder().encode


def write_record(record: HostedRecord) -> str | None:
    """What a hosted tool did, or gave; None when there is nothing to tell, as of an image's bytes."""
    return "\n".join(filter(None, _WORDS[type(record)](record))) or None


def write_json(value: Any) -> str:
    """Text as it is, anything else as JSON; nothing for what is not there."""
    if isinstance(value, str):
        return value
    return encode(value).decode() if value is not None and value is not msgspec.UNSET else ""


def write_tools(tools: Iterable[Any]) -> str:
    """Names of tools and what they are for, a line each."""
    return "\n".join(_list_tools(tools))


def _list_queries(record: WebSearchCall) -> list[str]:
    action = record.action
    queries = map(write_json, _entries(_field(action, "queries")))
    return [*dict.fromkeys((*_pick(action, "query", "url", "pattern"), *queries))]


def _list_run(record: CodeInterpreterCall) -> list[str]:
    return [write_json(record.code), *(write_json(_field(each, "logs")) for each in _entries(record.outputs))]


def _write_call(record: McpCall | McpApprovalRequest) -> str:
    return f"{write_json(record.name)} {write_json(record.arguments)}".strip()


def _list_returned(record: ShellCallOutput) -> list[str]:
    output = record.output
    return [output] if isinstance(output, str) else [*map(_write_run, _entries(output))]


def _write_run(run: Any) -> str:
    """What one command gave; of how it ended only what is no success."""
    code = _field(_field(run, "outcome"), "exit_code")
    ended = f"(exit code {code})" if code else ""
    return "\n".join(filter(None, [*_pick(run, "stdout", "stderr"), ended]))


def _list_tools(tools: Iterable[Any]) -> Iterable[str]:
    for tool in tools:
        words = _pick(tool, "name", "description")
        if words:
            yield ": ".join(words)
        yield from _list_tools(_entries(_field(tool, "tools")))


def _pick(holder: Any, *names: str) -> list[str]:
    """Those of these fields that say something."""
    return [words for name in names if (words := write_json(_field(holder, name)))]


def _field(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else None


def _entries(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


_WORDS: dict[type[HostedRecord], Callable[[Any], list[str]]] = {
    WebSearchCall: _list_queries,
    ImageGenerationCall: lambda record: [write_json(record.revised_prompt)],
    CodeInterpreterCall: _list_run,
    ComputerCall: lambda record: [write_json(record.action), *map(write_json, _entries(record.actions))],
    ComputerCallOutput: lambda _: [],
    McpCall: lambda record: [_write_call(record), write_json(record.output), write_json(record.error)],
    McpListTools: lambda _: [],
    McpApprovalRequest: lambda record: [_write_call(record)],
    McpApprovalResponse: lambda record: [
        "approved" if record.approve is True else "refused",
        write_json(record.reason),
    ],
    ShellCall: lambda record: [*map(write_json, _entries(_field(record.action, "commands")))],
    ShellCallOutput: _list_returned,
    ApplyPatchCall: lambda record: [
        " ".join(_pick(record.operation, "type", "path")),
        *_pick(record.operation, "diff"),
    ],
    ApplyPatchCallOutput: lambda record: [record.status, write_json(record.output)],
    Program: lambda record: [write_json(record.code)],
    ProgramOutput: lambda record: [write_json(record.result)],
    ConfigurationUpdate: lambda _: [],
}
