"""The body of a Responses request: what was asked for, and nothing else; the server is to keep nothing of it.

A field is sent only when the turn asks for it: servers refuse what they do not know, and OpenAI what the model cannot
do (`reasoning.encrypted_content` of a model that does not think, NousResearch/hermes-agent#24234).
"""

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from prompts.adapters.openai.continuation import INSTRUCTION, Way
from prompts.adapters.openai.flat_calls import flatten
from prompts.adapters.openai.flat_tools import as_function, flatten_choice
from prompts.adapters.openai.instructions import arrange_instructions
from prompts.adapters.openai.learned import NOTHING_LEARNED, Traits
from prompts.adapters.openai.quirks import NO_QUIRKS, ModelQuirks
from prompts.adapters.openai.responses_items import compose_input, compose_said
from prompts.adapters.openai.tool_names import ToolNames
from prompts.domain.items import AdditionalTools, InputText, Item, Message, text_of
from prompts.domain.model_request import ModelRequest
from prompts.domain.text import (
    JsonObject,
    JsonSchema,
    PlainText,
    TextFormat,
)
from prompts.domain.tools import (
    AllowedTools,
    CustomChoice,
    CustomTool,
    FileSearchChoice,
    FileSearchTool,
    FunctionChoice,
    FunctionTool,
    LocalShellChoice,
    LocalShellTool,
    NamespaceChoice,
    NamespaceTool,
    Tool,
    ToolChoice,
    ToolSearchChoice,
    ToolSearchTool,
)
from prompts.history.found_tools import with_additional_tools, with_found_tools

# OpenAI's minimum. Where less is left of an answer that is continued, it may get these few tokens longer.
MIN_OUTPUT_TOKENS = 16


def compose_body(
    request: ModelRequest, items: Sequence[Item], quirks: ModelQuirks = NO_QUIRKS, traits: Traits = NOTHING_LEARNED
) -> dict[str, Any]:
    """The request's body. A server that takes functions only is offered functions, and told of calls of functions."""
    if traits.takes_functions_only:
        request, items = _flatten_all(request, items)
    instructions, window = _split_instructions(arrange_instructions(items, quirks.system_messages))
    return {
        "model": request.model,
        "input": compose_input(window),
        "stream": True,
        "store": False,
        **_given(instructions=instructions),
        **_list_sampling(request),
        **_list_form(request),
        **_list_tools(with_additional_tools(request, items)),
        **_list_included(request),
        **_list_bookkeeping(request),
    }


def compose_continuation(body: dict[str, Any], prefix: str, way: Way) -> dict[str, Any]:
    """The request's body for the rest of an answer that begins with `prefix`, made of the one for all of it."""
    begun = compose_said(prefix)
    match way:
        case Way.OPEN | Way.MARKED:  # this protocol has a mark of its own
            return {**body, "input": [*body["input"], {**begun, "status": "in_progress"}]}
        case Way.ASKED:
            asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": INSTRUCTION}]}
            return {**body, "input": [*body["input"], begun, asked]}
        case Way.ANEW:
            return body
        case _:
            assert_never(way)


def _flatten_all(request: ModelRequest, items: Sequence[Item]) -> tuple[ModelRequest, Sequence[Item]]:
    found = with_found_tools(request, items)
    names = ToolNames(found.offered)
    tools: list[Tool] = [as_function(name, tool) for name, _, tool in names.functions]
    flat = [flatten(item, names) for item in items if not isinstance(item, AdditionalTools)]
    return replace(found, tools=tools, tool_choice=flatten_choice(found.tool_choice, names)), flat


def _split_instructions(items: Sequence[Item]) -> tuple[str | None, Sequence[Item]]:
    """A system message that leads is what this protocol calls `instructions`.

    There every server looks for it first, also those that take no system messages as input.
    """
    match items:
        case [Message(role="system", content=content) as first, _, *_] if all(
            isinstance(part, InputText) for part in content
        ):
            return text_of(first), items[1:]
    return None, items


def _list_sampling(request: ModelRequest) -> dict[str, Any]:
    budget = request.max_output_tokens
    return _given(
        temperature=request.temperature,
        top_p=request.top_p,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        max_output_tokens=None if budget is None else max(budget, MIN_OUTPUT_TOKENS),
    )


def _list_form(request: ModelRequest) -> dict[str, Any]:
    """How the model is to think and write."""
    verbosity = request.text.verbosity
    text = _given(
        format=_compose_format(request.text.format),
        verbosity=None if verbosity is UNSET else verbosity,
    )
    reasoning = _given(effort=request.reasoning.effort, summary=request.reasoning.summary)
    return _given(text=text or None, reasoning=reasoning or None)


def _compose_format(form: TextFormat) -> dict[str, Any] | None:
    match form:
        case PlainText():
            return None
        case JsonObject():
            return {"type": "json_object"}
        case JsonSchema():
            described = _given(description=form.description, schema=form.schema, strict=form.strict or None)
            return {"type": "json_schema", "name": form.name, **described}
        case _:
            assert_never(form)


def _list_tools(request: ModelRequest) -> dict[str, Any]:
    """What is offered is all that is sent: `none` and `allowed_tools` leave the others out."""
    if not request.offered:
        return {}
    return {
        "tools": [_compose_tool(tool) for tool in request.offered],
        **_given(tool_choice=_compose_choice(request.tool_choice), parallel_tool_calls=request.parallel_tool_calls),
    }


def _compose_tool(tool: Tool) -> dict[str, Any]:
    """The tool as its kind has it; `parameters` and `strict` of a function must be there, if only as null."""
    shown: dict[str, Any] = msgspec.to_builtins(tool)
    match tool:
        case FunctionTool():
            return {name: value for name, value in shown.items() if value is not None or name != "description"}
        case NamespaceTool(tools=inner):
            return {**shown, "tools": [_compose_tool(one) for one in inner]}
        case CustomTool() | ToolSearchTool() | LocalShellTool():
            return {name: value for name, value in shown.items() if value is not None}
        case FileSearchTool():
            raise AssertionError("a hosted tool is offered as a function")
        case _:
            assert_never(tool)


def _compose_choice(choice: ToolChoice) -> Any:
    """None is `auto`, as where nothing is said."""
    match choice:
        case "none" | "auto" | AllowedTools(mode="none" | "auto"):
            return None
        case "required" | AllowedTools() | NamespaceChoice():
            return "required"  # nothing else is offered
        case FunctionChoice() | CustomChoice() | ToolSearchChoice() | LocalShellChoice():
            return msgspec.to_builtins(choice)
        case FileSearchChoice():
            raise AssertionError("a hosted tool is offered as a function")
        case _:
            assert_never(choice)


def _list_included(request: ModelRequest) -> dict[str, Any]:
    wanted = {
        "reasoning.encrypted_content": request.wants_encrypted_reasoning,
        "message.output_text.logprobs": request.wants_logprobs,
    }
    include = [name for name, is_wanted in wanted.items() if is_wanted]
    return _given(include=include or None, top_logprobs=request.top_logprobs if request.wants_logprobs else None)


def _list_bookkeeping(request: ModelRequest) -> dict[str, Any]:
    return _given(
        truncation=request.truncation if request.truncation == "auto" else None,
        service_tier=request.service_tier,
        safety_identifier=request.safety_identifier,
        prompt_cache_key=request.prompt_cache_key,
        user=request.user,
    )


def _given(**fields: Any) -> dict[str, Any]:
    """Those of the fields that were asked for."""
    return {name: value for name, value in fields.items() if value is not None}
