"""All runs of a process: the process owns them, readers only follow."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from prompts.domain import ModelInput, ModelMessage
from prompts.errors import Draining, Overloaded
from prompts.ports import Admitted, ChatModel, Draft, ResponseStore
from prompts.run import Run

log = structlog.get_logger(__name__)


Release: TypeAlias = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process allows its runs."""

    max_runs: int
    max_run_s: float
    lease_s: float


class Runner:
    """All runs of this process."""

    def __init__(
        self,
        *,
        store: ResponseStore,
        model: ChatModel,
        limits: Limits,
        release: Release,
        check_storage: Callable[[], None],
    ) -> None:
        """`release` is awaited with the id of a response that was let go, once the model's connection is closed.

        `check_storage` raises StorageFull when no run may begin.
        """
        self._release = release
        self._check_storage = check_storage
        self._store = store
        self._model = model
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()
        self._runs: dict[str, Run] = {}
        self._releases: set[asyncio.Future[None]] = set()
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

        Raises Draining, StorageFull, Overloaded.
        """
        if self._is_draining:
            raise Draining("This replica is leaving. Send the request again; another one will serve it.")
        self._check_storage()
        if len(self._tasks) + self._reserved >= self._limits.max_runs:
            raise Overloaded(f"This replica runs {self._limits.max_runs} answers already. Try again in a moment.")
        self._reserved += 1
        try:
            yield
        finally:
            self._reserved -= 1
            self._left.set()

    def find(self, response_id: str) -> Run | None:
        """The run of this response, while this process writes it."""
        return self._runs.get(response_id)

    def let_go(self, response_id: str) -> None:
        """Stop writing this response, which is another's from now on; says so when the model's connection is closed."""
        run, task = self._runs.get(response_id), self._find_task(response_id)
        if run is None or task is None:  # it has found out by itself that it may not write, and is gone already
            self._keep(self._release(response_id))
            return
        if not run.is_let_go:  # a second cancellation would meet it while it closes the connection
            run.let_go()
            asyncio.get_running_loop().call_soon(task.cancel)  # not before its first step, or it never came to its end

    def start(
        self,
        draft: Draft,
        admitted: Admitted,
        messages: Sequence[ModelMessage],
        *,
        owner: str,
        model_input: ModelInput,
    ) -> Run:
        """Begin the run; it goes on whoever follows it."""
        run = Run(
            draft, admitted, owner=owner, store=self._store, lease_s=self._limits.lease_s, model_input=model_input
        )
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._execute(run, messages), name=admitted.response.id)
        self._tasks.add(task)
        self._runs[admitted.response.id] = run
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
            status = run.outcome.response.status if run.outcome else "let_go" if run.is_let_go else "lost"
            code = run.error.code if run.error else None
            log.info("run_ended", status=status, code=code, took_ms=round((time.perf_counter() - began) * 1000, 1))
            if run.is_let_go:
                del self._runs[run.response.id]  # from here on, whoever asks is told at once
                await self._release(run.response.id)

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

    def _keep(self, work: Awaitable[None]) -> None:
        """Let it run to its end; asyncio itself keeps only a weak reference to a task."""
        task = asyncio.ensure_future(work)
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    def _find_task(self, response_id: str) -> asyncio.Task[None] | None:
        return next((task for task in self._tasks if task.get_name() == response_id), None)

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._runs.pop(task.get_name(), None)
        self._left.set()
