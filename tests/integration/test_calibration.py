"""All replicas learn together, for each owner, how a model's reported tokens differ from the estimates."""

from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.calibration import RedisCalibration
from prompts.errors import Unavailable
from tests.support.server_fixtures import StartValkey
from tests.support.servers import Replica, StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, start_service
from tests.support.turns import ask

WORDS = "word " * 400  # 501 tokens by estimate, 400 as the stand-in counts


@pytest.fixture
def server(start_valkey: StartValkey) -> ValkeyServer:
    """A Valkey for this file."""
    return start_valkey(appendfsync="no")


@pytest.fixture
async def redis(server: ValkeyServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url, socket_timeout=1, retry=None) as client:
        yield client


async def test_only_so_many_models_are_kept(redis: Redis) -> None:
    calibration = RedisCalibration(redis, max_models=3)
    for number in range(5):
        calibration.learn(f"m{number}", owner="alice", estimated=100, reported=200)
    await calibration.agree()
    calibration.learn("m9", owner="alice", estimated=100, reported=200)
    calibration.learn("m0", owner="alice", estimated=100, reported=200)
    await calibration.agree()
    assert await redis.hlen(keys.calibration("alice")) == 3
    assert (calibration.get_factor("m0", owner="alice"), calibration.get_factor("m9", owner="alice")) == (2.0, 1.0)


async def test_owners_beyond_the_memory_of_a_process_are_looked_up_again(redis: Redis) -> None:
    calibration = RedisCalibration(redis, max_owners=2)
    for owner in ("alice", "bob", "carol"):
        calibration.learn("m", owner=owner, estimated=100, reported=200)
        await calibration.agree()
    assert [calibration.get_factor("m", owner=owner) for owner in ("alice", "bob", "carol")] == [1.0, 2.0, 2.0]
    await calibration.agree()
    assert calibration.get_factor("m", owner="alice") == 2.0


async def test_what_is_known_holds_while_redis_is_away(redis: Redis, server: ValkeyServer) -> None:
    calibration = RedisCalibration(redis)
    calibration.learn("m", owner="alice", estimated=100, reported=200)
    await calibration.agree()
    server.kill()
    assert calibration.get_factor("m", owner="alice") == 2.0
    with pytest.raises(Unavailable):
        await calibration.agree()
    assert calibration.get_factor("m", owner="alice") == 2.0


async def test_counts_are_those_of_the_model_once_it_has_answered(
    server: ValkeyServer, standin: StandinServer, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("service")
    headers = {"Authorization": f"Bearer {ALICE_KEY}"}
    with start_service(server, standin, directory) as service:
        async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) as http:
            estimated = await count(http)
            first = (await ask(http, WORDS)).json()
            await eventually(lambda: redis.exists(keys.calibration("alice")), within_s=15)
    reported = first["usage"]["input_tokens"]
    assert first["eps:model_input"]["calibration"] == 1.0
    assert first["eps:model_input"]["input_tokens"] == estimated
    assert abs(estimated - reported) > 50
    with Replica(directory, service.environment) as replica:  # it knows what the first replica has learned
        async with httpx.AsyncClient(base_url=replica.url, headers=headers, timeout=30) as http:
            await eventually(lambda: is_close(http, reported))
            second = (await ask(http, WORDS)).json()["eps:model_input"]
    assert second["calibration"] == pytest.approx(reported / estimated, rel=0.01)
    assert abs(second["input_tokens"] - reported) <= 1


async def count(http: httpx.AsyncClient) -> int:
    """The tokens of these words, counted by the API."""
    return int((await http.post("/v1/responses/input_tokens", json={"input": WORDS})).json()["input_tokens"])


async def is_close(http: httpx.AsyncClient, reported: int) -> bool:
    """Whether the number is close to the model's count."""
    return abs(await count(http) - reported) <= 1
