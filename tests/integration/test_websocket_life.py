"""How WebSockets are opened, limited and closed; what they leave behind."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from prompts.adapters.redis import keys
from tests.support.model_calls import open_control
from tests.support.refusals import check_refusal
from tests.support.scraping import scrape
from tests.support.server_fixtures import StartReplica
from tests.support.servers import Replica, StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, MAX_REFUSED_S, Service, manage, prepare, service_environment
from tests.support.turns import Stream, get_text, open_client
from tests.support.upkeep import list_upkeep
from tests.support.websockets import Talk, open_connection, open_refused, open_talk, upgrade

FOUR_SECONDS = "count to 80 [[standin token_s=0.05]]"
ENDLESS = "count to 2000 [[standin token_s=0.05]]"
SHORT_S = 2


@pytest.fixture(scope="module")
def small(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica whose limits are small enough to be met."""
    limits = {"MAX_OWNER_SOCKETS": "2", "MAX_SOCKETS": "3", "MAX_SOCKET_S": str(SHORT_S), "KEEP_ALIVE_S": "1"}
    patient = {"MODEL_FIRST_TOKEN_S": "30", "MODEL_SILENCE_S": "30"}
    with Replica(tmp_path_factory.mktemp("small"), {**service.environment, **limits, **patient}) as replica:
        yield replica


# --- opening ---


async def test_an_upgrade_that_is_refused_is_plain_http(http: httpx.AsyncClient) -> None:
    for headers in ({"Authorization": "Bearer wrong"}, {"Authorization": ""}, {"Authorization": "Basic x"}):
        answer = await upgrade(http, **headers)
        check_refusal(answer, status=401, code="invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/v1/models", "/v1/responses/", "/v1/responses/resp_1", "/", "/admin/", "/healthz"):
        check_refusal(await upgrade(http, path), status=404, code="unknown_url")
    async with httpx.AsyncClient(base_url=http.base_url, headers=http.headers) as plain:
        for broken in ({"Sec-WebSocket-Version": "8"}, {"Sec-WebSocket-Key": "short"}):
            answer = await upgrade(plain, **broken)
            check_refusal(answer, status=400)
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_upgrade_has_a_request_id_and_each_turn_its_own(service: Service) -> None:
    async with open_talk(service.url, service.alice_key, **{"x-request-id": "upgrade-7"}) as talk:
        assert talk.connection.response is not None
        assert talk.connection.response.headers["x-request-id"] == "upgrade-7"
        await talk.ask("Hello")
        response = await talk.ask("Hello")
    await eventually(lambda: '"websocket_closed"' in service.replica.log.rpartition("upgrade-7.2")[2])
    lines = [json.loads(line) for line in service.replica.log.splitlines() if '"upgrade-7' in line]
    [turn] = [line for line in lines if line["request_id"] == "upgrade-7.2" and line["event"] == "websocket_turn"]
    assert (turn["outcome"], turn["owner"], turn["response_id"]) == ("answered", "alice", response["id"])
    [closed] = [line for line in lines if line["event"] == "websocket_closed"]
    assert (closed["reason"], closed["turns"], closed["close_code"]) == ("client", 2, 1000)
    assert any(line["event"] == "run_ended" and line["request_id"] == "upgrade-7.1" for line in lines)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://[", "file://"])
async def test_a_page_of_another_site_may_not_connect(service: Service, origin: str) -> None:
    assert await open_refused(service.url, service.alice_key, Origin=origin) == (403, "origin_not_allowed")


async def test_a_page_of_the_service_may(service: Service) -> None:
    for scheme in ("http", "https"):
        async with open_talk(service.url, service.alice_key, Origin=service.url.replace("http", scheme, 1)) as talk:
            await talk.ask("Hello")


async def test_they_may_be_switched_off(service: Service, http: httpx.AsyncClient, start_replica: StartReplica) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "WEBSOCKETS": "false"})
    async with open_client(http, replica) as client:
        answer = await upgrade(client)
        assert "over HTTP" in check_refusal(answer, status=426, code="websockets_off")["message"]
        check_refusal(await upgrade(client, Authorization="Bearer x"), status=401, code="invalid_api_key")


async def test_an_owner_has_so_many_and_so_has_a_process(small: Replica, service: Service) -> None:
    async with open_talk(small.url, service.alice_key) as first, open_talk(small.url, service.alice_key):
        assert await open_refused(small.url, service.alice_key) == (429, "too_many_websockets")
        async with open_talk(small.url, service.bob_key):
            assert await open_refused(small.url, service.bob_key) == (503, "overloaded")
        await first.connection.close()

        async def is_free() -> bool:
            try:
                async with open_connection(small.url, service.alice_key):
                    return True
            except InvalidStatus:
                return False

        await eventually(is_free)


# --- its time ---


async def test_after_its_time_the_running_turn_ends_and_the_others_are_told(small: Replica, service: Service) -> None:
    async with open_talk(small.url, service.alice_key) as talk:
        await talk.create(FOUR_SECONDS)
        await talk.create("Hello")
        refused = None
        while (frame := await talk.read())["type"] != "response.completed":
            refused = frame if frame["type"] == "error" else refused
        assert get_text(frame["response"]).endswith(" 80")
        assert refused is not None
        assert (refused["status"], refused["error"]["code"]) == (400, "websocket_connection_limit_reached")
        last = await talk.read()
        assert last["error"]["code"] == "websocket_connection_limit_reached"
        assert await talk.read_close() == 1001


async def test_an_idle_one_is_told_that_its_time_is_over(small: Replica, service: Service) -> None:
    async with open_talk(small.url, service.alice_key) as talk:
        await talk.be_refused(status=400, code="websocket_connection_limit_reached")
        assert await talk.read_close() == 1001


async def test_a_silent_model_costs_nobody_the_connection(small: Replica, service: Service) -> None:
    async with open_talk(small.url, service.alice_key) as talk:
        await talk.create("count to 2 [[standin headers_s=3]]", stream_id="a")
        assert get_text((await talk.read_events())[-1]["response"]) == "1 2"
        assert talk.keepalives[:2] == [{"type": "keepalive", "stream_id": "a"}] * 2


@pytest.mark.usefixtures("quiet_model")
async def test_a_key_that_is_not_valid_any_more_closes_the_connection(service: Service, standin: StandinServer) -> None:
    """At the next turn; what another lane says goes no further."""
    key = "eps-test-key-of-carol-0123456789"
    manage(service.environment, "create_api_key", "carol", "--key", key)
    async with Redis.from_url(service.valkey.url) as redis:
        hashed = hashlib.sha256(key.encode()).hexdigest()
        await eventually_known(redis, hashed)
        async with open_talk(service.url, key) as talk:
            await talk.create(ENDLESS, store=False)
            await talk.see("response.output_text.delta")
            await redis.hdel(keys.API_KEYS, hashed)  # what a revocation does everywhere
            await eventually_refused(service, key)
            await talk.create("Hello", stream_id="other")
            while (frame := await talk.read())["type"] != "error":
                pass
            assert (frame["status"], frame["error"]["code"]) == (401, "invalid_api_key")
            assert frame["stream_id"] == "other"
            assert await talk.read_close() == 1008
    async with open_control(standin) as control:
        answer = await control.get("/_control/active", params={"until": "0", "within_s": "5"})
    assert answer.json() == {"active": 0}


async def eventually_refused(service: Service, key: str) -> None:
    """Until a key that was revoked opens nothing."""
    async with httpx.AsyncClient(base_url=service.url, headers={"authorization": f"Bearer {key}"}) as client:

        async def is_refused() -> bool:
            return (await client.get("/v1/conversations")).status_code == 401

        await eventually(is_refused, within_s=MAX_REFUSED_S)


async def eventually_known(redis: Redis, hashed: str) -> None:
    """Until a key is published."""

    async def is_known() -> bool:
        return bool(await redis.hexists(keys.API_KEYS, hashed))

    await eventually(is_known)


async def test_each_turn_counts_as_a_request(
    own_valkey: ValkeyServer, service: Service, start_replica: StartReplica
) -> None:
    limited = {"REDIS_URL": own_valkey.url, "REQUESTS_PER_MINUTE": "3"}
    replica = await asyncio.to_thread(start_replica, {**service.environment, **limited})
    talk = await eventually_open(replica.url, service.alice_key)
    try:
        await talk.ask("Hello")
        await talk.ask("Hello")
        await talk.create("Hello")
        refused = await talk.be_refused(status=429, code="rate_limit_exceeded")
        assert 1 <= int(refused["headers"]["retry-after"]) <= 60
        assert await open_refused(replica.url, service.alice_key) == (429, "rate_limit_exceeded")
    finally:
        await talk.connection.close()


async def eventually_open(url: str, key: str) -> Talk:
    """A connection, as soon as the key is known."""
    opened: list[ClientConnection] = []

    async def is_open() -> bool:
        try:
            opened.append(await open_connection(url, key))
        except InvalidStatus:
            return False
        return True

    await eventually(is_open)
    return Talk(opened[0])


# --- a replica that leaves ---


async def test_a_drain_ends_turns_refuses_what_waits_and_closes_what_is_idle(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "DRAIN_S": "20"})
    async with open_talk(replica.url, service.alice_key) as idle, open_talk(replica.url, service.alice_key) as busy:
        await busy.create(FOUR_SECONDS)
        await busy.create("Hello", stream_id=None)
        await busy.see("response.output_text.delta")
        async with open_client(http, replica) as client:
            replica.terminate()
            assert await idle.read_close(within_s=3) == 1012
            assert idle.raw == []
            check_refusal(await upgrade(client), status=503, code="draining")
        refused = None
        while (frame := await busy.read())["type"] != "response.completed":
            refused = frame if frame["type"] == "error" else refused
        assert get_text(frame["response"]).endswith(" 80")
        assert refused is not None
        assert (refused["status"], refused["error"]["code"]) == (503, "draining")
        assert await busy.read_close() == 1012
    assert await asyncio.to_thread(replica.wait, within_s=15) == 0
    assert "Traceback" not in replica.log


async def test_a_long_turn_is_handed_over_and_followed_and_then_cut(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "DRAIN_S": "1"})
    async with open_talk(replica.url, service.alice_key) as talk:
        await talk.create(ENDLESS)
        response_id = (await talk.see("response.created"))["response"]["id"]
        await talk.see("response.output_text.delta")
        replica.terminate()
        while (frame := await talk.read())["type"] != "error":
            pass
        assert (frame["status"], frame["error"]["code"]) == (503, "draining")
        assert await talk.read_close() == 1012
        seen = [json.loads(raw) for raw in talk.raw]
    assert await asyncio.to_thread(replica.wait, within_s=15) == 0
    assert '"handed_over"' in replica.log
    after = max(event["sequence_number"] for event in seen if "sequence_number" in event)
    stream = Stream.of_response(http, response_id, after=after)
    await stream.see_words(1)  # nothing is lost, and nothing comes twice
    assert f'"sequence_number":{after + 1},'.encode() in stream.raw
    await stream.leave()
    await http.post(f"/v1/responses/{response_id}/cancel")


async def test_a_killed_replica_costs_the_connection_and_nothing_else(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": "1"})
    async with open_talk(replica.url, service.alice_key) as talk:
        await talk.create("count to 40 [[standin token_s=0.05]]")
        response_id = (await talk.see("response.created"))["response"]["id"]
        await talk.see("response.output_text.delta")
        await asyncio.to_thread(replica.kill)
        assert await talk.read_close() == 1006
    final = await Stream.of_response(http, response_id).read_final(within_s=40)
    assert get_text(final) == " ".join(str(number) for number in range(1, 41))


# --- what stays ---


async def open_and_drop(url: str, number: int) -> None:
    """One connection, left in one of four ways: closed, dropped while idle, in mid-turn, and with a turn that waits."""
    async with open_connection(url, ALICE_KEY) as connection:
        talk = Talk(connection)
        if number % 4 > 1:
            await talk.create(f"{number} {ENDLESS}", store=False)
            await talk.see("response.created")
        if number % 4 == 3:
            await talk.create("Hello", store=False)
        if number % 4:
            connection.transport.abort()


def count_connections(replica: Replica) -> int:
    """Clients' connections of all workers."""
    workers = psutil.Process(replica.pid).children()
    found = [connection for worker in workers for connection in worker.net_connections("tcp")]
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == replica.port for one in found)


@pytest.mark.parametrize(
    "count", [pytest.param(200, id="some"), pytest.param(2_000, id="many", marks=pytest.mark.long)]
)
async def test_what_is_opened_and_dropped_leaves_nothing_behind(
    own_valkey: ValkeyServer, standin: StandinServer, tmp_path: Path, count: int
) -> None:
    environment = service_environment(own_valkey, standin, tmp_path) | {"MAX_RUNS": "2000", "MODEL_SILENCE_S": "30"}
    prepare(environment)
    with Replica(tmp_path / "replica", environment) as replica:
        async with Redis.from_url(own_valkey.url) as redis:
            await (await eventually_open(replica.url, ALICE_KEY)).connection.close()
            before = set(await redis.keys()) | list_upkeep()
            room = asyncio.Semaphore(40)

            async def drop(number: int) -> None:
                async with room:
                    await open_and_drop(replica.url, number)

            await asyncio.gather(*map(drop, range(count)))

            async def is_quiet() -> bool:
                told = await scrape(replica)
                gauges = ("eps_websockets", "eps_followers", "eps_active_runs")
                return not any(map(told.get, gauges)) and count_connections(replica) == 0

            await eventually(is_quiet, within_s=30)

            async def is_gone() -> bool:
                return set(await redis.keys()) <= before

            await eventually(is_gone, within_s=30)
            told = await scrape(replica)
            assert told.get("eps_websockets_closed_total") == count + 1
            assert told.get("eps_websocket_turns_total", outcome="left") >= count // 2
    assert "Traceback" not in replica.log
