"""A model that is asked, and what it says, put together."""

from dataclasses import dataclass, field
from typing import Any

from prompts.domain.items import Item, Logprob
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Argued, Called, Finished, Refused, Signal, Text, Thought
from prompts.errors import ServiceError
from prompts.ports.chat_model import ChatModel
from tests.support.fakes import said


@dataclass
class Heard:
    """What a model has said, put together."""

    signals: list[Signal] = field(default_factory=list)
    error: ServiceError | None = None

    @property
    def text(self) -> str:
        """Its text."""
        return "".join(signal.text for signal in self.signals if isinstance(signal, Text))

    @property
    def refusal(self) -> str:
        """Its refusal."""
        return "".join(signal.text for signal in self.signals if isinstance(signal, Refused))

    @property
    def thought(self) -> str:
        """What it thought."""
        return "".join(signal.text for signal in self.signals if isinstance(signal, Thought))

    @property
    def logprobs(self) -> list[Logprob]:
        """The likelihoods of its tokens."""
        return [entry for signal in self.signals if isinstance(signal, Text) for entry in signal.logprobs]

    @property
    def called(self) -> list[Called]:
        """Its calls, as they began."""
        return [signal for signal in self.signals if isinstance(signal, Called)]

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Its calls: names and arguments."""
        return [(call.name, self.get_arguments(call.index)) for call in self.called]

    @property
    def finished(self) -> Finished:
        """How it ended: once, and last."""
        [finished] = [signal for signal in self.signals if isinstance(signal, Finished)]
        assert self.signals[-1] is finished
        return finished

    def get_arguments(self, index: int) -> str:
        """Those of one call, which came after it began."""
        beginning = next(
            n for n, signal in enumerate(self.signals) if isinstance(signal, Called) and signal.index == index
        )
        argued = [
            (n, signal.text)
            for n, signal in enumerate(self.signals)
            if isinstance(signal, Argued) and signal.index == index
        ]
        assert all(n > beginning for n, _ in argued)
        return "".join(text for _, text in argued)


class Asker:
    """Asks one model."""

    def __init__(self, model: ChatModel) -> None:
        self.model = model

    async def ask(self, *items: Item | str, shown: str = "", **asked: Any) -> Heard:
        """All it says, which ends well; a string is a user's message."""
        heard = await self.try_to_ask(*items, shown=shown, **asked)
        if heard.error is not None:
            raise heard.error
        assert heard.finished is not None
        return heard

    async def try_to_ask(self, *items: Item | str, shown: str = "", **asked: Any) -> Heard:
        """All it says, and what went wrong."""
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
