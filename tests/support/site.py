"""The service as people meet it: two replicas behind a balancer, users with a password, one address."""

import asyncio
import threading
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.balancer import Balancer
from tests.support.servers import Replica, StandinServer, ValkeyServer
from tests.support.service import manage, service_environment

PASSWORD = "a password for tests"
PEOPLE = ("alice", "bob", "carol", "dora")
# A lost answer is taken over after the lease: soon enough for a person who looks on.
QUICK = {"LEASE_S": "2", "REDIS_TIMEOUT_S": "1"}
MAX_CALL_S = 60.0

# One process, because most of a command is its start; one hash, because it is slow on purpose.
MAKE_PEOPLE = f"""
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
hashed = make_password({PASSWORD!r})
for name in {PEOPLE!r}:
    User.objects.create(username=name, password=hashed)
"""


class BackgroundBalancer:
    """A balancer with a thread of its own, for tests that do not await. `with` serves."""

    def __init__(self, list_ports: Callable[[], list[int]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._balancer = Balancer(list_ports)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._balancer.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._balancer.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(MAX_CALL_S)
        self._loop.close()

    @property
    def url(self) -> str:
        return self._balancer.url

    def reset_connections(self) -> None:
        """Break off every open connection."""
        self._run(self._reset())

    def wait_until_ready(self, count: int) -> None:
        """Until so many replicas get connections."""
        self._run(self._balancer.wait_until_ready(count))

    async def _reset(self) -> None:
        self._balancer.reset_connections()

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(MAX_CALL_S)


@dataclass
class Site:
    """A running site; `url` is the only address that people know."""

    environment: Mapping[str, str]
    replicas: list[Replica]
    balancer: BackgroundBalancer

    @property
    def url(self) -> str:
        return self.balancer.url

    def get_writer(self) -> Replica:
        """The replica that writes the one answer that is being written now."""
        [writer] = [replica for replica in self.replicas if replica.is_running and count_runs(replica)]
        return writer

    def restart(self, replica: Replica) -> None:
        """Start a replica that was killed, and wait until it gets connections again."""
        replica.start()
        self.balancer.wait_until_ready(len(self.replicas))


def count_runs(replica: Replica) -> int:
    """How many answers it is writing."""
    with urllib.request.urlopen(replica.metrics_url, timeout=MAX_CALL_S) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(line.split()[1])) for line in lines if line.startswith("eps_active_runs "))


@contextmanager
def start_site(valkey: ValkeyServer, standin: StandinServer, directory: Path, **settings: str) -> Iterator[Site]:
    """Migrate, create the people, start two replicas and the balancer; stop all at the end."""
    environment = {**service_environment(valkey, standin, directory), **QUICK, **settings}
    manage(environment, "shell", "--command", MAKE_PEOPLE)
    replicas = [Replica(directory / name, environment) for name in ("one", "two")]
    with ExitStack() as servers:
        with ThreadPoolExecutor() as starts:
            list(starts.map(servers.enter_context, replicas))
        balancer = servers.enter_context(
            BackgroundBalancer(lambda: [each.port for each in replicas if each.is_running])
        )
        balancer.wait_until_ready(len(replicas))
        yield Site(environment, replicas, balancer)
