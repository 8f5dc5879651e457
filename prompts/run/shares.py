"""Fair shares: how many places for answers an owner holds, here and at the other replicas, and how many they may."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog

from prompts.errors import RateLimited, Unavailable

log = structlog.get_logger(__name__)

# An owner may hold so many places for each that is free. So one who is alone leaves a tenth of them, the next owner a
# tenth of that tenth: however many answers hang, others find a place, and nobody has to know how many owners there are.
HELD_A_FREE_PLACE = 9
# What changes meanwhile is told together.
PAUSE_S = 0.1
# Answers take seconds: a place may be free in one.
RETRY_S = 1.0


class Shares:
    """The places of a process, by owner."""

    def __init__(self, *, owner_places: int = 0, owner_places_in_all: int = 0) -> None:
        """An owner may have so many places here, and at all replicas; 0 is no limit."""
        self._owner_places = owner_places
        self._owner_places_in_all = owner_places_in_all
        self._held: Counter[str] = Counter()
        self._elsewhere: dict[str, int] = {}
        self._untold: set[str] = set()
        self._changed = asyncio.Event()

    def take(self, owner: str) -> None:
        """The owner has one place more."""
        self._held[owner] += 1
        self._note(owner)

    def give_back(self, owner: str) -> None:
        """The owner has one place less."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._note(owner)

    def hear(self, owner: str, elsewhere: int) -> None:
        """What the owner holds at the other replicas, a moment ago."""
        if elsewhere:
            self._elsewhere[owner] = elsewhere
        else:
            self._elsewhere.pop(owner, None)

    def check(self, owner: str, *, free: int) -> None:
        """Raises RateLimited when the owner may not have another one of the `free` places."""
        held = self._held[owner]
        if self._owner_places and held >= self._owner_places:
            raise _too_many(f"{held} of your answers run at this replica, the most that it takes of one owner.")
        in_all = held + self._elsewhere.get(owner, 0)
        if self._owner_places_in_all and in_all >= self._owner_places_in_all:
            raise _too_many(f"{in_all} of your answers run at once, the most that this server takes of one owner.")
        if held >= HELD_A_FREE_PLACE * free:
            raise _too_many(f"{held} of your answers run at this replica, and its last places are kept for others.")

    async def keep_told(self, tell: Callable[[Mapping[str, int]], Awaitable[None]], renewal_s: float) -> None:
        """Tell the other replicas what is held here when it changes, and all of it so often; until cancelled.

        What is told holds for a while only: the places of a replica that dies are free by themselves.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(renewal_s):
                    while True:
                        await self._changed.wait()
                        await self._tell(tell, self._untold)
                        await asyncio.sleep(PAUSE_S)
            await self._tell(tell, {*self._untold, *self._held})

    async def _tell(self, tell: Callable[[Mapping[str, int]], Awaitable[None]], owners: set[str]) -> None:
        told, self._untold = {owner: self._held[owner] for owner in owners}, set()
        self._changed.clear()
        try:
            if told:
                await tell(told)
        except Unavailable:
            log.debug("shares_not_told")  # readiness reports it; the next renewal tells them again

    def _note(self, owner: str) -> None:
        if owner not in self._untold:
            self._untold.add(owner)
            self._changed.set()


def _too_many(reason: str) -> RateLimited:
    return RateLimited(f"{reason} Wait until one has ended, or cancel it.", retry_after_s=RETRY_S)
