"""A reader's clock: how long it has been told nothing."""

import asyncio


class Quiet:
    """Says when a reader is due a sign of life. Only what the reader is told restarts it, not what the service does."""

    __slots__ = ("_every_s", "_loop", "due")

    def __init__(self, every_s: float) -> None:
        """`every_s` is how long a reader is told nothing at most."""
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self.restart()

    def restart(self) -> float:
        """The reader is told something now. Says when it is due from now on."""
        self.due = due = self._loop.time() + self._every_s
        """In the event loop's time."""
        return due

    @property
    def left_s(self) -> float:
        """Until it is due; 0 when it is."""
        return max(0.0, self.due - self._loop.time())
