"""A process that `make run` starts: its specification, and its life in a process group of its own."""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.console import Console
from launcher.errors import CannotRunError

PROJECT_DIR = Path(__file__).resolve().parent.parent
# Lines shown of a process that died: enough for the end of a traceback.
LAST_LINES = 12
# The pipe ends with the last process that holds it. The limit is for a process that left the group.
MAX_READ_AFTER_EXIT_S = 2.0
READY_POLL_S = 0.05


async def _is_ready_at_once() -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One process to start. `is_ready` must not raise; it is called again and again, for `max_start_s` at most."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]] = _is_ready_at_once
    max_start_s: float = 60.0
    # Time from SIGTERM to SIGKILL in an orderly stop.
    grace_s: float = 10.0
    # A task may exit with 0. A server that exits has died.
    is_task: bool = False


class ChildProcess:
    """A started process. Its lines go to the console; `exited` is done when the group's first process exits."""

    def __init__(self, spec: ProcessSpec, process: asyncio.subprocess.Process, console: Console, output: int) -> None:
        self.spec = spec
        self.group = process.pid
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.exited = asyncio.create_task(process.wait())
        self._console = console
        self._reader = asyncio.create_task(self._read(output))

    async def wait_ready(self) -> None:
        """Return when it is ready or has exited. Raises `CannotRunError` after `max_start_s`."""
        try:
            async with asyncio.timeout(self.spec.max_start_s):
                while not self.exited.done() and not await self.spec.is_ready():
                    await asyncio.wait({self.exited}, timeout=READY_POLL_S)
        except TimeoutError:
            raise CannotRunError(
                f"{self.spec.name} was not ready after {self.spec.max_start_s:.0f} s; its lines are above."
            ) from None

    async def describe_death(self) -> str:
        """How it exited, and its last lines."""
        await self.finish_reading()
        said = "".join(f"\n    {line}" for line in self.last_lines) or " nothing"
        return f"{self.spec.name} died ({describe_exit(self.exited.result())}). The last it said:{said}"

    async def stop(self, grace_s: float, kill_now: asyncio.Event) -> None:
        """Send SIGTERM; send SIGKILL after `grace_s`, or when `kill_now` is set.

        Nothing of the group is left afterwards.
        """
        if not self.exited.done():
            self.signal(signal.SIGTERM)
            killing = asyncio.create_task(kill_now.wait())
            done, _ = await asyncio.wait({self.exited, killing}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            killing.cancel()
            if self.exited not in done:
                self._console.line(self.spec.name, "(still busy: killed)")
        self.signal(signal.SIGKILL)
        await self.exited
        await self.finish_reading()

    async def finish_reading(self) -> None:
        """Read the lines it wrote before it exited."""
        await asyncio.wait({self._reader}, timeout=MAX_READ_AFTER_EXIT_S)
        self._reader.cancel()

    def signal(self, number: signal.Signals) -> None:
        """Signal every process of the group that is still there."""
        try:
            os.killpg(self.group, number)
        except ProcessLookupError:
            return

    async def _read(self, output: int) -> None:
        reader = asyncio.StreamReader()
        with os.fdopen(output, "rb") as pipe:
            await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
            rest = b""
            while data := await reader.read(65536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._take_line(line)
            if rest:
                self._take_line(rest)

    def _take_line(self, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace").rstrip()
        self.last_lines.append(text)
        self._console.line(self.spec.name, text)


async def start_process(spec: ProcessSpec, console: Console) -> ChildProcess:
    """Start the process in a session of its own. Ctrl-C then reaches `make run` only, which stops all in order."""
    # Our own pipe. With asyncio's, `process.wait()` would also wait for every process that inherited the pipe.
    output, child_output = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=child_output,
            stderr=child_output,
            env=dict(spec.environment),
            cwd=PROJECT_DIR,
            start_new_session=True,
        )
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(child_output)
    return ChildProcess(spec, process, console, output)


def describe_exit(status: int) -> str:
    """`killed by SIGKILL`, or `exit code 1`."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
