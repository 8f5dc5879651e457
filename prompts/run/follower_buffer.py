"""What a run keeps in memory, in bounds: the latest events for its followers, the latest groups for a fail-over."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from prompts.answer.events import Event
from prompts.ports.event_log import Group

# Of a run's events, what a process keeps for followers; a reader further behind goes on from Redis. Of its groups, what
# it could write again: a replica of Redis that lags behind by this much is far beyond repair.
MAX_KEPT_BYTES = 2_000_000
# What is told at once: a millisecond of the event loop, and what a connection holds for a reader that does not read.
MAX_AT_ONCE = 200


class RecentEvents:
    """The latest events of a run, by their numbers; those up to `before` it never had."""

    def __init__(self, events: Sequence[Event], *, before: int) -> None:
        self._events: deque[Event] = deque(events)
        self._size = sum(len(event.data) for event in events)
        self.last_number = before + len(events)
        """The number of the latest one."""

    def add(self, events: Sequence[Event]) -> None:
        """Keep these, and drop the oldest for them where there is no room."""
        self._events += events
        self.last_number += len(events)
        self._size += sum(len(event.data) for event in events)
        while self._size > MAX_KEPT_BYTES and len(self._events) > 1:
            self._size -= len(self._events.popleft().data)

    def find(self, after: int) -> Sequence[Event] | None:
        """Some of those above `after`, oldest first; None when the next is no longer here."""
        behind = self.last_number - after
        if behind > len(self._events):
            return None
        latest = list(islice(reversed(self._events), max(0, behind)))
        return latest[: -MAX_AT_ONCE - 1 : -1]


class RecentGroups:
    """The groups that Redis has acknowledged last."""

    def __init__(self) -> None:
        self._groups: deque[Group] = deque()
        self._size = 0

    def add(self, group: Group) -> None:
        """Keep it, and drop the oldest for it where there is no room."""
        if not group.packed:
            return
        self._groups.append(group)
        self._size += len(group.packed)
        while self._size > MAX_KEPT_BYTES:
            self._size -= len(self._groups.popleft().packed)

    def find(self, after: int) -> Sequence[Group]:
        """Those above `after`, without a hole; none when the first of them is no longer here."""
        lost = [group for group in self._groups if group.last_number > after]
        return lost if lost and lost[0].after == after else []
