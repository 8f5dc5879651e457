"""Fates: what the next calls of a fake wait for or raise, as a test decides."""

import asyncio
from typing import TypeAlias

# An error to raise, an event to wait for, or an event and then an error. None: the call succeeds at once.
Fate: TypeAlias = Exception | asyncio.Event | tuple[asyncio.Event, Exception] | None


async def meet(fates: list[Fate]) -> None:
    """Take the next fate of the list, if any: wait for its event, raise its error."""
    match fates.pop(0) if fates else None:
        case asyncio.Event() as event:
            await event.wait()
        case Exception() as error:
            raise error
        case (event, error):
            await event.wait()
            raise error
