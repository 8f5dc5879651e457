"""A model that speaks OpenAI's Responses, asked as a server that keeps nothing: `store: false` and the whole window.

Protocol: https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import structlog

from prompts.adapters.openai.continuation import Way
from prompts.adapters.openai.learned import Traits
from prompts.adapters.openai.model import OpenAIModel
from prompts.adapters.openai.responses_request import compose_body, compose_continuation
from prompts.adapters.openai.responses_stream import ResponsesReading
from prompts.adapters.openai.tool_names import ToolNames
from prompts.domain.items import Item, Reasoning
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Signal
from prompts.errors import InvalidImage, InvalidPrompt, PromptTooLong
from prompts.history.found_tools import with_found_tools
from prompts.ports.chat_model import Answer

log = structlog.get_logger(__name__)


class OpenAIResponsesModel(OpenAIModel):
    """`ChatModel` over Responses.

    What a model thought earlier goes back to it as its server sealed it. A server that does not open that seal (another
    model, organisation or region has made it) refuses the whole window: then it is asked without thoughts, or the
    conversation were stuck for good.
    """

    path = "/responses"

    def compose_body(self, request: ModelRequest, items: Sequence[Item], traits: Traits) -> dict[str, Any]:
        """See `OpenAIModel`."""
        return compose_body(request, items, self._quirks, traits)

    def compose_continuation(self, body: dict[str, Any], prefix: str, way: Way) -> dict[str, Any]:
        """See `OpenAIModel`."""
        return compose_continuation(body, prefix, way)

    def begin_reading(self, request: ModelRequest, items: Sequence[Item]) -> ResponsesReading:
        """See `OpenAIModel`."""
        names = ToolNames(with_found_tools(request, items).offered)
        keeps_thoughts = request.wants_encrypted_reasoning or self._quirks.reasoning_replay != "never"
        return ResponsesReading(request, names, keeps_thoughts=keeps_thoughts)

    def _open(self, request: ModelRequest, items: Sequence[Item], shown: str) -> AbstractAsyncContextManager[Answer]:
        """An answer whose text has begun needs no earlier thoughts."""
        thoughtless = [item for item in items if not isinstance(item, Reasoning)]
        if shown or len(thoughtless) == len(items):
            return super()._open(request, thoughtless, shown)
        return aclosing(self._answer_with_thoughts(request, items, thoughtless))

    async def _answer_with_thoughts(
        self, request: ModelRequest, items: Sequence[Item], thoughtless: Sequence[Item]
    ) -> AsyncGenerator[list[Signal], None]:
        has_begun = False
        try:
            async with super()._open(request, items, "") as answer:
                async for signals in answer:
                    has_begun = True
                    yield signals
        except InvalidPrompt as error:
            if has_begun or isinstance(error, (PromptTooLong, InvalidImage)):  # which is not the thoughts' fault
                raise
            log.info("thoughts_refused", code=error.code)
        else:
            return
        async with super()._open(request, thoughtless, "") as answer:
            async for signals in answer:
                yield signals
