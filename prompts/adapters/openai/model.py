"""What models have in common whose servers speak one of OpenAI's protocols: asking, and going on with an answer."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, ClassVar

import structlog
from openai import AsyncOpenAI

from prompts.adapters.openai.continuation import NewText, Way, Ways, get_prefix
from prompts.adapters.openai.model_list import KnownModels
from prompts.adapters.openai.streams import Patience, Reading, Streams
from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Signal
from prompts.errors import InvalidImage, InvalidPrompt, PromptTooLong
from prompts.history.model_input import drop_oldest
from prompts.ports.chat_model import Answer

log = structlog.get_logger(__name__)

# How often `truncation: auto` halves the input: what is still too long at a thirty-second of its length stays so.
MAX_CUTS = 5


class OpenAIModel(ABC):
    """`ChatModel` but for the protocol's words; the client is opened and closed by whoever made it."""

    path: ClassVar[str]
    """Where the protocol's requests go, below the base URL."""

    def __init__(self, client: AsyncOpenAI, patience: Patience) -> None:
        self._streams = Streams(client, self.path, patience)
        self._models = KnownModels(client.with_options(max_retries=0), within_s=patience.connect_s)
        self._ways = Ways(str(client.base_url))

    @abstractmethod
    def compose_body(self, request: ModelRequest, items: Sequence[Item]) -> dict[str, Any]:
        """The request's body."""

    @abstractmethod
    def compose_continuation(
        self, request: ModelRequest, items: Sequence[Item], prefix: str, way: Way
    ) -> dict[str, Any]:
        """The request's body for the rest of an answer that begins with `prefix`."""

    @abstractmethod
    def begin_reading(self, request: ModelRequest) -> Reading:
        """What reads the stream that answers this request."""

    def stream(
        self, request: ModelRequest, items: Sequence[Item], *, shown: str = ""
    ) -> AbstractAsyncContextManager[Answer]:
        """See `ChatModel.stream`."""
        if request.truncation == "auto":
            return aclosing(self._fit(request, items, shown))
        return self._open(request, items, shown)

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`. While the model's server cannot say, what it said last holds."""
        return await self._models.list()

    def _open(self, request: ModelRequest, items: Sequence[Item], shown: str) -> AbstractAsyncContextManager[Answer]:
        if shown:
            return aclosing(self._continue(request, items, shown))
        return self._streams.open(self.compose_body(request, items), self.begin_reading(request))

    async def _fit(
        self, request: ModelRequest, items: Sequence[Item], shown: str
    ) -> AsyncGenerator[list[Signal], None]:
        """The answer to as many of the items as the model can take: while they are too many, half of them go.

        Only the model's server can count them, so it is asked; it refuses before it computes anything.
        """
        for cuts_left in reversed(range(MAX_CUTS + 1)):
            has_begun = False
            try:
                async with self._open(request, items, shown) as answer:
                    async for signals in answer:
                        has_begun = True
                        yield signals
            except PromptTooLong:
                shorter = drop_oldest(items) if cuts_left and not has_begun else None
                if shorter is None:
                    raise
                log.info("input_truncated", items=len(items), kept=len(shorter))
                items = shorter
            else:
                return

    async def _continue(
        self, request: ModelRequest, items: Sequence[Item], shown: str
    ) -> AsyncGenerator[list[Signal], None]:
        """What is new of the answer, asked for in the first way that leads to one."""
        prefix = get_prefix(shown)
        ways = self._ways.list_for(request.model, prefix)
        for way in ways:
            is_last, reading, new = way is ways[-1], self.begin_reading(request), NewText(shown)
            body = self.compose_continuation(request, items, prefix, way)
            try:
                async with self._streams.open(body, reading) as answer:
                    self._ways.accept(request.model, way)
                    async for signals in answer:
                        fresh = new.take(signals)
                        if fresh and (is_last or not _has_only_thought(reading, new)):
                            yield fresh
            except InvalidPrompt as error:
                if is_last or isinstance(error, PromptTooLong | InvalidImage):  # which is not the way's fault
                    raise
                log.info("continuation_refused", way=way.value, code=error.code)
            else:
                if is_last or not _has_only_thought(reading, new):
                    return


def _has_only_thought(reading: Reading, new: NewText) -> bool:
    """Whether there was nothing but thinking: some of vLLM's parsers take a continuation for it (vllm#38749)."""
    return reading.has_begun and not new.has_begun
