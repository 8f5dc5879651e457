"""The latest events of a run, in memory for its followers, in bounds."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from prompts.answer.events import Event

# Of a run's events, what a process keeps; a reader further behind goes on from Redis.
MAX_KEPT_BYTES = 2_000_000
# What is told at once: a millisecond of the event loop, and what a connection holds for a reader that does not read.
MAX_AT_ONCE = 200


class FollowerBuffer:
    """The latest events of a run, by their numbers; those up to `before` it never had."""

    def __init__(self, events: Sequence[Event], *, before: int, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._events: deque[Event] = deque(events)
        self._size = sum(len(event.data) for event in events)
        self._max_bytes = max_bytes
        self.last_number = before + len(events)
        """The number of the latest one."""

    def add(self, events: Sequence[Event]) -> None:
        """Keep these, and drop the oldest for them where there is no room."""
        self._events += events
        self.last_number += len(events)
        self._size += sum(len(event.data) for event in events)
        while self._size > self._max_bytes and len(self._events) > 1:
            self._size -= len(self._events.popleft().data)

    def find(self, after: int) -> Sequence[Event] | None:
        """Some of those above `after`, oldest first; None when the next is no longer here."""
        behind = self.last_number - after
        if behind > len(self._events):
            return None
        latest = list(islice(reversed(self._events), max(0, behind)))
        return latest[: -MAX_AT_ONCE - 1 : -1]
