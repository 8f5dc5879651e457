"""Pools of connections to Redis: bounded, waiting for a free one, and to a server that may be written to.

A replica answers PING and whatever only reads, so a connection to a master that was demoted would stay where it is for
good. It is given up as soon as its server says that it is a replica, and the next try looks for the master again: at
the Sentinels where there are some, else under the same name, which may lead elsewhere by then.
"""

import asyncio
import re
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
from redis.exceptions import ResponseError
from typing_extensions import override

from config.redis_address import SentinelAddress, parse_address

# In its code, or, before Redis 7, somewhere in what a script's error says. MASTERDOWN: a replica without its master.
SAYS_REPLICA = re.compile(r"\b(READONLY|MASTERDOWN)\b")


def build_pool(url: str, *, max_connections: int, timeout_s: float) -> BlockingConnectionPool:
    """The pool for an address of `REDIS_URL`'s form; it connects when it is first used, and is closed by its client."""
    settings: dict[str, Any] = {
        "max_connections": max_connections,
        "timeout": timeout_s,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        # One more try, at once: a connection that broke while it lay in the pool is not the request's fault.
        "retry": Retry(NoBackoff(), 1),
    }
    address = parse_address(url)
    if address is not None:
        return _build_sentinel_pool(address, timeout_s, settings)
    options = parse_url(url)
    kind = CONNECTIONS[options.pop("connection_class", Connection)]
    return BlockingConnectionPool(**{**settings, **options, "connection_class": kind})


async def check_master(redis: Redis) -> None:
    """Raises redis-py's errors unless a server that may be written to answers."""
    try:
        replication = await redis.info("replication")
    except ResponseError:
        return  # it answers, and does not say this to us: the first write will tell
    if replication.get("role") == "slave":
        await redis.connection_pool.disconnect(inuse_connections=False)
        raise RedisConnectionError("the server is a replica")


class _RejectsReplicas(AbstractConnection):
    """Gives itself up when its server says that it is a replica."""

    @override
    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except ResponseError as exc:
            if not SAYS_REPLICA.search(f"{exc.status_code} {exc}"):
                raise
            await self.disconnect(nowait=True)
            raise RedisConnectionError("the server is a replica") from exc


class _AsksSentinelsForMaster(_RejectsReplicas):
    """Asks the Sentinels each time it connects. redis-py's own goes back to where it was when it broke in use."""

    @override
    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        if not self.is_connected:
            await self.connect()  # type: ignore[no-untyped-call]
        await super().send_packed_command(*args, **kwargs)


class PlainConnection(_RejectsReplicas, Connection):
    """To a host and port."""


class TlsConnection(_RejectsReplicas, SSLConnection):
    """The same with TLS."""


class UnixConnection(_RejectsReplicas, UnixDomainSocketConnection):
    """To a socket on this machine."""


class MasterConnection(_AsksSentinelsForMaster, SentinelManagedConnection):
    """To whatever the Sentinels call the master."""


class MasterTlsConnection(_AsksSentinelsForMaster, SentinelManagedSSLConnection):
    """The same with TLS."""


CONNECTIONS: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: PlainConnection,
    SSLConnection: TlsConnection,
    UnixDomainSocketConnection: UnixConnection,
}


class MasterPool(SentinelConnectionPool, BlockingConnectionPool):
    """Bounded and waiting, like the plain one; where the master is, the Sentinels say."""

    def __init__(self, service: str, sentinel: Sentinel, **settings: Any) -> None:
        """`settings` are those of BlockingConnectionPool."""
        super().__init__(service, sentinel, **settings)  # type: ignore[no-untyped-call]
        self._looking: asyncio.Task[tuple[str, int]] | None = None

    @override
    async def get_master_address(self) -> tuple[str, int]:
        """Host and port. After a fail-over all connections ask together: they share one answer. Raises redis-py's."""
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
        address: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
        if before not in (None, address):
            # The idle ones are closed by now. Those in use may talk to a master that does not know yet that it is none.
            for connection in self._in_use_connections:
                if connection.is_connected:
                    connection.mark_for_reconnect()  # type: ignore[no-untyped-call]
        return address

    def _forget(self, looked: asyncio.Task[tuple[str, int]]) -> None:
        self._looking = None
        # Looked at, or asyncio reports an error that nobody retrieved when all who asked have gone.
        _ = looked.cancelled() or looked.exception()


def _build_sentinel_pool(address: SentinelAddress, timeout_s: float, settings: dict[str, Any]) -> MasterPool:
    options = address.sentinel_options(timeout_s)
    sentinel = Sentinel(address.sentinels, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
    kind = MasterConnection if address.tls is None else MasterTlsConnection
    credentials, tls = dict(address.credentials), dict(address.tls or {})
    return MasterPool(
        address.service, sentinel, **{**settings, **credentials, **tls, "db": address.db, "connection_class": kind}
    )
