"""What a request costs at the edge, counted: tasks, writes; and what becomes of it when its client leaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import URLResolver, get_resolver

from config.http_protocol import HttpProtocol
from config.path_table import PathTable
from prompts.answer.events import Event
from prompts.api.responses import stream
from prompts.api.sse import EventStream, LastPart
from tests.support.http_edge import RecordingTransport, build_handler, get, open_connection, settle

DELTA = Event("response.output_text.delta", 1, b'{"delta":"a"}')
COMPLETED = Event("response.completed", 2, b"{}")


class Site:
    """Views behind the lean handler on one connection; `/wait` ends when it is cancelled or told to."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.go_on = asyncio.Event()
        self.groups: Sequence[Sequence[Event]] = ()

    async def plain(self, request: HttpRequest) -> HttpResponse:
        await cast(Any, request).read_body()
        return HttpResponse(b"plain " + request.body)

    async def wait(self, request: HttpRequest) -> HttpResponse:
        await cast(Any, request).read_body()
        self.seen.append("begun")
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        return HttpResponse(b"done")

    async def give_up(self, _request: HttpRequest) -> HttpResponse:
        raise asyncio.CancelledError

    async def stream(self, _request: HttpRequest) -> EventStream:
        async def tell() -> AsyncIterator[Sequence[Event]]:
            for group in self.groups:
                yield group

        return cast(EventStream, await stream(cast(Any, tell())))


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def connect(site: Site) -> Callable[[], tuple[HttpProtocol, RecordingTransport]]:
    """A new connection to the views."""
    views: dict[str, Callable[..., Awaitable[Any]]] = {
        "plain": site.plain,
        "wait": site.wait,
        "give-up": site.give_up,
        "stream": site.stream,
    }
    return partial(open_connection, build_handler(views))


Connect = Callable[[], tuple[HttpProtocol, RecordingTransport]]


@pytest.fixture
async def count_tasks() -> AsyncIterator[list[str]]:
    """The names of the tasks that are made from now on."""
    loop, made = asyncio.get_running_loop(), list[str]()

    def make(loop: Any, coroutine: Any, **options: Any) -> Any:
        made.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(make)
    yield made
    loop.set_task_factory(None)


async def test_a_request_is_one_task_and_one_write(connect: Connect, count_tasks: list[str]) -> None:
    protocol, transport = connect()
    protocol.data_received(b"POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
    await settle(protocol)
    assert [name for name in count_tasks if not name.startswith("test_")] == ["RequestResponseCycle.run_asgi"]
    assert len(transport.writes) == 1
    head, _, body = transport.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"x-content-type-options: nosniff" in head
    assert body == b"plain body"


async def test_a_group_of_events_is_one_write_and_head_and_end_are_none(connect: Connect, site: Site) -> None:
    site.groups = [[DELTA, DELTA], [DELTA], [DELTA, COMPLETED]]
    protocol, transport = connect()
    protocol.data_received(get("/stream"))
    await settle(protocol)
    assert len(transport.writes) == len(site.groups)
    head, _, first = transport.writes[0].partition(b"\r\n\r\n")
    assert head.endswith(b"transfer-encoding: chunked")
    assert first.count(b"response.output_text.delta") == len(site.groups[0])
    assert transport.writes[-1].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert protocol.cycle.response_complete


async def test_the_head_of_a_stream_waits_for_nothing(connect: Connect, site: Site) -> None:
    site.groups = [[], [DELTA]]
    protocol, transport = connect()
    protocol.data_received(get("/stream"))
    await settle(protocol)
    head, first, _ = transport.writes
    assert head.endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert b"response.output_text.delta" in first


async def test_a_stream_without_an_end_of_its_own_is_ended() -> None:
    async def tell() -> AsyncIterator[Sequence[Event]]:
        yield [DELTA]

    parts = [part async for part in cast(EventStream, await stream(cast(Any, tell()))).parts]
    assert parts[-1] == b"data: [DONE]\n\n"
    assert isinstance(parts[-1], LastPart)


async def test_a_client_that_leaves_cancels_the_view_without_an_error(
    connect: Connect, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    protocol, transport = connect()
    protocol.data_received(get("/wait"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert site.seen == ["begun"]
    protocol.connection_lost(None)
    await settle(protocol)
    assert site.seen == ["begun", "cancelled"]
    assert not transport.writes
    assert not caplog.records


async def test_so_does_one_that_has_left_before_the_view_began(connect: Connect, site: Site) -> None:
    protocol, _ = connect()
    protocol.data_received(get("/wait"))
    protocol.connection_lost(None)
    await settle(protocol)
    assert "begun" not in site.seen or site.seen[-1] == "cancelled"


async def test_a_server_that_stops_cancels_it_too(connect: Connect, site: Site) -> None:
    protocol, transport = connect()
    protocol.data_received(get("/wait"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in protocol.tasks:
        task.cancel()
    await settle(protocol)
    assert site.seen == ["begun", "cancelled"]
    assert transport.writes[0].startswith(b"HTTP/1.1 500 ")


async def test_a_view_that_gives_up_closes_the_connection(connect: Connect) -> None:
    protocol, transport = connect()
    protocol.data_received(get("/give-up"))
    await settle(protocol)
    assert transport.is_closed or transport.writes[0].startswith(b"HTTP/1.1 500 ")


PATHS = (
    "/",
    "/healthz",
    "/readyz/redis",
    "/v1/responses",
    "/v1/responses/resp_1",
    "/v1/responses/compact",
    "/v1/responses/input_tokens",
    "/v1/responses/a b\n/cancel",
    "/v1/models/a/b/c",
    "/v1/vector_stores/a/file_batches/b/files",
    "/page/client_secret",
    "/admin/",
)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_leads_where_django_finds_it(path: str) -> None:
    resolver = get_resolver("config.urls")
    found, wanted = PathTable(resolver).resolve(path), resolver.resolve(path)
    for name in ("func", "args", "kwargs", "captured_kwargs", "url_name", "route"):
        assert getattr(found, name) == getattr(wanted, name), name


@pytest.mark.parametrize("path", ["/v1/responses/", "/v1/responses//cancel", "/v1", "/healthz/", "//healthz", ""])
def test_what_leads_nowhere_leads_nowhere(path: str) -> None:
    resolver: URLResolver = get_resolver("config.urls")
    results = []
    for resolve in (PathTable(resolver).resolve, resolver.resolve):
        try:
            results.append(resolve(path).route)
        except Exception as error:  # noqa: BLE001 -- whichever it is, it must be the same
            results.append(type(error).__name__)
    assert results[0] == results[1]


def test_no_path_of_ours_is_decided_otherwise_than_by_django() -> None:
    resolver = get_resolver("config.urls")
    table = PathTable(resolver)
    for places in table._places.values():
        for place in places:
            path = "/".join("x" if literal is None else literal for literal in place.literals)
            assert table.resolve(path).route == resolver.resolve(path).route
