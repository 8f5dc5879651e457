"""Readiness: whether this process may be sent traffic, and why not."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from health.checks import Check, CheckResult, NotConfiguredError, SharedCheck


@dataclass(frozen=True)
class Report:
    """Whether this process may be sent traffic, and what each check said."""

    is_ready: bool
    checks: tuple[CheckResult, ...]


class Readiness:
    """Answers whether this process may be sent traffic, within `timeout_s` whatever its dependencies do.

    Ready means started, not draining, and every check in `required` passes; a required name without a check never
    passes. `checks` may hold more than is required: they can be asked for, and decide nothing. One object a process.
    """

    def __init__(self, checks: Mapping[str, Check], *, required: Sequence[str], timeout_s: float) -> None:
        self._is_started = False
        self._is_draining = False
        missing = {name: _fail_as_not_configured for name in required if name not in checks}
        self._checks = {
            name: SharedCheck(name, check, is_required=name in required, timeout_s=timeout_s)
            for name, check in {**checks, **missing}.items()
        }

    @property
    def is_draining(self) -> bool:
        """Whether this process has begun to leave."""
        return self._is_draining

    def mark_started(self) -> None:
        """Everything is open: from now on the checks decide."""
        self._is_started = True

    def start_draining(self) -> None:
        """Not ready from the next report on, for good."""
        self._is_draining = True

    async def report(self, *, with_optional: bool = False) -> Report:
        """Every required check, run at once; `with_optional` adds those that decide nothing.

        Cancelling it cancels no check: others may be waiting for the same result.
        """
        asked = [check for check in self._checks.values() if check.is_required or with_optional]
        results = await asyncio.gather(*(check.get_result() for check in asked))
        # Looked at after the wait, so that a drain that began meanwhile is told.
        checks = (*self._get_own_results(), *results)
        return Report(is_ready=all(check.is_ok for check in checks if check.is_required), checks=checks)

    async def find_result(self, name: str) -> CheckResult | None:
        """What one check says, required or not; None when there is no such check."""
        if name in self._checks:
            return await self._checks[name].get_result()
        return next((result for result in self._get_own_results() if result.name == name), None)

    def _get_own_results(self) -> tuple[CheckResult, CheckResult]:
        """What this process knows of itself: costs nothing and is never remembered."""
        return (
            _compose_own_result("startup", is_ok=self._is_started, failure="not started"),
            _compose_own_result("drain", is_ok=not self._is_draining, failure="draining"),
        )


def _compose_own_result(name: str, *, is_ok: bool, failure: str) -> CheckResult:
    now = time.monotonic()
    return CheckResult(name, is_ok, "ok" if is_ok else failure, is_required=True, duration_ms=0, checked_at=now)


async def _fail_as_not_configured() -> None:
    raise NotConfiguredError
