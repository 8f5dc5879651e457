"""An owner's list of conversations: an index in a slot of its own, repairable, never the truth."""

import asyncio
from typing import Any

import structlog
from redis.exceptions import NoScriptError, RedisError

from prompts.adapters.redis import keys
from prompts.adapters.redis.lua_files import SCRIPTS
from prompts.adapters.redis.scripts import Scripts
from prompts.errors import Unavailable

log = structlog.get_logger(__name__)


async def touch_listing(scripts: Scripts, owner: str, conversation_id: str) -> None:
    """Move a conversation to the head of its owner's list, because it was used now.

    Raises nothing: what the client asked for is stored already, and an error would make it ask again.
    """
    try:
        await scripts.call("touch_listing", listing_key=keys.listing(owner), conversation_id=conversation_id)
    except Unavailable:
        _tell_untouched(conversation_id)


def begin_touching(scripts: Scripts, owner: str, conversation_id: str) -> asyncio.Future[Any]:
    """The same without a task, in the same write as whatever is sent next; for `finish_touching`."""
    script = SCRIPTS["touch_listing"]
    values = {"listing_key": keys.listing(owner), "conversation_id": conversation_id}
    touching = scripts.send(script, *script.arrange(values))
    touching.add_done_callback(_retrieve)
    return touching


async def finish_touching(touching: asyncio.Future[Any], scripts: Scripts, owner: str, conversation_id: str) -> None:
    """Returns when Redis has answered; raises nothing."""
    try:
        await touching
    except NoScriptError:  # a call by itself gives Redis the script
        await touch_listing(scripts, owner, conversation_id)
    except (RedisError, OSError):
        _tell_untouched(conversation_id)


def _tell_untouched(conversation_id: str) -> None:
    log.warning("listing_not_touched", conversation_id=conversation_id)


def _retrieve(touching: asyncio.Future[Any]) -> None:
    """Retrieve the exception, or asyncio warns about it where the commit has failed as well."""
    if not touching.cancelled():
        touching.exception()
