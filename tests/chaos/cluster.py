"""The servers under chaos: one Valkey, one model, and replicas."""

import itertools
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.support.processes import REPO_ROOT
from tests.support.servers import Replica, StandinServer, ValkeyServer
from tests.support.service import ALICE_KEY, manage, service_environment

# No answer may fail because a loaded machine is slow: the model's limits are not tested here.
LONG_MODEL_LIMITS = {"MODEL_FIRST_TOKEN_S": "60", "MODEL_SILENCE_S": "60", "WORKERS": "2"}
# gunicorn's line about a worker that we killed, and uvicorn's about a stream that was aborted on purpose.
EXPECTED_ERRORS = re.compile(r"Worker \(pid:\d+\) was sent SIGKILL|ASGI callable returned without completing response")


class Cluster:
    """The servers; `with` starts them and kills them at the end."""

    def __init__(
        self, directory: Path, *, replicas: int, settings: Mapping[str, str], source: Path = REPO_ROOT
    ) -> None:
        """`settings` are added to the replicas' environment; `source` is the directory of the code they run."""
        self._directory = directory
        self._source = source
        self._settings = settings
        self._count = replicas
        self._servers = ExitStack()
        self.valkey = ValkeyServer(directory / "valkey")
        self.standin = StandinServer(directory / "standin")
        self.environment: dict[str, str] = {}
        # `replicas` should be up; `all_replicas` has the replaced ones too.
        self.replicas: list[Replica] = []
        self.all_replicas: list[Replica] = []
        self.numbers = itertools.count(1)
        self._log_offsets: dict[Replica, int] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.valkey)
            stack.enter_context(self.standin)
            self.environment = {
                **service_environment(self.valkey, self.standin, self._directory),
                "SECRET_KEY": secrets.token_urlsafe(64),
                **LONG_MODEL_LIMITS,
                **self._settings,
            }
            self.deploy(self._source)
            manage(self.environment, "create_api_key", "alice", "--key", ALICE_KEY, source=self._source)
            self._servers = stack.pop_all()
        for _ in range(self._count):
            self.build_replica()
        return self

    def __exit__(self, *_: object) -> None:
        for replica in self.all_replicas:
            replica.kill()
        self._servers.close()

    def deploy(self, source: Path) -> None:
        """Migrate with the code in this directory. Replicas built from now on run it; the others are left alone."""
        manage(self.environment, "migrate", "--verbosity", "0", source=source)
        self._source = source

    def build_replica(self) -> Replica:
        """Add a replica without starting it."""
        replica = self.make_replica(self._directory / f"replica-{len(self.all_replicas) + 1}")
        self.replicas.append(replica)
        self.all_replicas.append(replica)
        return replica

    def make_replica(self, directory: Path) -> Replica:
        """A replica of this cluster, not started. A subclass may run it in another way."""
        return Replica(directory, self.environment, source=self._source)

    def list_ports(self) -> list[int]:
        """The ports of all running replicas, ready or not."""
        return [replica.port for replica in self.all_replicas if replica.ports and replica.is_running]

    def skip_logs_so_far(self) -> None:
        """Ignore what has been logged until now."""
        self._log_offsets = {replica: replica.log_path.stat().st_size for replica in self.all_replicas if replica.ports}

    def list_logged(self, event: str, **fields: object) -> list[tuple[Replica, dict[str, Any]]]:
        """The log lines of an event with these fields, oldest first, each with its replica."""
        lines = [
            (replica, line)
            for replica in self.all_replicas
            for line in self._read_lines(replica)
            if line.get("event") == event and fields.items() <= line.items()
        ]
        return sorted(lines, key=lambda found: str(found[1]["timestamp"]))

    def list_crashes(self) -> list[str]:
        """The errors in the replicas' logs. A replica logs an error only for what nobody expected."""
        return [
            f"{replica.directory.name}: {line}"
            for replica in self.all_replicas
            for line in self._read_lines(replica)
            if line.get("level") in ("error", "critical") and not EXPECTED_ERRORS.search(str(line["event"]))
        ]

    def _read_lines(self, replica: Replica) -> Iterator[dict[str, Any]]:
        """The complete lines of a log: a kill may leave a partial one."""
        raw = replica.log_path.read_bytes() if replica.ports else b""
        for line in raw[self._log_offsets.get(replica, 0) :].splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                if b"Traceback" in line:
                    yield {"level": "error", "event": line.decode(errors="replace")}
