"""Real servers as child processes; none outlives the tests, however these end."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self, TypeAlias

from tests.support.warm_python import WarmProcess

REPO_ROOT = Path(__file__).resolve().parents[2]
Process: TypeAlias = subprocess.Popen[bytes] | WarmProcess
# The only variables a server inherits: a developer's REDIS_URL must not change a test.
INHERITED_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SSL_CERT_FILE")
# Below the kernel's range of client ports (32768 on Linux, 49152 on macOS): otherwise a client that keeps calling a
# stopped server could get that server's port, and connect to itself over loopback.
PORTS = range(10_000, 32_768)
# The interval of readiness checks; far shorter than any start.
POLL_S = 0.02
LOG_TAIL_CHARACTERS = 3000


class ServerProcessError(Exception):
    """A server did not start or stop in time. The message ends with the last lines of its log."""


class ServerProcess:
    """A real server, in its own process group, on its own ports. `with` starts it and kills it at the end.

    A subclass says what to run and when it is ready. Calls block: in an async test, wrap them in `asyncio.to_thread`.
    """

    port_count: ClassVar[int] = 1
    # Long, because the machine is shared. A server that dies is noticed at once.
    max_start_s: ClassVar[float] = 60
    max_stop_s: ClassVar[float] = 30

    def __init__(self, directory: Path) -> None:
        """`directory` holds its data and its log; it is created when missing."""
        self.directory = directory
        self.working_directory = REPO_ROOT
        self.log_path = directory / "server.log"
        self.ports: Sequence[int] = ()
        self._process: Process | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def get_command(self) -> list[str]:
        """The command line. `self.ports` are chosen already."""
        raise NotImplementedError

    def get_environment(self) -> Mapping[str, str]:
        """Variables in addition to the inherited ones."""
        return {}

    def spawn(self, environment: Mapping[str, str], log: IO[bytes]) -> Process:
        """Start the process, in a session of its own."""
        return subprocess.Popen(
            self.get_command(),
            cwd=self.working_directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def is_ready(self) -> bool:
        """Called again and again after the start; must return within about a second."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """Known after the first start; the same after each restart."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def log(self) -> str:
        """All its output, over all its starts."""
        return self.log_path.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether the process lives. A frozen process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready. The first start chooses the ports; later starts keep them."""
        assert not self.is_running, "already running"
        if self.ports:
            self._launch()
        else:
            self._launch_on_free_ports(attempts=3)

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same ports and data."""
        if self.is_running:
            self.stop()
        self.start()

    def terminate(self) -> None:
        """Send SIGTERM without waiting. A frozen process is thawed first."""
        self._signal(signal.SIGTERM)
        self.thaw()

    def wait(self, *, within_s: float | None = None) -> int:
        """The exit code. Raises `ServerProcessError` when it does not exit in time."""
        assert self._process is not None, "not started"
        limit_s = self.max_stop_s if within_s is None else within_s
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise ServerProcessError(self._with_log(f"still running after {limit_s} s")) from None

    def stop(self, *, within_s: float | None = None) -> None:
        """Send SIGTERM and wait for the exit. The rest of the group is killed in any case."""
        try:
            self.terminate()
            self.wait(within_s=within_s)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole group, as when a machine dies. Harmless when nothing is left."""
        if self._process is None:
            return
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._dismiss_guard()

    def freeze(self) -> None:
        """SIGSTOP, as when a machine hangs: connections stay open and nobody answers. Returns when it has stopped."""
        self._signal_group(signal.SIGSTOP)
        if isinstance(self._process, WarmProcess):
            self._process.wait_stopped()
        else:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """SIGCONT: it continues."""
        self._signal_group(signal.SIGCONT)

    def _launch(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        with self.log_path.open("ab") as log:
            self._process = self.spawn(inherited | dict(self.get_environment()), log)
        self._guard = _start_guard(self._process.pid)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def _launch_on_free_ports(self, *, attempts: int) -> None:
        self.ports = find_free_ports(self.port_count)
        try:
            self._launch()
        except ServerProcessError:
            # Another process may have taken a port since the check.
            if attempts == 1 or "in use" not in self.log.lower():
                raise
            self._launch_on_free_ports(attempts=attempts - 1)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.max_start_s
        while not self.is_ready():
            if not self.is_running:
                raise ServerProcessError(self._with_log("ended instead of starting"))
            if time.monotonic() > deadline:
                raise ServerProcessError(self._with_log(f"not ready after {self.max_start_s} s"))
            time.sleep(POLL_S)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not started"
        self._process.send_signal(number)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _dismiss_guard(self) -> None:
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    def _with_log(self, sentence: str) -> str:
        return f"{type(self).__name__} {sentence}; its log ends:\n{self.log[-LOG_TAIL_CHARACTERS:]}"


def find_free_ports(count: int) -> list[int]:
    """Different free ports on loopback. A later collision shows when the server starts."""
    ports: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(ports) == count:
            break
        with closing(socket.socket()) as candidate, suppress(OSError):
            candidate.bind(("127.0.0.1", port))
            ports.append(port)
    return ports


def _start_guard(group: int) -> subprocess.Popen[bytes]:
    """Kill `group` when this process ends, even by SIGKILL: the guard then reads the end of our pipe.

    A parent-death signal would not do: it is tied to the thread that starts the server, and forked workers do not
    inherit it.
    """
    return subprocess.Popen(
        ["sh", "-c", 'read -r _; kill -s KILL -- "-$0"', str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
