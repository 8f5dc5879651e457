"""`ResponseStore.admit`: which responses may begin, and the history they get."""

import time
from typing import Any

import pytest
from msgspec.structs import replace

from prompts.domain import ids
from prompts.domain.items import FunctionCall
from prompts.domain.responses import CONTINUABLE
from prompts.errors import ConversationLocked, KeyReused, NotFound, ResponseNotEnded, UnknownCall
from prompts.history.estimates import estimate_items
from prompts.ports.responses import Admitted, Attached, Claim, Draft, InTheWay
from tests.contract.port_turns import (
    LEASE_S,
    OWNER,
    STRANGER,
    UNKNOWN_CONVERSATION,
    UNKNOWN_RESPONSE,
    End,
    begin,
    end_turn,
    fork,
    get_status,
    not_stored,
    read_chain,
    read_conversation,
    take_turn,
    words_of,
)
from tests.support.builders import HISTORY_TOKENS, Stores, admit, build_draft, build_item, make_conversation


async def ask(stores: Stores, draft: Draft, *, owner: str = OWNER) -> Admitted | Attached | InTheWay:
    """Ask for admission, whatever the answer."""
    return await stores.responses.admit(draft, owner=owner, history_tokens=HISTORY_TOKENS, lease_s=LEASE_S)


async def test_it_works(stores: Stores) -> None:
    before = int(time.time())
    draft, admitted = await begin(stores)
    assert before <= admitted.response.created_at <= time.time()
    assert admitted.response == replace(draft.response, created_at=admitted.response.created_at)
    assert (list(admitted.window), admitted.epoch) == ([], "1")
    assert await get_status(stores, draft.response.id) == "in_progress"


# --- the history ---


async def test_a_turn_is_given_the_conversation_so_far(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One", "Two")
    await take_turn(stores, build_draft("Three", conversation_id=conversation_id))
    _, admitted = await begin(stores, build_draft("Four", conversation_id=conversation_id))
    assert words_of(admitted.window) == ["One", "Two", "Three", "Hi."]


async def test_a_turn_is_given_the_chain_so_far(stores: Stores) -> None:
    first_id = await take_turn(stores, build_draft("One"))
    second_id = await take_turn(stores, build_draft("Two", previous_response_id=first_id))
    _, admitted = await begin(stores, build_draft("Three", previous_response_id=second_id))
    assert words_of(admitted.window) == ["One", "Hi.", "Two", "Hi."]


async def test_branches_of_a_chain_do_not_see_each_other(stores: Stores) -> None:
    first_id = await take_turn(stores, build_draft("One"))
    branches = [build_draft(text, previous_response_id=first_id) for text in ("Two", "Three")]
    active = [await begin(stores, draft) for draft in branches]
    for draft, admitted in active:
        assert words_of(admitted.window) == ["One", "Hi."]
        await end_turn(stores, draft, admitted)
    assert await read_chain(stores, branches[0].response.id) == ["One", "Hi.", "Two", "Hi."]
    assert await read_chain(stores, branches[1].response.id) == ["One", "Hi.", "Three", "Hi."]


async def test_a_branch_of_a_conversation_leaves_the_conversation_as_it_was(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    branch_id = await take_turn(stores, build_draft("Three", previous_response_id=response_id))
    assert await read_chain(stores, branch_id) == ["One", "Two", "Hi.", "Three", "Hi."]
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "Hi."]
    assert (await stores.conversations.get(conversation_id, owner=OWNER)).active_response_id is None


async def test_a_deleted_item_is_not_given(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One", "Two")
    page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=1, order="asc", after=None)
    await stores.conversations.delete_item(conversation_id, page.first_id or "", owner=OWNER)
    _, admitted = await begin(stores, build_draft(conversation_id=conversation_id))
    assert words_of(admitted.window) == ["Two"]


async def test_the_window_is_the_newest_items_within_the_budget_and_accounted_for(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, *(str(number) for number in range(10)))
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft, history_tokens=16)
    account, known = admitted.model_input, draft.model_input
    assert words_of(admitted.window) == ["7", "8", "9"]
    assert (account.history_items, account.dropped_items) == (3, 7)
    assert account.history_tokens == estimate_items(admitted.window) == 15
    assert (account.input_items, account.input_tokens) == (known.input_items, known.input_tokens)
    assert account.history_budget_tokens == known.history_budget_tokens


async def test_a_window_has_no_hole_where_an_item_does_not_fit(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One", "word " * 500, "Three")
    admitted = await admit(stores, build_draft(conversation_id=conversation_id), history_tokens=100)
    assert words_of(admitted.window) == ["Three"]


@pytest.mark.parametrize("budget", [0, 4])
async def test_a_budget_may_be_too_small_for_anything(stores: Stores, budget: int) -> None:
    conversation_id = await make_conversation(stores, "One")
    admitted = await admit(stores, build_draft(conversation_id=conversation_id), history_tokens=budget)
    assert list(admitted.window) == []
    assert admitted.model_input.dropped_items == 1


@pytest.mark.parametrize("end", sorted(CONTINUABLE))
async def test_a_response_that_joined_its_history_can_be_continued(stores: Stores, end: End) -> None:
    response_id = await take_turn(stores, build_draft("One"), end=end)
    assert await read_chain(stores, response_id) == ["One", "Hi."]


async def test_an_active_response_cannot_be_continued(stores: Stores) -> None:
    draft, _ = await begin(stores)
    with pytest.raises(ResponseNotEnded) as refused:
        await begin(stores, build_draft(previous_response_id=draft.response.id))
    assert refused.value.param == "previous_response_id"
    assert refused.value.retry_after_s == 1


async def test_a_failed_response_cannot_be_continued(stores: Stores) -> None:
    response_id = await take_turn(stores, end="failed")
    with pytest.raises(ResponseNotEnded) as refused:
        await begin(stores, build_draft(previous_response_id=response_id))
    assert refused.value.retry_after_s is None


# --- anchors that do not exist ---


async def find_anchor(stores: Stores, fate: str, kind: str) -> dict[str, Any]:
    """An anchor that Alice cannot use."""
    if fate == "unknown":
        is_conversation = kind == "conversation"
        return (
            {"conversation_id": UNKNOWN_CONVERSATION} if is_conversation else {"previous_response_id": UNKNOWN_RESPONSE}
        )
    if kind == "conversation":
        conversation_id = await make_conversation(stores, "One", owner=STRANGER if fate == "a stranger's" else OWNER)
        if fate == "deleted":
            await stores.conversations.delete(conversation_id, owner=OWNER)
        return {"conversation_id": conversation_id}
    owner = STRANGER if fate == "a stranger's" else OWNER
    draft = not_stored(build_draft()) if fate == "not stored" else build_draft()
    await end_turn(stores, draft, await admit(stores, draft, owner=owner), owner=owner)
    if fate == "deleted":
        await stores.responses.delete(draft.response.id, owner=OWNER)
    return {"previous_response_id": draft.response.id}


@pytest.mark.parametrize("fate", ["unknown", "a stranger's", "deleted"])
async def test_a_conversation_that_alice_does_not_have_is_not_found(stores: Stores, fate: str) -> None:
    with pytest.raises(NotFound) as refused:
        await begin(stores, build_draft(**await find_anchor(stores, fate, "conversation")))
    assert (refused.value.code, refused.value.param) == ("conversation_not_found", "conversation")


@pytest.mark.parametrize("fate", ["unknown", "a stranger's", "deleted", "not stored"])
async def test_a_previous_response_that_alice_does_not_have_is_not_found(stores: Stores, fate: str) -> None:
    with pytest.raises(NotFound) as refused:
        await begin(stores, build_draft(**await find_anchor(stores, fate, "previous")))
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_a_response_of_a_deleted_conversation_cannot_be_continued(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft(conversation_id=conversation_id))
    await stores.conversations.delete(conversation_id, owner=OWNER)
    with pytest.raises(NotFound) as refused:
        await begin(stores, build_draft(previous_response_id=response_id))
    assert refused.value.code == "previous_response_not_found"


async def test_a_fork_of_a_deleted_conversation_cannot_be_continued(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    fork_id = await fork(stores, conversation_id)
    await stores.conversations.delete(conversation_id, owner=OWNER)
    with pytest.raises(NotFound) as refused:
        await begin(stores, build_draft(conversation_id=fork_id))
    assert refused.value.code == "conversation_not_found"


# --- calls ---


def call(call_id: str) -> FunctionCall:
    """A call that the model made."""
    return FunctionCall(ids.new_id(ids.FUNCTION_CALL, "00"), "completed", call_id, "ping", "{}")


async def test_the_output_of_a_call_that_nobody_made_is_refused_and_begins_nothing(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    for draft in (build_draft(conversation_id=conversation_id), build_draft()):
        with pytest.raises(UnknownCall) as refused:
            await begin(stores, replace(draft, unanswered=["call_1"]))
        assert refused.value.call_id == "call_1"
        with pytest.raises(NotFound):
            await get_status(stores, draft.response.id)
    await begin(stores, build_draft(conversation_id=conversation_id))


async def test_the_output_of_a_call_that_was_made_is_taken(stores: Stores) -> None:
    conversation_id = await make_conversation(stores)
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=[call("call_1")])
    fork_id = await fork(stores, conversation_id)
    for anchor in (conversation_id, fork_id):
        await begin(stores, replace(build_draft(conversation_id=anchor), unanswered=["call_1"]))


async def test_a_call_made_in_the_origin_after_the_fork_is_unknown_in_the_fork(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    fork_id = await fork(stores, conversation_id)
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=[call("call_1")])
    with pytest.raises(UnknownCall):
        await begin(stores, replace(build_draft(conversation_id=fork_id), unanswered=["call_1"]))


# --- one active response a conversation ---


async def test_a_second_turn_of_a_conversation_is_refused_and_told_of_the_first(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    draft, admitted = await begin(stores, build_draft(conversation_id=conversation_id))
    with pytest.raises(ConversationLocked) as refused:
        await begin(stores, build_draft(conversation_id=conversation_id))
    assert refused.value.active_response_id == draft.response.id
    assert (await stores.conversations.get(conversation_id, owner=OWNER)).active_response_id == draft.response.id
    await end_turn(stores, draft, admitted)
    await begin(stores, build_draft(conversation_id=conversation_id))


async def test_a_fork_is_free_while_its_origin_is_locked(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await begin(stores, build_draft(conversation_id=conversation_id))
    fork_id = await fork(stores, conversation_id)
    await begin(stores, build_draft(conversation_id=fork_id))


# --- the same request again ---


@pytest.mark.parametrize("is_in_conversation", [True, False])
async def test_asking_again_after_a_lost_answer_gives_the_same(stores: Stores, is_in_conversation: bool) -> None:
    conversation_id = await make_conversation(stores, "One") if is_in_conversation else None
    draft, first = await begin(stores, build_draft(conversation_id=conversation_id))
    assert await ask(stores, draft) == first
    assert words_of(first.window) == (["One"] if is_in_conversation else [])


@pytest.mark.parametrize("kind", ["conversation", "previous", "none"])
async def test_a_late_second_try_of_a_deleted_response_begins_nothing(stores: Stores, kind: str) -> None:
    conversation_id = await make_conversation(stores, "One") if kind == "conversation" else None
    previous_id = await take_turn(stores) if kind == "previous" else None
    draft, _ = await begin(stores, build_draft(conversation_id=conversation_id, previous_response_id=previous_id))
    await stores.responses.delete(draft.response.id, owner=OWNER)
    with pytest.raises(NotFound):
        await begin(stores, draft)
    with pytest.raises(NotFound):
        await get_status(stores, draft.response.id)


async def test_the_client_librarys_own_retry_attaches_to_the_active_response(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    draft, _ = await begin(stores, build_draft(conversation_id=conversation_id, claim=Claim("hash-of-one")))
    again = build_draft(conversation_id=conversation_id, claim=Claim("hash-of-one", is_retry=True))
    assert await ask(stores, again) == Attached(draft.response.id)


@pytest.mark.parametrize(
    "claim", [Claim("hash-of-two", is_retry=True), Claim("hash-of-one")], ids=["another body", "no retry"]
)
async def test_another_request_does_not_attach_to_the_active_response(stores: Stores, claim: Claim) -> None:
    conversation_id = await make_conversation(stores, "One")
    await begin(stores, build_draft(conversation_id=conversation_id, claim=Claim("hash-of-one")))
    with pytest.raises(ConversationLocked):
        await ask(stores, build_draft(conversation_id=conversation_id, claim=claim))


async def test_a_strangers_retry_does_not_attach(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await begin(stores, build_draft(conversation_id=conversation_id, claim=Claim("hash-of-one")))
    with pytest.raises(NotFound):
        await ask(
            stores,
            build_draft(conversation_id=conversation_id, claim=Claim("hash-of-one", is_retry=True)),
            owner=STRANGER,
        )


def keyed(body: str = "hash-of-one", *, partition: str = "07", **anchor: Any) -> Draft:
    """A turn with an idempotency key."""
    return build_draft(partition=partition, claim=Claim(body, idempotency_key="key"), **anchor)


@pytest.mark.parametrize("is_ended", [True, False])
@pytest.mark.parametrize("is_in_conversation", [True, False])
async def test_the_same_key_attaches_to_the_first_response(
    stores: Stores, is_ended: bool, is_in_conversation: bool
) -> None:
    conversation_id = await make_conversation(stores, "One", partition="07") if is_in_conversation else None
    draft, admitted = await begin(stores, keyed(conversation_id=conversation_id))
    if is_ended:
        await end_turn(stores, draft, admitted)
    assert await ask(stores, keyed(conversation_id=conversation_id)) == Attached(draft.response.id)


async def test_the_same_key_with_another_body_is_refused(stores: Stores) -> None:
    await begin(stores, keyed())
    with pytest.raises(KeyReused):
        await ask(stores, keyed("hash-of-two"))


async def test_a_key_is_its_owners_and_its_anchors(stores: Stores) -> None:
    response_id = await take_turn(stores, keyed())
    conversation_id = await make_conversation(stores, "One", partition="07")
    assert isinstance(await ask(stores, keyed("hash-of-two"), owner=STRANGER), Admitted)
    assert isinstance(await ask(stores, keyed("hash-of-two", conversation_id=conversation_id)), Admitted)
    assert isinstance(await ask(stores, keyed("hash-of-two", previous_response_id=response_id)), Admitted)


async def test_a_refused_request_claims_no_key(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One", partition="07")
    draft, admitted = await begin(stores, build_draft(conversation_id=conversation_id))
    with pytest.raises(ConversationLocked):
        await ask(stores, keyed(conversation_id=conversation_id))
    await end_turn(stores, draft, admitted)
    assert isinstance(await ask(stores, keyed("hash-of-two", conversation_id=conversation_id)), Admitted)


# --- what is not stored ---


async def test_a_stored_response_may_be_continued_without_storing(stores: Stores) -> None:
    response_id = await take_turn(stores, build_draft("One"))
    draft, admitted = await begin(stores, not_stored(build_draft("Two", previous_response_id=response_id)))
    assert words_of(admitted.window) == ["One", "Hi."]
    await end_turn(stores, draft, admitted)
    assert await read_chain(stores, response_id) == ["One", "Hi."]
    assert await stores.conversations.find_items([draft.input[0].id], owner=OWNER) == [None]


async def test_an_unstored_turn_cannot_go_on_from_what_is_being_erased(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft(conversation_id=conversation_id))
    await stores.conversations.delete(conversation_id, owner=OWNER)
    with pytest.raises(NotFound):
        await begin(stores, not_stored(build_draft(previous_response_id=response_id)))


async def test_added_items_are_part_of_the_next_window(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    item = build_item("Two", ids.get_partition(conversation_id))
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=[item])
    _, admitted = await begin(stores, build_draft(conversation_id=conversation_id))
    assert words_of(admitted.window) == ["One", "Two"]
