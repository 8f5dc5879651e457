"""The buffer of a run is bounded; events are found by number, without a gap."""

import itertools

import pytest

from prompts.answer.events import Event
from prompts.ports.event_log import Group
from prompts.run.follower_buffer import MAX_AT_ONCE, MAX_KEPT_BYTES, MIN_KEPT_BYTES, FollowerBuffer
from prompts.run.log_writer import AcknowledgedGroups

# Twenty fit, with what a group takes beside.
SIZE = MAX_KEPT_BYTES // 20 - 20


def events(numbers: range, *, size: int = SIZE) -> list[Event]:
    """Events of this size."""
    return [Event("response.output_text.delta", number, b"x" * size) for number in numbers]


def group(after: int, last_number: int, *, size: int = 10) -> Group:
    """A group of this size."""
    return Group(after, last_number, b"x" * size)


# --- events ---


def test_the_latest_events_are_found_by_number() -> None:
    recent = FollowerBuffer(events(range(2)), before=-1)
    for number in range(2, 100):
        recent.add(events(range(number, number + 1)))
    assert recent.last_number == 99
    kept = [number for number in range(-1, 100) if recent.find(number) is not None]
    assert kept == list(range(79, 100))
    found = recent.find(90)
    assert found is not None
    assert [event.sequence_number for event in found] == list(range(91, 100))
    assert recent.find(99) == recent.find(500) == []


def test_events_of_an_earlier_run_are_not_in_the_buffer() -> None:
    recent = FollowerBuffer([], before=41)
    assert recent.last_number == 41
    assert recent.find(41) == []
    assert recent.find(40) is recent.find(-1) is None
    recent.add(events(range(42, 44)))
    assert recent.last_number == 43
    assert recent.find(40) is None
    assert [event.sequence_number for event in recent.find(41) or []] == [42, 43]


def test_not_too_many_events_are_found_at_once() -> None:
    recent = FollowerBuffer(events(range(3 * MAX_AT_ONCE), size=1), before=-1)
    after, seen = -1, []
    while found := recent.find(after):
        assert len(found) <= MAX_AT_ONCE
        seen += [event.sequence_number for event in found]
        after = seen[-1]
    assert seen == list(range(3 * MAX_AT_ONCE))


def test_an_event_larger_than_what_is_kept_is_kept_until_the_next() -> None:
    recent = FollowerBuffer([], before=-1)
    recent.add(events(range(1), size=2 * MAX_KEPT_BYTES))
    assert recent.find(-1)
    recent.add(events(range(1, 2)))
    assert recent.find(-1) is None
    assert recent.find(0)


def test_what_all_readers_have_had_is_dropped_but_for_the_latest() -> None:
    recent = FollowerBuffer(events(range(2), size=100), before=-1)
    with recent.join(-1) as quick, recent.join(-1) as slow:
        for number in range(2, 400):
            recent.add(events(range(number, number + 1), size=100))
            quick.after = number
            slow.after = number // 2
        assert recent.find(slow.after) is not None
        assert recent.find(slow.after - 1) is None
    recent.add(events(range(400, 401), size=100))
    kept = [number for number in range(400) if recent.find(number) is not None]
    assert len(kept) == MIN_KEPT_BYTES // 100


def test_everything_is_kept_until_the_first_reader_has_joined() -> None:
    recent = FollowerBuffer(events(range(2), size=100), before=-1)
    recent.add(events(range(2, 400), size=100))
    assert recent.find(-1)
    recent.is_read = True
    recent.add(events(range(400, 401), size=100))
    assert recent.find(-1) is None


# --- groups ---


def test_groups_above_a_number_are_found_in_order() -> None:
    recent = AcknowledgedGroups()
    groups = [group(1, 4), group(4, 5), group(5, 9)]
    for each in groups:
        recent.add(each)
    assert recent.find(1) == groups
    assert recent.find(4) == groups[1:]
    assert recent.find(5) == groups[2:]


def test_groups_of_any_size_are_found_as_they_were() -> None:
    recent, groups, before = AcknowledgedGroups(), [], -1
    for events, size, waypoint_size in itertools.product((1, 255, 256, 70_000), (1, 255, 256, 70_000), (0, 50, 300)):
        groups.append(Group(before, before + events, b"x" * size, b"w" * waypoint_size))
        before += events
        recent.add(groups[-1])
    assert recent.find(-1) == groups


@pytest.mark.parametrize("last_number", [-1, 0, 2, 3, 6, 9, 20])
def test_no_group_is_found_where_the_next_one_does_not_follow(last_number: int) -> None:
    recent = AcknowledgedGroups()
    for each in (group(1, 4), group(4, 5), group(5, 9)):
        recent.add(each)
    assert recent.find(last_number) == []


def test_nothing_is_found_where_nothing_was_written() -> None:
    assert AcknowledgedGroups().find(1) == []


def test_a_group_that_only_renewed_the_lease_is_not_kept() -> None:
    recent = AcknowledgedGroups()
    recent.add(Group(1, 1, b""))
    assert recent.find(1) == []
    assert recent.find(0) == []


def test_the_oldest_groups_make_room() -> None:
    recent = AcknowledgedGroups()
    for number in range(100):
        recent.add(group(number, number + 1, size=SIZE))
    found = [number for number in range(100) if recent.find(number)]
    assert found == list(range(80, 100))
    assert len(recent.find(80)) == 20
    recent.add(group(100, 101, size=2 * MAX_KEPT_BYTES))
    assert recent.find(80) == recent.find(100) == []
