"""Python processes that begin with packages imported already: a start of the service costs half as much.

A process without threads imports what reads no environment: packages of others, and our core, which knows no settings.
Each program is a fork of it. From there on everything is as after `python -m …`: its directory, environment, arguments,
output, session and signals are its own, and it imports and reads the settings by itself.

The shared service of a run starts without it, as in production, and so does a release: `Replica.spawn`.
"""

import atexit
import gc
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from pkgutil import walk_packages
from tempfile import TemporaryFile
from typing import IO, Any
from weakref import finalize

REPO_ROOT = Path(__file__).resolve().parents[2]
# What takes time to import. What fails without settings is not among them.
PACKAGES = (
    "channels.generic.websocket",
    "django.contrib.contenttypes.apps",
    "django.contrib.messages.middleware",
    "django.core.asgi",
    "django.core.management",
    "django.db.backends.sqlite3.base",
    "django.views.csrf",
    "dmr.openapi.views",
    "dmr.options_mixins",
    "dmr.routing",
    "gunicorn.app.wsgiapp",
    "gunicorn.glogging",
    "openai",
    "redis.asyncio",
    "structlog",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn_worker",
    "uvloop",
    "whitenoise.middleware",
)
# import-linter sees to it that these import no framework and no driver.
CORE = ("usecases", "run", "knowledge", "history", "answer", "ports", "errors", "domain")
# It reads its environment when it is imported.
NOT_YET = "prometheus_client"
POLL_S = 0.01
# Of a wait without a limit: whoever waits so has killed it.
MAX_WAIT_S = 600.0


@dataclass(frozen=True)
class Program:
    """What a process is to be: `arguments` as after `python`, with `-m` and a module, or with a file."""

    arguments: Sequence[str]
    directory: str
    environment: Mapping[str, str]


class WarmProcess:
    """A started program, as `subprocess.Popen` would have it."""

    def __init__(self, starter: "Starter", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._starter = starter
        # Whether it runs is asked thousands of times: where the kernel tells it, the other process is left alone.
        self._ending = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        if self._ending is not None:
            finalize(self, os.close, self._ending)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.returncode is None and self._may_have_ended(0):
            self.returncode = self._starter.ask("poll", self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises `subprocess.TimeoutExpired`."""
        deadline = time.monotonic() + (MAX_WAIT_S if timeout is None else timeout)
        while (code := self.poll()) is None:
            left_s = deadline - time.monotonic()
            if left_s < 0:
                raise subprocess.TimeoutExpired("a warm process", timeout or MAX_WAIT_S)
            self._may_have_ended(left_s)
        return code

    def _may_have_ended(self, within_s: float) -> bool:
        if self._ending is None:
            time.sleep(min(within_s, POLL_S))
            return True
        ending = select.poll()
        ending.register(self._ending, select.POLLIN)
        return bool(ending.poll(within_s * 1000))

    def wait_stopped(self) -> None:
        """Return when SIGSTOP has stopped it, or it has ended."""
        self._starter.ask("wait_stopped", self.pid)

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Starter:
    """The process that is forked. It ends when this process does, and what it started goes on."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        self._lock = threading.Lock()
        command = [sys.executable, "-m", "tests.support.warm_python", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command, cwd=REPO_ROOT, env=_inherited(), stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )
        theirs.close()

    def start(self, program: Program, *, output: IO[bytes], errors: IO[bytes]) -> WarmProcess:
        """Start it in a session of its own."""
        with self._lock:
            self._connection.send(("start", program))
            for file in (output, errors):
                send_handle(self._connection, file.fileno(), self._process.pid)
            return WarmProcess(self, self._connection.recv())

    def run(self, program: Program, *, timeout: float) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` does: wait for its end, capture what it says."""
        with TemporaryFile() as output, TemporaryFile() as errors:
            process = self.start(program, output=output, errors=errors)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                raise
            said = [(file.seek(0), file.read().decode())[1] for file in (output, errors)]
        return subprocess.CompletedProcess(program.arguments, code, *said)

    def ask(self, question: str, pid: int) -> int | None:
        """About a process that it has started."""
        with self._lock:
            self._connection.send((question, pid))
            answer: int | None = self._connection.recv()
            return answer

    def close(self) -> None:
        """End it."""
        self._connection.close()
        self._process.wait()


@cache
def get_starter() -> Starter:
    """Of this process."""
    starter = Starter()
    atexit.register(starter.close)
    return starter


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")}


def main() -> None:
    """Import, then serve until the other side is gone; as a forked program, run."""
    gc.disable()  # nothing goes away here
    connection = Connection(int(sys.argv[1]))
    import_packages()
    assert threading.active_count() == 1, "a thread would be missing in a fork"
    gc.freeze()
    program = serve(connection)
    if program is not None:
        gc.enable()
        run(program)


def import_packages() -> None:
    """What has to be imported later raises ImportError here."""
    import config  # noqa: F401 -- from here on imports leave out what the service does not use

    modules: dict[str, Any] = sys.modules  # None forbids an import
    modules[NOT_YET] = None
    for name in PACKAGES:
        import_module(name)
    for name in CORE:
        package = import_module(f"prompts.{name}")
        for module in walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
            import_module(module.name)
    del modules[NOT_YET]


def serve(connection: Connection) -> Program | None:
    """Fork a process for each program. Returns the program in its process, and None at the end."""
    codes: dict[int, int] = {}
    while True:
        try:
            question, subject = connection.recv()
        except EOFError:
            return None
        if question == "poll":
            connection.send(find_code(subject, codes))
        elif question == "wait_stopped":
            if find_code(subject, codes) is None:
                os.waitid(os.P_PID, subject, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            connection.send(None)
        else:
            files = [recv_handle(connection) for _ in ("output", "errors")]
            if not os.fork():
                enter(subject, files, connection)
                return subject  # type: ignore[no-any-return]  # what came over a pipe has no type
            for file in files:
                os.close(file)


def find_code(pid: int, codes: dict[int, int]) -> int | None:
    """The exit code of a forked process, or None while it runs. The kernel tells it once, and several may ask."""
    if pid not in codes:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            codes[pid] = os.waitstatus_to_exitcode(status)
    return codes.get(pid)


def enter(program: Program, files: Sequence[int], connection: Connection) -> None:
    """Give this process what a program of its own has."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for there, number in zip((nothing, *files), (0, 1, 2), strict=True):
        os.dup2(there, number)
        os.close(there)
    os.chdir(program.directory)
    os.environ.clear()
    os.environ.update(program.environment)
    connection.send(os.getpid())
    connection.close()


def run(program: Program) -> None:
    """As `python` does with these arguments."""
    first, *rest = program.arguments
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(line_buffering=True)
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    main()
