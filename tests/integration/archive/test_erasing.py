"""Staff erase a conversation: nothing of it is left in any store, and what others use stays. On both databases."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.api_keys import RedisApiKeys
from prompts.adapters.redis.origins import RedisOrigins
from prompts.adapters.redis.project_limits import RedisProjectLimits
from prompts.adapters.redis.published_prompts import RedisPublishedPrompts
from prompts.adapters.redis.user_proofs import RedisUserProofs
from prompts.adapters.redis.vector_cache import name_vector
from prompts.adapters.sql.prompt_store import SqlPrompts
from prompts.admin.history_rows import find_history_id, find_holder
from prompts.archive.owner_erasing import OwnerPorts, erase_owner
from prompts.domain import ids
from prompts.domain.model_request import ModelRequest
from prompts.domain.tools import FileSearchTool
from prompts.errors import NotFound, StaleRun
from prompts.models import ArchivedChain, ErasureReceipt, Prompt, PromptVersion
from prompts.usecases.conversations import delete_conversation
from prompts.usecases.prompts import PromptPorts
from tests.contract.port_turns import fork, read_conversation
from tests.integration.archive.conftest import DATABASE
from tests.support.archive import archive_all, count_rows, read
from tests.support.builders import admit, build_draft, commit, replace_request
from tests.support.erasing import World, open_world, say
from tests.support.knowledge import open_weaviate_index
from tests.support.servers import ValkeyServer, WeaviateAddress

WORD = "xylophonesecret"
OTHER = "harpsichord"
NOTHING = {"ArchivedConversation": 0, "ArchivedItem": 0, "ArchivedResponse": 0, "ArchivedTimeline": 0}


async def is_there(world: World, file_id: str) -> bool:
    try:
        await world.files.get(file_id, owner=world.owner)
    except NotFound:
        return False
    return True


async def list_lasting(world: World, public_ids: Sequence[str]) -> list[bytes | str]:
    """The keys with any of these ids in them that do not go by themselves."""
    found = [key for key in await world.redis.keys() if any(each in str(key) for each in public_ids)]
    return [key for key in found if await world.redis.ttl(key) < 0]


async def test_nothing_is_left_of_it_and_others_have_theirs(world: World) -> None:
    made, others = await world.make_everything(WORD), await world.make_everything(OTHER)
    found = "\n".join(await world.find(WORD))
    for place in ("Redis", "SQL: prompts_archiveditem", "SQL: prompts_archivedresponse", "knowledge.sqlite3", "files/"):
        assert place in found, place
    before = len(await world.find(OTHER))
    digest = name_vector("model", WORD)
    await world.redis.set(keys.vector(digest), digest + bytes(8))
    receipt = await world.erase(made.conversation)
    await archive_all(world.redis)
    assert await world.find(WORD) == []
    left = [where for where in await world.find(*made.ids) if "erasurereceipt" not in where]
    assert not [where for where in left if where.startswith("SQL")], left
    assert await list_lasting(world, made.ids) == []
    assert receipt.is_complete
    assert receipt.counts == {
        "Archive: chains": 2,
        "Archive: conversations": 2,
        "Archive: feedback": 1,
        "Archive: items": 10,
        "Archive: responses": 5,
        "Files, with their bytes and passages": 2,
        "Redis: cached vectors, of all texts": 1,
        "Redis: conversations, forks included": 2,
        "Redis: idempotency records": 5,
        "Redis: responses, with event logs": 5,
        "Search index: items": 10,
        "Vector stores, with their passages in the index": 1,
    }
    assert len(await world.find(OTHER)) == before
    assert await is_there(world, others.files[1])
    assert await world.ports.index.search(others.store, [OTHER], limit=1)


async def test_what_something_else_uses_stays(world: World) -> None:
    named, in_prompt, elsewhere, alone = [await world.upload(f"{WORD}{number}") for number in range(4)]
    place = ids.new_partition()
    said = [say(place, f"{WORD} {file_id}", file_id) for file_id in (named, in_prompt, elsewhere, alone)]
    stores = [await world.make_store(f"{WORD} {number}") for number in range(3)]
    gone = [await world.make_conversation(WORD, *said, store_id=stores[0]), *()]
    forked = [await world.make_conversation(WORD, store_id=each) for each in stores[1:]]
    team = await world.make_store("team")
    await world.put(team, elsewhere, "team")
    await world.make_conversation(OTHER, say(place, OTHER, named), store_id=stores[1])
    tool = FileSearchTool(vector_store_ids=[stores[2]])
    draft = replace_request(build_draft(OTHER), ModelRequest(model="m", tools=[tool]))
    await commit(world.stores, await admit(world.stores, draft), *draft.input)
    await archive_all(world.redis)
    await read(lambda: make_prompt(in_prompt))
    receipt = await world.erase(gone[0])
    assert [await is_there(world, each) for each in (named, in_prompt, elsewhere, alone)] == [True, True, True, False]
    assert receipt.counts["Files, with their bytes and passages"] == 1
    assert receipt.counts["Kept, because something else uses them: files"] == 3
    for number, conversation in enumerate(forked, start=1):
        receipt = await world.erase(conversation)
        assert receipt.counts["Kept, because something else uses them: vector stores"] == 1
        await world.vector_stores.get(stores[number], owner=world.owner)
    with pytest.raises(NotFound):
        await world.vector_stores.get(stores[0], owner=world.owner)


def make_prompt(file_id: str) -> None:
    prompt = Prompt.objects.create(id=ids.new_id(ids.PROMPT, "00"), owner="alice")
    PromptVersion.objects.create(prompt=prompt, number=1, content={"text": f"See {file_id}"}, size=1)


async def test_files_stay_when_staff_say_so(world: World) -> None:
    made = await world.make_everything(WORD)
    receipt = await world.erase(made.conversation, with_files=False)
    assert receipt.is_complete
    assert all([await is_there(world, each) for each in made.files])
    assert "Files, with their bytes and passages" not in receipt.counts


async def test_what_is_in_the_archive_only_goes_and_does_not_come_back(world: World) -> None:
    made = await world.make_everything(WORD)
    await world.let_go()
    receipt = await world.erase(made.conversation)
    assert receipt.is_complete
    assert receipt.counts["Redis: idempotency records"] == 5
    assert "Redis: conversations, forks included" not in receipt.counts
    await archive_all(world.redis)
    assert await world.find(WORD) == []
    assert await count_rows() == NOTHING
    for gone in (made.conversation, made.fork):
        with pytest.raises(NotFound):
            await world.stores.conversations.get(gone, owner=world.owner)


async def test_what_was_restored_goes(world: World) -> None:
    made = await world.make_everything(WORD)
    await world.let_go()
    await world.stores.conversations.get(made.fork, owner=world.owner)
    assert f"Redis: {WORD}" in await world.find(WORD)
    receipt = await world.erase(made.conversation)
    assert receipt.counts["Redis: conversations, forks included"] == 2
    assert receipt.counts["Redis: idempotency records"] == 5
    await archive_all(world.redis)
    assert await world.find(WORD) == []


async def test_what_redis_has_lost_goes_from_the_archive(world: World) -> None:
    made = await world.make_everything(WORD)
    await world.redis.flushdb()
    await world.ports.outbox.open()
    await archive_all(world.redis)
    assert (await world.erase(made.conversation)).is_complete
    assert await count_rows() == NOTHING


async def test_a_fork_that_is_in_the_archive_only_goes_with_its_origin(world: World) -> None:
    made = await world.make_everything(WORD)
    await delete_conversation(
        made.fork, owner=world.owner, store=world.stores.conversations, eraser=world.stores.eraser
    )
    await world.redis.delete(keys.outbox(ids.get_partition(made.fork)))  # a fail-over has lost it
    await archive_all(world.redis)
    receipt = await world.erase(made.conversation)
    assert receipt.counts["Redis: conversations, forks included"] == 1
    assert receipt.counts["Archive: conversations"] == 2
    await archive_all(world.redis)
    assert await world.find(WORD) == []


async def test_a_fork_goes_alone(world: World) -> None:
    made = await world.make_everything(WORD)
    later = await fork(world.stores, made.fork)
    await archive_all(world.redis)
    receipt = await world.erase(made.fork)
    assert receipt.counts["Redis: conversations, forks included"] == 2
    assert receipt.counts["Redis: responses, with event logs"] == 1
    # Its origin has the same vector store.
    assert receipt.counts["Kept, because something else uses them: vector stores"] == 1
    await archive_all(world.redis)
    for gone in (made.fork, later):
        with pytest.raises(NotFound):
            await world.stores.conversations.get(gone, owner=world.owner)
    assert len(await read_conversation(world.stores, made.conversation)) == 2
    assert all([await is_there(world, each) for each in made.files])


async def begin_chain(world: World) -> tuple[str, str]:
    """A response, and two that go on from it; the chain's id, and the first response's."""
    named = await world.upload(WORD)
    first = await world.turn(WORD, file_id=named)
    await world.turn(f"{WORD} 2", previous_response_id=first)
    await world.turn(f"{WORD} 3", previous_response_id=first)
    await archive_all(world.redis)
    return await read(lambda: find_history_id(first)), first


@pytest.mark.parametrize("is_let_go", [False, True], ids=["in Redis", "in the archive only"])
async def test_a_chain_goes_with_its_branches(world: World, is_let_go: bool) -> None:
    others = await world.make_everything(OTHER)
    chain_id, first = await begin_chain(world)
    branch = await read(lambda: ArchivedChain.objects.exclude(id=chain_id).get(owner=world.owner, forked_from=chain_id))
    if is_let_go:
        await world.let_go()
    receipt = await world.erase(branch.id)  # whichever of its branches is named
    assert (receipt.is_complete, receipt.subject_kind, receipt.subject_id) == (True, "chain", branch.id)
    counts = {
        "Archive: chains": 2,
        "Archive: items": 6,
        "Archive: responses": 3,
        "Files, with their bytes and passages": 1,
        "Redis: idempotency records": 3,
        "Redis: responses, with event logs": 3,
        "Search index: items": 6,
    }
    if is_let_go:
        del counts["Redis: responses, with event logs"]
    assert receipt.counts == counts
    await archive_all(world.redis)
    assert await world.find(WORD) == []
    assert f"SQL: prompts_archiveditem: {OTHER}" in await world.find(OTHER)
    with pytest.raises(NotFound):
        await world.stores.responses.get(first, owner=world.owner)
    assert (await world.erase(chain_id)).counts == {}
    assert await is_there(world, others.files[0])


async def test_what_hangs_on_a_conversation_is_no_chain_to_erase(world: World) -> None:
    made = await world.make_everything(WORD)
    [hanging] = await read(lambda: list(ArchivedChain.objects.filter(owner=world.owner, forked_from=made.conversation)))
    assert await read(lambda: find_holder(hanging)) == made.conversation
    before = await count_rows()
    assert (await world.erase(hanging.id)).counts == {}
    assert await count_rows() == before


async def test_an_answer_that_runs_and_a_second_erasure(world: World) -> None:
    made = await world.make_everything(WORD)
    draft = build_draft(WORD, conversation_id=made.conversation)
    running = await admit(world.stores, draft)
    await archive_all(world.redis)
    receipt = await world.erase(made.conversation)
    assert receipt.counts["Redis: responses, with event logs"] == 6
    with pytest.raises(StaleRun):
        await commit(world.stores, running, *draft.input)
    await archive_all(world.redis)
    again = await world.erase(made.conversation)
    assert (again.is_complete, again.counts) == (True, {})
    assert await world.find(WORD) == []


async def test_owners_with_alike_names_and_others_conversations_stay(world: World) -> None:
    alike = replace(world, owner="alice2")
    made, file_id = await world.make_everything(WORD), await alike.upload(OTHER)
    said = say(ids.new_partition(), OTHER, file_id)
    theirs = await alike.make_conversation(OTHER, said)
    envious = await alike.make_conversation(OTHER, say(ids.new_partition(), OTHER, made.files[0]), store_id=made.store)
    assert (await alike.erase(envious)).is_complete
    await world.vector_stores.get(made.store, owner="alice")
    assert await is_there(world, made.files[0])
    assert not (await alike.erase(made.conversation)).counts.get("Redis: conversations, forks included")
    await world.stores.conversations.get(made.conversation, owner="alice")
    await world.erase(made.conversation)
    await alike.stores.conversations.get(theirs, owner="alice2")
    assert await is_there(alike, file_id)


async def test_an_owner_is_erased_in_the_same_words(world: World) -> None:
    made = await world.make_everything(WORD)
    other = replace(world, owner="alice2")
    theirs = await other.make_conversation(OTHER, say(ids.new_partition(), OTHER, await other.upload(OTHER)))
    await archive_all(world.redis)
    sql_prompts = SqlPrompts()
    held = {each.name: getattr(world.ports, each.name) for each in fields(world.ports)}
    ports = OwnerPorts(
        **held,
        prompts=PromptPorts(sql_prompts, RedisPublishedPrompts(world.redis)),
        api_keys=RedisApiKeys(world.redis),
        origins=RedisOrigins(world.redis),
        limits=RedisProjectLimits(world.redis),
        proofs=RedisUserProofs(world.redis),
    )
    erased = await erase_owner("alice", by="command", ports=ports, quiet_s=0)
    sql_prompts.close()
    await archive_all(world.redis)
    assert erased.failures == []
    assert await world.find(WORD) == []
    assert await list_lasting(world, made.ids) == []
    receipt = await read(lambda: ErasureReceipt.objects.get(owner="alice"))
    assert receipt.counts == dict(erased.counts)
    assert receipt.counts["Files, with their bytes and passages"] == 2
    assert receipt.counts["Redis: idempotency records"] == 5
    assert receipt.counts["Archive: responses"] == 5
    await other.stores.conversations.get(theirs, owner="alice2")


async def test_passages_in_weaviate_go_too(
    redis: Redis, valkey: ValkeyServer, tmp_path: Path, weaviate: WeaviateAddress
) -> None:
    url = f"redis://127.0.0.1:{valkey.port}/{DATABASE}"
    async with open_weaviate_index(weaviate, collection=f"Erasing{ids.new_partition()}") as index:
        await index.prepare()
        async with open_world(redis, url, tmp_path, index) as world:
            made, others = await world.make_everything(WORD), await world.make_everything(OTHER)
            assert await index.search(made.store, [WORD], limit=1)
            receipt = await world.erase(made.conversation)
            assert receipt.counts["Vector stores, with their passages in the index"] == 1
            assert not await index.list_stretches(made.store, made.files[1])
            assert await index.search(made.store, [WORD], limit=1) == []
            assert await index.search(others.store, [OTHER], limit=1)


async def test_a_thousand_items(world: World) -> None:
    place = ids.new_partition()
    said = [say(place, f"{WORD}{number}") for number in range(1000)]
    conversation = await world.make_conversation(WORD, *said)
    await archive_all(world.redis)
    receipt = await world.erase(conversation)
    assert receipt.counts["Archive: items"] == 1000
    await archive_all(world.redis)
    assert await world.find(WORD) == []
