"""The room of what a connection was sent: whatever becomes of its turns, all of it is given back."""

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from config.request_body import BodyRoom
from prompts.api.state import State
from prompts.consumers.consumer import ResponsesConsumer
from prompts.consumers.frames import PUSH
from prompts.consumers.socket import ClientGone, Opened, Socket
from prompts.consumers.sockets import LEAVING, SocketLimits, Sockets
from prompts.errors import Overloaded
from prompts.ports.api_keys import Caller
from prompts.usecases.remembered import HistoryLimits, MemoryRoom
from tests.support.fakes.observer import FakeObserver

ROOM = 10_000
LARGE = json.dumps({"type": "response.create", "input": "x" * 1_000})


class SlowKeys:
    """API keys in a Redis that does not answer."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def find_caller(self, key: str, *, ahead: int = 0) -> Caller | None:
        self.asked.set()
        await asyncio.Event().wait()
        return None


class DeadWire:
    """A connection that is closed."""

    async def send_frame(self, data: bytes, stream_id: str | None) -> None:
        raise ClientGone

    def push_frames(self, frames: Sequence[bytes], stream_id: str | None) -> bool:
        return False

    async def close_with(self, code: int) -> None:
        pass


class OpenWire(DeadWire):
    """One whose client reads."""

    def __init__(self) -> None:
        self.refusals: list[str] = []

    async def send_frame(self, data: bytes, stream_id: str | None) -> None:
        self.refusals.append(json.loads(data)["error"]["code"])


class StuckWire(DeadWire):
    """One whose client takes nothing."""

    async def send_frame(self, data: bytes, stream_id: str | None) -> None:
        await asyncio.Event().wait()


class Process:
    """The WebSockets of a process, and the room of what they were sent."""

    def __init__(self) -> None:
        limits = SocketLimits(True, 10, 10, 3_600, HistoryLimits(1_000, 1_000), max_owner_bytes=5 * len(LARGE))
        self.room = BodyRoom(ROOM)
        self.sockets = Sockets(limits, memory=MemoryRoom(1_000), bodies=self.room, observer=FakeObserver())
        self.keys = SlowKeys()

    def open(self, wire: DeadWire, owner: str = "alice") -> Socket:
        state = cast(State, SimpleNamespace(api_keys=self.keys, origins=None))
        opened = Opened(owner, "req", {"authorization": "Bearer x"}, always_streams=False)
        return Socket(opened, cast(Any, wire), state=state, sockets=self.sockets)

    def check_all_is_free(self) -> None:
        self.room.take(ROOM)
        with pytest.raises(Overloaded):
            self.room.take(1)


async def test_a_turn_that_never_took_its_first_step_gives_its_room_back() -> None:
    """Its client left at the moment when the turn before it ended."""
    process = Process()
    socket = process.open(DeadWire())
    await socket.take(LARGE)  # nobody has run it yet
    await socket.leave()
    process.check_all_is_free()


async def test_turns_that_run_and_turns_that_wait_do() -> None:
    process = Process()
    socket = process.open(DeadWire())
    for _ in range(4):
        await socket.take(LARGE)
    await process.keys.asked.wait()
    await socket.leave()
    process.check_all_is_free()


@pytest.mark.parametrize("wire", [DeadWire(), StuckWire()])
async def test_turns_whose_refusal_cannot_be_told_do(wire: DeadWire) -> None:
    process = Process()
    socket = process.open(wire)
    for _ in range(4):
        await socket.take(LARGE)
    await process.keys.asked.wait()
    socket.end(LEAVING)
    for _ in range(5):
        await asyncio.sleep(0)
    process.room.take(ROOM - len(LARGE))  # all but that of the turn that runs: what waited is held no longer
    process.room.give_back(ROOM - len(LARGE))
    await socket.leave()
    process.check_all_is_free()


async def test_one_owners_turns_leave_room_to_others() -> None:
    process = Process()
    wires = [OpenWire() for _ in range(3)]
    first, second, bobs = (
        process.open(wire, owner) for wire, owner in zip(wires, ("alice", "alice", "bob"), strict=True)
    )
    for socket in (first, first, first, second, second, second, bobs, bobs):
        await socket.take(LARGE)
    assert [wire.refusals for wire in wires] == [[], ["websocket_queue_full"], []]
    await first.leave()
    await second.take(LARGE)
    assert len(wires[1].refusals) == 1
    await second.leave()
    await bobs.leave()
    process.check_all_is_free()


async def test_a_long_frame_is_not_interrupted_by_what_goes_out_by_a_call() -> None:
    """Pieces of two messages must not mix (RFC 6455, 5.4)."""
    pushed: list[bytes] = []
    room = asyncio.Event()
    consumer = ResponsesConsumer()

    async def send(_: object) -> None:
        assert not consumer.push_frames([b'{"n":1}'], None)
        room.set()
        await asyncio.Event().wait()

    async def receive() -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    def push(frames: Sequence[bytes]) -> bool:
        pushed.extend(frames)
        return True

    serving = asyncio.create_task(consumer({"type": "websocket", "extensions": {PUSH: {"push": push}}}, receive, send))
    await asyncio.sleep(0)
    assert consumer.push_frames([b'{"n":0}'], "lane")
    sending = asyncio.create_task(consumer.send_frame(b'{"n":2}', None))
    async with asyncio.timeout(5):
        await room.wait()
    assert pushed == [b'{"n":0,"stream_id":"lane"}']
    for task in (sending, serving):
        task.cancel()
    await asyncio.gather(sending, serving, return_exceptions=True)
