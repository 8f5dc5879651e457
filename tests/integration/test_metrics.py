"""Metrics of a replica as Prometheus reads them: right over its workers, off the public port, in bounds."""

import asyncio
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.processes import REPO_ROOT
from tests.support.scraping import Scrape, scrape
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, open_client

PAGE = (REPO_ROOT / "docs" / "operating" / "metrics.md").read_text("utf-8")
SLOW = "count to 40 [[standin token_s=0.1]]"
MODEL = "stand-in"
# More connections than it takes to meet each of two workers, whichever of them is awake.
MAX_CONNECTIONS = 200


@pytest.fixture(scope="module")
def replica(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica of two workers."""
    with Replica(tmp_path_factory.mktemp("measured"), {**service.environment, "WORKERS": "2"}) as running:
        yield running


@pytest.fixture
async def client(replica: Replica, http: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Alice at that replica."""
    async with open_client(http, replica) as opened:
        yield opened


@pytest.fixture
def environment(service: Service, start_valkey: StartValkey) -> Mapping[str, str]:
    """That of replicas by themselves: nobody else takes over what they lose."""
    valkey = start_valkey()
    return {**service.environment, "REDIS_URL": valkey.url, "CACHE_URL": valkey.cache_url}


async def knows_alice(client: httpx.AsyncClient) -> bool:
    """Whether the keys are published: a replica does that when it starts."""
    return (await client.get("/v1/models")).status_code == 200


def list_workers(replica: Replica) -> list[int]:
    """The process ids of the workers that live."""
    return [child.pid for child in psutil.Process(replica.pid).children() if child.status() != psutil.STATUS_ZOMBIE]


@asynccontextmanager
async def open_worker_clients(
    http: httpx.AsyncClient, replica: Replica
) -> AsyncIterator[Mapping[int, httpx.AsyncClient]]:
    """A client for each worker, by its process id: its one connection leads to that worker."""
    workers = list_workers(replica)
    clients: dict[int, httpx.AsyncClient] = {}
    async with AsyncExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            client = await stack.enter_async_context(open_client(http, replica))
            worker = find_worker(workers, await get_local_port(client))
            clients.setdefault(worker, client)
            if len(clients) == len(workers):
                break
        yield clients


async def get_local_port(client: httpx.AsyncClient) -> int:
    """The client's end of its connection, which stays open."""
    async with client.stream("GET", "/healthz") as answer:
        await answer.aread()
        port: int = answer.extensions["network_stream"].get_extra_info("client_addr")[1]
        return port


def find_worker(workers: Sequence[int], port: int) -> int:
    """The worker that has the other end."""
    for worker in workers:
        for connection in psutil.Process(worker).net_connections("tcp"):
            if connection.raddr and connection.raddr.port == port:
                return worker
    raise AssertionError(f"no worker is connected to {port}")


async def count_turns(replica: Replica, **labels: str) -> float:
    return (await scrape(replica)).get("eps_turns_total", **labels)


async def scrape_until(replica: Replica, name: str, value: float, **labels: str) -> Scrape:
    """The first scrape in which a sum is this value."""

    async def find() -> Scrape | None:
        seen = await scrape(replica)
        assert seen.get(name, **labels) == value, seen.get(name, **labels)
        return seen

    found = await eventually(find, within_s=30)
    assert found is not None
    return found


# --- what is there ---


def read_page() -> dict[str, tuple[str, set[str]]]:
    """The type and the labels of each metric, as docs/operating/metrics.md has them."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\|", PAGE, re.MULTILINE)
    return {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}


async def test_every_metric_of_the_page_is_there_after_a_turn(replica: Replica, client: httpx.AsyncClient) -> None:
    await ask(client, "count to 3 [[standin token_s=0.05]]")
    await client.get("/readyz")
    await eventually(lambda: has_idle_connections(replica))
    seen = await scrape(replica)
    assert seen.describe() == read_page()
    histograms = [name for name, family in seen.families.items() if family.type == "histogram"]
    assert [name for name in histograms if not seen.get(f"{name}_count")] == []
    assert seen.get("gen_ai_client_token_usage_sum", gen_ai_token_type="input", gen_ai_request_model=MODEL) > 0
    assert all(family.documentation for family in seen.families.values())


async def has_idle_connections(replica: Replica) -> bool:
    return (await scrape(replica)).get("eps_redis_pool_connections", state="idle") > 0


async def test_a_turn_is_counted_where_it_ends(replica: Replica, client: httpx.AsyncClient) -> None:
    before = await scrape(replica)
    await ask(client, "Hello")
    await ask(client, "write 100 words", max_output_tokens=16)
    await ask(client, "Hello [[standin status=500]]")
    stream = Stream.of_turn(client, SLOW)
    await stream.see_words()
    await client.post(f"/v1/responses/{await stream.get_id()}/cancel")
    await stream.read()
    after = await scrape(replica)

    def count(name: str, **labels: str) -> float:
        return after.get(name, **labels) - before.get(name, **labels)

    assert count("eps_turns_total", status="completed", code="none") == 1
    assert count("eps_turns_total", status="incomplete", code="none") == 1
    assert count("eps_turns_total", status="failed", code="upstream_error") == 1
    assert count("eps_turns_total", status="cancelled", code="none") == 1
    assert count("eps_turns_total") == 4
    assert count("eps_upstream_errors_total", code="upstream_error") == count("eps_upstream_errors_total") == 1


async def test_runs_and_followers_are_those_of_now(replica: Replica, client: httpx.AsyncClient) -> None:
    await scrape_until(replica, "eps_active_runs", 0)
    streams = [Stream.of_turn(client, SLOW) for _ in range(3)]
    for stream in streams:
        await stream.see_words()
    seen = await scrape(replica)
    assert (seen.get("eps_active_runs"), seen.get("eps_followers")) == (3, 3)
    await streams[0].leave()
    await scrape_until(replica, "eps_followers", 2)
    for stream in streams[1:]:
        await stream.read()
    await scrape_until(replica, "eps_active_runs", 0)
    await scrape_until(replica, "eps_followers", 0)


async def test_requests_are_counted_by_the_pattern_of_their_path(replica: Replica, client: httpx.AsyncClient) -> None:
    before = await scrape(replica)
    ids = [f"resp_{number:032x}" for number in range(5)]
    for response_id in ids:
        assert (await client.get(f"/v1/responses/{response_id}")).status_code == 404
        assert (await client.get(f"/v1/nonsense/{response_id}")).status_code == 404
        assert (await client.get(f"/wp-admin/{response_id}.php")).status_code == 404
    assert (await client.request("PROPFIND", "/v1/models")).status_code == 405
    seen = await scrape(replica)

    def count(**labels: str) -> float:
        return seen.get("eps_http_requests_total", **labels) - before.get("eps_http_requests_total", **labels)

    assert count(route="/v1/responses/<str:response_id>", method="GET", status="404") == 5
    assert count(route="unmatched", method="GET", status="404") == 10
    assert count(method="other") == 1
    routes = seen.list_labels("eps_http_requests", "route")
    assert not [route for route in routes if "resp_" in route or "nonsense" in route or "php" in route]
    assert seen.list_labels("eps_http_requests", "method") <= {"GET", "POST", "other"}


async def test_a_model_that_nobody_serves_makes_no_series(replica: Replica, client: httpx.AsyncClient) -> None:
    for number in range(20):
        assert (await ask(client, "Hello", model=f"invented-{number}")).status_code == 404
    seen = await scrape(replica)
    assert seen.list_labels("gen_ai_client_operation_duration_seconds", "gen_ai_request_model") == {MODEL}


async def test_probes_are_counted(replica: Replica, client: httpx.AsyncClient) -> None:
    await client.get("/readyz")
    seen = await scrape(replica)
    assert seen.get("eps_probe_results_total", check="redis", result="ok") >= 1
    assert seen.get("eps_probe_results_total", result="failed") == 0


# --- over several processes ---


async def test_counts_are_those_of_all_workers(replica: Replica, http: httpx.AsyncClient) -> None:
    before = await count_turns(replica)
    async with open_worker_clients(http, replica) as clients:
        assert len(clients) == 2
        for client in (*clients.values(), *clients.values()):
            await ask(client, "Hello")
    assert await count_turns(replica) == before + 4


async def test_what_a_killed_worker_counted_stays_and_its_gauges_go(
    environment: Mapping[str, str], http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**environment, "WORKERS": "2", "LEASE_S": "1"})
    async with open_worker_clients(http, replica) as clients:
        (victim, victims_client), (_, other) = clients.items()
        for client in clients.values():
            await eventually(partial(knows_alice, client))
            await ask(client, "Hello")
        streams = [Stream.of_turn(victims_client, SLOW), Stream.of_turn(other, SLOW)]
        for stream in streams:
            await stream.see_words()
        assert (await scrape(replica)).get("eps_active_runs") == 2
        os.kill(victim, signal.SIGKILL)
        await streams[0].read_broken()
        await scrape_until(replica, "eps_takeovers_total", 1)
        seen = await scrape_until(replica, "eps_turns_total", 4, status="completed")
        await streams[1].read()
    assert seen.get("eps_turns_total") == 4
    seen = await scrape_until(replica, "eps_active_runs", 0)
    assert seen.get("eps_followers") == 0
    assert victim not in list_workers(replica)
    assert [path for path in find_directory(replica).iterdir() if f"_{victim}." in path.name] == []


@pytest.mark.long
async def test_a_hand_over_and_its_takeover_are_counted(
    environment: Mapping[str, str], http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**environment, "DRAIN_S": "3"})
    successor = await asyncio.to_thread(start_replica, environment)
    async with open_client(http, replica) as client:
        await eventually(partial(knows_alice, client))
        stream = Stream.of_turn(client, "count to 200 [[standin token_s=0.1]]")
        await stream.see_words()
        replica.terminate()
        await scrape_until(replica, "eps_hand_overs_total", 1)
        await scrape_until(successor, "eps_takeovers_total", 1)
        await stream.leave()
    await asyncio.to_thread(replica.wait)


# --- the port ---


async def test_the_public_port_serves_no_metrics(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 404


async def test_a_taken_port_is_said_in_the_log_and_stops_nothing(
    service: Service, http: httpx.AsyncClient, replica: Replica, start_replica: StartReplica
) -> None:
    taken = str(replica.ports[1])
    second = await asyncio.to_thread(start_replica, {**service.environment, "METRICS_PORT": taken})
    async with open_client(http, second) as client:
        assert (await ask(client, "Hello")).json()["status"] == "completed"
    [line] = [line for line in second.log.splitlines() if '"metrics_not_served"' in line]
    assert f'"port": {taken}' in line


async def test_no_port_means_no_metrics(service: Service, http: httpx.AsyncClient, start_replica: StartReplica) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "METRICS_PORT": "0"})
    async with open_client(http, replica) as client:
        assert (await ask(client, "Hello")).json()["status"] == "completed"
    assert "metrics_" not in replica.log
    with pytest.raises(httpx.ConnectError):
        await scrape(replica)


@pytest.mark.long
async def test_a_reload_keeps_what_was_counted(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, service.environment)
    async with open_client(http, replica) as client:
        await ask(client, "Hello")
    [before] = list_workers(replica)
    os.kill(replica.pid, signal.SIGHUP)
    await eventually(
        lambda: list_workers(replica) not in ([before], []) and len(list_workers(replica)) == 1, within_s=60
    )
    async with open_client(http, replica) as client:
        await ask(client, "Hello")
    assert await count_turns(replica, status="completed") == 2


# --- the directory ---


def find_directory(replica: Replica) -> Path:
    [found] = Path(tempfile.gettempdir()).glob(f"eps-metrics-{replica.pid}-*")
    return found


@pytest.mark.long
async def test_the_files_go_with_the_replica(service: Service, start_replica: StartReplica) -> None:
    replica = await asyncio.to_thread(start_replica, service.environment)
    directory = find_directory(replica)
    await asyncio.to_thread(replica.stop)
    assert not directory.exists()

    replica = await asyncio.to_thread(start_replica, service.environment)
    killed = find_directory(replica)
    await asyncio.to_thread(replica.kill)
    replica = await asyncio.to_thread(start_replica, service.environment)
    assert not killed.exists()
    assert find_directory(replica).exists()
