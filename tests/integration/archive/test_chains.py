"""Chains of responses in the archive: lists know them as they know conversations, on both databases."""

from django.core.management import call_command
from redis.asyncio import Redis

from prompts.admin.history_rows import find_first_words, find_history, find_history_id, list_forks, list_responses
from prompts.admin.said import find_said
from prompts.archive.histories import list_history
from prompts.models import ArchivedChain, ArchivedItem, ArchivedResponse
from prompts.run.sweeping import erase_due
from tests.contract.port_turns import OWNER, begin, end_turn, take_turn
from tests.support.archive import archive_all, end_retention, read
from tests.support.builders import Stores, build_draft, make_conversation


async def read_texts(chain_id: str) -> list[str]:
    """What staff read on a chain's page."""
    chain = await read(lambda: ArchivedChain.objects.get(id=chain_id))
    return [item.text for item in await read(lambda: list_history(chain))]


async def find_chain(response_id: str) -> str:
    """The id of the chain in which a response is found."""
    return await read(lambda: find_history_id(response_id))


async def test_a_chain_is_listed_with_what_its_newest_response_is(redis: Redis, stores: Stores) -> None:
    first = await take_turn(stores, build_draft("One"))
    second = await take_turn(stores, build_draft("Two", previous_response_id=first))
    await stores.notes.put_feedback(first, owner=OWNER, score=-1, comment="")
    await archive_all(redis)
    chain = await read(ArchivedChain.objects.get)
    responses = await read(lambda: list(ArchivedResponse.objects.order_by("created_at", "id")))
    assert [response.id for response in responses] == [first, second]
    assert (chain.owner, chain.head, chain.forked_from) == (OWNER, 4, "")
    assert (chain.last_model, chain.last_status, chain.last_feedback, chain.has_error) == ("m", "completed", -1, False)
    assert (chain.created_at, chain.last_used_at) == (responses[0].created_at, responses[1].created_at)
    assert await read_texts(chain.id) == ["One", "Hi.", "Two", "Hi."]
    assert [await find_chain(each) for each in (first, second)] == [chain.id] * 2


async def test_what_stands_alone_and_what_failed_is_there_too(redis: Redis, stores: Stores) -> None:
    draft, admitted = await begin(stores, build_draft("Alone"))
    await archive_all(redis)
    chain = await read(ArchivedChain.objects.get)
    assert (chain.last_status, chain.head) == ("in_progress", 0)
    await end_turn(stores, draft, admitted, end="failed")
    await archive_all(redis)
    chain = await read(ArchivedChain.objects.get)
    assert (chain.last_status, chain.has_error, chain.head) == ("failed", True, 0)
    told = await read(lambda: list_responses(chain, [], is_newest=True))
    assert [response.id for response in told] == [draft.response.id]


async def test_a_branch_is_a_chain_of_its_own(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "Talk")
    talked = await take_turn(stores, build_draft("Said", conversation_id=conversation_id))
    beside = await take_turn(stores, build_draft("Beside", previous_response_id=talked))
    first = await take_turn(stores, build_draft("One"))
    await take_turn(stores, build_draft("Two", previous_response_id=first))
    other = await take_turn(stores, build_draft("Other", previous_response_id=first))
    lost, admitted = await begin(stores, build_draft("Lost", previous_response_id=talked))
    await archive_all(redis)
    assert await read(ArchivedChain.objects.count) == 3
    await end_turn(stores, lost, admitted, end="failed")
    await archive_all(redis)
    assert await read_texts(await find_chain(beside)) == ["Talk", "Said", "Hi.", "Beside", "Hi."]
    assert await read_texts(await find_chain(other)) == ["One", "Hi.", "Other", "Hi."]
    chain_id = await find_chain(first)
    conversation, chain = await read(lambda: (find_history(conversation_id), find_history(chain_id)))
    assert conversation is not None
    assert chain is not None
    [branch] = await read(lambda: list_forks(conversation))
    [fork] = await read(lambda: list_forks(chain))
    assert (branch.id, fork.id) == (await find_chain(beside), await find_chain(other))
    words = await read(lambda: find_first_words([branch, fork, chain, conversation]))
    assert sorted(words.values()) == ["Beside", "One", "Other", "Talk"]
    # It asked for no conversation, and joined none: it stands where it was asked.
    told = await read(lambda: list_responses(conversation, [], is_newest=True))
    assert [response.id for response in told] == [lost.response.id]
    assert await find_chain(lost.response.id) == conversation_id


async def test_what_was_said_in_a_chain_is_found(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "An axolotl swims")
    response_id = await take_turn(stores, build_draft("Where is the axolotl?"))
    await archive_all(redis)
    found = await read(lambda: find_said("axolotl", owner=OWNER))
    chain_id = await find_chain(response_id)
    assert found is not None
    assert found.texts == {conversation_id: "An axolotl swims", chain_id: "Where is the axolotl?"}
    item = await read(lambda: ArchivedItem.objects.get(role="user", conversation=None))
    assert await find_chain(item.item_id) == chain_id


async def test_a_chain_goes_with_its_last_response(redis: Redis, stores: Stores) -> None:
    first = await take_turn(stores, build_draft("One"))
    draft, admitted = await begin(stores, build_draft("Two", previous_response_id=first))
    await end_turn(stores, draft, admitted, end="failed")
    await archive_all(redis)
    assert await read(lambda: ArchivedChain.objects.get().has_error)
    await stores.responses.delete(draft.response.id, owner=OWNER)
    await archive_all(redis)
    chain = await read(ArchivedChain.objects.get)
    assert (chain.last_status, chain.has_error) == ("completed", False)
    await stores.responses.delete(first, owner=OWNER)
    await archive_all(redis)
    assert await read(ArchivedChain.objects.count) == 0


async def test_what_is_erased_with_a_conversation_is_no_chain_any_more(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "Talk")
    talked = await take_turn(stores, build_draft("Said", conversation_id=conversation_id))
    await take_turn(stores, build_draft("Beside", previous_response_id=talked))
    await archive_all(redis)
    assert await read(ArchivedChain.objects.count) == 1
    await stores.conversations.delete(conversation_id, owner=OWNER)
    await archive_all(redis)
    assert await read(ArchivedChain.objects.count) == 0


async def test_a_chain_that_redis_let_go_is_told_so(redis: Redis, stores: Stores) -> None:
    first = await take_turn(stores, build_draft("One"))
    await take_turn(stores, build_draft("Two", previous_response_id=first))
    await take_turn(stores, build_draft("Other", previous_response_id=first))
    await end_retention(redis)
    await erase_due(stores.eraser)
    await archive_all(redis)
    await erase_due(stores.eraser)
    await archive_all(redis)
    chains = await read(lambda: list(ArchivedChain.objects.all()))
    assert [chain.expired_at is not None for chain in chains] == [True, True]


async def test_what_was_archived_before_there_were_chains_becomes_chains(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "Talk")
    talked = await take_turn(stores, build_draft("Said", conversation_id=conversation_id))
    await take_turn(stores, build_draft("Beside", previous_response_id=talked))
    first = await take_turn(stores, build_draft("One"))
    draft, admitted = await begin(stores, build_draft("Two", previous_response_id=first))
    await end_turn(stores, draft, admitted, end="failed")
    await stores.notes.put_feedback(first, owner=OWNER, score=1, comment="")
    await archive_all(redis)
    columns = [field.name for field in ArchivedChain._meta.concrete_fields if field.name != "changed_at"]

    def list_chains() -> list[tuple[object, ...]]:
        return list(ArchivedChain.objects.order_by("id").values_list(*columns))

    written = await read(list_chains)

    def migrate() -> None:
        for name in ("0008", "0009"):
            call_command("migrate", "prompts", name, verbosity=0)

    await read(migrate)
    assert len(written) == 2
    assert await read(list_chains) == written
