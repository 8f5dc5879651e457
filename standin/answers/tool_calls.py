"""Chooses the tools to call and their arguments: the tools the last user message mentions, or the forced one.

Arguments are valid for the tool's schema. They come from the message where it gives them, as `city=Paris`, `city: "New
York"` or, for strings, as quoted texts in order. The rest is made from the schema.
"""

import re
from typing import Any

import msgspec

from standin.chat_completions.request import (
    AllowedChoice,
    Call,
    CalledFunction,
    ChatRequest,
    NamedChoice,
    Tool,
    list_chosen,
)
from standin.json_schema.scalars import Schema, get_type
from standin.json_schema.value_maker import ValueMaker

_PAIR = re.compile(r"""["']?(\w+)["']?\s*[=:]\s*(?:"([^"]*)"|'([^']*)'|([^\s,;]+))""")
_QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”|(?<!\w)\'([^\']+)\'(?!\w)|`([^`]+)`')
_QUERY_NAMES = ("query", "question", "q", "search_query", "prompt", "text", "input")


class MessageValues:
    """The values that a message gives for the properties of one object."""

    def __init__(self, text: str) -> None:
        self._pairs = {name: (double or single or bare) for name, double, single, bare in _PAIR.findall(text)}
        self._quoted = ["".join(found) for found in _QUOTED.findall(_PAIR.sub("", text))]
        self._taken: dict[str, str] = {}

    def __call__(self, name: str, schema: Schema) -> Any:
        """The message's value for a property, converted to its type; None when it gives none."""
        if name in self._pairs:
            return _convert(self._pairs[name], get_type(schema))
        if name not in self._taken and self._quoted and get_type(schema) == "string" and "enum" not in schema:
            self._taken[name] = self._quoted.pop(0)
        return self._taken.get(name)


def find_calls(request: ChatRequest, question: str, fingerprint: str) -> tuple[Call, ...]:
    """The calls for the last user message. Their ids follow from the conversation and their position."""
    tools = _choose_tools(request, question)
    if request.parallel_tool_calls is False:
        tools = tools[:1]
    return tuple(
        Call(f"call_{fingerprint[:20]}{place:02d}", _compose_call(tool, question)) for place, tool in enumerate(tools)
    )


def _choose_tools(request: ChatRequest, question: str) -> list[Tool]:
    tools, choice = request.tools or [], request.tool_choice
    if choice == "none":
        return []
    if isinstance(choice, NamedChoice | AllowedChoice):
        tools = [tool for tool in tools if tool.function.name in list_chosen(request)]
    if isinstance(choice, NamedChoice):
        return tools[:1]
    must_call = choice == "required" or (isinstance(choice, AllowedChoice) and choice.allowed_tools.mode == "required")
    places = {tool.function.name: _find_mention(tool.function.name, question) for tool in tools}
    mentioned = [tool for tool in tools if places[tool.function.name] >= 0]
    mentioned.sort(key=lambda tool: places[tool.function.name])
    return mentioned or (tools[:1] if must_call else [])


def _find_mention(name: str, question: str) -> int:
    found = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", question, re.IGNORECASE)
    return found.start() if found else -1


def _compose_call(tool: Tool, question: str) -> CalledFunction:
    schema = {"type": "object", **(tool.function.parameters or {})}
    texts = dict.fromkeys(_QUERY_NAMES, question.strip())
    values = MessageValues(question.replace(f'"{tool.function.name}"', tool.function.name))
    arguments = msgspec.json.encode(ValueMaker(schema, values, texts).make()).decode()
    return CalledFunction(tool.function.name, arguments)


def _convert(text: str, kind: str) -> Any:
    bare = text.rstrip(".!?)")
    if kind in {"integer", "number", "boolean"}:
        try:
            return msgspec.convert(bare.lower(), {"integer": int, "number": float}.get(kind, bool), strict=False)
        except msgspec.ValidationError:
            return None
    return bare if text.startswith(bare) and not text.endswith(("...", "…")) else text
