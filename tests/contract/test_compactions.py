"""`Compactions`: a compacted history is kept once a request, as an ended response. On Redis alone: there is no fake."""

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.compactions import RedisCompactions
from prompts.domain import ids
from prompts.domain.anchors import AfterResponse, Anchor
from prompts.domain.items import Compaction, Item
from prompts.domain.responses import CompactedHistory
from prompts.domain.usage import Usage
from prompts.errors import InvalidRequest, KeyReused, NotFound
from prompts.ports.compactions import Compactions
from prompts.ports.responses import Attached, Claim
from prompts.run.sweeping import erase_due
from tests.contract.port_turns import LEASE_S, OWNER, STRANGER, begin, build_outcome, read_chain, take_turn, words_of
from tests.support.builders import RETENTION_S, Stores, admit, build_draft, build_item

PARTITION = "05"
KEYED = Claim("hash-of-one", idempotency_key="key")
encode = msgspec.json.Encoder().encode


@pytest.fixture
def compactions(redis: Redis) -> Compactions:
    return RedisCompactions(redis, retention_s=RETENTION_S)


def build_compacted(text: str = "One") -> CompactedHistory:
    """A user message and a compaction."""
    output: list[Item] = [build_item(text, PARTITION), Compaction(ids.new_id(ids.COMPACTION, PARTITION), "sealed")]
    return CompactedHistory(
        id=ids.new_id(ids.RESPONSE, PARTITION), created_at=1_700_000_000, output=output, usage=Usage(1, 2, 3)
    )


async def keep(
    compactions: Compactions,
    compacted: CompactedHistory,
    claim: Claim = KEYED,
    *,
    given: list[Item] | None = None,
    owner: str = OWNER,
    anchor: Anchor = None,
) -> Attached | None:
    """Keep a compaction for Alice."""
    return await compactions.keep(compacted, given or [], claim, owner=owner, anchor=anchor)


async def find(
    compactions: Compactions, claim: Claim = KEYED, *, owner: str = OWNER, anchor: Anchor = None
) -> Attached | None:
    """The compaction that an earlier try was given."""
    return await compactions.find(claim, PARTITION, owner=owner, anchor=anchor)


# --- a compaction as a response ---


async def test_it_is_read_as_it_was_kept(redis_stores: Stores, compactions: Compactions) -> None:
    compacted = build_compacted()
    assert await keep(compactions, compacted) is None
    stored = await redis_stores.responses.get(compacted.id, owner=OWNER)
    assert (stored.status, stored.body, stored.is_stored) == ("completed", encode(compacted), True)
    assert await redis_stores.responses.is_kept(compacted.id, owner=OWNER)
    with pytest.raises(NotFound):
        await redis_stores.responses.get(compacted.id, owner=STRANGER)


async def test_one_that_the_last_release_kept_says_its_status_too(
    redis: Redis, redis_stores: Stores, compactions: Compactions
) -> None:
    compacted = build_compacted()
    await keep(compactions, compacted)
    without = encode(compacted).replace(b'"status":"completed",', b"", 1)
    await redis.hset(keys.response(compacted.id), "result", without.decode())
    assert (await redis_stores.responses.get(compacted.id, owner=OWNER)).body == encode(compacted)


async def test_a_turn_continues_from_its_output(redis_stores: Stores, compactions: Compactions) -> None:
    compacted = build_compacted()
    await keep(compactions, compacted)
    draft, admitted = await begin(redis_stores, build_draft("Two", previous_response_id=compacted.id))
    assert list(admitted.window) == compacted.output
    outcome, last = build_outcome(draft, admitted)
    await redis_stores.responses.commit(outcome, last, owner=OWNER, epoch="1")
    assert await read_chain(redis_stores, draft.response.id) == ["One", "Two", "Hi."]


async def test_a_stranger_cannot_continue_from_it(redis_stores: Stores, compactions: Compactions) -> None:
    compacted = build_compacted()
    await keep(compactions, compacted)
    with pytest.raises(NotFound) as refused:
        await admit(redis_stores, build_draft(previous_response_id=compacted.id), owner=STRANGER)
    assert refused.value.code == "previous_response_not_found"


async def test_what_it_was_given_is_its_input(redis_stores: Stores, compactions: Compactions) -> None:
    compacted, given = build_compacted(), build_item("Given", PARTITION)
    await keep(compactions, compacted, given=[given])
    page = await redis_stores.notes.list_input(compacted.id, owner=OWNER, limit=10, order="asc", after=None)
    assert list(page.data) == [encode(given)]


async def test_its_items_are_found(redis_stores: Stores, compactions: Compactions) -> None:
    compacted = build_compacted()
    await keep(compactions, compacted)
    found = await redis_stores.conversations.find_items([item.id for item in compacted.output], owner=OWNER)
    assert list(found) == compacted.output


async def test_it_is_not_active(redis_stores: Stores, compactions: Compactions) -> None:
    compacted = build_compacted()
    await keep(compactions, compacted)
    assert await redis_stores.responses.list_lost() == []
    for owner in (OWNER, None):
        assert await redis_stores.responses.seize(compacted.id, owner=owner, lease_s=LEASE_S) == "completed"


async def test_it_has_no_events(redis_stores: Stores, compactions: Compactions) -> None:
    compacted = build_compacted()
    await keep(compactions, compacted)
    with pytest.raises(InvalidRequest) as refused:
        await redis_stores.event_log.get_echo(compacted.id, owner=OWNER)
    assert refused.value.param == "stream"
    with pytest.raises(NotFound):
        await redis_stores.event_log.get_echo(compacted.id, owner=STRANGER)
    assert list(await redis_stores.event_log.read(compacted.id, after=-1)) == []


async def test_it_is_deleted_with_its_items(redis_stores: Stores, compactions: Compactions) -> None:
    compacted = build_compacted()
    await keep(compactions, compacted)
    await redis_stores.responses.delete(compacted.id, owner=OWNER)
    await erase_due(redis_stores.eraser)
    with pytest.raises(NotFound):
        await begin(redis_stores, build_draft(previous_response_id=compacted.id))
    assert await redis_stores.conversations.find_items([compacted.output[0].id], owner=OWNER) == [None]


async def test_what_continues_it_outlives_it(redis_stores: Stores, compactions: Compactions) -> None:
    compacted = build_compacted()
    await keep(compactions, compacted)
    response_id = await take_turn(redis_stores, build_draft("Two", previous_response_id=compacted.id))
    await redis_stores.responses.delete(compacted.id, owner=OWNER)
    await erase_due(redis_stores.eraser)
    assert await read_chain(redis_stores, response_id) == ["One", "Two", "Hi."]


# --- retries ---


async def test_keeping_it_again_after_a_lost_answer_keeps_it_once(
    redis_stores: Stores, compactions: Compactions
) -> None:
    compacted = build_compacted()
    for _ in range(2):
        assert await keep(compactions, compacted) is None
    _, admitted = await begin(redis_stores, build_draft(previous_response_id=compacted.id))
    assert words_of(admitted.window) == ["One"]


async def test_the_same_request_finds_what_it_was_given_before(compactions: Compactions) -> None:
    assert await find(compactions) is None
    compacted = build_compacted()
    await keep(compactions, compacted)
    assert await find(compactions) == Attached(compacted.id)


async def test_of_two_at_once_the_first_counts(redis_stores: Stores, compactions: Compactions) -> None:
    first, second = build_compacted("One"), build_compacted("Two")
    assert await keep(compactions, first) is None
    assert await keep(compactions, second) == Attached(first.id)
    with pytest.raises(NotFound):
        await redis_stores.responses.get(second.id, owner=OWNER)


async def test_the_same_key_with_another_body_is_refused(redis_stores: Stores, compactions: Compactions) -> None:
    await keep(compactions, build_compacted())
    reused, compacted = Claim("hash-of-two", idempotency_key="key"), build_compacted("Two")
    with pytest.raises(KeyReused):
        await find(compactions, reused)
    with pytest.raises(KeyReused):
        await keep(compactions, compacted, reused)
    with pytest.raises(NotFound):
        await redis_stores.responses.get(compacted.id, owner=OWNER)


async def test_a_turn_and_a_compaction_share_their_keys(redis_stores: Stores, compactions: Compactions) -> None:
    await begin(redis_stores, build_draft(partition=PARTITION, claim=Claim("hash-of-a-turn", "key")))
    with pytest.raises(KeyReused):
        await find(compactions)


@pytest.mark.parametrize(
    "scope",
    [
        {"owner": STRANGER},
        {"anchor": AfterResponse("resp_0501")},
        {"claim": Claim("hash-of-one", idempotency_key="other")},
    ],
)
async def test_a_key_is_its_owners_and_its_anchors(compactions: Compactions, scope: dict[str, Any]) -> None:
    await keep(compactions, build_compacted())
    assert await find(compactions, **scope) is None
    assert await keep(compactions, build_compacted(), **scope) is None


async def test_without_a_key_each_request_is_given_its_own(compactions: Compactions) -> None:
    claim = Claim("hash-of-one")
    for _ in range(2):
        assert await find(compactions, claim) is None
        assert await keep(compactions, build_compacted(), claim) is None
