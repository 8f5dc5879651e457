"""A model whose failures its breaker counts."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Signal
from prompts.errors import AnswerTooLarge, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from prompts.ports.chat_model import Answer, ChatModel
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

    @asynccontextmanager
    async def stream(self, request: ModelRequest, items: Sequence[Item], *, shown: str = "") -> AsyncIterator[Answer]:
        """See `ChatModel.stream`."""
        async with AsyncExitStack() as stack:
            with counted_failures(self._breaker):
                answer = await stack.enter_async_context(self._model.stream(request, items, shown=shown))
            yield self._count(answer)

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`."""
        return await self._model.list_models()

    async def _count(self, answer: Answer) -> AsyncIterator[list[Signal]]:
        has_answered = False
        with counted_failures(self._breaker):
            async for signals in answer:
                if not has_answered:
                    has_answered = True
                    self._breaker.succeed()
                yield signals


@contextmanager
def counted_failures(breaker: Breaker) -> Iterator[None]:
    """Tell the breaker of what the server fails at."""
    try:
        yield
    except AnswerTooLarge:  # a client's request may have led to it, and must not close the server to all others
        raise
    except (UpstreamError, UpstreamTimeout):
        breaker.fail()
        raise
