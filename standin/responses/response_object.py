"""The response object: the request's parameters, the output, and every key that OpenAI's has."""

import time
from typing import Any, Literal

import msgspec

from standin.responses.request import FunctionTool, NamespaceTool, ResponsesRequest, SchemaFormat, Tool

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class ResponseObject:
    """The response to one request. Its constant fields are made once."""

    def __init__(self, request: ResponsesRequest, fingerprint: str) -> None:
        self._head = {"id": f"resp_{fingerprint}", "object": "response", "created_at": int(time.time())}
        self._echo = _compose_echo(request)

    def compose(self, status: Status, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """The object as it is now. `more` holds the fields that the end of a response sets."""
        ended = {"completed_at": int(time.time()) if status == "completed" else None}
        blank = {"error": None, "incomplete_details": None, "usage": None}
        return {**self._head, "status": status, **ended, **blank, **self._echo, "output": output, **more}


def _compose_echo(request: ResponsesRequest) -> dict[str, Any]:
    """The request's parameters as OpenAI repeats them, with defaults."""
    reasoning = request.reasoning
    tier = request.service_tier
    return {
        "background": False,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "model": request.model,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "prompt_cache_key": request.prompt_cache_key,
        "prompt_cache_retention": request.prompt_cache_retention,
        "reasoning": {
            "effort": reasoning.effort if reasoning else None,
            "summary": reasoning.summary if reasoning else None,
        },
        "safety_identifier": request.safety_identifier,
        "service_tier": "default" if tier in (None, "auto") else tier,
        "store": False,
        "temperature": _fill(request.temperature, 1.0),
        "text": _compose_text(request),
        "tool_choice": "auto" if request.tool_choice is None else msgspec.to_builtins(request.tool_choice),
        "tools": [_compose_tool(tool) for tool in request.tools or ()],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": _fill(request.top_p, 1.0),
        "presence_penalty": _fill(request.presence_penalty, 0.0),
        "frequency_penalty": _fill(request.frequency_penalty, 0.0),
        "truncation": request.truncation or "disabled",
        "user": request.user,
        "metadata": request.metadata or {},
    }


def _fill(given: float | None, usual: float) -> float:
    return usual if given is None else given


def _compose_tool(tool: Tool) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(tool)
    match tool:
        case FunctionTool(strict=strict):
            return {**plain, "strict": strict is not False}
        case NamespaceTool(tools=tools):
            return {**plain, "tools": [_compose_tool(one) for one in tools]}
    return plain if tool.format else {**plain, "format": {"type": "text"}}


def _compose_text(request: ResponsesRequest) -> dict[str, Any]:
    text = request.text
    form = msgspec.to_builtins(text.format) if text and text.format else {"type": "text"}
    if text and isinstance(text.format, SchemaFormat):
        form["strict"] = bool(text.format.strict)
    return {"format": form, "verbosity": (text and text.verbosity) or "medium"}
