"""A reader of a run: it takes what is ready, waits for what is published next, and is told by a call or is woken."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from prompts.alarms import NEVER, Alarm
from prompts.answer.events import Event
from prompts.flag import Flag
from prompts.run.follower_buffer import MAX_AT_ONCE, FollowerBuffer
from prompts.run.outlet import Outlet
from prompts.run.quiet import Quiet


class Listener:
    """One reader of events above `after`, inside its context: `among` those of its run, whose events `buffer` has.

    What is published while it waits goes out through `outlet`, as far as that takes it. No generator, since each turn
    has one.
    """

    __slots__ = ("_alarm", "_among", "_buffer", "_loop", "_news", "_outlet", "_over", "_place", "_quiet")

    def __init__(
        self,
        buffer: FollowerBuffer,
        *,
        after: int,
        quiet: Quiet,
        outlet: Outlet | None,
        among: "set[Listener]",
        over: Flag,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """`over` is set when the run is."""
        self._buffer = buffer
        self._place = buffer.join(after)
        self._among = among
        self._over = over
        self._quiet = quiet
        self._outlet = outlet
        self._loop = loop
        self._alarm = Alarm(self.wake)
        self._news: asyncio.Future[None] | None = None
        """Not done while it waits."""

    def __enter__(self) -> Self:
        self._place.__enter__()
        self._alarm.start(self._loop)
        self._among.add(self)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._among.discard(self)
        self._alarm.stop()
        self._place.__exit__()

    @property
    def after(self) -> int:
        """The number of the last event that it has had, whichever way."""
        return self._place.after

    async def read(self) -> Sequence[Event] | None:
        """The events that are ready, when there are any; an empty group whenever `quiet` is due.

        None after the terminal event; or before it, when the rest has to be read from the log: the run was let go, or
        the reader fell further behind than a process keeps. Raises what its outlet does.
        """
        while not (ready := self._buffer.find(self._place.after)):
            if ready is None or self._over.is_set():
                return None
            if not await self._wait():
                self._quiet.restart()
                return ()
        self._quiet.restart()
        self._place.after = ready[-1].sequence_number
        if len(ready) == MAX_AT_ONCE:
            await asyncio.sleep(0)  # a connection with room takes all, and nobody else would have a turn
        return ready

    async def _wait(self) -> bool:
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
