"""Starts processes in order and stops them in reverse; a signal, or the first that dies, stops them all.

This is our own code because no process manager on PyPI does what `make run` promises (tried, 2026-11):

* honcho 2.0 stops everything at once (Valkey was gone while gunicorn still drained) and kills after a fixed 5 s.
  SIGHUP or SIGKILL of the manager leaves the children behind.
* circus 0.19 also sends SIGTERM to all at once, in spite of its priorities. It only logs a crash without respawn.
  SIGKILL leaves the children behind. It brings pyzmq, tornado and a control socket.
* supervisor 4.3 stops in order, as the only one. But a crash does not end it, SIGHUP restarts everything, and SIGKILL
  leaves the children behind.

None of them waits until a process is ready before it starts the next.
"""

import asyncio
import math
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from launcher.child_environments import choose_for_any
from launcher.child_process import ChildProcess, ProcessSpec, start_process
from launcher.console import Console
from launcher.errors import CannotRunError
from launcher.stop_requests import watch_stop_requests

# Grace for each process after a crash: nobody waits for its answers then.
MAX_CRASH_STOP_S = 5.0
# The reaper has nothing left to stop here; the limit is for a very busy machine.
MAX_REAPER_S = 10.0


class Supervisor:
    """The running processes, oldest first. `_ended` holds the process that died, or None when asked to stop."""

    def __init__(self, console: Console, reaper: subprocess.Popen[bytes]) -> None:
        self._console = console
        self._reaper = reaper
        self._running: list[ChildProcess] = []
        self._ended: asyncio.Future[ChildProcess | None] = asyncio.get_running_loop().create_future()
        self._kill_now = asyncio.Event()

    async def start(self, spec: ProcessSpec) -> ChildProcess:
        """Start a process; from now on its death ends everything."""
        running = await start_process(spec, self._console)
        self._running.append(running)
        self._tell_reaper(f"+ {running.group} {MAX_CRASH_STOP_S}")
        running.exited.add_done_callback(lambda exited: self._on_exit(running, exited.result()))
        return running

    async def run_until_stopped(self, start_all: Awaitable[None]) -> None:
        """Run `start_all`, which starts the processes; return when asked to stop.

        Raises `CannotRunError` when a process died, and what `start_all` raises. It stops no process: see `stop_all`.
        """
        opening = asyncio.ensure_future(start_all)
        both: set[asyncio.Future[None] | asyncio.Future[ChildProcess | None]] = {opening, self._ended}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
        elif opening.cancel():
            await asyncio.wait({opening})
        died = await self._ended
        if died:
            # gunicorn's workers outlive a killed master and keep its output pipe open.
            died.signal(signal.SIGKILL)
            raise CannotRunError(await died.describe_death())

    def ask_to_stop(self, reason: str) -> None:
        """The first request: stop in order. SIGINT after that: kill the process that is being waited for.

        Only SIGINT, because one cause can bring several of the others: a closed terminal sends one or two SIGHUPs.
        """
        if not self._ended.done():
            self._console.say(f"{reason}: stopping. Ctrl-C kills what is still busy.")
            self._ended.set_result(None)
        elif reason == signal.SIGINT.name:
            self._kill_now.set()

    async def stop_all(self, max_grace_s: float) -> None:
        """Stop the processes in reverse order."""
        for running in reversed(self._running):
            self._kill_now.clear()
            await running.stop(min(max_grace_s, running.spec.grace_s), self._kill_now)
            self._tell_reaper(f"- {running.group}")

    def _on_exit(self, running: ChildProcess, status: int) -> None:
        is_done_well = running.spec.is_task and status == 0
        if not is_done_well and not self._ended.done():
            self._ended.set_result(running)

    def _tell_reaper(self, line: str) -> None:
        assert self._reaper.stdin
        # A killed reaper matters only when this process is killed too; go on without it.
        with suppress(BrokenPipeError):
            self._reaper.stdin.write(f"{line}\n".encode())


async def supervise(console: Console, lock_fd: int, start_all: Callable[[Supervisor], Awaitable[None]]) -> None:
    """Run what `start_all` starts until asked to stop. Nothing is left running, whatever happens.

    Raises `CannotRunError` when a process died or did not become ready. `lock_fd` stays open until the last process has
    stopped.
    """
    with _open_reaper(lock_fd) as reaper:
        supervisor = Supervisor(console, reaper)
        with watch_stop_requests(supervisor.ask_to_stop):
            grace_s = MAX_CRASH_STOP_S
            try:
                await supervisor.run_until_stopped(start_all(supervisor))
                grace_s = math.inf
            finally:
                await supervisor.stop_all(grace_s)


@contextmanager
def _open_reaper(lock_fd: int) -> Iterator[subprocess.Popen[bytes]]:
    reaper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("orphan_reaper.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=dict(choose_for_any()),
        pass_fds=[lock_fd],
        start_new_session=True,
    )
    try:
        yield reaper
    finally:
        assert reaper.stdin
        reaper.stdin.close()
        reaper.wait(MAX_REAPER_S)
