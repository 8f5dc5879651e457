"""A model that continues a list of items."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Signal, Text

Answer: TypeAlias = AsyncIterator[list[Signal]]
"""The model's signals in the groups they arrived in; ends after a `Finished`, or raises."""

Take: TypeAlias = Callable[[Sequence[Text]], bool]
"""Takes some more text, at once; False leaves it to whoever iterates."""


class TappedAnswer(AsyncIterator[list[Signal]]):
    """An `Answer` whose text can be had by calls: a token wakes no task, and passes no layers of coroutines."""

    __slots__ = ()

    @abstractmethod
    def tap(self, take: Take) -> None:
        """Give `take` what arrives while somebody waits for more.

        It is given groups of nothing but `Text`, and not before the first text was given by iteration. What it does not
        take is given by iteration, and so is all else: in order, each once. The event loop calls it, in no task's name
        and in no task's context.
        """


def tap(answer: Answer, take: Take) -> None:
    """The same of any answer: one that has no tap is only iterated."""
    if isinstance(answer, TappedAnswer):
        answer.tap(take)


class ChatModel(Protocol):
    """A model that continues a list of items."""

    def stream(
        self, request: ModelRequest, items: Sequence[Item], *, shown: str = ""
    ) -> AbstractAsyncContextManager[Answer]:
        """Ask for what follows on these items, and open the answer; leaving the context closes the connection.

        `shown`: what of this very answer is written already; it goes on after that, and only what is new is given.

        A `Finished` is given only when the model's server said that the answer has ended, and that it is an end; an
        answer with a call that was cut ends with the reason `length`, whatever the server called it. What fails before
        any signal was given has been tried again already. A `Sealed` is what the server wants back, with the item that
        follows it, when these items are continued; it comes whether or not thoughts are told.

        Raises, on entering or while iterating: RateLimited, UpstreamError, UpstreamTimeout, InvalidPrompt, NotFound.
        """

    async def list_models(self) -> Sequence[Model]:
        """The models that may be asked for, at most a minute old; empty when the model's server does not say."""
