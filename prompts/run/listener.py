"""A reader of a run as the run sees it: it waits for what is published next, and is told by a call or is woken."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from prompts.alarms import NEVER, Alarm
from prompts.answer.events import Event
from prompts.run.follower_buffer import MAX_AT_ONCE, Place
from prompts.run.outlet import Outlet
from prompts.run.quiet import Quiet


class Listener:
    """One reader, inside its context: `among` those of its run. While it waits it has had all that was published."""

    __slots__ = ("_alarm", "_among", "_loop", "_news", "_outlet", "_place", "_quiet")

    def __init__(
        self,
        place: Place,
        *,
        quiet: Quiet,
        outlet: Outlet | None,
        among: "set[Listener]",
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._place = place
        self._among = among
        self._quiet = quiet
        self._outlet = outlet
        self._loop = loop
        self._alarm = Alarm(self.wake)
        self._news: asyncio.Future[None] | None = None
        """Not done while it waits."""

    def __enter__(self) -> Self:
        self._alarm.start(self._loop)
        self._among.add(self)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._among.discard(self)
        self._alarm.stop()

    async def wait(self) -> bool:
        """Until there is something to take, or the run is over; no when `quiet` is due. Raises what its outlet does."""
        self._alarm.due = self._quiet.due
        self._news = self._loop.create_future()
        await self._news
        return self._alarm.due != NEVER  # else it has rung

    def hear(self, events: Sequence[Event]) -> None:
        """Some more were published. Raises nothing: of one reader's connection the others know nothing."""
        news = self._news
        if news is None or news.done() or not events:
            return
        if self._outlet is not None and len(events) < MAX_AT_ONCE:
            try:
                is_taken = self._outlet.take(events)
            except Exception as error:  # noqa: BLE001  # raised again in the reader's task
                news.set_exception(error)
                return
            if is_taken:
                self._place.after = self._outlet.after = events[-1].sequence_number
                self._alarm.due = self._quiet.restart()
                return
        news.set_result(None)

    def wake(self) -> None:
        """Whatever it waits for, its task is to look."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
