"""A TCP balancer that behaves like a Kubernetes Service: one address, replicas come and go behind it.

New connections go to replicas whose `/readyz` says 200; when one refuses, the next is tried. An open connection is
never moved. It ends as the other side ended it: a clean end stays clean, a reset stays a reset.
"""

import asyncio
import random
import socket
import struct
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Self

from tests.support.servers import eventually

# How soon a change is noticed. kube-proxy needs a little longer, the kubelet's own probes much longer.
POLL_S = 0.2
# The kubelet's default `timeoutSeconds`.
PROBE_LIMIT_S = 1.0
# Unanswered probes in a row until a replica is not ready. One may be due to a busy machine. A refusal counts at once.
MAX_SILENCES = 2
CONNECT_LIMIT_S = 1.0
# A replica takes seconds to start on a busy machine.
MAX_WAIT_S = 30.0
READ_BYTES = 64 * 1024
# `close` sends RST instead of FIN and drops unsent data.
ABORTIVE = struct.pack("ii", 1, 0)

Writer = asyncio.StreamWriter
Pair = tuple[asyncio.StreamReader, Writer]


class Balancer:
    """`async with` serves on a free port of loopback; at the end every connection is reset."""

    def __init__(self, list_ports: Callable[[], Iterable[int]]) -> None:
        """`list_ports` returns the ports of all current replicas, ready or not."""
        self._list_ports = list_ports
        self._ready: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._probed: set[int] = set()
        self._open: set[Writer] = set()
        self.is_mute = False
        """Whether what replicas say is lost on its way."""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._spawn(self._watch_ports())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """The only address that clients know."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def ready(self) -> set[int]:
        """The ports of the replicas that get new connections."""
        return self._ready & set(self._list_ports())

    def reset_connections(self) -> None:
        """Break off what is open, as a cable does that is pulled out. New connections are taken."""
        for writer in self._open:
            writer.transport.abort()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch_ports(self) -> None:
        while True:
            for port in set(self._list_ports()) - self._probed:
                self._probed.add(port)
                self._spawn(self._keep_probing(port))
            await asyncio.sleep(POLL_S)

    async def _keep_probing(self, port: int) -> None:
        silences = 0
        while port in self._list_ports():
            answer = await probe(port)
            silences = silences + 1 if answer is None else 0
            if answer:
                self._ready.add(port)
            elif answer is False or silences >= MAX_SILENCES:
                self._ready.discard(port)
            await asyncio.sleep(POLL_S)
        self._ready.discard(port)
        self._probed.discard(port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._serve((reader, writer)))

    async def _serve(self, client: Pair) -> None:
        replica = await self._connect()
        if replica is None:
            _reset(client)  # a Service without endpoints refuses too
            return
        self._open |= {client[1], replica[1]}
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(_forward(client, replica))
                directions.create_task(_forward(replica, client, is_lost=lambda: self.is_mute))
        except* OSError:
            pass  # one side was reset: reset the other
        else:
            client[1].close()
            replica[1].close()
        finally:
            self._open -= {client[1], replica[1]}
            _reset(client)
            _reset(replica)

    async def wait_until_ready(self, count: int = 1) -> None:
        """Until so many replicas get connections."""
        await eventually(lambda: len(self.ready) >= count, within_s=MAX_WAIT_S)

    async def _connect(self) -> Pair | None:
        for port in random.sample(ready := list(self.ready), len(ready)):
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_LIMIT_S):
                    return await asyncio.open_connection("127.0.0.1", port)
        return None


async def probe(port: int) -> bool | None:
    """Whether a replica says it is ready; None without an answer in time."""
    try:
        async with asyncio.timeout(PROBE_LIMIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        return None
    except OSError:
        return False


async def _forward(source: Pair, target: Pair, *, is_lost: Callable[[], bool] = lambda: False) -> None:
    """One direction of a connection, to its clean end. Raises OSError."""
    reader, writer = source[0], target[1]
    while data := await reader.read(READ_BYTES):
        if not is_lost():
            writer.write(data)
            await writer.drain()
    writer.write_eof()


def _reset(pair: Pair) -> None:
    """Reset the connection, unless it ended cleanly."""
    transport = pair[1].transport
    if transport.is_closing():
        return
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
    transport.abort()
