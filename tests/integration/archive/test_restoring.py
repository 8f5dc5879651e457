"""What Redis has let go comes back when it is touched, as it was, and goes on; what was deleted does not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.conversation_store import RedisConversationStore
from prompts.adapters.redis.outbox import RedisOutbox
from prompts.adapters.redis.response_notes import RedisResponseNotes
from prompts.adapters.redis.response_store import RedisResponseStore, Retention
from prompts.adapters.redis.restoring import RedisRestoring
from prompts.archive.restorer import ArchiveRestorer
from prompts.domain import ids
from prompts.domain.items import Message, text_of
from prompts.errors import NotFound, Unavailable
from prompts.models import ArchivedConversation, ArchivedItem
from prompts.ports.restoring import Beginning, Family
from prompts.run.sweeping import erase_due
from tests.contract.port_turns import OWNER, STRANGER, fork, read_chain, read_conversation, take_turn
from tests.support.archive import archive_all, end_retention, read
from tests.support.builders import RETENTION_S, Stores, build_draft, build_item, make_conversation, open_stores

# Keys that are made again when they are needed, or say when something was.
PASSING = ("archive", "outbox", "expiry", "leases", "ev:", "readers:", "idem:", "gone:")


@pytest.fixture
async def restorer(redis: Redis) -> AsyncIterator[ArchiveRestorer]:
    """A restorer to which everything is old enough."""
    opened = ArchiveRestorer(RedisRestoring(redis, retention_s=RETENTION_S), retention_s=0)
    yield opened
    opened.close()


@pytest.fixture
def stores(redis: Redis, restorer: ArchiveRestorer) -> Stores:
    """Stores that have things restored."""
    plain = open_stores(redis)
    retention = Retention(log_s=RETENTION_S, history_s=RETENTION_S)
    return Stores(
        responses=RedisResponseStore(redis, replica_id="rep_1", retention=retention, restorer=restorer),
        conversations=RedisConversationStore(redis, retention_s=RETENTION_S, restorer=restorer),
        event_log=plain.event_log,
        notes=RedisResponseNotes(redis, restorer=restorer),
        eraser=plain.eraser,
        reader_marks=plain.reader_marks,
    )


async def let_go(redis: Redis, stores: Stores) -> None:
    """End the retention of everything, and let it be archived and erased."""
    await archive_all(redis)
    await end_retention(redis)
    await erase_due(stores.eraser)
    await archive_all(redis)
    await erase_due(stores.eraser)
    assert await dump(redis) == {}


async def dump(redis: Redis) -> dict[str, Any]:
    """All that Redis holds of conversations, as values that can be compared."""
    found: dict[str, Any] = {}
    async for key in redis.scan_iter(match="eps:{*", count=1000):
        name = cast(bytes, key).decode()
        if any(f"}}:{passing}" in name for passing in PASSING) or await redis.ttl(key) > 0:
            continue
        match cast(bytes, await redis.type(key)).decode():
            case "hash":
                fields = cast("dict[bytes, bytes]", await redis.hgetall(key))
                found[name] = {field.decode(): value.decode() for field, value in fields.items()}
            case "stream":
                found[name] = await redis.xrange(key)
            case "set":
                found[name] = await redis.smembers(key)
            case "zset":
                found[name] = await redis.zrange(key, 0, -1, withscores=True)
            case _:
                found[name] = await redis.get(key)
    return found


def without_times(dumped: dict[str, Any]) -> dict[str, Any]:
    """What is the same before and after: not how many bytes, which older releases did not count."""
    return {
        name: {field: part for field, part in value.items() if field not in ("bytes", "replica", "yields")}
        if isinstance(value, dict)
        else value
        for name, value in dumped.items()
        if not name.endswith("}:bytes")
    }


async def test_it_works(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "Good morning")
    await take_turn(stores, build_draft("How are you?", conversation_id=conversation_id))
    await let_go(redis, stores)
    assert await read_conversation(stores, conversation_id) == ["Good morning", "How are you?", "Hi."]
    await take_turn(stores, build_draft("And now?", conversation_id=conversation_id))
    said = ["Good morning", "How are you?", "Hi.", "And now?", "Hi."]
    assert await read_conversation(stores, conversation_id) == said
    await archive_all(redis)
    assert await read(lambda: ArchivedConversation.objects.get().expired_at) is None


async def test_a_family_comes_back_as_it_was(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One", "Large " + "x" * 70_000)
    first = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    partition = ids.get_partition(conversation_id)
    many = [build_item(f"{number}", partition) for number in range(120)]
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=many)
    forked = await fork(stores, conversation_id)
    await take_turn(stores, build_draft("On a fork", conversation_id=forked))
    await take_turn(stores, build_draft("On a branch", previous_response_id=first))
    await take_turn(stores, build_draft("Failed", conversation_id=conversation_id), end="failed")
    await stores.notes.put_feedback(first, owner=OWNER, score=1, comment="Good")
    await stores.conversations.update(conversation_id, owner=OWNER, metadata={"a": "b"}, title="A title")
    before = await dump(redis)
    await let_go(redis, stores)
    # By any of its members.
    await stores.conversations.get(forked, owner=OWNER)
    assert without_times(await dump(redis)) == without_times(before)
    assert await redis.zrange(keys.expiry(partition), 0, -1) == [f"conv:{conversation_id}".encode()]
    # And it goes again, whole.
    await let_go(redis, stores)
    await stores.responses.get(first, owner=OWNER)
    assert without_times(await dump(redis)) == without_times(before)


async def test_a_chain_comes_back_by_its_responses(redis: Redis, stores: Stores) -> None:
    first = await take_turn(stores, build_draft("One"))
    second = await take_turn(stores, build_draft("Two", previous_response_id=first))
    body = (await stores.responses.get(second, owner=OWNER)).body
    await let_go(redis, stores)
    third = await take_turn(stores, build_draft("Three", previous_response_id=second))
    assert await read_chain(stores, third) == ["One", "Hi.", "Two", "Hi.", "Three", "Hi."]
    assert (await stores.responses.get(second, owner=OWNER)).body == body


async def test_many_who_ask_at_once_get_one_conversation(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await let_go(redis, stores)
    asked = [stores.conversations.get(conversation_id, owner=OWNER) for _ in range(20)]
    assert {found.id for found in await asyncio.gather(*asked)} == {conversation_id}
    assert await read_conversation(stores, conversation_id) == ["One"]


async def test_another_replica_waits_for_who_restores(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await let_go(redis, stores)
    replicas = [ArchiveRestorer(RedisRestoring(redis, retention_s=RETENTION_S), retention_s=0) for _ in range(5)]
    asked = await asyncio.gather(
        *(each.restore(conversation_id, owner=OWNER) for each in replicas), return_exceptions=True
    )
    assert all(answer is True or isinstance(answer, Unavailable) for answer in asked)
    assert True in asked
    for each in replicas:
        each.close()
    assert await read_conversation(stores, conversation_id) == ["One"]


@pytest.mark.parametrize("is_archived", [True, False])
async def test_what_was_deleted_does_not_come_back(redis: Redis, stores: Stores, *, is_archived: bool) -> None:
    conversation_id = await make_conversation(stores, "One")
    forked = await fork(stores, conversation_id)
    response_id = await take_turn(stores, build_draft("Two", conversation_id=forked))
    await let_go(redis, stores)
    await stores.conversations.delete(conversation_id, owner=OWNER)
    await erase_due(stores.eraser)
    if is_archived:
        await archive_all(redis)
    refusal = NotFound if is_archived else (NotFound, Unavailable)
    for gone in (conversation_id, forked):
        with pytest.raises(refusal):
            await stores.conversations.get(gone, owner=OWNER)
    with pytest.raises(refusal):
        await stores.responses.get(response_id, owner=OWNER)
    assert await dump(redis) == {}


async def test_a_deleted_item_does_not_come_back_with_its_conversation(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One", "Two")
    page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=1, order="asc", after=None)
    await stores.conversations.delete_item(conversation_id, page.first_id or "", owner=OWNER)
    await let_go(redis, stores)
    assert await read_conversation(stores, conversation_id) == ["Two"]


async def test_others_and_unknown_ones_find_nothing(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await let_go(redis, stores)
    for owner, asked in ((STRANGER, conversation_id), (OWNER, ids.new_id(ids.CONVERSATION, "07"))):
        with pytest.raises(NotFound):
            await stores.conversations.get(asked, owner=owner)
    assert await dump(redis) == {}


async def test_what_cannot_have_been_let_go_is_not_looked_for(redis: Redis) -> None:
    class Unused(RedisRestoring):
        """Nobody asks it."""

    restorer = ArchiveRestorer(Unused(redis, retention_s=60), retention_s=60)
    restorer.close()  # without threads: a look in SQL would fail
    assert await restorer.restore(ids.new_id(ids.CONVERSATION, "07"), owner=OWNER) is False


async def test_what_was_lost_with_redis_is_restored_however_young_it_is(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await archive_all(redis)
    await redis.flushdb()
    await RedisOutbox(redis).open()
    restorer = ArchiveRestorer(RedisRestoring(redis, retention_s=RETENTION_S), retention_s=RETENTION_S)
    await asyncio.sleep(0.002)  # ids tell milliseconds: what is made in the one in which Redis began may be older
    later = ids.new_id(ids.CONVERSATION, "07")
    assert await restorer.restore(response_id, owner=OWNER)
    restorer.close()  # without threads: a look in SQL would fail
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "Hi."]
    assert await restorer.restore(later, owner=OWNER) is False


async def test_what_was_not_finished_is_erased_and_can_be_restored_again(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await let_go(redis, stores)

    class Dying(RedisRestoring):
        """A process that is killed before the end."""

        async def finish(self, *_: Any, **__: Any) -> bool:
            raise Unavailable("Killed.")

    dying = ArchiveRestorer(Dying(redis, retention_s=RETENTION_S), retention_s=0)
    with pytest.raises(Unavailable):
        await dying.restore(conversation_id, owner=OWNER)
    dying.close()
    await redis.delete(*[key async for key in redis.scan_iter(match="*restoring*")])  # its lock is over
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "Hi."]
    await let_go(redis, stores)
    dying = ArchiveRestorer(Dying(redis, retention_s=RETENTION_S), retention_s=0)
    with pytest.raises(Unavailable):
        await dying.restore(conversation_id, owner=OWNER)
    dying.close()
    await redis.delete(*[key async for key in redis.scan_iter(match="*restoring*")])
    await end_retention(redis)
    await erase_due(stores.eraser)
    assert await dump(redis) == {}


async def test_a_response_that_is_lost_does_not_exist_while_what_it_was_in_is_there(
    redis: Redis, stores: Stores
) -> None:
    conversation_id = await make_conversation(stores, "One")
    first = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    chain = await take_turn(stores, build_draft("Three"))
    await take_turn(stores, build_draft("Four", previous_response_id=chain))
    await archive_all(redis)
    for response_id in (first, chain):
        await redis.delete(keys.response(response_id))  # as a fail-over may
        with pytest.raises(NotFound):
            await stores.responses.get(response_id, owner=OWNER)


async def test_an_item_that_is_named_alone_brings_back_what_it_is_in(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await take_turn(stores, build_draft("On a branch", previous_response_id=response_id))
    await take_turn(stores, build_draft("A chain"))
    await archive_all(redis)
    said = dict(await read(lambda: list(ArchivedItem.objects.values_list("text", "item_id"))))
    for text in ("One", "On a branch", "A chain"):
        await let_go(redis, stores)
        assert await stores.conversations.find_items([said[text]], owner=STRANGER) == [None]
        assert await dump(redis) == {}
        unknown = ids.new_id(ids.MESSAGE, "07")
        missing, found = await stores.conversations.find_items([unknown, said[text]], owner=OWNER)
        assert missing is None
        assert isinstance(found, Message)
        assert text_of(found) == text


@pytest.mark.parametrize("is_chain", [True, False])
async def test_who_found_it_before_it_was_deleted_brings_nothing_back(
    redis: Redis, stores: Stores, *, is_chain: bool
) -> None:
    conversation_id = None if is_chain else await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await let_go(redis, stores)

    class Sleepy(RedisRestoring):
        """A process that sleeps behind its look, while others restore, delete and archive."""

        async def begin(self, family: Family, subject: str, *, token: str) -> Beginning:
            if conversation_id:
                await stores.conversations.delete(conversation_id, owner=OWNER)
            else:
                await stores.responses.delete(response_id, owner=OWNER)
            await archive_all(redis)
            await erase_due(stores.eraser)
            return await super().begin(family, subject, token=token)

    sleepy = ArchiveRestorer(Sleepy(redis, retention_s=RETENTION_S), retention_s=0)
    with suppress(Unavailable):
        assert not await sleepy.restore(response_id, owner=OWNER)
    sleepy.close()
    await redis.delete(*[key async for key in redis.scan_iter(match="*restoring*")], "none")
    await end_retention(redis)
    await erase_due(stores.eraser)
    assert await dump(redis) == {}


async def test_ids_that_somebody_makes_up_keep_nobody_else_waiting(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await let_go(redis, stores)
    made_up = [ids.new_id(ids.CONVERSATION, "07") for _ in range(60)]
    asked = [stores.conversations.get(each, owner=STRANGER) for each in made_up]
    refused = asyncio.gather(*asked, return_exceptions=True)
    await asyncio.sleep(0)
    assert (await stores.conversations.get(conversation_id, owner=OWNER)).id == conversation_id
    kinds = Counter(type(each) for each in await refused)
    assert set(kinds) == {NotFound, Unavailable}
    assert kinds[Unavailable] > 40
