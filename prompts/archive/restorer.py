"""Restores what Redis has let go when somebody asks for it: the one cold path that reads SQL for a client.

A deleted one does not come back: the archive has lost it too, or does not know yet, and then nothing is restored.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog
from django.db import DatabaseError, InterfaceError

from prompts.archive.families import find_family, read_items, read_responses
from prompts.domain import ids
from prompts.errors import Unavailable
from prompts.ports.restoring import Family, Restoring
from prompts.sql_calls import call_and_close

log = structlog.get_logger(__name__)

Value = TypeVar("Value")

# Of a process. A look for an id takes a millisecond.
MAX_THREADS = 2
# How long a request waits for it; what was begun goes on.
MAX_WAIT_S = 10.0
RESPONSES_A_SLICE = 20
RESTORING = "This conversation is being restored. Try again in a moment."


class ArchiveRestorer:
    """`Restorer` from the archive; `close` it when nobody asks any more."""

    def __init__(self, store: Restoring, *, retention_s: int) -> None:
        """`retention_s` is how long nothing is let go: younger ids are not looked for."""
        self._store = store
        self._retention_ms = retention_s * 1000
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="restore")
        self._tasks: dict[tuple[str, str], asyncio.Task[bool]] = {}

    def close(self) -> None:
        """What has begun is given up: it is erased by itself."""
        for task in self._tasks.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def restore(self, public_id: str, *, owner: str) -> bool:
        """See `Restorer.restore`."""
        if ids.get_time_ms(public_id) + self._retention_ms > time.time() * 1000:
            return False
        asked = (public_id, owner)
        task = self._tasks.get(asked)
        if task is None:  # requests for the same wait together
            task = self._tasks[asked] = asyncio.create_task(self._restore(public_id, owner))
            task.add_done_callback(lambda _: self._tasks.pop(asked, None))
        done, _ = await asyncio.wait({task}, timeout=MAX_WAIT_S)
        if not done:
            raise Unavailable(RESTORING, retry_after_s=5)
        return task.result()

    async def _restore(self, public_id: str, owner: str) -> bool:
        family = await self._ask(partial(find_family, public_id, owner=owner))
        if family is None:
            return False
        token = secrets.token_hex(8)
        match await self._store.begin(family, public_id, token=token):
            case "there":
                return True
            case "gone":
                return False
            case "busy":
                raise Unavailable(RESTORING, retry_after_s=1)
        began = time.monotonic()
        size = await self._write(family, token)
        if not await self._store.finish(family, token=token, size=size):
            raise Unavailable(RESTORING, retry_after_s=1)
        took_ms = round((time.monotonic() - began) * 1000)
        log.info("restored", subject=public_id, responses=len(family.responses), took_ms=took_ms)
        return True

    async def _write(self, family: Family, token: str) -> int:
        """Returns how many bytes it takes."""
        size, root = 0, family.roots[0]
        await self._store.put_timelines(family, token=token)
        for timeline in family.timelines:
            after = 0
            while items := await self._ask(partial(read_items, timeline.id, after=after)):
                size += await self._store.put_items(timeline.id, items, root=root, token=token)
                after = items[-1].position
        for start in range(0, len(family.responses), RESPONSES_A_SLICE):
            some = family.responses[start : start + RESPONSES_A_SLICE]
            records = await self._ask(partial(read_responses, some))
            size += await self._store.put_responses(records, root=root, token=token)
        return size

    async def _ask(self, call: Callable[[], Value]) -> Value:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call_and_close, call))
        except (DatabaseError, InterfaceError) as exc:
            log.warning("not_restored", reason=type(exc).__name__)
            raise Unavailable("The archive cannot be reached right now. Try again in a moment.") from exc
