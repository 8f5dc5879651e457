"""`ResponseStore.admit` on a busy conversation or chain: which active responses give way, and how they end."""

import time
from typing import Any

import pytest
from msgspec.structs import replace

from prompts.answer.events import Narration
from prompts.domain.items import FunctionCall
from prompts.errors import ConversationLocked, NotFound, ResponseNotEnded, StaleRun
from prompts.ports.reader_marks import Reader
from prompts.ports.responses import (
    Admitted,
    Attached,
    Claim,
    Displaces,
    Draft,
    Ending,
    InTheWay,
    Seized,
)
from prompts.run.ending import conclude, retell
from tests.contract.backends import Backend
from tests.contract.port_turns import (
    LEASE_S,
    OWNER,
    STRANGER,
    begin,
    end_turn,
    get_status,
    is_lost,
    read_conversation,
    take_turn,
    words_of,
)
from tests.support.builders import HISTORY_TOKENS, Stores, build_draft, make_conversation, write

KINDS = ["conversation", "chain"]


async def ask(
    stores: Stores, draft: Draft, displaces: Displaces = "abandoned", *, owner: str = OWNER, **more: Any
) -> Admitted | Attached | InTheWay:
    """Ask for admission, whatever the answer."""
    return await stores.responses.admit(
        draft, owner=owner, history_tokens=HISTORY_TOKENS, lease_s=LEASE_S, displaces=displaces, **more
    )


async def begin_in_the_way(stores: Stores, kind: str, *, background: bool = False) -> tuple[Draft, Admitted, Draft]:
    """An active response that said `Half `, and a turn that it is in the way of."""
    conversation_id = await make_conversation(stores, "One") if kind == "conversation" else None
    draft = build_draft("Two", conversation_id=conversation_id)
    response = replace(draft.response, background=background)
    draft = replace(draft, response=response, last_opening_number=len(Narration(response).opening()) - 1)
    _, admitted = await begin(stores, draft)
    await write(stores, admitted, "Half ")
    previous_id = None if conversation_id else draft.response.id
    return draft, admitted, build_draft("Three", conversation_id=conversation_id, previous_response_id=previous_id)


async def leave(stores: Stores, draft: Draft) -> None:
    """The only reader leaves."""
    await stores.reader_marks.unmark(Reader(draft.response.id, draft.reader_id))


async def seize(stores: Stores, response_id: str, displaces: Displaces = "abandoned") -> Ending:
    """Seize a response that must give way, and compute its end."""
    seized = await stores.responses.seize(response_id, owner=OWNER, lease_s=LEASE_S, displaces=displaces)
    assert isinstance(seized, Seized)
    narration = await retell(seized.response, event_log=stores.event_log)
    conclusion = conclude(narration, given=seized.input, account=seized.model_input, now_s=int(time.time()))
    return Ending(conclusion.outcome, conclusion.last, seized.epoch)


@pytest.mark.parametrize("kind", KINDS)
async def test_it_works(stores: Stores, kind: str) -> None:
    left, _, turn = await begin_in_the_way(stores, kind)
    await leave(stores, left)
    assert await ask(stores, turn) == InTheWay(left.response.id)
    ending = await seize(stores, left.response.id)
    admitted = await ask(stores, turn, ending=ending, met_id=left.response.id)
    assert isinstance(admitted, Admitted)
    assert admitted.has_displaced
    assert words_of(admitted.window)[-2:] == ["Two", "Half "]
    stored = await stores.responses.get(left.response.id, owner=OWNER)
    assert (stored.status, stored.body) == ("cancelled", ending.outcome.result)
    assert await ask(stores, turn, ending=ending, met_id=left.response.id) == admitted


async def test_what_was_said_stays_in_the_conversation_and_the_turn_has_it(stores: Stores) -> None:
    left, _, turn = await begin_in_the_way(stores, "conversation")
    await leave(stores, left)
    ending = await seize(stores, left.response.id)
    admitted = await ask(stores, turn, ending=ending, met_id=left.response.id)
    assert isinstance(admitted, Admitted)
    assert left.response.id != turn.response.id
    conversation_id = getattr(turn.anchor, "id", "")
    shown = await stores.conversations.get(conversation_id, owner=OWNER)
    assert shown.active_response_id == turn.response.id
    await end_turn(stores, turn, admitted)
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "Half ", "Three", "Hi."]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_run_that_was_displaced_can_write_no_more(stores: Stores, kind: str) -> None:
    left, admitted, turn = await begin_in_the_way(stores, kind)
    await leave(stores, left)
    ending = await seize(stores, left.response.id)
    with pytest.raises(StaleRun):
        await write(stores, admitted, "more")
    await ask(stores, turn, ending=ending)
    with pytest.raises(StaleRun):
        await end_turn(stores, left, admitted)


async def test_its_replica_is_told_to_let_it_go(backend: Backend) -> None:
    left, _, _ = await begin_in_the_way(backend.stores, "conversation")
    await leave(backend.stores, left)
    ending = await seize(backend.stores, left.response.id)
    assert await backend.told.wait_for(left.response.id) == ending.epoch


# --- what does not give way ---


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_read_from_its_admission_on_stays(stores: Stores, kind: str) -> None:
    read, _, turn = await begin_in_the_way(stores, kind)
    with pytest.raises((ConversationLocked, ResponseNotEnded)) as refused:
        await ask(stores, turn)
    assert isinstance(refused.value, ConversationLocked | ResponseNotEnded)
    assert refused.value.active_response_id == read.response.id
    assert refused.value.is_followed
    spared = await stores.responses.seize(read.response.id, owner=OWNER, lease_s=LEASE_S, displaces="abandoned")
    assert spared is None
    assert await get_status(stores, read.response.id) == "in_progress"


async def test_it_stays_as_long_as_one_of_its_readers(stores: Stores) -> None:
    read, _, turn = await begin_in_the_way(stores, "conversation")
    second = Reader(read.response.id, "second")
    await stores.reader_marks.mark([second])
    await leave(stores, read)
    with pytest.raises(ConversationLocked):
        await ask(stores, turn)
    await stores.reader_marks.unmark(second)
    assert await ask(stores, turn) == InTheWay(read.response.id)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_background_response_stays_though_nobody_reads_it(stores: Stores, kind: str) -> None:
    background, _, turn = await begin_in_the_way(stores, kind, background=True)
    with pytest.raises((ConversationLocked, ResponseNotEnded)) as refused:
        await ask(stores, turn)
    assert not getattr(refused.value, "is_followed", True)
    assert await ask(stores, turn, "any") == InTheWay(background.response.id)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_turn_that_displaces_nothing_is_refused(stores: Stores, kind: str) -> None:
    left, _, turn = await begin_in_the_way(stores, kind)
    await leave(stores, left)
    with pytest.raises((ConversationLocked, ResponseNotEnded)):
        await ask(stores, turn, "none")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_turn_that_displaces_anything_ends_what_is_read(stores: Stores, kind: str) -> None:
    read, _, turn = await begin_in_the_way(stores, kind)
    assert await ask(stores, turn, "any") == InTheWay(read.response.id)
    admitted = await ask(stores, turn, "any", ending=await seize(stores, read.response.id, "any"))
    assert isinstance(admitted, Admitted)
    assert await get_status(stores, read.response.id) == "cancelled"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stranger_displaces_nothing(stores: Stores, kind: str) -> None:
    left, _, turn = await begin_in_the_way(stores, kind)
    await leave(stores, left)
    for displaces in ("abandoned", "any"):
        with pytest.raises(NotFound):
            await ask(stores, turn, displaces, owner=STRANGER)


async def test_a_failed_response_is_not_in_the_way_but_cannot_be_continued(stores: Stores) -> None:
    failed_id = await take_turn(stores, end="failed")
    with pytest.raises(ResponseNotEnded) as refused:
        await ask(stores, build_draft(previous_response_id=failed_id), "any")
    assert refused.value.active_response_id is None


# --- one winner ---


async def test_the_same_body_attaches_to_what_was_left_and_reads_it(stores: Stores) -> None:
    left, _, turn = await begin_in_the_way(stores, "conversation")
    await leave(stores, left)
    first, second = (replace(turn, claim=left.claim, reader_id=reader_id) for reader_id in ("first", "second"))
    for _ in range(2):  # the second time is the client library's, after a lost answer
        assert await ask(stores, first) == Attached(left.response.id)
    with pytest.raises(ConversationLocked):
        await ask(stores, second)
    await stores.reader_marks.unmark(Reader(left.response.id, "first"))
    assert await ask(stores, second) == Attached(left.response.id)


@pytest.mark.parametrize("is_retry", [True, False], ids=["read", "left"])
async def test_the_key_of_what_attaches_names_that_response_for_good(stores: Stores, is_retry: bool) -> None:
    read, admitted, turn = await begin_in_the_way(stores, "conversation")
    if not is_retry:
        await leave(stores, read)
    claim = Claim(read.claim.body_hash, "key of its own", is_retry)
    again = build_draft("Two", conversation_id=getattr(turn.anchor, "id", ""), claim=claim)
    assert await ask(stores, replace(turn, claim=claim)) == Attached(read.response.id)
    narration = await retell(admitted.response, event_log=stores.event_log)
    await end_turn(stores, read, admitted, narration=narration)
    assert await ask(stores, again) == Attached(read.response.id)


async def test_the_same_body_does_not_attach_when_it_is_to_displace_anything(stores: Stores) -> None:
    left, _, turn = await begin_in_the_way(stores, "conversation")
    same = replace(turn, claim=left.claim)
    assert await ask(stores, same, "any") == InTheWay(left.response.id)
    retry = replace(same, claim=Claim(left.claim.body_hash, is_retry=True))
    assert await ask(stores, retry, "any") == Attached(left.response.id)


async def test_while_one_turn_ends_a_response_others_are_told_to_wait(backend: Backend) -> None:
    stores = backend.stores
    left, _, turn = await begin_in_the_way(stores, "conversation")
    other = build_draft("Four", conversation_id=getattr(turn.anchor, "id", ""))
    await leave(stores, left)
    ending = await seize(stores, left.response.id)
    for displaces in ("abandoned", "any"):
        assert await ask(stores, other, displaces) == InTheWay(left.response.id, is_ending=True)
        spared = await stores.responses.seize(left.response.id, owner=OWNER, lease_s=LEASE_S, displaces=displaces)
        assert spared is None
    assert isinstance(await ask(stores, turn, ending=ending, met_id=left.response.id), Admitted)
    with pytest.raises(ConversationLocked) as refused:
        await ask(stores, other, met_id=left.response.id)
    assert refused.value.active_response_id == turn.response.id


async def test_whoever_was_to_end_it_may_be_lost_too(backend: Backend) -> None:
    stores = backend.stores
    left, _, turn = await begin_in_the_way(stores, "conversation")
    await leave(stores, left)
    stale = await seize(stores, left.response.id)
    await backend.lose_lease(left.response.id)
    assert await is_lost(stores, left.response.id)
    await stores.reader_marks.mark([Reader(left.response.id, "late")])
    assert await ask(stores, turn) == InTheWay(left.response.id)
    ending = await seize(stores, left.response.id)
    assert await ask(stores, turn, ending=stale) == InTheWay(left.response.id, is_ending=True)
    assert isinstance(await ask(stores, turn, ending=ending), Admitted)


async def test_turns_that_interrupt_the_same_response_do_not_interrupt_each_other(stores: Stores) -> None:
    read, _, winner = await begin_in_the_way(stores, "conversation")
    loser = build_draft("Four", conversation_id=getattr(winner.anchor, "id", ""))
    ending = await seize(stores, read.response.id, "any")
    assert await ask(stores, loser, "any") == InTheWay(read.response.id, is_ending=True)
    assert isinstance(await ask(stores, winner, "any", ending=ending, met_id=read.response.id), Admitted)
    with pytest.raises(ConversationLocked) as refused:
        await ask(stores, loser, "any", met_id=read.response.id)
    assert refused.value.active_response_id == winner.response.id
    assert await ask(stores, loser, "any") == InTheWay(winner.response.id)  # one that comes later does


@pytest.mark.parametrize("is_displaced", [True, False], ids=["displaced", "completed"])
async def test_a_turn_that_lost_a_race_does_not_come_after_the_winner(stores: Stores, is_displaced: bool) -> None:
    met, met_admitted, loser = await begin_in_the_way(stores, "conversation")
    winner_id = met.response.id
    if is_displaced:
        await leave(stores, met)
        winner = build_draft("Four", conversation_id=getattr(loser.anchor, "id", ""))
        ending = await seize(stores, met.response.id)
        admitted = await ask(stores, winner, ending=ending, met_id=met.response.id)
        assert isinstance(admitted, Admitted)
        await end_turn(stores, winner, admitted)
        winner_id = winner.response.id
    else:
        narration = await retell(met_admitted.response, event_log=stores.event_log)
        await end_turn(stores, met, met_admitted, narration=narration)
    with pytest.raises(ConversationLocked) as refused:
        await ask(stores, loser, met_id=met.response.id)
    assert refused.value.active_response_id == winner_id
    assert isinstance(await ask(stores, loser), Admitted)


async def test_a_turn_comes_after_what_its_owner_cancelled(stores: Stores) -> None:
    met, met_admitted, turn = await begin_in_the_way(stores, "conversation")
    narration = await retell(met_admitted.response, event_log=stores.event_log)
    await end_turn(stores, met, met_admitted, end="cancelled", narration=narration)
    assert isinstance(await ask(stores, turn, met_id=met.response.id), Admitted)


# --- calls ---


async def test_calls_that_the_history_lacks_are_named(stores: Stores) -> None:
    conversation_id = await make_conversation(stores)
    call = FunctionCall("fc_" + "0" * 32, "completed", "call_1", "ping", "{}")
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=[call])
    left, _ = await begin(stores, build_draft(conversation_id=conversation_id))
    await leave(stores, left)
    turn = replace(build_draft("Two", conversation_id=conversation_id), unanswered=["call_1", "call_2"])
    assert await ask(stores, turn) == InTheWay(left.response.id, missing_calls=("call_2",))
