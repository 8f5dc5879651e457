"""SQL for the API, in threads of its own: a slow database keeps those waiting who ask it, and nobody else."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import structlog
from django.db import DatabaseError, InterfaceError

from prompts.errors import Unavailable
from prompts.sql_calls import call_and_close

log = structlog.get_logger(__name__)

Value = TypeVar("Value")


class SqlThreads:
    """Some threads, and with them connections, for calls of one kind."""

    def __init__(self, name: str, max_threads: int, *, max_call_s: float) -> None:
        """Waiting for a thread counts as part of a call. One that takes longer may still come to its end."""
        self._threads = ThreadPoolExecutor(max_threads, thread_name_prefix=name)
        self._max_call_s = max_call_s

    def close(self) -> None:
        """No more calls; those that have begun come to their end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(self, call: Callable[[], Value]) -> Value:
        """What the call returns. Raises Unavailable, and what it raises itself."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._max_call_s):
                return await loop.run_in_executor(self._threads, partial(_call, call))
        except TimeoutError:
            raise Unavailable(f"The database gave no answer within {self._max_call_s:g} s. Try again later.") from None


def _call(call: Callable[[], Value]) -> Value:
    with translated_errors():
        return call_and_close(call)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the database's errors as ours; its words reach the logs only."""
    try:
        yield
    except (DatabaseError, InterfaceError) as exc:
        log.warning("database_failed", reason=type(exc).__name__)
        raise Unavailable("The database cannot be reached right now. Try again in a moment.") from exc
