"""Attributes of spans after OpenTelemetry's conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import UNSET

from prompts.domain.item_kinds import find_made_call
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import Response
from prompts.domain.text import PlainText
from prompts.domain.usage import Usage

Value: TypeAlias = str | bool | int | float | list[str]
# What the model's server speaks. Who serves it, its address says.
PROVIDER = "openai"


def describe_request(request: ModelRequest, *, operation: str) -> dict[str, Value]:
    """What the model is asked for, without a word of what is said to it."""
    return _present(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.request.model": request.model,
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.request.top_p": request.top_p,
            "gen_ai.request.presence_penalty": request.presence_penalty,
            "gen_ai.request.frequency_penalty": request.frequency_penalty,
            "gen_ai.request.max_tokens": request.max_output_tokens,
            "gen_ai.output.type": "text" if isinstance(request.text.format, PlainText) else "json",
        }
    )


def describe_place(response: Response) -> dict[str, Value]:
    """Which response it is about, and in which conversation."""
    conversation = None if response.conversation is UNSET else response.conversation.id
    return _present({"gen_ai.response.id": response.id, "gen_ai.conversation.id": conversation})


def describe_end(response: Response) -> dict[str, Value]:
    """How a response ended, and what it cost."""
    reason = find_finish_reason(response)
    return _present(
        {
            "gen_ai.response.model": response.model,
            "gen_ai.response.finish_reasons": [reason] if reason else None,
            **describe_usage(None if response.usage_estimated else response.usage),
        }
    )


def describe_usage(usage: Usage | None) -> dict[str, Value]:
    """Tokens, as they were reported."""
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.input_tokens_details.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.output_tokens_details.reasoning_tokens,
    }


def find_finish_reason(response: Response) -> str | None:
    """Why the model stopped, in the words of Chat Completions; None when it did not stop by itself."""
    if response.incomplete_details is not None:
        return {"max_output_tokens": "length"}.get(
            response.incomplete_details.reason, response.incomplete_details.reason
        )
    if response.status != "completed":
        return None
    return "tool_calls" if any(map(find_made_call, response.output)) else "stop"


def _present(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """Those that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}
