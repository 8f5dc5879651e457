"""Readiness checks of servers on this machine."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

# A server that needs longer is not ready; it is asked again.
MAX_ANSWER_S = 3.0


async def is_http_ready(host: str, port: int, path: str) -> bool:
    """Whether GET `path` is answered with 200."""
    request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
    head = await _ask(partial(asyncio.open_connection, host, port), request, lines=1)
    return head.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))


async def ask_valkey(connect: Connect, password: str) -> bool:
    """Whether a Valkey answers PING after AUTH."""
    return (await _ask(connect, f"AUTH {password}\r\nPING\r\n".encode(), lines=2)) == b"+OK\r\n+PONG\r\n"


async def _ask(connect: Connect, question: bytes, *, lines: int) -> bytes:
    """The first lines of the answer; empty when there is none."""
    try:
        async with asyncio.timeout(MAX_ANSWER_S):
            reader, writer = await connect()
            try:
                writer.write(question)
                return b"".join([await reader.readline() for _ in range(lines)])
            finally:
                writer.close()
    except OSError:  # TimeoutError is one
        return b""
