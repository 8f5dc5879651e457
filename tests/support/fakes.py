"""The ports of the core, written by hand: a store and a model that do what a test's script says, and remember it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from prompts.adapters.sealing import AesGcmSealer
from prompts.answer.events import Narration, encode
from prompts.domain.items import (
    FunctionCall,
    FunctionCallOutput,
    GivenPart,
    InputText,
    Item,
    Message,
    OutputText,
    Role,
)
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.responses import ModelInput, Response, Status
from prompts.domain.signals import Signal, Text, unpack
from prompts.errors import TailLost, unknown_response
from prompts.ports.chat_model import Answer
from prompts.ports.event_log import Entry, Group, Watch
from prompts.ports.observer import Happening
from prompts.ports.responses import (
    Admitted,
    Claim,
    Draft,
    Outcome,
    Seized,
    StoredResponse,
)
from prompts.run.brief import Brief

RESPONSE_ID = "resp_0a" + "0" * 30
# `response.created` is 0, `response.in_progress` is 1.
LAST_OPENING_NUMBER = 1

# What a call is to meet: an error to raise, something to wait for, or both.
Fate: TypeAlias = Exception | asyncio.Event | tuple[asyncio.Event, Exception] | None
# A step of the model's: signals it says at once, an error, something it waits for, or something it does.
Step: TypeAlias = list[Signal] | Exception | asyncio.Event | Callable[[], Awaitable[None]]


def said(role: Role, text: str) -> Message:
    """A message as a model is given it."""
    part = OutputText(text) if role == "assistant" else InputText(text)
    return Message(id="", status="completed", role=role, content=[part])


def called(call_id: str, name: str = "ping", arguments: str = "{}") -> FunctionCall:
    """A call of the model's, as it is given it again."""
    return FunctionCall(id="", status="completed", call_id=call_id, name=name, arguments=arguments)


def returned(call_id: str, output: str | list[GivenPart]) -> FunctionCallOutput:
    """What that call gave."""
    return FunctionCallOutput(id="", status="completed", call_id=call_id, output=output)


def make_draft() -> Draft:
    """A response to `Hello`, in no conversation."""
    hello = Message(id="msg_0a" + "0" * 30, status="completed", role="user", content=[InputText("Hello")])
    return Draft(
        response=Response(id=RESPONSE_ID, created_at=1_700_000_000, status="in_progress", model="stand-in"),
        model_request=ModelRequest(model="stand-in"),
        input=[hello],
        anchor=None,
        claim=Claim(body_hash="of Hello"),
        model_input=make_model_input(),
        last_opening_number=LAST_OPENING_NUMBER,
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


def make_brief(*, shown: Sequence[str] = (), epoch: str = "1") -> Brief:
    """What the run of that response is given; `shown` are the pieces of an answer that is taken over."""
    draft = make_draft()
    narration = Narration(draft.response)
    opening = narration.opening()
    narration.tell([Text(piece) for piece in shown])
    return Brief(
        response=draft.response,
        owner="alice",
        epoch=epoch,
        input=draft.input,
        model_request=draft.model_request,
        model_input=draft.model_input,
        window=[],
        narration=narration,
        opening=() if shown else opening,
    )


async def meet(fates: list[Fate]) -> None:
    """The next fate of the list, if any."""
    match fates.pop(0) if fates else None:
        case asyncio.Event() as event:
            await event.wait()
        case Exception() as error:
            raise error
        case (event, error):
            await event.wait()
            raise error


@dataclass(frozen=True)
class Append:
    """One group as the store took it."""

    after: int
    last_number: int
    signals: list[Signal]
    at: float


SEALER = AesGcmSealer("a secret for tests")


@dataclass
class FakeCalibration:
    """`Calibration` that says what a test sets, and remembers what it was told."""

    factor: float = 1.0
    learned: list[tuple[str, int, int]] = field(default_factory=list)
    """Model, estimated, reported."""

    def get_factor(self, model: str) -> float:
        """See `Calibration.get_factor`."""
        return self.factor

    def learn(self, model: str, *, estimated: int, reported: int) -> None:
        """See `Calibration.learn`."""
        self.learned.append((model, estimated, reported))


@dataclass
class FakeObserver:
    """`Observer` that remembers what happened."""

    noticed: list[Happening] = field(default_factory=list)

    def notice(self, happening: Happening) -> None:
        """See `Observer.notice`."""
        self.noticed.append(happening)


@dataclass
class FakeResponseStore:
    """`ResponseStore` for one response. Each call takes the next fate of its list, if any.

    Like Redis it refuses a group that does not join on to what is there.
    """

    append_fates: list[Fate] = field(default_factory=list)
    commit_fates: list[Fate] = field(default_factory=list)
    release_fates: list[Fate] = field(default_factory=list)
    get_fates: list[Fate] = field(default_factory=list)
    released: list[bool] = field(default_factory=list)
    """Whether it was broken, for each time it was handed over."""
    appends: list[Append] = field(default_factory=list)
    seized: Seized | Status | None = None
    """What `seize` gives."""
    outcome: Outcome | None = None
    last_number: int = LAST_OPENING_NUMBER
    """Where the log ends."""
    seizures: int = 0
    tries: int = 0
    """How many writes were asked for, those that failed included."""
    called: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a call has come in."""

    async def admit(self, draft: Draft, *, owner: str, history_tokens: int, lease_s: float) -> Admitted:
        """See `ResponseStore.admit`."""
        return Admitted(response=draft.response, epoch="1", window=[], model_input=draft.model_input)

    async def append(self, response_id: str, group: Group, *, epoch: str, lease_s: float) -> None:
        """See `ResponseStore.append`."""
        await self._meet(self.append_fates)
        self._write(group)

    async def commit(self, outcome: Outcome, last: Group, *, owner: str, epoch: str) -> None:
        """See `ResponseStore.commit`."""
        await self._meet(self.commit_fates)
        assert self.outcome is None, "a response ends once"
        self._write(last)
        self.outcome = outcome

    async def get(self, response_id: str, *, owner: str) -> StoredResponse:
        """See `ResponseStore.get`."""
        await meet(self.get_fates)
        if self.outcome is None:
            return StoredResponse("in_progress", encode(make_draft().response))
        return StoredResponse(self.outcome.response.status, self.outcome.result, self.outcome.failure)

    async def seize(self, response_id: str, *, owner: str | None, lease_s: float) -> Seized | Status | None:
        """See `ResponseStore.seize`."""
        self.seizures += 1
        return self.seized

    async def release(self, response_id: str, *, epoch: str, is_broken: bool) -> None:
        """See `ResponseStore.release`."""
        await self._meet(self.release_fates)
        self.released.append(is_broken)

    async def discard(self, response_id: str) -> None:
        """See `ResponseStore.discard`."""
        self.outcome = None

    async def delete(self, response_id: str, *, owner: str) -> None:
        """Nothing is deleted here."""
        raise unknown_response(response_id)

    async def list_lost(self) -> Sequence[str]:
        """Nothing is lost here."""
        return []

    def lose_tail(self, last_number: int) -> None:
        """A fail-over to a replica that lagged behind: the log ends here."""
        self.appends = [append for append in self.appends if append.last_number <= last_number]
        self.last_number = last_number

    def _write(self, group: Group) -> None:
        if self.last_number < group.after:
            raise TailLost(self.last_number)
        told = unpack(group.packed) if group.packed else []
        self.appends.append(Append(group.after, group.last_number, told, asyncio.get_running_loop().time()))
        self.last_number = max(self.last_number, group.last_number)

    async def _meet(self, fates: list[Fate]) -> None:
        self.tries += 1
        self.called.set()
        await meet(fates)


@dataclass
class ScriptedModel:
    """`ChatModel` that goes through its steps; `is_closed` says that the connection to it is."""

    steps: Sequence[Step]
    answers: list[Sequence[Step]] = field(default_factory=list)
    """What it goes through first, one for each time it is asked."""
    asked: list[Sequence[Item]] = field(default_factory=list)
    requests: list[ModelRequest] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """For each call, what of the answer was written already."""
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


class FakeEventLog:
    """`EventLog` of what a fake store was given, two entries a read; each read takes the next fate, if any."""

    def __init__(self, store: FakeResponseStore) -> None:
        self._store = store
        self.read_fates: list[Fate] = []
        self.is_read = False
        self.grown = asyncio.Event()
        """Set by whoever writes; a reader that waits without it fails after its limit."""

    async def get_echo(self, response_id: str, *, owner: str) -> Response:
        """See `EventLog.get_echo`."""
        await meet(self.read_fates)
        return make_draft().response

    async def read(self, response_id: str, *, after: int) -> Sequence[Entry]:
        """See `EventLog.read`."""
        self.is_read = True
        await meet(self.read_fates)
        groups = [Entry(append.last_number, append.signals, is_last=False) for append in self._told()]
        *rest, last = [Entry(LAST_OPENING_NUMBER, [], is_last=False), *groups]
        entries = [*rest, Entry(last.last_number, last.signals, is_last=self._store.outcome is not None)]
        return [entry for entry in entries if entry.last_number > after][:2]

    @asynccontextmanager
    async def watch(self, response_id: str) -> AsyncIterator[Watch]:
        """See `EventLog.watch`."""
        yield FakeWatch(self.grown)

    def _told(self) -> Sequence[Append]:
        """Without those that only kept the lease."""
        return [append for append in self._store.appends if append.last_number > append.after]


class FakeWatch:
    """`Watch` of an event."""

    def __init__(self, grown: asyncio.Event) -> None:
        self._grown = grown

    async def wait(self, within_s: float) -> bool:
        """See `Watch.wait`."""
        try:
            async with asyncio.timeout(within_s):
                await self._grown.wait()
        except TimeoutError:
            return False
        self._grown.clear()
        return True

    async def wait_released(self, within_s: float) -> bool:
        """See `Watch.wait_released`."""
        raise AssertionError("nobody let it go")
