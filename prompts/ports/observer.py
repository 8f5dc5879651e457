"""What happens in a process, told to whoever measures it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from prompts.domain.responses import Status
from prompts.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A process began to write a response; `is_takeover`: another process had begun it."""

    response_id: str
    model: str
    is_takeover: bool


@dataclass(frozen=True, slots=True)
class FirstTokenCame:
    """The model said the first word of an answer, so long after its run began; seconds.

    Not told of an answer that was taken over: part of the wait passed elsewhere.
    """

    response_id: str
    model: str
    after_s: float


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run ended its response; `code` is the error's, where it failed, and `took_s` is since the run began."""

    response_id: str
    model: str
    status: Status
    code: str | None
    usage: Usage | None
    took_s: float


@dataclass(frozen=True, slots=True)
class RunHandedOver:
    """A process that leaves asked others to go on with the response."""

    response_id: str


@dataclass(frozen=True, slots=True)
class RunLost:
    """A run may write no more: its lease was lost, or Redis was away for longer than the lease."""

    response_id: str


@dataclass(frozen=True, slots=True)
class RunLeft:
    """The process is done with a run, however the run ended."""

    response_id: str


@dataclass(frozen=True, slots=True)
class EndedOutsideRun:
    """A response was ended by somebody other than its run: its owner cancelled it, or its replicas were lost."""

    response_id: str
    model: str
    status: Status
    code: str | None


class Appended(Struct, frozen=True, gc=False):
    """A group was acknowledged by Redis; seconds. One with every token: made in C."""

    took_s: float


@dataclass(frozen=True, slots=True)
class ModelCalled:
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


@dataclass(frozen=True, slots=True)
class ModelsListed:
    """The model's server named its models."""

    models: Sequence[str]


@dataclass(frozen=True, slots=True)
class FollowerJoined:
    """Somebody began to follow a response through this process."""


@dataclass(frozen=True, slots=True)
class FollowerLeft:
    """Somebody follows no more."""


SocketEnd: TypeAlias = Literal["client", "lost", "silent", "stalled", "message", "key", "age", "drain", "crash"]
"""Why a WebSocket was closed: by its client, or without a word; it answered no ping, or took nothing; it sent what is
no message; its key is not valid any more; its time was over; its process leaves; a mistake of ours."""


@dataclass(frozen=True, slots=True)
class SocketOpened:
    """A WebSocket was opened."""


@dataclass(frozen=True, slots=True)
class SocketClosed:
    """A WebSocket was closed."""

    reason: SocketEnd


@dataclass(frozen=True, slots=True)
class SocketTurnServed:
    """A turn on a WebSocket is over: it was followed to its end, refused, or its client left before."""

    outcome: Literal["answered", "refused", "left"]


@dataclass(frozen=True, slots=True)
class ParameterIgnored:
    """So many parts of a request were left out because this server does not know them."""

    kind: Literal["field", "item_field", "tool", "include"]
    count: int = 1


@dataclass(frozen=True, slots=True)
class KnowledgeFailed:
    """The knowledge server did not do what it was asked."""

    kind: Literal["timeout", "unreachable", "refused"]


@dataclass(frozen=True, slots=True)
class IndexingStopped:
    """The work on a file of a vector store is over here: it has ended, is tried again later, or is another's."""

    outcome: Literal["completed", "failed", "put_off", "stale"]


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A circuit breaker changed its state."""

    target: Literal["model", "weaviate"]
    state: Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class ArchiveLooked:
    """The archiver looked for what to copy; the oldest of it has waited so long, seconds. 0: there was nothing."""

    lag_s: float


@dataclass(frozen=True, slots=True)
class Archived:
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
