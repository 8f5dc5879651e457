"""One check of a dependency: limited in time, and its result shared by concurrent probes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import structlog

log = structlog.get_logger(__name__)

# A check fails by raising. `TimeoutError` means too slow, another `OSError` unreachable, anything else not ready.
Check = Callable[[], Awaitable[None]]

# Kubelet, mesh and load balancer may probe several times a second; the dependency is asked once.
MAX_AGE_S = 1.0


class NotConfiguredError(Exception):
    """The dependency is required, but its address is not configured."""


@dataclass(frozen=True)
class CheckResult:
    """The result of a check. `detail` may be shown to anyone: it holds no address, key or error text."""

    name: str
    is_ok: bool
    detail: str
    is_required: bool
    duration_ms: float
    checked_at: float
    """When the check ended, on the monotonic clock."""

    @property
    def age_s(self) -> float:
        """Seconds since the check ended."""
        return time.monotonic() - self.checked_at


Record: TypeAlias = Callable[[CheckResult], None]


class SharedCheck:
    """A check with a time limit. It runs once at a time; callers within `MAX_AGE_S` share its result."""

    def __init__(
        self, name: str, check: Check, *, is_required: bool, timeout_s: float, record: Record | None = None
    ) -> None:
        """`record` is called with each result, once."""
        self.is_required = is_required
        self._name = name
        self._check = check
        self._timeout_s = timeout_s
        self._record = record
        self._in_flight: asyncio.Task[CheckResult] | None = None
        self._last: CheckResult | None = None
        self._abandoned: set[asyncio.Task[None]] = set()  # asyncio keeps only a weak reference to a task

    async def get_result(self) -> CheckResult:
        """A result no older than `MAX_AGE_S`, within the time limit. Cancelling this call cancels no check."""
        if self._last is not None and self._last.age_s < MAX_AGE_S:
            return self._last
        if self._in_flight is None:
            self._in_flight = asyncio.create_task(self._run_once(), name=f"check {self._name}")
        return await asyncio.shield(self._in_flight)

    async def _run_once(self) -> CheckResult:
        try:
            began = time.monotonic()
            error = await self._run_limited()
            ended = time.monotonic()
            detail = _describe(error, min(ended - began, self._timeout_s))
            duration_ms = round((ended - began) * 1000, 1)
            result = CheckResult(self._name, error is None, detail, self.is_required, duration_ms, ended)
            self._log_change(result, error)
            self._last = result
            if self._record is not None:
                self._record(result)
            return result
        finally:
            self._in_flight = None

    async def _run_limited(self) -> BaseException | None:
        """The error of the check, or None. Keeps the time limit even when the check ignores its cancellation."""
        task = asyncio.create_task(self._call())
        done, _ = await asyncio.wait({task}, timeout=self._timeout_s)
        if not done:
            task.cancel()
            self._abandoned.add(task)
            task.add_done_callback(self._forget)
            return TimeoutError()
        return asyncio.CancelledError() if task.cancelled() else task.exception()

    async def _call(self) -> None:
        await self._check()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._abandoned.discard(task)
        # Retrieve the exception, or asyncio warns about it. It came too late to matter.
        _ = task.cancelled() or task.exception()

    def _log_change(self, result: CheckResult, error: BaseException | None) -> None:
        was_ok = self._last is None or self._last.is_ok
        if was_ok and error is not None:
            log.warning("check_failed", check=self._name, detail=result.detail, error=repr(error))
        elif error is None and not was_ok:
            log.info("check_recovered", check=self._name)


def _describe(error: BaseException | None, waited_s: float) -> str:
    """A failure in words that are safe to show anyone."""
    match error:
        case None:
            return "ok"
        case NotConfiguredError():
            return "not configured"
        case TimeoutError():
            return f"timed out after {waited_s:.2g} s"
        case OSError():
            return "unreachable"
        case _:
            return "not ready"
