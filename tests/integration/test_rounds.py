"""Streams that are read in rounds: each says what it would say by itself, on both event loops."""

import asyncio
import datetime
import gc
import ssl
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typing_extensions import override

from prompts.adapters.openai.direct_post import DirectPost
from prompts.adapters.openai.exchange import FEW_PIECES, MAX_HELD_BYTES, Exchange, Overdue
from prompts.adapters.openai.rounds import MAX_AT_ONCE, MIN_STREAMS, READ_BYTES, ROUND_S, Rounds, find_rounds
from prompts.alarms import do_nothing
from tests.integration.byte_server import HEAD, Play, Server, started
from tests.integration.event_loops import WAIT_S, Run

PIECES = 40
WORDS = b"".join(b"%d " % number for number in range(PIECES))


class Stream(asyncio.Protocol):
    """What one connection brings."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.said = bytearray()
        self.has_ended = asyncio.Event()
        self.error: Exception | None = None
        self.when_heard: Callable[[], object] = do_nothing

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    @override
    def data_received(self, data: bytes) -> None:
        self.said += data
        self.when_heard()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.has_ended.set()

    async def wait(self, said: bytes) -> None:
        """Until all of this has come."""
        while len(self.said) < len(said):  # noqa: ASYNC110  # a test's own `when_heard` may not be replaced
            await asyncio.sleep(0.001)
        assert self.said == said


@asynccontextmanager
async def connected(
    count: int, server_tls: ssl.SSLContext | None = None, client_tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Sequence[Stream], Sequence[asyncio.StreamWriter]]]:
    """So many connections: their ends here, and those of the server that writes to them."""
    writers = list[asyncio.StreamWriter]()
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0, ssl=server_tls)
    port = server.sockets[0].getsockname()[1]
    streams = list[Stream]()
    for _ in range(count):
        _, stream = await asyncio.get_running_loop().create_connection(Stream, "127.0.0.1", port, ssl=client_tls)
        streams.append(stream)
        while len(writers) < len(streams):  # noqa: ASYNC110  # the server tells it in no other way
            await asyncio.sleep(0.001)
    try:
        yield streams, writers
    finally:
        for stream in streams:
            stream.transport.abort()
        for writer in writers:
            writer.close()
        server.close()


def test_streams_are_read_in_rounds_while_there_are_many(run: Run) -> None:
    async def work() -> None:
        rounds = Rounds()
        async with connected(MIN_STREAMS + 1) as (streams, writers):
            join_all(rounds, streams[: MIN_STREAMS - 1])
            assert count_read_in_rounds(streams) == 0
            await hear_all(streams, writers)
            join_all(rounds, streams[MIN_STREAMS - 1 :])
            assert count_read_in_rounds(streams) == MIN_STREAMS + 1
            await hear_all(streams, writers)
            leaving = streams[MIN_STREAMS // 2 :]
            leave_all(rounds, leaving)
            leave_all(rounds, leaving)
            assert count_read_in_rounds(streams) == MIN_STREAMS // 2
            await hear_all(streams, writers)
            leave_all(rounds, streams[:1])
            assert count_read_in_rounds(streams) == 0
            await hear_all(streams, writers)
            join_all(rounds, leaving)
            assert count_read_in_rounds(streams) == MIN_STREAMS
            await hear_all(streams, writers)

    run(work())


def join_all(rounds: Rounds, streams: Sequence[Stream]) -> None:
    for stream in streams:
        rounds.join(stream, stream.transport)


def leave_all(rounds: Rounds, streams: Sequence[Stream]) -> None:
    for stream in streams:
        rounds.leave(stream)


def count_read_in_rounds(streams: Sequence[Stream]) -> int:
    return [stream.transport.is_reading() for stream in streams].count(False)


async def hear_all(streams: Sequence[Stream], writers: Sequence[asyncio.StreamWriter]) -> None:
    """The server writes to each, and all of it comes."""
    for stream, writer in zip(streams, writers, strict=True):
        stream.said.clear()
        writer.write(WORDS)
    for stream in streams:
        await stream.wait(WORDS)


@contextmanager
def counting_turns(loop: asyncio.AbstractEventLoop) -> Iterator[Sequence[None]]:
    """One more with each pass of the event loop."""
    turns, is_over = list[None](), False

    def turn() -> None:
        turns.append(None)
        if not is_over:
            loop.call_soon(turn)

    turn()
    try:
        yield turns
    finally:
        is_over = True


def test_tokens_that_come_one_by_one_are_read_together(run: Run) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        rounds, passes = Rounds(), set[int]()
        async with connected(MAX_AT_ONCE) as (streams, writers):
            with counting_turns(loop) as turns:
                for stream in streams:
                    rounds.join(stream, stream.transport)
                    stream.when_heard = lambda: passes.add(len(turns))
                began = loop.time()
                for writer in writers:
                    writer.write(b"word")
                    await asyncio.sleep(0)
                for stream in streams:
                    await stream.wait(b"word")
                rounds_at_most = (loop.time() - began) / ROUND_S + 2
        assert len(passes) <= rounds_at_most

    run(work())


def test_all_others_have_their_turn_between_parts_of_a_round(run: Run) -> None:
    said = b"x" * 3 * READ_BYTES

    async def work() -> None:
        loop = asyncio.get_running_loop()
        rounds, heard = Rounds(), Counter[int]()
        async with connected(2 * MAX_AT_ONCE + 1) as (streams, writers):
            with counting_turns(loop) as turns:
                for stream, writer in zip(streams, writers, strict=True):
                    rounds.join(stream, stream.transport)
                    stream.when_heard = lambda: heard.update([len(turns)])
                    writer.write(said)
                for stream in streams:
                    await stream.wait(said)
        assert max(heard.values()) <= MAX_AT_ONCE

    run(work())


def test_the_end_of_a_stream_comes_behind_all_that_it_has_said(run: Run) -> None:
    async def work() -> None:
        rounds = Rounds()
        async with connected(MIN_STREAMS + 2) as (streams, writers):
            join_all(rounds, streams)
            writers[0].write(WORDS)
            writers[0].close()
            writers[1].write(WORDS)
            await streams[1].wait(WORDS)
            writers[1].transport.abort()
            for stream in streams[:2]:
                await stream.has_ended.wait()
                assert stream.said == WORDS
                rounds.leave(stream)
            writers[2].write(WORDS)
            await streams[2].wait(WORDS)
            assert not streams[2].transport.is_reading()

    run(work())


def test_who_leaves_in_the_middle_of_a_round_is_read_by_the_event_loop(run: Run) -> None:
    async def work() -> None:
        rounds = Rounds()
        async with connected(2 * MIN_STREAMS) as (streams, writers):
            for _ in range(3):
                join_all(rounds, streams)
                for stream in streams:
                    stream.when_heard = partial(leave_all, rounds, streams)
                await hear_all(streams, writers)
                assert count_read_in_rounds(streams) == 0

    run(work())


def test_who_leaves_and_joins_in_the_middle_of_a_round_is_read_in_the_next(run: Run) -> None:
    async def work() -> None:
        rounds = Rounds()
        async with connected(2 * MIN_STREAMS) as (streams, writers):

            def begin_anew() -> None:
                leave_all(rounds, streams)
                join_all(rounds, streams)

            join_all(rounds, streams)
            for stream in streams:
                stream.when_heard = begin_anew
            for _ in range(3):
                await hear_all(streams, writers)
                assert count_read_in_rounds(streams) == len(streams)

    run(work())


def test_a_connection_that_was_closed_makes_room_for_the_next_one(run: Run) -> None:
    async def work() -> None:
        rounds = Rounds()
        for _ in range(3):
            async with connected(MIN_STREAMS) as (streams, writers):
                for stream, writer in zip(streams, writers, strict=True):
                    rounds.join(stream, stream.transport)
                    writer.write(WORDS)
                for stream in streams:
                    await stream.wait(WORDS)
                    stream.transport.abort()
                    rounds.leave(stream)
                    rounds.join(stream, stream.transport)  # it is closed
                assert not rounds._sources.keys() & set(streams)

    run(work())


def test_a_connection_that_is_closed_and_has_not_left_is_not_read(run: Run) -> None:
    async def work() -> None:
        rounds = Rounds()
        async with connected(MIN_STREAMS) as (streams, _):
            join_all(rounds, streams)
            for stream in streams:
                stream.transport.abort()
            await asyncio.sleep(0)
            async with connected(MIN_STREAMS) as (others, writers):  # their sockets have the same numbers
                join_all(rounds, others)
                await hear_all(others, writers)
                leave_all(rounds, streams)
                await hear_all(others, writers)
                assert count_read_in_rounds(others) == MIN_STREAMS
            assert not any(stream.said for stream in streams)

    run(work())


def test_who_fails_at_what_has_come_is_closed_and_the_others_go_on(run: Run) -> None:
    async def work() -> None:
        loop, told = asyncio.get_running_loop(), list[object]()
        loop.set_exception_handler(lambda _, context: told.append(type(context["exception"])))
        rounds = Rounds()
        async with connected(2 * MIN_STREAMS) as (streams, writers):
            join_all(rounds, streams)
            streams[0].when_heard = lambda: 1 / 0
            await hear_all(streams, writers)
            await streams[0].has_ended.wait()
            await hear_all(streams[1:], writers[1:])
            assert count_read_in_rounds(streams[1:]) == 2 * MIN_STREAMS - 1
        assert told == [ZeroDivisionError]

    run(work())


def test_an_event_loop_that_is_over_does_not_stay_in_memory(run: Run) -> None:
    loops = list[weakref.ref[asyncio.AbstractEventLoop]]()

    async def work() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        rounds = find_rounds(asyncio.get_running_loop())
        async with connected(MIN_STREAMS) as (streams, writers):
            join_all(rounds, streams)
            await hear_all(streams, writers)
            leave_all(rounds, streams)

    run(work())
    gc.collect()
    assert [loop() for loop in loops] == [None]


@pytest.fixture
def server_tls(tmp_path: Path) -> ssl.SSLContext:
    """For a server that nobody knows."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(encoding, private, serialization.NoEncryption()) + certificate.public_bytes(encoding)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_what_comes_over_tls_is_the_event_loops(run: Run, server_tls: ssl.SSLContext) -> None:
    client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_tls.check_hostname, client_tls.verify_mode = False, ssl.CERT_NONE

    async def work() -> None:
        rounds = Rounds()
        async with connected(MIN_STREAMS, server_tls, client_tls) as (streams, writers):
            for stream, writer in zip(streams, writers, strict=True):
                rounds.join(stream, stream.transport)
                writer.write(WORDS)
            for stream in streams:
                assert stream.transport.is_reading()
                await stream.wait(WORDS)
                rounds.leave(stream)

    run(work())


async def say(writer: asyncio.StreamWriter) -> None:
    """The words one by one, and the end."""
    writer.write(HEAD)
    for number in range(PIECES):
        word = b"%d " % number
        writer.write(b"%x\r\n%b\r\n" % (len(word), word))
        await asyncio.sleep(0.005)
    writer.write(b"0\r\n\r\n")


async def say_and_break_off(writer: asyncio.StreamWriter) -> None:
    """All but the end."""
    writer.write(HEAD + b"2\r\nhi\r\n")
    for _ in range(PIECES):
        await asyncio.sleep(0.005)
        writer.write(b"2\r\nhi\r\n")
    writer.close()


async def say_and_fall_silent(writer: asyncio.StreamWriter) -> None:
    """All but the end, and the connection stays."""
    writer.write(HEAD)
    for _ in range(PIECES):
        writer.write(b"2\r\nhi\r\n")
        await asyncio.sleep(0.005)


async def say_without_end(writer: asyncio.StreamWriter) -> None:
    """Words, and then as much as is read."""
    writer.write(HEAD)
    for _ in range(PIECES):
        writer.write(b"2\r\nhi\r\n")
        await asyncio.sleep(0.005)
    while True:
        writer.write(b"fffe\r\n%b\r\n" % (b"x" * 0xFFFE))
        await writer.drain()


class Hearing:
    """One answer, as it is heard."""

    def __init__(self, *, enough: int = -1, silence_s: float = WAIT_S) -> None:
        self.said = bytearray()
        self.error: Exception | None = None
        self.was_in_rounds = False
        self._enough = enough
        self._silence_s = silence_s

    async def hear(self, post: DirectPost) -> Exchange:
        """Until it is enough, or the end."""
        body = await post.open({})
        assert isinstance(body, Exchange)
        loop = asyncio.get_running_loop()

        def take(data: bytes) -> float | None:
            self.said.extend(data)
            self.was_in_rounds = self.was_in_rounds or not body._transport.is_reading()
            return None if 0 < self._enough <= len(self.said) else loop.time() + self._silence_s

        try:
            while await body.hand_on(take, loop.time() + WAIT_S):
                if 0 < self._enough <= len(self.said):
                    return body
        except (aiohttp.ClientError, Overdue) as error:
            self.error = error
        body.close()
        return body


def test_answers_of_many_models_are_whole_and_their_connections_used_again(run: Run) -> None:
    async def work() -> None:
        async with started(Server(say)) as post:
            for _ in range(2):
                hearings = [Hearing() for _ in range(2 * MIN_STREAMS)]
                await asyncio.gather(*(hearing.hear(post) for hearing in hearings))
                assert {bytes(hearing.said) for hearing in hearings} == {WORDS}
                assert all(hearing.was_in_rounds for hearing in hearings)
            assert post._connector is not None
            assert len(list_connections(post)) == 2 * MIN_STREAMS

    run(work())


def list_connections(post: DirectPost) -> Sequence[object]:
    """Those that wait for the next request."""
    return [each for kept in post._connector._conns.values() for each in kept]


@pytest.mark.parametrize(
    ("play", "error"), [(say_and_break_off, aiohttp.ClientPayloadError), (say_and_fall_silent, Overdue)]
)
def test_an_answer_that_does_not_end_well_is_an_error(run: Run, play: Play, error: type[Exception]) -> None:
    async def work() -> None:
        async with started(Server(play)) as post:
            hearings = [Hearing(silence_s=1.5) for _ in range(MIN_STREAMS)]
            await asyncio.gather(*(hearing.hear(post) for hearing in hearings))
            assert {type(hearing.error) for hearing in hearings} == {error}
            assert all(hearing.was_in_rounds and len(hearing.said) >= 2 * PIECES for hearing in hearings)

    run(work())


def test_a_server_is_read_as_fast_as_its_answer_is(run: Run) -> None:
    async def work() -> None:
        async with started(Server(say_without_end)) as post:
            hearings = [Hearing(enough=2 * PIECES + 1) for _ in range(MIN_STREAMS)]
            bodies = await asyncio.gather(*(hearing.hear(post) for hearing in hearings))
            assert all(hearing.was_in_rounds for hearing in hearings)
            await asyncio.sleep(0.5)
            for body in bodies:
                assert len(body._held) < 5 * MAX_HELD_BYTES
                assert await body.read()
                body.close()

    run(work())


def test_a_short_answer_is_read_by_the_event_loop(run: Run) -> None:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for _ in range(FEW_PIECES):
            writer.write(b"2\r\nhi\r\n")
            await asyncio.sleep(0.005)
        writer.write(b"0\r\n\r\n")

    async def work() -> None:
        async with started(Server(write)) as post:
            hearings = [Hearing() for _ in range(2 * MIN_STREAMS)]
            await asyncio.gather(*(hearing.hear(post) for hearing in hearings))
            assert not any(hearing.was_in_rounds for hearing in hearings)

    run(work())
