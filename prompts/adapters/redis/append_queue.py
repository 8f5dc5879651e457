"""Appends of all runs of a process, pipelined: one round trip carries the groups of every run that has one.

An append that finds none in flight goes out at once; those that arrive meanwhile go together. No timers.
"""

import asyncio
from collections.abc import Sequence

from prompts.adapters.redis.lua_files import SCRIPTS, Arg, Call
from prompts.adapters.redis.scripts import Scripts, translated_errors

APPEND = SCRIPTS["append"]


class AppendQueue:
    """Calls of `append.lua`, sent together; each caller gets its own answer."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._waiting: list[tuple[Call, asyncio.Future[int]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def append(self, **values: Arg) -> int:
        """Call `append.lua` and return its answer. Raises Unavailable. Cancelled, the append may still be made."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((APPEND.arrange(values), answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="append groups")
        with translated_errors():
            return await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                await self._send_together(waiting)
        finally:
            self._sending = None

    async def _send_together(self, waiting: Sequence[tuple[Call, asyncio.Future[int]]]) -> None:
        try:
            answers = await self._scripts.call_together(APPEND.name, [call for call, _ in waiting])
            for (_, asked), answer in zip(waiting, answers, strict=True):
                _settle(asked, answer)
        finally:
            for _, asked in waiting:
                asked.cancel()  # no effect on those that have their answer; the others will get none


def _settle(asked: asyncio.Future[int], answer: int | Exception) -> None:
    if asked.done():  # the caller was cancelled
        return
    if isinstance(answer, Exception):
        asked.set_exception(answer)
    else:
        asked.set_result(answer)
