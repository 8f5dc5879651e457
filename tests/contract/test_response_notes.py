"""`ResponseNotes`: input items, follow-ups and feedback, kept with a response for its owner."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import pytest
from msgspec.structs import replace

from prompts.answer.events import encode
from prompts.domain import ids
from prompts.domain.items import Compaction, FunctionCall
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import CONTINUABLE, Feedback
from prompts.errors import NotFound
from prompts.ports.response_notes import Exchange, ResponseNotes
from prompts.ports.responses import Draft
from tests.contract.port_turns import (
    OWNER,
    STRANGER,
    UNKNOWN_ITEM,
    UNKNOWN_RESPONSE,
    End,
    begin,
    end_turn,
    not_stored,
    read_conversation,
    take_turn,
    words_of,
)
from tests.support.builders import HISTORY_TOKENS, Stores, admit, build_draft, build_item, make_conversation

Call = Callable[[ResponseNotes, str, str], Awaitable[object]]
# Every way to a response's notes: each is given the notes, the response's id, and who asks.
CALLS: dict[str, Call] = {
    "list the input": lambda notes, key, owner: notes.list_input(key, owner=owner, limit=1, order="asc", after=None),
    "find follow-ups": lambda notes, key, owner: notes.find_follow_ups(key, owner=owner, history_tokens=100),
    "keep follow-ups": lambda notes, key, owner: notes.keep_follow_ups(key, ["Why?"], owner=owner),
    "put feedback": lambda notes, key, owner: notes.put_feedback(key, owner=owner, score=1, comment=None),
    "find feedback": lambda notes, key, owner: notes.find_feedback(key, owner=owner),
}


async def find(stores: Stores, response_id: str, *, history_tokens: int = HISTORY_TOKENS) -> Sequence[str] | Exchange:
    """The follow-ups of a response of Alice."""
    return await stores.notes.find_follow_ups(response_id, owner=OWNER, history_tokens=history_tokens)


async def find_window(stores: Stores, response_id: str, *, history_tokens: int = HISTORY_TOKENS) -> list[str]:
    """The texts that follow-ups are made from."""
    found = await find(stores, response_id, history_tokens=history_tokens)
    assert isinstance(found, Exchange)
    return words_of(found.window)


# --- owners ---


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fate", ["unknown", "a stranger's", "deleted", "not stored"])
async def test_a_response_that_alice_does_not_have_is_not_found(stores: Stores, name: str, fate: str) -> None:
    draft = not_stored(build_draft()) if fate == "not stored" else build_draft()
    owner = STRANGER if fate == "a stranger's" else OWNER
    await end_turn(stores, draft, await admit(stores, draft, owner=owner), owner=owner)
    if fate == "deleted":
        await stores.responses.delete(draft.response.id, owner=OWNER)
    response_id = UNKNOWN_RESPONSE if fate == "unknown" else draft.response.id
    with pytest.raises(NotFound) as refused:
        await CALLS[name](stores.notes, response_id, OWNER)
    assert (refused.value.code, refused.value.param) == ("response_not_found", "response_id")


async def test_a_stranger_keeps_nothing(stores: Stores) -> None:
    response_id = await take_turn(stores, build_draft("One"))
    for call in CALLS.values():
        with pytest.raises(NotFound):
            await call(stores.notes, response_id, STRANGER)
    assert isinstance(await find(stores, response_id), Exchange)
    assert await stores.notes.find_feedback(response_id, owner=OWNER) is None


# --- input items ---


def ask_with(count: int) -> Draft:
    """A turn with so many input items."""
    draft = build_draft()
    partition = ids.get_partition(draft.response.id)
    return replace(draft, input=[build_item(str(number), partition) for number in range(count)])


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("is_ended", [True, False])
async def test_pages_give_every_input_item_once_and_in_order(
    stores: Stores, order: Literal["asc", "desc"], limit: int, is_ended: bool
) -> None:
    draft, admitted = await begin(stores, ask_with(5))
    if is_ended:
        await end_turn(stores, draft, admitted)
    found: list[bytes] = []
    after = None
    while True:
        page = await stores.notes.list_input(draft.response.id, owner=OWNER, limit=limit, order=order, after=after)
        found += page.data
        after = page.last_id
        if not page.has_more:
            break
        assert len(page.data) == limit
    items = list(draft.input) if order == "asc" else list(draft.input)[::-1]
    assert found == [encode(item) for item in items]
    assert after == items[-1].id


async def test_a_page_names_its_first_and_its_last_item(stores: Stores) -> None:
    draft, _ = await begin(stores, ask_with(4))
    page = await stores.notes.list_input(draft.response.id, owner=OWNER, limit=2, order="asc", after=draft.input[0].id)
    assert (page.first_id, page.last_id, page.has_more) == (draft.input[1].id, draft.input[2].id, True)


async def test_compactions_are_not_shown(stores: Stores) -> None:
    draft = ask_with(1)
    compaction = Compaction(ids.new_id(ids.COMPACTION, ids.get_partition(draft.response.id)), "sealed")
    draft, _ = await begin(stores, replace(draft, input=[compaction, *draft.input]))
    page = await stores.notes.list_input(draft.response.id, owner=OWNER, limit=10, order="asc", after=None)
    assert (page.first_id, page.last_id, len(page.data)) == (draft.input[1].id, draft.input[1].id, 1)
    with pytest.raises(NotFound):
        await stores.notes.list_input(draft.response.id, owner=OWNER, limit=10, order="asc", after=compaction.id)


async def test_what_is_kept_with_a_call_is_not_shown(stores: Stores) -> None:
    draft = ask_with(1)
    partition = ids.get_partition(draft.response.id)
    shown = FunctionCall(ids.new_id(ids.FUNCTION_CALL, partition), "completed", "call_1", "ping", "{}")
    kept = replace(shown, kept=["sealed"])
    draft, admitted = await begin(stores, replace(draft, input=[kept, *draft.input]))
    await end_turn(stores, draft, admitted)
    page = await stores.notes.list_input(draft.response.id, owner=OWNER, limit=10, order="asc", after=None)
    assert page.data[0] == encode(shown)
    exchange = await stores.notes.find_follow_ups(draft.response.id, owner=OWNER, history_tokens=HISTORY_TOKENS)
    assert isinstance(exchange, Exchange)
    assert exchange.window[0] == kept


async def test_a_page_after_an_item_outside_the_input_is_refused(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    outcome = await end_turn(stores, draft, admitted)
    for after in (UNKNOWN_ITEM, outcome.response.output[0].id):
        with pytest.raises(NotFound) as refused:
            await stores.notes.list_input(draft.response.id, owner=OWNER, limit=1, order="asc", after=after)
        assert (refused.value.code, refused.value.param) == ("item_not_found", "after")


async def test_an_item_that_was_deleted_from_the_history_stays_in_the_input(stores: Stores) -> None:
    conversation_id = await make_conversation(stores)
    draft = build_draft("One", conversation_id=conversation_id)
    await take_turn(stores, draft)
    await stores.conversations.delete_item(conversation_id, draft.input[0].id, owner=OWNER)
    assert await read_conversation(stores, conversation_id) == ["Hi."]
    page = await stores.notes.list_input(draft.response.id, owner=OWNER, limit=1, order="asc", after=None)
    assert page.first_id == draft.input[0].id


# --- follow-ups ---


async def test_follow_ups_are_made_from_the_history_up_to_the_answer(stores: Stores) -> None:
    first_id = await take_turn(stores, build_draft("One"))
    second_id = await take_turn(stores, build_draft("Two", previous_response_id=first_id))
    await take_turn(stores, build_draft("Three", previous_response_id=second_id))
    await take_turn(stores, build_draft("Another way", previous_response_id=first_id))
    assert await find_window(stores, second_id) == ["One", "Hi.", "Two", "Hi."]
    assert await find_window(stores, first_id) == ["One", "Hi."]


async def test_follow_ups_in_a_conversation_leave_out_later_turns(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await take_turn(stores, build_draft("Three", conversation_id=conversation_id))
    assert await find_window(stores, response_id) == ["One", "Two", "Hi."]


async def test_follow_ups_are_made_from_what_fits_the_budget_and_always_from_the_answer(stores: Stores) -> None:
    first_id = await take_turn(stores, build_draft("One"))
    second_id = await take_turn(stores, build_draft("two " * 1_000, previous_response_id=first_id))
    for history_tokens in (100, 1, 0):
        assert await find_window(stores, second_id, history_tokens=history_tokens) == ["Hi."]


@pytest.mark.parametrize("end", sorted(CONTINUABLE))
async def test_the_model_is_asked_as_it_was_asked(stores: Stores, end: End) -> None:
    draft = build_draft("One")
    response = replace(draft.response, instructions="Be brief.")
    request = ModelRequest(model="m", temperature=0.5)
    draft = replace(draft, response=response, model_request=request)
    await take_turn(stores, draft, end=end)
    found = await find(stores, draft.response.id)
    assert isinstance(found, Exchange)
    assert (found.status, found.instructions, found.model_request) == (end, "Be brief.", request)
    assert words_of(found.window) == ["One", "Hi."]


async def test_an_active_response_has_no_window(stores: Stores) -> None:
    first_id = await take_turn(stores, build_draft("One"))
    draft, _ = await begin(stores, build_draft("Two", previous_response_id=first_id))
    assert await find(stores, draft.response.id) == Exchange("in_progress", None, draft.model_request, [])


async def test_a_failed_response_has_no_window(stores: Stores) -> None:
    first_id = await take_turn(stores, build_draft("One"))
    draft = build_draft("Two", previous_response_id=first_id)
    await take_turn(stores, draft, end="failed")
    assert await find(stores, draft.response.id) == Exchange("failed", None, draft.model_request, [])


@pytest.mark.parametrize("questions", [["Ü?", "Why?"], []], ids=["some", "none"])
async def test_the_first_follow_ups_are_kept(stores: Stores, questions: list[str]) -> None:
    response_id = await take_turn(stores)
    assert await stores.notes.keep_follow_ups(response_id, questions, owner=OWNER) == questions
    assert await stores.notes.keep_follow_ups(response_id, ["Later?"], owner=OWNER) == questions
    assert await find(stores, response_id) == questions


# --- feedback ---


async def test_there_is_no_feedback_at_first(stores: Stores) -> None:
    response_id = await take_turn(stores)
    assert await stores.notes.find_feedback(response_id, owner=OWNER) is None


@pytest.mark.parametrize("comment", ["Schön 🦀", "", None])
async def test_feedback_is_kept(stores: Stores, comment: str | None) -> None:
    response_id, before = await take_turn(stores), int(time.time())
    put = await stores.notes.put_feedback(response_id, owner=OWNER, score=-1, comment=comment)
    assert put == Feedback(-1, comment, put.created_at) == await stores.notes.find_feedback(response_id, owner=OWNER)
    assert before <= put.created_at <= time.time()


async def test_the_last_feedback_counts(stores: Stores) -> None:
    response_id = await take_turn(stores)
    await stores.notes.put_feedback(response_id, owner=OWNER, score=-1, comment="Wrong.")
    put = await stores.notes.put_feedback(response_id, owner=OWNER, score=1, comment=None)
    assert await stores.notes.find_feedback(response_id, owner=OWNER) == put
    assert (put.score, put.comment) == (1, None)
