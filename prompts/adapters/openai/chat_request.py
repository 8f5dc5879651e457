"""The body of a Chat Completions request: what was asked for, and nothing else.

Servers differ in what they know, and some refuse what they do not (Mistral answers 422): a field is sent only when the
turn asks for it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from msgspec import UNSET

from prompts.adapters.openai.call_ids import with_short_ids
from prompts.adapters.openai.chat_messages import compose_messages
from prompts.adapters.openai.continuation import INSTRUCTION, Way
from prompts.adapters.openai.flat_tools import as_function, flatten_choice
from prompts.adapters.openai.learned import NOTHING_LEARNED, Traits
from prompts.adapters.openai.quirks import NO_QUIRKS, ModelQuirks
from prompts.adapters.openai.thought_replay import ThoughtReplay
from prompts.adapters.openai.tool_names import ToolNames, name_tools
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.text import (
    JsonObject,
    JsonSchema,
    PlainText,
    TextFormat,
)
from prompts.domain.tools import FunctionChoice, FunctionTool, ToolChoice
from prompts.history.found_tools import with_found_tools


def model_body(
    request: ModelRequest, items: Sequence[Item], quirks: ModelQuirks = NO_QUIRKS, traits: Traits = NOTHING_LEARNED
) -> dict[str, Any]:
    """The request's body; what was not asked for is left to the model's server."""
    replay = ThoughtReplay(
        policy="never" if traits.takes_no_thoughts else quirks.reasoning_replay,
        name=traits.thought_name,
        needs_thoughts=traits.needs_thoughts,
        needs_signatures=traits.needs_signatures,
    )
    request = with_found_tools(request, items)
    names = name_tools(request.offered)
    messages = compose_messages(items, system_messages=quirks.system_messages, replay=replay, names=names)
    return {
        "model": request.model,
        "messages": with_short_ids(messages) if traits.has_short_ids else messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **_list_sampling(request),
        **_list_form(request),
        **_list_tools(request, names),
        **_list_bookkeeping(request),
    }


def continuation_body(body: dict[str, Any], prefix: str, way: Way) -> dict[str, Any]:
    """The request's body for the rest of an answer that begins with `prefix`, made of the one for all of it."""
    begun = {"role": "assistant", "content": prefix}
    match way:
        case Way.OPEN:
            opened = {"continue_final_message": True, "add_generation_prompt": False}
            return {**body, "messages": [*body["messages"], begun], **opened}
        case Way.MARKED:
            return {**body, "messages": [*body["messages"], {**begun, "prefix": True}]}
        case Way.ASKED:
            # A user: a system message has its place at the beginning in many templates, and turns alternate.
            return {**body, "messages": [*body["messages"], begun, {"role": "user", "content": INSTRUCTION}]}
        case Way.ANEW:
            return body
        case _:
            assert_never(way)


def _list_sampling(request: ModelRequest) -> dict[str, Any]:
    return _given(
        temperature=request.temperature,
        top_p=request.top_p,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        max_completion_tokens=request.max_output_tokens,
        logprobs=True if request.wants_logprobs else None,
        top_logprobs=request.top_logprobs if request.wants_logprobs else None,
    )


def _list_form(request: ModelRequest) -> dict[str, Any]:
    """How the model is to think and write. That thoughts be summed up cannot be asked for in this protocol."""
    verbosity = request.text.verbosity
    return _given(
        reasoning_effort=request.reasoning.effort,
        verbosity=None if verbosity is UNSET else verbosity,
        response_format=_compose_format(request.text.format),
    )


def _compose_format(form: TextFormat) -> Mapping[str, Any] | None:
    match form:
        case PlainText():
            return None
        case JsonObject():
            return {"type": "json_object"}
        case JsonSchema():
            described = _given(description=form.description, schema=form.schema, strict=form.strict or None)
            return {"type": "json_schema", "json_schema": {"name": form.name, **described}}
        case _:
            assert_never(form)


def _list_tools(request: ModelRequest, names: ToolNames) -> dict[str, Any]:
    """What is offered is all that is sent: `none` and `allowed_tools` leave the others out.

    Without tools, servers refuse what is said about them.
    """
    if not names.functions:
        return {}
    choice = flatten_choice(request.tool_choice, names)
    return {
        "tools": [_compose_tool(as_function(name, tool)) for name, _, tool in names.functions],
        **_given(tool_choice=_compose_choice(choice), parallel_tool_calls=request.parallel_tool_calls),
    }


def _compose_tool(tool: FunctionTool) -> dict[str, Any]:
    described = _given(description=tool.description, parameters=tool.parameters, strict=tool.strict)
    return {"type": "function", "function": {"name": tool.name, **described}}


def _compose_choice(choice: ToolChoice) -> Any:
    """None is `auto`, as where nothing is said."""
    if isinstance(choice, FunctionChoice):
        return {"type": "function", "function": {"name": choice.name}}
    return "required" if choice == "required" else None


def _list_bookkeeping(request: ModelRequest) -> dict[str, Any]:
    return _given(
        service_tier=request.service_tier,
        safety_identifier=request.safety_identifier,
        prompt_cache_key=request.prompt_cache_key,
        user=request.user,
    )


def _given(**fields: Any) -> dict[str, Any]:
    """Those of the fields that were asked for."""
    return {name: value for name, value in fields.items() if value is not None}
