"""Redis behind Sentinel: when the master is lost, its replica takes over, and the service finds it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.support.oracle import check_error
from tests.support.server_fixtures import StartReplica, StartWatchedValkeys, WatchedValkeys
from tests.support.servers import Replica, ValkeyServer, eventually
from tests.support.service import Service, manage
from tests.support.turns import Stream, ask, get_text, make_conversation, open_client

# Longer than a fail-over, which takes 2 to 4 s here.
SLOW = "count to 120 [[standin token_s=0.05]]"
COUNTED = " ".join(str(number) for number in range(1, 121))
ENDLESS = "count to 5000 [[standin token_s=0.05]]"
# Detection, election and promotion; the rest is for a busy machine.
FAILOVER_S = 20
# Longer than a fail-over, so that a run survives it.
LEASE_S = 6
# The commands a Sentinel needs on a master, by its documentation.
FOR_SENTINEL = "+ping +info +role +publish +subscribe +client|setname +client|kill".split()
STAFF, PASSWORD = "keeper-of-the-keys", "a long enough password"
CREATE_STAFF = ("createsuperuser", "--noinput", "--username", STAFF, "--email", "keeper@example.com")


@dataclass(frozen=True)
class Cluster:
    """Two of our replicas on a watched pair of Valkeys, and Alice at each of them."""

    valkeys: WatchedValkeys
    replicas: Sequence[Replica]
    http: httpx.AsyncClient
    other: httpx.AsyncClient

    async def cut_replication(self) -> None:
        """From now on, writes are lost with the master."""
        master, replica = self.valkeys.master, self.valkeys.replica
        tell(replica.port, "CONFIG SET", "masteruser", "nobody", "masterauth", "wrong")
        tell(master.port, "CLIENT KILL", "TYPE", "replica")
        await eventually(lambda: not has_link(replica))

    async def lose_master(self) -> None:
        """Kill the master, and wait until its replica is promoted."""
        await asyncio.to_thread(self.valkeys.master.kill)
        await self.wait_for_failover()

    async def wait_for_failover(self) -> None:
        """Wait until the Sentinel calls the replica the master."""
        sentinel, replica = self.valkeys.sentinel, self.valkeys.replica
        await eventually(lambda: sentinel.get_master_port() == replica.port, within_s=FAILOVER_S)


@pytest.fixture
async def cluster(
    service: Service, http: httpx.AsyncClient, start_watched_valkeys: StartWatchedValkeys, start_replica: StartReplica
) -> AsyncIterator[Cluster]:
    """A cluster in which everything is ready and Alice's key is published."""
    valkeys = await asyncio.to_thread(start_watched_valkeys)
    environment = {
        **service.environment,
        "REDIS_URL": valkeys.sentinel.url,
        "CACHE_URL": valkeys.sentinel.cache_url,
        "REDIS_TIMEOUT_S": "1",
        "LEASE_S": str(LEASE_S),
    }
    replicas = await asyncio.gather(*(asyncio.to_thread(start_replica, environment) for _ in range(2)))
    async with open_client(http, replicas[0]) as one, open_client(http, replicas[1]) as other:
        for client in (one, other):
            await eventually(partial(is_served, client))
        yield Cluster(valkeys, replicas, one, other)


def tell(port: int, *command: str) -> None:
    """Send a command to a server."""
    with closing(Redis(port=port)) as client:
        client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types here


def has_link(replica: ValkeyServer) -> bool:
    """Whether it is connected to its master."""
    with closing(Redis(port=replica.port)) as client:
        replication: Any = client.info("replication")
    return bool(replication["master_link_status"] == "up")


async def is_served(client: httpx.AsyncClient) -> bool:
    """Whether the replica is ready, and a request with a key succeeds."""
    if (await client.get("/readyz")).status_code != 200:
        return False
    return (await client.get("/v1/conversations")).status_code == 200


async def is_unready(client: httpx.AsyncClient) -> bool:
    """Whether the probe says not ready."""
    return (await client.get("/readyz")).status_code == 503


async def is_refused(client: httpx.AsyncClient) -> bool:
    """Whether a request gets 503 with Retry-After. Anything but that and success fails the test."""
    answer = await client.get("/v1/conversations")
    if answer.status_code == 200:
        return False
    check_error(answer.json())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "dependency_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    return True


async def check_everything_works(cluster: Cluster) -> None:
    """A turn remembers, a follower elsewhere is nudged, a cancel from elsewhere is confirmed."""
    conversation_id = await make_conversation(cluster.http)
    assert (await ask(cluster.http, "My name is Ada.", conversation=conversation_id)).status_code == 200
    assert get_text((await ask(cluster.other, "What is my name?", conversation=conversation_id)).json()) == (
        "Your name is Ada."
    )
    creator = Stream.of_turn(cluster.http, ENDLESS, conversation=conversation_id)
    response_id = await creator.get_id()
    follower = Stream.of_response(cluster.other, response_id)
    await follower.see_words(3)
    began = time.monotonic()
    cancelled = await cluster.other.post(f"/v1/responses/{response_id}/cancel")
    assert time.monotonic() - began < 1
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert "eps:cancel_confirmed" not in cancelled.json()
    # In less time than a follower waits between two looks.
    assert await follower.read_final(within_s=1) == await creator.read_final(within_s=1) == cancelled.json()


@pytest.mark.timed
async def test_everything_works_behind_a_sentinel(cluster: Cluster) -> None:
    await check_everything_works(cluster)


@pytest.mark.timed
async def test_an_answer_outlives_its_master_and_so_does_the_service(cluster: Cluster) -> None:
    conversation_id = await make_conversation(cluster.http)
    creator = Stream.of_turn(cluster.http, SLOW, conversation=conversation_id)
    follower = Stream.of_response(cluster.other, await creator.get_id())
    for reader in (creator, follower):
        await reader.see_words(4)
    await asyncio.to_thread(cluster.valkeys.master.kill)

    for client in (cluster.http, cluster.other):
        await eventually(partial(is_refused, client), within_s=5)
        await eventually(partial(is_unready, client), within_s=5)
    await cluster.wait_for_failover()
    for client in (cluster.http, cluster.other):
        await eventually(partial(is_served, client), within_s=5)

    final = await creator.read_final()
    assert (final["status"], get_text(final)) == ("completed", COUNTED)
    assert await follower.read(within_s=5) == creator.raw
    assert await Stream.of_response(cluster.other, final["id"]).read() == creator.raw
    await check_everything_works(cluster)


@pytest.mark.timed
@pytest.mark.long
async def test_a_master_that_hangs_is_replaced_as_well_and_its_return_changes_nothing(cluster: Cluster) -> None:
    conversation_id = await make_conversation(cluster.http)
    creator = Stream.of_turn(cluster.http, SLOW, conversation=conversation_id)
    follower = Stream.of_response(cluster.other, await creator.get_id())
    for reader in (creator, follower):
        await reader.see_words(4)
    await asyncio.to_thread(cluster.valkeys.master.freeze)
    await cluster.wait_for_failover()
    final = await creator.read_final()
    assert (final["status"], get_text(final)) == ("completed", COUNTED)
    assert await follower.read(within_s=5) == creator.raw
    await eventually(lambda: is_served(cluster.other), within_s=5)
    await check_everything_works(cluster)

    cluster.valkeys.master.thaw()  # for some seconds it believes it is the master
    await check_everything_works(cluster)


async def test_passwords_reach_the_master_and_the_sentinels_and_nobody_else(
    service: Service, start_watched_valkeys: StartWatchedValkeys
) -> None:
    valkeys = await asyncio.to_thread(start_watched_valkeys)
    tell(valkeys.master.port, "ACL SETUSER", "eps", "on", ">of/master", "+@all", "~*", "&*")
    tell(valkeys.master.port, "ACL SETUSER", "default", "-@all", *FOR_SENTINEL)
    tell(valkeys.sentinel.port, "ACL SETUSER", "default", "resetpass", ">of&sentinel")
    port, name = valkeys.sentinel.port, valkeys.sentinel.service
    url = f"redis+sentinel://eps:of%2Fmaster@127.0.0.1:{port}/{name}/{{}}?sentinel_password=of%26sentinel"
    environment = {**service.environment, "REDIS_URL": url.format(0), "CACHE_URL": url.format(1)}
    table = await asyncio.to_thread(manage, environment, "verify_startup")
    verdicts = {line.split()[0]: line.split()[-1] for line in table.splitlines()}
    assert (verdicts["redis"], verdicts["cache"]) == ("ok", "ok")
    assert "of%" not in table


@pytest.mark.long
async def test_the_admin_stays_signed_in(service: Service, cluster: Cluster) -> None:
    manage({**service.environment, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}, *CREATE_STAFF)
    async with httpx.AsyncClient(base_url=cluster.http.base_url, follow_redirects=True) as browser:
        await browser.get("/admin/login/")
        form = {"username": STAFF, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert "Log out" in (await browser.post("/admin/login/", data={**form, "next": "/admin/"})).text
        await asyncio.to_thread(cluster.valkeys.master.kill)
        # Without the session the page fails. It shows no sign-in form and removes no cookie.
        assert (await browser.get("/admin/")).status_code == 500
        await cluster.wait_for_failover()
        page = await browser.get("/admin/")
        assert "Log out" in page.text
        # This writes the session; the pages above only read it.
        leaving = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert (await browser.post("/admin/logout/", data=leaving)).status_code == 200
        assert "Log out" not in (await browser.get("/admin/")).text


# --- A fail-over that loses acknowledged writes: replication is asynchronous --------------------------------------


@pytest.mark.timed
@pytest.mark.long
async def test_a_running_answer_writes_its_lost_tail_again(cluster: Cluster) -> None:
    creator = Stream.of_turn(cluster.http, SLOW, conversation=await make_conversation(cluster.http))
    follower = Stream.of_response(cluster.other, await creator.get_id())
    await creator.see_words(4)
    await cluster.cut_replication()
    for reader in (creator, follower):
        await reader.see_words(20)
    await cluster.lose_master()

    final = await creator.read_final()
    assert (final["status"], get_text(final)) == ("completed", COUNTED)
    assert await follower.read(within_s=5) == creator.raw
    assert await Stream.of_response(cluster.other, final["id"]).read() == creator.raw
    assert "tail_written_again" in cluster.replicas[0].log
    await check_everything_works(cluster)


@pytest.mark.long
async def test_a_reader_beyond_the_end_of_the_log_is_told_so(cluster: Cluster) -> None:
    creator = Stream.of_turn(cluster.http, SLOW, conversation=await make_conversation(cluster.http))
    response_id = await creator.get_id()
    await creator.see_words(4)
    await cluster.cut_replication()
    await creator.see_words(20)
    last = creator.raw.count(b"event: ") - 1
    await asyncio.to_thread(cluster.replicas[0].freeze)  # otherwise it would write its tail again
    await cluster.lose_master()

    query = {"stream": "true", "starting_after": str(last)}
    refused = await eventually(partial(ask_when_served, cluster.other, f"/v1/responses/{response_id}", query))
    assert refused is not None
    check_error(refused.json())
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "starting_after")

    # Another replica continues where the log ends; a reader of the whole log sees one complete answer.
    final = await Stream.of_response(cluster.other, response_id).read_final()
    assert (final["status"], get_text(final)) == ("completed", COUNTED)


async def ask_when_served(client: httpx.AsyncClient, url: str, query: dict[str, str]) -> httpx.Response | None:
    """The answer, once Redis is back."""
    answer = await client.get(url, params=query)
    return None if answer.status_code == 503 else answer


@pytest.mark.long
async def test_a_response_that_was_lost_whole_was_never_there(cluster: Cluster) -> None:
    conversation_id = await make_conversation(cluster.http)
    assert (await ask(cluster.http, "My name is Ada.", conversation=conversation_id)).status_code == 200
    before = (await cluster.http.get(f"/v1/conversations/{conversation_id}/items")).json()
    await cluster.cut_replication()
    lost = await ask(cluster.http, "What is my name?", conversation=conversation_id)
    assert get_text(lost.json()) == "Your name is Ada."
    await cluster.lose_master()

    for client in (cluster.http, cluster.other):
        await eventually(partial(is_served, client), within_s=5)
        for query in ({}, {"stream": "true"}, {"stream": "true", "starting_after": "3"}):
            gone = await client.get(f"/v1/responses/{lost.json()['id']}", params=query)
            assert (gone.status_code, gone.json()["error"]["code"]) == (404, "response_not_found")
        assert (await client.get(f"/v1/conversations/{conversation_id}/items")).json() == before
    again = await ask(cluster.other, "What is my name?", conversation=conversation_id)
    assert get_text(again.json()) == "Your name is Ada."


@pytest.mark.long
async def test_a_response_whose_end_was_lost_comes_to_another_end(cluster: Cluster) -> None:
    conversation_id = await make_conversation(cluster.http)
    creator = Stream.of_turn(cluster.http, "count to 20 [[standin token_s=0.05]]", conversation=conversation_id)
    await creator.see_words(4)
    await cluster.cut_replication()
    final = await creator.read_final()
    assert final["status"] == "completed"
    await cluster.lose_master()
    await eventually(partial(is_served, cluster.other), within_s=5)

    ended = await Stream.of_response(cluster.other, final["id"]).read_final(within_s=LEASE_S + 5)
    assert (ended["status"], get_text(ended)) == ("completed", get_text(final))
    conversation = (await cluster.http.get(f"/v1/conversations/{conversation_id}")).json()
    assert conversation["eps:active_response_id"] is None
    assert (await ask(cluster.http, "Hello", conversation=conversation_id)).status_code == 200
