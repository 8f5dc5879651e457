"""A client whose commands share one connection: no check-out, no lock, no time-out object a command.

redis-py's pool gives each command a connection to itself, and takes a fifth of a turn for that. Here the commands that
are given in one pass of the event loop leave in one write, and the replies come back in their order. redis-py still
makes the connection: address, Sentinels, TLS, credentials, protocol.

What would hold the others up has a connection to itself as before: transactions, subscriptions, what blocks, what is
large.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any, TypeAlias

import hiredis
from redis._parsers import BaseParser
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from typing_extensions import override

from prompts.alarms import NEVER, Alarm

# Commands that answer at once and leave nothing behind in a connection. Any other has one to itself.
SHARED = frozenset(
    "DEL EVALSHA EXISTS GET HDEL HEXISTS HGET HGETALL HKEYS HMGET HSET INFO PUBLISH SCARD SET SMEMBERS SREM TIME UNLINK"
    " XLEN XRANGE XREVRANGE ZADD ZCARD ZCOUNT ZMSCORE ZRANGE ZRANK ZREM ZREVRANGE ZREVRANK ZSCORE".split()
)
# A command that is larger goes over a connection of its own: at a gigabit a second this one is on its way for 2 ms.
MAX_SHARED_BYTES = 256_000
# Each command is sent twice at most, the second time at once: the connection may have broken while it was idle.
MAX_TRIES = 2
# What is raised where a connection is written to that was closed a moment ago: by uvloop, and by redis-py.
CLOSED = (RuntimeError, AttributeError)
# What hiredis gives when the next reply is not there as a whole.
UNFINISHED = object()


# Whether a server answers so because it is a replica: then it is left at once.
SaysReplica: TypeAlias = Callable[[ResponseError], bool]


class MultiplexedRedis(Redis):
    """A client that closes its pool."""

    def __init__(self, pool: ConnectionPool, says_replica: SaysReplica) -> None:
        """It takes one of the pool's connections for good; a pool of one would be left with none."""
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self._shared = SharedConnection(pool, says_replica)

    def send(self, *args: Any) -> asyncio.Future[Any]:
        """Give a command to the shared connection; the future is its reply, or its error. This makes no task.

        The command is one of `SHARED`, and its reply is as the server gave it: `read_reply` makes it redis-py's. `args`
        are str, bytes and int. Large ones are for commands whose reply redis-py leaves as it is, as that of EVALSHA.
        Cancelled, it may still be carried out.
        """
        packed = hiredis.pack_command(args)
        if len(packed) > MAX_SHARED_BYTES:
            return asyncio.ensure_future(super().execute_command(*args))  # type: ignore[no-untyped-call]  # redis-py has no types here
        return self._shared.send(packed)

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See redis-py."""
        name = args[0]
        if name not in SHARED:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py has no types here
        packed = hiredis.pack_command(args)
        if len(packed) > MAX_SHARED_BYTES:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py has no types here
        return await self.read_reply(await self._shared.send(packed), name, options)

    async def read_reply(self, reply: Any, name: str, options: dict[str, Any]) -> Any:
        """A command's reply as redis-py makes it."""
        read = self.response_callbacks.get(name)
        if read is None:
            return reply
        options.pop("keys", None)  # for redis-py's cache alone
        value = read(reply, **options)
        return await value if inspect.isawaitable(value) else value

    @override
    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """See redis-py. Commands without a reply fail."""
        await self._shared.close()
        await super().aclose(close_connection_pool)


def small_pipeline(redis: Redis) -> Pipeline:
    """A pipeline, without a transaction, of commands that are small and have small replies: where it can, it is shared.

    It takes a third of the time of redis-py's, which is for anything.
    """
    return SmallPipeline(redis) if isinstance(redis, MultiplexedRedis) else redis.pipeline(transaction=False)


async def send_together(redis: Redis, commands: Iterable[Sequence[str | bytes | int]]) -> list[Any]:
    """The replies to small commands, sent together, as the server gives them. Raises redis-py's errors.

    Nothing is made of what redis-py would make of each: a third of the time of a `small_pipeline`.
    """
    if isinstance(redis, MultiplexedRedis):
        return await asyncio.gather(*[redis.send(*command) for command in commands])
    pipeline = redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return await pipeline.execute()


class SmallPipeline(Pipeline):
    """Commands that go over the shared connection together."""

    def __init__(self, redis: MultiplexedRedis) -> None:
        super().__init__(redis.connection_pool, redis.response_callbacks, transaction=False, shard_hint=None)
        self._client = redis

    @override
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """See redis-py. Without `raise_on_error` a command's error is its reply."""
        commands, self.command_stack = self.command_stack, []
        answers = await asyncio.gather(*[self._client.send(*args) for args, _ in commands], return_exceptions=True)
        replies: list[Any] = []
        for (args, options), answer in zip(commands, answers, strict=True):
            is_error = isinstance(answer, BaseException)
            if is_error and (raise_on_error or not isinstance(answer, ResponseError)):
                raise answer
            replies.append(answer if is_error else await self._client.read_reply(answer, str(args[0]), {**options}))
        return replies


class SharedConnection:
    """A connection of a pool, for good: made when it is first needed, and again when it broke."""

    def __init__(self, pool: ConnectionPool, says_replica: SaysReplica) -> None:
        """It gives the pool its connection back when it is closed."""
        self._pool = pool
        self._timeout_s: float | None = pool.connection_kwargs.get("socket_timeout")
        self._says_replica = says_replica
        self._connection: AbstractConnection | None = None
        self._link: Link | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: list[Command] = []
        self._is_flushing = False
        self._is_closed = False

    def send(self, packed: bytes) -> asyncio.Future[Any]:
        """Send a packed command with all others of this pass of the event loop. The future is its reply or error."""
        command = Command(packed, self._find_loop().create_future())
        if self._is_closed:
            command.fail(RedisConnectionError("the client is closed"))
            return command.answer
        self._waiting.append(command)
        self._flush_soon()
        return command.answer

    async def close(self) -> None:
        """Close the connection. Commands without a reply fail."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        unanswered = [] if self._link is None else self._link.end()
        self._link = None
        for command in [*unanswered, *self._waiting]:
            command.fail(RedisConnectionError("the client was closed"))
        self._waiting = []
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._find_loop().call_soon(self._flush)

    def _find_loop(self) -> asyncio.AbstractEventLoop:
        """That of the connection: asking for the running one is a system call."""
        return asyncio.get_running_loop() if self._link is None else self._link.loop

    def _flush(self) -> None:
        self._is_flushing = False
        if not self._waiting or self._is_closed:
            return
        if self._link is not None and self._link.is_outdated():
            self._hear_end(self._link.end(), RedisConnectionError("the connection is to be made again"))
        if self._link is None:
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect(), name="connect to Redis")
            return
        waiting, self._waiting = self._waiting, []
        self._link.write([command for command in waiting if not command.answer.done()])

    def _hear_end(self, unanswered: Iterable["Command"], error: RedisError | OSError) -> None:
        """The link has ended; commands that have not been tried twice go over the next one, before all others."""
        self._link = None
        self._waiting = _keep_retries(unanswered, error) + self._waiting
        if self._waiting:
            self._flush_soon()

    async def _connect(self) -> None:
        try:
            connection = await self._open_or_fail()
        except (RedisError, OSError) as error:
            # A pool has tried twice by itself.
            self._waiting = _keep_retries(self._waiting, error, tries=1 if self._connection else MAX_TRIES)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Whatever it is, nobody may wait for ever.
            waiting, self._waiting = self._waiting, []
            for command in waiting:
                command.fail(error)
            raise
        else:
            self._link = Link(connection, self._timeout_s, self._says_replica, self._hear_end)
        finally:
            self._connecting = None
        if self._waiting:
            self._flush()

    async def _open(self) -> AbstractConnection:
        if self._connection is None:
            connection: Any = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py has no types here
            # From now on the commands count their tries themselves.
            connection.retry = Retry(NoBackoff(), 0)
            self._connection = connection
        else:
            await self._connection.disconnect(nowait=True)
            await self._connection.connect()  # type: ignore[no-untyped-call]  # redis-py has no types here
        return self._connection

    async def _open_or_fail(self) -> AbstractConnection:
        try:
            return await self._open()
        except CLOSED as exc:
            raise RedisConnectionError("the connection was closed while it was made") from exc


class Command:
    """A packed command, and its answer to be."""

    __slots__ = ("answer", "due", "packed", "tries")

    def __init__(self, packed: bytes, answer: asyncio.Future[Any]) -> None:
        self.packed = packed
        self.answer = answer
        self.tries = 0
        self.due = NEVER

    def fail(self, error: Exception) -> None:
        """Each caller gets an error of its own: an exception collects the places where it is raised."""
        if not self.answer.done():
            own = copy(error)
            own.__cause__ = error
            self.answer.set_exception(own)


def _keep_retries(commands: Iterable[Command], error: Exception, *, tries: int = 1) -> list[Command]:
    """The commands that are still wanted and may be tried again; the others fail."""
    kept = []
    for command in commands:
        command.tries += tries
        if command.tries >= MAX_TRIES:
            command.fail(error)
        elif not command.answer.done():
            kept.append(command)
    return kept


class Link(asyncio.Protocol):
    """A connection while it stands: writes commands, and gives each its reply, in their order.

    `hear_end` is told once, unless the owner ends it: which commands have no reply, and why.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        timeout_s: float | None,
        says_replica: SaysReplica,
        hear_end: Callable[[Iterable[Command], RedisError | OSError], None],
    ) -> None:
        self._connection: Any = connection
        self._timeout_s = timeout_s or NEVER
        self._says_replica = says_replica
        self._hear_end = hear_end
        self.loop = asyncio.get_running_loop()
        self._unanswered: deque[Command] = deque()
        self._has_ended = False
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=BaseParser.parse_error,
            notEnoughData=UNFINISHED,
        )
        writer: Any = connection._writer  # noqa: SLF001  # redis-py shows its transport in no other way
        self._transport: Any = writer.transport
        self._former: Any = self._transport.get_protocol()
        self._transport.set_protocol(self)
        # One deadline for all: that of the oldest command without a reply.
        self._alarm = Alarm(self._time_out).start()

    def is_outdated(self) -> bool:
        """Whether redis-py wants the connection made again: the Sentinels have named another master."""
        return bool(self._connection.should_reconnect() or self._transport.is_closing())

    def write(self, commands: list[Command]) -> None:
        """Write them all at once."""
        if not commands:
            return
        due = self.loop.time() + self._timeout_s
        for command in commands:
            command.due = due
        if not self._unanswered:
            self._alarm.due = due
        self._unanswered.extend(commands)
        try:
            self._transport.write(b"".join([command.packed for command in commands]))
        except CLOSED as error:
            self._break(RedisConnectionError(f"the connection is closed: {error}"))

    def end(self) -> Iterable[Command]:
        """Close the connection; the commands that have no reply."""
        self._has_ended = True
        self._alarm.stop()
        self._transport.abort()
        unanswered, self._unanswered = self._unanswered, deque()
        return unanswered

    @override
    def data_received(self, data: bytes) -> None:
        """Give the next commands their replies."""
        try:
            self._reader.feed(data)
            self._read_replies()
        except RedisError as error:
            self._break(error)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Tell redis-py's own protocol as well, which whoever closes the connection waits for."""
        self._former.connection_lost(exc)
        self._break(RedisConnectionError(f"Connection closed by server. {exc or ''}".strip()))

    def _read_replies(self) -> None:
        gets, unanswered = self._reader.gets, self._unanswered
        while not self._has_ended and (reply := gets()) is not UNFINISHED:
            if isinstance(reply, hiredis.PushNotification):
                continue  # what the server tells of itself; it says so to others as well
            is_error = isinstance(reply, Exception)
            if is_error:
                self._check_serves(reply)
            if not unanswered:
                raise InvalidResponse("a reply to no command")
            answer = unanswered.popleft().answer
            if answer.done():
                continue  # its caller was cancelled
            if is_error:
                answer.set_exception(reply)
            else:
                answer.set_result(reply)
        self._alarm.due = unanswered[0].due if unanswered else NEVER

    def _check_serves(self, error: Exception) -> None:
        """Raises RedisConnectionError for an answer of a server that is of no use now."""
        if isinstance(error, RedisConnectionError):
            raise error  # such as LOADING
        if isinstance(error, ResponseError) and self._says_replica(error):
            raise RedisConnectionError("the server is a replica") from error

    def _time_out(self) -> None:
        self._break(RedisTimeoutError("Redis has not answered in time"))

    def _break(self, error: RedisError | OSError) -> None:
        if not self._has_ended:
            self._hear_end(self.end(), error)
