"""All runs of a process: the process owns them, readers only follow."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from prompts.domain import ModelMessage
from prompts.errors import Draining, Overloaded
from prompts.ports import Admitted, ChatModel, Draft, ResponseStore
from prompts.run import Run

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process allows its runs."""

    max_runs: int
    max_run_s: float
    lease_s: float


class Runner:
    """All runs of this process."""

    def __init__(self, *, store: ResponseStore, model: ChatModel, limits: Limits) -> None:
        self._store = store
        self._model = model
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()
        self._reserved = 0
        self._left = asyncio.Event()
        self._is_draining = False
        self._is_closed = False

    @property
    def limits(self) -> Limits:
        """What this process allows its runs."""
        return self._limits

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """A place for one run, taken before anything is written and held until the run has started, or will not.

        Raises Draining, Overloaded.
        """
        if self._is_draining:
            raise Draining("This replica is leaving. Send the request again; another one will serve it.")
        if len(self._tasks) + self._reserved >= self._limits.max_runs:
            raise Overloaded(f"This replica runs {self._limits.max_runs} answers already. Try again in a moment.")
        self._reserved += 1
        try:
            yield
        finally:
            self._reserved -= 1
            self._left.set()

    def start(self, draft: Draft, admitted: Admitted, messages: Sequence[ModelMessage], *, owner: str) -> Run:
        """Begin the run; it goes on whoever follows it."""
        run = Run(draft, admitted, owner=owner, store=self._store, lease_s=self._limits.lease_s)
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._execute(run, messages), name=admitted.response.id)
        self._tasks.add(task)
        task.add_done_callback(self._leave)
        if self._is_closed:  # it was admitted while the process stopped: it begins, and is stopped like the others
            loop.call_soon(task.cancel)
        return run

    async def _execute(self, run: Run, messages: Sequence[ModelMessage]) -> None:
        structlog.contextvars.bind_contextvars(response_id=run.response.id)
        began = time.perf_counter()
        try:
            await run.execute(self._model, messages, max_run_s=self._limits.max_run_s)
        finally:
            status = run.outcome.response.status if run.outcome else "lost"
            code = run.error.code if run.error else None
            log.info("run_ended", status=status, code=code, took_ms=round((time.perf_counter() - began) * 1000, 1))

    async def drain(self, within_s: float) -> None:
        """Refuse new runs, wait for those under way, and after `within_s` stop them: see `close`."""
        self._is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._tasks or self._reserved:
                    self._left.clear()
                    await self._left.wait()
        await self.close()

    async def close(self) -> None:
        """Stop what is still running: each such response is `failed`, its partial text kept."""
        self._is_draining = self._is_closed = True
        await asyncio.sleep(0)  # a task that is cancelled before its first step never comes to its end
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._left.set()
