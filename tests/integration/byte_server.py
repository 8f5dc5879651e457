"""A model's server in the test's own event loop, which sends what it likes, byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from openai import AsyncOpenAI

from prompts.adapters.openai.direct_post import DirectPost
from prompts.adapters.openai.http_client import ModelServerClient
from tests.integration.event_loops import WAIT_S

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

Play: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Answers each request with `answer`: bytes, or a function that writes; `is_over` ends the connection after it."""

    answer: bytes | Play = b""
    is_over: bool = False
    reads_bodies: bool = True
    connections: int = 0
    bodies: list[bytes] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has closed its connection."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            await self._answer(reader, writer)
            while not self.is_over:
                await self._answer(reader, writer)
            if not self.reads_bodies:
                await asyncio.sleep(WAIT_S)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        self.bodies.append(await reader.readexactly(length if self.reads_bodies else 1))
        if isinstance(self.answer, bytes):
            writer.write(self.answer)
        else:
            await self.answer(writer)
        await writer.drain()


@asynccontextmanager
async def started(server: Server) -> AsyncIterator[DirectPost]:
    """A client of it."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    async with AsyncOpenAI(base_url=base_url, api_key="key", http_client=ModelServerClient()) as client:
        yield DirectPost(client, "/chat/completions", connect_s=WAIT_S)
    listening.close()
