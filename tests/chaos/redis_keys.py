"""The service's keys in Redis, by kind."""

import re
from collections import defaultdict
from typing import cast

from redis.asyncio import Redis

# See prompts/adapters/redis/keys.py: the kind is the first word after the hash tag; of an owner's keys it is `owner`,
# but for what is learned of models.
KIND = re.compile(r"eps:\{[^}]*\}:(\w+)|eps:owner:\{[^}]*\}:(factors)|eps:(owner):")


async def list_keys(redis: Redis) -> dict[str, list[str]]:
    """All keys by kind. A key of no known kind is a kind of its own."""
    keys: dict[str, list[str]] = defaultdict(list)
    async for raw in redis.scan_iter(count=1000):
        key = raw.decode()
        found = KIND.match(key)
        keys[next(filter(None, found.groups())) if found else key].append(key)
    return keys


async def read_hash(redis: Redis, key: str) -> dict[bytes, bytes]:
    """The raw fields. The driver's types also allow for text, which a client may ask for."""
    return cast(dict[bytes, bytes], await redis.hgetall(key))
