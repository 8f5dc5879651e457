"""What a process knows of the owners whom it meets: read from Redis every few seconds, and not on a request's way."""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import Generic, TypeVar

Value = TypeVar("Value")

# Of how many owners a process keeps what it knows, those that asked last.
MAX_OWNERS = 10_000
# An owner whom this process has not met is looked up at once, and many of them together.
MEET_S = 0.1


class MetOwners(Generic[Value]):
    """A value by owner. Whoever reads the values takes those that have asked, keeps what is found, and waits."""

    def __init__(self, *, pace_s: float, max_owners: int = MAX_OWNERS) -> None:
        """`pace_s` is the time between two looks while nobody is new."""
        self._pace_s = pace_s
        self._max_owners = max_owners
        self._known: OrderedDict[str, Value] = OrderedDict()
        """The one that asked last at the end."""
        self._asked: set[str] = set()
        self._met = asyncio.Event()

    def find(self, owner: str) -> Value | None:
        """What is known of an owner, who has asked with this; None until somebody has looked."""
        if len(self._asked) < self._max_owners:
            self._asked.add(owner)
        if owner not in self._known:
            self._met.set()
            return None
        self._known.move_to_end(owner)
        return self._known[owner]

    def take_asked(self) -> set[str]:
        """Who has asked since the last look."""
        asked, self._asked = self._asked, set()
        self._met.clear()
        return asked

    def keep(self, owner: str, value: Value) -> None:
        """What was found of an owner; the one that asked longest ago makes room."""
        self._known[owner] = value
        self._known.move_to_end(owner)
        if len(self._known) > self._max_owners:
            self._known.popitem(last=False)

    async def wait(self) -> None:
        """Until it is time to look again."""
        await asyncio.sleep(MEET_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace_s - MEET_S):
                await self._met.wait()
