"""A client's list goes on with what Redis has let go: in one order, each once, nothing that was deleted."""

from collections.abc import AsyncIterator, Collection, Sequence

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis.families import RedisFamilies
from prompts.adapters.redis.restoring import RedisRestoring
from prompts.adapters.sql.past_conversations import SqlPastConversations
from prompts.archive.restorer import ArchiveRestorer
from prompts.errors import NotFound, Unavailable
from prompts.models import ArchivedConversation
from prompts.ports.past_conversations import NothingPast, PastConversation, PastConversations, Place
from prompts.ports.said_search import NothingSaid
from prompts.run.sweeping import erase_due
from prompts.usecases.listing import Listed, list_conversations
from tests.contract.port_turns import OWNER, STRANGER, UNKNOWN_CONVERSATION, fork, wait_for_next_millisecond
from tests.support.archive import archive_all, end_retention, read, run_sql
from tests.support.builders import RETENTION_S, Stores, make_conversation


@pytest.fixture
async def past() -> AsyncIterator[SqlPastConversations]:
    """The archive of the API, to which everything is old enough."""
    opened = SqlPastConversations(retention_s=0)
    yield opened
    opened.close()


class NeverAsked(NothingPast):
    """The archive where it must not be asked."""

    def find_newest_ms(self) -> int:
        return 1

    async def list(
        self,
        *,
        owner: str,
        behind: Place | None,
        limit: int,
        words: Sequence[str] = (),
        said_in: Collection[str] = (),
    ) -> Sequence[PastConversation]:
        raise AssertionError("The page is full.")


async def list_page(
    stores: Stores,
    past: PastConversations,
    *,
    after: str | None = None,
    limit: int = 2,
    owner: str = OWNER,
    query: str = "",
) -> Listed:
    """One page of the list, as a client asks for it."""
    return await list_conversations(
        owner=owner,
        limit=limit,
        after=after,
        forked_from=None,
        query=query,
        store=stores.conversations,
        past=past,
        said=NothingSaid(),
    )


async def list_all(stores: Stores, past: PastConversations, *, limit: int = 2) -> list[str]:
    """The ids of all pages, in order."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = await list_page(stores, past, after=after, limit=limit)
        assert page.notices == ()
        found += [each.id for each in page.conversations]
        if not page.has_more:
            return found
        after = found[-1]


async def make_several(stores: Stores, count: int, *, title: str | None = None) -> list[str]:
    """Conversations, the last used first."""
    made = []
    for _ in range(count):
        made.append(await make_conversation(stores, "Hello"))
        wait_for_next_millisecond()
    for each in made if title else ():
        await stores.conversations.update(each, owner=OWNER, metadata={"a": "b"}, title=title)
    return made[::-1]


async def let_go(redis: Redis, stores: Stores) -> None:
    """End the retention of everything that Redis has, and let it be archived and erased."""
    await end_retention(redis)
    await erase_due(stores.eraser)
    await archive_all(redis)
    await erase_due(stores.eraser)
    await archive_all(redis)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
async def test_after_the_last_of_redis_the_archive_goes_on(
    redis: Redis, stores: Stores, past: SqlPastConversations, limit: int
) -> None:
    await make_conversation(stores, "Hello", owner=STRANGER)
    old = await make_several(stores, 5, title="Old")
    await let_go(redis, stores)
    fresh = await make_several(stores, 2)
    assert await list_all(stores, past, limit=limit) == [*fresh, *old]
    page = await list_page(stores, past, limit=20)
    shown = page.conversations[-1]
    row = await read(lambda: ArchivedConversation.objects.get(id=shown.id))
    assert (shown.title, shown.metadata, shown.created_at) == ("Old", {"a": "b"}, int(row.created_at.timestamp()))
    assert shown.last_used_ms == round(row.last_used_at.timestamp() * 1000)


async def test_a_page_that_redis_fills_asks_no_archive(stores: Stores) -> None:
    made = await make_several(stores, 3)
    page = await list_page(stores, NeverAsked())
    assert ([each.id for each in page.conversations], page.has_more) == (made[:2], True)
    with pytest.raises(AssertionError):
        await list_page(stores, NeverAsked(), after=made[1])


async def test_what_was_restored_keeps_its_place_and_is_there_once(
    redis: Redis, stores: Stores, past: SqlPastConversations
) -> None:
    old = await make_several(stores, 4)
    await let_go(redis, stores)
    fresh = await make_several(stores, 1)
    restorer = ArchiveRestorer(RedisRestoring(redis, retention_s=RETENTION_S), retention_s=0)
    assert await restorer.restore(old[1], owner=OWNER)
    restorer.close()
    assert await list_all(stores, past) == [*fresh, *old]  # the archive does not know yet
    await archive_all(redis)
    assert await list_all(stores, past) == [*fresh, *old]
    page = await list_page(stores, past, after=old[1])
    assert [each.id for each in page.conversations] == old[2:]


async def test_what_was_deleted_is_not_there_though_the_archive_does_not_know(
    redis: Redis, stores: Stores, past: SqlPastConversations
) -> None:
    old = await make_several(stores, 3)
    forked = await fork(stores, await fork(stores, old[1]))
    await let_go(redis, stores)
    assert forked in await list_all(stores, past)
    families = RedisFamilies(redis)
    assert await families.delete_archived([f"conv:{old[1]}"])
    assert await list_all(stores, past) == [old[0], old[2]]
    await archive_all(redis)
    assert await list_all(stores, past) == [old[0], old[2]]
    with pytest.raises(NotFound) as raised:
        await list_page(stores, past, after=old[1])
    assert raised.value.param == "after"


async def test_a_search_finds_titles_of_what_was_let_go(
    redis: Redis, stores: Stores, past: SqlPastConversations
) -> None:
    [named] = await make_several(stores, 1, title="Notes of Berlin")
    await make_several(stores, 2)
    await let_go(redis, stores)
    page = await list_page(stores, past, query="berlin not")
    assert [each.id for each in page.conversations] == [named]
    assert (await list_page(stores, past, query="Oslo % \0")).conversations == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_while_the_archive_is_away_the_list_is_what_redis_has_and_says_so(
    redis: Redis, stores: Stores, past: SqlPastConversations
) -> None:
    [old] = await make_several(stores, 1)
    await let_go(redis, stores)
    [fresh] = await make_several(stores, 1)
    await run_sql("ALTER TABLE prompts_archivedconversation RENAME TO away")
    try:
        page = await list_page(stores, past)
        assert ([each.id for each in page.conversations], page.has_more) == ([fresh], False)
        assert [notice.code for notice in page.notices] == ["archive_unavailable"]
        with pytest.raises(Unavailable):
            await list_page(stores, past, after=old)
    finally:
        await run_sql("ALTER TABLE away RENAME TO prompts_archivedconversation")
    assert await list_all(stores, past) == [fresh, old]


async def test_unknown_and_strangers_cursors_are_refused(
    redis: Redis, stores: Stores, past: SqlPastConversations
) -> None:
    [old] = await make_several(stores, 1)
    await let_go(redis, stores)
    for after, owner in ((old, STRANGER), (UNKNOWN_CONVERSATION, OWNER)):
        with pytest.raises(NotFound):
            await list_page(stores, past, after=after, owner=owner)
    young = SqlPastConversations(retention_s=3600)
    with pytest.raises(NotFound):  # it cannot have been let go: nobody asks SQL
        await list_page(stores, young, after=old)
    young.close()
    assert (await list_page(stores, NothingPast())).conversations == []
