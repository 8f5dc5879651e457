"""Chooses the tools to call and their arguments: the tools the last user message mentions, or the forced one.

A tool whose name stands only inside a value is not mentioned. Arguments are valid for the tool's schema. They come from
the message where it gives them (`MessageValues`): by name or, for strings, as quoted texts in order. The rest is made
from the schema.
"""

import re

import msgspec

from standin.answers.message_values import MessageValues, strip_given
from standin.chat_completions.request import (
    AllowedChoice,
    Call,
    CalledFunction,
    ChatRequest,
    NamedChoice,
    TextTool,
    Tool,
    list_chosen,
)
from standin.json_schema.value_maker import ValueMaker

_QUERY_NAMES = ("query", "queries", "question", "q", "search_query", "prompt", "text", "input")


def find_calls(request: ChatRequest, question: str, fingerprint: str) -> tuple[Call, ...]:
    """The calls for the last user message. Their ids follow from the conversation and their position."""
    tools = _choose_tools(request, question)
    if request.parallel_tool_calls is False:
        tools = tools[:1]
    ids = [f"call_{fingerprint[:20]}{place:02d}" for place in range(len(tools))]
    return tuple(_compose_call(call_id, tool, question) for call_id, tool in zip(ids, tools, strict=True))


def _choose_tools(request: ChatRequest, question: str) -> list[Tool]:
    tools, choice = request.tools or [], request.tool_choice
    if choice == "none" or not tools:
        return []
    if isinstance(choice, NamedChoice | AllowedChoice):
        tools = [tool for tool in tools if tool.function.name in list_chosen(request)]
    if isinstance(choice, NamedChoice):
        return tools[:1]
    must_call = choice == "required" or (isinstance(choice, AllowedChoice) and choice.allowed_tools.mode == "required")
    said = strip_given(question, keep=[tool.function.name for tool in tools])
    places = {tool.function.name: _find_mention(tool.function.name, said) for tool in tools}
    mentioned = [tool for tool in tools if places[tool.function.name] >= 0]
    mentioned.sort(key=lambda tool: places[tool.function.name])
    return mentioned or (tools[:1] if must_call else [])


def _find_mention(name: str, question: str) -> int:
    found = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", question, re.IGNORECASE)
    return found.start() if found else -1


def _compose_call(call_id: str, tool: Tool, question: str) -> Call:
    name = tool.function.name
    values = MessageValues(question, tools=[name])
    if isinstance(tool, TextTool):
        text = values("input", {"type": "string"}) or question.strip()
        return Call(call_id, CalledFunction(name, text), "custom")
    schema = {"type": "object", **(tool.function.parameters or {})}
    texts = dict.fromkeys(_QUERY_NAMES, question.strip())
    arguments = msgspec.json.encode(ValueMaker(schema, values, texts).make()).decode()
    return Call(call_id, CalledFunction(name, arguments))
