"""Events that go to a reader's connection by a call, and everything for which its task is woken instead."""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import pytest
from django.http import HttpRequest

from config.http_protocol import HttpProtocol
from prompts.alarms import LOOK_S
from prompts.answer.events import Event
from prompts.api import sse
from prompts.api.obfuscation import obfuscate
from prompts.api.responses import stream
from prompts.domain.signals import Signal, Text
from prompts.run.follower_buffer import MAX_AT_ONCE
from prompts.run.followers import Followers
from prompts.run.following import follow_response
from prompts.run.outlet import Outlet
from prompts.run.quiet import Quiet
from prompts.run.run import Run
from tests.support.counting import counting_resumes
from tests.support.fakes.chat_model import Step
from tests.support.fakes.event_log import FakeEventLog
from tests.support.http_edge import RecordingTransport, build_handler, get, open_connection, read_stream
from tests.support.http_edge import settle as settle_requests
from tests.support.oracle import check_events, read_frames
from tests.support.runner_harness import MAX_S, STOP, Harness, follow_run, settle
from tests.support.sample_turn import RESPONSE_ID, make_brief

WORDS = 12


class Speech:
    """What a model says, one word when it is told to; at last it stops."""

    def __init__(self, words: int = WORDS) -> None:
        self._gates = [asyncio.Event() for _ in range(words + 1)]
        said: list[list[Step]] = [[gate, [Text(f"{number} ")]] for number, gate in enumerate(self._gates[:-1])]
        self.steps: list[Step] = [*chain.from_iterable(said), self._gates[-1], [STOP]]
        self.text = "".join(f"{number} " for number in range(words))

    async def say(self, words: int) -> None:
        """So many more, each when all have had the one before."""
        for _ in range(words):
            self._gates.pop(0).set()
            await settle()

    async def end(self) -> None:
        """All that is left."""
        await self.say(len(self._gates))


class Site:
    """The response as it is streamed over HTTP."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.log = FakeEventLog(harness.memory)
        self.quiet_s: float = MAX_S
        self.outlets: list[Outlet] = []
        self._handler = build_handler({"plain": self._stream, "padded": partial(self._stream, is_padded=True)})

    def connect(self, path: str = "/plain") -> tuple[HttpProtocol, RecordingTransport]:
        """A client, which has sent its request."""
        protocol, transport = open_connection(self._handler)
        protocol.data_received(get(path))
        return protocol, transport

    async def read(self) -> bytes:
        """The whole of the response, read from its log."""
        return b"".join(sse.frames(await self.read_events())) + sse.DONE

    async def read_events(self) -> list[Event]:
        """The same as events."""
        return list(chain.from_iterable([group async for group in self._follow(None, None)]))

    async def _stream(self, request: HttpRequest, *, is_padded: bool = False) -> Any:
        outlet = Outlet()
        self.outlets.append(outlet)
        events = self._follow(self.harness.runner.find(RESPONSE_ID), outlet)
        return await stream(events, outlet=outlet, padded_for=RESPONSE_ID if is_padded else None)

    def _follow(self, run: Run | None, outlet: Outlet | None) -> Any:
        return follow_response(
            RESPONSE_ID,
            owner="alice",
            quiet_s=self.quiet_s,
            run=run,
            store=self.harness.store,
            event_log=self.log,
            followers=Followers(),
            outlet=outlet,
        )


@pytest.fixture
def site(harness: Harness) -> Site:
    return Site(harness)


def count_words(transport: RecordingTransport) -> int:
    """How many the client has been sent."""
    return read_stream(transport.writes).count(b"event: response.output_text.delta\n")


# --- over HTTP ---


async def test_a_paced_word_resumes_nothing_of_its_reader(harness: Harness, site: Site) -> None:
    speech = Speech()
    await harness.start(*speech.steps)
    protocol, transport = site.connect()
    await speech.say(2)
    with counting_resumes() as resumed:
        await speech.say(WORDS - 2)
    await speech.end()
    await settle_requests(protocol)

    of_readers = ("config.", "prompts.api.", "prompts.run.following.", "uvicorn.")
    assert resumed["prompts.run.run.Run._read"] == WORDS - 2, "the run goes on"
    assert [name for name in resumed if name.startswith(of_readers) or "Listener" in name] == []
    assert len(transport.writes) == WORDS + 2, "one each; and the head with what is before the first one, and the end"


async def test_what_goes_out_by_calls_is_what_is_read_later(harness: Harness, site: Site) -> None:
    speech = Speech()
    await harness.start(*speech.steps)
    protocol, transport = site.connect()
    await speech.end()
    await settle_requests(protocol)

    body = read_stream(transport.writes)
    assert check_events(read_frames(body))["output"][0]["content"][0]["text"] == speech.text
    assert body == await site.read()
    assert site.outlets[0].after == 3 + WORDS, "all words, behind what opens the message"
    assert transport.writes[-1].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"), "the last event and the end are one write"


async def test_deltas_that_go_out_by_calls_are_padded_as_all_others(harness: Harness, site: Site) -> None:
    speech = Speech()
    await harness.start(*speech.steps)
    protocol, transport = site.connect("/padded")
    await speech.end()
    await settle_requests(protocol)

    padded = b"".join(sse.frames(obfuscate(await site.read_events(), RESPONSE_ID))) + sse.DONE
    assert padded.count(b'"obfuscation":') == WORDS
    assert read_stream(transport.writes) == padded


async def test_a_client_that_takes_nothing_is_sent_nothing_and_later_all(harness: Harness, site: Site) -> None:
    speech = Speech()
    await harness.start(*speech.steps)
    protocol, transport = site.connect()
    await speech.say(3)
    protocol.pause_writing()
    before = len(transport.writes)
    await speech.say(3)
    assert len(transport.writes) == before
    protocol.resume_writing()
    await settle()
    assert count_words(transport) == 6
    before_number = site.outlets[0].after
    await speech.say(2)
    assert site.outlets[0].after == before_number + 5, "it takes them by calls again"
    await speech.end()
    await settle_requests(protocol)
    assert read_stream(transport.writes) == await site.read()


async def test_a_client_that_is_far_behind_goes_on_from_the_log(harness: Harness, site: Site) -> None:
    harness.make_runner(max_kept_bytes=2_000)
    speech = Speech(50)
    await harness.start(*speech.steps)
    protocol, transport = site.connect()
    await speech.say(3)
    protocol.pause_writing()
    await speech.end()
    protocol.resume_writing()
    await settle_requests(protocol)
    assert site.log.is_read
    assert read_stream(transport.writes) == await site.read()


async def test_a_client_that_leaves_is_sent_nothing_more(harness: Harness, site: Site) -> None:
    speech = Speech()
    run = await harness.start(*speech.steps)
    (leaver, left), (protocol, transport) = site.connect(), site.connect()
    await speech.say(3)
    before = len(left.writes)
    leaver.connection_lost(None)
    await speech.say(1)
    assert len(left.writes) == before
    assert not leaver.tasks
    await speech.end()
    await settle_requests(protocol)
    assert run.outcome is not None
    assert read_stream(transport.writes) == await site.read()


async def test_a_sign_of_life_comes_after_what_went_out_by_calls(harness: Harness, site: Site) -> None:
    site.quiet_s = 2 * LOOK_S
    speech = Speech()
    await harness.start(*speech.steps)
    protocol, transport = site.connect()
    await speech.say(3)
    async with asyncio.timeout(MAX_S):
        await transport.wait_for(sse.KEEP_ALIVE)
    await speech.end()
    await settle_requests(protocol)
    assert read_stream(transport.writes).replace(sse.KEEP_ALIVE, b"") == await site.read()


async def test_a_client_of_a_run_that_is_handed_over_misses_and_repeats_nothing(harness: Harness, site: Site) -> None:
    run, protocol, transport = await say_two_words(harness, site)
    assert site.outlets[0].after == run.last_number
    await harness.runner.close()
    assert run.is_handed_over
    await check_another_goes_on(harness, site, protocol, transport)


async def test_so_does_one_whose_run_is_let_go(harness: Harness, site: Site) -> None:
    run, protocol, transport = await say_two_words(harness, site)
    harness.runner.let_go(RESPONSE_ID, "2.a")
    await settle()
    assert run.is_let_go
    await check_another_goes_on(harness, site, protocol, transport)


async def say_two_words(harness: Harness, site: Site) -> tuple[Run, HttpProtocol, RecordingTransport]:
    """To a client, the second by a call; then nothing more."""
    run = await harness.start([Text("0 ")], gate := asyncio.Event(), [Text("1 ")], asyncio.Event())
    protocol, transport = site.connect()
    await settle()
    gate.set()
    await settle()
    return run, protocol, transport


async def check_another_goes_on(
    harness: Harness, site: Site, protocol: HttpProtocol, transport: RecordingTransport
) -> None:
    """Another run says the third word, and the client has all of them once."""
    harness.make_runner()
    await harness.run([Text("2 "), STOP], brief=make_brief(shown=["0 ", "1 "], epoch="2.a"))
    await settle_requests(protocol)
    body = read_stream(transport.writes)
    assert check_events(read_frames(body))["output"][0]["content"][0]["text"] == "0 1 2 "
    assert body == await site.read()


# --- at the run ---


class Reader:
    """A reader with an outlet; what came which way."""

    def __init__(self, run: Run, *, after: int = -1, quiet_s: float = MAX_S) -> None:
        self.called: list[Event] = []
        self.read: list[Event] = []
        self.has_room = True
        self.quiet = Quiet(quiet_s)
        self.outlet = Outlet()
        self.outlet.take = self._take
        self._groups = follow_run(run, after=after, quiet=self.quiet, outlet=self.outlet)
        self.task = asyncio.create_task(self._read())

    def _take(self, events: Sequence[Event]) -> bool:
        if self.has_room:
            self.called += events
        return self.has_room

    async def _read(self) -> None:
        async for group in self._groups:
            self.read += group


async def test_nothing_goes_out_before_it_is_acknowledged(harness: Harness) -> None:
    speech = Speech()
    run = await harness.start(*speech.steps)
    reader = Reader(run)
    await speech.say(2)
    acknowledged = asyncio.Event()
    harness.store.append_fates = [acknowledged]
    had = len(reader.called)
    await speech.say(1)
    assert len(reader.called) == had
    acknowledged.set()
    await settle()
    assert len(reader.called) == had + 1
    await speech.end()
    await reader.task


async def test_readers_at_different_places_have_all_in_order(harness: Harness, site: Site) -> None:
    speech = Speech()
    run = await harness.start(*speech.steps)
    quick, slow = Reader(run), Reader(run)
    await speech.say(2)
    slow.has_room = False
    late = Reader(run, after=run.last_number - 1)
    await speech.say(3)
    slow.has_room = True
    await speech.end()
    await asyncio.gather(quick.task, slow.task, late.task)
    assert len(slow.called) == len(quick.called) - 3
    everything = await site.read_events()
    for reader in (quick, slow):
        assert sorted(reader.called + reader.read, key=lambda event: event.sequence_number) == everything
    assert len(late.called + late.read) == len(everything) - 5
    assert everything[-1] in quick.read, "the end is for the task"


async def test_a_connection_that_fails_is_its_own_readers_matter(harness: Harness) -> None:
    speech = Speech()
    run = await harness.start(*speech.steps)
    broken, whole = Reader(run), Reader(run)
    await speech.say(2)

    def fail(_: Sequence[Event]) -> bool:
        raise RuntimeError("no connection")

    broken.outlet.take = fail
    await speech.end()
    with pytest.raises(RuntimeError, match="no connection"):
        await broken.task
    await whole.task
    assert run.outcome is not None
    assert len(whole.called + whole.read) == run.last_number + 1


async def test_what_goes_out_by_a_call_puts_the_sign_of_life_off(harness: Harness) -> None:
    speech = Speech()
    reader = Reader(await harness.start(*speech.steps))
    await speech.say(2)
    due = reader.quiet.due
    await speech.say(1)
    assert reader.quiet.due > due
    await speech.end()
    await reader.task


async def test_many_events_at_once_are_for_the_task(harness: Harness) -> None:
    """It lets everybody else have a turn between them."""
    gates = [asyncio.Event(), asyncio.Event(), asyncio.Event()]
    many: list[Signal] = [Text("word ")] * MAX_AT_ONCE
    run = await harness.start([Text("0 ")], gates[0], many, gates[1], many[:-1], gates[2], [STOP])
    reader = Reader(run)
    await settle()
    called = []
    for gate in gates:
        had = len(reader.called)
        gate.set()
        await settle()
        called.append(len(reader.called) - had)
    await reader.task
    assert called == [0, MAX_AT_ONCE - 1, 0]
    assert len(reader.called + reader.read) == run.last_number + 1
