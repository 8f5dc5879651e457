"""Recycling: a worker that has served enough requests, or has grown too large, is replaced by a fresh one.

It stops accepting connections, serves those it has, hands over what still runs, and exits; gunicorn starts another one.
gunicorn's own `max_requests` is not used: its worker sends no heartbeat while it waits for long streams, and is killed.
"""

import asyncio
import fcntl
import os
import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)

LOOK_S = 1.0
# Workers of one age are recycled apart: each allows itself up to this share of requests more.
JITTER = 0.1
PAGE_BYTES = 4096
MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WearLimits:
    """When a worker is worn; 0 means never."""

    max_requests: int
    max_mb: int

    @property
    def are_set(self) -> bool:
        """Whether a worker is recycled at all."""
        return bool(self.max_requests or self.max_mb)


class Wear:
    """How worn this worker is. `lock_path` is the same for all workers of a replica: one is recycled at a time."""

    def __init__(
        self, limits: WearLimits, *, lock_path: Path | None = None, read_memory: Callable[[], int] | None = None
    ) -> None:
        self.is_recycling = False
        """Whether this worker is being replaced: its clients are asked to connect anew."""
        self.requests = 0
        self._limits = limits
        self._max_requests = int(limits.max_requests * (1 + random.uniform(0, JITTER)))  # noqa: S311 -- no secret
        self._lock_path = lock_path or Path(tempfile.gettempdir()) / "eps-recycling.lock"
        self._read_memory = read_memory or read_memory_bytes

    def note_request(self) -> None:
        """One more was served, or a turn on a WebSocket."""
        self.requests += 1

    async def wait_until_worn(self) -> None:
        """Returns when this worker is to be replaced, and no other one of the replica is."""
        if not self._limits.are_set:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(LOOK_S)
            if (reason := self._find_reason()) and self._take_turn():
                log.info("worker_recycled", reason=reason, requests=self.requests, mb=self._read_memory() // MB)
                self.is_recycling = True
                return

    def _find_reason(self) -> str | None:
        if self._limits.max_requests and self.requests >= self._max_requests:
            return "requests"
        if self._limits.max_mb and self._read_memory() >= self._limits.max_mb * MB:
            return "memory"
        return None

    def _take_turn(self) -> bool:
        """Lock the file until this process exits. Whatever happens to the process, the lock goes with it."""
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        return True  # the descriptor stays open, and the lock held


def note_request(state: Mapping[str, Any]) -> bool:
    """A request was served with this state of the process. Whether the process is leaving, and the client is to go."""
    readiness, wear = state.get("readiness"), state.get("wear")
    is_leaving = readiness is not None and readiness.is_draining
    if wear is not None:
        wear.note_request()
        is_leaving = is_leaving or wear.is_recycling
    return is_leaving


def read_memory_bytes() -> int:
    """The resident memory of this process, from /proc; 0 where there is none."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE_BYTES
    except OSError:
        return 0
