"""An exchange with a server that sends what it likes, byte for byte, on both event loops."""

import asyncio
import gc
import zlib
from collections.abc import Sequence
from typing import Any

import aiohttp
import openai
import pytest

from prompts.adapters.openai.bodies import StreamBody
from prompts.adapters.openai.direct_post import DirectPost
from prompts.adapters.openai.exchange import MAX_HEAD_BYTES, MAX_HEADERS, SLICE_BYTES, Exchange, Overdue
from prompts.alarms import NEVER
from tests.integration.byte_server import HEAD, Server, started
from tests.integration.event_loops import WAIT_S, Run

HI = b"2\r\nhi\r\n"
LAST = b"0\r\n\r\n"
MANY = b"".join(b"a%d: b\r\n" % number for number in range(MAX_HEADERS + 1))
PIECE = b"x" * 100_000
PIECES = 300


async def read(body: StreamBody) -> bytes:
    """All of it."""
    said = bytearray()
    try:
        while data := await body.read(asyncio.get_running_loop().time() + WAIT_S):
            said += data
    finally:
        body.close()
    return bytes(said)


async def ask(post: DirectPost, **body: Any) -> bytes:
    return await read(await post.open(body))


@pytest.mark.parametrize(
    ("answer", "is_over"),
    [
        (HEAD + HI + LAST, False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + HEAD + HI + LAST, False),
        (HEAD + HI + b"0\r\ntrailer: x\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\nhi", True),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", True),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi", True),
        (HEAD + HI + LAST + HEAD + b"2\r\nno\r\n" + LAST, True),
        (HEAD + HI + LAST + b"rubbish", True),
    ],
    ids=["chunked", "length", "1xx", "trailer", "to its end", "HTTP/1.0", "close", "a second answer", "rubbish behind"],
)
def test_an_answer_is_read_to_its_end(run: Run, answer: bytes, is_over: bool) -> None:
    server = Server(answer, is_over=is_over)

    async def work() -> None:
        async with started(server) as post:
            for _ in range(3):
                assert await ask(post, said="Hello") == b"hi"

    run(work())
    assert server.connections == (3 if is_over else 1)
    assert server.bodies == [b'{"said":"Hello"}'] * 3


@pytest.mark.parametrize(
    ("answer", "is_over", "error"),
    [
        (b"", True, aiohttp.ServerDisconnectedError),
        (b"HTTP/1.1 200", True, aiohttp.ServerDisconnectedError),
        (HEAD + HI, True, aiohttp.ClientPayloadError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi", True, aiohttp.ClientPayloadError),
        (HEAD + HI + b"zz\r\n", False, aiohttp.ClientPayloadError),
        (b"rubbish\r\n\r\n", False, aiohttp.ClientPayloadError),
        (b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", False, aiohttp.ClientPayloadError),
        (b"HTTP/1.1 200 OK\r\n" + MANY + b"\r\n", False, aiohttp.ClientPayloadError),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 2 * MAX_HEAD_BYTES, False, aiohttp.ClientPayloadError),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_HEAD_BYTES, False, aiohttp.ClientPayloadError),
        (HEAD + HI + b"0\r\na: " + b"b" * 10 * MAX_HEAD_BYTES, False, aiohttp.ClientPayloadError),
    ],
    ids=[
        *(
            "nothing",
            "half a head",
            "cut",
            "cut short",
            "no chunk",
            "rubbish",
            "upgrade",
            "many headers",
            "long header",
        ),
        *("endless 1xx", "endless trailer"),
    ],
)
def test_what_is_no_answer_is_an_error(run: Run, answer: bytes, is_over: bool, error: type[Exception]) -> None:
    server = Server(answer, is_over=is_over)

    async def work() -> None:
        async with started(server) as post:
            with pytest.raises(error):
                await ask(post)
            if not is_over:
                await server.closed.wait()

    run(work())


def test_an_error_before_all_was_sent_is_told_and_ends_the_connection(run: Run) -> None:
    answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}"
    server = Server(answer, reads_bodies=False, is_over=True)

    async def work() -> None:
        async with started(server) as post:
            for _ in range(2):
                with pytest.raises(openai.APIStatusError) as raised:
                    await ask(post, said="x" * 30_000_000)
                assert raised.value.status_code == 413

    run(work())
    assert server.connections == 2


def test_a_server_is_read_as_fast_as_its_answer_is(run: Run) -> None:
    sent = 0

    async def write(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(PIECE) * PIECES))
        for _ in range(PIECES):
            writer.write(PIECE)
            await writer.drain()
            sent += 1

    async def work() -> None:
        async with started(Server(write)) as post:
            body = await post.open({})
            await body.read()
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)
            assert sent < PIECES
            assert isinstance(body, Exchange)
            assert len(body._held) < 10 * len(PIECE)
            rest = await read(body)
            assert len(rest) > len(PIECE) * (PIECES - 20)
            assert await ask(post) == PIECE * PIECES

    run(work())


def test_what_does_not_come_in_time_is_overdue_and_what_comes_is_not(run: Run) -> None:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for _ in range(10):
            await asyncio.sleep(0.1)
            writer.write(HI)

    server = Server(write)

    async def work() -> None:
        async with started(server) as post:
            loop = asyncio.get_running_loop()
            body = await post.open({})
            for _ in range(10):
                assert await body.read(loop.time() + 5) == b"hi"
            with pytest.raises(Overdue):
                await body.read(loop.time() + 0.2)
            body.close()
            await server.closed.wait()

    run(work())


@pytest.mark.parametrize("gap_s", [0, 0.02], ids=["at once", "one by one"])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_what_arrives_is_handed_on_until_it_is_enough(run: Run, gap_s: float, is_zipped: bool) -> None:
    async def write(writer: asyncio.StreamWriter) -> None:
        zipping = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        writer.write(HEAD.replace(b"\r\n", b"\r\ncontent-encoding: gzip\r\n", 1) if is_zipped else HEAD)
        for _ in range(10):
            data = zipping.compress(b"hi") + zipping.flush(zlib.Z_SYNC_FLUSH) if is_zipped else b"hi"
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await asyncio.sleep(gap_s)
        writer.write(LAST)

    async def work() -> None:
        async with started(Server(write)) as post:
            loop = asyncio.get_running_loop()
            body, said = await post.open({}), bytearray()

            def take(data: bytes) -> float | None:
                said.extend(data)
                return None if len(said) in {4, 6} else loop.time() + WAIT_S

            while await body.hand_on(take, loop.time() + WAIT_S):
                assert len(said) in {4, 6}
            assert said == b"hi" * 10
            body.close()

    run(work())


def test_whoever_takes_says_until_when_more_must_come(run: Run) -> None:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for _ in range(10):
            await asyncio.sleep(0.1)
            writer.write(HI)

    async def work() -> None:
        async with started(Server(write)) as post:
            loop, pieces = asyncio.get_running_loop(), list[bytes]()
            body = await post.open({})

            def take(data: bytes) -> float:
                pieces.append(data)
                return loop.time() + (WAIT_S if len(pieces) < 10 else 0.2)

            with pytest.raises(Overdue):
                await body.hand_on(take, loop.time() + WAIT_S)
            assert pieces == [b"hi"] * 10
            body.close()

    run(work())


def test_more_than_can_be_worked_on_at_once_is_handed_on_in_slices(run: Run) -> None:
    async def work() -> None:
        async with started(Server(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(PIECE) + PIECE)) as post:
            body, sizes = await post.open({}), list[int]()

            def take(data: bytes) -> float:
                sizes.append(len(data))
                return NEVER

            assert not await body.hand_on(take)
            assert sum(sizes) == len(PIECE)
            assert max(sizes) <= SLICE_BYTES
            body.close()

    run(work())


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_an_exchange_that_is_left_is_closed_at_once(run: Run, is_cancelled: bool) -> None:
    server = Server(HEAD + HI)

    async def work() -> None:
        async with started(server) as post:
            body = await post.open({})
            assert await body.read() == b"hi"
            if is_cancelled:
                reading = asyncio.create_task(read(body))
                await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
            else:
                body.close()
            await server.closed.wait()

    run(work())


def test_a_client_that_is_closed_waits_for_nobody(run: Run) -> None:
    async def work() -> None:
        async with started(Server(HEAD + HI)) as post:
            body = await post.open({})
            assert await body.read() == b"hi"
        with pytest.raises(aiohttp.ClientError):
            await body.read()
        body.close()

    run(work())


@pytest.mark.parametrize("answer", [HEAD + HI + LAST, HEAD + HI])
def test_an_exchange_leaves_nothing_to_the_garbage_collector(run: Run, answer: bytes) -> None:
    async def work() -> None:
        async with started(Server(answer)) as post:
            bodies = [await post.open({}) for _ in range(3)]
            for body in bodies:
                await body.read()
                body.close()
            await asyncio.sleep(0.1)
            del body, bodies
            assert not list_exchanges()

    gc.collect()
    gc.disable()
    try:
        run(work())
    finally:
        gc.enable()


def list_exchanges() -> Sequence[object]:
    return [each for each in gc.get_objects() if type(each) is Exchange]
