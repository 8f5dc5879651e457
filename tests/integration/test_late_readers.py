"""A reader who goes on near the end of a long answer reads what is near, however long the answer is."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from tests.support.server_fixtures import StartReplica
from tests.support.servers import eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, open_client, split_frames

FEW, MANY = 2_000, 20_000
TRIES = 5
# The newest entries until a waypoint is found, and those from there on: a few groups of some hundred tokens.
MAX_BYTES = 60_000
# The numbers in a long answer have a digit more; where the groups are cut is the model's pace.
MAX_MORE_BYTES = 30_000


@pytest.fixture
async def shared_redis(service: Service) -> AsyncIterator[Redis]:
    """The Redis of the shared replicas."""
    async with Redis.from_url(service.valkey.url) as client:
        yield client


async def count_bytes(redis: Redis, read: Callable[[], Awaitable[object]]) -> int:
    """What Redis sends while this is read: the least of several tries, for others read as well."""
    sent = []
    for _ in range(TRIES):
        await redis.config_resetstat()
        await read()
        stats = await redis.info("stats")
        sent.append(int(stats["total_net_output_bytes"]))
    return min(sent)


async def test_at_the_end_of_an_ended_answer(
    http: httpx.AsyncClient, other: httpx.AsyncClient, shared_redis: Redis
) -> None:
    """Beside the log, the last event is read: it is the whole response."""
    costs = []
    for words in (FEW, MANY):
        creator = Stream.of_turn(http, f"count to {words}")
        response_id = await creator.get_id()
        frames = split_frames(await creator.read(within_s=60))
        after = len(frames) - 20
        rest = b"".join(frames[after + 1 :])

        async def read(response_id: str = response_id, after: int = after, rest: bytes = rest) -> None:
            assert await Stream.of_response(other, response_id, after).read() == rest

        result = len((await http.get(f"/v1/responses/{response_id}")).content)
        costs.append(await count_bytes(shared_redis, read) - result)
    few, many = costs
    print(f"beside the response: {few} bytes of {FEW} words, {many} of {MANY}")  # noqa: T201 -- the measurement
    assert many <= MAX_BYTES
    assert abs(many - few) <= MAX_MORE_BYTES


async def test_at_the_end_of_an_answer_that_is_being_written(
    service: Service, http: httpx.AsyncClient, shared_redis: Redis, start_replica: StartReplica
) -> None:
    """The model says nothing more; the reader gets the last words."""
    patient = start_replica({**service.environment, "MODEL_SILENCE_S": "60"})
    costs = []
    async with open_client(http, patient) as writing:
        for words in (FEW, MANY):
            asked = f"count to {2 * words} [[standin silence_after={words}]]"
            response_id = (await ask(writing, asked, background=True)).json()["id"]

            async def find_last(response_id: str = response_id, words: int = words) -> int:
                logged = int(await shared_redis.hget(keys.response(response_id), "logged") or 0)
                return logged if logged > words else 0

            last = await eventually(find_last, within_s=60)

            async def read(response_id: str = response_id, last: int = last) -> None:
                reader = Stream.of_response(http, response_id, last - 10)
                await reader.see_words(10)
                await reader.leave()

            costs.append(await count_bytes(shared_redis, read))
            assert (await writing.post(f"/v1/responses/{response_id}/cancel")).status_code == 200
    few, many = costs
    print(f"{few} bytes of {FEW} words, {many} of {MANY}")  # noqa: T201 -- prints the measurement
    assert many <= MAX_BYTES
    assert abs(many - few) <= MAX_MORE_BYTES


async def test_what_ends_in_mid_stream_is_told_whole_to_whoever_comes_late(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    """A long thought, then a long text: readers go on in either, live and ended, and where one follows the other."""
    thought = "word " * 1_500
    asked = f'count to 1500 [[standin reason="{thought}" token_s=0.001]]'
    creator = Stream.of_turn(http, asked, reasoning={"effort": "low"}, include=["reasoning.encrypted_content"])
    response_id = await creator.get_id()
    await creator.see("event: response.reasoning.delta", times=1_200)
    live = [(after, Stream.of_response(other, response_id, after)) for after in (600, 1_100, 1_190)]
    frames = split_frames(await creator.read())
    turn = next(place for place, frame in enumerate(frames) if b"event: response.reasoning.done" in frame)
    cursors = [700, turn - 400, turn - 1, turn, turn + 3, turn + 700, len(frames) - 3, len(frames) - 2]
    ended = [(after, Stream.of_response(other, response_id, after)) for after in cursors]
    for after, reader in [*live, *ended]:
        rest = split_frames(await reader.read())
        assert b"".join(rest) == b"".join(frames[after + 1 :]), after
