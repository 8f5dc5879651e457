"""The size of an answer's log in Redis: one token a group, as at 20 tokens/s, from fifty concurrent runs."""

import asyncio
import random
from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from tests.support.builders import admit, build_draft, open_stores, write

RUNS = 50
TOKENS = 600
MAX_BYTES_A_TOKEN = 40
# Like a tokenizer's tokens: words with the space before them, long ones in pieces; five characters on average.
TOKENS_OF_ENGLISH = (
    "The| conver|sation| is| stored| as| a| stream| of| items|,| and| every| answer| that| has| been| shown|"
    " to| some|one| was| written| down| before|.| When| the| server| that| wrote| it| goes| away|,| another| one|"
    " will| read| what| there| is|,| contin|ue| from| the| last| word|,| and| nobody| will| notice| more| than|"
    ' a| short| pause|.\n\n| This| needs| "|care|ful|"| book|keeping|:| numbers| without| gaps|;| one| epoch|.'
).split("|")


async def test_a_token_costs_forty_bytes_and_the_echo_stands_once(redis: Redis) -> None:
    stores = open_stores(redis)
    chance = random.Random(7)
    mark = "Answer like a pirate, always."

    async def write_answer() -> str:
        draft = build_draft()
        draft = replace(draft, response=replace(draft.response, instructions=mark))
        admitted = await admit(stores, draft)
        await write(stores, admitted, *(chance.choice(TOKENS_OF_ENGLISH) for _ in range(TOKENS)))
        return draft.response.id

    written = await asyncio.gather(*(write_answer() for _ in range(RUNS)))
    sizes = [await redis.memory_usage(keys.event_log(response_id), samples=0) for response_id in written]
    a_token = sum(size or 0 for size in sizes) / (RUNS * TOKENS)
    print(f"a token costs {a_token:.1f} bytes of log")  # noqa: T201 -- prints the measurement
    assert a_token <= MAX_BYTES_A_TOKEN

    for response_id in written[:3]:
        entries: Any = await redis.xrange(keys.event_log(response_id))
        assert len(entries) == TOKENS + 1
        assert len([fields for _, fields in entries if b"w" in fields]) == 1
        assert mark not in str(entries)
        stored = await redis.hgetall(keys.response(response_id))
        assert [field for field, value in stored.items() if mark.encode() in value] == [b"echo"]
