"""A model whose calls an `Observer` is told of: for answers, summaries and follow-ups alike."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Finished, Signal, Summarized, Thought, get_size
from prompts.domain.usage import Usage
from prompts.errors import ServiceError
from prompts.ports.chat_model import Answer, ChatModel
from prompts.ports.observer import ModelCalled, ModelsListed, Observer


class MeasuredModel:
    """`ChatModel` that adds nothing but a report of each call."""

    def __init__(self, model: ChatModel, observer: Observer) -> None:
        self._model = model
        self._observer = observer
        self._listed: Sequence[Model] = ()

    def stream(
        self, request: ModelRequest, items: Sequence[Item], *, shown: str = ""
    ) -> AbstractAsyncContextManager[Answer]:
        """See `ChatModel.stream`."""
        return self._stream(request, items, shown)

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`."""
        listed = await self._model.list_models()
        if listed is not self._listed:  # the same object until the server is asked again
            self._listed = listed
            self._observer.notice(ModelsListed([model.id for model in listed]))
        return listed

    @asynccontextmanager
    async def _stream(self, request: ModelRequest, items: Sequence[Item], shown: str) -> AsyncIterator[Answer]:
        call = _Call(request.model)
        try:
            async with (
                self._model.stream(request, items, shown=shown) as answer,
                aclosing(call.listen(answer)) as heard,
            ):
                yield heard
        except ServiceError as error:
            call.code = error.code
            raise
        finally:
            self._observer.notice(call.report())


class _Call:
    """One call: when it began, when the model said its first word, and how it ended."""

    def __init__(self, model: str) -> None:
        self.code: str | None = None
        self._model = model
        self._began = time.perf_counter()
        self._first_word: float | None = None
        self._has_shown_thought = False
        self._ended: float | None = None
        self._usage: Usage | None = None

    async def listen(self, answer: Answer) -> AsyncGenerator[list[Signal], None]:
        """Pass the answer on as it is."""
        async for signals in answer:
            if self._first_word is None and any(map(get_size, signals)):
                self._first_word = time.perf_counter()
                self._has_shown_thought = isinstance(signals[0], Thought | Summarized)
            match signals:
                case [*_, Finished(_, usage)]:
                    self._ended, self._usage = time.perf_counter(), usage
            yield signals

    def report(self) -> ModelCalled:
        """What is told of it."""
        took_s = (self._ended or time.perf_counter()) - self._began
        if self._usage is None or self._ended is None or self._first_word is None:
            return ModelCalled(self._model, took_s, self.code, self._usage, None, None)
        written = self._usage.output_tokens
        if not self._has_shown_thought:  # it came before the first word
            written -= self._usage.output_tokens_details.reasoning_tokens
        return ModelCalled(self._model, took_s, self.code, self._usage, self._ended - self._first_word, written)
