"""What happens to the runs of a process, for whoever measures: metrics and traces hang on it."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

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
    """The model said its first word, so long after the run began; seconds."""

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
class Appended:
    """A group was acknowledged by Redis; seconds."""

    took_s: float


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """The breaker of a dependency ("model", "weaviate") is "closed", "open" or "half_open" from now on."""

    target: str
    state: str


Happening: TypeAlias = RunStarted | FirstTokenCame | RunEnded | RunHandedOver | RunLost | Appended | BreakerChanged


class Observer(Protocol):
    """Is told what happens; must be quick and raise nothing: it is called from the event loop, once a group."""

    def notice(self, happening: Happening) -> None:
        """Something happened."""


class Unobserved:
    """`Observer` that does nothing."""

    def notice(self, happening: Happening) -> None:
        """See `Observer.notice`."""
