"""`EventLog` and `Watch`: a log is read from any entry, whole and in order, and its watches are told when it grows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from prompts.domain.signals import Called, Finished, Refused, Signal, Text, Thought, pack
from prompts.domain.waypoints import LogPlace
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


# --- waypoints ---


async def write_far(stores: Stores, *, before: int, between: int, behind: int) -> tuple[str, list[int]]:
    """A log with two waypoints: so many entries before the first, between them, and behind. Returns their numbers."""
    _, admitted = await begin(stores)
    narration, numbers = begin_telling(admitted), []
    for number in range(before + between + behind + 2):
        is_waypoint = number in {before, before + between + 1}
        group = build_group(narration, [Text(f"{number} ")], has_waypoint=is_waypoint)
        await stores.responses.append(admitted.response.id, group, epoch="1", lease_s=LEASE_S)
        numbers += [group.last_number] if is_waypoint else []
    return admitted.response.id, numbers


@pytest.mark.parametrize("between", [0, 6, 7, 8, 70, 600], ids=str)
async def test_the_last_waypoint_at_or_below_a_number_is_found(stores: Stores, between: int) -> None:
    response_id, [first, second] = await write_far(stores, before=3, between=between, behind=9)
    for upto, expected in (
        (first, first),
        (second - 1, first),
        (second, second),
        (second + 5, second),
        (9_999, second),
        (2**70, second),  # a client may name any number
    ):
        passed = await stores.event_log.find_waypoint(response_id, upto=upto)
        assert passed is not None
        assert passed.last_number == expected
        assert passed.waypoint.length == 1
        assert passed.waypoint.current == LogPlace(LAST_OPENING_NUMBER, 0)


async def test_before_the_first_waypoint_there_is_none(stores: Stores) -> None:
    response_id, [first, _] = await write_far(stores, before=3, between=3, behind=0)
    for upto in (0, LAST_OPENING_NUMBER, first - 1):
        assert await stores.event_log.find_waypoint(response_id, upto=upto) is None


async def test_a_log_that_has_no_waypoint_or_is_not_there_has_none(backend: Backend) -> None:
    stores = backend.stores
    _, admitted = await begin(stores)
    await write(stores, admitted, "One ")
    response_id = await take_turn(stores)
    await backend.expire_log(response_id)
    for without in (admitted.response.id, response_id, UNKNOWN_RESPONSE):
        assert await stores.event_log.find_waypoint(without, upto=9) is None


async def test_a_waypoint_that_this_release_cannot_read_is_none(stores: Stores) -> None:
    _, admitted = await begin(stores)
    group = build_group(begin_telling(admitted), [Text("One ")])
    odd = replace(group, waypoint=b'{"of":"another release"}')
    await stores.responses.append(admitted.response.id, odd, epoch="1", lease_s=LEASE_S)
    assert await stores.event_log.find_waypoint(admitted.response.id, upto=group.last_number) is None
    assert await read_log(stores, admitted.response.id) == ["One "]


async def test_a_waypoint_is_lost_with_its_entry_and_written_again_with_it(backend: Backend) -> None:
    stores = backend.stores
    _, admitted = await begin(stores)
    response_id, narration = admitted.response.id, begin_telling(admitted)
    groups = [build_group(narration, [Text(f"{number} ")], has_waypoint=number == 1) for number in range(3)]
    for group in groups:
        await stores.responses.append(response_id, group, epoch="1", lease_s=LEASE_S)
    await backend.lose_tail(response_id, groups[0].last_number)
    assert await stores.event_log.find_waypoint(response_id, upto=99) is None
    for group in groups[1:]:
        await stores.responses.append(response_id, group, epoch="1", lease_s=LEASE_S)
    passed = await stores.event_log.find_waypoint(response_id, upto=99)
    assert passed is not None
    assert passed.last_number == groups[1].last_number


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
