"""The echo of a response: what its object repeats of the request, which the events that open it tell.

When the response has ended its result says the same. Of a large echo only the rest is kept then: lua/parts/ending.lua
puts `later_echo` in its place, and notes it as `short_echo`.
"""

import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.lean import build_lean_encoder
from prompts.adapters.redis.scripts import find_owned, read_fields
from prompts.domain.responses import Response
from prompts.domain.text import TextConfig
from prompts.errors import unknown_response

encode_echo = build_lean_encoder(Response)
decode_response = msgspec.json.Decoder(Response).decode

# An echo of this size has tools, or long instructions: a plain one has about 200 bytes.
MIN_SHORTENED_BYTES = 2048


def shorten_echo(echo: Response, encoded: bytes) -> bytes:
    """What to keep of it when the response has ended; b"" where that saves little."""
    if len(encoded) < MIN_SHORTENED_BYTES:
        return b""
    return encode_echo(replace(echo, instructions=None, tools=[], text=TextConfig(), prompt=UNSET))


async def read_echo(redis: Redis, response_id: str, *, owner: str) -> Response | None:
    """The response as it was created; None for a compaction, which has none.

    Raises NotFound, Unavailable; msgspec.DecodeError or RecursionError for one that cannot be read.
    """
    key = keys.response(response_id)
    found = await find_owned(redis, key, owner, ("echo", "created_ms", "short_echo"))
    kept, created_ms, is_short = found or (None, None, None)
    if kept is None:
        raise unknown_response(response_id)
    if not kept:
        return None
    echo = replace(decode_response(kept), created_at=int(created_ms or 0) // 1000)
    if not is_short:
        return echo
    [result] = await read_fields(redis, key, ["result"])
    if result is None:  # deleted meanwhile
        raise unknown_response(response_id)
    ended = decode_response(result)
    return replace(echo, instructions=ended.instructions, tools=ended.tools, text=ended.text, prompt=ended.prompt)
