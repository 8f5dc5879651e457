"""One subscription a process: which logs have grown, which responses this replica is to let go, which wait for one.

A nudge carries no data: whoever is nudged reads the log from its cursor. So a nudge that is lost (Redis away, a new
connection) costs nothing but the time until the next look, and after a reconnect everyone is nudged once.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from prompts.adapters.redis import keys

log = structlog.get_logger(__name__)

# Between two tries to listen again while Redis is away.
RETRY_S = 0.5
# How long one look at the subscription lasts, and how long the answer to a PING may take that follows a silent one.
LISTEN_S = 1.0
# What a subscription meets while Redis is away. redis-py writes to a connection that its reader has just torn down, and
# then finds None in its place; or uvloop says that it is closed.
AWAY = (RedisError, OSError, AttributeError, RuntimeError)
RELEASED = b"released"
READER_LEFT = b"reader left"
# What says more than that the log has grown; or nothing, to a new subscription, which has missed what was said before.
NEWS = (b"ended", b"deleted", READER_LEFT, b"")
LOST_CHANNEL = keys.LOST_CHANNEL.encode()


LetGo: TypeAlias = Callable[[str, str], None]
"""Told the id of each response that this replica is to stop writing, and the epoch of whoever took it."""


class LogWatch:
    """`Watch`: events that are cleared by looking at them."""

    def __init__(self) -> None:
        self._grown = asyncio.Event()
        self._news = asyncio.Event()
        self._released = asyncio.Event()

    def nudge(self, data: bytes) -> None:
        """Something happened; `data` says what only where it matters."""
        self._grown.set()
        if data in NEWS:
            self._news.set()
        if data == RELEASED:
            self._released.set()

    async def wait(self, within_s: float) -> bool:
        """See `Watch.wait`."""
        return await _take(self._grown, within_s)

    async def wait_news(self, within_s: float) -> bool:
        """See `Watch.wait_news`."""
        return await _take(self._news, within_s)

    async def wait_released(self, within_s: float) -> bool:
        """See `Watch.wait_released`."""
        return await _is_set(self._released, within_s)


async def _take(event: asyncio.Event, within_s: float) -> bool:
    if not await _is_set(event, within_s):
        return False
    event.clear()
    return True


async def _is_set(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Nudges:
    """The subscription; `listen` runs for as long as the process."""

    def __init__(self, redis: Redis, replica_id: str) -> None:
        self._lost = asyncio.Event()
        self._redis = redis
        self._own_channel = keys.replica_channel(replica_id).encode()
        self._watches: defaultdict[bytes, set[LogWatch]] = defaultdict(set)
        self._pubsub: PubSub = redis.pubsub()

    @asynccontextmanager
    async def watch(self, response_id: str) -> AsyncIterator[LogWatch]:
        """See `EventLog.watch`. While Redis is away nobody is nudged; `listen` subscribes again when it is back."""
        channel = keys.log_channel(response_id).encode()
        watch = LogWatch()
        is_first = not self._watches[channel]
        self._watches[channel].add(watch)
        try:
            if is_first:
                with suppress(*AWAY):
                    await self._pubsub.subscribe(channel)
            yield watch
        finally:
            await self._forget(channel, watch)

    async def release(self, response_id: str) -> None:
        """Tell whoever waits for it that this replica has closed its connection to the model.

        Raises nothing: who is not told says after two seconds that it could not be confirmed.
        """
        try:
            await self._redis.publish(keys.log_channel(response_id), RELEASED)
        except (RedisError, OSError) as exc:
            log.warning("release_not_told", response_id=response_id, reason=type(exc).__name__)

    async def wait_lost(self, within_s: float) -> None:
        """Until a response waits to be taken over, or may have come to wait unheard, or `within_s`."""
        if await _is_set(self._lost, within_s):
            self._lost.clear()

    async def listen(self, let_go: LetGo) -> None:
        """Hear what is said, and listen again when the connection broke; runs until cancelled."""
        while True:
            try:
                await self._pubsub.subscribe(self._own_channel, LOST_CHANNEL, *self._watches)
                await self._hear_all(let_go)
            except AWAY as exc:
                log.warning("nudges_not_heard", reason=type(exc).__name__)
                await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Close the connection."""
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py has no types here

    async def _hear_all(self, let_go: LetGo) -> None:
        """Until the connection breaks, or is of no use: a server that hangs, or whose machine is gone, says nothing."""
        is_asked = False
        while True:
            message = await self._pubsub.get_message(timeout=LISTEN_S)
            if message is not None:
                self._hear(message, let_go)
            connection: Any = self._pubsub.connection
            if (is_asked and message is None) or connection.should_reconnect():
                await connection.disconnect(nowait=True)
                raise RedisConnectionError("the subscription is silent, or at a server that is the master no more")
            is_asked = message is None
            if is_asked:
                await self._pubsub.ping()

    def _hear(self, message: dict[str, Any], let_go: LetGo) -> None:
        """A confirmed subscription is a nudge too: what was said before it, nobody heard."""
        data = message["data"] if message["type"] == "message" else b""
        if message["channel"] == self._own_channel and data:
            response_id, _, epoch = data.decode().partition(" ")
            let_go(response_id, epoch)
        if message["channel"] == LOST_CHANNEL:
            self._lost.set()
        for watch in self._watches.get(message["channel"], ()):
            watch.nudge(data)

    async def _forget(self, channel: bytes, watch: LogWatch) -> None:
        self._watches[channel].discard(watch)
        if self._watches[channel]:
            return
        del self._watches[channel]
        with suppress(*AWAY):  # when the connection is gone, so is the subscription
            await self._pubsub.unsubscribe(channel)
