"""What every reader of a response is told alike, in memory once for all that read it at this process.

A response echoes its instructions in each of its first events and in its last, and says its text four times at its
end: megabytes that a reader who takes nothing would hold for itself.
"""

from collections.abc import Sequence
from functools import cached_property
from weakref import WeakValueDictionary

from prompts.answer.events import Event, Narration
from prompts.domain.responses import Response


class SharedEvents:
    """The first and the last events of one response; they are kept for as long as one of its readers holds this."""

    def __init__(self, response: Response) -> None:
        """`response` is the echo: the response as it was created."""
        self.response = response
        self.closing: Sequence[Event] = ()
        """The events after the log's last one, once a reader has come so far."""
        self.whole: Sequence[Event] | None = None
        """All events, of a response that is told from what is stored."""

    @cached_property
    def opening(self) -> Sequence[Event]:
        """What stands before the log."""
        return Narration(self.response).opening()

    def closes_at(self, number: int) -> bool:
        """Whether `closing` is known, and goes on with this number."""
        return bool(self.closing) and self.closing[0].sequence_number == number


class ResponsesInUse:
    """The shared events of the responses that are read at this process, by owner and id."""

    def __init__(self) -> None:
        self._in_use: WeakValueDictionary[tuple[str, str], SharedEvents] = WeakValueDictionary()

    def find(self, owner: str, response_id: str) -> SharedEvents | None:
        """Those of a response that somebody reads."""
        return self._in_use.get((owner, response_id))

    def share(self, owner: str, response: Response) -> SharedEvents:
        """Those of this response, whoever was first."""
        return self._in_use.setdefault((owner, response.id), SharedEvents(response))
