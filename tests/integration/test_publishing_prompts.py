"""Prompts in Redis are made equal to those in SQL, whatever has become of either: a real Redis, a real database."""

from collections.abc import AsyncIterator, Mapping
from contextlib import closing

import pytest
from redis.asyncio import Redis
from typing_extensions import override

from prompts.adapters.redis.published_prompts import RedisPublishedPrompts
from prompts.adapters.sql.prompt_store import SqlPrompts
from prompts.domain import ids
from prompts.domain.prompts import PromptContent
from prompts.errors import NotFound, Unavailable
from prompts.models import Prompt
from prompts.models import PromptVersion as VersionRow
from prompts.ports.prompts import Publication
from prompts.run.publishing_prompts import reconcile
from prompts.usecases.prompts import PromptPorts, add_prompt_version, create_prompt, delete_prompt
from tests.support.servers import ValkeyServer

pytestmark = pytest.mark.django_db(transaction=True)

OWNER = "alice"


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A database of their own."""
    async with Redis.from_url(f"redis://127.0.0.1:{valkey.port}/4") as client:
        await client.flushdb()
        yield client
        await client.flushdb()


@pytest.fixture
async def ports(redis: Redis) -> AsyncIterator[PromptPorts]:
    """Where prompts are kept and published."""
    with closing(SqlPrompts()) as store:
        yield PromptPorts(store, RedisPublishedPrompts(redis))


class Unreachable(RedisPublishedPrompts):
    """A Redis that takes no writes."""

    @override
    async def publish(self, publication: Publication, *, wrong_revision: int = 0) -> bool:
        raise Unavailable("away")

    @override
    async def withdraw(self, prompt_id: str) -> None:
        raise Unavailable("away")


class Raced(RedisPublishedPrompts):
    """Another process makes a prompt while this one reads."""

    raced: str = ""
    ports: PromptPorts | None = None

    @override
    async def list_revisions(self) -> Mapping[str, int]:
        there = await super().list_revisions()
        assert self.ports is not None
        self.raced = await make(self.ports, "raced")
        return there


async def make(ports: PromptPorts, text: str) -> str:
    """A prompt that is published. Returns its id."""
    made = await create_prompt(PromptContent(text=text), owner=OWNER, name=None, ports=ports)
    return made.prompt_id


async def change(ports: PromptPorts, prompt_id: str, after: int, text: str) -> None:
    """Its next version, the default."""
    content = PromptContent(text=text)
    await add_prompt_version(prompt_id, content, owner=OWNER, after=after, name=None, becomes_default=True, ports=ports)


async def read(ports: PromptPorts, prompt_id: str, number: int | None = None) -> str:
    """What a turn finds."""
    return (await ports.published.get(prompt_id, owner=OWNER, number=number)).content.text


async def is_unknown(ports: PromptPorts, prompt_id: str) -> bool:
    """Whether a turn finds nothing."""
    try:
        await ports.published.get(prompt_id, owner=OWNER)
    except NotFound:
        return True
    return False


async def test_what_was_flushed_is_published_again_with_all_versions(redis: Redis, ports: PromptPorts) -> None:
    prompt_id = await make(ports, "one")
    await change(ports, prompt_id, 1, "two")
    for _ in range(2):
        await redis.flushdb()
        assert await is_unknown(ports, prompt_id)
        await reconcile(ports.store, ports.published)
        assert [await read(ports, prompt_id, number) for number in (None, 1, 2)] == ["two", "one", "two"]


async def test_a_change_after_a_flush_publishes_the_versions_before_too(redis: Redis, ports: PromptPorts) -> None:
    prompt_id = await make(ports, "one")
    await redis.flushdb()
    await change(ports, prompt_id, 1, "two")
    assert [await read(ports, prompt_id, number) for number in (1, 2)] == ["one", "two"]


async def test_what_could_not_be_published_is_published_later(redis: Redis, ports: PromptPorts) -> None:
    away = PromptPorts(ports.store, Unreachable(redis))
    prompt_id, kept = await make(away, "one"), await make(ports, "kept")
    assert await is_unknown(ports, prompt_id)
    await delete_prompt(kept, owner=OWNER, ports=away)
    assert await read(ports, kept) == "kept"
    with pytest.raises(Unavailable):
        await reconcile(away.store, away.published)
    await reconcile(ports.store, ports.published)
    assert await read(ports, prompt_id) == "one"
    assert await is_unknown(ports, kept)


async def test_a_database_that_was_taken_back_counts(ports: PromptPorts) -> None:
    prompt_id = await make(ports, "one")
    await change(ports, prompt_id, 1, "lost")
    await VersionRow.objects.filter(prompt_id=prompt_id, number=2).adelete()
    await Prompt.objects.filter(id=prompt_id).aupdate(default_number=1, latest_number=1, revision=1)
    await reconcile(ports.store, ports.published)
    assert await read(ports, prompt_id) == "one"
    await change(ports, prompt_id, 1, "new")
    assert await read(ports, prompt_id, 2) == "new"


async def test_what_is_made_while_reconciling_is_not_withdrawn(redis: Redis, ports: PromptPorts) -> None:
    raced = Raced(redis)
    raced.ports = ports
    await reconcile(ports.store, raced)
    assert await read(ports, raced.raced) == "raced"


async def test_many_large_versions_are_published_in_slices(redis: Redis, ports: PromptPorts) -> None:
    prompt_id = await make(ports, "x" * 64_000)
    for number in range(1, 20):
        await change(ports, prompt_id, number, f"{number + 1}{'x' * 60_000}")
    await redis.flushdb()
    await redis.config_resetstat()
    await reconcile(ports.store, ports.published)
    assert (await read(ports, prompt_id, 7)).startswith("7")
    longest = max((await redis.info("commandstats"))["cmdstat_evalsha"]["usec_per_call"], 0)
    print(f"publishing: {longest} µs a script")  # noqa: T201 -- prints the measurement
    assert longest < 20_000
    assert ids.is_well_formed(prompt_id, ids.PROMPT)
