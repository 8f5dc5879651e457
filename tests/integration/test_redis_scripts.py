"""What the scripts share, in a real Valkey."""

from redis.asyncio import Redis

from prompts.adapters.redis.scripts import LUA
from prompts.domain.responses import CONTINUABLE
from tests.support.servers import ValkeyServer

LIST_STATUSES = "local found = {} for status in pairs(CONTINUABLE) do found[#found + 1] = status end return found"


async def test_scripts_and_the_domain_agree_on_what_a_turn_can_continue_from(valkey: ValkeyServer) -> None:
    part = (LUA / "parts" / "statuses.lua").read_text("utf-8")
    async with Redis.from_url(valkey.url, decode_responses=True) as redis:
        assert set(await redis.eval(part + LIST_STATUSES, 0)) == CONTINUABLE
