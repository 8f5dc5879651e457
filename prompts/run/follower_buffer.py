"""The latest events of a run, in memory for its followers, in bounds."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from prompts.answer.events import Event

# Bytes of events that a process keeps of a run; a reader further behind goes on from Redis.
MAX_KEPT_BYTES = 2_000_000
# Events in one group: about a millisecond of the event loop, and the most that a slow reader's connection holds.
MAX_AT_ONCE = 200


class FollowerBuffer:
    """The latest events of a run by number; `before` is the last number of an earlier run."""

    def __init__(self, events: Sequence[Event], *, before: int, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._events: deque[Event] = deque(events)
        self._size = sum(len(event.data) for event in events)
        self._max_bytes = max_bytes
        self.last_number = before + len(events)
        """The number of the latest one."""

    def add(self, events: Sequence[Event]) -> None:
        """Keep these events; the oldest are dropped when there is no room."""
        self._events += events
        self.last_number += len(events)
        self._size += sum(len(event.data) for event in events)
        while self._size > self._max_bytes and len(self._events) > 1:
            self._size -= len(self._events.popleft().data)

    def find(self, after: int) -> Sequence[Event] | None:
        """Some of the events above `after`, oldest first; None when the next one was dropped."""
        behind = self.last_number - after
        if behind > len(self._events):
            return None
        latest = list(islice(reversed(self._events), max(0, behind)))
        return latest[: -MAX_AT_ONCE - 1 : -1]
