"""The two backends of the stores: a real Valkey, and the memory of the fakes.

A suite runs on each of `BACKENDS`. What no port can do, such as losing a lease, is a method of `Backend`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.nudges import Nudges
from prompts.adapters.redis.scripts import read_fields
from prompts.domain import ids
from tests.support.builders import Stores, lose_lease, open_stores
from tests.support.fakes.conversation_store import FakeConversationStore
from tests.support.fakes.eraser import FakeEraser
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.memory import Memory
from tests.support.fakes.reader_marks import FakeReaderMarks
from tests.support.fakes.response_notes import FakeResponseNotes
from tests.support.fakes.response_store import FakeResponseStore

REPLICA = "rep_1"
# Messages take milliseconds; this is the limit on a very busy machine.
HEARD_S = 20.0


@dataclass(frozen=True)
class LetGo:
    """A response that the replica must stop writing, and the epoch that took it; empty when the response is gone."""

    response_id: str
    epoch: str


@dataclass
class Told:
    """All messages to let a response go, in order."""

    _heard: list[LetGo] = field(default_factory=list)
    _grown: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, response_id: str, epoch: str) -> None:
        """Record a message."""
        self._heard.append(LetGo(response_id, epoch))
        self._grown.set()

    async def wait_for(self, response_id: str) -> str:
        """Wait for the message about this response. Returns its epoch."""
        async with asyncio.timeout(HEARD_S):
            while True:
                for heard in self._heard:
                    if heard.response_id == response_id:
                        return heard.epoch
                self._grown.clear()
                await self._grown.wait()


class Backend(Protocol):
    """The stores of one replica, and events that no port can cause."""

    @property
    def stores(self) -> Stores:
        """The stores."""

    @property
    def told(self) -> Told:
        """The messages to this replica."""

    async def lose_lease(self, response_id: str) -> None:
        """Let the lease of an active response expire."""

    async def lose_tail(self, response_id: str, last_number: int) -> None:
        """Lose the log above this number, as in a fail-over."""

    async def expire_log(self, response_id: str) -> None:
        """End the retention of the log."""

    async def end_retention(self, public_id: str) -> None:
        """End the retention of a conversation, or of the chain of a response."""

    async def tell_released(self, response_id: str) -> None:
        """Publish that the connection to the model is closed."""


class MemoryBackend:
    """The fakes on one memory."""

    def __init__(self) -> None:
        self.told = Told()
        self._memory = Memory(let_go=self.told.note)
        self._responses = FakeResponseStore(self._memory)
        self._event_log = FakeEventLog(self._memory)
        self.stores = Stores(
            responses=self._responses,
            conversations=FakeConversationStore(self._memory),
            event_log=self._event_log,
            notes=FakeResponseNotes(self._memory),
            eraser=FakeEraser(self._memory),
            reader_marks=FakeReaderMarks(self._memory),
        )

    async def lose_lease(self, response_id: str) -> None:
        """See `Backend.lose_lease`."""
        self._memory.responses[response_id].lease_until = 0

    async def lose_tail(self, response_id: str, last_number: int) -> None:
        """See `Backend.lose_tail`."""
        self._responses.lose_tail(response_id, last_number)

    async def expire_log(self, response_id: str) -> None:
        """See `Backend.expire_log`."""
        self._memory.responses[response_id].log.clear()

    async def end_retention(self, public_id: str) -> None:
        """See `Backend.end_retention`."""
        kept = self._memory.conversations.get(public_id) or self._memory.responses[public_id]
        kept.root.top.is_due = True

    async def tell_released(self, response_id: str) -> None:
        """See `Backend.tell_released`."""
        self._event_log.tell_released(response_id)


class RedisBackend:
    """The adapters on a real server."""

    def __init__(self, redis: Redis) -> None:
        self.told = Told()
        self.nudges = Nudges(redis, REPLICA)
        self.stores = open_stores(redis, replica_id=REPLICA, nudges=self.nudges)
        self._redis = redis

    async def lose_lease(self, response_id: str) -> None:
        """See `Backend.lose_lease`."""
        await lose_lease(self._redis, response_id)

    async def lose_tail(self, response_id: str, last_number: int) -> None:
        """See `Backend.lose_tail`."""
        log = keys.event_log(response_id)
        kept: Any = await self._redis.xrange(log, "-", f"0-{last_number}")
        await self._redis.delete(log)  # a stream refuses ids below its highest one, deleted or not
        for entry_id, fields in kept:
            await self._redis.xadd(log, fields, id=entry_id)
        await self._redis.hset(keys.response(response_id), "logged", str(last_number))

    async def expire_log(self, response_id: str) -> None:
        """See `Backend.expire_log`."""
        await self._redis.delete(keys.event_log(response_id))

    async def end_retention(self, public_id: str) -> None:
        """See `Backend.end_retention`."""
        partition, member = ids.get_partition(public_id), f"conv:{public_id}"
        if not ids.is_of_kind(public_id, ids.CONVERSATION):
            [timeline] = await read_fields(self._redis, keys.response(public_id), ["timeline"])
            meta = f"{keys.prefix(partition)}tl:{(timeline or b'').decode()}:meta"
            [root] = await read_fields(self._redis, meta, ["root"])
            member = f"chain:{(root or b'').decode()}"
        assert await self._redis.zadd(keys.expiry(partition), {member: 1}, xx=True, ch=True)

    async def tell_released(self, response_id: str) -> None:
        """See `Backend.tell_released`."""
        await self.nudges.release(response_id)


@asynccontextmanager
async def open_memory(_redis: Redis) -> AsyncIterator[Backend]:
    """An empty memory."""
    yield MemoryBackend()


@asynccontextmanager
async def open_redis(redis: Redis) -> AsyncIterator[Backend]:
    """A replica that listens to its messages."""
    backend = RedisBackend(redis)
    listening = asyncio.create_task(backend.nudges.listen(backend.told.note))
    try:
        await _wait_until_listening(redis)
        yield backend
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        await backend.nudges.close()


async def _wait_until_listening(redis: Redis) -> None:
    """Ask until Redis has the subscription; each question is a round trip."""
    async with asyncio.timeout(HEARD_S):
        listeners = 0
        while not listeners:
            [(_, listeners)] = await redis.pubsub_numsub(keys.replica_channel(REPLICA))


OpenBackend: TypeAlias = Callable[[Redis], AbstractAsyncContextManager[Backend]]
BACKENDS: dict[str, OpenBackend] = {"memory": open_memory, "redis": open_redis}
