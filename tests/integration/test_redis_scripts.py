"""What all scripts have in common, in a real Valkey."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from prompts.adapters.redis.lua_files import LUA, SCRIPTS
from prompts.domain.responses import CONTINUABLE
from tests.support.servers import ValkeyServer

LIST_STATUSES = "local found = {} for status in pairs(CONTINUABLE) do found[#found + 1] = status end return found"


async def test_scripts_and_the_domain_agree_on_what_a_turn_can_continue_from(valkey: ValkeyServer) -> None:
    part = (LUA / "parts" / "statuses.lua").read_text("utf-8")
    async with Redis.from_url(valkey.url, decode_responses=True) as redis:
        assert set(await redis.eval(part + LIST_STATUSES, 0)) == CONTINUABLE


@pytest.mark.parametrize("name", sorted(SCRIPTS))
async def test_a_script_does_nothing_with_fewer_or_more_than_it_takes(valkey: ValkeyServer, name: str) -> None:
    script = SCRIPTS[name]
    async with Redis.from_url(valkey.url) as redis:
        wrong = [
            (script.keys[1:], script.args),
            ([*script.keys, "one more"], script.args),
            (script.keys, [*script.args, "one more"]),
        ]
        if script.args:
            wrong.append((script.keys, script.args[1:]))
        for keys, args in wrong:
            with pytest.raises(ResponseError, match="assertion failed"):
                await redis.eval(script.text, len(keys), *keys, *args)
