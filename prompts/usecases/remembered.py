"""What a connection remembers of turns that are not stored, so that its next turns may continue them.

    Remembered          one response: the items of its history that no store holds, and the stored response before them
    ConnectionMemory    those of one connection, by their ids; the least recently used go first
    MemoryRoom          the bytes of all connections of a process; where they are too many, the largest memory gives way

It goes with its connection. Nothing of it is ever written down, so no other connection and no other replica knows it.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from prompts.domain.anchors import Anchor
from prompts.domain.item_kinds import find_made_call
from prompts.domain.items import Item
from prompts.history.window import SizedItem, Window, measure_item, take_window

# More than a connection has lanes (32), several times: forks go on from older responses.
MAX_RESPONSES = 128
# What a model reports of tokens is at least this share of what is estimated (`Calibration`): then it is given more.
LEAST_FACTOR = 0.25


@dataclass(frozen=True, slots=True)
class Remembered:
    """The history behind one response that is not stored, its own output included."""

    response_id: str
    anchor: Anchor
    """The stored response that the history begins with."""
    items: Sequence[SizedItem]
    """What came after that, oldest first: as much as a model is given."""
    dropped: int
    """How many older ones were left out. What is stored lies before these, and is then left out as well."""
    call_ids: frozenset[str]
    """The calls among these, and all that the response itself made: their outputs may still come."""

    def take_window(self, *, budget_tokens: int) -> Window:
        """What of it the model is given."""
        return take_window(self.items, budget_tokens=budget_tokens, max_bytes=inf)


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How much of a history is kept at most: what a model could be given of it."""

    max_tokens: int
    max_bytes: int


def remember(
    response_id: str, items: Sequence[Item], *, anchor: Anchor, before: Remembered | None, limits: HistoryLimits
) -> Remembered:
    """A response after the one `before`, with the items that it added: its input, then its output."""
    sized = [*(before.items if before else ()), *map(measure_item, items)]
    window = take_window(sized, budget_tokens=limits.max_tokens / LEAST_FACTOR, max_bytes=limits.max_bytes)
    told = [*(one.item for one in window.items), *items]
    return Remembered(
        response_id,
        before.anchor if before else anchor,
        window.items,
        dropped=window.dropped + (before.dropped if before else 0),
        call_ids=frozenset(call_id for item in told if (call_id := find_made_call(item))),
    )


class MemoryRoom:
    """The bytes that all connections of a process may remember together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._memories: set[ConnectionMemory] = set()

    @property
    def used_bytes(self) -> int:
        """How many they remember now."""
        return sum(memory.used_bytes for memory in self._memories)

    def open(self, *, max_bytes: int) -> "ConnectionMemory":
        """The memory of a new connection, which may take so many bytes; close it with the connection."""
        memory = ConnectionMemory(self, max_bytes=max_bytes)
        self._memories.add(memory)
        return memory

    def leave(self, memory: "ConnectionMemory") -> None:
        """A connection is closed."""
        self._memories.discard(memory)

    def make_room(self) -> None:
        """Let the largest memory forget its oldest response, until all fit."""
        while self._memories and self.used_bytes > self._max_bytes:
            largest = max(self._memories, key=lambda memory: memory.used_bytes)
            if not largest.forget_oldest():
                return


@dataclass(eq=False)
class ConnectionMemory:
    """The responses that one connection may continue. Items that several histories share are counted once."""

    room: MemoryRoom
    max_bytes: int
    used_bytes: int = 0
    _known: OrderedDict[str, Remembered] = field(default_factory=OrderedDict)
    _uses: Counter[str] = field(default_factory=Counter)
    """How many of the responses have an item, by its id."""

    def find(self, response_id: str) -> Remembered | None:
        """The response, which is then the most recently used one."""
        known = self._known.get(response_id)
        if known is not None:
            self._known.move_to_end(response_id)
        return known

    def keep(self, remembered: Remembered) -> None:
        """Keep one more; the least recently used go, where there is no room."""
        self._known[remembered.response_id] = remembered
        for sized in remembered.items:
            if not self._uses[sized.item.id]:
                self.used_bytes += sized.size
            self._uses[sized.item.id] += 1
        while len(self._known) > MAX_RESPONSES or self.used_bytes > self.max_bytes:
            self.forget_oldest()
        self.room.make_room()

    def forget(self, response_id: str) -> None:
        """Forget one, if it is known."""
        known = self._known.pop(response_id, None)
        for sized in known.items if known else ():
            self._uses[sized.item.id] -= 1
            if not self._uses[sized.item.id]:
                del self._uses[sized.item.id]
                self.used_bytes -= sized.size

    def forget_oldest(self) -> bool:
        """Forget the least recently used one; False when nothing is known."""
        if not self._known:
            return False
        self.forget(next(iter(self._known)))
        return True

    def close(self) -> None:
        """Forget all: the connection is closed."""
        self.room.leave(self)
        self._known.clear()
        self._uses.clear()
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._known)
