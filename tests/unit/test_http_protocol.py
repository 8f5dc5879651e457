"""What a stranger's bytes cost: the server's end of a connection, over real sockets, with a small application."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from config.http_protocol import MAX_HEAD_BYTES, MAX_PIPELINED, HttpProtocol
from tests.support.servers import eventually

# A test waits at most so long for what comes at once.
MAX_S = 10.0
SHORT_S = 0.1
GET = b"GET /seen HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class QuickProtocol(HttpProtocol):
    """The same with short times."""

    head_s = SHORT_S
    linger_s = SHORT_S
    stall_s = SHORT_S


class PatientProtocol(HttpProtocol):
    """The same, for tests in which no time may pass."""

    stall_s = SHORT_S


@dataclass
class Application:
    """`/unread` answers without its body, `/hang` never, `/large` with megabytes; others echo body and headers."""

    asked: list[Any] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        try:
            if scope["path"] == "/hang":
                await asyncio.Event().wait()
            body = b"" if scope["path"] == "/unread" else await self._read(receive)
            seen = {"body": body.decode(), "headers": [name.decode() for name, _ in scope["headers"]]}
            parts = [bytes(1_000_000)] * 30 if scope["path"] == "/large" else [json.dumps(seen).encode()]
            length = (b"content-length", str(sum(map(len, parts))).encode())
            await send({"type": "http.response.start", "status": 200, "headers": [length]})
            for left, content in zip(reversed(range(len(parts))), parts, strict=True):
                await send({"type": "http.response.body", "body": content, "more_body": left > 0})
        finally:
            self.ended.set()

    async def _read(self, receive: Any) -> bytes:
        body: bytes = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                return body


@dataclass
class Client:
    """One connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read_answer(self) -> tuple[int, Any]:
        """Status and JSON of the next answer."""
        async with asyncio.timeout(MAX_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            return int(head.split()[1]), json.loads(await self.reader.readexactly(length))

    async def read_to_end(self) -> bytes:
        """What comes before the server closes the connection."""
        received = b""
        with suppress(ConnectionResetError):
            async with asyncio.timeout(MAX_S):
                while data := await self.reader.read(100_000):
                    received += data
        return received


Connect = Callable[..., Any]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connect to a server of this application; the keywords are the connection's class and the application."""
    servers: list[asyncio.Server] = []
    clients: list[Client] = []

    async def make(application: Application, protocol: type[HttpProtocol] = PatientProtocol) -> Client:
        config = Config(application, log_config=None, access_log=False, ws="none", timeout_keep_alive=60)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
        servers.append(server)
        client = Client(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.writer.close()
    for server in servers:
        server.close()


async def test_it_works(connect: Connect) -> None:
    client = await connect(Application())
    for _ in range(2):
        client.send(POST % b"seen" + b"5\r\nhello\r\n0\r\n\r\n" + GET)
        status, seen = await client.read_answer()
        assert (status, seen["body"], seen["headers"]) == (200, "hello", ["host", "transfer-encoding"])
        assert (await client.read_answer())[1]["headers"] == ["host"]


@pytest.mark.parametrize("is_cut", [False, True])
async def test_trailer_fields_are_no_headers(connect: Connect, is_cut: bool) -> None:
    """Neither of the request that they end, nor of the next one."""
    client = await connect(Application())
    sent = POST % b"seen" + b"5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\nX-Last: y\r\n\r\n" + GET
    for piece in [sent[at : at + 1] for at in range(len(sent))] if is_cut else [sent]:
        client.send(piece)
        await asyncio.sleep(0)
    assert (await client.read_answer())[1]["headers"] == ["host", "transfer-encoding"]
    assert (await client.read_answer())[1]["headers"] == ["host"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\nA: " + b"x" * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEAD_BYTES // 5),
        POST % b"seen" + b"5\r\nhello\r\n0\r\nA: " + b"x" * MAX_HEAD_BYTES + b"x" * 1_000_000,
        POST % b"seen" + b"5;" + b"x" * MAX_HEAD_BYTES + b"x" * 1_000_000,
    ],
    ids=["line", "header", "headers", "trailer", "chunk"],
)
async def test_what_is_not_a_body_has_a_size(connect: Connect, head: bytes) -> None:
    client = await connect(Application())
    for at in range(0, len(head), 20_000):
        client.send(head[at : at + 20_000])
        await asyncio.sleep(0.001)
    status, told = await client.read_answer()
    assert (status, told["error"]["code"]) == (431, "headers_too_large")


async def test_what_is_no_http_is_told_in_the_envelope(connect: Connect) -> None:
    application = Application()
    client = await connect(application, QuickProtocol)
    client.send(b"\x16\x03\x01 hello\r\n\r\n")
    status, told = await client.read_answer()
    assert (status, told["error"]["code"]) == (400, "invalid_request_error")
    assert await client.read_to_end() == b""
    assert application.asked == []


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET / HTT", b"GET / HTTP/1.1\r\nA: b\r\n"])
async def test_a_connection_that_says_nothing_is_closed(connect: Connect, begun: bytes) -> None:
    client = await connect(Application(), QuickProtocol)
    client.send(begun)
    assert await client.read_to_end() == b""


@pytest.mark.parametrize("begun", [b"\r\n", b"GET / HTT"])
async def test_so_is_one_that_says_nothing_more_after_an_answer(connect: Connect, begun: bytes) -> None:
    client = await connect(Application(), QuickProtocol)
    client.send(GET)
    await client.read_answer()
    client.send(begun)
    assert await client.read_to_end() == b""


async def test_a_request_that_waits_for_its_answer_is_not_closed(connect: Connect) -> None:
    application = Application()
    client = await connect(application, QuickProtocol)
    client.send(GET.replace(b"/seen", b"/hang"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5 * SHORT_S):
            await client.reader.read(1)
    assert not application.ended.is_set()


async def test_a_body_that_nobody_reads_is_thrown_away_for_a_moment(connect: Connect) -> None:
    client = await connect(Application(), QuickProtocol)
    client.send(POST % b"unread" + b"5\r\nhello\r\n")
    assert (await client.read_answer())[0] == 200

    async def send_on() -> None:
        with suppress(ConnectionError):
            while True:
                client.send(b"5\r\nhello\r\n")
                await client.writer.drain()
                await asyncio.sleep(SHORT_S / 20)

    sending = asyncio.create_task(send_on())
    assert await client.read_to_end() == b""
    sending.cancel()


async def test_a_connection_serves_on_when_the_body_that_nobody_read_is_over(connect: Connect) -> None:
    client = await connect(Application())
    client.send(POST % b"unread" + b"5\r\nhello\r\n")
    assert (await client.read_answer())[0] == 200
    client.send(b"5\r\nhello\r\n0\r\nAuthorization: x\r\n\r\n" + GET)
    assert (await client.read_answer())[1]["headers"] == ["host"]


async def test_nobody_is_told_to_go_on_before_the_body_is_read(connect: Connect) -> None:
    client = await connect(Application())
    head = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    client.send(head % b"unread")
    assert (await client.read_answer())[0] == 200
    client.send(b"hello" + head % b"seen")
    async with asyncio.timeout(MAX_S):
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"hello")
    assert (await client.read_answer())[1]["body"] == "hello"


async def test_requests_that_are_sent_ahead_are_counted(connect: Connect) -> None:
    application = Application()
    client = await connect(application)
    client.send(GET.replace(b"/seen", b"/hang") + GET * (MAX_PIPELINED + 10))
    assert await client.read_to_end() == b""
    assert len(application.asked) == 1


async def test_what_is_wrong_after_an_answer_began_breaks_it_off(connect: Connect) -> None:
    """A refusal in its middle would look like a part of it."""
    client = await connect(Application())
    client.send(GET.replace(b"/seen", b"/large"))
    await client.reader.readexactly(100_000)
    client.send(b"no HTTP\r\n\r\n")
    received = await client.read_to_end()
    assert b"invalid_request_error" not in received
    assert len(received) < 30_000_000


async def test_an_answer_that_nobody_reads_ends_the_connection(connect: Connect) -> None:
    application = Application()
    client = await connect(application)
    client.writer.transport.pause_reading()
    client.send(GET.replace(b"/seen", b"/large"))
    async with asyncio.timeout(MAX_S):
        await application.ended.wait()
    client.writer.transport.resume_reading()
    assert len(await client.read_to_end()) < 30_000_000


async def test_an_answer_that_is_read_slowly_is_sent_whole(connect: Connect) -> None:
    client = await connect(Application())
    client.send(GET.replace(b"/seen", b"/large"))
    received = 0
    async with asyncio.timeout(6 * MAX_S):
        await client.reader.readuntil(b"\r\n\r\n")
        while received < 30_000_000:
            received += len(await client.reader.read(1_000_000))
            await asyncio.sleep(SHORT_S / 50)


async def test_an_upgrade_is_a_request_like_others(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    client = await connect(Application())
    client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
    assert (await client.read_answer())[0] == 200
    assert caplog.records == []


@pytest.mark.parametrize("way", ["half-closed", "last", "kept alive"])
async def test_a_closing_connection_does_not_wait_for_who_reads_nothing(connect: Connect, way: str) -> None:
    """The transport itself would wait without end, with an open file: for whoever asks, without a key."""

    class Brief(QuickProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.timeout_keep_alive = 0

    application = Rest()
    client = await connect(application, Brief)
    client.writer.transport.pause_reading()
    client.send(b"GET /rest HTTP/1.1\r\nHost: x\r\n%b\r\n" % (b"Connection: close\r\n" if way == "last" else b""))
    async with asyncio.timeout(MAX_S):
        transport = await application.held.get()
        if way == "half-closed":
            client.writer.write_eof()
        else:
            application.may_end.set()
        await eventually(lambda: transport.is_closing() and not transport.get_write_buffer_size())
    application.may_end.set()
    client.writer.transport.abort()


class Rest(Application):
    """Answers until the network takes no more, and leaves less in the buffer than a writer waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.held: asyncio.Queue[Any] = asyncio.Queue()
        self.may_end = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        transport = receive.__self__.transport
        while not transport.get_write_buffer_size():
            await send({"type": "http.response.body", "body": bytes(1_000), "more_body": True})
            await asyncio.sleep(0)
        self.held.put_nowait(transport)
        await self.may_end.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
