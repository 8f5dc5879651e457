"""The archive, on both databases: every change comes to SQL, once; what is erased goes; nothing is let go before."""

import math
from typing import cast

import pytest
from django.db import DatabaseError
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.outbox import RedisOutbox
from prompts.archive.archiver import BUSY_RUNS, NOTES_A_BATCH, NOTES_WHILE_BUSY, Archiver
from prompts.archive.copying import sort_notes
from prompts.archive.writing import Batch, LeaseLostError, write_batch
from prompts.domain import ids
from prompts.errors import NotFound
from prompts.models import ArchivedConversation, ArchivedItem, ArchivedResponse
from prompts.ports.observer import Archived
from prompts.ports.outbox import Note
from prompts.run.sweeping import erase_due
from tests.contract.port_turns import OWNER, begin, end_turn, fork, not_stored, take_turn
from tests.support.archive import (
    archive_all,
    count_rows,
    end_retention,
    list_noted,
    list_texts,
    open_archiver,
    read,
    run_sql,
)
from tests.support.builders import Stores, build_draft, build_item, make_conversation
from tests.support.fakes.observer import FakeObserver

HOSTILE = "NUL \0, '; DROP TABLE prompts_archiveditem; -- \\u0000 <script>é\U0001f44b"
NOTHING = {"ArchivedConversation": 0, "ArchivedItem": 0, "ArchivedResponse": 0, "ArchivedTimeline": 0}


async def test_it_works(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "Good morning")
    response_id = await take_turn(stores, build_draft("How are you?", conversation_id=conversation_id))
    await archive_all(redis)
    conversation = await read(ArchivedConversation.objects.get)
    assert (conversation.id, conversation.owner, conversation.last_status) == (conversation_id, OWNER, "completed")
    response = await read(ArchivedResponse.objects.get)
    assert (response.id, response.conversation_id, response.status) == (response_id, conversation_id, "completed")
    assert response.result is not None
    assert response.result["id"] == response_id
    assert await list_texts(conversation_id) == ["Good morning", "How are you?", "Hi."]
    assert await list_noted(redis) == []


async def test_what_is_there_is_what_redis_has(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, HOSTILE)
    await stores.conversations.update(conversation_id, owner=OWNER, metadata={"a": HOSTILE}, title=HOSTILE)
    response_id = await take_turn(stores, build_draft(HOSTILE, conversation_id=conversation_id))
    await stores.notes.put_feedback(response_id, owner=OWNER, score=-1, comment=HOSTILE)
    await stores.notes.keep_follow_ups(response_id, [HOSTILE], owner=OWNER)
    await archive_all(redis)
    conversation = await read(ArchivedConversation.objects.get)
    assert conversation.record == await read_hash(redis, keys.conversation(conversation_id))
    assert conversation.metadata == {"a": HOSTILE}
    assert (conversation.title, conversation.last_feedback) == (HOSTILE.replace("\0", "\N{REPLACEMENT CHARACTER}"), -1)
    response = await read(ArchivedResponse.objects.get)
    stored = await read_hash(redis, keys.response(response_id))
    columns = (response.input_json, response.result_json, response.request_json)
    assert columns == (stored.pop("input"), stored.pop("result"), stored.pop("model_request"))
    assert response.record == stored
    assert (response.feedback_score, response.follow_ups) == (-1, [HOSTILE])
    timeline = stored["timeline"]
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", await redis.xrange(keys.timeline(timeline)))
    items = await read(lambda: list(ArchivedItem.objects.values_list("item_id", "content_json")))
    assert items == [(fields[b"k"].decode(), fields[b"i"].decode()) for _, fields in entries]


async def read_hash(redis: Redis, key: str) -> dict[str, str]:
    found = cast("dict[bytes, bytes]", await redis.hgetall(key))
    return {field.decode(): value.decode() for field, value in found.items()}


@pytest.mark.parametrize(("answers", "most"), [(BUSY_RUNS - 1, NOTES_A_BATCH), (BUSY_RUNS, NOTES_WHILE_BUSY)])
async def test_while_answers_are_written_few_notes_are_copied_at_once(
    redis: Redis, stores: Stores, answers: int, most: int
) -> None:
    for _ in range(2 * NOTES_WHILE_BUSY):
        await make_conversation(stores, "Good morning")
    noted = await list_noted(redis)
    observer = FakeObserver()
    archiver = Archiver(RedisOutbox(redis), observer=observer, count_runs=lambda: answers)
    while await archiver.copy_some():
        pass
    archiver.close()
    copied = [happening for happening in observer.noticed if isinstance(happening, Archived)]
    assert len(copied) == math.ceil(len(noted) / most)
    assert await list_noted(redis) == []


async def test_a_response_is_seen_while_it_is_written_and_as_it_ends(redis: Redis, stores: Stores) -> None:
    draft, admitted = await begin(stores)
    await archive_all(redis)
    assert await read(lambda: ArchivedResponse.objects.get().status) == "in_progress"
    await end_turn(stores, draft, admitted, end="failed")
    await archive_all(redis)
    response = await read(ArchivedResponse.objects.get)
    assert (response.status, response.error_code) == ("failed", "server_error")


async def test_what_is_not_stored_is_not_archived(redis: Redis, stores: Stores) -> None:
    await take_turn(stores, not_stored(build_draft()))
    await archive_all(redis)
    assert await count_rows() == NOTHING


async def test_long_histories_and_large_items_come_whole_and_in_order(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "first")
    partition = ids.get_partition(conversation_id)
    said = [f"{number} {'x' * 70_000 if number % 40 == 0 else ''}" for number in range(700)]
    await stores.conversations.add_items(
        conversation_id, owner=OWNER, items=[build_item(text, partition) for text in said[:600]]
    )
    await take_turn(stores, build_draft("between", conversation_id=conversation_id))
    await archive_all(redis)
    await stores.conversations.add_items(
        conversation_id, owner=OWNER, items=[build_item(text, partition) for text in said[600:]]
    )
    await archive_all(redis)
    assert await list_texts(conversation_id) == ["first", *said[:600], "between", "Hi.", *said[600:]]


async def test_the_same_again_changes_nothing(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await archive_all(redis)
    before = await count_rows()
    await RedisOutbox(redis).open(is_again=True)
    await archive_all(redis)
    assert await count_rows() == before


async def test_what_was_there_before_the_archive_is_copied(redis: Redis, stores: Stores) -> None:
    await RedisOutbox(redis).close()
    conversation_id = await make_conversation(stores, "One")
    origin = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    forked = await fork(stores, conversation_id)
    await take_turn(stores, build_draft("On a fork", conversation_id=forked))
    await take_turn(stores, build_draft("On a branch", previous_response_id=origin))
    chain = await take_turn(stores, build_draft("A chain"))
    await take_turn(stores, build_draft("A chain's second", previous_response_id=chain))
    assert await list_noted(redis) == []
    await RedisOutbox(redis).open()
    await archive_all(redis)
    assert await list_texts(conversation_id) == ["One", "Two", "Hi."]
    assert await list_texts(forked) == ["On a fork", "Hi."]
    rows = await count_rows()
    assert rows == {"ArchivedConversation": 2, "ArchivedItem": 11, "ArchivedResponse": 5, "ArchivedTimeline": 4}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_deleted_goes_with_its_forks(redis: Redis, stores: Stores, when: str) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    forked = await fork(stores, conversation_id)
    await take_turn(stores, build_draft("On a fork", conversation_id=forked))
    await take_turn(stores, build_draft("On a branch", previous_response_id=response_id))
    if when == "after":
        await archive_all(redis)
    await stores.conversations.delete(conversation_id, owner=OWNER)
    await archive_all(redis)
    # The fork is still there, and what hangs on it; but it is being erased.
    await note(redis, f"conv:{forked}", f"resp:{response_id}", f"all:conv:{conversation_id}")
    await archive_all(redis)
    assert await count_rows() == NOTHING


async def note(redis: Redis, *subjects: str) -> None:
    for subject in subjects:
        await redis.zadd(keys.outbox(Note(subject, 0).partition), {subject: 1})


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_deleted_response_and_a_deleted_item_go_alone(redis: Redis, stores: Stores, when: str) -> None:
    conversation_id = await make_conversation(stores, "One", "Two")
    page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=1, order="asc", after=None)
    response_id = await take_turn(stores, build_draft("Three", conversation_id=conversation_id))
    if when == "after":
        await archive_all(redis)
    await stores.responses.delete(response_id, owner=OWNER)
    await stores.conversations.delete_item(conversation_id, page.first_id or "", owner=OWNER)
    await archive_all(redis)
    assert await list_texts(conversation_id) == ["Two", "Three", "Hi."]
    assert await read(ArchivedResponse.objects.count) == 0
    assert await read(lambda: ArchivedConversation.objects.get().last_status) == ""


async def test_the_items_of_a_chain_go_with_its_last_response(redis: Redis, stores: Stores) -> None:
    first = await take_turn(stores, build_draft("One"))
    second = await take_turn(stores, build_draft("Two", previous_response_id=first))
    await archive_all(redis)
    await stores.responses.delete(first, owner=OWNER)
    await archive_all(redis)
    assert await read(ArchivedItem.objects.count) == 4
    await stores.responses.delete(second, owner=OWNER)
    await archive_all(redis)
    assert await count_rows() == NOTHING


async def test_nothing_is_let_go_before_it_is_archived_and_then_it_stays_in_the_archive(
    redis: Redis, stores: Stores
) -> None:
    conversation_id = await make_conversation(stores, "One")
    forked = await fork(stores, conversation_id)
    chain = await take_turn(stores, build_draft("Two"))
    for partition in ids.all_partitions():  # as if an older release had made all of it
        await redis.unlink(keys.outbox(partition))
    await end_retention(redis)
    await erase_due(stores.eraser)
    await end_retention(redis)
    await erase_due(stores.eraser)
    await stores.conversations.get(conversation_id, owner=OWNER)
    await stores.responses.get(chain, owner=OWNER)
    await archive_all(redis)
    await erase_due(stores.eraser)
    for gone in (conversation_id, forked):
        with pytest.raises(NotFound):
            await stores.conversations.get(gone, owner=OWNER)
    with pytest.raises(NotFound):
        await stores.responses.get(chain, owner=OWNER)
    await archive_all(redis)
    assert await list_texts(conversation_id) == ["One"]
    assert await read(ArchivedConversation.objects.filter(expired_at__isnull=False).count) == 2
    assert await read(ArchivedResponse.objects.count) == 1


async def test_what_is_used_while_it_is_let_go_stays(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await end_retention(redis)
    await erase_due(stores.eraser)
    archiver = open_archiver(redis)
    await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    while await archiver.copy_some():
        pass
    archiver.close()
    await erase_due(stores.eraser)
    await stores.conversations.get(conversation_id, owner=OWNER)
    await take_turn(stores, build_draft("Three", conversation_id=conversation_id))
    await archive_all(redis)
    assert await read(lambda: ArchivedConversation.objects.get().expired_at) is None


async def test_without_sql_notes_wait_and_are_few(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    archiver = open_archiver(redis)
    await run_sql("ALTER TABLE prompts_archivedresponse RENAME TO away")
    for number in range(5):
        await take_turn(stores, build_draft(str(number), conversation_id=conversation_id))
        with pytest.raises(DatabaseError):
            await archiver.copy_some()
    assert len(await list_noted(redis)) == 6
    await run_sql("ALTER TABLE away RENAME TO prompts_archivedresponse")
    archiver.close()
    await archive_all(redis)
    said = [text for number in range(5) for text in (str(number), "Hi.")]
    assert await list_texts(conversation_id) == ["One", *said]
    assert await read(ArchivedResponse.objects.count) == 5


async def test_what_cannot_be_read_holds_nothing_up(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    broken = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await redis.hset(keys.response(broken), "result", "{")
    for _ in range(3):
        await take_turn(stores, build_draft("Three", conversation_id=conversation_id))
    await archive_all(redis)
    assert await read(ArchivedResponse.objects.count) == 3
    assert await list_noted(redis) == [f"resp:{broken}"]


async def test_an_archiver_that_has_lost_its_lease_writes_nothing(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await archive_all(redis)
    partition = ids.get_partition(conversation_id)
    outbox = RedisOutbox(redis)
    [record] = await outbox.read_conversations([conversation_id])
    await stores.conversations.delete(conversation_id, owner=OWNER)
    await archive_all(redis)
    with pytest.raises(LeaseLostError):
        await read(lambda: write_batch(Batch(epochs={partition: 1}, conversations=[record])))
    assert await count_rows() == NOTHING


async def test_of_two_archivers_one_holds_a_partition(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    partition, outbox = ids.get_partition(conversation_id), RedisOutbox(redis)
    [taken] = await outbox.take([partition], token="one", count=10)
    assert [each.subject for each in taken.notes] == [f"conv:{conversation_id}"]
    assert await outbox.take([partition], token="two", count=10) == []
    [again] = await outbox.take([partition], token="one", count=10)
    assert again == taken


async def test_without_an_archive_nothing_is_noted(redis: Redis, stores: Stores) -> None:
    await RedisOutbox(redis).close()
    conversation_id = await make_conversation(stores, "One")
    await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    assert await list_noted(redis) == []
    await end_retention(redis)
    await erase_due(stores.eraser)
    with pytest.raises(NotFound):
        await stores.conversations.get(conversation_id, owner=OWNER)


async def test_what_is_deleted_while_the_archive_is_closed_goes_when_it_is_open_again(
    redis: Redis, stores: Stores
) -> None:
    conversation_id, other_id = await make_conversation(stores, "One"), await make_conversation(stores, "Two")
    await archive_all(redis)
    for _ in range(2):
        await RedisOutbox(redis).close()
        await stores.conversations.delete(conversation_id, owner=OWNER)
        await take_turn(stores, build_draft("Meanwhile", conversation_id=other_id))
        assert await list_noted(redis) == [f"gone:conv:{conversation_id}"]
        await RedisOutbox(redis).open()
        conversation_id = await make_conversation(stores, "Three")
        await archive_all(redis)
    assert await list_texts(other_id) == ["Two", "Meanwhile", "Hi.", "Meanwhile", "Hi."]
    assert await read(ArchivedConversation.objects.count) == 2


def test_a_note_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="conv_1"):
        sort_notes([Note("painted:conv_1", 1)])
