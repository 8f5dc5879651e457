"""The tools of agents in both protocols of models: offered, called, and told of in a history."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from prompts.adapters.openai.chat_request import model_body
from prompts.adapters.openai.chat_stream import ChatReading, Interest
from prompts.adapters.openai.learned import NOTHING_LEARNED, Traits
from prompts.adapters.openai.responses_request import compose_body
from prompts.adapters.openai.responses_stream import ResponsesReading
from prompts.adapters.openai.tool_names import ToolNames
from prompts.answer.call_filter import CallFilter
from prompts.domain.call_arguments import read_action, write_action
from prompts.domain.hosted_records import ShellCallOutput, WebSearchCall
from prompts.domain.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    InputText,
    Item,
    LocalShellCall,
    LocalShellCallOutput,
    ShellAction,
    ToolSearchCall,
    ToolSearchOutput,
)
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Argued, Called, CalledTool, Finished, Signal
from prompts.domain.tools import (
    CustomChoice,
    CustomTool,
    FunctionChoice,
    FunctionTool,
    Grammar,
    LocalShellTool,
    NamespaceChoice,
    NamespaceTool,
    Tool,
    ToolChoice,
    ToolSearchTool,
)
from prompts.errors import UpstreamError
from prompts.history.calls import drop_unanswered, find_unanswered
from tests.support.items import said

PATCH = CustomTool(name="apply_patch", description="Changes files.", format=Grammar("lark", 'start: "x"'))
CRM = NamespaceTool(name="crm", description="Customers.", tools=[FunctionTool(name="find", parameters={}), PATCH])
SEARCH, SHELL = ToolSearchTool(description="Finds tools."), LocalShellTool()
TOOLS: list[Tool] = [PATCH, CRM, SEARCH, SHELL]
ACTION = ShellAction(["ls"], timeout_ms=1_000, working_directory="/tmp")
PLACE = {"type": "function", "name": "get_place", "description": "Where it is."}
HISTORY: list[Item] = [
    said("user", "Hi"),
    CustomToolCall("", "completed", "c1", "apply_patch", 'a "b"\n'),
    FunctionCall("", "completed", "c2", "find", "{}", "crm"),
    CustomToolCallOutput("", "completed", "c1", [InputText("done"), InputImage("data:image/png;base64,AAAA")]),
    FunctionCallOutput("", "completed", "c2", "Ada"),
    LocalShellCall("", "completed", "c3", ACTION),
    FunctionCallOutput("", "completed", "c3", "a.txt"),
    LocalShellCall("", "completed", "c4", ACTION),
    LocalShellCallOutput("", "completed", "c4", "b.txt"),
    ToolSearchCall("", "completed", {"query": "place"}, "c5"),
    ToolSearchOutput("", "completed", [PLACE], "c5"),
]


def ask_chat(*items: Item, tools: list[Tool] = TOOLS, choice: ToolChoice = "auto") -> dict[str, Any]:
    """The body for a server of Chat Completions."""
    return model_body(ModelRequest(model="m", tools=tools, tool_choice=choice), items or [said("user", "Hi")])


def ask_responses(
    *items: Item, tools: list[Tool] = TOOLS, choice: ToolChoice = "auto", traits: Traits = NOTHING_LEARNED
) -> dict[str, Any]:
    """The body for a server of Responses."""
    request = ModelRequest(model="m", tools=tools, tool_choice=choice)
    return compose_body(request, items or [said("user", "Hi")], traits=traits)


def list_calls(messages: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Names and arguments of all calls in messages."""
    calls = [call["function"] for message in messages for call in message.get("tool_calls", ())]
    return [(call["name"], call["arguments"]) for call in calls]


def read_chat(*calls: tuple[str, str], tools: list[Tool] = TOOLS, size: int = 3) -> list[Signal]:
    """The signals of a stream in which the model calls these functions."""
    reading = ChatReading(Interest(names=ToolNames(tools)))
    signals: list[Signal] = []
    for index, (name, arguments) in enumerate(calls):
        pieces = [arguments[start : start + size] for start in range(0, len(arguments), size)]
        for number, piece in enumerate(pieces):
            named = {"id": f"call_{index}", "function": {"name": name, "arguments": piece}}
            delta = {"index": index, **(named if number == 0 else {"function": {"arguments": piece}})}
            signals += reading.feed(write_event({"choices": [{"delta": {"tool_calls": [delta]}}]}))
    signals += reading.feed(write_event({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}))
    return [*signals, *reading.finish()]


def write_event(data: dict[str, Any]) -> bytes:
    """A frame of a stream."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def gather(signals: Sequence[Signal]) -> list[tuple[Signal, str]]:
    """Each call with what was written of it."""
    calls: dict[int, tuple[Signal, list[str]]] = {}
    for signal in signals:
        match signal:
            case Called(index) | CalledTool(index):
                calls[index] = (signal, [])
            case Argued(index, text):
                calls[index][1].append(text)
    return [(call, "".join(pieces)) for call, pieces in calls.values()]


def test_chat_completions_is_offered_functions() -> None:
    tools = [tool["function"] for tool in ask_chat()["tools"]]
    assert [tool["name"] for tool in tools] == [
        *("apply_patch", "tool_search", "local_shell"),
        *("crm__find", "crm__apply_patch"),
    ]
    patch, search, shell, *_ = tools
    assert patch["parameters"]["required"] == ["input"]
    assert "Changes files." in patch["description"]
    assert 'Lark grammar:\nstart: "x"' in patch["description"]
    assert search["description"] == "Finds tools."
    assert [*search["parameters"]["properties"]] == ["query", "limit"]
    assert [*shell["parameters"]["properties"]] == ["command", "workdir", "timeout_ms"]


@pytest.mark.parametrize(
    ("choice", "offered", "sent"),
    [
        (CustomChoice("apply_patch"), ["apply_patch"], {"type": "function", "function": {"name": "apply_patch"}}),
        (FunctionChoice("find", "crm"), ["crm__find"], {"type": "function", "function": {"name": "crm__find"}}),
        (NamespaceChoice("crm"), ["crm__find", "crm__apply_patch"], "required"),
    ],
)
def test_a_choice_is_one_of_its_function(choice: ToolChoice, offered: list[str], sent: Any) -> None:
    body = ask_chat(choice=choice)
    assert [tool["function"]["name"] for tool in body["tools"]] == offered
    assert body["tool_choice"] == sent


def test_chat_completions_is_told_calls_of_functions() -> None:
    messages = ask_chat(*HISTORY)["messages"]
    shell = '{"command":["ls"],"timeout_ms":1000,"working_directory":"/tmp"}'
    assert list_calls(messages) == [
        ("apply_patch", '{"input":"a \\"b\\"\\n"}'),
        ("crm__find", "{}"),
        ("local_shell", shell),
        ("local_shell", shell),
        ("tool_search", '{"query":"place"}'),
    ]
    results = {message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"}
    assert results == {"c1": "done", "c2": "Ada", "c3": "a.txt", "c4": "b.txt", "c5": "get_place: Where it is."}
    assert "get_place" in [tool["function"]["name"] for tool in ask_chat(*HISTORY)["tools"]]


def test_what_other_servers_tools_did_is_told_as_text() -> None:
    items: list[Item] = [
        said("user", "Hi"),
        WebSearchCall("", "completed", {"query": "tea"}),
        ShellCallOutput("", "completed", "c9", [{"stdout": "ok", "stderr": "", "outcome": {"exit_code": 2}}]),
        WebSearchCall("", "completed"),
        ToolSearchCall("", "completed", {"paths": ["crm"]}, None, "server"),
        ToolSearchOutput("", "completed", [PLACE], None, "server"),
    ]
    said_by = [
        ("user", "Hi"),
        ("assistant", "[the assistant searches the web:\ntea]"),
        ("user", "[the commands return:\nok\n(exit code 2)]"),
    ]
    assert [(message["role"], message["content"]) for message in ask_chat(*items)["messages"]] == said_by
    sent = ask_responses(*items)["input"]
    assert [(item["role"], item["content"][0]["text"]) for item in sent] == said_by


def test_calls_come_back_as_the_kinds_they_are() -> None:
    signals = read_chat(
        ("apply_patch", '{"input":"a\\nb"}'),
        ("crm__find", '{"name":"Ada"}'),
        ("find", "{}"),
        ("tool_search", '{"query":"place"}'),
        ("local_shell", '{"command":["ls"]}'),
        ("crm__apply_patch", "as it is"),
    )
    assert gather(signals) == [
        (CalledTool(0, "call_0", "apply_patch", "custom"), "a\nb"),
        (CalledTool(1, "call_1", "find", "function", "crm"), '{"name":"Ada"}'),
        (CalledTool(2, "call_2", "find", "function", "crm"), "{}"),
        (CalledTool(3, "call_3", "tool_search", "tool_search"), '{"query":"place"}'),
        (CalledTool(4, "call_4", "local_shell", "local_shell"), '{"command":["ls"]}'),
        (CalledTool(5, "call_5", "apply_patch", "custom", "crm"), "as it is"),
    ]
    assert signals[-1] == Finished("stop")


def test_a_custom_input_is_told_while_it_comes() -> None:
    _, *written, _ = read_chat(("apply_patch", '{"input":"one two three"}'), size=4)
    assert written == [Argued(0, text) for text in ("on", "e tw", "o th", "ree")]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("apply_patch", '{"input":"a'),
        ("crm__find", '{"name":'),
        ("crm__find", "[" * 5_000 + "]" * 5_000),
        ("local_shell", '{"command":["ls"'),
    ],
)
def test_a_call_that_was_cut_is_never_complete(name: str, arguments: str) -> None:
    assert read_chat((name, arguments), size=5_000)[-1] == Finished("length")


def test_a_tool_that_was_not_offered_is_refused() -> None:
    call_filter = CallFilter(ModelRequest(model="m", tools=TOOLS, max_tool_calls=1))
    offered = [CalledTool(0, "c", "apply_patch", "custom"), CalledTool(1, "c", "find", "function", "crm")]
    assert call_filter.admit(offered) == offered, "max_tool_calls is about tools that a server runs"
    for other in (Called(0, "c", "apply_patch"), Called(0, "c", "find"), CalledTool(0, "c", "x", "function", "crm")):
        with pytest.raises(UpstreamError):
            call_filter.admit([other])


def test_a_responses_server_is_offered_the_tools_as_they_are() -> None:
    patch = {
        "type": "custom",
        "name": "apply_patch",
        "description": "Changes files.",
        "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
    }
    find: dict[str, Any] = {"type": "function", "name": "find", "parameters": {}, "strict": None}
    assert ask_responses()["tools"] == [
        patch,
        {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [find, patch]},
        {"type": "tool_search", "execution": "client", "description": "Finds tools."},
        {"type": "local_shell"},
    ]
    assert ask_responses(choice=CustomChoice("apply_patch"))["tool_choice"] == {"type": "custom", "name": "apply_patch"}
    later = FunctionTool(name="later", defer_loading=True)
    assert ask_responses(tools=[later, SEARCH])["tools"][0]["defer_loading"] is True
    assert "defer_loading" not in ask_responses(tools=[later])["tools"][0]


def test_a_responses_server_is_told_each_call_as_it_is() -> None:
    sent = ask_responses(*HISTORY)["input"][1:]
    assert [item["type"] for item in sent] == [
        *("custom_tool_call", "function_call", "custom_tool_call_output", "function_call_output"),
        *("local_shell_call", "function_call_output", "local_shell_call", "local_shell_call_output"),
        *("tool_search_call", "tool_search_output"),
    ]
    assert sent[0]["input"] == 'a "b"\n'
    assert sent[1]["namespace"] == "crm"
    assert sent[7] == {"type": "local_shell_call_output", "id": "c4", "output": "b.txt"}
    assert sent[9]["tools"] == [PLACE]


def test_an_output_goes_in_the_form_of_its_call() -> None:
    items = [HISTORY[1], FunctionCallOutput("", "completed", "c1", "done")]
    assert ask_responses(*items)["input"][1] == {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"}
    assert find_unanswered(items) == []
    assert drop_unanswered([*items, HISTORY[5]]) == items


def test_a_server_that_takes_functions_only_is_asked_with_them() -> None:
    body = ask_responses(*HISTORY, traits=Traits(takes_functions_only=True))
    assert {tool["type"] for tool in body["tools"]} == {"function"}
    assert {item["type"] for item in body["input"][1:]} == {"function_call", "function_call_output"}
    assert body["input"][2]["name"] == "crm__find"


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_responses_servers_calls_are_read(is_streamed: bool) -> None:
    reading = ResponsesReading(ModelRequest(model="m"), ToolNames(TOOLS))
    items: list[dict[str, Any]] = [
        {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": '{"input":"x"}'},
        {"type": "function_call", "call_id": "b", "name": "find", "namespace": "crm", "arguments": "{}"},
        {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "q"}},
        {"type": "local_shell_call", "call_id": "d", "action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": {"paths": []}},
        {"type": "function_call", "call_id": "e", "name": "crm__apply_patch", "arguments": '{"input":"x"}'},
    ]
    signals: list[Signal] = []
    for index, item in enumerate(items):
        events = [{"type": "response.output_item.added", "output_index": index, "item": {**item, "input": ""}}]
        if item["type"] == "custom_tool_call" and is_streamed:
            delta = {"type": "response.custom_tool_call_input.delta", "output_index": index}
            events += [{**delta, "delta": '{"input"'}, {**delta, "delta": ':"x"}'}]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
        signals += [signal for event in events for signal in reading.feed(write_event(event))]
    signals += reading.feed(write_event({"type": "response.completed", "response": {"status": "completed"}}))
    assert gather(signals) == [
        (CalledTool(0, "a", "apply_patch", "custom"), '{"input":"x"}'),
        (CalledTool(1, "b", "find", "function", "crm"), "{}"),
        (CalledTool(2, "c", "tool_search", "tool_search"), '{"query":"q"}'),
        (CalledTool(3, "d", "local_shell", "local_shell"), '{"type":"exec","command":["ls"],"env":{}}'),
        (CalledTool(5, "e", "apply_patch", "custom", "crm"), "x"),
    ]
    assert reading.finish() == [Finished("stop")]


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ('{"command":["ls","-l"]}', ShellAction(["ls", "-l"])),
        ('{"command":"ls | wc"}', ShellAction(["bash", "-lc", "ls | wc"])),
        ('{"command":["a",1],"env":{"N":1},"timeout":5.0}', ShellAction(["a", "1"], {"N": "1"}, timeout_ms=5)),
        ('{"command":["a"],"cwd":"/","user":"ada"}', ShellAction(["a"], user="ada", working_directory="/")),
        ('{"cmd":1}', ShellAction([])),
        ("[" * 5_000, ShellAction([])),
        ("", ShellAction([])),
    ],
)
def test_a_command_is_read_as_models_write_it(written: str, action: ShellAction) -> None:
    assert read_action(written) == action
    assert read_action(write_action(action)) == action
