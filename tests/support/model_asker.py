"""Asks a model through its port, and joins its signals into an answer."""

from dataclasses import dataclass, field
from typing import Any

from prompts.domain.items import Item, Logprob
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Argued, Called, CalledTool, Finished, Refused, Signal, Text, Thought
from prompts.errors import ServiceError
from prompts.ports.chat_model import ChatModel
from tests.support.items import said


@dataclass
class Heard:
    """The signals of one answer, and the error if there was one."""

    signals: list[Signal] = field(default_factory=list)
    error: ServiceError | None = None

    @property
    def text(self) -> str:
        return "".join(signal.text for signal in self.signals if isinstance(signal, Text))

    @property
    def refusal(self) -> str:
        return "".join(signal.text for signal in self.signals if isinstance(signal, Refused))

    @property
    def thought(self) -> str:
        return "".join(signal.text for signal in self.signals if isinstance(signal, Thought))

    @property
    def logprobs(self) -> list[Logprob]:
        return [entry for signal in self.signals if isinstance(signal, Text) for entry in signal.logprobs]

    @property
    def called(self) -> list[Called | CalledTool]:
        """The signals that begin a call."""
        return [signal for signal in self.signals if isinstance(signal, Called | CalledTool)]

    @property
    def calls(self) -> list[tuple[str, str]]:
        """The name and arguments of each call."""
        return [(call.name, self.get_arguments(call.index)) for call in self.called]

    @property
    def finished(self) -> Finished:
        """The end of the answer: there is one, and it is the last signal."""
        [finished] = [signal for signal in self.signals if isinstance(signal, Finished)]
        assert self.signals[-1] is finished
        return finished

    def get_arguments(self, index: int) -> str:
        """The arguments of one call. They must come after the call began."""
        beginning = next(
            n
            for n, signal in enumerate(self.signals)
            if isinstance(signal, Called | CalledTool) and signal.index == index
        )
        argued = [
            (n, signal.text)
            for n, signal in enumerate(self.signals)
            if isinstance(signal, Argued) and signal.index == index
        ]
        assert all(n > beginning for n, _ in argued)
        return "".join(text for _, text in argued)


class Asker:
    def __init__(self, model: ChatModel) -> None:
        self.model = model

    async def ask(self, *items: Item | str, shown: str = "", **asked: Any) -> Heard:
        """Ask; a string is a user's message. Raises the model's error."""
        heard = await self.try_to_ask(*items, shown=shown, **asked)
        if heard.error is not None:
            raise heard.error
        assert heard.finished is not None
        return heard

    async def try_to_ask(self, *items: Item | str, shown: str = "", **asked: Any) -> Heard:
        """Ask; an error becomes a part of the result."""
        heard = Heard()
        request = ModelRequest(model="stand-in", **asked)
        given = [said("user", item) if isinstance(item, str) else item for item in items]
        try:
            async with self.model.stream(request, given, shown=shown) as answer:
                async for signals in answer:
                    heard.signals += signals
        except ServiceError as error:
            heard.error = error
        return heard
