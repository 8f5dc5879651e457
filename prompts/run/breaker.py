"""A circuit breaker: a dependency that fails again and again is left alone for a while.

    closed      every call is made; failures in a row are counted
    open        calls are refused at once, for `open_s`
    half-open   one call a second is let through; its success closes the breaker, its failure opens it again

Not a library: those that know asyncio (purgatory, circuitbreaker, aiobreaker) count a stream when it ends instead of
when it begins, count a client that leaves as a failure, and let every waiting call through at once when half-open.
"""

import time
from collections.abc import Callable
from typing import Literal, TypeAlias

import structlog

from prompts.ports.observer import BreakerChanged, Observer

log = structlog.get_logger(__name__)

State: TypeAlias = Literal["closed", "open", "half_open"]

# The first wait; it doubles with each failure after it, so that a server that is down for long is asked less and less.
OPEN_S = 5.0
MAX_OPEN_S = 60.0
# While half-open: enough to notice a server that is back, too little to hurt one that is not.
PROBE_S = 1.0


class Breaker:
    """The breaker of one dependency, shared by all calls of a process.

    It opens after `max_failures` in a row; with 0 it never does. `clock` gives seconds.
    Its first pause is `open_s`, its longest `max_open_s`.
    """

    def __init__(
        self,
        target: Literal["model", "weaviate"],
        *,
        max_failures: int,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
        open_s: float = OPEN_S,
        max_open_s: float = MAX_OPEN_S,
    ) -> None:
        self._target = target
        self._max_failures = max_failures
        self._observer = observer
        self._clock = clock
        self._failures = 0
        self._state: State = "closed"
        self._first_open_s = open_s
        self._max_open_s = max_open_s
        self._open_s = open_s
        self._next_try = 0.0

    @property
    def state(self) -> State:
        """The state, as of the last call."""
        return self._state

    def find_wait_s(self) -> float | None:
        """None when a call may be made now; otherwise the seconds until one may. In half-open, asking takes the try."""
        if self._state == "closed":
            return None
        now = self._clock()
        if now < self._next_try:
            return self._next_try - now
        self._turn_to("half_open")
        self._next_try = now + PROBE_S
        return None

    def succeed(self) -> None:
        """A call was answered."""
        self._failures = 0
        if self._state != "closed":
            self._open_s = self._first_open_s
            self._turn_to("closed")

    def fail(self) -> None:
        """A call failed, and its caller was not at fault."""
        self._failures += 1
        if self._state == "half_open":
            self._open_s = min(2 * self._open_s, self._max_open_s)
        if self._state == "half_open" or (self._state == "closed" and 0 < self._max_failures <= self._failures):
            self._next_try = self._clock() + self._open_s
            self._turn_to("open")

    def _turn_to(self, state: State) -> None:
        if state == self._state:
            return
        self._state = state
        log.warning("breaker_changed", target=self._target, state=state, failures=self._failures)
        self._observer.notice(BreakerChanged(self._target, state))
