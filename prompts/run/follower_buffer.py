"""The latest events of a run, in memory for its followers, in bounds."""

from collections.abc import Sequence

from prompts.answer.events import Event

# Bytes of events that a process keeps of a run; a reader further behind goes on from Redis.
MAX_KEPT_BYTES = 2_000_000
# Events in one group: about a millisecond of the event loop, and the most that a slow reader's connection holds.
MAX_AT_ONCE = 200

DROPPED = Event("", -1, b"")


class FollowerBuffer:
    """The latest events of a run by number; `before` is the last number of an earlier run."""

    def __init__(self, events: Sequence[Event], *, before: int, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._events = list(events)
        self._dropped = 0
        """How many of the list are empty places, at its beginning."""
        self._size = sum(len(event.data) for event in events)
        self._max_bytes = max_bytes
        self.last_number = before + len(events)
        """The number of the latest one."""

    def add(self, events: Sequence[Event]) -> None:
        """Keep these events; the oldest are dropped when there is no room."""
        self._events += events
        self.last_number += len(events)
        self._size += sum(len(event.data) for event in events)
        while self._size > self._max_bytes and len(self._events) - self._dropped > 1:
            self._size -= len(self._events[self._dropped].data)
            self._events[self._dropped] = DROPPED
            self._dropped += 1
        if 2 * self._dropped > len(self._events):
            del self._events[: self._dropped]
            self._dropped = 0

    def find(self, after: int) -> Sequence[Event] | None:
        """Some of the events above `after`, oldest first; None when the next one was dropped."""
        behind = max(0, self.last_number - after)
        if behind > len(self._events) - self._dropped:
            return None
        start = len(self._events) - behind
        return self._events[start : start + MAX_AT_ONCE]
