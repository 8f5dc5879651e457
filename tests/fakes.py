"""The ports of the core, written by hand: a store and a model that do what a test's script says, and remember it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from prompts.domain import InputText, Message, Model, ModelInput, ModelMessage, ModelRequest, Response, Status
from prompts.errors import unknown_response
from prompts.events import Signal, unpack
from prompts.ports import Admitted, Answer, Claim, Draft, Outcome, Seized, StoredResponse

RESPONSE_ID = "resp_0a" + "0" * 30

# What a call is to meet: an error to raise, or something to wait for.
Fate: TypeAlias = Exception | asyncio.Event | None
# A step of the model's: signals it says at once, an error, something it waits for, or something it does.
Step: TypeAlias = list[Signal] | Exception | asyncio.Event | Callable[[], Awaitable[None]]


def make_draft() -> Draft:
    """A response to `Hello`, in no conversation."""
    hello = Message(id="msg_0a" + "0" * 30, status="completed", role="user", content=[InputText("Hello")])
    return Draft(
        response=Response(id=RESPONSE_ID, created_at=1_700_000_000, status="in_progress", model="stand-in"),
        model_request=ModelRequest(model="stand-in"),
        input=[hello],
        conversation_id=None,
        previous_response_id=None,
        claim=Claim(body_hash="of Hello"),
        last_opening_number=1,
    )


def make_model_input() -> ModelInput:
    """The account of a turn without a history."""
    return ModelInput(
        history_items=0,
        history_tokens=0,
        input_items=1,
        input_tokens=1,
        instructions_tokens=0,
        dropped_items=0,
        history_budget_tokens=0,
    )


@dataclass(frozen=True)
class Append:
    """One group as the store took it."""

    last_number: int
    signals: list[Signal]
    at: float


@dataclass
class FakeResponseStore:
    """`ResponseStore` for one response. Each call to `append` and `commit` takes the next fate of its list, if any."""

    append_fates: list[Fate] = field(default_factory=list)
    commit_fates: list[Fate] = field(default_factory=list)
    appends: list[Append] = field(default_factory=list)
    outcome: Outcome | None = None
    last_number: int = -1
    tries: int = 0
    """How many calls there were, those that failed included."""
    called: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a call has come in."""

    async def admit(self, draft: Draft, *, owner: str, history_tokens: int, lease_s: float) -> Admitted:
        """See `ResponseStore.admit`."""
        return Admitted(response=draft.response, epoch=1, window=[], position=0)

    async def append(self, response_id: str, *, epoch: int, lease_s: float, last_number: int, signals: bytes) -> None:
        """See `ResponseStore.append`."""
        await self._meet(self.append_fates)
        told = unpack(signals) if signals else []
        self.appends.append(Append(last_number, told, asyncio.get_running_loop().time()))

    async def commit(self, outcome: Outcome, *, owner: str, epoch: int, last_number: int, signals: bytes) -> None:
        """See `ResponseStore.commit`."""
        await self._meet(self.commit_fates)
        assert self.outcome is None, "a response ends once"
        self.outcome, self.last_number = outcome, last_number
        self.appends.append(Append(last_number, unpack(signals), asyncio.get_running_loop().time()))

    async def get(self, response_id: str, *, owner: str) -> StoredResponse:
        """See `ResponseStore.get`."""
        if self.outcome is None:
            raise unknown_response(response_id)
        return StoredResponse(self.outcome.response.status, self.outcome.result, self.outcome.failure)

    async def seize(self, response_id: str, *, owner: str | None, lease_s: float) -> Seized | Status | None:
        """Nobody takes anything away here; see `Run.let_go`."""
        return None

    async def delete(self, response_id: str, *, owner: str) -> None:
        """Nothing is deleted here."""
        raise unknown_response(response_id)

    async def list_lost(self) -> Sequence[str]:
        """Nothing is lost here."""
        return []

    async def _meet(self, fates: list[Fate]) -> None:
        self.tries += 1
        self.called.set()
        match fates.pop(0) if fates else None:
            case asyncio.Event() as event:
                await event.wait()
            case Exception() as error:
                raise error


@dataclass
class ScriptedModel:
    """`ChatModel` that goes through its steps; `is_closed` says that the connection to it is."""

    steps: Sequence[Step]
    asked: list[Sequence[ModelMessage]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """For each call, what of the answer was written already."""
    is_closed: bool = False

    @asynccontextmanager
    async def stream(
        self, request: ModelRequest, messages: Sequence[ModelMessage], *, shown: str = ""
    ) -> AsyncIterator[Answer]:
        """See `ChatModel.stream`."""
        self.asked.append(messages)
        self.shown.append(shown)
        try:
            async with aclosing(self._answer()) as answer:
                yield answer
        finally:
            self.is_closed = True

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`."""
        return [Model("stand-in")]

    async def _answer(self) -> AsyncGenerator[list[Signal], None]:
        for step in self.steps:
            match step:
                case asyncio.Event():
                    await step.wait()
                case Exception():
                    raise step
                case list():
                    yield step
                case _:
                    await step()
