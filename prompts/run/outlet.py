"""A reader's short way out: what is published while its task waits goes to its connection by a call.

Waking a task for each token, and every generator between a run and a connection with it, is dearer than all else that
is done for a reader. So the task waits on, for as long as the connection takes what it is given. Whatever is more than
that (a connection without room, a reader who is behind, a sign of life, the end, an error) is the task's.
"""

from collections.abc import Callable, Sequence

from prompts.answer.events import Event


def take_nothing(_: Sequence[object]) -> bool:
    """What is done with what nobody takes by a call: it is left to a task."""
    return False


class Outlet:
    """Made beside a reader, and opened by whoever has its connection: by setting `take`."""

    __slots__ = ("after", "take")

    def __init__(self) -> None:
        self.take: Callable[[Sequence[Event]], bool] = take_nothing
        """Sends these events at once, all of them, or none: then it says no. What it raises is its reader's."""
        self.after = -1
        """The number of the last event that went out so."""
