"""What models have in common whose servers speak one of OpenAI's protocols: asking, and going on with an answer."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, ClassVar

import structlog
from msgspec.structs import replace
from openai import AsyncOpenAI

from prompts.adapters.openai.continuation import NewText, Way, Ways, get_prefix
from prompts.adapters.openai.learned import OTHER_NAMES, ServerMemory, Traits, learn, leave_out
from prompts.adapters.openai.model_list import KnownModels
from prompts.adapters.openai.quirks import NO_QUIRKS, ModelQuirks
from prompts.adapters.openai.streams import Patience, Reading, Streams
from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Signal
from prompts.errors import InvalidImage, InvalidPrompt, PromptTooLong, ServiceError
from prompts.history.model_input import drop_oldest
from prompts.ports.chat_model import Answer

log = structlog.get_logger(__name__)

# How often `truncation: auto` halves the input: what is still too long at a thirty-second of its length stays so.
MAX_CUTS = 5


@dataclass(slots=True)
class ModelQuestion:
    """`Question` to one model, composed as far as is known how its server wants to be asked."""

    model: str
    memory: ServerMemory
    compose_body: Callable[[Traits], dict[str, Any]]
    read: Callable[[], Reading]
    may_be_empty: bool
    reading: Reading | None = None
    """What reads the latest answer."""
    _tried: Traits | None = None

    def compose(self) -> dict[str, Any]:
        """See `Question`."""
        traits = self._tried or self.memory.get(self.model)
        return leave_out(self.compose_body(traits), traits.refused_fields)

    def begin_reading(self) -> Reading:
        """See `Question`."""
        self.reading = self.read()
        return self.reading

    def accept(self) -> None:
        """See `Question`."""
        if self._tried is not None:
            self.memory.set(self.model, self._tried)
            self._tried = None

    def adapt(self, error: ServiceError, body: dict[str, Any]) -> bool:
        """See `Question`."""
        learned = learn(self._tried or self.memory.get(self.model), error, body)
        self._tried = learned or self._tried
        return learned is not None


class OpenAIModel(ABC):
    """`ChatModel` but for the protocol's words; the client is opened and closed by whoever made it."""

    path: ClassVar[str]
    """Where the protocol's requests go, below the base URL."""

    def __init__(self, client: AsyncOpenAI, patience: Patience, quirks: ModelQuirks = NO_QUIRKS) -> None:
        self._quirks = quirks
        self._memory = ServerMemory()
        self._streams = Streams(client, self.path, patience)
        single = client.with_options(max_retries=0)
        self.models = KnownModels(single, within_s=patience.connect_s, aliases=quirks.aliases)
        """Those of the server, and the names they are known under."""
        self._ways = Ways(str(client.base_url))

    @abstractmethod
    def compose_body(self, request: ModelRequest, items: Sequence[Item], traits: Traits) -> dict[str, Any]:
        """The request's body."""

    @abstractmethod
    def compose_continuation(self, body: dict[str, Any], prefix: str, way: Way) -> dict[str, Any]:
        """The request's body for the rest of an answer that begins with `prefix`, made of the one for all of it."""

    @abstractmethod
    def begin_reading(self, request: ModelRequest, items: Sequence[Item]) -> Reading:
        """What reads the stream that answers this request about these items."""

    def stream(
        self, request: ModelRequest, items: Sequence[Item], *, shown: str = ""
    ) -> AbstractAsyncContextManager[Answer]:
        """See `ChatModel.stream`."""
        if (name := self.models.resolve(request.model)) != request.model:
            request = replace(request, model=name)
        if request.truncation == "auto":
            return aclosing(self._fit(request, items, shown))
        return self._open(request, items, shown)

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`. While the model's server cannot say, what it said last holds."""
        return await self.models.list()

    def _open(self, request: ModelRequest, items: Sequence[Item], shown: str) -> AbstractAsyncContextManager[Answer]:
        if shown:
            return aclosing(self._continue(request, items, shown))
        return self._streams.open(self._compose_question(request, items))

    def _compose_question(
        self, request: ModelRequest, items: Sequence[Item], begun: tuple[str, Way] | None = None
    ) -> ModelQuestion:
        """One question; `begun` is what of the answer there is already, and how to ask for the rest."""

        def compose(traits: Traits) -> dict[str, Any]:
            body = self.compose_body(request, items, traits)
            return self._with_options(request, self.compose_continuation(body, *begun) if begun else body)

        def read() -> Reading:
            return self.begin_reading(request, items)

        return ModelQuestion(request.model, self._memory, compose, read, may_be_empty=begun is not None)

    def _with_options(self, request: ModelRequest, body: dict[str, Any]) -> dict[str, Any]:
        """The body with the server's own options: the operator's, where the client's request does not say otherwise.

        What the client wishes of the server's cache goes with them: a server that knows no such field may refuse it.
        """
        if not (request.options or request.cache_hints or self._quirks.options):
            return body
        asked = {name: value for name, value in (request.options or {}).items() if name in self._quirks.option_names}
        options = {**self._quirks.options, **asked, **(request.cache_hints or {})}
        return {**{name: value for name, value in options.items() if OTHER_NAMES.get(name) not in body}, **body}

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
            is_last, new = way is ways[-1], NewText(shown)
            question = self._compose_question(request, items, (prefix, way))
            try:
                async with self._streams.open(question) as answer:
                    async for signals in answer:
                        self._ways.accept(request.model, way)
                        fresh = new.take(signals)
                        if fresh and (is_last or not _has_only_thought(question.reading, new)):
                            yield fresh
            except InvalidPrompt as error:
                if is_last or isinstance(error, (PromptTooLong, InvalidImage)):  # which is not the way's fault
                    raise
                log.info("continuation_refused", way=way.value, code=error.code)
            else:
                if is_last or not _has_only_thought(question.reading, new):
                    return


def _has_only_thought(reading: Reading | None, new: NewText) -> bool:
    """Whether there was nothing but thinking: some of vLLM's parsers take a continuation for it (vllm#38749)."""
    return reading is not None and reading.has_begun and not new.has_begun
