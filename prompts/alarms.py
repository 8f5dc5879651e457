"""Many deadlines, one timer: what thousands of waits look at costs an attribute each, not a timer each.

`asyncio.timeout` makes an object, a timer and a cancellation for each wait; of a stream that waits for each token this
is a fifth of its cost. An `Alarm` is made once for a stream, and its `due` is moved as often as one likes. The process
looks at all of them every `LOOK_S`, so an alarm rings up to that much late: for silences of seconds, not for pauses of
milliseconds.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from prompts.per_loop import PerLoop

# How late an alarm may ring. A look at a thousand of them takes about 0.1 ms.
LOOK_S = 0.05
NEVER = float("inf")


def do_nothing() -> None:
    """What an alarm rings that nobody listens to."""


class Alarm:
    """Calls `ring` once when the event loop's time is past `due`; to be set again by setting `due`.

    It is looked at between `start` and `stop`, once, or inside its context. `ring` is called by the event loop, and
    raises nothing; when it has rung, `due` is NEVER.
    """

    __slots__ = ("_alarms", "due", "ring")

    def __init__(self, ring: Callable[[], object] = do_nothing, due: float = NEVER) -> None:
        self.ring = ring
        self.due = due
        """In the event loop's time; NEVER is no deadline."""
        self._alarms: Alarms | None = None

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> Self:
        """Have it looked at from now on. Asking for the running `loop` is a system call: who knows it, says it."""
        self._alarms = _alarms.find(loop or asyncio.get_running_loop())
        self._alarms.add(self)
        return self

    def stop(self) -> None:
        """It does not ring any more, and forgets what it would have rung.

        That is often a method of who has it: such a circle would stay in memory until Python looks for circles.
        """
        if self._alarms is not None:
            self._alarms.discard(self)
            self._alarms = None
        self.ring = do_nothing

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Limit:
    """A time limit for the task that enters it, like `asyncio.timeout`, for many waits one after the other.

    Set `due` before each wait. When it is past, the task is cancelled, and leaving the context raises TimeoutError.
    """

    __slots__ = ("_alarm", "_cancellations", "_is_over", "_task")

    def __init__(self, due: float = NEVER) -> None:
        self._alarm = Alarm(due=due)
        self._task: asyncio.Task[object] | None = None
        self._cancellations = 0
        self._is_over = False

    @property
    def due(self) -> float:
        """In the event loop's time."""
        return self._alarm.due

    @due.setter
    def due(self, due: float) -> None:
        self._alarm.due = due

    def __enter__(self) -> Self:
        self._task = task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a limit is for a task")
        self._cancellations = task.cancelling()
        self._alarm.ring = self._ring
        self._alarm.start(task.get_loop())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._alarm.stop()
        task, self._task = self._task, None
        if not self._is_over or task is None:
            return
        is_only_ours = task.uncancel() <= self._cancellations  # else somebody else has cancelled it, too: that goes on
        if is_only_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def _ring(self) -> None:
        if self._task is not None and not self._is_over:
            self._is_over = True
            self._task.cancel()


class Alarms:
    """All alarms of one event loop; its timer runs while there are any."""

    def __init__(self) -> None:
        self._alarms: set[Alarm] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, alarm: Alarm) -> None:
        """Look at this one, too."""
        self._alarms.add(alarm)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def discard(self, alarm: Alarm) -> None:
        """Look at it no more; the timer ends by itself."""
        self._alarms.discard(alarm)

    def _look(self) -> None:
        self._timer = None
        if not self._alarms:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_S, self._look)
        now = loop.time()
        for alarm in [alarm for alarm in self._alarms if alarm.due <= now]:
            alarm.due = NEVER
            alarm.ring()


_alarms = PerLoop(Alarms)
