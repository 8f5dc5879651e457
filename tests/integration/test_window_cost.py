"""A turn costs its window: the same with ten earlier items as with twenty thousand."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from prompts.adapters.redis.project_limits import RedisProjectLimits
from prompts.adapters.remembered_keys import KEPT_S
from prompts.domain import ids
from prompts.history.estimates import estimate_tokens
from prompts.ports.project_limits import Limits
from tests.support import builders
from tests.support.builders import Stores, build_draft, build_item, open_stores
from tests.support.servers import Replica, StandinServer, ValkeyServer
from tests.support.service import ALICE_KEY, Service, start_service
from tests.support.turns import ask

FEW, MANY = 10, 20_000
BATCH = 500
SENTENCE = "What a person says in a sentence or two, more or less."
# Without usage: calibration would change the size of the window.
ASKED = f"repeat: {SENTENCE} [[standin no_usage]]"
SENTENCE_TOKENS = estimate_tokens(build_item(SENTENCE, "00"))
# Ten items fill the window, so both histories give the model the same.
HISTORY_TOKENS = FEW * SENTENCE_TOKENS
# The position in a long history has more digits.
MORE_DIGITS = 16
# Owner, admit, commit, and with the commit the owner's list of conversations: three round trips.
SCRIPTS_A_TURN = 4


@dataclass(frozen=True)
class Cost:
    """The cost of something in Redis. The time is that of the scripts alone."""

    read_bytes: int
    written_bytes: int
    scripts: int
    script_us: int


async def measure(redis: Redis, work: Callable[[], Awaitable[Any]], *, tries: int = 7) -> Cost:
    """The cheapest of several tries: background work of Redis falls between the others."""
    costs = [await measure_once(redis, work) for _ in range(tries)]
    return min(costs, key=lambda cost: (cost.scripts, cost.read_bytes))


async def measure_once(redis: Redis, work: Callable[[], Awaitable[Any]]) -> Cost:
    await redis.config_resetstat()
    await work()
    info = await redis.info("everything")
    scripts = info.get("cmdstat_evalsha", {"calls": 0, "usec": 0})
    return Cost(
        info["total_net_output_bytes"], info["total_net_input_bytes"], int(scripts["calls"]), int(scripts["usec"])
    )


async def fill(stores: Stores, conversation_id: str, count: int) -> str:
    """A conversation of Alice's with this many items."""
    partition = ids.get_partition(conversation_id)
    for start in range(0, count, BATCH):
        items = [build_item(SENTENCE, partition) for _ in range(min(BATCH, count - start))]
        await stores.conversations.add_items(conversation_id, owner="alice", items=items)
    return conversation_id


async def test_admission_reads_the_window_whatever_lies_behind_it(redis: Redis) -> None:
    stores = open_stores(redis)
    costs = []
    for count in (FEW, MANY):
        conversation_id = ids.new_id(ids.CONVERSATION, "07")
        await stores.conversations.create(conversation_id, owner="alice", metadata={}, items=[])
        await fill(stores, conversation_id, count)

        async def admit(conversation_id: str = conversation_id, count: int = count) -> None:
            draft = build_draft(conversation_id=conversation_id)
            admitted = await builders.admit(stores, draft, history_tokens=HISTORY_TOKENS)
            assert len(admitted.window) == FEW
            assert admitted.model_input.history_items + admitted.model_input.dropped_items == count
            await stores.responses.delete(draft.response.id, owner="alice")

        costs.append(await measure(redis, admit, tries=20))
    few, many = costs
    print(f"admission: with {FEW} items {few}, with {MANY} {many}")  # noqa: T201 -- prints the measurement
    assert abs(many.read_bytes - few.read_bytes) <= MORE_DIGITS
    assert many.written_bytes == few.written_bytes
    # A long history may cost a look-up in a longer index, but not its length.
    assert many.script_us <= few.script_us * 2 + 200


@pytest.fixture(scope="module")
def own_service(standin: StandinServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a small window and a Redis of its own."""
    with ExitStack() as stack:
        valkey = stack.enter_context(ValkeyServer(tmp_path_factory.mktemp("valkey")))
        service = stack.enter_context(start_service(valkey, standin, tmp_path_factory.mktemp("service")))
        service.replica.stop()
        environment = {**service.environment, "HISTORY_TOKENS": str(HISTORY_TOKENS)}
        replica = stack.enter_context(Replica(tmp_path_factory.mktemp("replica"), environment))
        yield dataclasses.replace(service, replica=replica, environment=environment)


@pytest.mark.parametrize("is_streamed", [pytest.param(False, marks=pytest.mark.long), True], ids=["whole", "streamed"])
async def test_a_turn_costs_its_window_and_three_round_trips(own_service: Service, is_streamed: bool) -> None:
    headers = {"Authorization": f"Bearer {ALICE_KEY}"}
    async with (
        Redis.from_url(own_service.valkey.url) as redis,
        httpx.AsyncClient(base_url=own_service.url, headers=headers, timeout=30) as http,
    ):
        stores = open_stores(redis)
        costs = []
        for count in (FEW, MANY):
            conversation_id = (await http.post("/v1/conversations", json={})).json()["id"]
            await fill(stores, conversation_id, count)
            answers: list[httpx.Response] = []

            async def turn(conversation_id: str = conversation_id, answers: list[httpx.Response] = answers) -> None:
                answers.append(await ask(http, ASKED, conversation=conversation_id, stream=is_streamed))

            costs.append(await measure(redis, turn))
            assert all(answer.status_code == 200 for answer in answers)
            assert await count_window_tokens(http, answers[-1], is_streamed) <= HISTORY_TOKENS
        few, many = costs
        print(f"a turn: with {FEW} items {few}, with {MANY} {many}")  # noqa: T201 -- prints the measurement
        # The items of a turn differ in length: the windows differ by less than one item.
        assert abs(many.read_bytes - few.read_bytes) <= 600
        groups = await count_groups(redis)
        assert many.scripts <= SCRIPTS_A_TURN + groups


async def test_a_limit_of_tokens_costs_two_round_trips_more_and_its_settlement(own_service: Service) -> None:
    headers = {"Authorization": f"Bearer {ALICE_KEY}"}
    async with (
        Redis.from_url(own_service.valkey.url) as redis,
        httpx.AsyncClient(base_url=own_service.url, headers=headers, timeout=30) as http,
    ):

        async def turn() -> None:
            assert (await ask(http, ASKED, max_output_tokens=16)).status_code == 200

        costs = []
        for limits in (Limits(), Limits(tokens_per_minute=10**6, tokens_per_month=10**6)):
            await RedisProjectLimits(redis).publish({"alice": limits})
            await asyncio.sleep(KEPT_S)  # a process has heard of it by then
            # The fewest of several tries: a turn's groups differ in number, and background work falls between others.
            costs.append(min([(await measure_once(redis, turn)).scripts for _ in range(7)]))
        free, limited = costs
        # The key is looked up each time where tokens are counted; the settlement goes beside the commit.
        assert limited - free == 3


async def count_window_tokens(http: httpx.AsyncClient, answer: httpx.Response, is_streamed: bool) -> int:
    """The tokens of the history in the window, by the response's own account."""
    response_id = answer.text.partition('"id":"')[2].partition('"')[0] if is_streamed else answer.json()["id"]
    account = (await http.get(f"/v1/responses/{response_id}")).json()["eps:model_input"]
    assert account["dropped_items"] > 0
    tokens: int = account["history_tokens"]
    return tokens


async def count_groups(redis: Redis) -> int:
    """The number of groups in the longest log, without its opening and its end."""
    logs = [key async for key in redis.scan_iter("*:ev:*", count=1000)]
    return max(await asyncio.gather(*(redis.xlen(log) for log in logs))) - 2
