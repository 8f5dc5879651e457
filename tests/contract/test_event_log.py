"""`EventLog` and `Watch`: a log is read from any entry, whole and in order, and its watches are told when it grows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from prompts.domain.signals import Called, Finished, Refused, Signal, Text, Thought, pack
from prompts.errors import StreamExpired
from prompts.ports.event_log import Entry, Group, Watch
from tests.contract.backends import HEARD_S, Backend
from tests.contract.port_turns import (
    LEASE_S,
    OWNER,
    UNKNOWN_RESPONSE,
    begin,
    begin_telling,
    end_turn,
    read_log,
    seize,
    take_turn,
)
from tests.support.builders import Stores, build_draft, build_group, make_conversation, write
from tests.support.sample_turn import LAST_OPENING_NUMBER

GROUPS: list[list[Signal]] = [
    [Thought("Hm.")],
    [Text("One "), Text("two")],
    [Refused("No."), Called(0, "call_1", "ping")],
]
# More than any backend gives in one read.
MANY = 100


async def write_groups(stores: Stores, groups: list[list[Signal]]) -> tuple[str, list[Entry]]:
    """A response with these groups in its log. Returns its id and the entries to expect."""
    _, admitted = await begin(stores)
    narration = begin_telling(admitted)
    entries = [Entry(LAST_OPENING_NUMBER, [], is_last=False)]
    for signals in groups:
        group = build_group(narration, signals)
        await stores.responses.append(admitted.response.id, group, epoch="1", lease_s=LEASE_S)
        entries.append(Entry(group.last_number, signals, is_last=False))
    return admitted.response.id, entries


async def read_all(stores: Stores, response_id: str, *, after: int = -1) -> list[Entry]:
    """The whole log above `after`."""
    found: list[Entry] = []
    while entries := await stores.event_log.read(response_id, after=after):
        found += entries
        after = entries[-1].last_number
    return found


# --- reading ---


async def test_it_works(stores: Stores) -> None:
    response_id, entries = await write_groups(stores, GROUPS)
    assert await read_all(stores, response_id) == entries


async def test_a_long_log_is_read_in_several_stretches_without_hole_or_repeat(stores: Stores) -> None:
    response_id, entries = await write_groups(stores, [[Text(f"{number} ")] for number in range(MANY)])
    assert len(await stores.event_log.read(response_id, after=-1)) < MANY
    assert await read_all(stores, response_id) == entries


async def test_a_log_is_read_from_any_of_its_entries(stores: Stores) -> None:
    response_id, entries = await write_groups(stores, GROUPS)
    for place, entry in enumerate(entries):
        assert await read_all(stores, response_id, after=entry.last_number) == entries[place + 1 :]


async def test_reading_after_the_last_entry_gives_nothing(stores: Stores) -> None:
    response_id, entries = await write_groups(stores, GROUPS)
    assert await stores.event_log.read(response_id, after=entries[-1].last_number) == []


async def test_a_log_has_its_opening_from_admission_on(stores: Stores) -> None:
    draft, _ = await begin(stores)
    assert await read_all(stores, draft.response.id) == [Entry(LAST_OPENING_NUMBER, [], is_last=False)]


async def test_the_end_is_marked(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    narration = await write(stores, admitted, "One ")
    await end_turn(stores, draft, admitted, narration=narration)
    entries = await read_all(stores, draft.response.id)
    assert [entry.is_last for entry in entries] == [False, False, True]
    assert entries[-1].signals == [Text("Hi."), Finished("stop")]


async def test_a_renewal_is_no_entry(stores: Stores) -> None:
    _, admitted = await begin(stores)
    narration = await write(stores, admitted, "One ")
    renewal = build_group(narration, [])
    await stores.responses.append(admitted.response.id, renewal, epoch="1", lease_s=LEASE_S)
    assert await read_log(stores, admitted.response.id) == ["One "]


async def test_a_log_that_is_not_there_is_empty(backend: Backend) -> None:
    response_id = await take_turn(backend.stores)
    await backend.expire_log(response_id)
    for gone in (response_id, UNKNOWN_RESPONSE):
        for after in (-1, LAST_OPENING_NUMBER, 7):
            assert await backend.stores.event_log.read(gone, after=after) == []


async def test_a_cursor_whose_entry_was_lost_is_refused(backend: Backend) -> None:
    """A fail-over has lost the entry, and another run has continued from an earlier one."""
    stores = backend.stores
    response_id, entries = await write_groups(stores, [[Text("One ")], [Text("two ")]])
    await backend.lose_tail(response_id, entries[1].last_number)
    await backend.lose_lease(response_id)
    seized = await seize(stores, response_id)
    kept, lost = entries[1].last_number, entries[2].last_number
    group = Group(kept, lost + 5, pack([Text("something else")]))
    await stores.responses.append(response_id, group, epoch=seized.epoch, lease_s=LEASE_S)
    with pytest.raises(StreamExpired):
        await stores.event_log.read(response_id, after=lost)
    assert [entry.last_number for entry in await read_all(stores, response_id)][-1] == lost + 5


# --- the echo ---


async def test_the_echo_is_the_response_as_it_was_created(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    assert await stores.event_log.get_echo(draft.response.id, owner=OWNER) == admitted.response
    await end_turn(stores, draft, admitted)
    assert await stores.event_log.get_echo(draft.response.id, owner=OWNER) == admitted.response


# --- watching ---


async def hear_everything(stores: Stores) -> None:
    """Wait until all earlier messages have arrived: a process gets its messages in order."""
    _, admitted = await begin(stores)
    async with stores.event_log.watch(admitted.response.id) as watch:
        await write(stores, admitted, "One ")
        assert await watch.wait(HEARD_S)


async def is_told(stores: Stores, watch: Watch) -> bool:
    """Whether any earlier message has woken the watch."""
    await hear_everything(stores)
    return await watch.wait(0)


@asynccontextmanager
async def watch_quietly(stores: Stores, response_id: str) -> AsyncIterator[Watch]:
    """A watch after its start, when it may be woken once for what happened before."""
    async with stores.event_log.watch(response_id) as watch:
        await is_told(stores, watch)
        yield watch


async def test_a_watch_is_told_when_the_log_has_grown(stores: Stores) -> None:
    _, admitted = await begin(stores)
    async with watch_quietly(stores, admitted.response.id) as watch:
        assert not await is_told(stores, watch)
        await write(stores, admitted, "One ")
        assert await watch.wait(HEARD_S)
        assert not await is_told(stores, watch)


async def test_a_watch_is_told_once_of_what_happened_while_nobody_waited(stores: Stores) -> None:
    _, admitted = await begin(stores)
    async with watch_quietly(stores, admitted.response.id) as watch:
        await write(stores, admitted, "One ", "two ", "three")
        assert await is_told(stores, watch)
        assert not await is_told(stores, watch)


async def test_every_watch_of_a_log_is_told(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    response_id = draft.response.id
    async with watch_quietly(stores, response_id) as first, watch_quietly(stores, response_id) as second:
        await end_turn(stores, draft, admitted)
        assert [await watch.wait(HEARD_S) for watch in (first, second)] == [True, True]


async def test_closing_a_watch_leaves_other_watches_open(stores: Stores) -> None:
    _, admitted = await begin(stores)
    async with watch_quietly(stores, admitted.response.id) as watch:
        async with stores.event_log.watch(admitted.response.id):
            pass
        await is_told(stores, watch)
        await write(stores, admitted, "One ")
        assert await watch.wait(HEARD_S)


async def test_a_watch_is_not_told_of_other_logs(stores: Stores) -> None:
    _, admitted = await begin(stores)
    draft, other = await begin(stores)
    async with watch_quietly(stores, admitted.response.id) as watch:
        narration = await write(stores, other, "One ")
        await end_turn(stores, draft, other, narration=narration)
        assert not await is_told(stores, watch)


async def test_a_watch_is_not_told_of_a_renewal(stores: Stores) -> None:
    _, admitted = await begin(stores)
    async with watch_quietly(stores, admitted.response.id) as watch:
        renewal = build_group(begin_telling(admitted), [])
        await stores.responses.append(admitted.response.id, renewal, epoch="1", lease_s=LEASE_S)
        assert not await is_told(stores, watch)


@pytest.mark.parametrize("end", ["end", "delete", "delete its conversation"])
async def test_a_watch_is_told_of_every_end(stores: Stores, end: str) -> None:
    conversation_id = await make_conversation(stores)
    draft, admitted = await begin(stores, build_draft(conversation_id=conversation_id))
    async with watch_quietly(stores, draft.response.id) as watch:
        match end:
            case "end":
                await end_turn(stores, draft, admitted)
            case "delete":
                await stores.responses.delete(draft.response.id, owner=OWNER)
            case _:
                await stores.conversations.delete(conversation_id, owner=OWNER)
        assert await watch.wait(HEARD_S)


async def test_a_watch_is_told_when_the_connection_to_the_model_is_closed(backend: Backend) -> None:
    stores = backend.stores
    draft, admitted = await begin(stores)
    async with watch_quietly(stores, draft.response.id) as watch:
        await write(stores, admitted, "One ")
        await hear_everything(stores)
        assert not await watch.wait_released(0)
        await backend.tell_released(draft.response.id)
        assert await watch.wait_released(HEARD_S)


async def test_an_unknown_response_may_be_watched(stores: Stores) -> None:
    """The response may be deleted just before."""
    async with watch_quietly(stores, UNKNOWN_RESPONSE) as watch:
        assert not await is_told(stores, watch)
