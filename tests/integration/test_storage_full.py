"""A nearly full and a full Redis: new answers are refused, running ones end, erasing helps."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from prompts.domain import ids
from prompts.errors import StorageFull
from prompts.run.sweeping import erase_due
from prompts.usecases.conversations import delete_conversation
from tests.support.builders import admit, build_draft, build_item, open_stores
from tests.support.oracle import check_error
from tests.support.server_fixtures import StartValkey
from tests.support.servers import StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, Service, start_service
from tests.support.turns import Stream, ask

LIMITED = ("--maxmemory", "20mb", "--maxmemory-policy", "noeviction")
JUNK_BYTES = 100_000
# Between the level at which new runs are refused and the level at which Redis refuses writes.
NEARLY_FULL = 0.96


@pytest.fixture(scope="module")
def own_service(standin: StandinServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a small Redis of its own."""
    with (
        ValkeyServer(tmp_path_factory.mktemp("valkey"), arguments=LIMITED) as valkey,
        start_service(valkey, standin, tmp_path_factory.mktemp("service")) as service,
    ):
        yield service


@pytest.fixture
async def client(own_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {ALICE_KEY}"}
    async with httpx.AsyncClient(base_url=own_service.url, headers=headers, timeout=30) as client:
        yield client


async def fill(redis: Redis, share: float, *, size: int = JUNK_BYTES) -> None:
    """Fill this share of the memory with values of this size."""
    number = 0
    while (memory := await redis.info("memory"))["used_memory"] < share * memory["maxmemory"]:
        await redis.set(f"junk:{size}:{number}", b"x" * size)
        number += 1


async def free(redis: Redis) -> None:
    """Delete the fill values."""
    async for key in redis.scan_iter("junk:*"):
        await redis.delete(key)


async def test_a_nearly_full_store_refuses_new_answers_and_ends_those_under_way(
    own_service: Service, client: httpx.AsyncClient
) -> None:
    async with Redis.from_url(own_service.valkey.url) as redis:
        stream = Stream.of_turn(client, "count to 100 [[standin token_s=0.05]]")
        await stream.see("output_text.delta")
        await fill(redis, NEARLY_FULL)

        async def is_refused() -> bool:
            return (await client.get("/readyz")).status_code == 503

        await eventually(is_refused)
        refused = await ask(client, "Hello")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "storage_full")
        check_error(refused.json())
        assert int(refused.headers["retry-after"]) >= 1
        verbose = (await client.get("/readyz", params={"verbose": ""})).json()
        checks = {check["name"]: check["status"] for check in verbose["checks"]}
        assert (checks["storage"], checks["redis"]) == ("failed", "ok")
        assert (await client.get("/healthz")).status_code == 200

        assert (await stream.read_final())["status"] == "completed"
        await free(redis)

        async def is_served() -> bool:
            return (await ask(client, "Hello")).status_code == 200

        await eventually(is_served)
        assert (await client.get("/readyz")).status_code == 200


async def test_a_full_store_still_erases(start_valkey: StartValkey) -> None:
    async with Redis.from_url(start_valkey(arguments=LIMITED).url) as redis:
        stores = open_stores(redis)
        conversation_id, other_id = (ids.new_id(ids.CONVERSATION, "07") for _ in range(2))
        first = build_item("First", "07")
        for each in (conversation_id, other_id):
            items = [*([first] if each == other_id else []), *(build_item("Hello", "07") for _ in range(200))]
            await stores.conversations.create(each, owner="alice", metadata={}, items=items)
        active, alone = build_draft(conversation_id=conversation_id), build_draft()
        await admit(stores, active)
        await admit(stores, alone)
        for size in (JUNK_BYTES, 1000, 10):  # a large command is refused when a small one still fits
            with pytest.raises(OutOfMemoryError):
                await fill(redis, 2, size=size)

        with pytest.raises(StorageFull):
            await admit(stores, build_draft())
        with pytest.raises(StorageFull):
            await stores.conversations.add_items(other_id, owner="alice", items=[build_item("x" * 1000, "07")])
        await stores.conversations.delete_item(other_id, first.id, owner="alice")
        await stores.responses.delete(alone.response.id, owner="alice")
        for each in (conversation_id, other_id):
            async with asyncio.timeout(10):
                await delete_conversation(each, owner="alice", store=stores.conversations, eraser=stores.eraser)
        await erase_due(stores.eraser)
        await free(redis)
        assert not [key async for key in redis.scan_iter("*:tl:*")]
