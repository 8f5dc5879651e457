"""The server's end of a WebSocket, in a server of the test's own: what is large, slow or silent has a bound."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from config import websocket_protocol
from config.http_protocol import HttpProtocol
from config.request_body import BodyRoom
from config.websocket_protocol import MAX_MESSAGE_BYTES, WebSocketProtocol
from prompts.consumers.frames import PUSH, Push
from tests.support.servers import eventually

SHORT_S = 0.2
MAX_S = 20
MB = 1024 * 1024


class QuickHttp(HttpProtocol):
    """Its limits of time are those of a test."""

    head_s = SHORT_S


class BriefSocket(WebSocketProtocol):
    """Who was told why it is closed is not waited for."""

    linger_s = SHORT_S


class QuickSocket(BriefSocket):
    """Its other limits of time are short too."""

    grace_s = SHORT_S
    stall_s = SHORT_S


class PingingSocket(BriefSocket):
    """Pings often, and waits a moment for the answer."""

    ping_s = SHORT_S
    pong_s = SHORT_S


class Application:
    """Accepts, sends back what it is sent, and keeps how each connection ended."""

    def __init__(self) -> None:
        self.ended: asyncio.Queue[int] = asyncio.Queue()
        self.seen: list[Any] = []
        self.errors: list[BaseException] = []
        self.connections: set[Any] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            self.seen.append(message.get("text", message.get("bytes")))
            try:
                await self.answer(message.get("text") or "", send)
            except OSError as error:
                self.errors.append(error)
        self.ended.put_nowait(message["code"])

    async def answer(self, text: str, send: Any) -> None:
        """`send N` sends N characters, `close` closes; all else is sent back."""
        match text.split():
            case ["send", size]:
                await send({"type": "websocket.send", "text": "ä" * int(size)})
            case ["close"]:
                await send({"type": "websocket.close", "code": 1000})
            case _:
                await send({"type": "websocket.send", "text": str(len(text))})


Serve = Callable[..., Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve an application; gives the address. `room` is that of all messages that are coming."""
    servers: list[asyncio.Server] = []
    states: list[ServerState] = []

    async def start(
        application: Application, protocol: type[WebSocketProtocol] = BriefSocket, room: int = 256 * MB
    ) -> tuple[str, int]:
        config = Config(application, log_config=None, access_log=False, ws=protocol, timeout_keep_alive=60)
        config.load()
        state, app_state = ServerState(), {"bodies": BodyRoom(room)}
        application.connections = state.connections
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: QuickHttp(config, state, app_state), "127.0.0.1", 0)
        servers.append(server)
        states.append(state)
        address: tuple[str, int] = server.sockets[0].getsockname()
        return address

    yield start
    for server in servers:
        server.close()
    for connection in [each for state in states for each in state.connections]:
        connection.transport.abort()
    await asyncio.sleep(SHORT_S)  # until their sockets are closed, on both sides


async def open_to(address: tuple[str, int], **options: Any) -> ClientConnection:
    """A client that takes whatever it is sent."""
    url = f"ws://{address[0]}:{address[1]}/"
    return await connect(url, **{"max_size": None, "compression": "deflate", "proxy": None, **options})


async def read_end(connection: ClientConnection) -> int:
    """The code with which the server closes; 1006 when it says none."""
    async with asyncio.timeout(MAX_S):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006


async def write_raw(connection: ClientConnection, data: bytes) -> None:
    """Bytes as they are, below the client's protocol."""
    connection.transport.write(data)
    await asyncio.sleep(0)


def frame(opcode: Opcode, data: bytes, *, fin: bool) -> bytes:
    """One frame as a client sends it."""
    return Frame(opcode, data, fin=fin).serialize(mask=True)


async def test_it_works_and_stays_open_longer_than_a_request_may_take(serve: Serve) -> None:
    client = await open_to(await serve(Application()))
    assert client.response is not None
    assert "sec-websocket-extensions" not in client.response.headers  # no compression
    await asyncio.sleep(2 * SHORT_S)  # more than a client has for the head of a request
    for text in ("Hello", "x" * 200_000):
        await client.send(text)
        assert await client.recv() == str(len(text))
    await client.close()


async def test_a_message_may_be_as_large_as_a_body_and_no_larger(serve: Serve) -> None:
    application = Application()
    address = await serve(application)
    client = await open_to(address)
    await client.send("x" * MAX_MESSAGE_BYTES)
    assert await client.recv() == str(MAX_MESSAGE_BYTES)
    with suppress(ConnectionClosed):
        await client.send("x" * (MAX_MESSAGE_BYTES + 1))
    assert await read_end(client) == 1009
    client = await open_to(address)
    pieces = (b"x" * MB for _ in range(11))
    with suppress(ConnectionClosed):
        await client.send(pieces, text=True)
    assert await read_end(client) == 1009
    assert [await application.ended.get() for _ in range(2)] == [1009, 1009]
    assert [len(text) for text in application.seen] == [MAX_MESSAGE_BYTES]


async def test_a_message_in_very_many_pieces_is_held_once(serve: Serve) -> None:
    application = Application()
    client = await open_to(await serve(application))
    await write_raw(client, frame(Opcode.TEXT, b"a", fin=False))
    await write_raw(client, frame(Opcode.CONT, b"", fin=False) * 50_000 + frame(Opcode.CONT, b"b", fin=False) * 50_000)
    await write_raw(client, frame(Opcode.CONT, b"c", fin=True))
    assert await client.recv() == "50002"
    assert application.seen == ["a" + "b" * 50_000 + "c"]
    await client.close()


async def test_a_text_that_is_no_utf_8_ends_the_connection(serve: Serve) -> None:
    application = Application()
    client = await open_to(await serve(application))
    await write_raw(client, frame(Opcode.TEXT, b"\xc3\x28", fin=True))
    assert await read_end(client) == 1007
    assert application.seen == []


@pytest.mark.parametrize("begun", [b"x" * 1000, b""])
async def test_a_message_that_hardly_comes_ends_the_connection(serve: Serve, begun: bytes) -> None:
    application = Application()
    client = await open_to(await serve(application, QuickSocket))
    await write_raw(client, frame(Opcode.TEXT, begun, fin=False) + b"\x80")
    assert await read_end(client) == 1008
    assert await application.ended.get() == 1008


async def test_messages_that_are_coming_have_their_room(serve: Serve) -> None:
    application = Application()
    address = await serve(application, room=3 * MB)
    large = frame(Opcode.TEXT, b"x" * 2 * MB, fin=False)
    first, second = await open_to(address), await open_to(address)
    await write_raw(first, large)
    await (await first.ping())  # the answer: it is read
    await write_raw(second, large)
    assert await read_end(second) == 1013
    await write_raw(first, frame(Opcode.CONT, b"x", fin=True))
    assert await first.recv() == str(2 * MB + 1)
    third = await open_to(address)
    await third.send("x" * 2 * MB)
    assert await third.recv() == str(2 * MB)
    for client in (first, third):
        await client.close()


async def test_a_long_answer_goes_out_in_pieces(serve: Serve) -> None:
    client = await open_to(await serve(Application()))
    await client.send("send 100000")
    pieces = [piece async for piece in client.recv_streaming()]
    assert "".join(map(str, pieces)) == "ä" * 100_000
    assert len(pieces) == 4  # 64 KB each
    await client.close()


async def open_deaf(address: tuple[str, int]) -> socket.socket:
    """A client with a small window, which reads nothing but the answer to its upgrade."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, address)
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    await loop.sock_sendall(client, upgrade + key)
    head = b""
    while b"\r\n\r\n" not in head:
        head += await loop.sock_recv(client, 100)
    assert b" 101 " in head
    return client


class Pushing(Application):
    """Sends by calls: `push N M` sends N frames of M characters, and then whether that could be."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.push: Push = scope["extensions"][PUSH]["push"]
        await super().__call__(scope, receive, send)

    async def answer(self, text: str, send: Any) -> None:
        """See above."""
        _, frames, size = text.split()
        is_taken = self.push([b"x" * int(size)] * int(frames))
        await send({"type": "websocket.send", "text": str(is_taken)})


async def test_short_frames_go_out_by_a_call_all_or_none(serve: Serve) -> None:
    client = await open_to(await serve(application := Pushing()))
    await client.send("push 3 10")
    assert [await client.recv() for _ in range(4)] == ["x" * 10, "x" * 10, "x" * 10, "True"]
    for size in (0, 1, 125, 126, 65_535):
        await client.send(f"push 1 {size}")
        assert [await client.recv() for _ in range(2)] == ["x" * size, "True"]
    await client.send("push 3 30000")
    assert await client.recv() == "False", "as much as a connection takes"
    await client.close()
    await application.ended.get()
    assert not application.push([b"x"])


async def test_to_a_reader_that_takes_nothing_no_frame_goes_out_by_a_call(serve: Serve) -> None:
    deaf = await open_deaf(await serve(application := Pushing()))
    await eventually(lambda: not application.push([b"x" * 60_000]))
    (connection,) = application.connections
    held = connection.transport.get_write_buffer_size()
    assert not application.push([b"x"])
    assert connection.transport.get_write_buffer_size() == held
    deaf.close()


async def test_a_reader_that_takes_nothing_is_dropped_and_holds_nobody(serve: Serve) -> None:
    application = Application()
    address = await serve(application, QuickSocket)
    deaf = await open_deaf(address)
    await asyncio.get_running_loop().sock_sendall(deaf, frame(Opcode.TEXT, b"send 20000000", fin=True))
    other = await open_to(address)
    await other.send("Hello")
    assert await other.recv() == "5"
    async with asyncio.timeout(MAX_S):
        assert await application.ended.get() == websocket_protocol.STALLED
    assert len(application.errors) == 1
    deaf.close()
    await other.close()


async def test_pings_of_a_reader_that_takes_nothing_are_not_answered(serve: Serve) -> None:
    """Their answers would pile up."""
    application = Application()
    address = await serve(application)
    deaf, loop = await open_deaf(address), asyncio.get_running_loop()
    await loop.sock_sendall(deaf, frame(Opcode.TEXT, b"send 20000000", fin=True))
    ping = frame(Opcode.PING, b"x" * 125, fin=True)
    for _ in range(20):
        await loop.sock_sendall(deaf, ping * 1000)
    [protocol] = application.connections
    assert protocol.transport.get_write_buffer_size() < 4 * websocket_protocol.MAX_PIECE_BYTES
    deaf.close()
    async with asyncio.timeout(MAX_S):
        await application.ended.get()


async def test_a_client_that_answers_no_ping_is_dropped(serve: Serve) -> None:
    application = Application()
    address = await serve(application, PingingSocket)
    deaf = await open_deaf(address)
    lively = await open_to(address)
    async with asyncio.timeout(MAX_S):
        assert await application.ended.get() == 1011
    await lively.send("Hello")
    assert await lively.recv() == "5"
    deaf.close()
    await lively.close()


async def test_an_upgrade_behind_a_request_that_is_being_answered_is_refused(serve: Serve) -> None:
    """The answer would be written between the frames."""

    class Slow(Application):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(MAX_S)

    reader, writer = await asyncio.open_connection(*await serve(Slow()))
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n" + upgrade + key)
    async with asyncio.timeout(MAX_S):
        assert b"101" not in await reader.read(1000)
    writer.close()


class Holding(Application):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def answer(self, text: str, send: Any) -> None:
        await self.may_answer.wait()
        await super().answer(text, send)


async def test_a_message_keeps_its_room_until_it_is_asked_for(serve: Serve) -> None:
    """Whoever sends while nobody asks: of a thousand connections, each would hold a message that nobody counts."""
    application = Holding()
    address = await serve(application, room=3 * MB)
    first = await open_to(address)
    [protocol] = application.connections
    await first.send("Hold")
    await first.send("x" * 2 * MB)
    await eventually(lambda: not protocol.queue.empty())
    second = await open_to(address)
    await write_raw(second, frame(Opcode.TEXT, b"x" * 2 * MB, fin=False))
    assert await read_end(second) == 1013
    application.may_answer.set()
    assert [await first.recv(), await first.recv()] == ["4", str(2 * MB)]
    third = await open_to(address)
    await third.send("x" * 2 * MB)
    assert await third.recv() == str(2 * MB)
    for client in (first, third):
        await client.close()


@pytest.mark.parametrize("way", ["close", "half-close"])
async def test_a_closing_connection_does_not_wait_for_who_reads_nothing(serve: Serve, way: str) -> None:
    """The transport itself would wait without end, and nobody counts it any more."""

    class Parting(BriefSocket):
        closing_s = SHORT_S

    application = Application()
    deaf, loop = await open_deaf(await serve(application, Parting)), asyncio.get_running_loop()
    [protocol] = application.connections
    async with asyncio.timeout(MAX_S):
        asked = 0
        while not protocol.transport.get_write_buffer_size():  # until the network takes no more
            asked += 1
            await loop.sock_sendall(deaf, frame(Opcode.TEXT, b"send 5000", fin=True))
            while len(application.seen) < asked:  # noqa: ASYNC110 -- one answer at a time; a test may look often
                await asyncio.sleep(0)
        assert protocol.writable.is_set()
        if way == "close":
            await loop.sock_sendall(deaf, frame(Opcode.CLOSE, b"\x03\xe8", fin=True))
        else:
            deaf.shutdown(socket.SHUT_WR)
        await eventually(lambda: not application.connections)
    deaf.close()


async def test_who_closes_in_the_middle_of_a_long_answer_has_left(serve: Serve) -> None:
    application = Application()
    deaf, loop = await open_deaf(await serve(application)), asyncio.get_running_loop()
    await loop.sock_sendall(deaf, frame(Opcode.TEXT, b"send 5000000", fin=True))
    [protocol] = application.connections
    async with asyncio.timeout(MAX_S):
        await eventually(lambda: not protocol.writable.is_set())
        await loop.sock_sendall(deaf, frame(Opcode.CLOSE, b"\x03\xe8", fin=True))
        while await loop.sock_recv(deaf, 1_000_000):
            pass
        assert await application.ended.get() == 1000
    assert [type(error) for error in application.errors] == [ConnectionResetError]
    deaf.close()
