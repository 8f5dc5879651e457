"""A model that speaks Chat Completions, which is what nearly every server does.

Protocol: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from prompts.adapters.openai.chat_request import continuation_body, model_body
from prompts.adapters.openai.chat_stream import ChatReading, Interest
from prompts.adapters.openai.continuation import Way
from prompts.adapters.openai.learned import Traits
from prompts.adapters.openai.model import OpenAIModel
from prompts.adapters.openai.streams import wants_thoughts
from prompts.adapters.openai.think_tags import find_mode
from prompts.adapters.openai.tool_names import name_tools
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.history.found_tools import with_found_tools


class OpenAIChatModel(OpenAIModel):
    """`ChatModel` over Chat Completions."""

    path = "/chat/completions"

    def compose_body(self, request: ModelRequest, items: Sequence[Item], traits: Traits) -> dict[str, Any]:
        """See `OpenAIModel`."""
        return model_body(request, items, self._quirks, traits)

    def compose_continuation(self, body: dict[str, Any], prefix: str, way: Way) -> dict[str, Any]:
        """See `OpenAIModel`."""
        return continuation_body(body, prefix, way)

    def begin_reading(self, request: ModelRequest, items: Sequence[Item]) -> ChatReading:
        """See `OpenAIModel`."""
        policy = self._quirks.reasoning_replay
        offered = with_found_tools(request, items).offered
        interest = Interest(
            has_thoughts=wants_thoughts(request.reasoning),
            has_logprobs=request.wants_logprobs,
            keeps_thoughts=policy == "always" or (policy == "tools" and bool(offered)),
            tag_mode=find_mode(self._quirks.tagged_models, request.model),
            names=name_tools(offered),
        )
        return ChatReading(interest, partial(self._memory.note_thought_name, request.model))
