"""A model whose failures its breaker counts."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Self

from typing_extensions import override

from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Signal
from prompts.errors import AnswerTooLarge, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from prompts.ports.chat_model import Answer, ChatModel, Take, TappedAnswer, tap
from prompts.run.breaker import Breaker


class GuardedModel:
    """`ChatModel` that tells the breaker how its calls went.

    A call counts as answered with its first signals, and as failed when the server fails, breaks off or is too slow.
    What a client is to blame for, a limit of requests, and a client that leaves count as neither. Nothing is refused
    here: a response that has begun, and one that is taken over, may always ask. `check` is for new ones.
    """

    def __init__(self, model: ChatModel, breaker: Breaker) -> None:
        self._model = model
        self._breaker = breaker

    def check(self) -> None:
        """Raises UpstreamUnavailable while the model's server is left alone."""
        wait_s = self._breaker.find_wait_s()
        if wait_s is not None:
            message = "The model's server does not answer at the moment. Send the request again later."
            raise UpstreamUnavailable(message, retry_after_s=wait_s)

    def stream(
        self, request: ModelRequest, items: Sequence[Item], *, shown: str = ""
    ) -> AbstractAsyncContextManager[Answer]:
        """See `ChatModel.stream`."""
        return _CountedAnswer(self._model.stream(request, items, shown=shown), self._breaker)

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`."""
        return await self._model.list_models()


class _CountedAnswer(TappedAnswer):
    """One answer, passed on as it is."""

    __slots__ = ("_answer", "_breaker", "_context", "_has_answered")

    def __init__(self, context: AbstractAsyncContextManager[Answer], breaker: Breaker) -> None:
        self._context = context
        self._breaker = breaker
        self._answer: Answer
        self._has_answered = False

    async def __aenter__(self) -> Self:
        try:
            self._answer = await self._context.__aenter__()
        except (UpstreamError, UpstreamTimeout) as error:
            _count(error, self._breaker)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._context.__aexit__(kind, error, trace)

    @override
    def tap(self, take: Take) -> None:
        """See `TappedAnswer`: it has answered when text is taken."""
        tap(self._answer, take)

    async def __anext__(self) -> list[Signal]:
        try:
            signals = await anext(self._answer)
        except (UpstreamError, UpstreamTimeout) as error:
            _count(error, self._breaker)
            raise
        if not self._has_answered:
            self._has_answered = True
            self._breaker.succeed()
        return signals


@contextmanager
def counted_failures(breaker: Breaker) -> Iterator[None]:
    """Tell the breaker of what the server fails at."""
    try:
        yield
    except (UpstreamError, UpstreamTimeout) as error:
        _count(error, breaker)
        raise


def _count(error: UpstreamError | UpstreamTimeout, breaker: Breaker) -> None:
    """Not an answer that is too large: a client's request may have led to it, and must not close the server to all."""
    if not isinstance(error, AnswerTooLarge):
        breaker.fail()
