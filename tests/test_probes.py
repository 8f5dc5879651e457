"""Probes of a real replica whose Redis and Weaviate stop, hang and come back.

Every request here is HTTP/1.0 without a Host header, a key or a cookie, as the simplest prober sends it.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.support.processes import ServerProcess
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import Replica, ValkeyServer, WeaviateServer, eventually, get_status

pytestmark = pytest.mark.timed

# Every check of a replica with a Redis and a Weaviate.
CHECKS = ("startup", "drain", "redis", "storage", "weaviate")


TIMEOUT_S = 1.0
# The time limit of a check, and the time for the answer on a busy machine.
MAX_ANSWER_S = TIMEOUT_S + 0.5
NOT_READY = {"detail": "Service not ready"}


@dataclass(frozen=True)
class Service:
    """A replica and its servers, which a test may break."""

    replica: Replica
    redis: ValkeyServer
    weaviate: WeaviateServer

    def heal(self) -> None:
        """Start everything again."""
        for server in (self.redis, self.weaviate):
            if server.is_running:
                server.thaw()
            else:
                server.start()


@dataclass(frozen=True)
class Answer:
    """An answer and its time."""

    status: int
    headers: str
    body: Any
    took_s: float


def configure(redis: ValkeyServer, **more: str) -> dict[str, str]:
    """The environment of a replica that needs no model."""
    return {
        "REDIS_URL": redis.url,
        "CACHE_URL": redis.cache_url,
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_API_KEY": "unused",
        "READYZ_TIMEOUT_S": str(TIMEOUT_S),
        **more,
    }


def locate(weaviate: WeaviateServer) -> dict[str, str]:
    """The variables with the address of a Weaviate."""
    return {"WEAVIATE_URL": weaviate.url, "WEAVIATE_GRPC_PORT": str(weaviate.grpc_port)}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, weaviate_binary: Path) -> Iterator[Service]:
    """One service for this module, because a Weaviate takes seconds to start."""
    with ExitStack() as stack:
        redis = stack.enter_context(ValkeyServer(tmp_path_factory.mktemp("redis")))
        weaviate = stack.enter_context(WeaviateServer(tmp_path_factory.mktemp("weaviate"), weaviate_binary))
        environment = configure(redis, **locate(weaviate))
        replica = stack.enter_context(Replica(tmp_path_factory.mktemp("replica"), environment))
        yield Service(replica, redis, weaviate)


@pytest.fixture
async def service(running: Service) -> Service:
    """The service, healthy again after the previous test."""
    running.heal()
    await eventually(lambda: is_ready(running.replica))
    return running


async def ask(replica: Replica, path: str, *, method: str = "GET", headers: str = "") -> Answer:
    began = time.monotonic()
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
        writer.write(f"{method} {path} HTTP/1.0\r\n{headers}\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    status = int(head.split()[1])
    return Answer(status, head.decode().lower(), json.loads(body) if body else None, time.monotonic() - began)


async def is_ready(replica: Replica) -> bool:
    return (await ask(replica, "/readyz")).status == 200


async def is_not_ready(replica: Replica) -> bool:
    return not await is_ready(replica)


async def get_details(replica: Replica) -> dict[str, str]:
    answer = await ask(replica, "/readyz?verbose")
    return {check["name"]: check["detail"] for check in answer.body["checks"]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/healthz", {"status": "ok"}),
        ("/readyz", {"status": "ready"}),
        ("/health", {"status": "ok"}),
    ],
)
async def test_it_works(service: Service, path: str, body: object) -> None:
    answer = await ask(service.replica, path)
    assert (answer.status, answer.body) == (200, body)
    assert "content-type: application/json" in answer.headers
    assert "cache-control: no-store" in answer.headers
    assert "content-length: " in answer.headers
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.7:8000", "", "not a host!"])
async def test_any_host_header_will_do(service: Service, host: str) -> None:
    assert (await ask(service.replica, "/readyz", headers=f"Host: {host}\r\n")).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz/redis", "/health"])
async def test_head_is_answered_without_a_body_and_post_is_refused(service: Service, path: str) -> None:
    head = await ask(service.replica, path, method="HEAD")
    assert (head.status, head.body) == (200, None)
    post = await ask(service.replica, path, method="POST", headers="Content-Length: 0\r\n")
    assert post.status == 405
    assert "allow: get, head" in post.headers


async def test_verbose_lists_each_check_and_its_age(service: Service) -> None:
    answer = await ask(service.replica, "/readyz?verbose")
    assert answer.status == 200
    assert answer.body["status"] == "ready"
    assert {check["name"] for check in answer.body["checks"]} == set(CHECKS)
    for check in answer.body["checks"]:
        assert (check["status"], check["detail"], check["required"]) == ("ok", "ok", True)
        assert 0 <= check["age_s"] < MAX_ANSWER_S


@pytest.mark.parametrize("check", CHECKS)
async def test_single_check_passes(service: Service, check: str) -> None:
    answer = await ask(service.replica, f"/readyz/{check}")
    assert (answer.status, answer.body["name"], answer.body["status"]) == (200, check, "ok")


async def test_unknown_check_is_not_found(service: Service) -> None:
    assert (await ask(service.replica, "/readyz/postgres")).status == 404


@pytest.mark.parametrize(
    ("break_it", "detail"),
    [(ServerProcess.stop, "unreachable"), (ServerProcess.freeze, "timed out after 1 s")],
    ids=["stopped", "frozen"],
)
@pytest.mark.parametrize("names", [["redis"], ["weaviate"], ["redis", "weaviate"]], ids=" and ".join)
async def test_dependency_that_is_away_is_told_in_time_and_healed(
    service: Service, names: list[str], break_it: Callable[[ServerProcess], None], detail: str
) -> None:
    servers: list[ServerProcess] = [getattr(service, name) for name in names]
    for server in servers:
        break_it(server)
    await eventually(lambda: is_not_ready(service.replica))
    # Long enough for cached, shared and fresh results.
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        answer = await ask(service.replica, "/readyz")
        assert (answer.status, answer.body) == (503, NOT_READY)
        assert answer.took_s < MAX_ANSWER_S
        alive = await ask(service.replica, "/healthz")
        assert alive.status == 200
        assert alive.took_s < 0.5
    expected = dict.fromkeys(CHECKS, "ok") | dict.fromkeys(names, detail)

    async def is_told() -> bool:
        return await get_details(service.replica) == expected

    await eventually(is_told)
    for name in names:
        single = await ask(service.replica, f"/readyz/{name}")
        assert (single.status, single.body["status"], single.body["detail"]) == (503, "failed", detail)
    service.heal()
    await eventually(lambda: is_ready(service.replica))


async def test_a_redis_that_refuses_writes_is_told(service: Service) -> None:
    with Redis.from_url(service.redis.url) as redis:
        redis.config_set("min-replicas-to-write", 1)
        try:
            await eventually(lambda: is_not_ready(service.replica))
            assert (await get_details(service.replica))["redis"] == "not ready"
            assert (await ask(service.replica, "/healthz")).status == 200
        finally:
            redis.config_set("min-replicas-to-write", 0)
    await eventually(lambda: is_ready(service.replica))


async def test_a_redis_that_is_stuck_in_a_script_is_told(service: Service) -> None:
    with Redis.from_url(service.redis.url) as redis, Redis.from_url(service.redis.url, socket_timeout=20) as stuck:
        redis.config_set("busy-reply-threshold", 200)
        script = asyncio.create_task(asyncio.to_thread(run_endless_script, stuck))
        try:
            await eventually(lambda: is_not_ready(service.replica))
            answer = await ask(service.replica, "/readyz")
            assert answer.took_s < MAX_ANSWER_S
            assert (await ask(service.replica, "/healthz")).status == 200
        finally:
            redis.script_kill()
            await script
    await eventually(lambda: is_ready(service.replica))


def run_endless_script(redis: Redis) -> None:
    """Until it is killed."""
    with suppress(ResponseError):
        redis.eval("while true do end", 0)


async def test_a_process_whose_event_loop_is_stuck_is_not_alive(service: Service) -> None:
    service.replica.freeze()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.replica.port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await reader.read()
        writer.close()
        await writer.wait_closed()
    finally:
        service.replica.thaw()
    assert (await ask(service.replica, "/healthz")).status == 200


async def test_many_probes_at_once_are_one_check(service: Service) -> None:
    with Redis.from_url(service.redis.url) as redis:
        redis.config_resetstat()
        began = time.monotonic()
        answers = await asyncio.gather(*(ask(service.replica, "/readyz") for _ in range(200)))
        took_s = time.monotonic() - began
        pings = redis.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"]
    assert {answer.status for answer in answers} == {200}
    assert pings <= 1 + took_s


async def test_probes_are_not_logged(service: Service) -> None:
    already_written = len(service.replica.log)
    for path in ("/healthz", "/readyz", "/readyz?verbose", "/readyz/redis", "/health"):
        await ask(service.replica, path)
    # The control: a request to another path is logged, after all requests before it.
    assert get_status(service.replica.port, "/v1/no-such-path") in {401, 404}
    await eventually(lambda: "/v1/no-such-path" in service.replica.log[already_written:])
    written = service.replica.log[already_written:]
    assert "readyz" not in written
    assert "/health" not in written


async def test_dependency_that_is_not_required_decides_nothing(service: Service, start_replica: StartReplica) -> None:
    replica = start_replica(configure(service.redis, **locate(service.weaviate), READYZ_REQUIRED="redis"))
    service.weaviate.freeze()
    await eventually(lambda: is_ready(replica))
    answer = await ask(replica, "/readyz")
    assert answer.took_s < 0.5
    assert (await get_details(replica))["weaviate"] == "timed out after 1 s"


async def test_required_dependency_that_is_not_configured_fails(
    start_valkey: StartValkey, start_replica: StartReplica
) -> None:
    replica = start_replica(configure(start_valkey(), READYZ_REQUIRED="redis,weaviate"))
    answer = await ask(replica, "/readyz")
    assert (answer.status, answer.body) == (503, NOT_READY)
    assert (await get_details(replica))["weaviate"] == "not configured"
    assert (await ask(replica, "/readyz/weaviate")).status == 503
    assert (await ask(replica, "/readyz/redis")).status == 200


async def test_replica_that_starts_before_its_dependencies_waits_for_them(
    service: Service, start_replica: StartReplica
) -> None:
    service.redis.stop()
    service.weaviate.stop()
    replica = start_replica(configure(service.redis, **locate(service.weaviate)))
    assert (await ask(replica, "/readyz")).status == 503
    details = await get_details(replica)
    assert (details["startup"], details["redis"], details["weaviate"]) == ("ok", "unreachable", "unreachable")
    assert (await ask(replica, "/healthz")).status == 200
    service.heal()
    await eventually(lambda: is_ready(replica))
    assert replica.is_running
