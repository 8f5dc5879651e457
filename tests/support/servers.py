"""The real servers of the tests: Valkey, its Sentinel, Weaviate, the stand-in model, and our own replica."""

import asyncio
import http.client
import inspect
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, TypeVar, overload

from redis import Redis
from redis.exceptions import RedisError
from typing_extensions import override

from launcher.valkey import Fsync, get_valkey_server, valkey_command
from launcher.weaviate import WeaviatePorts, weaviate_command, weaviate_environment
from tests.support.processes import POLL_S, REPO_ROOT, Process, ServerProcess
from tests.support.warm_python import Program, get_starter

# After `python`: the production command.
GUNICORN = ("-m", "gunicorn", "-c", "config/gunicorn.py", "config.asgi:application")

# The limit of one readiness check: long for loopback, short beside every start limit.
PROBE_LIMIT_S = 1.0
Value = TypeVar("Value")


class ValkeyServer(ServerProcess):
    """A Valkey with an append-only file. `arguments` are added to its command line: `("--maxmemory", "10mb")`."""

    def __init__(self, directory: Path, *, appendfsync: Fsync = "everysec", arguments: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self._appendfsync: Fsync = appendfsync
        self._arguments = arguments

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    @override
    def url(self) -> str:
        """For `REDIS_URL`: database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def cache_url(self) -> str:
        """For `CACHE_URL`: another database of the same server."""
        return f"redis://127.0.0.1:{self.port}/1"

    @override
    def get_command(self) -> list[str]:
        return [*valkey_command(self.port, self.directory, appendfsync=self._appendfsync), *self._arguments]

    @override
    def is_ready(self) -> bool:
        try:
            with closing(socket.create_connection(("127.0.0.1", self.port), PROBE_LIMIT_S)) as connection:
                connection.sendall(b"PING\r\n")
                # While it loads its file it answers `-LOADING`.
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


@dataclass(frozen=True)
class WeaviateAddress:
    """The address of a Weaviate, as the settings have it."""

    url: str
    grpc_port: int


class WeaviateServer(ServerProcess):
    """A Weaviate of one node; ready about 3 s after its start."""

    port_count = 6

    def __init__(self, directory: Path, server: Path) -> None:
        """`server` is the path of the binary."""
        super().__init__(directory)
        self._server = server

    @property
    def grpc_port(self) -> int:
        """For `WEAVIATE_GRPC_PORT`."""
        return self._ports.grpc

    @property
    def address(self) -> WeaviateAddress:
        return WeaviateAddress(self.url, self.grpc_port)

    @property
    def _ports(self) -> WeaviatePorts:
        return WeaviatePorts(*self.ports)

    @override
    def get_command(self) -> list[str]:
        return weaviate_command(self._server, self._ports)

    @override
    def get_environment(self) -> Mapping[str, str]:
        return weaviate_environment(self._ports, self.directory / "data")

    @override
    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/v1/.well-known/ready") == 200


class StandinServer(ServerProcess):
    """The stand-in model."""

    @property
    def base_url(self) -> str:
        """For `OPENAI_BASE_URL`."""
        return f"{self.url}/v1"

    @override
    def get_command(self) -> list[str]:
        address = ("--host", "127.0.0.1", "--port", str(self.ports[0]))
        return [sys.executable, "-m", "uvicorn", "standin.app:app", *address]

    @override
    def get_environment(self) -> Mapping[str, str]:
        return {"PYTHONUNBUFFERED": "1"}

    @override
    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/healthz") == 200


class Replica(ServerProcess):
    """Our service, started with the production command; ready when `/healthz` answers.

    `environment` names what it depends on (`REDIS_URL`, …) and may replace the defaults below. `kill()` kills the
    master and its workers, as when a pod's machine dies.
    """

    port_count = 2
    # Whether packages are imported already when it starts: see `tests/support/warm_python.py`.
    is_warm: ClassVar[bool] = True
    # From the end of a drain to the end of the process.
    max_exit_s: ClassVar[float] = 5

    def __init__(self, directory: Path, environment: Mapping[str, str], *, source: Path = REPO_ROOT) -> None:
        """`source` is the directory of the code, of the working tree or of a release."""
        super().__init__(directory)
        self.working_directory = source
        self._environment = environment

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def metrics_url(self) -> str:
        """Where its master serves the metrics of its workers."""
        return f"http://127.0.0.1:{self.ports[1]}/metrics"

    @override
    def get_command(self) -> list[str]:
        return [sys.executable, *GUNICORN]

    @override
    def spawn(self, environment: Mapping[str, str], log: IO[bytes]) -> Process:
        """A release has a core of its own, which is not imported yet, and what is no gunicorn its own order."""
        _, *arguments = self.get_command()
        if not self.is_warm or self.working_directory != REPO_ROOT or tuple(arguments) != GUNICORN:
            return super().spawn(environment, log)
        program = Program(arguments, directory=str(REPO_ROOT), environment=environment)
        return get_starter().start(program, output=log, errors=log)

    @override
    def get_environment(self) -> Mapping[str, str]:
        defaults = {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "METRICS_PORT": str(self.ports[1]),
            "WORKERS": "1",
            "SECRET_KEY": "a key for tests, which protects nothing",
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "DATA_DIR": str(self.directory),
            "DATABASE_URL": f"sqlite:///{self.directory / 'db.sqlite3'}",
            "PYTHONUNBUFFERED": "1",
        }
        return defaults | dict(self._environment)

    @override
    def is_ready(self) -> bool:
        return get_status(self.port, "/healthz") == 200


class ColdReplica(Replica):
    """The same, started from nothing, as in production."""

    is_warm = False


def replica_arguments(master: ValkeyServer) -> tuple[str, ...]:
    """The arguments that make a `ValkeyServer` an asynchronous replica of another."""
    return ("--replicaof", "127.0.0.1", str(master.port))


class SentinelServer(ServerProcess):
    """One Sentinel, quorum 1, that replaces its master quickly; ready when it knows a synced replica.

    It rewrites its own configuration file, so it remembers its master over a restart.
    """

    # With capitals, because Sentinels are case-sensitive.
    service = "EpsMaster"
    # Longer than the pauses of a busy machine, but short enough to wait for.
    down_after_ms = 1000
    failover_timeout_ms = 4000

    def __init__(self, directory: Path, master: ValkeyServer) -> None:
        """`master` is the first master. It and its replica must run."""
        super().__init__(directory)
        self._master = master

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    @override
    def url(self) -> str:
        """For `REDIS_URL`: database 0."""
        return f"redis+sentinel://127.0.0.1:{self.port}/{self.service}/0"

    @property
    def cache_url(self) -> str:
        """For `CACHE_URL`: another database of the same master."""
        return f"redis+sentinel://127.0.0.1:{self.port}/{self.service}/1"

    @override
    def get_command(self) -> list[str]:
        path = self.directory / "sentinel.conf"
        if not path.exists():
            path.write_text(self._compose_configuration())
        return [str(get_valkey_server()), str(path), "--sentinel"]

    @override
    def is_ready(self) -> bool:
        try:
            with closing(Redis(port=self.port, socket_timeout=PROBE_LIMIT_S)) as sentinel:
                replicas = sentinel.sentinel_slaves(self.service)
        except RedisError:
            return False
        return any(replica["master-link-status"] == "ok" for replica in replicas)

    def get_master_port(self) -> int:
        """The port of the current master; during a fail-over still the old one."""
        with closing(Redis(port=self.port, socket_timeout=PROBE_LIMIT_S)) as sentinel:
            master: Any = sentinel.sentinel_master(self.service)
        return int(master["port"])

    def _compose_configuration(self) -> str:
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.directory}",
            f"sentinel monitor {self.service} 127.0.0.1 {self._master.port} 1",
            f"sentinel down-after-milliseconds {self.service} {self.down_after_ms}",
            f"sentinel failover-timeout {self.service} {self.failover_timeout_ms}",
        ]
        return "\n".join(lines) + "\n"


def find_configured_weaviate() -> WeaviateAddress | None:
    """The Weaviate in `WEAVIATE_URL`, for example a container in CI."""
    url = os.environ.get("WEAVIATE_URL")
    # 50051 is Weaviate's own default.
    return WeaviateAddress(url, int(os.environ.get("WEAVIATE_GRPC_PORT") or 50051)) if url else None


def get_status(port: int, path: str) -> int | None:
    """The HTTP status of `path` on loopback, or None without an answer within `PROBE_LIMIT_S`."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_LIMIT_S)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


@overload
async def eventually(check: Callable[[], Awaitable[Value]], *, within_s: float = 10) -> Value: ...


@overload
async def eventually(check: Callable[[], Value], *, within_s: float = 10) -> Value: ...


async def eventually(check: Callable[[], object], *, within_s: float = 10) -> object:
    """The first true result of `check`: for conditions that have no event to wait for, such as in another process.

    A check that raises counts as not true yet. Its error is the cause of the final AssertionError.
    """
    deadline = time.monotonic() + within_s
    while True:
        error: Exception | None = None
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                result = check()
                value: object = await result if inspect.isawaitable(result) else result
            if value:
                return value
        except Exception as raised:  # noqa: BLE001 -- becomes the cause of the final error
            error = raised
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {within_s} s") from error
        await asyncio.sleep(POLL_S)
