"""The measured servers: our replica and two others, on one Valkey and one stand-in, one worker each."""

import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import psutil
from redis import Redis
from typing_extensions import override

from benchmarks.plain_fastapi import API_KEYS, hash_key
from tests.support.processes import ServerProcess
from tests.support.servers import Replica, StandinServer, ValkeyServer, get_status
from tests.support.service import ALICE_KEY, manage, service_environment

# No turn may fail because a loaded machine is slow.
PATIENT = {"MODEL_FIRST_TOKEN_S": "60", "MODEL_SILENCE_S": "60"}


class UvicornServer(ServerProcess):
    """An ASGI application under uvicorn, with our event loop and our parser."""

    def __init__(self, directory: Path, application: str, environment: Mapping[str, str], *options: str) -> None:
        super().__init__(directory)
        self._application = application
        self._environment = environment
        self._options = options

    @override
    def get_command(self) -> list[str]:
        stack = ("--loop", "uvloop", "--http", "httptools", "--workers", "1")
        address = ("--host", "127.0.0.1", "--port", str(self.ports[0]))
        return [sys.executable, "-m", "uvicorn", self._application, *stack, *address, *self._options]

    @override
    def get_environment(self) -> Mapping[str, str]:
        return self._environment

    @override
    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/healthz") == HTTPStatus.OK


@dataclass(frozen=True)
class MeasuredServer:
    name: str
    process: ServerProcess
    key: str = ALICE_KEY

    @property
    def port(self) -> int:
        """Its port on loopback."""
        return self.process.ports[0]

    def get_cpu_s(self) -> float:
        """The CPU seconds its processes have used so far."""
        root = psutil.Process(self.process.pid)
        times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
        return float(sum(used.user + used.system for used in times))

    def compose_request(self, method: str, path: str, body: bytes = b"") -> str:
        """A request as text on the wire."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n"
        about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if method == "POST" else ""
        return f"{head}{about}\r\n{body.decode()}"


@dataclass(frozen=True)
class Servers:
    ours: MeasuredServer
    plain: MeasuredServer
    bare: MeasuredServer
    redis: Redis


@contextmanager
def open_servers(directory: Path) -> Iterator[Servers]:
    """Start everything on free ports, with the same API key on both; stop it at the end."""
    with ExitStack() as stack:
        valkey = stack.enter_context(ValkeyServer(directory / "valkey"))
        standin = stack.enter_context(StandinServer(directory / "standin"))
        environment = service_environment(valkey, standin, directory) | PATIENT
        environment["SECRET_KEY"] = secrets.token_urlsafe(64)
        manage(environment, "migrate", "--verbosity", "0")
        manage(environment, "create_api_key", "alice", "--key", ALICE_KEY)
        redis = stack.enter_context(Redis.from_url(valkey.url))
        redis.hset(API_KEYS, hash_key(ALICE_KEY), "alice")
        model = {name: environment[name] for name in ("REDIS_URL", "OPENAI_BASE_URL", "OPENAI_API_KEY")}
        plain = UvicornServer(directory / "plain", "benchmarks.plain_fastapi:app", model)
        # The bare application writes no log line a request. The other two do, each in its default way.
        bare = UvicornServer(directory / "bare", "benchmarks.bare_asgi:application", {}, "--no-access-log")
        yield Servers(
            ours=MeasuredServer("ours", stack.enter_context(Replica(directory / "ours", environment))),
            plain=MeasuredServer("plain FastAPI", stack.enter_context(plain)),
            bare=MeasuredServer("bare ASGI", stack.enter_context(bare)),
            redis=redis,
        )
