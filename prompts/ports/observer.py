"""What happens in a process, told to whoever measures it."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from prompts.domain.responses import Status
from prompts.domain.usage import Usage


class RunStarted(Struct, frozen=True):
    """A process began to write a response; `is_takeover`: another process had begun it."""

    response_id: str
    model: str
    is_takeover: bool


class FirstTokenCame(Struct, frozen=True):
    """The model said the first word of an answer, so long after its run began; seconds.

    Not told of an answer that was taken over: part of the wait passed elsewhere.
    """

    response_id: str
    model: str
    after_s: float


class RunEnded(Struct, frozen=True):
    """A run ended its response; `code` is the error's, where it failed, and `took_s` is since the run began."""

    response_id: str
    model: str
    status: Status
    code: str | None
    usage: Usage | None
    took_s: float


class RunHandedOver(Struct, frozen=True):
    """A process that leaves asked others to go on with the response."""

    response_id: str


class RunLost(Struct, frozen=True):
    """A run may write no more: its lease was lost, or Redis was away for longer than the lease."""

    response_id: str


class RunLeft(Struct, frozen=True):
    """The process is done with a run, however the run ended."""

    response_id: str


class EndedOutsideRun(Struct, frozen=True):
    """A response was ended by somebody other than its run: its owner cancelled it, or its replicas were lost."""

    response_id: str
    model: str
    status: Status
    code: str | None


class Appended(Struct, frozen=True, gc=False):
    """A group was acknowledged by Redis; seconds. One with every token: made in C."""

    took_s: float


class ModelCalled(Struct, frozen=True):
    """A call of the model is over, for an answer, a summary or follow-ups; seconds.

    `code` is the error's, where it failed. `writing_s` is from the first word to the end, and `written_tokens` is how
    many tokens came in that time, the first one included; None when the call did not end by itself, or the server did
    not count.
    """

    model: str
    took_s: float
    code: str | None
    usage: Usage | None
    writing_s: float | None
    written_tokens: int | None


class ModelsListed(Struct, frozen=True):
    """The model's server named its models."""

    models: Sequence[str]


class FollowerJoined(Struct, frozen=True):
    """Somebody began to follow a response through this process."""


class FollowerLeft(Struct, frozen=True):
    """Somebody follows no more."""


SocketEnd: TypeAlias = Literal["client", "lost", "silent", "stalled", "message", "key", "age", "drain", "crash"]
"""Why a WebSocket was closed: by its client, or without a word; it answered no ping, or took nothing; it sent what is
no message; its key is not valid any more; its time was over; its process leaves; a mistake of ours."""


class SocketOpened(Struct, frozen=True):
    """A WebSocket was opened."""


class SocketClosed(Struct, frozen=True):
    """A WebSocket was closed."""

    reason: SocketEnd


class SocketTurnServed(Struct, frozen=True):
    """A turn on a WebSocket is over: it was followed to its end, refused, or its client left before."""

    outcome: Literal["answered", "refused", "left"]


class ParameterIgnored(Struct, frozen=True):
    """So many parts of a request were left out because this server does not know them."""

    kind: Literal["field", "item_field", "tool", "include"]
    count: int = 1


class KnowledgeFailed(Struct, frozen=True):
    """The knowledge server did not do what it was asked."""

    kind: Literal["timeout", "unreachable", "refused"]


class IndexingStopped(Struct, frozen=True):
    """The work on a file of a vector store is over here: it has ended, is tried again later, or is another's."""

    outcome: Literal["completed", "failed", "put_off", "stale"]


class BreakerChanged(Struct, frozen=True):
    """A circuit breaker changed its state."""

    target: Literal["model", "weaviate"]
    state: Literal["closed", "open", "half_open"]


class ArchiveLooked(Struct, frozen=True):
    """The archiver looked for what to copy; the oldest of it has waited so long, seconds. 0: there was nothing."""

    lag_s: float


class Archived(Struct, frozen=True):
    """A batch was written to the archive: how many rows of each kind, and how many things were `erased`."""

    rows: Mapping[str, int]


Happening: TypeAlias = (
    RunStarted
    | FirstTokenCame
    | RunEnded
    | RunHandedOver
    | RunLost
    | RunLeft
    | EndedOutsideRun
    | Appended
    | ModelCalled
    | ModelsListed
    | FollowerJoined
    | FollowerLeft
    | SocketOpened
    | SocketClosed
    | SocketTurnServed
    | ParameterIgnored
    | KnowledgeFailed
    | IndexingStopped
    | BreakerChanged
    | ArchiveLooked
    | Archived
)


class Observer(Protocol):
    """Is told what happens; must be quick and raise nothing: it is called from the event loop, once a group."""

    def notice(self, happening: Happening) -> None:
        """Something happened."""


class Unobserved:
    """`Observer` that nobody looks at."""

    def notice(self, happening: Happening) -> None:
        """See `Observer.notice`."""


UNOBSERVED = Unobserved()
