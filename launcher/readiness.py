"""Readiness checks of servers on this machine."""

import asyncio

# A server that needs longer is not ready; it is asked again.
MAX_ANSWER_S = 3.0


async def is_http_ready(host: str, port: int, path: str) -> bool:
    """Whether GET `path` is answered with 200."""
    head = await _ask(host, port, f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    return head.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))


async def is_valkey_ready(port: int) -> bool:
    """Whether a Valkey on loopback answers PING. It does not while it loads its data."""
    return (await _ask("127.0.0.1", port, b"PING\r\n")).startswith(b"+PONG")


async def _ask(host: str, port: int, question: bytes) -> bytes:
    """The first line of the answer; empty when there is none."""
    try:
        async with asyncio.timeout(MAX_ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(question)
                return await reader.readline()
            finally:
                writer.close()
    except OSError:  # TimeoutError is one
        return b""
