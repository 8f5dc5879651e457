"""A model whose calls an `Observer` is told of: for answers, summaries and follow-ups alike."""

import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from typing_extensions import override

from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Finished, Signal, Summarized, Thought, get_size
from prompts.domain.usage import Usage
from prompts.errors import ServiceError
from prompts.ports.chat_model import Answer, ChatModel, Take, TappedAnswer, tap
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
        return _MeasuredAnswer(self._model.stream(request, items, shown=shown), request.model, self._observer)

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`."""
        listed = await self._model.list_models()
        if listed is not self._listed:  # the same object until the server is asked again
            self._listed = listed
            self._observer.notice(ModelsListed([model.id for model in listed]))
        return listed


class _MeasuredAnswer(TappedAnswer):
    """One answer, passed on as it is, and reported when it is left."""

    __slots__ = (
        *("_answer", "_began", "_context", "_ended", "_first_word", "_has_shown_thought", "_model"),
        *("_observer", "_usage"),
    )

    def __init__(self, context: AbstractAsyncContextManager[Answer], model: str, observer: Observer) -> None:
        self._context = context
        self._model = model
        self._observer = observer
        self._answer: Answer
        self._began = time.perf_counter()
        self._first_word: float | None = None
        """When the model said it."""
        self._has_shown_thought = False
        self._ended: float | None = None
        self._usage: Usage | None = None

    async def __aenter__(self) -> Self:
        try:
            self._answer = await self._context.__aenter__()
        except BaseException as error:
            self._report(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._context.__aexit__(kind, error, trace)
        finally:
            self._report(error)

    @override
    def tap(self, take: Take) -> None:
        """See `TappedAnswer`: neither the first word nor the end is taken."""
        tap(self._answer, take)

    async def __anext__(self) -> list[Signal]:
        signals = await anext(self._answer)
        if self._first_word is None and any(map(get_size, signals)):
            self._first_word = time.perf_counter()
            self._has_shown_thought = isinstance(signals[0], (Thought, Summarized))
        if signals and isinstance(finished := signals[-1], Finished):
            self._ended, self._usage = time.perf_counter(), finished.usage
        return signals

    def _report(self, error: BaseException | None) -> None:
        self._observer.notice(self._sum_up(error.code if isinstance(error, ServiceError) else None))

    def _sum_up(self, code: str | None) -> ModelCalled:
        took_s = (self._ended or time.perf_counter()) - self._began
        if self._usage is None or self._ended is None or self._first_word is None:
            return ModelCalled(self._model, took_s, code, self._usage, None, None)
        written = self._usage.output_tokens
        if not self._has_shown_thought:  # it came before the first word
            written -= self._usage.output_tokens_details.reasoning_tokens
        return ModelCalled(self._model, took_s, code, self._usage, self._ended - self._first_word, written)
