"""Connection pools for Redis: bounded, waiting for a free connection, and only to a server that accepts writes.

A demoted master is a replica. It still answers PING and reads, so its connections would stay open for good. A
connection is therefore closed as soon as its server says that it is a replica. The next try finds the new master:
through the Sentinels, or under the same host name, which may lead to another server by then.
"""

import asyncio
import re
from contextlib import suppress
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError
from typing_extensions import override

from config.redis_address import SentinelAddress, parse_address

PROBE_KEY = "eps:{probe}:write"
PROBE_MS = 60_000
# In the error's code; before Redis 7, inside the text of a script's error. MASTERDOWN: a replica without a master.
SAYS_REPLICA = re.compile(r"\b(READONLY|MASTERDOWN)\b")


def build_pool(url: str, *, max_connections: int, timeout_s: float) -> BlockingConnectionPool:
    """The pool for an address in the form of `REDIS_URL`. It connects at the first use; its client closes it."""
    settings: dict[str, Any] = {
        "max_connections": max_connections,
        "timeout": timeout_s,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        # One retry, at once: the pooled connection may have broken while it was idle.
        "retry": Retry(NoBackoff(), 1),
    }
    address = parse_address(url)
    if address is not None:
        return _build_sentinel_pool(address, timeout_s, settings)
    options = parse_url(url)
    kind = CONNECTIONS[options.pop("connection_class", Connection)]
    return BlockingConnectionPool(**{**settings, **options, "connection_class": kind})


async def check_master(redis: Redis) -> None:
    """Raises redis-py's errors unless a server that accepts writes answers.

    A server may answer and refuse writes: it lacks replicas (NOREPLICAS), cannot save (MISCONF), is stuck in a script
    (BUSY). Only a write tells, so one is made.
    """
    with suppress(NoPermissionError):
        replication = await redis.info("replication")
        if replication.get("role") == "slave":
            await redis.connection_pool.disconnect(inuse_connections=False)
            await redis.connection_pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]  # redis-py has no types here
            raise RedisConnectionError("the server is a replica")
    with suppress(NoPermissionError):  # a user that may not write this key may still write ours
        await redis.set(PROBE_KEY, 1, px=PROBE_MS)


def says_replica(error: ResponseError) -> bool:
    """Whether a server answers so because it is a replica."""
    return SAYS_REPLICA.search(f"{error.status_code} {error}") is not None


class _RejectsReplicas(AbstractConnection):
    """Closes itself when its server says that it is a replica."""

    @override
    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except ResponseError as exc:
            if not says_replica(exc):
                raise
            await self.disconnect(nowait=True)
            raise RedisConnectionError("the server is a replica") from exc


class _AsksSentinelsForMaster(_RejectsReplicas):
    """Asks the Sentinels whenever it connects. redis-py's own reconnects to the old address after a break."""

    @override
    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        if not self.is_connected:
            await self.connect()  # type: ignore[no-untyped-call]  # redis-py has no types here
        await super().send_packed_command(*args, **kwargs)


class PlainConnection(_RejectsReplicas, Connection):
    """TCP."""


class TlsConnection(_RejectsReplicas, SSLConnection):
    """TCP with TLS."""


class UnixConnection(_RejectsReplicas, UnixDomainSocketConnection):
    """A Unix socket."""


class MasterConnection(_AsksSentinelsForMaster, SentinelManagedConnection):
    """TCP to the server that the Sentinels call the master."""


class MasterTlsConnection(_AsksSentinelsForMaster, SentinelManagedSSLConnection):
    """The same with TLS."""


CONNECTIONS: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: PlainConnection,
    SSLConnection: TlsConnection,
    UnixDomainSocketConnection: UnixConnection,
}


class MasterPool(SentinelConnectionPool, BlockingConnectionPool):
    """A bounded, waiting pool whose master's address comes from the Sentinels."""

    def __init__(self, service: str, sentinel: Sentinel, **settings: Any) -> None:
        """`settings` are those of BlockingConnectionPool."""
        super().__init__(service, sentinel, **settings)  # type: ignore[no-untyped-call]  # redis-py has no types here
        self._looking: asyncio.Task[tuple[str, int]] | None = None

    @override
    async def get_master_address(self) -> tuple[str, int]:
        """Host and port.

        After a fail-over all connections ask at once, and share one answer. Raises redis-py's errors.
        """
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_up(), name="look up the master")
            self._looking.add_done_callback(self._forget)
        return await asyncio.shield(self._looking)

    @override
    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()

    async def _look_up(self) -> tuple[str, int]:
        before = self.master_address
        address: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]  # redis-py has no types here
        if before not in (None, address):
            # Idle connections are closed by now. Those in use may talk to a master that does not know its demotion yet.
            for connection in self._in_use_connections:
                if connection.is_connected:
                    connection.mark_for_reconnect()  # type: ignore[no-untyped-call]  # redis-py has no types here
        return address

    def _forget(self, looked: asyncio.Task[tuple[str, int]]) -> None:
        self._looking = None
        # Retrieve the exception, or asyncio warns about it when no caller is left.
        _ = looked.cancelled() or looked.exception()


def _build_sentinel_pool(address: SentinelAddress, timeout_s: float, settings: dict[str, Any]) -> MasterPool:
    options = address.sentinel_options(timeout_s)
    sentinel = Sentinel(address.sentinels, sentinel_kwargs=options)  # type: ignore[no-untyped-call]  # redis-py has no types here
    kind = MasterConnection if address.tls is None else MasterTlsConnection
    credentials, tls = dict(address.credentials), dict(address.tls or {})
    return MasterPool(
        address.service, sentinel, **{**settings, **credentials, **tls, "db": address.db, "connection_class": kind}
    )
