"""Readiness: whether this process may get traffic, and why not."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from health.checks import Check, CheckResult, NotConfiguredError, Record, SharedCheck


@dataclass(frozen=True)
class Report:
    """Whether this process may get traffic, and the result of each check."""

    is_ready: bool
    checks: tuple[CheckResult, ...]


class Readiness:
    """Says whether this process may get traffic, within `timeout_s`, whatever its dependencies do.

    Ready means: started, not draining, and every check in `required` passes. A required name without a check never
    passes. `checks` may hold optional checks too; they never decide. One object a process.
    """

    def __init__(
        self, checks: Mapping[str, Check], *, required: Sequence[str], timeout_s: float, record: Record | None = None
    ) -> None:
        """`record` is called with each result of a check."""
        self._is_started = False
        self._is_draining = False
        missing = {name: _fail_as_not_configured for name in required if name not in checks}
        self._checks = {
            name: SharedCheck(name, check, is_required=name in required, timeout_s=timeout_s, record=record)
            for name, check in {**checks, **missing}.items()
        }

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    def mark_started(self) -> None:
        """From now on the checks decide."""
        self._is_started = True

    def start_draining(self) -> None:
        """Not ready from the next report on, for good."""
        self._is_draining = True

    async def report(self, *, with_optional: bool = False) -> Report:
        """Run every required check at once; `with_optional` adds the optional ones.

        Cancelling this call cancels no check: others may wait for the same result.
        """
        asked = [check for check in self._checks.values() if check.is_required or with_optional]
        results = await asyncio.gather(*(check.get_result() for check in asked))
        # Read after the wait: a drain may have begun meanwhile.
        checks = (*self._get_own_results(), *results)
        return Report(is_ready=all(check.is_ok for check in checks if check.is_required), checks=checks)

    async def find_result(self, name: str) -> CheckResult | None:
        """The result of one check, required or not; None when there is no such check."""
        if name in self._checks:
            return await self._checks[name].get_result()
        return next((result for result in self._get_own_results() if result.name == name), None)

    def _get_own_results(self) -> tuple[CheckResult, CheckResult]:
        """What this process knows of itself: free, and never cached."""
        return (
            _compose_own_result("startup", is_ok=self._is_started, failure="not started"),
            _compose_own_result("drain", is_ok=not self._is_draining, failure="draining"),
        )


def _compose_own_result(name: str, *, is_ok: bool, failure: str) -> CheckResult:
    now = time.monotonic()
    return CheckResult(name, is_ok, "ok" if is_ok else failure, is_required=True, duration_ms=0, checked_at=now)


async def _fail_as_not_configured() -> None:
    raise NotConfiguredError
