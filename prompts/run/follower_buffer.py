"""The latest events of a run, in memory for its followers, in bounds."""

from collections.abc import Sequence
from typing import Self

from prompts.answer.events import Event

# Bytes of events that a process keeps of a run for readers who have not had them; who is further behind goes on from
# Redis.
MAX_KEPT_BYTES = 2_000_000
# The latest are kept for whoever joins just now. An event takes half as much again beside its bytes.
MIN_KEPT_BYTES = 4_000
# Events in one group: about a millisecond of the event loop, and the most that a slow reader's connection holds.
MAX_AT_ONCE = 200


class Place:
    """Where a reader is: the number of the last event that it has had. `among` those of all, inside its context."""

    __slots__ = ("_among", "after")

    def __init__(self, after: int, among: "set[Place]") -> None:
        self.after = after
        self._among = among

    def __enter__(self) -> Self:
        self._among.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._among.discard(self)


class FollowerBuffer:
    """The latest events of a run by number; `before` is the last number of an earlier run.

    What all readers have had is dropped, but for the latest; nothing before the first one has joined, who may be on the
    way.
    """

    __slots__ = ("_events", "_many_bytes", "_max_bytes", "_min_bytes", "_places", "_size", "is_read", "last_number")

    def __init__(self, events: Sequence[Event], *, before: int, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._events = list(events)
        self._size = sum(len(event.data) for event in events)
        self._max_bytes = max_bytes
        self._min_bytes = min(MIN_KEPT_BYTES, max_bytes)
        self._many_bytes = min(MIN_KEPT_BYTES * 5 // 4, max_bytes)
        """Looked through when there is more: not at each event."""
        self._places: set[Place] = set()
        self.is_read = False
        """Whether the first reader has joined, or none is expected."""
        self.last_number = before + len(events)
        """The number of the latest one."""

    def join(self, after: int) -> Place:
        """A reader's place, to be entered, and moved by the reader: what lies behind it is kept for it."""
        self.is_read = True
        return Place(after, self._places)

    def add(self, events: Sequence[Event]) -> None:
        """Keep these events; the oldest are dropped when all have had them, or there is no room."""
        self._events += events
        self.last_number += len(events)
        for event in events:
            self._size += len(event.data)
        if self._size > self._many_bytes:
            self._drop()

    def find(self, after: int) -> Sequence[Event] | None:
        """Some of the events above `after`, oldest first; None when the next one was dropped."""
        behind = max(0, self.last_number - after)
        start = len(self._events) - behind
        return None if start < 0 else self._events[start : start + MAX_AT_ONCE]

    def _drop(self) -> None:
        had = min((place.after for place in self._places), default=self.last_number if self.is_read else -1)
        known = had - (self.last_number - len(self._events))  # so many of the list all readers have had
        dropped = 0
        while dropped < len(self._events) - 1:
            if self._size <= (self._min_bytes if dropped < known else self._max_bytes):
                break
            self._size -= len(self._events[dropped].data)
            dropped += 1
        del self._events[:dropped]
