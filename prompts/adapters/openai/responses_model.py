"""A model that speaks OpenAI's Responses, asked as a server that keeps nothing: `store: false` and the whole window.

Protocol: https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from prompts.adapters.openai.continuation import Way
from prompts.adapters.openai.model import OpenAIModel
from prompts.adapters.openai.responses_request import compose_body, compose_continuation
from prompts.adapters.openai.responses_stream import ResponsesReading
from prompts.domain.items import Item, Reasoning
from prompts.domain.model_request import ModelRequest
from prompts.errors import InvalidImage, InvalidPrompt, PromptTooLong
from prompts.ports.chat_model import Answer

log = structlog.get_logger(__name__)


class OpenAIResponsesModel(OpenAIModel):
    """`ChatModel` over Responses.

    What a model thought earlier goes back to it as its server sealed it. A server that does not open that seal (another
    model, organisation or region has made it) refuses the whole window: then it is asked without thoughts, or the
    conversation were stuck for good.
    """

    path = "/responses"

    def compose_body(self, request: ModelRequest, items: Sequence[Item]) -> dict[str, Any]:
        """See `OpenAIModel`."""
        return compose_body(request, items)

    def compose_continuation(
        self, request: ModelRequest, items: Sequence[Item], prefix: str, way: Way
    ) -> dict[str, Any]:
        """See `OpenAIModel`."""
        return compose_continuation(request, items, prefix, way)

    def begin_reading(self, request: ModelRequest) -> ResponsesReading:
        """See `OpenAIModel`."""
        return ResponsesReading(request)

    def _open(self, request: ModelRequest, items: Sequence[Item], shown: str) -> AbstractAsyncContextManager[Answer]:
        """An answer whose text has begun needs no earlier thoughts."""
        thoughtless = [item for item in items if not isinstance(item, Reasoning)]
        if shown or len(thoughtless) == len(items):
            return super()._open(request, thoughtless, shown)
        return self._open_with_thoughts(request, items, thoughtless)

    @asynccontextmanager
    async def _open_with_thoughts(
        self, request: ModelRequest, items: Sequence[Item], thoughtless: Sequence[Item]
    ) -> AsyncIterator[Answer]:
        async with AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(super()._open(request, items, ""))
            except (PromptTooLong, InvalidImage):
                raise  # which is not the thoughts' fault
            except InvalidPrompt as error:
                log.info("thoughts_refused", code=error.code)
                answer = await stack.enter_async_context(super()._open(request, thoughtless, ""))
            yield answer
