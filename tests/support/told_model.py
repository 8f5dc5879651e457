"""A model's server in the test's own event loop, which says what it is told to say, when it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
COMMENT = b": still working\n\n"


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


class ToldModel:
    """One answer on one connection, in either protocol."""

    def __init__(self, protocol: str) -> None:
        self._is_chat = protocol == "chat_completions"
        self._writer: asyncio.StreamWriter
        self._port = 0
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        """Set when the client has closed the connection."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """Listening."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        yield
        server.close()

    async def say(self, *events: bytes) -> None:
        """All of them in one chunk, and so in one read, when they are few."""
        await self.asked.wait()
        data = b"".join(events)
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def end(self) -> None:
        """End the answer's body, behind an end of the answer."""
        await self.say(self.stop())
        self._writer.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()

    def text(self, text: str) -> bytes:
        return self._delta({"content": text}, "response.output_text.delta", text)

    def thought(self, text: str) -> bytes:
        return self._delta({"reasoning_content": text}, "response.reasoning_text.delta", text)

    def call(self, name: str) -> bytes:
        """A call without arguments."""
        if self._is_chat:
            function = {"name": name, "arguments": "{}"}
            return self._delta({"tool_calls": [{"index": 0, "id": "call_1", "function": function}]}, "", "")
        item = {"type": "function_call", "call_id": "call_1", "name": name, "arguments": "{}"}
        return event({"type": "response.output_item.done", "output_index": 1, "item": item})

    def stop(self) -> bytes:
        if self._is_chat:
            return event({"choices": [{"delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"
        return event({"type": "response.completed", "response": {"status": "completed"}})

    def error(self) -> bytes:
        told = {"code": "server_error", "message": "Out of memory."}
        return event({"error": told} if self._is_chat else {"type": "error", **told})

    def _delta(self, delta: Mapping[str, Any], kind: str, text: str) -> bytes:
        return event({"choices": [{"index": 0, "delta": delta}]} if self._is_chat else {"type": kind, "delta": text})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length: ")[2].split("\r\n")[0]))
        writer.write(_HEAD)
        self._writer = writer
        self.asked.set()
        with suppress(ConnectionError):
            await reader.read()
        self.left.set()
        writer.close()
