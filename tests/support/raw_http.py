"""HTTP by hand: requests that no client library would send."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# What the server is waited for.
MAX_S = 15.0


@dataclass(frozen=True)
class Answer:
    """What came back; the body as JSON, where it is some."""

    status: int
    headers: str
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


@dataclass(frozen=True)
class RawConnection:
    """One connection; what is sent is sent as it is."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_answer(self) -> Answer:
        """The next answer, which has a Content-Length."""
        async with asyncio.timeout(MAX_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            return Answer(int(head.split()[1]), head, await self.reader.readexactly(length))


@asynccontextmanager
async def open_raw(url: str) -> AsyncIterator[RawConnection]:
    """A connection to the server of this address."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.close()


def compose(method: str, path: str, *headers: str) -> bytes:
    """A request's head."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode("latin-1")
