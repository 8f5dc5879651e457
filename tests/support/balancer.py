"""A balancer in front of replicas, which can cut connections: over TCP, so that it sees nothing of what passes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count


class Balancer:
    """Gives each new connection to the next replica that lives. `ports` may be changed at any time."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = [*ports]
        self.port = 0
        self.is_mute = False
        """Whether what replicas say is lost on its way."""
        self._turn = count()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break all connections off, as a network does."""
        for writer in [*self._writers]:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end on either side."""
        behind = await self._open_replica()
        if behind is None:
            writer.transport.abort()
            return
        pair = {writer, behind[1]}
        self._writers |= pair
        try:
            await asyncio.gather(self._copy(reader, behind[1]), self._copy(behind[0], writer, is_answer=True))
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _open_replica(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first, ports = next(self._turn), [*self.ports]
        for index in range(len(ports)):
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", ports[(first + index) % len(ports)])
        return None

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        """Until the end; a broken connection breaks the other one off."""
        try:
            while data := await reader.read(65536):
                if not (is_answer and self.is_mute):
                    writer.write(data)
                    await writer.drain()
            writer.close()
        except OSError:
            writer.transport.abort()


@asynccontextmanager
async def open_balancer(*ports: int) -> AsyncIterator[Balancer]:
    """A balancer that listens."""
    balancer = Balancer(ports)
    server = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
    balancer.port = server.sockets[0].getsockname()[1]
    try:
        yield balancer
    finally:
        server.close()
        balancer.cut()
