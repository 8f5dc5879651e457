"""`GET /v1/responses/{id}?stream=true`: every follower, on any replica and from any cursor, gets the same bytes."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from redis import Redis

from tests.support.oracle import check_events, read_frames
from tests.support.server_fixtures import StartReplica
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, open_client, split_frames

# Short turns with every ending: the text, the other parameters, the final status.
ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "completed": ("count to 5", {}),
    "incomplete": ("repeat: nasty words [[standin finish=content_filter]]", {}),
    "failed": ("count to 5 [[standin cut_after=3]]", {}),
    "cancelled": ("count to 500 [[standin token_s=0.05]]", {}),
}


async def make_ended(http: httpx.AsyncClient, status: str, **body: Any) -> bytes:
    """The creator's stream of a response that ended like this."""
    text, more = ENDS[status]
    creator = Stream.of_turn(http, text, **more, **body)
    if status == "cancelled":
        await creator.see_words(3)
        assert (await http.post(f"/v1/responses/{await creator.get_id()}/cancel")).status_code == 200
    final = await creator.read_final()
    assert final["status"] == status
    return creator.raw


def get_id(raw: bytes) -> str:
    """The response id in a stream."""
    response_id: str = read_frames(raw)[0]["response"]["id"]
    return response_id


@pytest.mark.parametrize("is_background", [False, True], ids=["foreground", "background"])
@pytest.mark.parametrize("status", ENDS)
async def test_an_ended_response_is_replayed_from_any_cursor_on_any_replica(
    http: httpx.AsyncClient, other: httpx.AsyncClient, status: str, is_background: bool
) -> None:
    raw = await make_ended(http, status, background=is_background)
    frames, response_id = split_frames(raw), get_id(raw)
    for client in (http, other):
        assert await Stream.of_response(client, response_id).read() == raw
        for after in range(len(frames) - 1):
            rest = await Stream.of_response(client, response_id, after).read()
            assert rest == b"".join(frames[after + 1 :])


async def test_readers_that_join_a_slow_answer_read_the_creators_bytes(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    creator = Stream.of_turn(http, "count to 20 [[standin token_s=0.04]]")
    response_id = await creator.get_id()
    readers = [(-1, Stream.of_response(client, response_id)) for client in (http, other)]
    for words in (1, 5, 9):
        await creator.see_words(words)
        last = len(split_frames(creator.raw)) - 1
        for after in (0, 2, last - 1, last):
            readers += [(after, Stream.of_response(client, response_id, after)) for client in (http, other)]
    frames = split_frames(await creator.read())
    assert len(frames) > 25
    for after, reader in readers:
        assert b"".join(split_frames(await reader.read())) == b"".join(frames[after + 1 :])


async def test_a_reader_on_another_replica_sees_words_as_they_come(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    creator = Stream.of_turn(http, "count to 500 [[standin token_s=0.05]]")
    response_id = await creator.get_id()
    reader = Stream.of_response(other, response_id)
    for words in range(5, 20, 5):
        await creator.see_words(words)
        await reader.see_words(words, within_s=1)
    await http.post(f"/v1/responses/{response_id}/cancel")
    assert await reader.read() == await creator.read()


@pytest.mark.timed
@pytest.mark.parametrize("replica", ["its own", "another"])
async def test_a_live_answer_without_events_sends_its_headers_at_once(
    http: httpx.AsyncClient, other: httpx.AsyncClient, replica: str
) -> None:
    creator = Stream.of_turn(http, "Hello [[standin first_token_s=2]]")
    response_id = await creator.get_id()
    client = http if replica == "its own" else other
    query = {"stream": "true", "starting_after": "1"}
    began = time.monotonic()
    async with client.stream("GET", f"/v1/responses/{response_id}", params=query) as answer:
        assert answer.status_code == 200
        assert time.monotonic() - began < 1
        rest = b"".join([part async for part in answer.aiter_raw()])
    assert rest == b"".join(split_frames(await creator.read())[2:])


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "ended"])
async def test_a_cursor_beyond_the_end_is_refused_before_the_stream_begins(
    http: httpx.AsyncClient, other: httpx.AsyncClient, is_live: bool
) -> None:
    creator = Stream.of_turn(http, "Hello [[standin first_token_s=2]]" if is_live else "Hello")
    response_id = await creator.get_id()
    if not is_live:
        await creator.read()
    for client in (http, other):
        query = {"stream": "true", "starting_after": "1000"}
        refused = await client.get(f"/v1/responses/{response_id}", params=query)
        assert refused.status_code == 400
        error = refused.json()["error"]
        assert (error["code"], error["param"]) == ("invalid_request_error", "starting_after")
    assert (await creator.read_final())["status"] == "completed"


@pytest.mark.parametrize("query", [{"starting_after": "1"}, {"starting_after": "1", "stream": "false"}])
async def test_a_cursor_is_for_streams_only(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    response_id = (await ask(http, "Hello")).json()["id"]
    refused = await http.get(f"/v1/responses/{response_id}", params=query)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "starting_after")


@pytest.mark.parametrize("after", ["-1", "x", "1.5", ""])
async def test_a_cursor_that_is_no_number_is_refused(http: httpx.AsyncClient, after: str) -> None:
    response_id = (await ask(http, "Hello")).json()["id"]
    refused = await http.get(f"/v1/responses/{response_id}", params={"stream": "true", "starting_after": after})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "starting_after")


async def test_another_owner_and_an_unknown_id_have_nothing_to_follow(
    http: httpx.AsyncClient, bob: AsyncOpenAI
) -> None:
    response_id = (await ask(http, "Hello")).json()["id"]
    for owner_key, asked_id in ((bob.api_key, response_id), (None, "resp_" + "0" * 32)):
        headers = {"Authorization": f"Bearer {owner_key}"} if owner_key else {}
        refused = await http.get(f"/v1/responses/{asked_id}", params={"stream": "true"}, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "response_not_found")


async def test_after_the_logs_retention_the_stored_response_is_replayed_and_a_cursor_is_refused(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "EVENT_LOG_RETENTION_S": "1"})
    async with open_client(http, replica) as client:
        streams = [await make_ended(client, status) for status in ENDS]
        refusal = await Stream.of_turn(client, "Hello [[standin refuse=true]]").read()
        for raw in (*streams, refusal):
            response_id, final = get_id(raw), check_events(read_frames(raw))
            error = (await get_expired(client, response_id)).json()["error"]
            assert (error["code"], error["param"]) == ("stream_expired", "starting_after")
            rebuilt = await Stream.of_response(client, response_id).read_final()
            assert rebuilt == final == (await client.get(f"/v1/responses/{response_id}")).json()


async def get_expired(client: httpx.AsyncClient, response_id: str) -> httpx.Response:
    """The refusal of a cursor, once the log is gone."""

    async def find_refusal() -> httpx.Response | None:
        query = {"stream": "true", "starting_after": "1"}
        answer = await client.get(f"/v1/responses/{response_id}", params=query)
        return answer if answer.status_code == 410 else None

    refusal: httpx.Response | None = await eventually(find_refusal, within_s=5)
    assert refusal is not None
    return refusal


async def test_following_a_response_that_is_deleted_is_cut_off(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    conversation_id = (await http.post("/v1/conversations", json={})).json()["id"]
    creator = Stream.of_turn(http, "count to 500 [[standin token_s=0.05]]", conversation=conversation_id)
    response_id = await creator.get_id()
    readers = [creator, *(Stream.of_response(client, response_id) for client in (http, other))]
    for reader in readers:
        await reader.see_words(2)
    assert (await other.delete(f"/v1/responses/{response_id}")).status_code == 200
    for reader in readers:
        raw = await reader.read_broken(within_s=4)
        assert b"[DONE]" not in raw
    assert (await ask(http, "Hello", conversation=conversation_id)).status_code == 200


async def test_a_client_that_leaves_changes_nothing(
    http: httpx.AsyncClient, other: httpx.AsyncClient, service: Service
) -> None:
    creator = Stream.of_turn(http, "count to 12 [[standin token_s=0.05]]")
    response_id = await creator.get_id()
    follower = Stream.of_response(other, response_id)
    for stream in (creator, follower):
        await stream.see_words()
        await stream.leave()
    await eventually(lambda: not is_watched(service, response_id))
    final = await Stream.of_response(http, response_id).read_final()
    assert get_text(final) == " ".join(str(number) for number in range(1, 13))


def is_watched(service: Service, response_id: str) -> bool:
    """Whether a replica still subscribes to this log."""
    with Redis.from_url(service.valkey.url) as redis:
        return bool(redis.pubsub_channels(f"*{response_id}*"))


# --- background ---


@pytest.mark.timed
async def test_a_background_create_answers_at_once_and_is_read_later(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    began = time.monotonic()
    created = await ask(http, "Hello [[standin first_token_s=1]]", background=True)
    assert time.monotonic() - began < 0.8
    assert (created.status_code, created.json()["status"]) == (200, "queued")
    assert created.json()["background"] is True
    url = f"/v1/responses/{created.json()['id']}"
    for client in (http, other):
        assert (await client.get(url)).json()["status"] == "in_progress"

    async def final() -> dict[str, Any] | None:
        found: dict[str, Any] = (await other.get(url)).json()
        return found if found["status"] != "in_progress" else None

    ended = await eventually(final)
    assert ended["status"] == "completed"
    assert get_text(ended).startswith("You said: Hello")


async def test_a_streamed_background_answer_begins_as_queued(http: httpx.AsyncClient) -> None:
    creator = Stream.of_turn(http, "Hello", background=True)
    events = read_frames(await creator.read())
    assert [event["type"] for event in events[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    assert [event["response"]["status"] for event in events[:3]] == ["queued", "queued", "in_progress"]
    check_events(events)


async def test_the_sdk_creates_in_the_background_and_polls(alice: AsyncOpenAI) -> None:
    created = await alice.responses.create(input="repeat: Good morning!", model="stand-in", background=True)
    assert created.status == "queued"

    async def ended() -> bool:
        return (await alice.responses.retrieve(created.id)).status == "completed"

    await eventually(ended)
    assert (await alice.responses.retrieve(created.id)).output_text == "Good morning!"
    events = [event async for event in await alice.responses.retrieve(created.id, stream=True, starting_after=2)]
    assert [event.sequence_number for event in events] == list(range(3, 3 + len(events)))
    assert events[-1].type == "response.completed"


# --- slow readers ---

LONG = "write 60000 words"
SLOW_READERS = 6


class SlowReader:
    """A raw connection with a small buffer. It reads only when told to."""

    def __init__(self, replica: Replica, headers: httpx.Headers, response_id: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        self._socket.connect(("127.0.0.1", replica.port))
        head = f"GET /v1/responses/{response_id}?stream=true HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        self._socket.sendall(f"{head}Authorization: {headers['authorization']}\r\n\r\n".encode())
        self._parts: list[bytes] = []

    def read(self, size: int) -> None:
        while size > 0 and (data := self._socket.recv(min(size, 65_536))):
            self._parts.append(data)
            size -= len(data)

    def read_on(self) -> None:
        """Read the rest."""
        while data := self._socket.recv(65_536):
            self._parts.append(data)

    def get_body(self) -> bytes:
        """The body read so far."""
        return join_chunks(b"".join(self._parts).partition(b"\r\n\r\n")[2])

    def close(self) -> None:
        self._socket.close()


def join_chunks(body: bytes) -> bytes:
    """The content of a chunked body, to its clean end."""
    parts: list[bytes] = []
    at = 0
    while True:
        line_end = body.index(b"\r\n", at)
        size = int(body[at:line_end], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2


@contextlib.contextmanager
def slow_readers(replica: Replica, http: httpx.AsyncClient, response_id: str) -> Iterator[list[SlowReader]]:
    """Several slow readers on one replica."""
    readers = [SlowReader(replica, http.headers, response_id) for _ in range(SLOW_READERS)]
    try:
        yield readers
    finally:
        for reader in readers:
            reader.close()


def find_worker(replica: Replica) -> int:
    """The serving process: the master's only child."""
    children = Path(f"/proc/{replica.pid}/task/{replica.pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def get_rss_mb(pid: int) -> float:
    """Resident memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def turn_times(http: httpx.AsyncClient) -> AsyncIterator[float]:
    """The times of small turns, one after another."""
    while True:
        began = time.monotonic()
        assert (await http.post("/v1/responses", json={"input": "repeat: Hi"})).status_code == 200
        yield time.monotonic() - began


async def time_turns(http: httpx.AsyncClient, during: asyncio.Future[Any] | int) -> list[float]:
    """The times of this many turns, or of as many as run before `until`."""
    took: list[float] = []
    async for seconds in turn_times(http):
        took.append(seconds)
        if len(took) == during or (isinstance(during, asyncio.Future) and during.done()):
            return took
    raise AssertionError


@pytest.mark.timed
async def test_slow_readers_of_a_long_answer_delay_nobody_and_lose_nothing(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, service.environment)
    async with open_client(http, replica) as client:
        await time_turns(client, 20)  # warm up
        worker = find_worker(replica)
        alone, rss_before = await time_turns(client, 50), get_rss_mb(worker)
        response_id = (await ask(client, LONG, background=True)).json()["id"]
        with slow_readers(replica, http, response_id) as readers:
            writing = asyncio.ensure_future(Stream.of_response(http, response_id).read(within_s=60))
            for reader in readers:
                await asyncio.to_thread(reader.read, 5_000)
            while_written = await time_turns(client, writing)
            while_paused, rss_paused = await time_turns(client, 50), get_rss_mb(worker)
            reading = asyncio.ensure_future(asyncio.to_thread(readers[0].read_on))
            while_read = await time_turns(client, reading)
            await asyncio.gather(*(asyncio.to_thread(reader.read_on) for reader in readers[1:]))
            rss_after = get_rss_mb(worker)
        complete = await writing
    assert len(get_text(check_events(read_frames(complete))).split()) == 60_000
    for reader in readers:
        assert b"".join(split_frames(reader.get_body())) == complete
    print(  # noqa: T201 -- prints the measurement
        f"tiny turn, longest in ms: alone {longest_ms(alone):.0f}, while written {longest_ms(while_written):.0f}, "
        f"while paused {longest_ms(while_paused):.0f}, while read {longest_ms(while_read):.0f}; "
        f"rss MB {rss_before:.0f} → {rss_paused:.0f} → {rss_after:.0f}; stream MB {len(complete) / 1e6:.1f}"
    )
    for took in (while_written, while_paused, while_read):
        assert longest_ms(took) - longest_ms(alone) < 500
    # Six readers do not read: at most six copies of the stream may wait for them.
    assert rss_paused - rss_before < 40
    assert rss_after - rss_before < 80


def longest_ms(took: list[float]) -> float:
    """The second longest time: one hiccup of the shared machine does not count."""
    return sorted(took)[-2 if len(took) > 1 else -1] * 1000
