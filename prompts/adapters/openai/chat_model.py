"""A model that speaks Chat Completions, which is what nearly every server does.

Protocol: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import Sequence
from typing import Any

from prompts.adapters.openai.chat_request import continuation_body, model_body
from prompts.adapters.openai.chat_stream import ChatReading, Interest
from prompts.adapters.openai.continuation import Way
from prompts.adapters.openai.model import OpenAIModel
from prompts.adapters.openai.streams import wants_thoughts
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest


class OpenAIChatModel(OpenAIModel):
    """`ChatModel` over Chat Completions."""

    path = "/chat/completions"

    def compose_body(self, request: ModelRequest, items: Sequence[Item]) -> dict[str, Any]:
        """See `OpenAIModel`."""
        return model_body(request, items)

    def compose_continuation(
        self, request: ModelRequest, items: Sequence[Item], prefix: str, way: Way
    ) -> dict[str, Any]:
        """See `OpenAIModel`."""
        return continuation_body(request, items, prefix, way)

    def begin_reading(self, request: ModelRequest) -> ChatReading:
        """See `OpenAIModel`."""
        return ChatReading(
            Interest(has_thoughts=wants_thoughts(request.reasoning), has_logprobs=request.wants_logprobs)
        )
