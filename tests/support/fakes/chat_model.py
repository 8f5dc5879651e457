"""`ChatModel` that follows a script."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Signal
from prompts.ports.chat_model import Answer

# One step of a script: signals to say at once, an error to raise, an event to wait for, or a function to call.
Step: TypeAlias = list[Signal] | Exception | asyncio.Event | Callable[[], Awaitable[None]]


@dataclass
class ScriptedModel:
    """`ChatModel` that takes its steps in order. `is_closed`: whether the last connection was closed."""

    steps: Sequence[Step]
    answers: list[Sequence[Step]] = field(default_factory=list)
    """The steps of its first answers, one list a call. All later answers take `steps`."""
    asked: list[Sequence[Item]] = field(default_factory=list)
    requests: list[ModelRequest] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """The `shown` of each call."""
    is_closed: bool = False

    @asynccontextmanager
    async def stream(self, request: ModelRequest, items: Sequence[Item], *, shown: str = "") -> AsyncIterator[Answer]:
        """See `ChatModel.stream`."""
        self.asked.append(items)
        self.requests.append(request)
        self.shown.append(shown)
        try:
            async with aclosing(self._answer(self.answers.pop(0) if self.answers else self.steps)) as answer:
                yield answer
        finally:
            self.is_closed = True

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`."""
        return [Model("stand-in")]

    async def _answer(self, steps: Sequence[Step]) -> AsyncGenerator[list[Signal], None]:
        for step in steps:
            match step:
                case asyncio.Event():
                    await step.wait()
                case Exception():
                    raise step
                case list():
                    yield step
                case _:
                    await step()
