"""The connection to a real Weaviate: away, frozen, restarted; it recovers by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from weaviate.classes.config import Configure, DataType, Property

from prompts.adapters.weaviate.connection import MAX_CONNECT_S, WeaviateConnection
from prompts.ports.observer import KnowledgeFailed
from tests.support.fakes.observer import FakeObserver
from tests.support.processes import find_free_ports
from tests.support.server_fixtures import StartWeaviate
from tests.support.servers import WeaviateAddress, WeaviateServer, eventually

Connect = Callable[[WeaviateAddress], WeaviateConnection]
COLLECTION = "Passages"
# A turn's limit for a search; far below the minute for which the client itself retries.
SEARCH_LIMIT_S = 1.0


@pytest.fixture
def observer() -> FakeObserver:
    return FakeObserver()


@pytest.fixture
async def connect(observer: FakeObserver) -> AsyncIterator[Connect]:
    """Open connections that are closed at the end of the test."""
    async with AsyncExitStack() as stack:

        def make(address: WeaviateAddress) -> WeaviateConnection:
            connection = WeaviateConnection(address.url, grpc_port=address.grpc_port, observer=observer)
            stack.push_async_callback(connection.close)
            return connection

        yield make


async def is_ready(connection: WeaviateConnection) -> bool:
    await connection.check_ready()
    return True


async def fill(connection: WeaviateConnection) -> None:
    client = await connection.client()
    passages = await client.collections.create(
        COLLECTION,
        vector_config=Configure.Vectors.self_provided(),
        properties=[Property(name="text", data_type=DataType.TEXT)],
    )
    await passages.data.insert({"text": "the harbour opens at six"})


async def search(connection: WeaviateConnection) -> int:
    async with asyncio.timeout(SEARCH_LIMIT_S):
        client = await connection.client()
        found = await client.collections.use(COLLECTION).query.bm25("harbour")
        return len(found.objects)


async def test_it_works(weaviate: WeaviateAddress, connect: Connect) -> None:
    connection = connect(weaviate)
    await connection.check_ready()
    assert (await connection.client()).is_connected()


async def test_concurrent_users_share_one_client(weaviate: WeaviateAddress, connect: Connect) -> None:
    connection = connect(weaviate)
    clients = await asyncio.gather(*(connection.client() for _ in range(20)))
    assert len({id(client) for client in clients}) == 1


@pytest.mark.timed
async def test_nobody_there_is_unreachable_and_later_attempts_fail_at_once(connect: Connect) -> None:
    http, grpc = find_free_ports(2)
    connection = connect(WeaviateAddress(f"http://127.0.0.1:{http}", grpc))
    with pytest.raises(ConnectionError):
        await connection.check_ready()
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(ConnectionError):
            await connection.client()
    assert time.monotonic() - began < 0.1


async def test_the_observer_is_told_what_a_check_failed_at(connect: Connect, observer: FakeObserver) -> None:
    http, grpc = find_free_ports(2)
    connection = connect(WeaviateAddress(f"http://127.0.0.1:{http}", grpc))
    with pytest.raises(ConnectionError):
        await connection.check_ready()
    assert observer.noticed == [KnowledgeFailed("unreachable")]

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    observer.noticed.clear()
    silent = await asyncio.start_server(stay_silent, "127.0.0.1", 0)
    async with silent:
        connection = connect(WeaviateAddress(f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}", grpc))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await connection.check_ready()
    assert observer.noticed == [KnowledgeFailed("timeout")]


async def test_wrong_grpc_port_is_not_ready(weaviate: WeaviateAddress, connect: Connect) -> None:
    connection = connect(WeaviateAddress(weaviate.url, find_free_ports(1)[0]))
    with pytest.raises(ConnectionError):
        await connection.check_ready()


async def test_weaviate_that_starts_later_is_found(start_weaviate: StartWeaviate, connect: Connect) -> None:
    server = start_weaviate()
    server.stop()
    connection = connect(server.address)
    with pytest.raises(ConnectionError):
        await connection.check_ready()
    server.start()
    await eventually(lambda: is_ready(connection))


@pytest.mark.timed
@pytest.mark.parametrize("outage_s", [2, pytest.param(18, marks=pytest.mark.long)])
async def test_outage_is_survived_by_those_who_search_all_the_while(
    start_weaviate: StartWeaviate, connect: Connect, outage_s: int
) -> None:
    server = start_weaviate()
    connection = connect(server.address)
    await fill(connection)
    assert await search(connection) == 1
    server.stop()
    # By default gRPC pauses longer after each attempt: 10 s after 16 s, at most 120 s.
    for _ in range(outage_s):
        with pytest.raises(TimeoutError):
            await search(connection)
    with pytest.raises(ConnectionError):
        await connection.check_ready()
    server.start()
    began = time.monotonic()
    await eventually(lambda: search(connection))
    # One limited pause of the channel, and one of the client's own retries.
    assert time.monotonic() - began < 3
    await eventually(lambda: is_ready(connection))


@pytest.mark.timed
async def test_frozen_weaviate_costs_a_caller_no_more_than_its_limit(
    start_weaviate: StartWeaviate, connect: Connect
) -> None:
    server = start_weaviate()
    connection = connect(server.address)
    await fill(connection)
    await connection.check_ready()
    server.freeze()
    await assert_ends_at_its_limit(connection.check_ready)
    await assert_ends_at_its_limit(lambda: search(connection))
    server.thaw()
    await eventually(lambda: is_ready(connection))
    assert await search(connection) == 1


@pytest.mark.timed
async def test_weaviate_frozen_before_the_first_use_is_found_when_it_thaws(
    start_weaviate: StartWeaviate, connect: Connect
) -> None:
    server = start_weaviate()
    server.freeze()
    connection = connect(server.address)
    began = time.monotonic()
    users = await asyncio.gather(*(connection.client() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(user, TimeoutError) for user in users)
    assert time.monotonic() - began < MAX_CONNECT_S + 0.5
    server.thaw()
    await eventually(lambda: is_ready(connection))


async def test_first_caller_that_gives_up_leaves_the_attempt_to_the_others(
    start_weaviate: StartWeaviate, connect: Connect
) -> None:
    server = start_weaviate()
    server.freeze()
    connection = connect(server.address)
    impatient = asyncio.create_task(connection.client())
    patient = asyncio.create_task(connection.client())
    done, _ = await asyncio.wait({impatient}, timeout=0.2)
    assert not done
    impatient.cancel()
    server.thaw()
    assert (await patient).is_connected()


async def test_closed_connection_refuses(weaviate: WeaviateAddress, connect: Connect) -> None:
    connection = connect(weaviate)
    await connection.check_ready()
    await connection.close()
    with pytest.raises(ConnectionError):
        await connection.client()


async def test_close_ends_an_attempt_under_way(start_weaviate: StartWeaviate, connect: Connect) -> None:
    server: WeaviateServer = start_weaviate()
    server.freeze()
    connection = connect(server.address)
    user = asyncio.create_task(connection.client())
    await asyncio.wait({user}, timeout=0.2)
    await connection.close()
    with pytest.raises(asyncio.CancelledError):
        await user


async def assert_ends_at_its_limit(ask: Callable[[], object]) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SEARCH_LIMIT_S):
            await ask()  # type: ignore[misc]  # a coroutine of any type
    assert time.monotonic() - began < SEARCH_LIMIT_S + 0.3
