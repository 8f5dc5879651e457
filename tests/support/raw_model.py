"""A model's server that sends exactly the bytes of a script, with pauses, hangs and aborts; it keeps what it was asked.

The stand-in speaks the protocol as it should be; this one plays what real servers and relays make of it.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

# What a server sends: bytes at once; nothing for so many seconds; nothing any more, or the end of the connection.
Step: TypeAlias = bytes | float | Literal["hang", "abort"]

STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """One answer: its body in steps, chunked. `is_cut_small`: one byte a write."""

    steps: Sequence[Step] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: STREAM)
    is_cut_small: bool = False


def reply_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """An answer that is one JSON document; an underscore in a header's name is a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply([json.dumps(value).encode()], status, {**JSON, **named})


@dataclass(frozen=True)
class Asked:
    """One request: where it went, its headers (lower case), its body."""

    path: str
    headers: Mapping[str, str]
    body: Any
    raw: bytes = b""
    """The body's bytes."""


class RawModelServer:
    """Runs in a thread of its own; `with` starts and stops it.

    `play` says what the next requests to the model are answered; the last reply stays. `models` is the answer to
    `GET /models`.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.models = reply_json({"object": "list", "data": []})
        self._replies: list[Reply | Callable[[Any], Reply]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="raw model", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    @property
    def base_url(self) -> str:
        """For `OPENAI_BASE_URL`."""
        return f"http://127.0.0.1:{self._port}/v1"

    def play(self, *replies: Reply | Callable[[Any], Reply]) -> None:
        """Answer the next requests so; a function makes the reply of the request's body. Forgets what was asked."""
        self._replies = [*replies]
        self.asked = []

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the requests to the model, oldest first."""
        return [asked.body for asked in self.asked]

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._serve_connection, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = request.split()[1]
        if path.endswith("/models"):
            return await self._send(self.models, writer)
        self.asked.append(Asked(path, headers, json.loads(body), body))
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return await self._send(reply(self.bodies[-1]) if callable(reply) else reply, writer)

    async def _send(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        has_body = reply.status != 204
        headers = {**reply.headers, **({"transfer-encoding": "chunked"} if has_body else {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {reply.status} Whatever\r\n{head}\r\n".encode())
        for step in reply.steps:
            match step:
                case "hang":
                    await self._stop.wait()
                    return False
                case "abort":
                    await writer.drain()
                    return False
                case bytes():
                    await _write(step, writer, size=1 if reply.is_cut_small else len(step))
                case _:
                    await asyncio.sleep(step)
        if has_body:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _write(data: bytes, writer: asyncio.StreamWriter, *, size: int) -> None:
    for start in range(0, len(data), size or 1):
        part = data[start : start + size]
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await writer.drain()
